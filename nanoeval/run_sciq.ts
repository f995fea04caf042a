/**
 * SciQ: science questions from textbooks with four options, after a passage that supports the right one; 1,000 rows of `test`
 * (Welbl et al. 2017, https://arxiv.org/abs/1707.06209). Some rows have no passage.
 *
 * The option texts are ranked by log-likelihood, the three wrong ones first, and not shown before. Shots are drawn from `train` by
 * lm-eval's default sampler. The recipe `lm_eval` is lm-evaluation-harness `sciq`: blanks before the passage go, and where there is no
 * passage the prompt begins with a line end. It reports `acc` and `acc_norm` side by side, and `acc`, the paper's metric, is primary
 * here. The SmolLM2 and Qwen2.5 cards have no SciQ.
 *
 * The right option is always the last one: where all are equally likely the first wins, and the row is wrong.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { lstrip } from './text/python_text.ts';
import type { IndexedRow } from './types.ts';

interface SciqRecipe extends Recipe {
  question: string;
}
export const recipes: Record<string, SciqRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `sciq`: the option texts after passage and question; its acc_norm is recorded too',
    question: '{support}\nQuestion: {question}\nAnswer:',
    num_fewshot: 0,
    strategies: { rank_ll: { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm' } },
  },
};

const source = { dataset_id: 'allenai/sciq', subset_name: 'default', split: 'test' };
export const config = taskSchema('sciq', source, recipes);
type Config = z.infer<typeof config>;

/** In the order in which they are ranked. */
const OPTIONS = ['distractor1', 'distractor2', 'distractor3', 'correct_answer'];
const RIGHT = OPTIONS.indexOf('correct_answer');
const columns = ['support', 'question', ...OPTIONS];

const readRow = (row: IndexedRow) => ({
  support: textField('sciq', row, 'support'),
  question: textField('sciq', row, 'question'),
  options: OPTIONS.map((column) => textField('sciq', row, column)),
});
type Question = ReturnType<typeof readRow>;

/** The literal words of a question. */
export function prompt(recipe: SciqRecipe, { support, question }: Question): string {
  return fill(recipe.question, { support: lstrip(support), question });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const shot = readRow(row);
    return { question: prompt(recipe, shot), answer: shot.options[RIGHT]! };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 0);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const ask = askForTexts(run, { shots: shotsFor(index), question: prompt(recipe, row) }, row.options);
    yield { id: String(index), index, gold: RIGHT, ask };
  }
}

export const task: Task<Config, number> = {
  name: 'sciq',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.25),
};
await main(import.meta.url, task);
