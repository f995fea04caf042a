/**
 * Ranking: your own prefixes, each with continuations of which one is right; the most likely one is the model's choice. Rows
 * are a file (`dataset.path`), rows of the config or a data set of the hub; `dataset.columns` says which columns hold the
 * prefix, the list of continuations and the index of the right one, from 0.
 *
 * A continuation stands behind a blank in plain text and behind nothing under a chat template, as in lm-evaluation-harness;
 * `dataset.delimiter` says otherwise. `acc` compares the sums of log-likelihoods, `acc_norm` what is left of them a
 * character, `acc_bytes` a byte, `acc_token` a token; all are recorded, and `scoring.normalize_by_length` chooses between the
 * first two. Rows may differ in how many continuations they have. No shots.
 */
import { z } from 'zod';
import { columnsKey, OWN_ROWS, taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { indexField, textField, textListField } from './data/row.ts';
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { promptFor } from './prompt/fewshot.ts';
import type { Example } from './questions.ts';
import { rank } from './score/loglikelihood.ts';
import { chanceOf, summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { type IndexedRow, UserError } from './types.ts';

export const recipes: Record<string, Recipe> = {
  own: {
    about: 'your own continuations: comparable where rows and keys are the same',
    num_fewshot: 0,
    strategies: {
      rank_ll: { verb: 'loglikelihood', primary: 'acc', normalized: 'acc_norm', normalize_by_length: false },
    },
  },
};

const columns = {
  prefix: 'what stands before',
  continuations: 'a list of texts, two at least',
  label: 'the index of the right one, from 0',
};
export const config = taskSchema('ranking', OWN_ROWS, recipes, {
  dataset: {
    columns: columnsKey(columns),
    delimiter: z
      .string()
      .optional()
      .describe('stands between a prefix and a continuation: a blank by default, nothing under a chat template'),
  },
});
type Config = z.infer<typeof config>;

/** The literal words of a question: the context, and what is scored behind it. */
export function prompt(prefix: string, continuations: readonly string[], delimiter: string) {
  const choices = continuations.map((text) => ({ text, continuation: delimiter + text }));
  return { parts: { description: '', shots: [], question: prefix }, choices };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const { columns: named, delimiter = run.chat ? '' : ' ' } = run.config.dataset;
  const { prefix = 'prefix', continuations = 'continuations', label = 'label' } = named ?? {};
  const read = (row: IndexedRow) => {
    const texts = textListField('ranking', row, continuations);
    const gold = indexField('ranking', row, label);
    const wrong = (column: string, why: string) => new UserError(`ranking row ${row.index}: ${column} ${why}`);
    if (texts.length < 2) throw wrong(continuations, `has ${texts.length}. It has to be two texts at least.`);
    if (texts.includes('')) throw wrong(continuations, 'has an empty text. Each has to have a character at least.');
    if (gold >= texts.length) throw wrong(label, `is ${gold}. It has to be an index from 0 to ${texts.length - 1}.`);
    return { prefix: textField('ranking', row, prefix), texts, gold };
  };
  for await (const { index, row } of run.rows([prefix, continuations, label], read)) {
    const { parts, choices } = prompt(row.prefix, row.texts, delimiter);
    yield { id: String(index), index, gold: row.gold, ask: askOf(run.recipe, promptFor(parts, run.chat), choices) };
  }
}

export const task: Task<Config, number> = {
  name: 'ranking',
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, chanceOf(rows)),
};
await main(import.meta.url, task);
