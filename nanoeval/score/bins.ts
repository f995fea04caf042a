/** Many values as few bins, so that a resample of the values can be drawn as counts of the bins. */

/** So many bins are made in any case, where so many values differ. */
const FEWEST_BINS = 16;
/** Then splitting ends when so little of the scatter is left inside the bins, or with so many bins. */
const SHARE_WITHIN = 1e-3;
const MOST_BINS = 256;

/** A run of the sorted values: from `start` to below `end`, with the sum of squared distances to their mean. */
interface Run {
  start: number;
  end: number;
  scatter: number;
}

/** Sums of the first i values and of their squares, about the mean of all (i from 0 to n). */
function runningSums(sorted: Float64Array): { sums: Float64Array; squares: Float64Array; centre: number } {
  const centre = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const sums = new Float64Array(sorted.length + 1);
  const squares = new Float64Array(sorted.length + 1);
  for (let i = 0; i < sorted.length; i += 1) {
    const value = sorted[i]! - centre;
    sums[i + 1] = sums[i]! + value;
    squares[i + 1] = squares[i]! + value * value;
  }
  return { sums, squares, centre };
}

/** The first index in [start, end) whose value is above `edge`; `end` where none is. */
function firstAbove(sorted: Float64Array, edge: number, start: number, end: number): number {
  let [low, high] = [start, end];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! > edge) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Upper edges of bins of `sorted` (finite, at least one; sorted in place), rising; a value belongs to the first bin whose
 * edge is not below it. The bin of the largest scatter is split at its mean until less than 1e-3 of the whole scatter is
 * inside bins, or there are 256. So up to 16 different values get a bin each, and far-off values bins of their own.
 */
export function binEdges(sorted: Float64Array): Float64Array {
  sorted.sort();
  const { sums, squares, centre } = runningSums(sorted);
  const run = (start: number, end: number): Run => {
    if (sorted[start] === sorted[end - 1]) return { start, end, scatter: 0 };
    const sum = sums[end]! - sums[start]!;
    return { start, end, scatter: Math.max(0, squares[end]! - squares[start]! - (sum * sum) / (end - start)) };
  };
  const runs = [run(0, sorted.length)];
  const enough = runs[0]!.scatter * SHARE_WITHIN;
  while (runs.length < MOST_BINS) {
    const left = runs.reduce((sum, one) => sum + one.scatter, 0);
    if (left === 0 || (left <= enough && runs.length >= FEWEST_BINS)) break;
    const at = runs.reduce((best, one, i) => (one.scatter > runs[best]!.scatter ? i : best), 0);
    const { start, end } = runs[at]!;
    const mean = centre + (sums[end]! - sums[start]!) / (end - start);
    let middle = firstAbove(sorted, mean, start, end);
    // The mean of values that differ in their last digits may be rounded to or beyond the outer ones.
    if (middle === end || middle === start) middle = firstAbove(sorted, sorted[start]!, start, end);
    runs.splice(at, 1, run(start, middle), run(middle, end));
  }
  return Float64Array.from(runs, (one) => sorted[one.end - 1]!);
}

/** Index of the bin of `value`. */
export function binOf(edges: Float64Array, value: number): number {
  let [low, high] = [0, edges.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (edges[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
