/**
 * HellaSwag: which of four endings follows; 10,042 rows of `validation` (Zellers et al. 2019, https://arxiv.org/abs/1905.07830).
 * The test split has no labels. All recipes rank the endings by log-likelihood. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `hellaswag`, 0 shots; acc_norm divides by the code points of the ending. Shots are
 *   drawn from `train` by the harness's default sampler, one Python generator seeded 1234 for the whole split.
 * - `lighteval`: `leaderboard|hellaswag` of lighteval up to 0.10: the context keeps its last blank, which tokenisation
 *   moves to the ending.
 * - `cloze`: the SmolLM2 cards (lighteval, custom task): the blank stays and another one comes, so two stand at the joint.
 * - `nanogpt`: build-nanogpt's `hellaswag.py`: `ctx` as published, brackets and all; acc_norm of that script is our
 *   acc_token.
 * - `llama_cpp`: `perplexity --hellaswag` on its prepared text file, which has rules of its own; scored per token, from
 *   the first token in which the four endings differ. Deviation: in order, where llama.cpp draws tasks at random.
 * - `nanoeval`: the original: the same texts and tokens as `nanogpt`. Mended: BOS where the tokenizer wants it,
 *   truncation counted, a row without a label is an error that names it.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { indexField, textField, textListField } from './data/row.ts';
import { chatPrompt, plainPrompt } from './prompt/fewshot.ts';
import type { Example, Run } from './run/ask.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import { main, type Task } from './task.ts';
import { capitalize, strip } from './text/python_text.ts';
import type { IndexedRow, Tokenization } from './types.ts';

interface HellaswagRecipe extends Recipe {
  /** The text before the ending: cleaned label and sentences; the published `ctx`; label and `ctx`, cleaned otherwise. */
  context: 'cleaned' | 'ctx' | 'llama_cpp';
  /** Blanks at its ends go before it is cleaned (lm-eval); otherwise one stands at its end (lighteval). */
  strip: boolean;
  /** What stands between context and ending. */
  delimiter: string;
  tokenization: Tokenization;
}
const perChar: Rule = { primary: 'acc', normalized: 'acc_norm', normalize_by_length: true };
const perToken: Rule = { primary: 'acc', normalized: 'acc_token', normalize_by_length: true };
const cleaned: HellaswagRecipe = {
  context: 'cleaned',
  strip: true,
  delimiter: ' ',
  tokenization: 'joint',
  num_fewshot: 0,
  strategies: { rank_ll: perChar },
};
const raw: HellaswagRecipe = {
  ...cleaned,
  context: 'ctx',
  tokenization: 'separate',
  strategies: { rank_ll: perToken },
};
export const recipes: Record<string, HellaswagRecipe> = {
  lm_eval: cleaned,
  lighteval: { ...cleaned, strip: false, delimiter: '' },
  cloze: { ...cleaned, strip: false },
  nanogpt: raw,
  llama_cpp: { ...raw, context: 'llama_cpp', tokenization: 'diverging' },
  nanoeval: { ...raw, strategies: { rank_ll: { ...perToken, normalize_by_length: false } } },
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
  };
}

/** The literal words: the context, and the four endings as they are scored and measured. */
export function prompt(
  recipe: HellaswagRecipe,
  row: ReturnType<typeof readRow>,
): { context: string; endings: string[] } {
  if (recipe.context === 'ctx') return { context: row.ctx, endings: row.endings };
  if (recipe.context === 'llama_cpp') {
    const [label, ctx] = [cleanForLlamaCpp(row.activity), cleanForLlamaCpp(row.ctx)];
    return { context: `${label}: ${ctx}`, endings: row.endings.map(cleanForLlamaCpp) };
  }
  if (!recipe.strip) return { context: clean(`${row.cleaned} `), endings: row.endings.map(clean) };
  return { context: clean(strip(row.cleaned)), endings: row.endings.map((ending) => clean(strip(ending))) };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example> {
  const { config, model, chat } = run;
  const recipe = recipes[run.recipe.name]!;
  const asShot = (row: IndexedRow) => {
    const { context, endings } = prompt(recipe, readRow(row));
    return { question: context, answer: endings[readRow(row).label] ?? '' };
  };
  const shotsFor = await run.drawnShots(columns, asShot);
  let count = 0;
  for await (const indexed of run.rows(columns)) {
    if (count === config.dataset.subset_size) return;
    count += 1;
    const row = readRow(indexed);
    const { context, endings } = prompt(recipe, row);
    const parts = { description: '', shots: shotsFor(indexed.index), question: context };
    yield {
      id: String(indexed.index),
      index: indexed.index,
      group: textField('hellaswag', indexed, 'source_id').split('~', 1)[0] ?? '',
      gold: row.label,
      context: chat ? model.renderChat(chatPrompt(parts)) : plainPrompt(parts),
      choices: endings.map((text) => ({ text, continuation: chat ? text : recipe.delimiter + text })),
      tokenization: recipe.tokenization,
    };
  }
}

export const task: Task<Config> = {
  name: 'hellaswag',
  shotsFrom: 'train',
  config,
  recipes,
  predict: (run) => run.answer(examples(run)),
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, { primary }) => summarizeRows(rows, primary, 0.25),
};
await main(import.meta.url, task);
