/** Metrics that are no mean over rows: macro-F1 against scikit-learn and scipy, what samples say against counting by hand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type ComparedRow, readColumns } from '../../nanoeval/compare/columns.ts';
import { differenceOf, metricValue } from '../../nanoeval/compare/difference.ts';
import type { Pairs } from '../../nanoeval/compare/pair.ts';
import { quantitiesOf } from '../../nanoeval/compare/quantities.ts';
import { clustersOf, macroF1Quantity, sampleQuantities } from '../../nanoeval/compare/whole_run.ts';
import type { Summary } from '../../nanoeval/run/outcome.ts';

/** Made by tests/fixtures/classification/make_paired.py. */
interface Reference {
  labels: string[];
  gold: number[];
  before: number[];
  now: number[];
  macro_f1: [number, number];
  interval: [number, number];
  stderr: number;
  p_value: number;
}
const reference: Reference = JSON.parse(
  readFileSync(new URL('../fixtures/classification/paired.json', import.meta.url), 'utf8'),
);

async function* each(rows: readonly ComparedRow[]) {
  yield rows;
}

async function pairs(before: readonly ComparedRow[], now: readonly ComparedRow[]): Promise<Pairs> {
  const places = Int32Array.from(before, (_, i) => i);
  return {
    baseline: await readColumns(each(before)),
    current: await readColumns(each(now)),
    places: { baseline: places, current: places },
    left: { baseline: 0, current: 0, other_prompt: 0 },
  };
}

const summary = (...metrics: string[]) =>
  ({
    primary: { name: 'acc', unit: 'share', better: 'higher', chance: null },
    metrics: Object.fromEntries(metrics.map((name) => [name, {}])),
    pooled: ['macro_f1'],
  }) as unknown as Summary;
const row = (index: number, more: Partial<ComparedRow>): ComparedRow => ({
  index,
  id: String(index),
  prompt: 'a',
  metrics: {},
  ...more,
});
const options = { level: 0.95, draws: 10_000, seed: 1 };

/** Rows of a run that took rows of class `gold[i]` for `said[i]`. */
const sorted = (gold: readonly number[], said: readonly number[], labels = reference.labels) =>
  said.map((place, i) =>
    row(i, {
      prediction: labels[place]!,
      gold: labels[gold[i]!]!,
      metrics: { acc: place === gold[i] ? 1 : 0 },
    }),
  );

test('macro-F1 of both runs is that of scikit-learn, its interval and p value those of plain resampling', async () => {
  const { gold, before, now, macro_f1, interval, stderr, p_value } = reference;
  const both = await pairs(sorted(gold, before), sorted(gold, now));
  const [quantity] = macroF1Quantity(both, summary('acc', 'macro_f1'), null);
  const found = differenceOf(quantity!, null, options);
  assert.ok(Math.abs(found.baseline - macro_f1[0]) < 1e-12 && Math.abs(found.current - macro_f1[1]) < 1e-12);
  assert.equal(found.difference, found.current - found.baseline);
  // Four standard errors of the quantiles of 10,000 and of 40,000 draws.
  for (const end of [0, 1]) assert.ok(Math.abs(found.interval![end]! - interval[end]!) < 0.12 * stderr);
  assert.ok(Math.abs(found.p_value! - p_value) < 4 * Math.sqrt((p_value * (1 - p_value)) / 10_000) + 2e-4);
  assert.equal(found.method, 'paired percentile bootstrap over rows (10000 draws, seed 1), computed anew in each');
  const right = (said: readonly number[], i: number) => said[i] === gold[i];
  assert.deepEqual(
    [found.values_of, found.wins, found.losses, found.ties, found.differing],
    [
      'run',
      gold.filter((_, i) => right(now, i) && !right(before, i)).length,
      gold.filter((_, i) => !right(now, i) && right(before, i)).length,
      gold.filter((_, i) => right(now, i) === right(before, i)).length,
      gold.filter((_, i) => now[i] !== before[i]).length,
    ],
  );
});

test('runs that change places: the same with the other sign', async () => {
  const { gold, before, now } = reference;
  const of = async (one: number[], other: number[]) => {
    const both = await pairs(sorted(gold, one), sorted(gold, other));
    return differenceOf(macroF1Quantity(both, summary('macro_f1'), null)[0]!, null, options);
  };
  const [there, back] = [await of(before, now), await of(now, before)];
  assert.deepEqual(back.interval, [-there.interval![1], -there.interval![0]]);
  assert.deepEqual([back.difference, back.wins, back.losses], [-there.difference, there.losses, there.wins]);
  assert.equal(back.p_value, there.p_value);
});

test('macro-F1 of a few rows, by hand, and a row that is wrong in another way differs', async () => {
  // Baseline: a a b. Current: a b c of gold a b b. F1 before: a 2*1/(1+2), b 2*1/(2+1). Now: a 1, b 2*1/(2+1), c 0.
  const both = await pairs(sorted([0, 1, 1], [0, 0, 1]), sorted([0, 1, 1], [0, 1, 2]));
  const found = differenceOf(macroF1Quantity(both, summary('macro_f1'), null)[0]!, null, options);
  assert.ok(Math.abs(found.baseline - (2 / 3 + 2 / 3) / 2) < 1e-12);
  assert.ok(Math.abs(found.current - (1 + 2 / 3 + 0) / 3) < 1e-12);
  assert.deepEqual([found.wins, found.losses, found.ties, found.differing], [1, 1, 1, 2]);
  const other = await pairs(sorted([0, 0], [1, 0]), sorted([0, 0], [2, 0]));
  const wrong = differenceOf(macroF1Quantity(other, summary('macro_f1'), null)[0]!, null, options);
  assert.deepEqual([wrong.wins, wrong.losses, wrong.ties, wrong.differing], [0, 0, 2, 1]);
});

