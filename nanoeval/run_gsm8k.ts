/**
 * GSM8K: grade-school word problems, answered in free text; 1,319 rows of `test` (Cobbe et al. 2021,
 * https://arxiv.org/abs/2110.14168). Answers are greedy, 256 tokens at most.
 *
 * `exact_match` (primary) reads the number in the form that the shots show (lm-eval's strict-match), `flexible_extract` the
 * last number of the answer; both are compared as texts, so `18.0` is not `18`. An answer without the form counts as unparsed.
 * Recipes:
 *
 * - `lm_eval`: shots are drawn anew for each row from `train` by the harness's default sampler; calculator marks stay in them.
 * - `cot`: the eight examples of Wei et al. 2022 (https://arxiv.org/abs/2201.11903), the same for each row. Its pattern wants
 *   a character behind the number: of an answer that ends in `The answer is 18` it reads 1, as the harness does.
 * - `cot_zeroshot`: for instruct models through their chat template; only who says `The answer is 18.` is right under
 *   `exact_match`, so look at `flexible_extract` too.
 * - `card`: the SmolLM2 cards (lighteval, custom task): 5 shots, as turns of the chat template for the instruct models. Its
 *   shots are other draws there: lighteval shuffles the rows under test first. `flexible_extract` is no part of it.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import { show } from './config/messages.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { textField } from './data/row.ts';
import fixed_shots from './gsm8k_shots.json' with { type: 'json' };
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { promptFor, type Shot } from './prompt/fewshot.ts';
import { fill } from './prompt/template.ts';
import type { Example, Prediction, Verdict } from './questions.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import { type IndexedRow, UserError } from './types.ts';

interface Gsm8kRecipe extends Recipe {
  question: string;
  /** What stands before a shot's answer under a chat template; a blank does in plain text. */
  chat_delimiter: '' | ' ';
  /** `exact_match` reads the first group of the first match. */
  strict: string;
  /** Removed from what was read and from the gold, one after another, before they are compared. */
  ignored: readonly string[];
}
const greedy = (...until: string[]): Record<string, Rule> => ({
  generate: { verb: 'generate_until', primary: 'exact_match', until, max_new_tokens: 256 },
});
const lm_eval: Gsm8kRecipe = {
  about: 'lm-evaluation-harness `gsm8k`: its strict-match; flexible-extract is `flexible_extract`',
  question: 'Question: {question}\nAnswer:',
  chat_delimiter: '',
  strict: '#### (-?[0-9.,]+)',
  ignored: [',', '\\$', '\\.$'],
  num_fewshot: 5,
  strategies: greedy('Question:', '</s>', '<|im_end|>'),
};
const cot: Gsm8kRecipe = {
  ...lm_eval,
  about: 'lm-evaluation-harness `gsm8k_cot`: the same, after eight chains of thought',
  question: 'Q: {question}\nA:',
  strict: 'The answer is (-?[0-9.,]+)[^\\n]',
  num_fewshot: 8,
  fixed_shots,
  strategies: greedy('Q:', '</s>', '<|im_end|>'),
};
const { fixed_shots: _none, ...zeroshot } = cot;
export const recipes: Record<string, Gsm8kRecipe> = {
  lm_eval,
  cot,
  cot_zeroshot: {
    ...zeroshot,
    about: 'lm-evaluation-harness `gsm8k_cot_zeroshot`: the same, step by step and without examples',
    question: "Q: {question}\nA: Let's think step by step.",
    num_fewshot: 0,
  },
  card: {
    ...lm_eval,
    about: 'GSM8K of the SmolLM2 cards, but for which rows are drawn as shots',
    chat_delimiter: ' ',
    ignored: [','],
    strategies: greedy('Question:', 'Question'),
  },
};

const source = { dataset_id: 'openai/gsm8k', subset_name: 'main', split: 'test' };
export const config = taskSchema('gsm8k', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['question', 'answer'];

function readRow(row: IndexedRow) {
  const [question, answer] = [textField('gsm8k', row, 'question'), textField('gsm8k', row, 'answer')];
  const gold = strip(answer.split('####').slice(1).at(-1) ?? '');
  if (gold === '')
    throw new UserError(`gsm8k row ${row.index}: answer is ${show(answer)}. It has to end in "#### " and the number.`);
  return { question, answer, gold };
}

/** The literal words of a question. */
export function prompt(recipe: Gsm8kRecipe, question: string): string {
  return fill(recipe.question, { question });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<string>> {
  const recipe = recipes[run.recipe.name]!;
  const delimiter = run.chat ? recipe.chat_delimiter : '';
  const asShot = ({ question, answer }: Shot) => ({ question: prompt(recipe, question), answer: delimiter + answer });
  const drawnFor = await run.drawnShots(columns, (row) => asShot(readRow(row)), 0);
  const fixed = recipe.fixed_shots?.slice(0, run.recipe.numFewshot).map(asShot);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const parts = { description: '', shots: fixed ?? drawnFor(index), question: prompt(recipe, row.question) };
    yield { id: String(index), index, gold: row.gold, ask: askOf(run.recipe, promptFor(parts, run.chat), []) };
  }
}

const FLEXIBLE = /-?[$0-9.,]{2,}|-?[0-9]+/g;

/** The verdict on an answer: what the strict reading found, and both readings held against the gold. */
export function score(
  { output = '', gold }: Pick<Prediction<string>, 'output' | 'gold'>,
  recipe: Gsm8kRecipe,
): Verdict {
  const plain = (text: string | undefined) =>
    text === undefined ? null : recipe.ignored.reduce((kept, one) => kept.replace(new RegExp(one, 'g'), ''), text);
  const prediction = plain(new RegExp(recipe.strict).exec(output)?.[1]);
  const right = (found: string | null) => (found === plain(gold) ? 1 : 0);
  const correct = right(prediction);
  const flexible_extract = right(plain(output.match(FLEXIBLE)?.at(-1)));
  return { prediction, correct, metrics: { exact_match: correct, flexible_extract } };
}

export const task: Task<Config, string> = {
  name: 'gsm8k',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: (row, { name }) => score(row, recipes[name]!),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, null),
};
await main(import.meta.url, task);
