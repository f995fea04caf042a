/**
 * HumanEval (Chen et al. 2021, https://arxiv.org/abs/2107.03374): 164 functions of Python to be written from signature and
 * docstring, `openai/openai_humaneval`, split `test`; `evalplus/humanevalplus` and rows of your own have the same columns:
 * `task_id`, `prompt`, `test` (it defines `check(candidate)`), `entry_point`. The metric `pass` is pass@1: the share of
 * answers whose program passes its test; with `scoring.samples_per_prompt: n` also the unbiased pass@k for k up to n.
 *
 * - `lm_eval`: the prompt as it stands. An answer ends before "\nclass", "\ndef", "\n#", "\nif" or "\nprint" (the paper's
 *   stops), after 1,024 tokens or with the end of the text. The program is prompt and answer in a row.
 * - `instruct`: a request in words for chat models, without stops. The program is made of the code in the answer (score/code.ts).
 *   lm-evaluation-harness also begins the answer itself ("Here is the completed function:"), which is not done here.
 *
 * Programs are run in a sandbox, each with `scoring.program_timeout` seconds, and only with `sandbox.enabled: true`; without it
 * set `run.score: false` and score with rescore.ts. Program and test run in two processes: a program that leaves, prints or
 * patches something does not pass by that. What it answers arrives as plain values: an object of its own class equals nothing.
 */
import { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { sandboxSection } from './config/sandbox.ts';
import { textField } from './data/row.ts';
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { promptFor } from './prompt/fewshot.ts';
import { fill } from './prompt/template.ts';
import type { Example, Prediction, Verdict } from './questions.ts';
import { answered, completed } from './score/code.ts';
import { openSandbox } from './score/sandbox/sandbox.ts';
import { summarizeRows } from './score/summarize.ts';
import type { Run, Task } from './task.ts';

interface HumanEvalRecipe extends Recipe {
  question: string;
  /** How an answer becomes a program. */
  answer: 'completion' | 'code in words';
}

export const recipes: Record<string, HumanEvalRecipe> = {
  lm_eval: {
    about: 'the paper and lm-evaluation-harness `humaneval`: the prompt is completed; for base models',
    question: '{prompt}',
    answer: 'completion',
    num_fewshot: 0,
    strategies: {
      run_tests: {
        verb: 'generate_until',
        primary: 'pass',
        until: ['\nclass', '\ndef', '\n#', '\nif', '\nprint'],
        max_new_tokens: 1024,
      },
    },
  },
  instruct: {
    about:
      'the words of lm-evaluation-harness `humaneval_instruct`, whose beginning of the answer is left out: near to it, not equal; for chat models',
    question:
      'Write a solution to the following problem and make sure that it passes the tests:\n```python\n{prompt}\n```\n',
    answer: 'code in words',
    num_fewshot: 0,
    strategies: { run_tests: { verb: 'generate_until', primary: 'pass', max_new_tokens: 1024 } },
  },
};

export const config = taskSchema(
  'humaneval',
  { dataset_id: 'openai/openai_humaneval', subset_name: 'openai_humaneval', split: 'test' },
  recipes,
  {
    scoring: {
      program_timeout: z.int().min(1).default(3).describe('seconds of processor time that a program may take'),
    },
    sections: { sandbox: sandboxSection.prefault({}) },
  },
);
type Config = z.infer<typeof config>;

/** What a verdict needs of the row. */
interface Gold {
  prompt: string;
  test: string;
  entry_point: string;
}

/** The literal words of a question. */
export function prompt({ question }: HumanEvalRecipe, text: string): string {
  return fill(question, { prompt: text });
}

async function* examples({ recipe, chat, rows }: Run<Config>): AsyncGenerator<Example<Gold>> {
  const columns = ['task_id', 'prompt', 'test', 'entry_point'] as const;
  const named = recipe.recipe as HumanEvalRecipe;
  for await (const { index, row } of rows(columns, (one) => columns.map((name) => textField('humaneval', one, name)))) {
    const [id, text, test, entry_point] = row as [string, string, string, string];
    const parts = { description: '', shots: [], question: prompt(named, text) };
    yield { id, index, gold: { prompt: text, test, entry_point }, ask: askOf(recipe, promptFor(parts, chat), []) };
  }
}

/** The program of an answer. */
export function programOf({ output = '', gold }: Prediction<Gold>, { answer }: HumanEvalRecipe): string {
  if (answer === 'completion') return completed(gold.prompt, output);
  return answered(gold.prompt, output, gold.entry_point);
}

/** The verdict on an answer: its program against the row's test, in the sandbox. */
async function score(row: Prediction<Gold>, named: HumanEvalRecipe, config: Config): Promise<Verdict> {
  const sandbox = await openSandbox(config.sandbox);
  const job = { ...row.gold, program: programOf(row, named) };
  const { passed, failure } = await sandbox.judge(job, config.scoring.program_timeout);
  const correct = passed ? 1 : 0;
  return { correct, metrics: { pass: correct }, ...(passed ? {} : { failure }) };
}

export const task: Task<Config, Gold> = {
  name: 'humaneval',
  config,
  recipes,
  examples,
  scorer: (config) => openSandbox(config.sandbox),
  score: (row, { recipe }, config) => score(row, recipe as HumanEvalRecipe, config!),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, null),
};
await main(import.meta.url, task);
