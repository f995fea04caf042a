/**
 * LAMBADA: the last word of a passage of a novel, which people guess from the whole passage and not from its last sentence;
 * 5,153 rows of `test` (Paperno et al. 2016, https://arxiv.org/abs/1606.06031) in OpenAI's wording, as the GPT-2 paper scored
 * it. `dataset: { dataset_id: cimec/lambada, subset_name: plain_text }` is the original, cut into words at punctuation
 * (lm-eval `lambada_standard`); `subset_name: de`, `es`, `fr` or `it` are translations of OpenAI's rows.
 *
 * The passage is cut at its last blank and nothing is stripped: what stands behind is the word, scored with that blank.
 *
 * - `acc` (primary): every token of the word is the most likely one at its place;
 * - `perplexity`: exp of minus the mean log-likelihood of the words, whatever their number of tokens. It is over all rows
 *   together, so that a few hopeless words decide it;
 * - `token_acc`, ours: the share of the words' tokens that are the most likely ones.
 *
 * Deviation: the standard error of `perplexity` is the linear one; lm-eval draws resamples. No shots: the harness would take
 * them from the rows under test.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, ResolvedRecipe } from './config/recipe.ts';
import { textField } from './data/row.ts';
import { main } from './program.ts';
import { promptFor } from './prompt/fewshot.ts';
import type { Example, Prediction, ScoredRow, Verdict } from './questions.ts';
import { type PerplexityName, perplexityOf, pooledPerplexity, type TextUnits } from './score/perplexity.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { utf8Bytes } from './text/python_text.ts';
import type { IndexedRow, Scores } from './types.ts';

export const recipes: Record<string, Recipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `lambada_openai`; `lambada_standard` with `dataset_id: cimec/lambada`',
    num_fewshot: 0,
    strategies: { last_word: { verb: 'loglikelihood', primary: 'acc' } },
  },
};

const source = { dataset_id: 'EleutherAI/lambada_openai', subset_name: 'default', split: 'test' };
export const config = taskSchema('lambada', source, recipes);
type Config = z.infer<typeof config>;

/** The word, one unit of a text. */
interface Word extends TextUnits {
  label: string;
}

/** The passage without its last word and the blank before it, and the word. A passage without a blank is the word alone. */
export function prompt(text: string): { context: string; word: string } {
  const pieces = text.split(' ');
  return { word: pieces.pop() ?? '', context: pieces.join(' ') };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<Word>> {
  const read = (row: IndexedRow) => prompt(textField('lambada', row, 'text'));
  for await (const { index, row } of run.rows(['text'], read)) {
    const { context, word } = row;
    // The blank stays under a chat template too, as in the harness.
    const choices = [{ text: word, continuation: ` ${word}` }];
    const question = promptFor({ description: '', shots: [], question: context }, run.chat);
    yield {
      id: String(index),
      index,
      gold: { label: word, words: 1, bytes: utf8Bytes(word) },
      ask: { verb: 'loglikelihood', prompt: question, choices, count_greedy: true },
    };
  }
}

const pooled: PerplexityName[] = ['perplexity'];

/** Whether the word is what the model would have said. Throws RowError for a log-likelihood that is no number. */
function score({ choices = [], gold }: Prediction<Word>): Verdict {
  const [word] = choices;
  const correct = word?.is_greedy ? 1 : 0;
  return { correct, metrics: { acc: correct, ...perplexityOf(word?.logprob ?? Number.NaN, gold, pooled) } };
}

function summarize(rows: readonly ScoredRow<Word>[], recipe: ResolvedRecipe): Scores {
  const means = summarizeRows(rows, recipe, null);
  const metrics = { ...means.metrics, ...pooledPerplexity(rows, pooled) };
  return { ...means, metrics, pooled: [...pooled, 'token_acc'] };
}

export const task: Task<Config, Word> = {
  name: 'lambada',
  config,
  recipes,
  examples,
  score,
  summarize,
};
await main(import.meta.url, task);