test('the same run twice has no width, and rows that hang together are drawn together', async () => {
  const { gold, before, now } = reference;
  const same = await pairs(sorted(gold, before), sorted(gold, before));
  const found = differenceOf(macroF1Quantity(same, summary('macro_f1'), null)[0]!, null, options);
  assert.deepEqual([found.interval, found.p_value, found.differing], [[0, 0], 1, 0]);
  // Every row three times: as wide as the rows once.
  const thrice = (rows: ComparedRow[]) => rows.flatMap((one) => [1, 2, 3].map((seed) => ({ ...one, seed })));
  const both = await pairs(thrice(sorted(gold, before)), thrice(sorted(gold, now)));
  const clusters = clustersOf(both);
  const repeated = differenceOf(macroF1Quantity(both, summary('macro_f1'), clusters)[0]!, clusters, options);
  const once = await pairs(sorted(gold, before), sorted(gold, now));
  const single = differenceOf(macroF1Quantity(once, summary('macro_f1'), null)[0]!, null, options);
  assert.deepEqual(repeated.interval, single.interval);
  assert.match(repeated.method, /over questions/);
});

test('no macro-F1 where the run has none, or rows do not say their class', async () => {
  const rows = sorted([0, 1], [0, 1]);
  assert.deepEqual(macroF1Quantity(await pairs(rows, rows), summary('acc'), null), []);
  const older = rows.map(({ gold: _gold, ...rest }) => rest);
  assert.deepEqual(macroF1Quantity(await pairs(older, rows), summary('macro_f1'), null), []);
});

/** Rows of questions: for each its samples, each what was read of it; 1 is right. */
const sampled = (questions: readonly (readonly (number | null)[])[], seed?: number) =>
  questions.flatMap((samples, index) =>
    samples.map((prediction, sample) =>
      row(index, {
        sample,
        ...(seed === undefined ? {} : { seed }),
        prediction,
        metrics: { acc: prediction === 1 ? 1 : 0 },
      }),
    ),
  );
const overSamples = async (before: ComparedRow[], now: ComparedRow[], ...metrics: string[]) => {
  const both = await pairs(before, now);
  const names = metrics.length > 0 ? metrics : ['acc', 'pass_at_1'];
  return sampleQuantities(both, summary(...names), quantitiesOf(both, summary(...names))[0]!);
};

test('what the samples of a question say together, counted by hand', async () => {
  const before = [
    [1, 1, 0, 0],
    [0, 0, 1, 2],
    [2, 2, 2, 2],
  ];
  const now = [
    [0, 0, 1, 0],
    [1, 1, 1, 1],
    [2, null, 1, 1],
  ];
  const found = await overSamples(sampled(before), sampled(now));
  const values = Object.fromEntries(
    found.map(({ name, baseline, current }) => [name, [metricValue(baseline), metricValue(current)]]),
  );
  const near = (name: string, wanted: [number, number]) =>
    assert.ok(
      values[name]!.every((value, i) => Math.abs(value - wanted[i]!) < 1e-12),
      `${name}: ${values[name]}`,
    );
  assert.deepEqual(Object.keys(values), ['pass_at_1', 'pass_at_2', 'pass_at_4', 'avg_at_4', 'maj_at_4']);
  near('pass_at_1', [3 / 12, 7 / 12]);
  // One of two drawn of four: 1 - C(4 - c, 2) / 6.
  near('pass_at_2', [(1 - 1 / 6 + 1 / 2 + 0) / 3, (1 / 2 + 1 + 5 / 6) / 3]);
  near('pass_at_4', [2 / 3, 3 / 3]);
  // The votes: of equals the first. Before 1, 0 and 2; now 0, 1 and 1.
  near('maj_at_4', [1 / 3, 2 / 3]);
  const majority = differenceOf(found.at(-1)!, Int32Array.of(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2), options);
  assert.deepEqual(
    [majority.method, majority.wins, majority.losses, majority.ties],
    ["Tango's score interval, corrected for skewness", 2, 1, 0],
  );
});

test('seeds of a question hang together, and one that lost a sample has no say', async () => {
  const questions = [
    [1, 0],
    [0, 0],
    [1, 1],
  ];
  const twice = [...sampled(questions, 1), ...sampled(questions, 2)];
  const found = await overSamples(twice, twice);
  assert.deepEqual([...found[0]!.questions!.clusters!], [0, 1, 2, 0, 1, 2]);
  assert.equal(found[0]!.baseline.num.length, 6);
  const short = sampled([[1, 0], [1], [0, 0]]);
  const some = await overSamples(short, short);
  assert.deepEqual([...some.find(({ name }) => name === 'pass_at_2')!.baseline.num], [1, 0]);
});

test('no such metrics for one sample, for rows without a right and wrong, and where the run has none', async () => {
  const rows = sampled([
    [1, 0],
    [0, 1],
  ]);
  assert.deepEqual(await overSamples(rows, rows, 'acc'), []);
  const one = sampled([[1], [0]]);
  assert.deepEqual(await overSamples(one, one), []);
  const graded = rows.map((each) => ({ ...each, metrics: { acc: 0.5 } }));
  assert.deepEqual(await overSamples(graded, graded), []);
  // Nothing was read of a program: there is no majority.
  const programs = rows.map(({ prediction: _p, ...each }) => each);
  assert.deepEqual(
    (await overSamples(programs, programs)).map(({ name }) => name),
    ['pass_at_1', 'pass_at_2', 'avg_at_2'],
  );
});
