/**
 * Classification: your own texts, each with the label that is right. Rows are a file (`dataset.path`), rows of the config or a
 * data set of the hub; `dataset.columns` says which columns hold text and label (its text, or a number: see `dataset.labels`).
 * Strategies:
 *
 * - `rank_ll` (the default): each label is scored behind `dataset.template`, and the most likely one is the model's. The
 *   labels stand in `dataset.labels`, or in a column of each row. A label stands behind a blank in plain text and behind
 *   nothing under a chat template; `dataset.delimiter` says otherwise. With `scoring.calibration`, a text without content
 *   (`N/A`), what the model thinks of the labels after the template around that text alone is subtracted (Zhao et al. 2021,
 *   "Calibrate Before Use", https://arxiv.org/abs/2102.09690); `acc_raw` is without it.
 * - `head`: the sequence-classification head of the checkpoint says how likely each class is. It is given the text as it
 *   stands, or the pair of `text` and `text_pair` (NLI). Labels are the checkpoint's (`id2label`) and numbers its ids.
 *
 * `acc` is primary. `macro_f1`, and precision, recall, F1 and support of each label, are scikit-learn's with
 * `zero_division=0`; the confusion matrix stands in summary.json, confusion.csv and confusion.png. No shots.
 */
import { z } from 'zod';
import { columnsKey, OWN_ROWS, taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { labelField, textField, textListField } from './data/row.ts';
import { main } from './program.ts';
import { promptFor } from './prompt/fewshot.ts';
import { columnsOf, headLabels, labelFault, labelsOf } from './prompt/labels.ts';
import { fill } from './prompt/template.ts';
import type { Ask, Example } from './questions.ts';
import { type ClassGold, headVerdict, rankedVerdict, summarizeClasses } from './score/classification.ts';
import type { Run, Task } from './task.ts';
import { type IndexedRow, UserError } from './types.ts';

export const recipes: Record<string, Recipe> = {
  own: {
    about: 'your own texts and labels: comparable where rows and keys are the same',
    num_fewshot: 0,
    strategies: {
      rank_ll: { verb: 'loglikelihood', primary: 'acc' },
      head: { verb: 'classify', primary: 'acc' },
    },
  },
};

const columns = {
  text: 'what is classified',
  text_pair: 'a second text, where this is named or the template has it',
  label: 'the right label',
  labels: 'a list of labels, where this is named and `dataset.labels` is not',
};
const word = z.union([z.string().min(1), z.int()]);
export const config = taskSchema('classification', OWN_ROWS, recipes, {
  dataset: {
    columns: columnsKey(columns),
    labels: z
      .union([z.array(word).min(2), z.record(z.string(), word)])
      .optional()
      .describe(
        'the labels, as a list, or as a mapping from what rows call a label to the words that are scored (under `head`: to the name of the class). A number in a row is the label of these digits, or else the place in the list, from 0',
      ),
    template: z
      .string()
      .min(1)
      .default('{text}')
      .describe('the words around a text, which stands at `{text}`, and a second one at `{text_pair}`'),
    delimiter: z
      .string()
      .optional()
      .describe('stands before a label: a blank by default, nothing under a chat template'),
  },
  scoring: {
    calibration: z
      .string()
      .optional()
      .describe('a text without content (`N/A`, or an empty one), by which labels are calibrated'),
  },
});
type Config = z.infer<typeof config>;

/** The literal words of a question. */
export function prompt(template: string, text: string, text_pair = ''): string {
  return fill(template, { text, text_pair });
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<ClassGold>> {
  const { dataset, scoring } = run.config;
  const { text, label, labels: column, pair } = columnsOf(run.config.dataset, run.config.scoring);
  const { template, labels: given, delimiter = run.chat ? '' : ' ' } = dataset;
  const isHead = run.recipe.verb === 'classify';
  const fixed = isHead ? headLabels(given, run.labels ?? []) : given === undefined ? null : labelsOf(given);
  const read = (row: IndexedRow) => {
    const own = fixed?.labels ?? textListField('classification', row, column!);
    const fault = fixed === null ? labelFault(own) : null;
    if (fault !== null) throw new UserError(`classification row ${row.index}: ${column} ${fault}`);
    const gold = { label: own[labelField('classification', row, label, own)]!, labels: own };
    const first = textField('classification', row, text);
    const second = pair === undefined ? undefined : textField('classification', row, pair);
    return { gold, first, second };
  };
  const ask = (first: string, second: string | undefined, words: readonly string[]): Ask => {
    if (isHead) return { verb: 'classify', text: first, ...(second === undefined ? {} : { pair: second }) };
    const around = (one: string, other = one) => {
      const question = prompt(template, one, other);
      return promptFor({ description: '', shots: [], question }, run.chat);
    };
    const choices = words.map((one) => ({ text: one, continuation: delimiter + one }));
    const { calibration } = scoring;
    const empty = calibration === undefined ? [] : choices.map((one) => ({ ...one, prompt: around(calibration) }));
    return { verb: 'loglikelihood', prompt: around(first, second), choices: [...choices, ...empty] };
  };
  const wanted = [text, label, pair, column].filter((one) => one !== undefined);
  for await (const { index, row } of run.rows(wanted, read))
    yield {
      id: String(index),
      index,
      gold: row.gold,
      ask: ask(row.first, row.second, fixed?.words ?? row.gold.labels),
    };
}

export const task: Task<Config, ClassGold> = {
  name: 'classification',
  config,
  recipes,
  examples,
  score: (row, { verb }) => (verb === 'classify' ? headVerdict(row) : rankedVerdict(row)),
  summarize: summarizeClasses,
};
await main(import.meta.url, task);
