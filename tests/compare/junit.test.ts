/** A comparison as test cases. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareCases } from '../../nanoeval/compare/junit.ts';
import type { CompareResult, MetricResult, TaskResult } from '../../nanoeval/compare/result.ts';

const metric = (name: string, rest: Partial<MetricResult>) =>
  ({
    name,
    gated: true,
    verdict: 'HELD',
    point: 'PASS',
    baseline: 0.5,
    current: 0.4,
    difference: -0.1,
    interval: [-0.2, 0],
    level: 0.95,
    allowed_drop: 0.01,
    wins: 1,
    losses: 2,
    ties: 7,
    note: null,
    ...rest,
  }) as MetricResult;

test('a case for each metric that decides; it fails where it makes the exit code, and says what was compared', () => {
  const metrics = [
    metric('acc', { verdict: 'REGRESSED' }),
    metric('acc_norm', { interval: null, note: 'few rows' }),
    metric('acc_bytes', { gated: false }),
  ];
  const result = {
    tasks: [{ name: 'arc', rows: 10, metrics } as TaskResult],
    gate: { rule: 'interval' },
  } as CompareResult;
  const cases = compareCases(result, ({ verdict }) => verdict === 'REGRESSED');
  assert.deepEqual(
    cases.map(({ name, suite, failure }) => [name, suite, failure]),
    [
      ['acc', 'arc', 'REGRESSED: acc 0.5 -> 0.4'],
      ['acc_norm', 'arc', null],
    ],
  );
  assert.match(cases[0]!.text, /^0\.95 interval -0\.2 to 0$/m);
  assert.match(cases[0]!.text, /^1 better, 2 worse, 7 alike of 10$/m);
  assert.match(cases[1]!.text, /^no interval$[\s\S]*\nfew rows$/m);
});
