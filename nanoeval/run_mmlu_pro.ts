/**
 * MMLU-Pro: 12,032 questions in 14 categories with 3 to 10 options, most of them 10 (Wang et al. 2024,
 * https://arxiv.org/abs/2406.01574). Groups are those that MMLU's paper puts its subcategories of the same names into.
 *
 * `gen_letter` reads a letter from a greedy answer step by step, after the first rows of `validation` of the same category. A
 * letter that no option has is wrong and counts as unread. Metrics:
 * - `exact_match`, lm-eval's: the letter behind the first `answer is `, bare or in brackets; nothing else is an answer;
 * - `acc`, the paper's script's: where that is not there, the letter behind `Answer:`, and then the last capital letter that
 *   stands alone (`I think so` says I). Where the script would guess at random the row is wrong and counts as unread.
 *
 * Recipes:
 * - `lm_eval`: options without blanks at their ends.
 * - `official`: the authors' `evaluate_from_local.py`: options as they are, less those that are `N/A`; shots are dropped one by
 *   one until the prompt has less than 2,048 tokens. Deviation: a worked answer that does not begin with
 *   `A: Let's think step by step. ` is shown as in `lm_eval`.
 * - `card` (with `strategy: rank_ll`): "MMLU-Pro (MCF)" of the SmolLM2 cards (lighteval, custom task): no shots; the likeliest
 *   letter, without a blank before it.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { indexField, textField, textListField } from './data/row.ts';
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { fitShots, type PromptParts, promptFor } from './prompt/fewshot.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { anyLetter, optionOf, saidLetter } from './score/answer_letter.ts';
import { letters } from './score/letters.ts';
import { rank } from './score/loglikelihood.ts';
import { chanceOf, summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import { type IndexedRow, UserError } from './types.ts';

interface MmluProRecipe extends Recipe {
  description: string;
  question: string;
  options: 'stripped' | 'as they are' | 'less N/A';
  max_prompt_tokens: number | null;
}
const FIRST = 'The following are multiple choice questions (with answers) about {category}.';
const greedy: Rule = { verb: 'generate_until', primary: 'exact_match', until: ['Question:'], max_new_tokens: 2048 };
const lm_eval: MmluProRecipe = {
  about: 'lm-evaluation-harness `mmlu_pro`: step by step after five examples of the category',
  description: `${FIRST} Think step by step and then finish your answer with "the answer is (X)" where X is the correct letter choice.\n`,
  question: "Question:\n{question}\nOptions:\n{options}Answer: Let's think step by step.",
  options: 'stripped',
  max_prompt_tokens: null,
  num_fewshot: 5,
  strategies: { gen_letter: greedy },
};
export const recipes: Record<string, MmluProRecipe> = {
  lm_eval,
  official: {
    ...lm_eval,
    about: "the paper's `evaluate_from_local.py`, without its random guesses",
    description: `${lm_eval.description}\n\n\n`,
    options: 'less N/A',
    max_prompt_tokens: 2047,
    strategies: { gen_letter: { ...greedy, primary: 'acc' } },
  },
  card: {
    ...lm_eval,
    about: '"MMLU-Pro (MCF)" of the SmolLM2 cards: the letter after a lettered list',
    description: '',
    question: `${FIRST}\n\n{question}\n{options}Answer:`,
    options: 'as they are',
    num_fewshot: 0,
    strategies: { rank_ll: { verb: 'loglikelihood', primary: 'acc' } },
  },
};

const source = { dataset_id: 'TIGER-Lab/MMLU-Pro', subset_name: 'default', split: 'test' };
const groups = {
  stem: ['biology', 'chemistry', 'computer science', 'engineering', 'math', 'physics'],
  humanities: ['history', 'law', 'philosophy'],
  social_sciences: ['economics', 'psychology'],
  others: ['business', 'health', 'other'],
};
const subjects = { column: 'category', groups, subsetOfEach: true };
export const config = taskSchema('mmlu_pro', source, recipes, { subjects });
type Config = z.infer<typeof config>;

const columns = ['question_id', 'question', 'options', 'answer', 'category'];

function readQuestion(row: IndexedRow) {
  const options = textListField('mmlu_pro', row, 'options');
  const [answer, names] = [textField('mmlu_pro', row, 'answer'), letters(options.length)];
  const found = `mmlu_pro row ${row.index}: answer is "${answer}" of ${names.length} options.`;
  if (names.length > 10 || !names.includes(answer))
    throw new UserError(`${found} It has to be the letter of one of 10 options at most.`);
  return {
    id: String(indexField('mmlu_pro', row, 'question_id')),
    category: textField('mmlu_pro', row, 'category'),
    question: textField('mmlu_pro', row, 'question'),
    options,
    gold: names.indexOf(answer),
  };
}
type Question = ReturnType<typeof readQuestion>;
/** A worked example: its answer without the beginning that the question ends in. */
type Shot = Question & { answer: string };
const readShot = (row: IndexedRow): Shot => ({
  ...readQuestion(row),
  answer: textField('mmlu_pro', row, 'cot_content').replaceAll("A: Let's think step by step. ", ''),
});

/** The literal words: description, shots and question. */
export function prompt(recipe: MmluProRecipe, row: Question, shots: readonly Shot[]): PromptParts {
  const { category } = row;
  const words = ({ question, options }: Question) => {
    const shown = recipe.options === 'less N/A' ? options.filter((text) => text !== 'N/A') : options;
    const lines = shown.map((text, i) => `${letters(10)[i]}. ${recipe.options === 'stripped' ? strip(text) : text}\n`);
    return fill(recipe.question, { category, question, options: lines.join('') });
  };
  return {
    description: fill(recipe.description, { category }),
    shots: shots.map((shot) => ({ question: words(shot), answer: shot.answer })),
    question: words(row),
  };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const shotsOf = await run.firstShots([...columns, 'cot_content'], readShot, ({ category }) => category);
  const withParts = (row: Question) => ({ ...row, parts: prompt(recipe, row, shotsOf(row.category)) });
  for await (const { index, row } of run.rows(columns, (one) => withParts(readQuestion(one)))) {
    const { id, category: subject, options, gold } = row;
    const parts = await fitShots(row.parts, recipe.max_prompt_tokens, run.countTokens);
    const choices = letters(options.length).map((letter) => ({ text: letter, continuation: letter }));
    yield { id, index, subject, options, gold, ask: askOf(run.recipe, promptFor(parts, run.chat), choices) };
  }
}

export const task: Task<Config, number> = {
  name: 'mmlu_pro',
  shots: { split: 'validation' },
  subjects,
  config,
  recipes,
  examples,
  score: ({ choices, output = '', options = [], gold }, { primary }) => {
    if (choices) return verdict(rank(choices, false), primary, gold);
    const read = (letter: string | undefined) => optionOf(letter, options.length);
    return verdict({ exact_match: read(saidLetter(output)), acc: read(anyLetter(output)) }, primary, gold);
  },
  summarize: (rows, recipe) => summarizeRows(rows, recipe, chanceOf(rows)),
};
await main(import.meta.url, task);
