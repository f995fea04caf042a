/**
 * WinoGrande: which of two names or things fills the gap of a sentence; 1,267 rows of `validation` (Sakaguchi et al. 2019,
 * https://arxiv.org/abs/1907.10641). The test split has no labels; `train` of `winogrande_xl` has 40,398 rows.
 *
 * Both recipes fill the first `_` of the sentence and rank by log-likelihood. Shots are whole sentences, drawn from `train` by
 * lm-eval's default sampler. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `winogrande`, partial evaluation (Trinh and Le 2018): an option ends the context, so
 *   each has a context of its own, and the rest of the sentence is scored after it. It is the same rest for both, and lm-eval
 *   reports `acc` alone.
 * - `cloze`: the SmolLM2 cards (lighteval, custom task): option and rest are scored together after the sentence's beginning, and
 *   compared by characters (`acc_norm`). The blank before the gap stays at the end of the context; tokenisation moves it.
 *
 * A sentence without `_`, on which both harnesses stop, is a row that fails; one with two of them, on which lighteval stops, is
 * cut at the first.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { labelField, textField } from './data/row.ts';
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { promptFor, type Shot } from './prompt/fewshot.ts';
import type { Ask, Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import { type IndexedRow, UserError } from './types.ts';

interface WinograndeRecipe extends Recipe {
  /** Where an option stands: at the end of a context of its own, or at the beginning of what is scored. */
  option: 'in_context' | 'in_continuation';
}
const accuracy: Rule = { verb: 'loglikelihood', primary: 'acc' };
export const recipes: Record<string, WinograndeRecipe> = {
  lm_eval: {
    about:
      'lm-evaluation-harness `winogrande`: the rest of the sentence after each option; 5 shots with `num_fewshot: 5`, as the first Open LLM Leaderboard',
    option: 'in_context',
    num_fewshot: 0,
    strategies: { rank_ll: accuracy },
  },
  cloze: {
    about: 'Winogrande of the SmolLM2 cards: option and rest after the beginning of the sentence',
    option: 'in_continuation',
    num_fewshot: 0,
    strategies: { rank_ll: { ...accuracy, normalized: 'acc_norm', normalize_by_length: true } },
  },
};

const source = { dataset_id: 'allenai/winogrande', subset_name: 'winogrande_xl', split: 'validation' };
export const config = taskSchema('winogrande', source, recipes);
type Config = z.infer<typeof config>;

const columns = ['sentence', 'option1', 'option2', 'answer'];

function readRow(row: IndexedRow) {
  const text = (column: string) => textField('winogrande', row, column);
  const sentence = text('sentence');
  const gap = sentence.indexOf('_');
  if (gap < 0) throw new UserError(`winogrande row ${row.index}: sentence has no "_". It has to have one.`);
  return {
    beginning: sentence.slice(0, gap),
    rest: strip(sentence.slice(gap + 1)),
    options: [text('option1'), text('option2')],
    gold: labelField('winogrande', row, 'answer', ['1', '2']),
  };
}
type Sentence = ReturnType<typeof readRow>;

/** The literal words with an option in the gap: what stands before the scored part, and that part. */
export function prompt({ option: place }: WinograndeRecipe, { beginning, rest }: Sentence, option: string) {
  if (place === 'in_context') return { context: beginning + option, scored: rest };
  return { context: beginning, scored: `${option} ${rest}` };
}

/** A whole sentence; in a conversation it is cut where the recipe cuts it. */
function asShot(recipe: WinograndeRecipe, chat: boolean, row: Sentence): Shot {
  const cut = chat ? recipe : recipes.lm_eval!;
  const { context, scored } = prompt(cut, row, row.options[row.gold] ?? '');
  return { question: context, answer: scored };
}

function askAbout({ recipe, chat }: Run<Config>, row: Sentence, shots: readonly Shot[]): Ask {
  const words = recipes[recipe.name]!;
  const delimiter = chat || words.option === 'in_continuation' ? '' : ' ';
  const after = (question: string) => promptFor({ description: '', shots, question }, chat);
  const choices = row.options.map((option) => {
    const { context, scored } = prompt(words, row, option);
    const own = words.option === 'in_context' ? { prompt: after(context) } : {};
    return { text: scored, continuation: delimiter + scored, ...own };
  });
  return askOf(recipe, after(prompt(words, row, row.options[0]!).context), choices);
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const shotsFor = await run.drawnShots(columns, (row) => asShot(recipe, run.chat, readRow(row)), 1);
  for await (const { index, row } of run.rows(columns, readRow))
    yield { id: String(index), index, gold: row.gold, ask: askAbout(run, row, shotsFor(index)) };
}

export const task: Task<Config, number> = {
  name: 'winogrande',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary, rule }) =>
    verdict(rank(choices, rule.normalized !== undefined), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.5),
};
await main(import.meta.url, task);
