import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  bootstrapMean,
  bootstrapRatio,
  quantile,
  type RatioParts,
  resampledMeans,
  resampledRatios,
} from '../../nanoeval/score/bootstrap.ts';
import { binomialCdf, normalCdf } from '../../nanoeval/score/distributions.ts';
import { Random } from '../../nanoeval/score/random.ts';
import { clusteredEstimate, ratioEstimate } from '../../nanoeval/score/statistics.ts';

/** scipy.stats.bootstrap with 400,000 draws, made by tests/fixtures/statistics/make.py. */
const { bootstrap: reference } = JSON.parse(
  readFileSync(new URL('../fixtures/statistics/reference.json', import.meta.url), 'utf8'),
) as {
  bootstrap: {
    mean: { values: number[]; level: number; low: number; high: number };
    ratio: { current: number[]; baseline: number[]; words: number[]; level: number; low: number; high: number };
  };
};
const perplexity = (ratio: number) => Math.exp(-ratio);
const LEVEL = { level: 0.95, seed: 1 };
const SOME = { draws: 1000, seed: 4 };

/** `count` values of a shape from a seeded generator. */
function valuesOf(count: number, shape: (random: Random) => number, seed = 3): Float64Array {
  const random = new Random(seed);
  return Float64Array.from({ length: count }, () => shape(random));
}

/** Largest distance of the sorted draws from a distribution, in units of 1 / sqrt(draws): above 1.95 once in 1,000 times. */
function kolmogorov(sorted: Float64Array, cdf: (value: number, upTo: boolean) => number): number {
  let most = 0;
  for (const [i, value] of sorted.entries()) {
    if (sorted[i + 1] !== value) most = Math.max(most, Math.abs((i + 1) / sorted.length - cdf(value, true)));
    if (sorted[i - 1] !== value) most = Math.max(most, Math.abs(i / sorted.length - cdf(value, false)));
  }
  return most * Math.sqrt(sorted.length);
}

test('a mean, as scipy with very many draws', () => {
  const { values, level, low, high } = reference.mean;
  const found = bootstrapMean(values, { level, seed: 1 });
  // 4 standard errors of a 2.5 % quantile of 10,000 draws are 0.107 standard deviations, 1/3.92 of the width each.
  for (const [end, wanted] of [
    [found!.low, low],
    [found!.high, high],
  ] as const)
    assert.ok(Math.abs(end - wanted) < (0.107 / 3.92) * (high - low), `${end}, ${wanted}`);
});

test('a difference of perplexities, as scipy with very many draws', () => {
  const { current, baseline, words, level, low, high } = reference.ratio;
  const parts = (values: number[]) => ({ values, weights: words });
  const found = bootstrapRatio(parts(current), parts(baseline), perplexity, { level, seed: 1 });
  // Of a 0.5 % quantile: 0.195, and the 99 % interval is 5.15 standard deviations wide.
  for (const [end, wanted] of [
    [found!.low, low],
    [found!.high, high],
  ] as const)
    assert.ok(Math.abs(end - wanted) < (0.195 / 5.15) * (high - low), `${end}, ${wanted}`);
});

test('0 and 1: the resampled means are a binomial, drawn exactly', () => {
  const [n, ones] = [30_000, 900];
  const draws = resampledMeans(valuesOf(n, () => 0).fill(1, 0, ones), LEVEL);
  const cdf = (value: number, upTo: boolean) => binomialCdf(Math.round(value * n) - (upTo ? 0 : 1), n, ones / n);
  assert.ok(kolmogorov(draws, cdf) < 1.95);
});

