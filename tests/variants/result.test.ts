/** What a variant comes to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { primaryOf, verdictOf, withoutFlips } from '../../nanoeval/variants/result.ts';
import { madeFlip, madeMetric, madeTask, madeVariant, PRIMARY } from './made.ts';

test('the verdict: broken before failed, failed before what its tasks say', () => {
  const held = madeVariant('q8', 1e6, madeMetric(0, 'HELD'));
  assert.equal(verdictOf(held), 'HELD');
  assert.equal(verdictOf({ ...held, faults: ['mmlu: gave up'] }), 'FAILED');
  assert.equal(verdictOf({ ...held, faults: ['mmlu: gave up'], broken: { reasons: ['x'], row: null } }), 'BROKEN');
  assert.equal(verdictOf({ ...held, comparison: null }), 'FAILED');
});

test('the metric of a task is its primary one', () => {
  const task = madeTask(madeMetric(0, 'HELD'));
  const more = { ...task, metrics: [madeMetric(0, 'HELD', { name: 'acc' }), ...task.metrics] };
  assert.equal(primaryOf(more, { primary: PRIMARY }).name, 'acc_norm');
  assert.throws(
    () => primaryOf({ ...task, metrics: [] }, { primary: PRIMARY }),
    /hellaswag: the comparison has no acc_norm/,
  );
});

test('flips are counted by their direction', () => {
  const flips = [madeFlip(1, 0), madeFlip(2, 1), madeFlip(3, 0)];
  assert.deepEqual(withoutFlips({ ...madeTask(madeMetric(0, 'HELD')), flips }).flips, { worse: 2, better: 1 });
});
