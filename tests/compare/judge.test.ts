/** From two sets to a result: verdicts, levels, flips, warnings. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { judge } from '../../nanoeval/compare/judge.ts';
import type { MetricResult } from '../../nanoeval/compare/result.ts';
import { openSet } from '../../nanoeval/compare/sources.ts';
import { compareSchema } from '../../nanoeval/config/compare.ts';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { differenceInterval } from '../../nanoeval/score/paired.ts';
import { IncomparableError, UserError } from '../../nanoeval/types.ts';
import { plantRun, plantSuite, rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('judge');
after(folder.remove);
const log = { info() {}, progress() {} };
let count = 0;

/** The rows of a run in which the first `right` of n rows are right. */
const ranked = (right: (i: number) => boolean, n: number): ScoredRow[] =>
  Array.from({ length: n }, (_, i) => rankedRow(i, 1, right(i) ? 1 : 2));

async function single(rows: ScoredRow[], task = 'hellaswag') {
  count += 1;
  return openSet(await plantRun(join(folder.path, `run${count}`), { rows, task }), 'current');
}

async function suite(tasks: Record<string, ScoredRow[]>) {
  count += 1;
  const root = join(folder.path, `suite${count}`);
  const done = { task: 'hellaswag', status: 'complete', error: null, output_dir: '' };
  for (const [name, rows] of Object.entries(tasks)) await plantRun(join(root, name), { rows });
  return openSet(
    plantSuite(
      root,
      'made',
      Object.keys(tasks).map((name) => ({ ...done, name })),
    ),
    'current',
  );
}

const config = (given: object = {}) => compareSchema.parse({ bootstrap: { draws: 1000 }, ...given });
const primary = (metrics: MetricResult[]) => metrics.find(({ gated }) => gated)!;

const VERDICTS: [verdict: string, code: number, worse: number, better: number, n: number, max_drop: number][] = [
  ['REGRESSED', 1, 60, 10, 500, 0.01],
  ['IMPROVED', 0, 10, 60, 500, 0.01],
  ['HELD', 0, 3, 3, 2000, 0.01],
  ['HELD', 0, 0, 0, 50, 0.01],
  ['SUSPECT', 4, 40, 20, 1000, 0.03],
  ['UNDERPOWERED', 0, 10, 10, 100, 0.01],
  ['UNDERPOWERED', 4, 12, 8, 100, 0.01],
];

for (const [verdict, code, worse, better, n, max_drop] of VERDICTS) {
  test(`${worse} rows worse and ${better} better of ${n}, ${max_drop} allowed: ${verdict}, exit code ${code}`, async () => {
    const before = await single(ranked((i) => i >= better, n));
    const now = await single(ranked((i) => i < better || i >= better + worse, n));
    const result = await judge(before, now, config({ gate: { max_drop } }), log);
    const metric = primary(result.tasks[0]!.metrics);
    assert.deepEqual([result.verdict, result.exit_code, metric.verdict], [verdict, code, verdict]);
    const { low, high } = differenceInterval(better, worse, n, 0.95);
    assert.deepEqual(metric.interval, [low, high]);
    assert.equal(metric.allowed_drop, max_drop);
    assert.deepEqual([metric.wins, metric.losses, metric.ties], [better, worse, n - better - worse]);
    assert.equal(result.tasks[0]!.flips.length, better + worse);
  });
}

test('a drop that is surely there and surely allowed is held, and said', async () => {
  const result = await judge(
    await single(ranked(() => true, 5000)),
    await single(ranked((i) => i >= 20, 5000)),
    config({ gate: { max_drop: 0.01 } }),
    log,
  );
  assert.equal(result.verdict, 'HELD');
  assert.match(
    result.warnings[0]!,
    /^hellaswag acc_norm: HELD: it is worse by 0\.0040, and by no more than is allowed$/,
  );
});

test('where no row differs it is held, and says what that leaves open', async () => {
  const rows = ranked((i) => i % 2 === 0, 20);
  const result = await judge(await single(rows), await single(rows), config(), log);
  assert.match(
    result.warnings[0]!,
    /no row differs: that the checkpoint is worse by less than the allowed drop is not ruled out$/,
  );
  const strict = await judge(await single(rows), await single(rows), config({ gate: { max_drop: 0 } }), log);
  assert.deepEqual(strict.warnings, []);
});

test('the intervals of several metrics hold together, the others keep 95 %', async () => {
  const rows = ranked((i) => i % 2 === 0, 40);
  const result = await judge(await suite({ a: rows, b: rows }), await suite({ a: rows, b: rows }), config(), log);
  assert.deepEqual(result.gate.metrics, ['a.acc_norm', 'b.acc_norm']);
  assert.equal(result.gate.level, 0.975);
  const levels = result.tasks[0]!.metrics.map(({ name, level }) => [name, level]);
  assert.deepEqual(levels, [
    ['acc_norm', 0.975],
    ['acc', 0.95],
    ['gold_loglikelihood', 0.95],
  ]);
});

test('the worst task decides, and its rows that flipped are named with both answers', async () => {
  const good = ranked(() => true, 300);
  const bad = ranked((i) => i >= 60, 300);
  const result = await judge(await suite({ a: good, b: good }), await suite({ a: good, b: bad }), config(), log);
  assert.deepEqual([result.verdict, result.exit_code], ['REGRESSED', 1]);
  assert.deepEqual(
    result.tasks.map(({ metrics }) => primary(metrics).verdict),
    ['HELD', 'REGRESSED'],
  );
  assert.deepEqual(result.tasks[1]!.flips[0], {
    id: '0',
    index: 0,
    gold: 1,
    baseline: { value: 1, prediction: 1 },
    current: { value: 0, prediction: 2 },
  });
});

