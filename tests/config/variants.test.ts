/** The keys of variants.ts: a suite's, and its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variantsSchema } from '../../nanoeval/config/variants.ts';

const models = [{ model_id: 'a/b' }, { model_id: 'a/b', dtype: 'q4' }];
const whole = { models, tasks: [{ task: 'mmlu' }], distributions: { path: 'texts.jsonl' } };
const refused = (change: object) => variantsSchema.safeParse({ ...whole, ...change }).error?.issues[0]?.path.join('.');

test('what a file leaves out has its default', () => {
  const { distributions, gate, rows, report } = variantsSchema.parse(whole);
  assert.deepEqual(distributions, {
    path: 'texts.jsonl',
    revision: 'main',
    split: 'test',
    column: 'text',
    tokens: 8192,
    window: 512,
    broken_kl: 2,
  });
  assert.deepEqual([gate.rule, rows, report.save_plot], ['interval', 'all', true]);
});

test('one checkpoint alone has nothing to be compared with, and texts are wanted', () => {
  assert.equal(refused({ models: models.slice(1) }), 'models');
  assert.equal(refused({ distributions: undefined }), 'distributions');
});

test('numbers that make no windows are refused', () => {
  assert.equal(refused({ distributions: { path: 'a', window: 1 } }), 'distributions.window');
  assert.equal(refused({ distributions: { path: 'a', window: 4096 } }), 'distributions.window');
  assert.equal(refused({ distributions: { path: 'a', tokens: 0 } }), 'distributions.tokens');
  assert.equal(refused({ distributions: { path: 'a', broken_kl: 0 } }), 'distributions.broken_kl');
});
