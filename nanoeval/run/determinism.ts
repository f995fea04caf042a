/** Whether a run's numbers can be had again: some of its rows once more, each computed by itself. */
import type { TaskConfig } from '../config/keys.ts';
import { PythonRandom } from '../data/python_random.ts';
import type { FailedRow, Prediction } from '../questions.ts';
import { RowError } from '../types.ts';
import { rowKey } from './journal.ts';
import type { Plan } from './plan.ts';
import { verdictOn } from './verdict.ts';

/** What the rows came to when they were computed again. */
export interface Determinism {
  /** Rows (each sample of one) that were computed again. */
  rows: number;
  /** The largest difference of a log-likelihood, in nats; null where rows have none. */
  largest_difference: number | null;
  /** Rows with another prediction, or another text. */
  flips: number;
  /** Ids of those. */
  flipped: string[];
  /** Tokens of the answers that were computed again; absent where the rows are no answers or nobody counts. */
  tokens?: number;
  /** Those from the first one on that is not the stored answer's, answer by answer. */
  tokens_apart?: number;
  /**
   * How much likelier such a first token is than the next likely one, in nats: the largest. A rounding can only turn a choice
   * between tokens that are nearly equally likely. Absent where no greedy answer differs.
   */
  largest_margin?: number;
}

/**
 * `count` of the indices of a run's rows (rising, one for each sample), rising: Python's generator, seeded 0. Fewer where
 * there are fewer.
 */
export function drawChecked(indices: readonly number[], count: number): number[] {
  const distinct = indices.filter((index, i) => index !== indices[i - 1]);
  const drawn = new PythonRandom(0).sample(distinct.length, Math.min(count, distinct.length));
  return drawn.map((place) => distinct[place]!).sort((a, b) => a - b);
}

/**
 * Holds stored rows against the same rows computed again in windows of their own, where nothing is shared: what differs is
 * what sharing, batching and the machine add.
 */
export async function compareAgain<C extends TaskConfig, G>(
  { task, recipe, config }: Pick<Plan<C, G>, 'task' | 'recipe' | 'config'>,
  stored: readonly Prediction<G>[],
  again: AsyncIterable<Prediction<G> | FailedRow>,
): Promise<Determinism> {
  const seconds = new Map<string, Prediction<G>>();
  for await (const prediction of again) if (!('error' in prediction)) seconds.set(rowKey(prediction), prediction);
  /** What is read from a row; a row that cannot be scored is read as its error. */
  const readingOf = async (row: Prediction<G>): Promise<unknown> => {
    try {
      return (await verdictOn(task, row, recipe, config)).prediction;
    } catch (error) {
      if (error instanceof RowError) return `${error.kind}: ${error.message}`;
      throw error;
    }
  };
  const found: Determinism = { rows: 0, largest_difference: null, flips: 0, flipped: [] };
  for (const row of stored) {
    const second = seconds.get(rowKey(row));
    if (second === undefined) continue;
    found.rows += 1;
    const difference = distance(row, second);
    if (difference !== null) found.largest_difference = Math.max(found.largest_difference ?? 0, difference);
    countTokens(found, second);
    const readings = config.run.score ? [await readingOf(row), await readingOf(second)] : [];
    if (row.output === second.output && readings[0] === readings[1]) continue;
    found.flips += 1;
    found.flipped.push(row.id);
  }
  return found;
}

/** Adds the tokens of an answer that was computed again. */
function countTokens(found: Determinism, { num_output_tokens, apart }: Prediction): void {
  if (num_output_tokens == null) return;
  found.tokens = (found.tokens ?? 0) + num_output_tokens;
  found.tokens_apart = (found.tokens_apart ?? 0) + (apart?.tokens ?? 0);
  if (apart?.margin != null) found.largest_margin = Math.max(found.largest_margin ?? 0, apart.margin);
}

/** The largest difference between two predictions' log-likelihoods; null where they have none. */
function distance(a: Prediction, b: Prediction): number | null {
  const numbers = ({ choices, first_logprobs, label_logprobs, logprob }: Prediction) => {
    if (logprob !== undefined) return [logprob];
    return (label_logprobs ?? choices?.map((choice) => choice.logprob) ?? Object.values(first_logprobs ?? {})).filter(
      (value) => value !== null,
    );
  };
  const [first, second] = [numbers(a), numbers(b)];
  if (first.length === 0 || first.length !== second.length) return null;
  return Math.max(...first.map((value, i) => Math.abs(value - second[i]!)));
}
