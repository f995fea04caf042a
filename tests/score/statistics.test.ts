import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  clusteredEstimate,
  estimate,
  interval,
  macroEstimate,
  mean,
  meanStderr,
  microEstimate,
  pooledStderr,
  ratioEstimate,
} from '../../nanoeval/score/statistics.ts';

function close(found: number | null | undefined, wanted: number, tolerance = 1e-15): void {
  assert.ok(found !== null && found !== undefined, `${found}`);
  assert.ok(Math.abs(found - wanted) <= tolerance, `${found} is not ${wanted}`);
}
const shares = (ones: number, n: number) => Array.from({ length: n }, (_, i) => (i < ones ? 1 : 0));

test('mean, and its standard error with divisor n - 1', () => {
  assert.equal(mean([1, 0, 1, 1]), 0.75);
  // lm-evaluation-harness (benchmarks.md 1.9).
  assert.equal(meanStderr([1, 0, 1, 1]), 0.25);
  // Python: statistics.stdev(...) / math.sqrt(5).
  close(meanStderr([0.1, 0.25, 0.7, 0.4, 0.9]), 0.14628738838327793);
  assert.equal(meanStderr([2, 2, 2]), 0);
  assert.equal(meanStderr([1]), null);
  assert.equal(meanStderr([0, 1]), 0.5);
  assert.throws(() => mean([]));
});

test('pooled standard error over subjects', () => {
  // lm-evaluation-harness's vector (benchmarks.md 1.10): se 0.25 of 4 rows, se 0.20 of 6.
  const six = [1, -1, 1, -1, 1, -1].map((sign) => 3 + sign * Math.sqrt(0.2));
  close(meanStderr(six), 0.2);
  close(pooledStderr([[1, 0, 1, 1], six]), 0.15612494995995996, 1e-14);
  assert.notEqual(pooledStderr([[1, 0, 1, 1], six]), meanStderr([1, 0, 1, 1, ...six]));
  // A subject of one row has no scatter: sqrt(0.75 / (5 - 2) / 5), by hand.
  close(pooledStderr([[1, 0, 1, 1], [1]]), Math.sqrt(0.75 / 3 / 5));
  assert.equal(pooledStderr([[1], [0]]), null);
});

test("Wilson's interval, as statsmodels 0.15.0 proportion_confint(k, n, 0.05, 'wilson')", () => {
  const table: [ones: number, n: number, low: number, high: number][] = [
    [0, 10, 0, 0.27753279986288926],
    [10, 10, 0.7224672001371106, 1],
    [3, 4, 0.30064184258240184, 0.9544127391902995],
    [41, 100, 0.3186731302113651, 0.5079856994658921],
    [4393, 10042, 0.4277858852283785, 0.44718725613080795],
    [1, 14042, 1.2571293845296252e-5, 0.0004033139941824801],
  ];
  for (const [ones, n, low, high] of table) {
    const { ci95, value } = estimate(shares(ones, n));
    close(ci95?.[0], low, 1e-12);
    close(ci95?.[1], high, 1e-12);
    assert.ok(ci95![0] <= value && value <= ci95![1]);
    assert.ok(ci95![0] >= 0 && ci95![1] <= 1);
  }
});

test('other means: 1.959964 standard errors; no interval where there is no standard error', () => {
  const { value, stderr, ci95, n } = estimate([0.1, 0.25, 0.7, 0.4, 0.9]);
  assert.equal(n, 5);
  close(value, 0.47);
  close(ci95?.[0], 0.47 - 1.959963984540054 * stderr!, 1e-14);
  close(ci95?.[1], 0.47 + 1.959963984540054 * stderr!, 1e-14);
  assert.deepEqual(estimate([1]), { value: 1, stderr: null, ci95: null, n: 1 });
  assert.equal(interval(0.5, null, 10, true), null);
});

test('a value that is no number, and no values, are errors and never zero', () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    assert.throws(() => estimate([1, bad, 0]), /not a finite number/);
  assert.throws(() => estimate([]), /no values/);
  assert.throws(() => microEstimate([]), /no values/);
});

test('micro weighs rows, macro weighs subjects', () => {
  const subjects = [[1, 1, 1, 0], [0, 1], [1]];
  const micro = microEstimate(subjects);
  close(micro.value, 5 / 7);
  assert.equal(micro.n, 7);
  close(micro.stderr, Math.sqrt((0.75 + 0.5) / 4 / 7));
  const macro = macroEstimate(subjects.slice(0, 2));
  assert.equal(macro.value, 0.625);
  assert.equal(macro.n, 6);
  // sqrt(0.25^2 + 0.5^2) / 2, by hand.
  close(macro.stderr, Math.sqrt(0.0625 + 0.25) / 2);
  close(macro.ci95?.[0], 0.625 - 1.959963984540054 * (Math.sqrt(0.3125) / 2));
  // 0.625 + 0.548 would be above 1, where no share is.
  assert.equal(macro.ci95?.[1], 1);
  // A subject of one row has no standard error, so neither has the mean with it.
  const withOne = macroEstimate(subjects);
  close(withOne.value, (0.75 + 0.5 + 1) / 3);
  assert.equal(withOne.stderr, null);
  assert.equal(withOne.ci95, null);
});

