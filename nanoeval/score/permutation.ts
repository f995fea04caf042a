/** Sign-flip test of paired differences: were the runs swapped in some rows, how often would the sum be as far off? */
import { binEdges, binOf } from './bins.ts';
import { Random } from './random.ts';

/** With so many rows that differ, or fewer, every choice of signs is looked at. */
const EXACT_ROWS = 20;
const DRAWS = 10_000;
/** Sums that differ by rounding alone are the same. */
const TIE = 1e-12;
const ROWS_PER_BIN = 16;

/** All sums of +-values, index bits the signs. */
function signedSums(values: Float64Array): Float64Array {
  let sums = Float64Array.of(0);
  for (const value of values) {
    const next = new Float64Array(sums.length * 2);
    for (let i = 0; i < sums.length; i += 1) {
      next[i] = sums[i]! + value;
      next[i + sums.length] = sums[i]! - value;
    }
    sums = next;
  }
  return sums;
}

/** Share of all choices of signs whose sum is at least `limit` away from 0; each half's sums once, then their pairs. */
function exactShare(values: Float64Array, limit: number): number {
  const half = values.length >> 1;
  const [first, second] = [signedSums(values.slice(0, half)), signedSums(values.slice(half))];
  let far = 0;
  for (const a of first) for (const b of second) if (Math.abs(a + b) >= limit) far += 1;
  return far / (first.length * second.length);
}

/** Sums of values with random signs, one row after the other. */
function flipRows(sizes: Float64Array, draws: number, random: Random, take: (sum: number) => void): void {
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  for (let draw = 0; draw < draws; draw += 1) {
    let [kept, bits] = [0, 0];
    for (let i = 0; i < sizes.length; i += 1) {
      if ((i & 31) === 0) bits = random.bits();
      if ((bits & 1) !== 0) kept += sizes[i]!;
      bits >>>= 1;
    }
    take(2 * kept - whole);
  }
}

/** The same by bins of sizes: each bin's mean times a binomial excess of one sign, and a normal for the rest. */
function flipBins(
  sizes: Float64Array,
  edges: Float64Array,
  draws: number,
  random: Random,
  take: (sum: number) => void,
) {
  const counts = new Float64Array(edges.length);
  const means = new Float64Array(edges.length);
  const bins = new Uint16Array(sizes.length);
  for (let i = 0; i < sizes.length; i += 1) {
    bins[i] = binOf(edges, sizes[i]!);
    counts[bins[i]!]! += 1;
    means[bins[i]!]! += sizes[i]!;
  }
  for (let k = 0; k < edges.length; k += 1) means[k]! /= counts[k]!;
  const within = Math.sqrt(sizes.reduce((sum, size, i) => sum + (size - means[bins[i]!]!) ** 2, 0));
  for (let draw = 0; draw < draws; draw += 1) {
    let sum = within === 0 ? 0 : within * random.roughNormal();
    for (let k = 0; k < edges.length; k += 1) sum += means[k]! * (2 * random.binomial(counts[k]!, 0.5) - counts[k]!);
    take(sum);
  }
}

/**
 * Two-sided p value of `differences` (current - baseline of each row; of rows that hang together their sum) under the
 * hypothesis that the two runs are alike, so that each difference could as well have the other sign (Fisher's
 * randomization test for pairs; scipy.stats.permutation_test(permutation_type='samples')). All signs are tried where 20
 * rows or fewer differ; else `draws` random ones, with p = (1 + as far) / (1 + draws) (Phipson & Smyth 2010). Many rows
 * are flipped as bins, as in bootstrap.ts. Differences of -1, 0 and 1 give what `mcNemar` gives. Throws Error on a
 * value that is not finite.
 */
export function signFlipTest(
  differences: ArrayLike<number>,
  { seed, draws = DRAWS }: { seed: number; draws?: number },
) {
  const all = differences instanceof Float64Array ? differences : Float64Array.from(differences);
  const values = all.filter((value) => value !== 0);
  if (!values.every(Number.isFinite)) throw new Error('a difference is not a finite number.');
  const sizes = values.map(Math.abs);
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  const limit = Math.abs(values.reduce((sum, value) => sum + value, 0)) - TIE * whole;
  if (values.length <= EXACT_ROWS) return exactShare(values, limit);
  let far = 0;
  const take = (sum: number) => {
    if (Math.abs(sum) >= limit) far += 1;
  };
  const random = new Random(seed);
  const edges = binEdges(sizes.slice());
  if (sizes.length <= ROWS_PER_BIN * edges.length) flipRows(sizes, draws, random, take);
  else flipBins(sizes, edges, draws, random, take);
  return (1 + far) / (1 + draws);
}
