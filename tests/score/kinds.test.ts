/** Statistics that are computed anew in each draw: against the mean, whose draws are known, and by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootstrapMean } from '../../nanoeval/score/bootstrap.ts';
import {
  bootstrapKinds,
  type CellStatistic,
  cellCounts,
  kindsOf,
  resampledKinds,
  swapTest,
} from '../../nanoeval/score/kinds.ts';
import { mcNemar } from '../../nanoeval/score/paired.ts';

const options = { level: 0.95, seed: 1 };
/** Cells: both right, the current run alone, the baseline alone, both wrong. */
const TWINS = Int32Array.of(0, 2, 1, 3);
const meanDifference: CellStatistic = ([both, wins, losses, none]) =>
  (wins! - losses!) / (both! + wins! + losses! + none!);
const cellsOf = (counts: readonly number[]) => counts.flatMap((count, cell) => Array<number>(count).fill(cell));
const single = (counts: readonly number[]) =>
  kindsOf(
    cellsOf(counts).map((cell) => [cell]),
    TWINS,
  );

test('questions with the same cells, in whatever order, are of one kind', () => {
  const kinds = kindsOf([[2, 1], [0], [1, 2], [0], [2]], TWINS);
  assert.deepEqual([...kinds.counts], [2, 2, 1]);
  assert.deepEqual(kinds.cells, [[1, 2], [0], [2]]);
  assert.deepEqual([...cellCounts(kinds)], [2, 2, 3, 0]);
});

for (const [what, counts] of [
  ['few rows, drawn one by one', [20, 6, 10, 14]],
  ['many rows, drawn by kinds', [2000, 300, 380, 1320]],
] as const) {
  test(`of ${what}: the statistic has the standard error of a mean and its interval`, () => {
    const kinds = single(counts);
    const n = counts.reduce((sum, count) => sum + count, 0);
    const mean = (counts[1] - counts[2]) / n;
    const stderr = Math.sqrt(((counts[1] + counts[2]) / n - mean ** 2) / n);
    const drawn = resampledKinds(kinds, meanDifference, options);
    const found = drawn.reduce((sum, value) => sum + value, 0) / drawn.length;
    const spread = Math.sqrt(drawn.reduce((sum, value) => sum + (value - found) ** 2, 0) / drawn.length);
    // Four standard errors of 10,000 draws.
    assert.ok(Math.abs(found - mean) < (4 * stderr) / 100, `${found}`);
    assert.ok(Math.abs(spread / stderr - 1) < 4 / Math.sqrt(2 * drawn.length), `${spread} ${stderr}`);
    const values = cellsOf(counts).map((cell) => [0, 1, -1, 0][cell]!);
    const known = bootstrapMean(values, options)!;
    const { low, high } = bootstrapKinds(kinds, meanDifference, options)!;
    assert.ok(Math.abs(low - known.low) < 0.15 * stderr && Math.abs(high - known.high) < 0.15 * stderr);
  });
}

test('samples of a question are drawn together', () => {
  // 40 questions of which all three rows are won or lost: the spread is that of 40 questions and not of 120 rows.
  const questions = Array.from({ length: 40 }, (_, i) => Array<number>(3).fill(i % 2 === 0 ? 1 : 2));
  const { low, high } = bootstrapKinds(kindsOf(questions, TWINS), meanDifference, options)!;
  const stderr = Math.sqrt(1 / 40);
  assert.ok(Math.abs(high - low - 2 * 1.96 * stderr) < 0.15 * stderr, `${low} ${high}`);
});

test('runs that change places have the mirrored interval, digit for digit', () => {
  const kinds = single([20, 6, 10, 14]);
  const { low, high } = bootstrapKinds(kinds, meanDifference, options)!;
  const back = bootstrapKinds(kinds, (counts) => -meanDifference(counts), options);
  assert.deepEqual(back, { low: -high, high: -low });
});

test('one question has no interval, a level has its range, and a value that is none is an error', () => {
  assert.equal(bootstrapKinds(single([1, 0, 0, 0]), meanDifference, options), null);
  assert.throws(() => bootstrapKinds(single([5, 0, 0, 0]), meanDifference, { ...options, level: 1 }), RangeError);
  assert.throws(() => resampledKinds(single([5, 0, 0, 0]), () => Number.NaN, options), /no finite value/);
});

test('the permutation test of a difference of shares is the McNemar test', () => {
  for (const [wins, losses] of [
    [6, 10],
    [30, 60],
    [3, 9],
  ] as const) {
    const p = mcNemar(wins, losses);
    const found = swapTest(single([50, wins, losses, 40]), meanDifference, { seed: 5 });
    assert.ok(Math.abs(found - p) < 4 * Math.sqrt((p * (1 - p)) / 10_000) + 1e-4, `${wins} ${losses}: ${found} ${p}`);
  }
  assert.equal(swapTest(single([50, 0, 0, 40]), meanDifference, { seed: 5 }), 1);
});

test('the samples of a question change places together', () => {
  // Six questions, all three samples of each lost: 2 of 64 ways are as far.
  const questions = Array.from({ length: 6 }, () => [2, 2, 2]);
  const found = swapTest(kindsOf(questions, TWINS), meanDifference, { seed: 2 });
  assert.ok(Math.abs(found - 2 / 64) < 0.01, `${found}`);
});

test('the same seed gives the same draws', () => {
  const kinds = single([20, 6, 10, 14]);
  assert.deepEqual(resampledKinds(kinds, meanDifference, options), resampledKinds(kinds, meanDifference, options));
  assert.notDeepEqual(
    resampledKinds(kinds, meanDifference, options),
    resampledKinds(kinds, meanDifference, { ...options, seed: 2 }),
  );
});
