/**
 * Golden cases: your own prompts, each with what has to hold of the model's answer. A case is a row of `dataset.rows` or of a
 * JSON-lines file (`dataset.path`):
 *
 *     - id: capital                       # the row's number without it
 *       prompt: The capital of France is  # or `messages: [{ role: user, content: ... }]`, for checkpoints with a chat template
 *       contains: [Paris, { text: france, ignore_case: true }]    # each stands in the answer
 *       not_contains: Lyon                # none does
 *       exact: Paris.                     # the whole answer; `one_of: [Paris, Paris.]`: one of them
 *       regex: "^\\s*Paris"               # JavaScript, flag u; each matches somewhere
 *       json_schema: { type: object, required: [city] }           # the answer is JSON, in a code fence or not; no `format`
 *       max_tokens: 20                    # the answer's own end included; below max_new_tokens
 *       max_new_tokens: 40                # of this case; `scoring.max_new_tokens`, then 256, without it
 *       ignore_case: true                 # for all texts of the case; also `strip`, `collapse_whitespace`
 *       match: any                        # one check is enough; `all` by default
 *
 * Nothing is trimmed or normalised unless the case says so: an answer to a plain prompt often begins with a blank. Answers are
 * greedy unless `scoring.temperature` draws them. A case passes or not (`pass`); `check_pass` is the share of checks that
 * do, by kind. What a model thinks first (`<think> ... </think>`) is no part of the answer, but its tokens count in `max_tokens`.
 * Wrong cases are printed with the place where each check failed, and stand in `junit.xml`. Unless all cases pass (`run.require: 1`,
 * a lower share where you say so) the exit code is 1. A case that is no case ends the run before the first answer. A check that
 * takes two seconds (a regular expression that backtracks without end) makes a failed row.
 */
import { z } from 'zod';
import { OWN_ROWS, rowsKey, taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { rowBy } from './data/row.ts';
import { main } from './program.ts';
import type { Example, Prompt } from './questions.ts';
import { junitXml, rowCases } from './report/junit.ts';
import { type Checks, checkKeys, checksOf, verdictOf } from './score/checks.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { type IndexedRow, UserError } from './types.ts';

export const recipes: Record<string, Recipe> = {
  own: {
    about: 'your own cases: comparable with themselves on another checkpoint',
    num_fewshot: 0,
    strategies: { checks: { verb: 'generate_until', primary: 'pass', require: 1 } },
  },
};

const message = z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
/** A case as it is written. */
export const caseSchema = z
  .strictObject({
    id: z
      .union([z.string().min(1), z.int()])
      .optional()
      .describe("names the case; the row's number by default"),
    prompt: z.string().min(1).optional().describe('what is asked'),
    messages: z.array(message).min(1).optional().describe('what is asked, as a conversation, in place of `prompt`'),
    ...checkKeys,
    max_new_tokens: z.int().min(1).optional().describe('length limit of this answer'),
  })
  .refine(({ prompt, messages }) => prompt === undefined || messages === undefined, {
    error: '`prompt` and `messages` are both there. Keep one of them.',
  })
  .refine(({ prompt, messages }) => prompt !== undefined || messages !== undefined, {
    error: 'nothing is asked. Give it a `prompt`, or `messages`.',
  })
  .refine((written) => checksOf(written).checks.length > 0, {
    error: `no check. Give it one of: ${Object.keys(checkKeys).slice(0, 7).join(', ')}.`,
  });

export const config = taskSchema('golden', OWN_ROWS, recipes, { dataset: { rows: rowsKey(caseSchema) } });
type Config = z.infer<typeof config>;

/** The literal words of a case. */
export function prompt({ prompt: text, messages }: z.infer<typeof caseSchema>, chat: boolean): Prompt {
  if (messages !== undefined) return messages;
  return chat ? [{ role: 'user', content: text! }] : text!;
}

/** A case as an example. Throws UserError that names the row. */
function exampleOf(row: IndexedRow, { recipe, chat, config: { dataset } }: Run<Config>): Example<Checks> {
  const { index } = row;
  const written = rowBy('golden', row, caseSchema);
  const { id: named = index, messages, max_tokens, max_new_tokens = recipe.maxNewTokens } = written;
  const id = String(named);
  const refuse = (key: string, why: string) => {
    if (dataset.rows !== undefined) return new UserError(why, { key: `dataset.rows[${index}].${key}` });
    return new UserError(`golden row ${index} (id ${id}): ${key}: ${why}`);
  };
  if (messages !== undefined && !chat)
    throw refuse('messages', 'a conversation goes through a chat template. Set model.chat_template: true.');
  if (max_tokens !== undefined && max_tokens >= max_new_tokens)
    throw refuse('max_tokens', `${max_tokens}, and answers are cut at ${max_new_tokens}: it always holds. Lower it.`);
  const ask = { verb: 'generate_until' as const, prompt: prompt(written, chat), until: [], max_new_tokens };
  return { id, index, gold: checksOf(written), ask };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<Checks>> {
  // All are read before the first is asked: cases are few, and a slip of the pen in the last one is told at once.
  const cases: Example<Checks>[] = [];
  const ids = new Map<string, number>();
  for await (const row of run.rows(null)) {
    const one = exampleOf(row, run);
    const twin = ids.get(one.id);
    if (twin !== undefined) throw new UserError(`golden row ${one.index}: id ${one.id} is that of row ${twin} too.`);
    ids.set(one.id, one.index);
    cases.push(one);
  }
  yield* cases;
}

export const task: Task<Config, Checks> = {
  name: 'golden',
  config,
  recipes,
  examples,
  score: (answer) => verdictOf(answer.gold, answer),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, null),
  files: { 'junit.xml': (rows, failed) => junitXml('nanoeval', rowCases('golden', rows, failed)) },
};
await main(import.meta.url, task);