test('samples of a question: rows and questions are counted apart', async () => {
  const drawn = (wrong: number) =>
    Array.from({ length: 60 }, (_, i) => rankedRow(Math.floor(i / 3), 1, i < wrong ? 2 : 1, { sample: i % 3 }));
  const result = await judge(await single(drawn(0)), await single(drawn(30)), config(), log);
  assert.deepEqual([result.tasks[0]!.rows, result.tasks[0]!.questions], [60, 20]);
  assert.match(primary(result.tasks[0]!.metrics).method, /bootstrap over questions \(1000 draws, seed 1234\)/);
  assert.equal(result.verdict, 'REGRESSED');
});

test('macro-F1 stands beside the accuracy of rows, and may decide', async () => {
  const labels = ['sport', 'food', 'money'];
  const sorted = (said: (i: number) => number) =>
    Array.from({ length: 60 }, (_, i) => {
      const right = said(i) === i % 3 ? 1 : 0;
      const own = { gold: { label: labels[i % 3], labels }, prediction: labels[said(i)]!, metrics: { acc: right } };
      return { ...rankedRow(i, 0, 0), ...own, correct: right } as ScoredRow;
    });
  const before = await single(
    sorted((i) => i % 3),
    'classification',
  );
  // All of the third class is taken for the first: a third of the rows is lost, and more of the mean over classes.
  const now = await single(
    sorted((i) => (i % 3 === 2 ? 0 : i % 3)),
    'classification',
  );
  const result = await judge(before, now, config(), log);
  const [acc, f1] = ['acc', 'macro_f1'].map((name) => result.tasks[0]!.metrics.find((metric) => metric.name === name)!);
  assert.deepEqual([acc!.gated, f1!.gated, f1!.values_of, f1!.unit], [true, false, 'run', 'share']);
  assert.ok(Math.abs(f1!.current - (2 / 3 + 1 + 0) / 3) < 1e-12);
  assert.equal(f1!.current, now.runs[0]!.summary.metrics.macro_f1!.value);
  assert.deepEqual([f1!.wins, f1!.losses, f1!.ties, f1!.differing, f1!.verdict], [0, 20, 40, 20, 'REGRESSED']);
  assert.equal(result.tasks[0]!.flips[0]!.gold, 'money');
  const gated = await judge(before, now, config({ gate: { metrics: ['macro_f1'] } }), log);
  assert.deepEqual([gated.gate.metrics, gated.verdict], [['classification.macro_f1'], 'REGRESSED']);
  const same = await judge(before, before, config({ gate: { metrics: ['macro_f1'] } }), log);
  assert.deepEqual([same.verdict, same.tasks[0]!.metrics.find(({ gated: one }) => one)!.interval], ['HELD', [0, 0]]);
});

test('what samples say together has a value for each question, as the summaries have it', async () => {
  const drawn = (right: (question: number, sample: number) => boolean) =>
    Array.from({ length: 120 }, (_, i) => {
      const [question, sample] = [Math.floor(i / 4), i % 4];
      return rankedRow(question, 1, right(question, sample) ? 1 : 2, { sample });
    });
  const before = await single(drawn((question, sample) => (question + sample) % 3 !== 0));
  const now = await single(drawn((question, sample) => (question + sample) % 3 === 0));
  const { metrics } = (await judge(before, now, config(), log)).tasks[0]!;
  const names = ['pass_at_1', 'pass_at_2', 'pass_at_4', 'avg_at_4', 'maj_at_4'];
  const found = metrics.filter(({ values_of }) => values_of === 'questions');
  assert.deepEqual(
    found.map(({ name }) => name),
    names,
  );
  for (const { name, baseline, current, wins, losses, ties } of found) {
    assert.ok(Math.abs(baseline - before.runs[0]!.summary.metrics[name]!.value) < 1e-12, name);
    assert.ok(Math.abs(current - now.runs[0]!.summary.metrics[name]!.value) < 1e-12, name);
    assert.equal(wins + losses + ties, 30);
  }
  assert.match(found[1]!.method, /bootstrap over questions/);
});

test('a task that the current suite lacks is not comparable; one that it has besides is said', async () => {
  const rows = ranked(() => true, 5);
  const [both, one] = [await suite({ a: rows, b: rows }), await suite({ a: rows })];
  await assert.rejects(judge(both, one, config(), log), (error) => {
    assert.ok(error instanceof IncomparableError);
    assert.match(error.message, /it has no b, which \S+ has\. There are: a\.$/);
    return true;
  });
  // A single run is compared with a suite of one task by the task.
  const result = await judge(one, await single(rows), config(), log);
  assert.equal(result.verdict, 'HELD');
  const more = await judge(
    await suite({ a: rows, c: rows }),
    await suite({ a: rows, b: rows, c: rows }),
    config(),
    log,
  );
  assert.ok(more.warnings.includes('b is not in the baseline: nothing is said of it'));
});

test('the config names the metrics that decide; a name that is none is an error', async () => {
  const rows = ranked((i) => i % 2 === 0, 10);
  const result = await judge(
    await single(rows),
    await single(rows),
    config({ gate: { metrics: ['gold_loglikelihood'] } }),
    log,
  );
  assert.deepEqual(result.gate.metrics, ['hellaswag.gold_loglikelihood']);
  await assert.rejects(
    judge(await single(rows), await single(rows), config({ gate: { metrics: ['bleu'] } }), log),
    UserError,
  );
});

test('the same two runs give the same result', async () => {
  const [before, now] = [await single(ranked((i) => i % 3 === 0, 50)), await single(ranked((i) => i % 4 === 0, 50))];
  assert.deepEqual(await judge(before, now, config(), log), await judge(before, now, config(), log));
});
