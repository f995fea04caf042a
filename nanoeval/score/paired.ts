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
 * Standard deviation of wins - losses under the hypothesis that the true difference of the shares is `difference`: with the
 * share of losses that is then most likely, the larger root of 2n x^2 + B x + C = 0 (Tango 1998). Counts may be expected ones.
 */
export function scoreDeviation(wins: number, losses: number, n: number, difference: number): number {
  const b = (2 * n - wins + losses) * difference - wins - losses;
  const c = -losses * difference * (1 - difference);
  const root = Math.sqrt(Math.max(0, b * b - 8 * n * c));
  // Of the two forms of the root, the one that subtracts nothing.
  const lossShare = b > 0 ? (-2 * c) / (root + b) : (root - b) / (4 * n);
  return Math.sqrt(n * Math.max(0, 2 * lossShare + difference * (1 - difference)));
}

/** Tango's score statistic of that hypothesis: about standard normal under it, and falling in `difference`. */
export function scoreStatistic(wins: number, losses: number, n: number, difference: number): number {
  const excess = wins - losses - n * difference;
  return excess === 0 ? 0 : excess / scoreDeviation(wins, losses, n, difference);
}

/** The largest difference that the score test does not refuse. */
function upperEnd(wins: number, losses: number, n: number, z: number): number {
  let [inside, outside] = [(wins - losses) / n, 1];
  if (scoreStatistic(wins, losses, n, outside) >= -z) return outside;
  for (let step = 0; step < BISECTIONS; step += 1) {
    const middle = (inside + outside) / 2;
    if (middle <= inside || middle >= outside) break;
    if (scoreStatistic(wins, losses, n, middle) >= -z) inside = middle;
    else outside = middle;
  }
  return inside;
}

/**
 * Score interval of the difference of two paired shares, (wins - losses) / n, current less baseline (Tango 1998,
 * "Equivalence test and confidence interval for the difference in proportions for the paired-sample design"). It stays
 * inside [-1, 1], has a width when no row differs, and does not depend on how many of the other rows are right. Any
 * level: 1 - 0.05 / k for k metrics together (Bonferroni).
 *
 * Chosen over Newcombe's (1998) method 10 by enumeration: with no true difference and 2, 10 or 30 % of 200, 1,000 or
 * 10,000 rows differing, Tango's 95 % interval covers 94.8 to 95.9 % (Newcombe 10: 95.0 to 98.3 %), and a drop of
 * exactly 0.01 or 0.02 lies below it in 2.5 % at most (Newcombe 10: 3.6 %), above it in 2.8 % at most, but for 200 rows
 * of which 2 % differ by chance (4.1 %). Rows that hang together (samples of one question) need the bootstrap. Throws
 * RangeError on counts or a level out of range.
 */
export function differenceInterval(wins: number, losses: number, n: number, level: number): Interval {
  checkCounts(wins, losses, n);
  const z = criticalValue(level);
  return { low: 0 - upperEnd(losses, wins, n, z), high: upperEnd(wins, losses, n, z) };
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
