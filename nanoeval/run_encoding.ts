/**
 * Encoding: how much of your own text a model would itself have said. Each token is held against the model's first choice at
 * its place, given the true tokens before it (teacher forcing); `token_acc` is the share of tokens that are it, over all rows
 * together. It belongs to the tokenizer: between two tokenizers it says nothing. Strategies:
 *
 * - `text` (the default): every token of the column `text`, in windows of `scoring.window` tokens (the model's limit by
 *   default), of which each after the first scores `scoring.stride` new ones (all by default; fewer give more context);
 * - `target`: every token of the column `target`, behind the column `prompt` and a blank; under a chat template the prompt is
 *   a message and the target follows it without a blank (`dataset.delimiter` says otherwise).
 *
 * Rows are a file (`dataset.path`), rows of the config or a data set of the hub; `dataset.columns` names the columns.
 */
import { z } from 'zod';
import { columnsKey, OWN_ROWS, taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { textField } from './data/row.ts';
import { main } from './program.ts';
import { promptFor } from './prompt/fewshot.ts';
import { rollingWindow } from './prompt/window.ts';
import type { Ask, Example, Prediction, Verdict } from './questions.ts';
import { greedyShare } from './score/perplexity.ts';
import { scoresBy } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { type IndexedRow, RowError, UserError } from './types.ts';

const rule = { primary: 'token_acc' };
const strategies: Record<string, Rule> = {
  text: { verb: 'loglikelihood_rolling', ...rule },
  target: { verb: 'loglikelihood', ...rule },
};
export const recipes: Record<string, Recipe> = {
  own: { about: 'your own texts: comparable for one tokenizer at the same window', num_fewshot: 0, strategies },
};

const columns = {
  text: 'the text, under `strategy: text`',
  prompt: 'what stands before, under `strategy: target`',
  target: 'what is scored behind it',
};
export const config = taskSchema('encoding', OWN_ROWS, recipes, {
  dataset: {
    columns: columnsKey(columns),
    delimiter: z
      .string()
      .optional()
      .describe('stands between a prompt and its target: a blank by default, nothing under a chat template'),
  },
  scoring: {
    window: z.int().min(2).optional().describe("tokens of a window; the model's limit by default"),
    stride: z.int().min(1).optional().describe('new tokens of each later window; all of the window by default'),
  },
});
type Config = z.infer<typeof config>;

/** The literal words of a question under `target`: the context, and what is scored behind it. */
export function prompt(context: string, target: string, delimiter: string) {
  return { parts: { description: '', shots: [], question: context }, continuation: delimiter + target };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<null>> {
  const { columns: named, delimiter = run.chat ? '' : ' ' } = run.config.dataset;
  const { text = 'text', prompt: before = 'prompt', target = 'target' } = named ?? {};
  const isText = run.recipe.verb === 'loglikelihood_rolling';
  const given = (row: IndexedRow, column: string) => {
    const found = textField('encoding', row, column);
    if (found === '') throw new UserError(`encoding row ${row.index}: ${column} is empty. It has no token to score.`);
    return found;
  };
  const { window, stride } = run.config.scoring;
  if (!isText && (window ?? stride) !== undefined)
    throw new UserError(`${window ?? stride}, but a target is scored in one piece. Leave it out.`, {
      key: window === undefined ? 'scoring.stride' : 'scoring.window',
    });
  const windows = isText ? rollingWindow(run.config.scoring, run.maxLength) : {};
  const whole = (row: IndexedRow): Ask => ({ verb: 'loglikelihood_rolling', text: given(row, text), ...windows });
  const behind = (row: IndexedRow): Ask => {
    const { parts, continuation } = prompt(textField('encoding', row, before), given(row, target), delimiter);
    const choices = [{ continuation, text: continuation }];
    return { verb: 'loglikelihood', prompt: promptFor(parts, run.chat), choices, count_greedy: true };
  };
  for await (const { index, row: ask } of run.rows(isText ? [text] : [before, target], isText ? whole : behind))
    yield { id: String(index), index, gold: null, ask };
}

/** The share of a row's tokens that the model would have said. Throws RowError where nobody counted them. */
function score({ choices, ...row }: Prediction<null>): Verdict {
  const { num_tokens = 0, num_greedy } = choices?.[0] ?? row;
  if (num_greedy === undefined) throw new RowError('tokens', 'nobody says which tokens the model would have said.');
  if (num_tokens === 0) throw new RowError('length', 'the text has no tokens.');
  return { metrics: { token_acc: num_greedy / num_tokens } };
}

export const task: Task<Config, null> = {
  name: 'encoding',
  config,
  recipes,
  examples,
  score,
  summarize: (rows, recipe) => ({
    ...scoresBy(rows, recipe, null, (part) => ({ token_acc: greedyShare(part) })),
    pooled: ['token_acc'],
  }),
};
await main(import.meta.url, task);
