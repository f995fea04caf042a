/** What a task asks of a model, row by row: the whole way from the rows to the requests, with a model that writes them down. */
import { readFileSync } from 'node:fs';
import type { TaskConfig } from '../nanoeval/config/keys.ts';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import { openSplit } from '../nanoeval/data/rows.ts';
import { makeRun, openShots } from '../nanoeval/run/ask.ts';
import type { Task } from '../nanoeval/task.ts';
import type {
  FailedRow,
  GenerationRequest,
  Log,
  Loglikelihood,
  LoglikelihoodRequest,
  Model,
  Prediction,
} from '../nanoeval/types.ts';
import { streams } from './streams.ts';

export interface Asked {
  row: Prediction | FailedRow;
  requests: LoglikelihoodRequest[];
  generations: GenerationRequest[];
}

const SCORE: Loglikelihood = {
  logprob: -1,
  num_tokens: 1,
  is_greedy: false,
  num_context_tokens: 1,
  truncated: false,
};
const log: Log = { info: () => {}, progress: () => {} };

/** `countTokens` of the model is the number of words; its chat template writes a message's parts as JSON. */
export async function* ask<C extends TaskConfig>(task: Task<C>, settings: object): AsyncGenerator<Asked> {
  const config = task.config.parse({ task: task.name, model: { model_id: 'a/b' }, ...settings });
  let requests: LoglikelihoodRequest[] = [];
  let generations: GenerationRequest[] = [];
  const plain: Pick<Model, 'loglikelihood' | 'generateUntil'> = {
    loglikelihood: async (asked) => {
      requests = [...asked];
      return asked.map(() => SCORE);
    },
    generateUntil: async (asked) => {
      generations = [...asked];
      return asked.map(() => ({
        output: ' A',
        finish_reason: 'stop' as const,
        num_output_tokens: 1,
        num_context_tokens: 1,
        truncated: false,
      }));
    },
  };
  const model: Model = {
    ...plain,
    ...streams(plain),
    identity: { is_vlm: false } as Model['identity'],
    engine: { mode: 'naive', form: 'naive' },
    engineRemarks: [],
    engineStats: () => ({}),
    loglikelihoodRolling: async () => [],
    renderChat: (messages) =>
      `${messages.map(({ role, content }) => `<${role}>${typeof content === 'string' ? content : JSON.stringify(content)}</${role}>`).join('')}<assistant>`,
    imagePlaceholder: () => '<picture>',
    countTokens: (text) => text.split(/\s+/).length,
    close: async () => {},
  };
  const { signal } = new AbortController();
  const { dataset } = config;
  const recipe = resolveRecipe(task, config);
  const split = await openSplit({ ...dataset, path: dataset.path ?? null }, { log, signal });
  const shots = await openShots(task.shotsFrom, config, recipe, { log, signal });
  const run = makeRun(config, recipe, model, { split, shots }, signal);
  for await (const row of task.predict(run)) {
    yield { row, requests, generations };
    [requests, generations] = [[], []];
  }
}

/** One entry of tests/golden/goldens.json, with the text of its context. */
export interface Golden {
  task: string;
  recipe: string;
  num_fewshot: number;
  /** Line of the input file. */
  row: number;
  context: string;
  /** Content of that file; of a benchmark with pictures, its message as JSON: texts, and numbers of pictures. */
  text: string;
  continuations: string[];
  texts: string[];
  tokenization: string;
}

export function goldensOf(task: string): Golden[] {
  const read = (path: string) => readFileSync(new URL(`golden/${path}`, import.meta.url), 'utf8');
  const all: Golden[] = JSON.parse(read('goldens.json'));
  return all.filter((golden) => golden.task === task).map((golden) => ({ ...golden, text: read(golden.context) }));
}
