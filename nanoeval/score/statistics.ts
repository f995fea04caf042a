/** Means with their uncertainty. Formulas: lm-evaluation-harness `api/metrics.py`; Wilson (1927) for intervals of shares. */
import type { Estimate } from '../types.ts';

/** 97.5 % point of the normal distribution. */
const Z = 1.959963984540054;

/** Throws Error on no values. */
export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new Error('the mean of no values.');
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sum of squared distances to the mean. */
function scatter(values: readonly number[]): number {
  const centre = mean(values);
  return values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
}

/** Standard error of a mean: sample deviation (divisor n - 1) over sqrt(n), as lm-eval. null for a single value. */
export function meanStderr(values: readonly number[]): number | null {
  const n = values.length;
  return n < 2 ? null : Math.sqrt(scatter(values) / (n - 1) / n);
}

/**
 * Standard error of the example-weighted mean over subjects: lm-eval's `pooled_sample_stderr`,
 * sqrt( sum (n_i - 1) n_i se_i^2 / (sum n_i - k) / sum n_i ). (n_i - 1) n_i se_i^2 is the scatter within subject i, so a
 * subject of one row adds nothing. null when no subject has two rows.
 */
export function pooledStderr(subjects: readonly (readonly number[])[]): number | null {
  const n = subjects.reduce((sum, values) => sum + values.length, 0);
  const freedom = n - subjects.length;
  if (freedom < 1) return null;
  return Math.sqrt(subjects.reduce((sum, values) => sum + scatter(values), 0) / freedom / n);
}

/**
 * 95 % interval. Of a share of 0/1 values: Wilson's score interval, which stays inside [0, 1] and does not collapse to a
 * point when all values agree. Otherwise value +- 1.96 standard errors.
 */
export function interval(value: number, stderr: number | null, n: number, isShare: boolean): [number, number] | null {
  if (stderr === null) return null;
  if (!isShare) return [value - Z * stderr, value + Z * stderr];
  const z2 = Z ** 2 / n;
  const centre = (value + z2 / 2) / (1 + z2);
  const half = (Z / (1 + z2)) * Math.sqrt((value * (1 - value)) / n + z2 / (4 * n));
  // Wilson's interval holds its share; rounding alone would leave 1 outside (0.9999999999999999).
  return [Math.min(value, Math.max(0, centre - half)), Math.max(value, Math.min(1, centre + half))];
}

const isBinary = (values: readonly number[]) => values.every((value) => value === 0 || value === 1);

/** Mean of the values with lm-eval's standard error. Throws Error on no values or a value that is not finite. */
export function estimate(values: readonly number[]): Estimate {
  if (!values.every(Number.isFinite)) throw new Error('a metric has a value that is not a finite number.');
  const value = mean(values);
  const stderr = meanStderr(values);
  return { value, stderr, ci95: interval(value, stderr, values.length, isBinary(values)), n: values.length };
}

/** Example-weighted mean over subjects (micro average), with the pooled standard error. */
export function microEstimate(subjects: readonly (readonly number[])[]): Estimate {
  const all = subjects.flat();
  const value = mean(all);
  const stderr = pooledStderr(subjects);
  return { value, stderr, ci95: interval(value, stderr, all.length, isBinary(all)), n: all.length };
}

/**
 * Plain mean of the subjects' means (macro average); its standard error is sqrt(sum se_i^2) / k. `clusters`: which values of
 * a subject hang together.
 */
export function macroEstimate(
  subjects: readonly (readonly number[])[],
  clusters?: readonly (readonly number[])[],
): Estimate {
  const value = mean(subjects.map(mean));
  const errors = subjects.map((values, i) =>
    clusters === undefined ? meanStderr(values) : clusteredEstimate(values, clusters[i]!).stderr,
  );
  const known = errors.filter((error) => error !== null);
  const stderr =
    known.length < errors.length ? null : Math.sqrt(known.reduce((sum, se) => sum + se ** 2, 0)) / errors.length;
  const ends = interval(value, stderr, 1, false);
  const isShare = isBinary(subjects.flat());
  const ci95: Estimate['ci95'] = ends !== null && isShare ? [Math.max(0, ends[0]), Math.min(1, ends[1])] : ends;
  return { value, stderr, ci95, n: subjects.flat().length };
}

/**
 * Mean over values of which those of one cluster (the samples of a question) hang together, with the cluster-robust
 * standard error sqrt( C/(C-1) * sum over clusters of (sum of (x - mean))^2 ) / n (Miller 2024, "Adding Error Bars to
 * Evals", eq. 4, with the small-sample factor). With one value in each cluster it is `meanStderr`.
 * Throws Error on no values or one that is not finite.
 */
export function clusteredEstimate(values: readonly number[], clusters: readonly number[]): Estimate {
  if (!values.every(Number.isFinite)) throw new Error('a metric has a value that is not a finite number.');
  const value = mean(values);
  const sums = new Map<number, number>();
  for (const [i, cluster] of clusters.entries()) sums.set(cluster, (sums.get(cluster) ?? 0) + values[i]! - value);
  const count = sums.size;
  const squares = [...sums.values()].reduce((sum, part) => sum + part ** 2, 0);
  const stderr = count < 2 ? null : Math.sqrt((count / (count - 1)) * squares) / values.length;
  const ends = interval(value, stderr, values.length, false);
  const isShare = values.every((one) => one >= 0 && one <= 1);
  const ci95: Estimate['ci95'] = ends !== null && isShare ? [Math.max(0, ends[0]), Math.min(1, ends[1])] : ends;
  return { value, stderr, ci95, n: values.length };
}

/**
 * A ratio of sums, sum(x) / sum(w), over rows of which those of one cluster hang together, with its linearised standard error
 * sqrt( C/(C-1) * sum over clusters of (sum of (x - R w))^2 ) / sum(w) (Cochran 1977, "Sampling Techniques", 6.4).
 * With w = 1 it is `clusteredEstimate`. Throws Error on no rows, weights that sum to 0 and values that are not finite.
 */
export function ratioEstimate(
  values: readonly number[],
  weights: readonly number[],
  clusters: readonly number[],
): Estimate {
  if (![...values, ...weights].every(Number.isFinite))
    throw new Error('a ratio has a part that is not a finite number.');
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(whole > 0)) throw new Error('a ratio over nothing.');
  const value = values.reduce((sum, one) => sum + one, 0) / whole;
  const rests = new Map<number, number>();
  for (const [i, cluster] of clusters.entries())
    rests.set(cluster, (rests.get(cluster) ?? 0) + values[i]! - value * weights[i]!);
  const count = rests.size;
  const squares = [...rests.values()].reduce((sum, rest) => sum + rest ** 2, 0);
  const stderr = count < 2 ? null : Math.sqrt((count / (count - 1)) * squares) / whole;
  return { value, stderr, ci95: interval(value, stderr, values.length, false), n: values.length };
}