test('clusters of one value each: the standard error is the plain one', () => {
  const values = [0.1, 0.25, 0.7, 0.4, 0.9];
  const found = clusteredEstimate(values, [5, 3, 9, 1, 2]);
  close(found.stderr, meanStderr(values)!, 1e-15);
  close(found.value, mean(values));
  assert.equal(found.n, 5);
});

test('copies of a value add nothing: the standard error is that of the distinct ones', () => {
  const distinct = [1, 0, 1, 1, 0, 1, 0];
  for (const copies of [2, 3, 10]) {
    const values = distinct.flatMap((value) => Array<number>(copies).fill(value));
    const clusters = distinct.flatMap((_, i) => Array<number>(copies).fill(i));
    close(clusteredEstimate(values, clusters).stderr, meanStderr(distinct)!, 1e-15);
    assert.ok(meanStderr(values)! < meanStderr(distinct)!);
  }
});

test('clusters of several sizes, by hand', () => {
  // Mean 3/5. Clusters: {1, 1, 0}: 2 - 1.8 = 0.2; {0}: -0.6; {1}: 0.4. Squares 0.04 + 0.36 + 0.16 = 0.56.
  const found = clusteredEstimate([1, 0, 1, 1, 0], [7, 8, 7, 9, 7]);
  close(found.value, 0.6);
  close(found.stderr, Math.sqrt((3 / 2) * 0.56) / 5);
  assert.deepEqual(clusteredEstimate([1, 0, 1], [4, 4, 4]).stderr, null);
  assert.equal(clusteredEstimate([1, 0, 1], [4, 4, 4]).ci95, null);
  assert.throws(() => clusteredEstimate([1, Number.NaN], [0, 1]), /not a finite number/);
  assert.throws(() => clusteredEstimate([], []));
});

test('the interval of clustered shares stays inside 0 and 1, that of other values does not', () => {
  const low = clusteredEstimate([0, 0, 0, 1], [0, 1, 2, 3]);
  assert.equal(low.ci95?.[0], 0);
  const free = clusteredEstimate([0, 0, 0, 5], [0, 1, 2, 3]);
  assert.ok(free.ci95![0] < 0);
});

test('a ratio of sums: the residuals of each cluster, over all that is below the line', () => {
  // By hand: 18 / 8; 3 - 2.25, 5 - 4.5, 2 - 2.25, 8 - 9, by cluster 1.25, -0.25, -1, of squares 2.625.
  const stderr = Math.sqrt((3 / 2) * 2.625) / 8;
  const found = ratioEstimate([3, 5, 2, 8], [1, 2, 1, 4], [0, 0, 1, 2]);
  close(found.value, 18 / 8);
  close(found.stderr, stderr);
  assert.equal(found.n, 4);
  close(found.ci95?.[1], 18 / 8 + 1.959963984540054 * stderr);
});

test('a ratio over ones is a mean, with its standard error', () => {
  const values = [1, 0, 1, 1, 0];
  const clusters = [7, 8, 7, 9, 7];
  const [ratio, mean] = [ratioEstimate(values, [1, 1, 1, 1, 1], clusters), clusteredEstimate(values, clusters)];
  close(ratio.value, mean.value);
  close(ratio.stderr, mean.stderr!);
  // A constant ratio is known for sure, and one cluster says nothing about others.
  close(ratioEstimate([2, 4, 6], [1, 2, 3], [0, 1, 2]).stderr, 0);
  assert.deepEqual(ratioEstimate([2, 5], [1, 2], [0, 0]).stderr, null);
  assert.throws(() => ratioEstimate([1], [0], [0]), /a ratio over nothing/);
  assert.throws(() => ratioEstimate([1, Number.NaN], [1, 1], [0, 1]), /not a finite number/);
  assert.throws(() => ratioEstimate([1], [Number.POSITIVE_INFINITY], [0]), /not a finite number/);
});

test('macro over subjects whose values hang together: each subject with its clustered error', () => {
  const subjects = [
    [1, 1, 0, 0],
    [1, 0, 1, 1],
  ];
  const clusters = [
    [0, 0, 1, 1],
    [2, 3, 2, 3],
  ];
  const found = macroEstimate(subjects, clusters);
  const [a, b] = subjects.map((values, i) => clusteredEstimate(values, clusters[i]!).stderr!);
  close(found.value, (0.5 + 0.75) / 2);
  // Of the first: 1 and -1 about 0.5: sqrt(2 * 2) / 4. Of the second: 0.5 and -0.5: sqrt(2 * 0.5) / 4.
  close(a, 0.5);
  close(b, 0.25);
  close(found.stderr, Math.sqrt(0.25 + 0.0625) / 2);
  assert.equal(macroEstimate(subjects, [[0, 0, 0, 0], clusters[1]!]).stderr, null);
});
