/** Recipes: what makes a number comparable, as plain data under a name. */

import { UserError } from '../types.ts';
import type { TaskConfig } from './keys.ts';

/** What a recipe fixes. Plain data: its JSON is hashed into run.json. */
export interface Recipe {
  num_fewshot: number;
  /** Strategy -> its rule; the first one is the default. */
  strategies: Record<string, Rule>;
}

/** Which metric is primary under a strategy. */
export interface Rule {
  primary: string;
  /** The length-normalised metric; null where there is none. */
  normalized: string | null;
  /** Whether the normalised one is primary unless the config says otherwise. */
  normalize_by_length: boolean;
  /** For generated answers. */
  until?: readonly string[];
  max_new_tokens?: number;
}

/** The settings of a recipe for one run, defaults filled in. Throws UserError for a strategy that the recipe lacks. */
export function resolveRecipe(task: { name: string; recipes: Readonly<Record<string, Recipe>> }, config: TaskConfig) {
  const { recipe: name, strategy, num_fewshot } = config.scoring;
  const recipe = task.recipes[name];
  if (recipe === undefined)
    throw new UserError(`"${name}" is not a recipe of ${task.name}.`, { key: 'scoring.recipe' });
  const rule = recipe.strategies[strategy];
  if (rule === undefined) {
    const offered = Object.keys(recipe.strategies).join(', ');
    throw new UserError(
      `"${strategy}" is not a strategy of the recipe "${name}" of ${task.name}. It has: ${offered}.`,
      {
        key: 'scoring.strategy',
      },
    );
  }
  const byLength = config.scoring.normalize_by_length ?? rule.normalize_by_length;
  if (byLength && rule.normalized === null) {
    throw new UserError(
      `true, but ${strategy} of the recipe "${name}" has no length-normalised metric. Leave it out.`,
      {
        key: 'scoring.normalize_by_length',
      },
    );
  }
  const primary = byLength ? (rule.normalized ?? rule.primary) : rule.primary;
  return { name, recipe, strategy, rule, primary, numFewshot: num_fewshot ?? recipe.num_fewshot };
}

export type ResolvedRecipe = ReturnType<typeof resolveRecipe>;
