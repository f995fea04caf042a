/**
 * Rollout: answers to your own prompts, cleaned by a rule and held against a target. Rows are a file (`dataset.path`), rows of
 * the config or a data set of the hub; `dataset.columns` says which columns hold prompt and target, `dataset.template` what
 * stands around the prompt. No shots, no chance.
 *
 * What counts of an answer (blanks at its ends never do), in this order: what stands behind the last `scoring.answer_after`
 * (`####`), the first group of `scoring.answer_regex`, the first line with `scoring.first_line`. An answer without the mark or
 * a match counts as unparsed and is wrong. `scoring.strategy` is the check; all report `acc`, the share of right answers:
 *
 * - `exact`: it is the target; `contains`: the target stands in it;
 * - `number`: its last number is the target's last number, within `scoring.tolerance` (`1,234` is 1234);
 * - `regex`: the target is a regular expression (JavaScript, flag u) that matches in it.
 *
 * Answers are greedy with 256 new tokens at most unless `scoring.temperature`, `top_p`, `samples_per_prompt` and
 * `max_new_tokens` say otherwise; `scoring.until` ends them.
 */
import { z } from 'zod';
import { columnsKey, OWN_ROWS, taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { textField } from './data/row.ts';
import { main } from './program.ts';
import { promptFor } from './prompt/fewshot.ts';
import { fill } from './prompt/template.ts';
import type { Example, Prediction, Verdict } from './questions.ts';
import { ANSWER_CHECKS, type AnswerCheck, type Cleaning, cleaned, judged, type Target } from './score/answers.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { type IndexedRow, UserError } from './types.ts';

const rule: Rule = { verb: 'generate_until', primary: 'acc' };
export const recipes: Record<string, Recipe> = {
  own: {
    about: 'your own prompts and targets: comparable where rows and keys are the same',
    num_fewshot: 0,
    strategies: Object.fromEntries(ANSWER_CHECKS.map((check) => [check, rule])),
  },
};

const columns = { prompt: 'what is asked', target: 'what is right' };
export const config = taskSchema('rollout', OWN_ROWS, recipes, {
  dataset: {
    columns: columnsKey(columns),
    template: z.string().min(1).default('{prompt}').describe('the words around a prompt, which stands at `{prompt}`'),
  },
  scoring: {
    answer_after: z
      .string()
      .min(1)
      .optional()
      .describe('of an answer counts what stands behind the last of these marks'),
    answer_regex: z
      .string()
      .min(1)
      .optional()
      .describe('of an answer counts the first group of this regular expression'),
    first_line: z.boolean().default(false).describe('of an answer counts the first line that is not blank'),
    ignore_case: z.boolean().default(false).describe('letters are the same in both cases'),
    tolerance: z.number().min(0).default(0).describe('how far a number may be off'),
    until: z.array(z.string().min(1)).optional().describe('texts that end an answer; they are cut off'),
  },
});
type Config = z.infer<typeof config>;
type Gold = Target & Cleaning;

/** The literal words of a question. */
export function prompt(template: string, text: string): string {
  return fill(template, { prompt: text });
}

/** Keys that contradict each other or cannot be used. Throws UserError. */
function checkKeys({ dataset: { template }, scoring }: Config): void {
  const slots = template.match(/\{\w+\}/g) ?? [];
  if (slots.length !== 1 || slots[0] !== '{prompt}')
    throw new UserError(`it has ${slots.join(' and ') || 'no slot'}. It has to have {prompt} once.`, {
      key: 'dataset.template',
    });
  if (scoring.tolerance > 0 && scoring.strategy !== 'number')
    throw new UserError(`${scoring.tolerance}, but ${scoring.strategy} compares no numbers.`, {
      key: 'scoring.tolerance',
    });
  try {
    new RegExp(scoring.answer_regex ?? '', 'um');
  } catch (cause) {
    throw new UserError(`${(cause as Error).message}.`, { key: 'scoring.answer_regex', cause });
  }
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<Gold>> {
  const { dataset, scoring } = run.config;
  checkKeys(run.config);
  const { prompt: asked = 'prompt', target: right = 'target' } = dataset.columns ?? {};
  const { answer_after: after, answer_regex: regex, first_line, ignore_case, tolerance, until = [] } = scoring;
  const read = (row: IndexedRow) => ({
    question: prompt(dataset.template, textField('rollout', row, asked)),
    target: textField('rollout', row, right),
  });
  for await (const { index, row } of run.rows([asked, right], read)) {
    const gold = { target: row.target, after, regex, first_line, ignore_case, tolerance };
    const question = promptFor({ description: '', shots: [], question: row.question }, run.chat);
    const ask = { verb: 'generate_until' as const, prompt: question, until, max_new_tokens: run.recipe.maxNewTokens };
    yield { id: String(index), index, gold, ask };
  }
}

/** The verdict on an answer. */
function score({ output = '', gold }: Prediction<Gold>, strategy: string): Verdict {
  const said = cleaned(output, gold);
  const { answer, right } =
    said === null ? { answer: null, right: false } : judged(strategy as AnswerCheck, said, gold);
  const correct = right ? 1 : 0;
  return { prediction: answer, correct, metrics: { acc: correct } };
}

export const task: Task<Config, Gold> = {
  name: 'rollout',
  config,
  recipes,
  examples,
  score: (row, { strategy }) => score(row, strategy),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, null),
};
await main(import.meta.url, task);
