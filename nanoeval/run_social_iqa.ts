/**
 * Social IQa: what people in a small scene feel, want or do next, three answers; 1,954 rows of `validation` (Sap et al. 2019,
 * https://arxiv.org/abs/1904.09728). The test split is not public.
 *
 * The answers are ranked by log-likelihood and not shown before. Shots are drawn from `train` by lm-eval's default sampler.
 * Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `social_iqa`, which reports `acc` alone.
 * - `cloze`: the custom task `siqa` of huggingface/cosmopedia (lighteval), there on 1,000 rows: the answers after the bare scene
 *   and question, compared by characters (`acc_norm`; its `acc` is recorded too); under a chat template an answer keeps the
 *   blank before it. The SmolLM2 and Qwen2.5 cards have no Social IQa.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { labelField, textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

interface SocialIqaRecipe extends Recipe {
  question: string;
  /** What stands before an answer under a chat template; a blank does in plain text. */
  chat_delimiter: '' | ' ';
}
const accuracy: Rule = { verb: 'loglikelihood', primary: 'acc' };
export const recipes: Record<string, SocialIqaRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `social_iqa`: the answers after scene and question',
    question: 'Q: {context} {question}\nA:',
    chat_delimiter: '',
    num_fewshot: 0,
    strategies: { rank_ll: accuracy },
  },
  cloze: {
    about: "cosmopedia's custom task `siqa` for lighteval, on all rows: the answers after the bare scene and question",
    question: '{context} {question}',
    chat_delimiter: ' ',
    num_fewshot: 0,
    strategies: { rank_ll: { ...accuracy, normalized: 'acc_norm', normalize_by_length: true } },
  },
};

const source = { dataset_id: 'lighteval/siqa', subset_name: 'default', split: 'validation' };
export const config = taskSchema('social_iqa', source, recipes);
type Config = z.infer<typeof config>;

const ANSWERS = ['answerA', 'answerB', 'answerC'];
const columns = ['context', 'question', ...ANSWERS, 'label'];

const readRow = (row: IndexedRow) => ({
  context: textField('social_iqa', row, 'context'),
  question: textField('social_iqa', row, 'question'),
  answers: ANSWERS.map((column) => textField('social_iqa', row, column)),
  gold: labelField('social_iqa', row, 'label', ['1', '2', '3']),
});
type Question = ReturnType<typeof readRow>;

/** The literal words of a scene and its question. */
export function prompt(recipe: SocialIqaRecipe, { context, question }: Question): string {
  return fill(recipe.question, { context, question });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const shot = readRow(row);
    return { question: prompt(recipe, shot), answer: shot.answers[shot.gold] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 1);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const parts = { shots: shotsFor(index), question: prompt(recipe, row) };
    const ask = askForTexts(run, parts, row.answers, recipe.chat_delimiter);
    yield { id: String(index), index, gold: row.gold, ask };
  }
}

export const task: Task<Config, number> = {
  name: 'social_iqa',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary, rule }) =>
    verdict(rank(choices, rule.normalized !== undefined), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 1 / 3),
};
await main(import.meta.url, task);
