/**
 * Perplexity: how likely a text is to a model, token by token in windows (rolling log-likelihood). By default the 62 articles
 * of WikiText-2's test split (245,569 words; Merity et al. 2016, https://arxiv.org/abs/1609.07843); any `.txt`, `.jsonl` or
 * hub data set otherwise.
 *
 * A perplexity belongs to its window: `scoring.window` tokens (the model's limit by default), of which each window after the
 * first scores `scoring.stride` new ones (all of them by default: block perplexity, as lm-eval; fewer: a sliding window with
 * more context, slower). The summary's numbers are over all texts together, not means of the texts' perplexities. Those by
 * word and by byte are comparable between tokenizers; `token_acc`, the share of tokens that are the arg-max, is not. Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `wikitext`: the detokenised page is scored, words and bytes are the original page's.
 * - `plain`: the text of the column `text` as it is. Words are not counted: not every language has blanks.
 */
import { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { textField } from './data/row.ts';
import detokenizer from './perplexity_detokenizer.json' with { type: 'json' };
import { main } from './program.ts';
import { rollingWindow } from './prompt/window.ts';
import type { Example } from './questions.ts';
import { type PerplexityName, perplexityOf, pooledPerplexity, type TextUnits } from './score/perplexity.ts';
import { scoresBy } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { pythonPattern, splitAtBlanks, utf8Bytes } from './text/python_text.ts';
import type { IndexedRow } from './types.ts';

interface PerplexityRecipe extends Recipe {
  column: string;
  /** What is done to a text before it is scored. */
  text: 'detokenized' | 'as it is';
  /** The primary one first. */
  metrics: PerplexityName[];
}
const rolling: Rule = {
  verb: 'loglikelihood_rolling',
  primary: 'word_perplexity',
  unit: 'number',
  better: 'lower',
};
export const recipes: Record<string, PerplexityRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `wikitext` at the same window: the detokenised page, by words and bytes of the page',
    column: 'page',
    text: 'detokenized',
    metrics: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
    num_fewshot: 0,
    strategies: { rolling_ll: rolling },
  },
  plain: {
    about: 'any text as it is, by its bytes: between models at the same window',
    column: 'text',
    text: 'as it is',
    metrics: ['bits_per_byte', 'byte_perplexity'],
    num_fewshot: 0,
    strategies: { rolling_ll: { ...rolling, primary: 'bits_per_byte' } },
  },
};

const source = { dataset_id: 'EleutherAI/wikitext_document_level', subset_name: 'wikitext-2-raw-v1', split: 'test' };
export const config = taskSchema('perplexity', source, recipes, {
  dataset: { column: z.string().min(1).optional().describe("column of the texts; the recipe's by default") },
  scoring: {
    window: z.int().min(2).optional().describe("tokens of a window; the model's limit by default"),
    stride: z.int().min(1).optional().describe('new tokens of each later window; all of the window by default'),
  },
});
type Config = z.infer<typeof config>;

/** lm-eval's `wikitext_detokenizer`: each step once, in this order. */
export function detokenize(page: string): string {
  const steps: { find?: string; pattern?: string; put: string }[] = detokenizer;
  return steps.reduce((text, { find, pattern, put }) => {
    if (pattern !== undefined) return text.replace(pythonPattern(pattern), put);
    return text.replaceAll(find!, () => put);
  }, page);
}

/** The text that is scored. */
export function prompt(recipe: PerplexityRecipe, text: string): string {
  return recipe.text === 'detokenized' ? detokenize(text) : text;
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<TextUnits>> {
  const recipe = recipes[run.recipe.name]!;
  const windows = rollingWindow(run.config.scoring, run.maxLength);
  const column = run.config.dataset.column ?? recipe.column;
  const read = (row: IndexedRow) => textField('perplexity', row, column);
  for await (const { index, row: text } of run.rows([column], read)) {
    yield {
      id: String(index),
      index,
      gold: { words: splitAtBlanks(text).length, bytes: utf8Bytes(text) },
      ask: { verb: 'loglikelihood_rolling', text: prompt(recipe, text), ...windows },
    };
  }
}

const metricsOf = (name: string) => recipes[name]!.metrics;

export const task: Task<Config, TextUnits> = {
  name: 'perplexity',
  config,
  recipes,
  examples,
  score: ({ logprob = Number.NaN, gold }, { name }) => ({ metrics: perplexityOf(logprob, gold, metricsOf(name)) }),
  summarize: (rows, recipe) => ({
    ...scoresBy(rows, recipe, null, (part) => pooledPerplexity(part as typeof rows, metricsOf(recipe.name))),
    pooled: [...metricsOf(recipe.name), 'token_acc'],
  }),
};
await main(import.meta.url, task);
