/** What a run is before the first row: everything that its config names, opened and described. */
import type { TaskConfig } from '../config/keys.ts';
import { OF_TEXTS, type ResolvedRecipe } from '../config/recipe.ts';
import { openSplit } from '../data/rows.ts';
import type { Task } from '../task.ts';
import type { Log, Split } from '../types.ts';
import { checkModel, usesChat } from './check.ts';
import type { FoundModel, Models } from './models.ts';
import { describeRun, type RunRecord } from './record.ts';
import { type Selection, selectRows } from './selection.ts';
import { checkApart, openShots } from './shots.ts';
import { templateDate } from './template_date.ts';

export interface Plan<C extends TaskConfig = TaskConfig, G = unknown> {
  task: Task<C, G>;
  config: C;
  recipe: ResolvedRecipe;
  /** The split under test, and the one that shots come from (null: the run has none). */
  split: Split;
  shots: Split | null;
  found: FoundModel;
  /** Prompts go through the chat template. */
  chat: boolean;
  /** The rows of each seed. */
  selections: Selection[];
  /** Rows carry their seed: the config names several. */
  manySeeds: boolean;
  record: RunRecord;
}

/**
 * Opens data and model, the rows before the weights: a misspelt split does not wait for a download of gigabytes. Throws
 * UserError and OutsideError.
 */
export async function openPlan<C extends TaskConfig, G>(
  task: Task<C, G>,
  config: C,
  recipe: ResolvedRecipe,
  models: Models,
  options: { log: Log; signal: AbortSignal; today?: string },
): Promise<Plan<C, G>> {
  const { dataset, scoring } = config;
  const split = await openSplit({ ...dataset, path: dataset.path ?? null }, options);
  const shots = await openShots(task.shots?.split, config, recipe, options);
  checkApart(split, shots, recipe);
  const found = await models.find(config);
  checkModel(task, config, recipe, found);
  // A text is scored as it stands.
  const chat = !OF_TEXTS.has(recipe.verb) && usesChat(config, found.identity);
  const date = templateDate(config, options.today);
  const record = await describeRun(task.name, config, recipe, { found, chat, split, shots, date });
  const selections: Selection[] = [];
  for (const seed of scoring.seeds ?? [scoring.seed]) selections.push(await selectRows(task, config, split, seed));
  const manySeeds = scoring.seeds !== undefined;
  return { task, config, recipe, split, shots, found, chat, selections, manySeeds, record };
}

/** Lines of predictions.jsonl that the whole run has. */
export function expectedRows({ selections, config }: Pick<Plan, 'selections' | 'config'>): number {
  return selections.reduce((sum, { count }) => sum + count, 0) * config.scoring.samples_per_prompt;
}
