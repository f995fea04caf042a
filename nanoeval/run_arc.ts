/**
 * ARC: grade-school science questions with 3, 4 or 5 options; 2,376 (ARC-Easy) and 1,172 (ARC-Challenge) rows of `test`
 * (Clark et al. 2018, https://arxiv.org/abs/1803.05457). `dataset.subset_name` chooses the set.
 *
 * The option texts are ranked by log-likelihood and not shown before. Options are labelled A to E or 1 to 5; labels are
 * never part of the prompt. Shots are drawn from `train` by lm-eval's default sampler. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `arc_easy` and `arc_challenge`; it reports `acc` and `acc_norm` side by side, and
 *   `acc_norm` is primary here, as on the leaderboards that used it (`num_fewshot: 25` for theirs).
 * - `cloze`: the SmolLM2 cards (lighteval, custom task): without a chat template the same requests as `lm_eval`, with one an
 *   option keeps the blank before it. "ARC (Average)" there is the plain mean of the two sets.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { labelledOptions, textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { chanceOf, summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

interface ArcRecipe extends Recipe {
  question: string;
  /** What stands before an option under a chat template; a blank does in plain text. */
  chat_delimiter: '' | ' ';
}
const perChar: Rule = { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm', normalize_by_length: true };
const lm_eval: ArcRecipe = {
  about:
    'lm-evaluation-harness `arc_easy`, `arc_challenge`: the option texts after the question; 25 shots with `num_fewshot: 25`',
  question: 'Question: {question}\nAnswer:',
  chat_delimiter: '',
  num_fewshot: 0,
  strategies: { rank_ll: perChar },
};
export const recipes: Record<string, ArcRecipe> = {
  lm_eval,
  cloze: { ...lm_eval, about: '"ARC (Average)" of the SmolLM2 cards, as the mean of both sets', chat_delimiter: ' ' },
};

const source = { dataset_id: 'allenai/ai2_arc', subset_name: 'ARC-Challenge', split: 'test' };
export const config = taskSchema('arc', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['id', 'question', 'choices', 'answerKey'];

const readRow = (row: IndexedRow) => ({
  ...labelledOptions('arc', row),
  id: textField('arc', row, 'id'),
  question: textField('arc', row, 'question'),
});

/** The literal words of a question. */
export function prompt(recipe: ArcRecipe, question: string): string {
  return fill(recipe.question, { question });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const shotsFor = await run.drawnShots(
    columns,
    (indexed) => {
      const { question, texts, gold } = readRow(indexed);
      return { question: prompt(recipe, question), answer: texts[gold] ?? '' };
    },
    0,
  );
  for await (const { index, row } of run.rows(columns, readRow)) {
    const { id, question, texts, gold } = row;
    const parts = { shots: shotsFor(index), question: prompt(recipe, question) };
    yield { id, index, gold, ask: askForTexts(run, parts, texts, recipe.chat_delimiter) };
  }
}

export const task: Task<Config, number> = {
  name: 'arc',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, chanceOf(rows)),
};
await main(import.meta.url, task);
