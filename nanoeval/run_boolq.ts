/**
 * BoolQ: yes or no to a question that somebody typed into a search engine, after a passage of Wikipedia; 3,270 rows of `validation`
 * (Clark et al. 2019, https://arxiv.org/abs/1905.10044), in SuperGLUE's edition. The test split has no labels.
 *
 * The words "no" and "yes" are ranked by log-likelihood. Shots are drawn from `train` by lm-eval's default sampler; whole passages
 * make them long, and a prompt beyond the model's window loses its beginning. The recipe `lm_eval` is lm-evaluation-harness `boolq`
 * (its group `super-glue-lm-eval-v1`), which reports `acc` alone. The SmolLM2 and Qwen2.5 cards have no BoolQ.
 *
 * More rows are "yes" than "no" (62 in 100), so a model that always says "yes" is well above the chance that is given, 0.5.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { indexField, textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

interface BoolqRecipe extends Recipe {
  question: string;
  /** The words for label 0 (false) and label 1 (true). */
  words: readonly [string, string];
}
export const recipes: Record<string, BoolqRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `boolq` (SuperGLUE): "no" and "yes" after passage and question',
    question: '{passage}\nQuestion: {question}?\nAnswer:',
    words: ['no', 'yes'],
    num_fewshot: 0,
    strategies: { rank_ll: { verb: 'loglikelihood', primary: 'acc' } },
  },
};

const source = { dataset_id: 'aps/super_glue', subset_name: 'boolq', split: 'validation' };
export const config = taskSchema('boolq', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['passage', 'question', 'label'];

const readRow = (row: IndexedRow) => ({
  passage: textField('boolq', row, 'passage'),
  question: textField('boolq', row, 'question'),
  label: indexField('boolq', row, 'label'),
});
type Question = ReturnType<typeof readRow>;

/** The literal words of a question, which is published without its question mark. */
export function prompt(recipe: BoolqRecipe, { passage, question }: Question): string {
  return fill(recipe.question, { passage, question });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const shot = readRow(row);
    return { question: prompt(recipe, shot), answer: recipe.words[shot.label] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 1);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const ask = askForTexts(run, { shots: shotsFor(index), question: prompt(recipe, row) }, recipe.words);
    yield { id: String(index), index, gold: row.label, ask };
  }
}

export const task: Task<Config, number> = {
  name: 'boolq',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices, false), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.5),
};
await main(import.meta.url, task);
