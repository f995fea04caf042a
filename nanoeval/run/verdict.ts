/** A prediction with its verdict. */
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { FailedRow, Prediction } from '../questions.ts';
import type { Task } from '../task.ts';
import { RowError } from '../types.ts';
import { failedRow, type JournalRow } from './journal.ts';

/** A prediction with its verdict, keys in the order of the file format. A row that cannot be scored is a failed one. */
export async function scoredRow<C extends TaskConfig, G>(
  task: Pick<Task<C, G>, 'score'>,
  prediction: Prediction<G> | FailedRow,
  recipe: ResolvedRecipe,
  config?: C,
): Promise<JournalRow> {
  if ('error' in prediction) return prediction;
  try {
    const verdict = await task.score(prediction, recipe, config);
    const { task: name, id, index, seed, sample, group, subject, gold, ...answer } = prediction;
    return {
      task: name,
      id,
      index,
      ...(seed === undefined ? {} : { seed }),
      ...(sample === undefined ? {} : { sample }),
      ...(group === undefined ? {} : { group }),
      ...(subject === undefined ? {} : { subject }),
      gold,
      ...verdict,
      ...answer,
    };
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    return failedRow(prediction, error.kind, error.message);
  }
}
