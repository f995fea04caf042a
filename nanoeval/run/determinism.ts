/** Whether a run's numbers can be had again: some of its rows once more, each computed by itself. */
import { join } from 'node:path';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import { PythonRandom } from '../data/python_random.ts';
import type { FailedRow, Prediction, Verdict } from '../types.ts';
import type { Run } from './ask.ts';
import { readJournal, rowKey } from './journal.ts';

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
}

interface Task<C extends TaskConfig> {
  predict(run: Run<C>): AsyncGenerator<Prediction | FailedRow>;
  score(prediction: Prediction, recipe: ResolvedRecipe): Verdict;
}

/**
 * Draws `run.check_rows` of the scored rows (Python's generator, seeded 0) and computes each again in a window of its own,
 * sharing nothing: what differs is what sharing, batching and the machine add. null when nothing is to be checked.
 */
export async function checkRows<C extends TaskConfig>(
  task: Task<C>,
  { run, report, scoring }: C,
  recipe: ResolvedRecipe,
  runOf: (only: readonly number[]) => Run<C>,
): Promise<Determinism | null> {
  if (run.check_rows === 0) return null;
  const seed = scoring.seeds?.[0];
  const path = join(report.output_dir, report.predictions_filename);
  const indices: number[] = [];
  for await (const row of readJournal(path))
    if (!('error' in row) && row.seed === seed && indices.at(-1) !== row.index) indices.push(row.index);
  const drawn = new PythonRandom(0).sample(indices.length, Math.min(run.check_rows, indices.length));
  const only = drawn.map((place) => indices[place]!).sort((a, b) => a - b);
  const again = new Map<string, Prediction>();
  for await (const prediction of task.predict(runOf(only)))
    if (!('error' in prediction)) again.set(rowKey(prediction), prediction);
  const found: Determinism = { rows: 0, largest_difference: null, flips: 0, flipped: [] };
  for await (const row of readJournal(path)) {
    if ('error' in row) continue;
    const second = again.get(rowKey(row));
    if (second === undefined) continue;
    found.rows += 1;
    const difference = distance(row, second);
    if (difference !== null) found.largest_difference = Math.max(found.largest_difference ?? 0, difference);
    const verdicts = [row, second].map((one) => task.score(one, recipe).prediction);
    if (row.output === second.output && verdicts[0] === verdicts[1]) continue;
    found.flips += 1;
    found.flipped.push(row.id);
  }
  return found;
}

/** The largest difference between two predictions' log-likelihoods; null where they have none. */
function distance(a: Prediction, b: Prediction): number | null {
  const numbers = ({ choices, letter_logprobs }: Prediction) =>
    (choices?.map(({ logprob }) => logprob) ?? letter_logprobs?.flat() ?? []).filter((value) => value !== null);
  const [first, second] = [numbers(a), numbers(b)];
  if (first.length === 0 || first.length !== second.length) return null;
  return Math.max(...first.map((value, i) => Math.abs(value - second[i]!)));
}
