/** Which metrics decide, and by how much they may drop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowedFor, type Candidate, checkThresholds, gatedMetrics } from '../../nanoeval/compare/thresholds.ts';
import { compareSchema } from '../../nanoeval/config/compare.ts';
import { UserError } from '../../nanoeval/types.ts';

const metric = (task: string, name: string, primary = false, unit: 'share' | 'number' = 'share'): Candidate => ({
  task,
  name,
  unit,
  better: unit === 'share' ? 'higher' : 'lower',
  primary,
});
const ALL = [
  metric('hellaswag', 'acc_norm', true),
  metric('hellaswag', 'acc'),
  metric('mmlu', 'acc', true),
  metric('wiki', 'word_perplexity', true, 'number'),
];
const gate = (given: object) => compareSchema.parse({ gate: given }).gate;
const names = (found: readonly Candidate[]) => found.map(({ task, name }) => `${task}.${name}`);

test('each task is judged by its primary metric unless the config names others', () => {
  assert.deepEqual(names(gatedMetrics(ALL, gate({}))), ['hellaswag.acc_norm', 'mmlu.acc', 'wiki.word_perplexity']);
  assert.deepEqual(names(gatedMetrics(ALL, gate({ metrics: ['acc'] }))), ['hellaswag.acc', 'mmlu.acc']);
  assert.deepEqual(names(gatedMetrics(ALL, gate({ metrics: ['mmlu.acc'] }))), ['mmlu.acc']);
});

test('by default a share may drop by 0.01, another metric by 1 % of the baseline', () => {
  assert.equal(allowedFor(ALL[0]!, 0.4, gate({})), 0.01);
  assert.equal(allowedFor(ALL[3]!, 37.5, gate({})), 0.375);
});

test('thresholds: absolute, relative, by metric, by task and metric', () => {
  assert.equal(allowedFor(ALL[0]!, 0.4, gate({ max_drop: 0.02 })), 0.02);
  assert.equal(allowedFor(ALL[0]!, 0.4, gate({ max_drop: '2.5%' })), 0.025 * 0.4);
  assert.equal(allowedFor(ALL[0]!, -4, gate({ max_drop: '1 %' })), 0.04);
  const some = gate({ max_drop: { acc: 0.03, 'mmlu.acc': '1%' } });
  assert.equal(allowedFor(ALL[1]!, 0.5, some), 0.03);
  assert.equal(allowedFor(ALL[2]!, 0.5, some), 0.005);
  assert.equal(allowedFor(ALL[0]!, 0.5, some), 0.01);
});

test('a metric that neither run has is named with the nearest', () => {
  const refuses = (what: () => unknown, key: string, message: RegExp) =>
    assert.throws(what, (error) => error instanceof UserError && error.key === key && message.test(error.message));
  refuses(
    () => gatedMetrics(ALL, gate({ metrics: ['acc', 'acc_nrom'] })),
    'gate.metrics.1',
    /Did you mean "acc_norm"\?$/,
  );
  refuses(
    () => checkThresholds(ALL, gate({ max_drop: { f1_of_all: 0.1 } })),
    'gate.max_drop.f1_of_all',
    /There are: acc_norm, /,
  );
  checkThresholds(ALL, gate({ max_drop: { 'wiki.word_perplexity': 1 } }));
});
