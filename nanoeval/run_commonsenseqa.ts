/**
 * CommonsenseQA: questions about everyday knowledge with five options; 1,221 rows of `validation` (Talmor et al. 2019,
 * https://arxiv.org/abs/1811.00937). The test split has no answers.
 *
 * Choices are ranked by log-likelihood. Shots are drawn from `train` by lm-eval's default sampler. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `commonsense_qa`: the letter after a lettered list of the options. All letters have one
 *   length, and lm-eval reports `acc` alone.
 * - `cloze`: the SmolLM2 cards (lighteval, custom task): the option texts after the bare question, not shown before, compared by
 *   characters (`acc_norm`); under a chat template an option keeps the blank before it.
 *
 * lm-eval reads the answer as a letter from A to E and takes the options as they stand. Rows whose labels are not A to E in this
 * order fail here, since the two would be at odds.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { labelledOptions, textField } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { letters } from './score/letters.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import { type IndexedRow, UserError } from './types.ts';

interface CommonsenseqaRecipe extends Recipe {
  question: string;
  /** Blanks at the question's ends go. */
  strip: boolean;
  ranked: 'letter' | 'text';
  /** What stands before a choice under a chat template; a blank does in plain text. */
  chat_delimiter: '' | ' ';
}
const accuracy: Rule = { verb: 'loglikelihood', primary: 'acc' };
export const recipes: Record<string, CommonsenseqaRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `commonsense_qa`: the letter after a lettered list',
    question: 'Question: {question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\nE. {E}\nAnswer:',
    strip: true,
    ranked: 'letter',
    chat_delimiter: '',
    num_fewshot: 0,
    strategies: { rank_ll: accuracy },
  },
  cloze: {
    about: 'CommonsenseQA of the SmolLM2 cards: the option texts after the bare question',
    question: '{question}',
    strip: false,
    ranked: 'text',
    chat_delimiter: ' ',
    num_fewshot: 0,
    strategies: { rank_ll: { ...accuracy, normalized: 'acc_norm', normalize_by_length: true } },
  },
};

const source = { dataset_id: 'tau/commonsense_qa', subset_name: 'default', split: 'validation' };
export const config = taskSchema('commonsenseqa', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['id', 'question', 'choices', 'answerKey'];
const LETTERS = letters(5);

function readRow(row: IndexedRow) {
  const { texts, labels, gold } = labelledOptions('commonsenseqa', row);
  if (labels.join() !== LETTERS.join())
    throw new UserError(
      `commonsenseqa row ${row.index}: choices.label is ${labels.join(', ')}. It has to be ${LETTERS.join(', ')}.`,
    );
  const text = (column: string) => textField('commonsenseqa', row, column);
  return { id: text('id'), question: text('question'), texts, gold };
}
type Question = ReturnType<typeof readRow>;

/** The literal words: the question, and the choices as they are scored. */
export function prompt(recipe: CommonsenseqaRecipe, { question, texts }: Question) {
  const options = Object.fromEntries(texts.map((text, i) => [LETTERS[i]!, text]));
  return {
    question: fill(recipe.question, { ...options, question: recipe.strip ? strip(question) : question }),
    choices: recipe.ranked === 'letter' ? LETTERS : texts,
  };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const shot = readRow(row);
    const { question, choices } = prompt(recipe, shot);
    return { question, answer: choices[shot.gold] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 1);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const { question, choices } = prompt(recipe, row);
    const ask = askForTexts(run, { shots: shotsFor(index), question }, choices, recipe.chat_delimiter);
    yield { id: row.id, index, gold: row.gold, ask };
  }
}

export const task: Task<Config, number> = {
  name: 'commonsenseqa',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary, rule }) =>
    verdict(rank(choices, rule.normalized !== undefined), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.2),
};
await main(import.meta.url, task);
