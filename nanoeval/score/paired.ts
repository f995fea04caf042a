/**
 * Two runs of the same rows with a metric of 0 and 1. Only the rows on which they differ tell the runs apart: `wins`,
 * right in the current run alone, and `losses`, right in the baseline alone.
 */
import { binomialCdf, criticalValue } from './distributions.ts';
import type { Interval } from './gate.ts';

const BISECTIONS = 200;

function checkCounts(wins: number, losses: number, n: number): void {
  const whole = [wins, losses, n].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (!whole || n < 1 || wins + losses > n)
    throw new RangeError(`${wins} wins and ${losses} losses of ${n} rows: whole numbers, together at most the rows`);
}

/**
 * Exact McNemar test: the two-sided p value of `wins` against `losses` where a row that differs is either one with
 * probability 1/2 (McNemar 1947; scipy.stats.binomtest(wins, wins + losses), statsmodels' mcnemar(exact=True)). 1 where
 * no row differs. Throws RangeError on counts that are no whole numbers from 0.
 */
export function mcNemar(wins: number, losses: number): number {
  checkCounts(wins, losses, Math.max(1, wins + losses));
  return Math.min(1, 2 * binomialCdf(Math.min(wins, losses), wins + losses, 0.5));
}

/**
 * The most likely share of losses under the hypothesis that the true difference of the shares is `difference`: the larger root
 * of 2n x^2 + B x + C = 0 (Tango 1998). That of wins is larger by `difference`.
 */
function lossShareUnder(wins: number, losses: number, n: number, difference: number): number {
  const b = (2 * n - wins + losses) * difference - wins - losses;
  const c = -losses * difference * (1 - difference);
  const root = Math.sqrt(Math.max(0, b * b - 8 * n * c));
  // Of the two forms of the root, the one that subtracts nothing.
  return b > 0 ? (-2 * c) / (root + b) : (root - b) / (4 * n);
}

/**
 * Standard deviation of wins - losses under that hypothesis, with the share of losses that is then most likely (Tango 1998).
 * Counts may be expected ones.
 */
export function scoreDeviation(wins: number, losses: number, n: number, difference: number): number {
  const lossShare = lossShareUnder(wins, losses, n, difference);
  return Math.sqrt(n * Math.max(0, 2 * lossShare + difference * (1 - difference)));
}

/** Tango's score statistic of that hypothesis: about standard normal under it, and falling in `difference`. */
export function scoreStatistic(wins: number, losses: number, n: number, difference: number): number {
  const excess = wins - losses - n * difference;
  return excess === 0 ? 0 : excess / scoreDeviation(wins, losses, n, difference);
}

/**
 * Skewness of wins - losses under that hypothesis. A row is 1, -1 or 0 with mean d and mean square s, so that its third central
 * moment is d - 3 d s + 2 d^3.
 */
export function scoreSkewness(wins: number, losses: number, n: number, difference: number): number {
  const square = 2 * lossShareUnder(wins, losses, n, difference) + difference;
  const variance = square - difference ** 2;
  if (!(variance > 0)) return 0;
  const third = difference * (1 - 3 * square + 2 * difference ** 2);
  return third / variance ** 1.5 / Math.sqrt(n);
}

/**
 * The score statistic with the correction for skewness, (z^2 - 1) / 6 of it, where this brings it nearer to 0 (Gart & Nam 1990;
 * Laud 2017, "Equal-tailed confidence intervals for comparison of rates"): to be held against -z and z. 0 stays 0.
 */
export function correctedStatistic(wins: number, losses: number, n: number, difference: number, z: number): number {
  const statistic = scoreStatistic(wins, losses, n, difference);
  if (statistic === 0) return 0;
  const correction = (Math.max(0, z * z - 1) / 6) * scoreSkewness(wins, losses, n, difference);
  // A tail that is longer than the normal one begins farther out; a shorter one is left where Tango has it.
  return statistic < 0
    ? Math.min(0, statistic + Math.max(0, -correction))
    : Math.max(0, statistic - Math.max(0, correction));
}

/** The largest difference that a test with this statistic does not refuse. */
function upperEnd(wins: number, losses: number, n: number, z: number, statistic: typeof correctedStatistic): number {
  let [inside, outside] = [(wins - losses) / n, 1];
  if (statistic(wins, losses, n, outside, z) >= -z) return outside;
  for (let step = 0; step < BISECTIONS; step += 1) {
    const middle = (inside + outside) / 2;
    if (middle <= inside || middle >= outside) break;
    if (statistic(wins, losses, n, middle, z) >= -z) inside = middle;
    else outside = middle;
  }
  return inside;
}

function invert(
  wins: number,
  losses: number,
  n: number,
  level: number,
  statistic: typeof correctedStatistic,
): Interval {
  checkCounts(wins, losses, n);
  const z = criticalValue(level);
  return { low: 0 - upperEnd(losses, wins, n, z, statistic), high: upperEnd(wins, losses, n, z, statistic) };
}

/**
 * Score interval of the difference of two paired shares, (wins - losses) / n, current less baseline (Tango 1998,
 * "Equivalence test and confidence interval for the difference in proportions for the paired-sample design"). It stays
 * inside [-1, 1], has a width when no row differs, and does not depend on how many of the other rows are right. Any
 * level: 1 - 0.05 / k for k metrics together (Bonferroni). Rows that hang together (samples of one question) need the
 * bootstrap. Throws RangeError on counts or a level out of range.
 */
export function tangoInterval(wins: number, losses: number, n: number, level: number): Interval {
  return invert(wins, losses, n, level, scoreStatistic);
}

/**
 * The same with the correction for skewness where it makes an end lie farther out: where less than a third of the rows differ, the
 * end nearer to 0 of an interval that does not hold 0. By enumeration (2, 10 or 30 % of 200, 1,000 or 10,000 rows differing with
 * no true difference) its 95 % interval covers 94.8 to 95.9 %, as Tango's alone does; a drop of exactly 0.01 or 0.02 lies below
 * it in 2.5 % at most and above it in 2.7 %, where Tango's alone has 4.1 % (200 rows of which 2 % differ). Newcombe's (1998)
 * method 10 covers 95.0 to 98.3 %, and such a drop lies below it in 3.6 %. Throws as `tangoInterval`.
 */
export function differenceInterval(wins: number, losses: number, n: number, level: number): Interval {
  return invert(wins, losses, n, level, correctedStatistic);
}

/**
 * Holm's (1979) step-down correction: the p values, each as it counts among all of them, in the given order
 * (statsmodels' multipletests(method='holm')). Throws RangeError on a value outside [0, 1].
 */
export function holm(pValues: readonly number[]): number[] {
  for (const p of pValues) if (!(p >= 0 && p <= 1)) throw new RangeError(`a p value of ${p}: from 0 to 1`);
  const order = pValues.map((_, i) => i).sort((i, j) => pValues[i]! - pValues[j]!);
  const corrected = Array<number>(pValues.length);
  let highest = 0;
  for (const [rank, i] of order.entries()) {
    highest = Math.max(highest, Math.min(1, (pValues.length - rank) * pValues[i]!));
    corrected[i] = highest;
  }
  return corrected;
}
