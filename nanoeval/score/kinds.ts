/**
 * Paired bootstrap and permutation test of a statistic that is no mean over rows (macro-F1): it is computed anew from the
 * rows of each draw. To such a statistic rows are cells that are counted, and questions with the same cells are of one kind,
 * so that a resample is how often each kind is in it: a multinomial draw, made as one binomial after the other where there are
 * many questions of few kinds, and question by question otherwise. Both are exact (Efron & Tibshirani 1993, chapters 6 and 13).
 */
import { quantile, type Resampling } from './bootstrap.ts';
import type { Interval } from './gate.ts';
import { Random } from './random.ts';

export interface Kinds {
  /** Questions of each kind. */
  counts: Float64Array;
  /** The cells of one question of each kind; one for each of its rows. */
  cells: readonly (readonly number[])[];
  /** The cell that each cell becomes when the two runs change places; of as many cells as there are. */
  twins: Int32Array;
}

/** A difference, current - baseline, from how many rows are in each cell. */
export type CellStatistic = (counts: Float64Array) => number;

const DRAWS = 10_000;
/** A binomial draw costs about as much as this number of questions drawn one by one. */
const QUESTIONS_PER_KIND = 16;
/** Statistics that differ by rounding alone are the same. */
const TIE = 1e-12;

/** The kind of each question, kinds counted in the order in which they come. `questions[q]`: the cells of its rows. */
export function kindsOf(questions: readonly (readonly number[])[], twins: Int32Array): Kinds {
  const numbers = new Map<string, number>();
  const cells: number[][] = [];
  const counts: number[] = [];
  for (const question of questions) {
    const own = question.length < 2 ? question : [...question].sort((a, b) => a - b);
    const key = own.join(' ');
    const known = numbers.get(key);
    if (known === undefined) {
      numbers.set(key, cells.length);
      cells.push([...own]);
      counts.push(1);
    } else counts[known]! += 1;
  }
  return { counts: Float64Array.from(counts), cells, twins };
}

/** How many rows are in each cell. */
export function cellCounts({ counts, cells, twins }: Kinds): Float64Array {
  const found = new Float64Array(twins.length);
  for (const [kind, own] of cells.entries()) for (const cell of own) found[cell]! += counts[kind]!;
  return found;
}

/** Draws as many questions as there are, with replacement. Returns how many of each kind, in `drawn`. */
function drawer({ counts }: Kinds, random: Random): (drawn: Float64Array) => void {
  const n = counts.reduce((sum, count) => sum + count, 0);
  const last = counts.length - 1;
  if (n > QUESTIONS_PER_KIND * counts.length)
    return (drawn) => {
      let [open, questions] = [n, n];
      for (let kind = 0; kind < last; kind += 1) {
        const count = random.binomial(open, counts[kind]! / questions);
        drawn[kind] = count;
        open -= count;
        questions -= counts[kind]!;
      }
      drawn[last] = open;
    };
  const kinds = new Uint32Array(n);
  for (let kind = 0, at = 0; kind <= last; at += counts[kind]!, kind += 1) kinds.fill(kind, at, at + counts[kind]!);
  return (drawn) => {
    drawn.fill(0);
    for (let i = 0; i < n; i += 1) drawn[kinds[random.below(n)]!]! += 1;
  };
}

/**
 * The sorted values of the statistic in resamples of the questions. Throws Error where one is not finite. The statistic is given
 * the same array each time.
 */
export function resampledKinds(
  kinds: Kinds,
  statistic: CellStatistic,
  { seed, draws = DRAWS }: Resampling,
): Float64Array {
  const { counts, cells, twins } = kinds;
  const draw = drawer(kinds, new Random(seed));
  const drawn = new Float64Array(counts.length);
  const inCells = new Float64Array(twins.length);
  return Float64Array.from({ length: draws }, () => {
    draw(drawn);
    inCells.fill(0);
    for (let kind = 0; kind < cells.length; kind += 1) for (const cell of cells[kind]!) inCells[cell]! += drawn[kind]!;
    const value = statistic(inCells);
    if (!Number.isFinite(value)) throw new Error('a resample of the questions has no finite value.');
    return value;
  }).sort();
}

/**
 * Percentile interval of the statistic; null where there are not two questions. The same seed gives the same interval, and
 * runs that change places the mirrored one. Throws RangeError on a level out of range.
 */
export function bootstrapKinds(kinds: Kinds, statistic: CellStatistic, resampling: Resampling): Interval | null {
  const { level } = resampling;
  if (!(level > 0 && level < 1)) throw new RangeError(`level ${level}: above 0 and below 1`);
  if (kinds.counts.reduce((sum, count) => sum + count, 0) < 2) return null;
  const sign = statistic(cellCounts(kinds)) < 0 ? -1 : 1;
  const sorted = resampledKinds(kinds, (counts) => sign * statistic(counts), resampling);
  const [low, high] = [quantile(sorted, (1 - level) / 2), quantile(sorted, (1 + level) / 2)];
  return sign === 1 ? { low, high } : { low: 0 - high, high: 0 - low };
}

/**
 * Two-sided p value under the hypothesis that the two runs are alike, so that what they said of a question might as well have
 * changed places: in each draw it does with probability 1/2, for each question by itself. p = (1 + as far) / (1 + draws)
 * (Phipson & Smyth 2010). 1 where no question differs.
 */
export function swapTest(kinds: Kinds, statistic: CellStatistic, { seed, draws = DRAWS }: Omit<Resampling, 'level'>) {
  const { counts, cells, twins } = kinds;
  const random = new Random(seed);
  const seen = cellCounts(kinds);
  const limit = Math.abs(statistic(seen)) - TIE;
  const differing = cells.flatMap((own, kind) => (own.some((cell) => twins[cell] !== cell) ? [kind] : []));
  const swapped = new Float64Array(seen.length);
  let far = 0;
  for (let draw = 0; draw < draws; draw += 1) {
    swapped.set(seen);
    for (const kind of differing) {
      const count = random.binomial(counts[kind]!, 0.5);
      for (const cell of cells[kind]!) {
        swapped[cell]! -= count;
        swapped[twins[cell]!]! += count;
      }
    }
    if (Math.abs(statistic(swapped)) >= limit) far += 1;
  }
  return (1 + far) / (1 + draws);
}
