/** What a task asks of a model, row by row: the whole way from the rows to the questions, with a model that writes them down. */
import { readFileSync } from 'node:fs';
import type { TaskConfig } from '../nanoeval/config/keys.ts';
import type { Ask, FailedRow, Prediction, Prompt } from '../nanoeval/questions.ts';
import { askModel } from '../nanoeval/run/ask.ts';
import { checkConfig } from '../nanoeval/run/check.ts';
import { openPlan } from '../nanoeval/run/plan.ts';
import type { Task } from '../nanoeval/task.ts';
import { imagesOf } from '../nanoeval/text/prompt_parts.ts';
import type { Log } from '../nanoeval/types.ts';
import { type Canned, cannedModel, cannedModels, classified, ranked, rolled, said } from './canned_model.ts';

export interface Asked<G = unknown> {
  row: Prediction<G> | FailedRow;
  /** null: the row cannot be asked. */
  question: Ask | null;
  /** The prompt as the canned model renders it; empty where nothing is asked. */
  context: string;
}

const log: Log = { info: () => {}, progress: () => {} };

/** `countTokens` of the model is the number of words; its window has 1,000 unless `given` says otherwise. */
export async function* ask<C extends TaskConfig, G>(
  task: Task<C, G>,
  settings: object,
  given: Canned = {},
): AsyncGenerator<Asked<G>> {
  const config = task.config.parse({ task: task.name, model: { model_id: 'a/b' }, ...settings });
  const contexts = new Map<Ask, string>();
  const model = cannedModel({
    ...given,
    concurrency: 32,
    reply(one, context) {
      contexts.set(one, context);
      if (one.verb === 'loglikelihood') return ranked(one, context);
      if (one.verb === 'classify') return classified(one);
      return one.verb === 'generate_until' ? said(' A', context) : rolled(one.text);
    },
  });
  const { answer } = model;
  let answered = -1;
  model.answer = async function* (questions, until) {
    for await (const reply of answer(questions, until)) {
      answered = reply.place;
      yield reply;
    }
  };
  const { signal } = new AbortController();
  const plan = await openPlan(task, config, checkConfig(task, config), cannedModels(model), { log, signal });
  const earlier = { scored: new Set<string>(), failed: new Set<string>() };
  for (const selection of plan.selections) {
    for await (const row of askModel(plan, model, { selection, earlier }, signal)) {
      const question = 'error' in row ? null : model.asked[answered]!.content;
      yield { row, question, context: question === null ? '' : contexts.get(question)! };
      if (question !== null) contexts.delete(question);
    }
  }
}

/** All of them. */
export async function askedBy<C extends TaskConfig, G>(
  task: Task<C, G>,
  settings: object,
  given: Canned = {},
): Promise<Asked<G>[]> {
  const asked: Asked<G>[] = [];
  for await (const one of ask(task, settings, given)) asked.push(one);
  return asked;
}

/** The prompt of a question that has one. */
export function promptOf({ question }: Asked): Prompt {
  if (question === null || 'text' in question) throw new Error('nothing is asked after a prompt');
  return question.prompt;
}

/** The pictures that a question shows. */
export const imagesIn = (asked: Asked): Uint8Array[] => imagesOf(promptOf(asked));

/** The question, of its verb. Throws where it is another one, or none. */
export function questionOf<V extends Ask['verb']>({ question }: Asked, verb: V): Extract<Ask, { verb: V }> {
  if (question?.verb !== verb) throw new Error(`asked for ${question?.verb}, not ${verb}`);
  return question as Extract<Ask, { verb: V }>;
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
