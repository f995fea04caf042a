/** One metric of two paired runs: values, difference, interval, p value. */
import { bootstrapMean, bootstrapRatio } from '../score/bootstrap.ts';
import { differenceInterval, mcNemar } from '../score/paired.ts';
import { signFlipTest } from '../score/permutation.ts';
import type { Parts, Quantity } from './quantities.ts';

export interface Difference {
  baseline: number;
  current: number;
  /** Current minus baseline, the sign turned where lower is better: below 0 is worse. */
  difference: number;
  /** null for one row, or where there is nothing to draw from. */
  interval: [low: number, high: number] | null;
  /** How the interval was made. */
  method: string;
  p_value: number | null;
  test: string | null;
  /** Rows that the current run has better, worse, and alike. */
  wins: number;
  losses: number;
  ties: number;
}

export interface DifferenceOptions {
  /** Of the interval. */
  level: number;
  draws: number;
  seed: number;
}

const identity = (ratio: number) => ratio;
const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);

/** The metric of one run. */
export function metricValue({ num, den }: Parts, of: (ratio: number) => number = identity): number {
  return of(sum(num) / (den === null ? num.length : sum(den)));
}

/** What each row adds to the difference of the sums, above 0 where the current run is better; null where their units differ. */
function rowDifferences({ baseline, current, better }: Quantity): Float64Array | null {
  const same = baseline.den === null || baseline.den.every((value, i) => value === current.den![i]);
  if (!same) return null;
  const sign = better === 'lower' ? -1 : 1;
  return current.num.map((value, i) => sign * (value - baseline.num[i]!));
}

/** Row by row, which run is better: by what the rows themselves say. */
function count({ baseline, current, better }: Quantity) {
  const value = ({ num, den }: Parts, i: number) => (den === null ? num[i]! : num[i]! / den[i]!);
  const sign = better === 'lower' ? -1 : 1;
  let [wins, losses] = [0, 0];
  for (let i = 0; i < baseline.num.length; i += 1) {
    const difference = sign * (value(current, i) - value(baseline, i));
    if (difference > 0) wins += 1;
    else if (difference < 0) losses += 1;
  }
  return { wins, losses, ties: baseline.num.length - wins - losses };
}

/**
 * The difference of a metric with its interval and a test. Rows that are right or wrong, each of a question of its own: Tango's
 * score interval and the exact McNemar test. Otherwise the paired percentile bootstrap over rows, or over the questions whose
 * samples hang together (`clusters`), and the sign-flip permutation test. No interval over a single row.
 */
export function differenceOf(quantity: Quantity, clusters: Int32Array | null, options: DifferenceOptions): Difference {
  const { better, of = identity, binary } = quantity;
  const [baseline, current] = [metricValue(quantity.baseline, of), metricValue(quantity.current, of)];
  const difference = better === 'lower' ? baseline - current : current - baseline;
  const counts = count(quantity);
  const n = quantity.baseline.num.length;
  const head = { baseline, current, difference, ...counts };
  if (binary && clusters === null) {
    const { low, high } = differenceInterval(counts.wins, counts.losses, n, options.level);
    return {
      ...head,
      interval: [low, high],
      method: "Tango's score interval",
      p_value: mcNemar(counts.wins, counts.losses),
      test: 'McNemar, exact',
    };
  }
  const rows = rowDifferences(quantity);
  const interval = bootstrapInterval(quantity, clusters, options, rows);
  const p_value = rows === null ? null : signFlipTest(clusters === null ? rows : summed(rows, clusters), options);
  return {
    ...head,
    interval,
    method: `paired percentile bootstrap over ${clusters === null ? 'rows' : 'questions'} (${options.draws} draws, seed ${options.seed})`,
    p_value,
    test: p_value === null ? null : 'sign-flip permutation',
  };
}

function bootstrapInterval(
  { baseline, current, better, of = identity }: Quantity,
  clusters: Int32Array | null,
  options: DifferenceOptions,
  rows: Float64Array | null,
): Difference['interval'] {
  const own = clusters ?? undefined;
  if (baseline.den === null && of === identity && rows !== null) {
    const found = bootstrapMean(rows, options, own);
    return found === null ? null : [found.low, found.high];
  }
  const parts = ({ num, den }: Parts) => ({ values: num, weights: den ?? new Float64Array(num.length).fill(1) });
  const found = bootstrapRatio(parts(current), parts(baseline), of, options, own);
  if (found === null) return null;
  return better === 'lower' ? [0 - found.high, 0 - found.low] : [found.low, found.high];
}

function summed(values: Float64Array, clusters: Int32Array): Float64Array {
  const sums = new Float64Array(clusters.reduce((most, cluster) => Math.max(most, cluster), -1) + 1);
  for (const [i, value] of values.entries()) sums[clusters[i]!]! += value;
  return sums;
}
