/** Lines of a suite's table: means of tasks, and what is not run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suiteSchema } from '../../nanoeval/config/suite.ts';
import type { RunResult } from '../../nanoeval/run/outcome.ts';
import { loadTask } from '../../nanoeval/run/task_files.ts';
import { linesOf, moreLines, type Outcome } from '../../nanoeval/suite/lines.ts';

const task = await loadTask('arc');

function outcome(
  name: string,
  metrics: Record<string, [value: number, stderr: number | null]>,
  faults: string[] = [],
): Outcome {
  const config = task.config.parse({ task: 'arc', model: { model_id: 'a/b' } });
  const estimates = Object.fromEntries(
    Object.entries(metrics).map(([metric, [value, stderr]]) => [metric, { value, stderr, ci95: null, n: 100 }]),
  );
  const primary = { name: Object.keys(metrics)[0]!, unit: 'share', better: 'higher', chance: null } as const;
  const scores = { primary, metrics: estimates, groups: {}, subjects: {}, subject_groups: {} };
  const summary = { faults } as unknown as RunResult['summary'];
  const result: RunResult = { task: 'arc', recipe: 'cloze', scores, summary, shortfall: null, files: [] };
  const entry = { name, model: null, task, config, reference: undefined, paths: () => [] };
  return { entry, result, error: null };
}

const table = (suite: object) =>
  suiteSchema.parse({ suite, model: { model_id: 'a/b' }, tasks: [{ task: 'arc' }] }).suite;
const near = (a: number | null | undefined, b: number) => assert.ok(Math.abs(a! - b) < 1e-12, `${a} ${b}`);

test('a mean of tasks: value, rows, and the root of the sum of squares as its error', () => {
  const outcomes = [outcome('easy', { acc_norm: [0.5, 0.03] }), outcome('hard', { acc_norm: [0.3, 0.04] })];
  const reference = { value: 0.373, source: 'model card' };
  const [line] = moreLines(outcomes, table({ means: [{ name: 'ARC (Average)', of: ['easy', 'hard'], reference }] }));
  near(line!.estimate!.value, 0.4);
  near(line!.estimate!.stderr, 0.025);
  near(line!.estimate!.ci95![0], 0.4 - 1.959963984540054 * 0.025);
  assert.deepEqual(
    [line!.task, line!.metric, line!.unit, line!.n, line!.reference],
    ['ARC (Average)', 'acc_norm', 'share', 200, reference],
  );
});

test("the interval of a mean ends where its metrics' values do", () => {
  const of = ['easy', 'hard'];
  const ci95 = (metric: string) => {
    const wide = of.map((name) => outcome(name, { acc: [0.5, 0.5], [metric]: [0.5, 0.5] }));
    const parts = of.map((task) => ({ task, metric }));
    return moreLines(wide, table({ means: [{ name: 'ARC', of: parts }] }))[0]!.estimate!.ci95!;
  };
  assert.deepEqual(ci95('acc_norm'), [0, 1]);
  near(ci95('perplexity')[0], 0.5 - 1.959963984540054 * Math.sqrt(0.125));
});

test('metrics of one task are of the same rows: their errors add up', () => {
  const outcomes = [outcome('ifeval', { prompt_level_strict_acc: [0.2, 0.02], inst_level_strict_acc: [0.3, 0.04] })];
  const of = ['prompt_level_strict_acc', 'inst_level_strict_acc'].map((metric) => ({ task: 'ifeval', metric }));
  const [line] = moreLines(outcomes, table({ means: [{ name: 'IFEval', of }] }));
  near(line!.estimate!.value, 0.25);
  near(line!.estimate!.stderr, 0.03);
  assert.equal(line!.n, 100);
});

test('a mean without one of its parts, or of one that is not valid, says which', () => {
  const good = outcome('easy', { acc_norm: [0.5, 0.03] });
  const of = ['easy', 'hard'];
  const lineOf = (...outcomes: Outcome[]) => moreLines(outcomes, table({ means: [{ name: 'ARC', of }] }))[0]!;
  assert.deepEqual([lineOf(good).estimate, lineOf(good).error], [null, 'hard has no value']);
  assert.equal(lineOf(good, outcome('hard', { acc_norm: [0.1, 0.1] }, ['all rows failed'])).error, 'hard has no value');
  const unlike = table({ means: [{ name: 'ARC', of: ['easy', { task: 'hard', metric: 'mc2' }] }] });
  assert.equal(moreLines([good, outcome('hard', { acc: [0.1, 0.1] })], unlike)[0]!.error, 'hard has no mc2');
  assert.equal(lineOf(good, outcome('hard', { acc_norm: [0.1, null] })).estimate!.stderr, null);
});

test('what is not run has a line with its reason', () => {
  const missing = [{ name: 'MT-Bench', reason: 'a judge decides', reference: { value: 0.198, source: 'card' } }];
  const [line] = moreLines([], table({ missing }));
  assert.deepEqual(
    [line!.task, line!.missing, line!.estimate, line!.reference?.value],
    ['MT-Bench', 'a judge decides', null, 0.198],
  );
});

test('a task has a line for its primary metric and for each reported one', () => {
  const { entry, ...rest } = outcome('easy', { acc_norm: [0.5, 0.03], acc: [0.4, 0.03] });
  const lines = linesOf({ ...rest, entry: { ...entry, reference: { acc: 0.41, acc_normal: 0.5, source: 'card' } } });
  assert.deepEqual(
    lines.map(({ metric, unit, reference, error }) => [metric, unit, reference?.value, error]),
    [
      ['acc_norm', 'share', undefined, undefined],
      ['acc', 'share', 0.41, undefined],
      ['acc_normal', 'share', 0.5, 'no such metric; acc_norm?'],
    ],
  );
});

test('a task that failed keeps its reported values', () => {
  const { entry } = outcome('easy', {});
  const lines = (reference: Record<string, number | string> | undefined) =>
    linesOf({ entry: { ...entry, reference }, result: null, error: { code: 3, text: 'no network' } }).map(
      ({ metric, estimate, reference, error }) => [metric, estimate, reference, error],
    );
  assert.deepEqual(lines(undefined), [[null, null, undefined, 'no network']]);
  assert.deepEqual(lines({ acc_norm: 0.41, acc: 0.4, source: 'card' }), [
    ['acc_norm', null, { value: 0.41, source: 'card' }, 'no network'],
    ['acc', null, { value: 0.4, source: 'card' }, 'no network'],
  ]);
});
