/** Recipes: what makes a number comparable, as plain data under a name. */
import type { Verb } from '../questions.ts';
import { type Measure, UserError } from '../types.ts';
import type { TaskConfig } from './keys.ts';

/** What a recipe fixes. Plain data: its JSON is hashed into run.json. */
export interface Recipe {
  num_fewshot: number;
  /** Worked examples of its own, the first `num_fewshot` of them, in place of rows of the shots' split, which is not opened then. */
  fixed_shots?: readonly { question: string; answer: string }[];
  /** Strategy -> its rule; the first one is the default. */
  strategies: Record<string, Rule>;
  /** For the table of recipes in README.md: whose words they are, and what a number of theirs may be compared with. */
  about: string;
}

/** How rows are asked and judged under a strategy. Unit and direction are those of its primary metric: a share, higher is better. */
export interface Rule extends Partial<Measure> {
  verb: Verb;
  primary: string;
  /** The length-normalised metric, where there is one. */
  normalized?: string;
  /** Whether the normalised one is primary unless the config says otherwise. */
  normalize_by_length?: boolean;
  /** For generated answers: texts that end them, and their limit in tokens. */
  until?: readonly string[];
  max_new_tokens?: number;
  /** What the primary metric has to reach unless `run.require` says otherwise. */
  require?: number;
}

/** Verbs that are asked about a text as it stands: no template, no worked examples. */
export const OF_TEXTS: ReadonlySet<Verb> = new Set<Verb>(['loglikelihood_rolling', 'classify']);

/** Tokens of a generated answer where neither config nor recipe limits it. */
const MOST_NEW_TOKENS = 256;

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
      { key: 'scoring.strategy' },
    );
  }
  const byLength = config.scoring.normalize_by_length ?? rule.normalize_by_length ?? false;
  if (byLength && rule.normalized === undefined) {
    throw new UserError(
      `true, but ${strategy} of the recipe "${name}" has no length-normalised metric. Leave it out.`,
      { key: 'scoring.normalize_by_length' },
    );
  }
  return {
    name,
    recipe,
    strategy,
    rule,
    verb: rule.verb,
    primary: byLength ? (rule.normalized ?? rule.primary) : rule.primary,
    unit: rule.unit ?? ('share' as const),
    better: rule.better ?? ('higher' as const),
    numFewshot: num_fewshot ?? recipe.num_fewshot,
    until: rule.until ?? [],
    maxNewTokens: config.scoring.max_new_tokens ?? rule.max_new_tokens ?? MOST_NEW_TOKENS,
    required: config.run.require ?? rule.require ?? null,
  };
}

export type ResolvedRecipe = ReturnType<typeof resolveRecipe>;

/** What of a recipe decides which words are asked and how they are judged: what is hashed. Prose about it is not. */
export function recipeData({ about: _prose, ...data }: Recipe): Omit<Recipe, 'about'> {
  return data;
}
