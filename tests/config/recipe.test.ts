import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskConfig } from '../../nanoeval/config/keys.ts';
import { type Recipe, recipeData, resolveRecipe } from '../../nanoeval/config/recipe.ts';
import { recipes as hellaswag, config as hellaswagConfig } from '../../nanoeval/run_hellaswag.ts';
import { recipes as mmlu, config as mmluConfig } from '../../nanoeval/run_mmlu.ts';
import { UserError } from '../../nanoeval/types.ts';

const recipes: Record<string, Recipe> = {
  lm_eval: {
    about: 'a toy',
    num_fewshot: 5,
    strategies: {
      rank_ll: { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm', normalize_by_length: true },
      gen_letter: { verb: 'generate_until', primary: 'exact_match', until: ['.'], max_new_tokens: 8 },
      free: { verb: 'generate_until', primary: 'rouge' },
      rolling_ll: { verb: 'loglikelihood_rolling', primary: 'perplexity', unit: 'number', better: 'lower' },
    },
  },
};
const scoring = (settings: object) => ({
  scoring: { recipe: 'lm_eval', strategy: 'rank_ll', seed: 1, ...settings },
  run: {},
});
const resolve = (settings: object = {}) => resolveRecipe({ name: 'toy', recipes }, scoring(settings) as TaskConfig);

test('the recipe fills in what the config leaves open', () => {
  const resolved = resolve();
  assert.equal(resolved.name, 'lm_eval');
  assert.equal(resolved.numFewshot, 5);
  assert.equal(resolved.primary, 'acc_norm');
  assert.equal(resolved.recipe, recipes.lm_eval);
  assert.equal(resolved.rule, recipes.lm_eval?.strategies.rank_ll);
});

test('what the config says goes first; 0 shots are 0', () => {
  assert.equal(resolve({ num_fewshot: 0 }).numFewshot, 0);
  assert.equal(resolve({ normalize_by_length: false }).primary, 'acc');
  assert.equal(resolve({ normalize_by_length: true }).primary, 'acc_norm');
  assert.equal(resolve({ strategy: 'gen_letter' }).primary, 'exact_match');
  assert.equal(resolve({ strategy: 'gen_letter', normalize_by_length: false }).primary, 'exact_match');
});

test('what the rule leaves open: a share, higher is better; no stops and 256 tokens', () => {
  const asked = (settings: object) => {
    const { verb, unit, better, until, maxNewTokens } = resolve(settings);
    return [verb, unit, better, until, maxNewTokens];
  };
  assert.deepEqual(asked({}), ['loglikelihood', 'share', 'higher', [], 256]);
  assert.deepEqual(asked({ strategy: 'gen_letter' }), ['generate_until', 'share', 'higher', ['.'], 8]);
  assert.deepEqual(asked({ strategy: 'gen_letter', max_new_tokens: 3 })[4], 3);
  assert.deepEqual(asked({ strategy: 'free' }), ['generate_until', 'share', 'higher', [], 256]);
  assert.deepEqual(asked({ strategy: 'free', max_new_tokens: 300 })[4], 300);
  assert.deepEqual(asked({ strategy: 'rolling_ll' }), ['loglikelihood_rolling', 'number', 'lower', [], 256]);
});

function refused(settings: object, key: string, message: string): void {
  assert.throws(
    () => resolve(settings),
    (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.deepEqual([error.key, error.message], [key, message]);
      return true;
    },
  );
}

test('what the recipe does not have is an error that knows its key', () => {
  refused({ recipe: 'helm' }, 'scoring.recipe', '"helm" is not a recipe of toy.');
  refused(
    { strategy: 'generate' },
    'scoring.strategy',
    '"generate" is not a strategy of the recipe "lm_eval" of toy. It has: rank_ll, gen_letter, free, rolling_ll.',
  );
  refused(
    { strategy: 'gen_letter', normalize_by_length: true },
    'scoring.normalize_by_length',
    'true, but gen_letter of the recipe "lm_eval" has no length-normalised metric. Leave it out.',
  );
});

test('primary metric and shots of every recipe, as benchmarks.md 2 and 3 give them', () => {
  const table: [task: 'mmlu' | 'hellaswag', recipe: string, strategy: string, primary: string, shots: number][] = [
    ['mmlu', 'lm_eval', 'rank_ll', 'acc', 5],
    ['mmlu', 'lm_eval', 'gen_letter', 'exact_match', 5],
    ['mmlu', 'lm_eval_continuation', 'rank_ll', 'acc', 5],
    ['mmlu', 'hendrycks', 'rank_ll', 'acc', 5],
    ['mmlu', 'cloze', 'rank_ll', 'acc_norm', 0],
    ['mmlu', 'nanoeval', 'rank_ll', 'acc', 0],
    ['mmlu', 'nanoeval', 'gen_letter', 'acc', 0],
    ['hellaswag', 'lm_eval', 'rank_ll', 'acc_norm', 0],
    ['hellaswag', 'lighteval', 'rank_ll', 'acc_norm', 0],
    ['hellaswag', 'cloze', 'rank_ll', 'acc_norm', 0],
    ['hellaswag', 'nanogpt', 'rank_ll', 'acc_token', 0],
    ['hellaswag', 'llama_cpp', 'rank_ll', 'acc_token', 0],
    ['hellaswag', 'nanoeval', 'rank_ll', 'acc', 0],
  ];
  const tasks = {
    mmlu: { recipes: mmlu, config: mmluConfig },
    hellaswag: { recipes: hellaswag, config: hellaswagConfig },
  };
  for (const [name, recipe, strategy, primary, shots] of table) {
    const { recipes: known, config } = tasks[name];
    const parsed = config.parse({ task: name, model: { model_id: 'a/b' }, scoring: { recipe, strategy } });
    const resolved = resolveRecipe({ name, recipes: known }, parsed);
    assert.deepEqual([resolved.primary, resolved.numFewshot], [primary, shots], `${name} ${recipe} ${strategy}`);
  }
  const pairs = Object.entries(tasks).flatMap(([name, task]) =>
    Object.entries(task.recipes).flatMap(([recipe, { strategies }]) =>
      Object.keys(strategies).map((strategy) => `${name} ${recipe} ${strategy}`),
    ),
  );
  assert.deepEqual(table.map(([name, recipe, strategy]) => `${name} ${recipe} ${strategy}`).sort(), pairs.sort());
});

test('a recipe is plain data: its JSON, which is hashed, loses nothing', () => {
  for (const recipe of [...Object.values(mmlu), ...Object.values(hellaswag)])
    assert.deepEqual(JSON.parse(JSON.stringify(recipe)), recipe);
});

test('what is hashed of a recipe is all of it but the prose about it', () => {
  const recipe = recipes.lm_eval!;
  const { about: _prose, ...rest } = recipe;
  assert.deepEqual(recipeData(recipe), rest);
  assert.deepEqual(recipeData({ ...recipe, about: 'other words' }), recipeData(recipe));
  assert.notDeepEqual(recipeData({ ...recipe, num_fewshot: 4 }), recipeData(recipe));
  // A task's own settings are part of it.
  assert.deepEqual(Object.keys(recipeData(mmlu.hendrycks!)).includes('question'), true);
});

test('what the primary metric has to reach: what the config says, else the rule, else nothing', () => {
  const rule = { verb: 'generate_until' as const, primary: 'acc' };
  const recipe = (require?: number) => ({
    about: 'x',
    num_fewshot: 0,
    strategies: { rank_ll: { ...rule, ...(require === undefined ? {} : { require }) } },
  });
  const config = (require?: number) =>
    mmluConfig.parse({ task: 'mmlu', model: { model_id: 'a/b' }, run: require === undefined ? {} : { require } });
  const required = (rules?: number, asked?: number) =>
    resolveRecipe({ name: 'mmlu', recipes: { lm_eval: recipe(rules) } }, config(asked)).required;
  assert.deepEqual([required(), required(1), required(1, 0.5), required(undefined, 0)], [null, 1, 0.5, 0]);
});