test('many different values, in bins: mean, deviation and skewness of plain resampling', () => {
  const shapes: [name: string, shape: (random: Random) => number][] = [
    ['even', (random) => random.uniform()],
    ['normal', (random) => random.roughNormal()],
    ['exponential', (random) => -Math.log(random.uniform())],
    ['cubed exponential', (random) => (-Math.log(random.uniform())) ** 3],
    ['few far off', (random) => (random.uniform() < 3e-4 ? 100 : random.uniform())],
  ];
  for (const [name, shape] of shapes) {
    const values = valuesOf(20_000, shape);
    const n = values.length;
    const moment = (power: number) => values.reduce((sum, value) => sum + (value - mean) ** power, 0) / n;
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    const deviation = Math.sqrt(moment(2) / n);
    const skewness = moment(3) / moment(2) ** 1.5 / Math.sqrt(n);
    const draws = resampledMeans(values, LEVEL);
    // Edgeworth's first term; what is left of the true distribution is of the order of 1 / n.
    const cdf = (value: number) => {
      const z = (value - mean) / deviation;
      return normalCdf(z) - ((skewness / 6) * (z * z - 1) * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
    };
    assert.ok(kolmogorov(draws, cdf) < 1.95, `${name}: ${kolmogorov(draws, cdf)}`);
  }
});

test('many rows of a ratio, in bins: the linearised standard error', () => {
  const n = 20_000;
  const weights = valuesOf(n, (random) => 1 + random.below(60));
  const noise = valuesOf(n, (random) => random.roughNormal(), 8);
  const baseline = weights.map((words, i) => -2 * words + 5 * noise[i]!);
  const current = baseline.map((value, i) => value - 0.01 * weights[i]! + noise[n - 1 - i]!);
  const draws = resampledRatios({ values: current, weights }, { values: baseline, weights }, perplexity, LEVEL);
  const sum = (values: ArrayLike<number>) => Array.from(values).reduce((all, value) => all + value, 0);
  const ratios = [current, baseline].map((values) => sum(values) / sum(weights)) as [number, number];
  const [now, before] = ratios.map(perplexity) as [number, number];
  // The slope of exp(-x) is -exp(-x): rows' parts of the difference, as one ratio.
  const rows = weights.map(
    (_, i) => before * baseline[i]! - now * current[i]! - weights[i]! * (before * ratios[1] - now * ratios[0]),
  );
  const { stderr } = ratioEstimate([...rows], [...weights], [...rows.keys()]);
  const mean = sum(draws) / draws.length;
  const deviation = Math.sqrt(sum(draws.map((value) => (value - mean) ** 2)) / draws.length);
  assert.ok(Math.abs(deviation / stderr! - 1) < 0.03, `${deviation}, ${stderr}`);
  assert.ok(Math.abs(mean - (now - before)) < (4 * stderr!) / 100, `${mean}, ${now - before}`);
});

test('clusters: copies of a value add nothing', () => {
  const values = valuesOf(150, (random) => random.below(3) - 1);
  const copies = Float64Array.from({ length: 600 }, (_, i) => values[i >> 2]!);
  const clusters = Float64Array.from({ length: 600 }, (_, i) => i >> 2);
  assert.deepEqual(bootstrapMean(copies, LEVEL, clusters), bootstrapMean(values, LEVEL));
});

test('clusters of several sizes: the clustered standard error, few and many of them', () => {
  for (const count of [300, 20_000]) {
    const random = new Random(6);
    const values: number[] = [];
    const clusters: number[] = [];
    for (let cluster = 0; cluster < count; cluster += 1) {
      const lean = random.uniform();
      for (let i = random.below(4); i >= 0; i -= 1) {
        values.push(random.uniform() < lean ? 1 : 0);
        clusters.push(cluster);
      }
    }
    const { value, stderr } = clusteredEstimate(values, clusters);
    const { low, high } = bootstrapMean(values, LEVEL, clusters)!;
    assert.ok(Math.abs((high - low) / (2 * 1.96 * stderr!) - 1) < 0.05, `${count}: ${low}, ${high}, ${stderr}`);
    assert.ok(Math.abs((high + low) / 2 - value) < 0.1 * stderr!);
  }
});

test('swapped runs mirror the interval; a higher level holds a lower one; a seed repeats', () => {
  for (const count of [40, 30_000]) {
    const values = valuesOf(count, (random) => -Math.log(random.uniform()) - 1.01);
    const weights = valuesOf(count, (random) => 1 + random.below(9));
    const other = { values: valuesOf(count, (random) => random.uniform(), 5), weights };
    const mean = (level: number, sign = 1) =>
      bootstrapMean(
        values.map((value) => sign * value),
        { level, ...SOME },
      )!;
    const near = (found: number, wanted: number) => assert.ok(Math.abs(found - wanted) < 1e-12, `${found}, ${wanted}`);
    near(mean(0.95, -1).low, -mean(0.95).high);
    near(mean(0.95, -1).high, -mean(0.95).low);
    const ratio = bootstrapRatio({ values, weights }, other, Math.exp, { level: 0.95, ...SOME })!;
    const swapped = bootstrapRatio(other, { values, weights }, Math.exp, { level: 0.95, ...SOME })!;
    near(swapped.low, -ratio.high);
    near(swapped.high, -ratio.low);
    for (const [lower, higher] of [
      [0.8, 0.95],
      [0.95, 1 - 0.05 / 6],
    ] as const)
      assert.ok(mean(higher).low < mean(lower).low && mean(lower).high < mean(higher).high);
    assert.deepEqual(mean(0.95), mean(0.95));
    assert.notDeepEqual(bootstrapMean(values, { level: 0.95, draws: 1000, seed: 5 }), mean(0.95));
  }
});

test('quantiles between two values, as numpy', () => {
  const sorted = Float64Array.of(1, 2, 4, 8);
  assert.deepEqual(
    [0, 0.5, 0.75, 1].map((share) => quantile(sorted, share)),
    [1, 3, 5, 8],
  );
});

test('nothing to draw from, rows that are all alike, values that are no numbers', () => {
  assert.equal(bootstrapMean([1], LEVEL), null);
  assert.equal(bootstrapMean([1, 2, 3], LEVEL, [7, 7, 7]), null);
  assert.equal(bootstrapRatio({ values: [1], weights: [1] }, { values: [1], weights: [1] }, Math.exp, LEVEL), null);
  assert.deepEqual(bootstrapMean([0, 0, 0], LEVEL), { low: 0, high: 0 });
  const same = { values: valuesOf(5000, (random) => random.uniform()), weights: valuesOf(5000, () => 3) };
  assert.deepEqual(bootstrapRatio(same, { ...same }, Math.exp, LEVEL), { low: 0, high: 0 });
  assert.throws(() => bootstrapMean([1, Number.NaN], LEVEL), /not a finite number/);
  assert.throws(() => bootstrapMean([1, 2], { level: 1, seed: 1 }), /level 1/);
  assert.throws(() => bootstrapMean([1, 2], LEVEL, [1]), /1 clusters for 2 rows/);
  const [now, before]: RatioParts[] = [1, 2].map((value) => ({ values: [value, 2], weights: [0, 1] }));
  assert.throws(() => bootstrapRatio(now!, before!, Math.exp, LEVEL), /no finite value/);
});
