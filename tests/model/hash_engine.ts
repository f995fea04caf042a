/** An engine over hash executors, questions for it, and what comes of them. */
import assert from 'node:assert/strict';
import { openEngine } from '../../nanoeval/model/engine/engine.ts';
import type { Executor } from '../../nanoeval/model/engine/executor.ts';
import type { TokenQuestion } from '../../nanoeval/model/engine/prefix_tree.ts';
import type { Answer } from '../../nanoeval/model/engine/sheets.ts';
import { RowError } from '../../nanoeval/types.ts';
import { directScore, type Faults, type HashExecutor, hashExecutor, NAN_TOKEN } from './hash_executor.ts';
import { draws, randomQuestions, requestOf } from './token_questions.ts';

export const never = new AbortController().signal;
export const PLAIN = NAN_TOKEN;
export const MEMORY = 'model.onnx: Failed to allocate memory for requested buffer of size 123';

export async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

export interface Setting extends Faults {
  lanes?: number;
  cacheBytes?: number;
  decodeBytes?: number;
  batchTokens?: number;
}

export function open({ lanes = 1, cacheBytes = 0, decodeBytes = 1e9, batchTokens = 768, ...faults }: Setting = {}) {
  const executors: HashExecutor[] = Array.from({ length: lanes }, () => hashExecutor(faults));
  const lines: string[] = [];
  const log = { info: (line: string) => lines.push(line), progress: () => {} };
  const reopen = async (): Promise<Executor> => {
    // A process takes a while to start.
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate);
    const executor = hashExecutor(faults);
    executors.push(executor);
    return executor;
  };
  const engine = openEngine([...executors], reopen, { batchTokens, cacheBytes, decodeBytes, log });
  /** Waits for calls that nobody waits for, as `free` is. */
  const rest = async () => {
    while (executors.some(({ underWay }) => underWay > 0)) await new Promise(setImmediate);
  };
  return { engine, executors, lines, rest };
}

/** Answers by place; none twice. */
export async function gather(
  stream: AsyncIterable<Answer>,
  answers: Answer[] = [],
): Promise<Map<number, Answer['scores']>> {
  for await (const answer of stream) answers.push(answer);
  const byPlace = new Map(answers.map(({ place, scores }) => [place, scores]));
  assert.equal(byPlace.size, answers.length, 'no place twice');
  return new Map([...byPlace].sort(([a], [b]) => a - b));
}

export const direct = (questions: readonly TokenQuestion[]) =>
  new Map(questions.map(({ place, requests }) => [place, requests.map(directScore)]));

/** Questions of `count` kinds under headers, as many as fill windows. */
export function manyQuestions(seed: number, count: number, longest = 60): TokenQuestion[] {
  const random = draws(seed);
  const questions: TokenQuestion[] = [];
  while (questions.length < count) questions.push(...randomQuestions(random, 40, longest, PLAIN));
  return questions.slice(0, count).map((question, place) => ({ ...question, place }));
}

/** Questions of a few words under one header, more than a window holds. */
export function underHeader(count: number, length = 320): TokenQuestion[] {
  const random = draws(9);
  const header = random.tokens(length, PLAIN);
  return Array.from({ length: count }, (_, place) => {
    const context = [...header, ...random.tokens(8, PLAIN)];
    return { place, requests: [0, 1].map(() => requestOf([...context, ...random.tokens(2, PLAIN)], 2)) };
  });
}

// ---------------------------------------------------------------- pictures

export const FORMS = ['tree', 'batched', 'single', 'whole', 'alone', 'naive'] as const;
export const CORRUPT = 255;
export const isCorrupt = ({ bytes }: { bytes: Uint8Array }) => bytes[0] === CORRUPT;
export const look: Faults['look'] = (picture) => {
  if (isCorrupt(picture)) throw new RowError('image', 'the picture cannot be decoded.');
};

export type Engine = ReturnType<typeof open>['engine'];
/** Prompts of a few tokens, each about one of the pictures: text, the picture, text. */
export function pictured(engine: Engine, pictures: readonly number[], tokens = 5): TokenQuestion[] {
  const random = draws(31);
  return pictures.map((value, place) => {
    const { first } = engine.album.enter(Uint8Array.of(value), tokens);
    const context = [1, 2, 3, ...Array.from({ length: tokens }, (_, i) => first + i), ...random.tokens(6, PLAIN)];
    return { place, requests: [0, 1, 2].map(() => requestOf([...context, ...random.tokens(3, PLAIN)], 3)) };
  });
}

/** Greedy answers of three tokens, or the reason why there is none, by place. */
export async function answersTo(engine: Engine, prompts: readonly number[][], watched: readonly number[] = []) {
  const found = new Map<number, number[] | RowError>();
  const heard = new Map<number, readonly number[]>();
  const asked = prompts.map((ids, place) => ({
    place,
    ids,
    begin() {
      const answer: number[] = [];
      found.set(place, answer);
      const take = (token: number, logprobs: readonly number[]) => {
        if (answer.length === 0) heard.set(place, logprobs);
        return answer.push(token) === 3;
      };
      return { take, watched };
    },
  }));
  for await (const { place, error } of engine.generate(each(asked), never)) if (error !== null) found.set(place, error);
  return { found, heard };
}

/** The answers, and what the executor was told to compute. */
export async function recorded(questions: readonly TokenQuestion[], form: Faults['form'] & string) {
  const passes: string[] = [];
  const before: Faults['before'] = ({ sequences, select, pairs }) =>
    void passes.push(JSON.stringify([sequences, select, pairs]));
  const { engine } = open({ form, before });
  const answers = await gather(engine.score(each(questions), never));
  const stats = { ...engine.stats };
  await engine.close();
  return { passes, answers, stats };
}
