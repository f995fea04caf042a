/**
 * PIQA: which of two solutions reaches a goal of everyday life; 1,838 rows of `validation` (Bisk et al. 2020,
 * https://arxiv.org/abs/1911.11641). The test split has no labels.
 *
 * The two solutions are ranked by log-likelihood and not shown before. Shots are drawn from `train` by lm-eval's default
 * sampler. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `piqa`; it reports `acc` and `acc_norm` side by side, and `acc`, the paper's metric, is
 *   primary here.
 * - `cloze`: the SmolLM2 cards (lighteval, custom task), `acc_norm`: without a chat template the same requests as `lm_eval`, with
 *   one a solution keeps the blank before it.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { indexField, textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

interface PiqaRecipe extends Recipe {
  question: string;
  /** What stands before a solution under a chat template; a blank does in plain text. */
  chat_delimiter: '' | ' ';
}
const perChar: Rule = { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm' };
const lm_eval: PiqaRecipe = {
  about: 'lm-evaluation-harness `piqa`: the solutions after the goal; its acc_norm is recorded too',
  question: 'Question: {goal}\nAnswer:',
  chat_delimiter: '',
  num_fewshot: 0,
  strategies: { rank_ll: perChar },
};
export const recipes: Record<string, PiqaRecipe> = {
  lm_eval,
  cloze: {
    ...lm_eval,
    about: 'PIQA of the SmolLM2 cards: the same, by characters',
    chat_delimiter: ' ',
    strategies: { rank_ll: { ...perChar, normalize_by_length: true } },
  },
};

const source = { dataset_id: 'baber/piqa', subset_name: 'default', split: 'validation' };
export const config = taskSchema('piqa', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['goal', 'sol1', 'sol2', 'label'];

const readRow = (row: IndexedRow) => ({
  goal: textField('piqa', row, 'goal'),
  solutions: [textField('piqa', row, 'sol1'), textField('piqa', row, 'sol2')],
  label: indexField('piqa', row, 'label'),
});

/** The literal words of a goal. */
export function prompt(recipe: PiqaRecipe, goal: string): string {
  return fill(recipe.question, { goal });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const { goal, solutions, label } = readRow(row);
    return { question: prompt(recipe, goal), answer: solutions[label] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 1);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const parts = { shots: shotsFor(index), question: prompt(recipe, row.goal) };
    const ask = askForTexts(run, parts, row.solutions, recipe.chat_delimiter);
    yield { id: String(index), index, gold: row.label, ask };
  }
}

export const task: Task<Config, number> = {
  name: 'piqa',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.5),
};
await main(import.meta.url, task);
