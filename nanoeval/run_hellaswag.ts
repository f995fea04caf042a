/**
 * HellaSwag: which of four endings follows; 10,042 rows of `validation` (Zellers et al. 2019, https://arxiv.org/abs/1905.07830).
 * The test split has no labels. All recipes rank the endings by log-likelihood; whose words each one has stands in its
 * `about`. Deviations and details:
 *
 * - `lm_eval`: acc_norm divides by the code points of the ending. Shots are drawn from `train` by the harness's sampler.
 * - `lighteval`: the context keeps its last blank, which tokenisation moves to the ending.
 * - `cloze`: under a chat template, as the cards of instruct models, an ending keeps the blank before it.
 * - `llama_cpp`: scored per token, from the first token in which the four endings differ; in order, where llama.cpp draws
 *   tasks at random.
 * - `nanoeval`: mended: BOS where the tokenizer wants it, truncation counted, a row without a label is an error that names it.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { indexField, textField, textListField } from './data/row.ts';
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { promptFor } from './prompt/fewshot.ts';
import type { Example, Tokenization } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { capitalize, strip } from './text/python_text.ts';
import type { IndexedRow } from './types.ts';

interface HellaswagRecipe extends Recipe {
  /** The text before the ending: cleaned label and sentences; the published `ctx`; label and `ctx`, cleaned otherwise. */
  context: 'cleaned' | 'ctx' | 'llama_cpp';
  /** Blanks at its ends go before it is cleaned (lm-eval); otherwise one stands at its end (lighteval). */
  strip: boolean;
  /** What stands between context and ending. */
  delimiter: string;
  /** The same under a chat template; nothing where it is left out. */
  chat_delimiter?: ' ';
  tokenization: Tokenization;
}
const perChar: Rule = { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm', normalize_by_length: true };
const perToken: Rule = { ...perChar, normalized: 'acc_token' };
const cleaned: HellaswagRecipe = {
  about: 'lm-evaluation-harness `hellaswag`: the endings after cleaned text; 10 shots with `num_fewshot: 10`',
  context: 'cleaned',
  strip: true,
  delimiter: ' ',
  tokenization: 'joint',
  num_fewshot: 0,
  strategies: { rank_ll: perChar },
};
const raw: HellaswagRecipe = {
  ...cleaned,
  about: "build-nanogpt's `hellaswag.py` (its acc_norm): the endings after the published `ctx`",
  context: 'ctx',
  tokenization: 'separate',
  strategies: { rank_ll: perToken },
};
const CARD = 'HellaSwag of the SmolLM2 cards: the same, two blanks at the joint';
const LLAMA_CPP = 'llama.cpp `perplexity --hellaswag`: the endings after label and `ctx`, cleaned as its text file';
export const recipes: Record<string, HellaswagRecipe> = {
  lm_eval: cleaned,
  lighteval: { ...cleaned, about: '`leaderboard|hellaswag` of lighteval up to 0.10', strip: false, delimiter: '' },
  cloze: { ...cleaned, about: CARD, strip: false, chat_delimiter: ' ' },
  nanogpt: raw,
  llama_cpp: { ...raw, about: LLAMA_CPP, context: 'llama_cpp', tokenization: 'diverging' },
  nanoeval: {
    ...raw,
    about: 'the Python `nanoeval`: the endings after the published `ctx`',
    strategies: { rank_ll: { ...perToken, normalize_by_length: false } },
  },
};

const source = { dataset_id: 'Rowan/hellaswag', subset_name: 'default', split: 'validation' };
export const config = taskSchema('hellaswag', source, recipes);
type Config = z.infer<typeof config>;

/** lm-eval's `preprocess` after its strip: each step once, in this order. */
export function clean(text: string): string {
  return text
    .replaceAll(' [title]', '. ')
    .replace(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** The rules of llama.cpp's text file, for label, context and endings apart. */
export function cleanForLlamaCpp(text: string): string {
  const kept = text
    .replace(/\[(?:header|step|substeps)\]/g, '')
    .replaceAll(' [title]', '. ')
    .replace(/\[title\][ .]/g, '');
  return kept.replaceAll('  ', ' ').replace(/^ | $/g, '');
}

const columns = ['activity_label', 'ctx_a', 'ctx_b', 'ctx', 'endings', 'label', 'source_id'];

function readRow(row: IndexedRow) {
  const text = (column: string) => textField('hellaswag', row, column);
  const endings = textListField('hellaswag', row, 'endings', 4);
  const cleaned = `${text('activity_label')}: ${text('ctx_a')} ${capitalize(text('ctx_b'))}`;
  return {
    cleaned,
    activity: text('activity_label'),
    ctx: text('ctx'),
    endings,
    label: indexField('hellaswag', row, 'label'),
    group: text('source_id').split('~', 1)[0] ?? '',
  };
}

/** The literal words: the context, and the four endings as they are scored and measured. */
export function prompt(recipe: HellaswagRecipe, row: ReturnType<typeof readRow>) {
  if (recipe.context === 'ctx') return { context: row.ctx, endings: row.endings };
  if (recipe.context === 'llama_cpp') {
    const [label, ctx] = [cleanForLlamaCpp(row.activity), cleanForLlamaCpp(row.ctx)];
    return { context: `${label}: ${ctx}`, endings: row.endings.map(cleanForLlamaCpp) };
  }
  if (!recipe.strip) return { context: clean(`${row.cleaned} `), endings: row.endings.map(clean) };
  return { context: clean(strip(row.cleaned)), endings: row.endings.map((ending) => clean(strip(ending))) };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const { context, endings } = prompt(recipe, readRow(row));
    return { question: context, answer: endings[readRow(row).label] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot, 1);
  for await (const { index, row } of run.rows(columns, readRow)) {
    const { context, endings } = prompt(recipe, row);
    const parts = { description: '', shots: shotsFor(index), question: context };
    const delimiter = run.chat ? (recipe.chat_delimiter ?? '') : recipe.delimiter;
    const choices = endings.map((text) => ({ text, continuation: delimiter + text }));
    yield {
      id: String(index),
      index,
      group: row.group,
      gold: row.label,
      ask: askOf(run.recipe, promptFor(parts, run.chat), choices, recipe.tokenization),
    };
  }
}

export const task: Task<Config, number> = {
  name: 'hellaswag',
  shots: { split: 'train' },
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.25),
};
await main(import.meta.url, task);
