/**
 * TriviaQA: quiz questions whose answer goes by several names; 17,944 rows of `validation` in `rc.nocontext`, so without the
 * pages that the answer could be read from (Joshi et al. 2017, https://arxiv.org/abs/1705.03551); 11,313 in
 * `subset_name: unfiltered.nocontext`. The test split has no answers.
 *
 * Answers are greedy. `exact_match`: what was said is one of the aliases, letter for letter but for case and ASCII punctuation;
 * articles count (the paper's script drops them, and looks at `normalized_aliases`). Recipes:
 *
 * - `lm_eval`: 5 shots, as is usual (the harness takes 0 unless told otherwise), drawn anew for each row from `train`. A question
 *   mark is put behind the question, which mostly has one. The answer ends at a line's end, a full stop or a comma, so `St. Louis`
 *   is read as `St`. Where an alias is punctuation alone an empty answer is right, as there.
 * - `card`: the SmolLM2 base cards (lighteval, custom task): no shots, 20 tokens at most, and all of what was said is compared: a
 *   model that goes on talking is wrong. Aliases that begin with another one are left out there, and so here.
 *
 * Deviation: NumPy cuts a text that lower-casing makes longer (`İ`), so that the harness misses such an answer now and then.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { textField, textListField } from './data/row.ts';
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { promptFor } from './prompt/fewshot.ts';
import { fill } from './prompt/template.ts';
import type { Example, Prediction, Verdict } from './questions.ts';
import { bareText } from './score/answers.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import { type IndexedRow, UserError } from './types.ts';

interface TriviaqaRecipe extends Recipe {
  question: string;
  /** Which aliases are right: all of them as they stand, or those that begin with no other one, without blanks at their ends. */
  aliases: 'all' | 'shortest';
}
const greedy = (max_new_tokens: number, ...until: string[]): Record<string, Rule> => ({
  generate: { verb: 'generate_until', primary: 'exact_match', until, max_new_tokens },
});
export const recipes: Record<string, TriviaqaRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `triviaqa` with 5 shots; 0 with `num_fewshot: 0`',
    question: 'Question: {question}?\nAnswer:',
    aliases: 'all',
    num_fewshot: 5,
    strategies: greedy(256, '\n', '.', ','),
  },
  card: {
    about: 'TriviaQA of the SmolLM2 base cards: all of 20 tokens is the answer',
    question: 'Question: {question}\nAnswer:',
    aliases: 'shortest',
    num_fewshot: 0,
    strategies: greedy(20, 'Question:', 'Question'),
  },
};

const source = { dataset_id: 'mandarjoshi/trivia_qa', subset_name: 'rc.nocontext', split: 'validation' };
export const config = taskSchema('triviaqa', source, recipes);
type Config = z.infer<typeof config>;

/** What is right: the first alias, which shots show, and all of them. */
interface Gold {
  label: string;
  aliases: readonly string[];
}

const columns = ['question_id', 'question', 'answer'];

function readRow(row: IndexedRow) {
  const aliases = textListField('triviaqa', row, 'answer.aliases');
  const [label] = aliases;
  if (label === undefined)
    throw new UserError(`triviaqa row ${row.index}: answer.aliases is empty. It has to have one text at least.`);
  const gold: Gold = { label, aliases };
  return { id: textField('triviaqa', row, 'question_id'), question: textField('triviaqa', row, 'question'), gold };
}

/** The literal words of a question. */
export function prompt(recipe: TriviaqaRecipe, question: string): string {
  return fill(recipe.question, { question });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<Gold>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const { question, gold } = readRow(row);
    return { question: prompt(recipe, question), answer: gold.label };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 1);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const parts = { description: '', shots: shotsFor(index), question: prompt(recipe, row.question) };
    yield { id: row.id, index, gold: row.gold, ask: askOf(run.recipe, promptFor(parts, run.chat), []) };
  }
}

/** The aliases that begin with no other one. */
function shortest(aliases: readonly string[]): string[] {
  const kept: string[] = [];
  for (const alias of aliases.toSorted()) if (kept.length === 0 || !alias.startsWith(kept.at(-1)!)) kept.push(alias);
  return kept;
}

/** The verdict on an answer: what of it is compared, and whether it is an alias. */
export function score(
  { output = '', gold }: Pick<Prediction<Gold>, 'output' | 'gold'>,
  recipe: TriviaqaRecipe,
): Verdict {
  const prediction = bareText(strip(output));
  const isAll = recipe.aliases === 'all';
  const right = isAll ? gold.aliases.map(bareText) : shortest(gold.aliases).map((alias) => strip(bareText(alias)));
  const correct = right.includes(prediction) && (isAll || output !== '') ? 1 : 0;
  return { prediction, correct, metrics: { exact_match: correct } };
}

export const task: Task<Config, Gold> = {
  name: 'triviaqa',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: (row, { name }) => score(row, recipes[name]!),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, null),
};
await main(import.meta.url, task);
