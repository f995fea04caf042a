/** A prediction with its verdict. */
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { FailedRow, Prediction, Verdict } from '../questions.ts';
import type { Task } from '../task.ts';
import { readSaid } from '../text/reasoning.ts';
import { RowError } from '../types.ts';
import { failedRow, type JournalRow } from './journal.ts';

/** A generated prediction without what the model thought before it answered: what of it is scored. */
export function withoutThoughts<P extends Pick<Prediction, 'output' | 'think_opened'>>(prediction: P): P {
  const { output, think_opened } = prediction;
  return output === undefined ? prediction : { ...prediction, output: readSaid(output, think_opened).answer };
}

/** The task's verdict on a prediction, for all tasks on what was said behind all thoughts. Throws RowError. */
export async function verdictOn<C extends TaskConfig, G>(
  task: Pick<Task<C, G>, 'score'>,
  prediction: Prediction<G>,
  recipe: ResolvedRecipe,
  config?: C,
): Promise<Verdict> {
  return task.score(withoutThoughts(prediction), recipe, config);
}

/** A prediction with its verdict, keys in the order of the file format. A row that cannot be scored is a failed one. */
export async function scoredRow<C extends TaskConfig, G>(
  task: Pick<Task<C, G>, 'score'>,
  prediction: Prediction<G> | FailedRow,
  recipe: ResolvedRecipe,
  config?: C,
): Promise<JournalRow> {
  if ('error' in prediction) return prediction;
  try {
    const verdict = await verdictOn(task, prediction, recipe, config);
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
