/**
 * IFEval: 541 requests with 834 instructions that a program can check (at least 300 words, no commas, in JSON). Zhou et al. 2023,
 * "Instruction-Following Evaluation for Large Language Models", https://arxiv.org/abs/2311.07911; the checks of 25 kinds of
 * instruction are in score/ifeval/. No shots, no chance.
 *
 * Answers are greedy, 1280 new tokens at most, and only the model's own end ends them. Of a model that thinks first
 * (`<think> ... </think>`) the row keeps all that was said, and what stands behind the thoughts is judged. Four metrics:
 *
 * - `prompt_level_strict_acc`, the primary one: the share of requests all of whose instructions are followed;
 * - `prompt_level_loose_acc`: the same where an answer may also be read without its first or last line, or both, and without `*`;
 * - `inst_level_strict_acc`, `inst_level_loose_acc`: the share of all instructions, in the table by kind too.
 *
 * Where this differs from lm-evaluation-harness: langdetect draws at random there, so that a short answer or one in two languages
 * has another language in another run (3 of 5,004 recorded verdicts differ here); and the two requests for a number of `#` or `!`
 * are judged by that, where the harness counts a letter that it draws anew in every run. Sentences and words are those of
 * NLTK 3.9; NLTK 3.10 cuts sentences at curly quotes too.
 */
import { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { rowBy } from './data/row.ts';
import { main } from './program.ts';
import { promptFor } from './prompt/fewshot.ts';
import type { Example, Prediction, Prompt, Verdict } from './questions.ts';
import { type Instructions, instructionsOf, instructionsShape, verdictOn } from './score/ifeval/instructions.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

export const recipes: Record<string, Recipe> = {
  lm_eval: {
    about:
      'lm-evaluation-harness (`ifeval`): the request as it stands, through the chat template where `model.chat_template` says so',
    num_fewshot: 0,
    strategies: {
      checks: { verb: 'generate_until', primary: 'prompt_level_strict_acc', until: [], max_new_tokens: 1280 },
    },
  },
};

const DATASET = { dataset_id: 'google/IFEval', subset_name: 'default', split: 'train' };
export const config = taskSchema('ifeval', DATASET, recipes);
type Config = z.infer<typeof config>;

/** A row as it is published; in Parquet each instruction's `kwargs` have all keys, most of them null. */
const published = z.object({
  key: z.union([z.int(), z.string()]).optional(),
  prompt: z.string().min(1),
  ...instructionsShape,
});

/** The literal words: those of the request. */
export function prompt(request: string, chat: boolean): Prompt {
  return promptFor({ description: '', shots: [], question: request }, chat);
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<Instructions>> {
  const read = (row: IndexedRow) => {
    const { key = row.index, prompt, ...given } = rowBy('ifeval', row, published);
    return { id: String(key), request: prompt, gold: instructionsOf(given, `ifeval row ${row.index} (key ${key})`) };
  };
  const { until, maxNewTokens } = run.recipe;
  for await (const { index, row } of run.rows(null, read)) {
    const question = prompt(row.request, run.chat);
    const ask = { verb: 'generate_until' as const, prompt: question, until, max_new_tokens: maxNewTokens };
    yield { id: row.id, index, gold: row.gold, ask };
  }
}

/** The verdict on what was said. */
function score({ output = '', gold }: Prediction<Instructions>): Verdict {
  return verdictOn(output, gold);
}

export const task: Task<Config, Instructions> = {
  name: 'ifeval',
  config,
  recipes,
  examples,
  score,
  summarize: (rows, recipe) => summarizeRows(rows, recipe, null),
};
await main(import.meta.url, task);
