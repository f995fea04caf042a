/**
 * OpenBookQA: elementary science questions with four options, whose answers take a fact and common knowledge; 500 rows of `test`
 * (Mihaylov et al. 2018, https://arxiv.org/abs/1809.02789). The book of facts is not shown.
 *
 * The option texts are ranked by log-likelihood after the bare stem, which often is the beginning of a sentence, and not shown
 * before. Shots are drawn from `train` by lm-eval's default sampler. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `openbookqa`; it reports `acc` and `acc_norm` side by side, and `acc_norm` is primary here,
 *   as on the cards.
 * - `cloze`: the SmolLM2 cards (lighteval, custom task): without a chat template the same requests as `lm_eval`, with one an
 *   option keeps the blank before it.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { labelledOptions, textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { chanceOf, summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

interface OpenbookqaRecipe extends Recipe {
  /** What stands before an option under a chat template; a blank does in plain text. */
  chat_delimiter: '' | ' ';
}
const perChar: Rule = { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm', normalize_by_length: true };
const lm_eval: OpenbookqaRecipe = {
  about: 'lm-evaluation-harness `openbookqa`: the option texts after the stem; its acc is recorded too',
  chat_delimiter: '',
  num_fewshot: 0,
  strategies: { rank_ll: perChar },
};
export const recipes: Record<string, OpenbookqaRecipe> = {
  lm_eval,
  cloze: { ...lm_eval, about: 'OpenBookQA of the SmolLM2 cards: the same', chat_delimiter: ' ' },
};

const source = { dataset_id: 'allenai/openbookqa', subset_name: 'main', split: 'test' };
export const config = taskSchema('openbookqa', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['id', 'question_stem', 'choices', 'answerKey'];

/** `stem` is the prompt, word for word. */
const readRow = (row: IndexedRow) => ({
  ...labelledOptions('openbookqa', row),
  id: textField('openbookqa', row, 'id'),
  stem: textField('openbookqa', row, 'question_stem'),
});

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const { stem, texts, gold } = readRow(row);
    return { question: stem, answer: texts[gold] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 0);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const { id, stem, texts, gold } = row;
    const parts = { shots: shotsFor(index), question: stem };
    yield { id, index, gold, ask: askForTexts(run, parts, texts, recipe.chat_delimiter) };
  }
}

export const task: Task<Config, number> = {
  name: 'openbookqa',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, chanceOf(rows)),
};
await main(import.meta.url, task);
