/** One metric of two paired runs: values, difference, interval, p value. */
import { bootstrapMean, bootstrapRatio } from '../score/bootstrap.ts';
import { bootstrapKinds, swapTest } from '../score/kinds.ts';
import { differenceInterval, mcNemar } from '../score/paired.ts';
import { signFlipTest } from '../score/permutation.ts';
import type { Parts, Quantity } from './quantities.ts';
import { type WholeRun, wholeRunValues } from './whole_run.ts';

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
  /** What is counted below: the pairs of rows, questions with all their samples, or rows of a metric that is no mean over them. */
  values_of: 'rows' | 'questions' | 'run';
  /** Of these, what the current run has better, worse, and alike. */
  wins: number;
  losses: number;
  ties: number;
  /** Of these, what is not the same in both runs. */
  differing: number;
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
  return { wins, losses, ties: baseline.num.length - wins - losses, differing: wins + losses };
}

/** The clusters of a quantity's values: its own, or those of the pairs of rows. */
const clustersFor = ({ questions }: Quantity, pairs: Int32Array | null): Int32Array | null =>
  questions === undefined ? pairs : questions.clusters;

/** Whether Tango's interval speaks for a metric. `clusters`: of the pairs of rows. */
export function isExact(quantity: Quantity | WholeRun, clusters: Int32Array | null): boolean {
  return quantity.binary && clustersFor(quantity, clusters) === null;
}

/** A metric that is computed anew in each resample of the questions, of pairs of rows where each is one. */
function wholeRunDifference(quantity: WholeRun, clusters: Int32Array | null, options: DifferenceOptions): Difference {
  const { kinds, wins, losses, rows, differing } = quantity;
  const { baseline, current } = wholeRunValues(quantity);
  const statistic = (counts: Float64Array) => quantity.current(counts) - quantity.baseline(counts);
  const found = bootstrapKinds(kinds, statistic, options);
  return {
    baseline,
    current,
    difference: current - baseline,
    values_of: 'run',
    wins,
    losses,
    ties: rows - wins - losses,
    differing,
    interval: found === null ? null : [found.low, found.high],
    method: `${bootstrapOver(clusters === null ? 'rows' : 'questions', options)}, computed anew in each`,
    p_value: swapTest(kinds, statistic, options),
    test: 'permutation of the runs within questions',
  };
}

const bootstrapOver = (units: 'rows' | 'questions', { draws, seed }: DifferenceOptions) =>
  `paired percentile bootstrap over ${units} (${draws} draws, seed ${seed})`;

/**
 * The difference of a metric with its interval and a test. Rows that are right or wrong, each of a question of its own: Tango's
 * score interval and the exact McNemar test. Otherwise the paired percentile bootstrap over rows, or over the questions whose
 * samples hang together (`pairs`: the question of each pair of rows, null where each is one), and the sign-flip permutation
 * test; of a metric of the whole run, which is computed anew, a permutation of what both runs said. No interval over a single row.
 */
export function differenceOf(
  quantity: Quantity | WholeRun,
  pairs: Int32Array | null,
  options: DifferenceOptions,
): Difference {
  if ('kinds' in quantity) return wholeRunDifference(quantity, pairs, options);
  const clusters = clustersFor(quantity, pairs);
  const { better, of = identity } = quantity;
  const [baseline, current] = [metricValue(quantity.baseline, of), metricValue(quantity.current, of)];
  const difference = better === 'lower' ? baseline - current : current - baseline;
  const counts = count(quantity);
  const n = quantity.baseline.num.length;
  const values_of = quantity.questions === undefined ? 'rows' : 'questions';
  const head = { baseline, current, difference, values_of, ...counts } as const;
  if (isExact(quantity, pairs)) {
    const { low, high } = differenceInterval(counts.wins, counts.losses, n, options.level);
    return {
      ...head,
      interval: [low, high],
      method: "Tango's score interval, corrected for skewness",
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
    method: bootstrapOver(clusters === null ? values_of : 'questions', options),
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
