/** Asks a model one question, or a few, and gives what it says of them. */
import assert from 'node:assert/strict';
import type {
  Ask,
  Choice,
  ChoicesReply,
  GenerateAsk,
  GenerationReply,
  Loglikelihood,
  LoglikelihoodAsk,
  Model,
  Prompt,
  Reply,
  RollingReply,
} from '../../nanoeval/questions.ts';
import { type Question, RowError } from '../../nanoeval/types.ts';

export type ReplyTo<A extends Ask> = A extends LoglikelihoodAsk
  ? ChoicesReply
  : A extends GenerateAsk
    ? GenerationReply
    : RollingReply;
type Answering = Pick<Model, 'answer'>;

export const unending = new AbortController().signal;

export async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** The replies to one stream of questions by their places. None comes twice. */
export async function gather(
  stream: AsyncIterable<Question<Reply | RowError>>,
  found = new Map<number, Reply | RowError>(),
): Promise<Map<number, Reply | RowError>> {
  for await (const { place, content } of stream) {
    assert.ok(!found.has(place), `place ${place} twice`);
    found.set(place, content);
  }
  return found;
}

/** The replies in the order of the questions. */
export async function askEach<A extends Ask>(model: Answering, asks: readonly A[]): Promise<(ReplyTo<A> | RowError)[]> {
  const questions = asks.map((content, place) => ({ place, content }));
  const found = await gather(model.answer(each(questions), unending));
  assert.equal(found.size, asks.length, 'everything is answered');
  return asks.map((_, place) => found.get(place) as ReplyTo<A> | RowError);
}

/** The replies in the order of the questions. Throws the first RowError among them. */
export async function askAll<A extends Ask>(model: Answering, asks: readonly A[]): Promise<ReplyTo<A>[]> {
  return (await askEach(model, asks)).map((reply) => {
    if (reply instanceof RowError) throw reply;
    return reply;
  });
}

/** The reply to one question. Throws the RowError that stands for it. */
export async function askOne<A extends Ask>(model: Answering, ask: A): Promise<ReplyTo<A>> {
  return (await askAll(model, [ask]))[0]!;
}

export type Scored = Loglikelihood & Omit<ChoicesReply, 'choices'>;

/** A choice whose continuation is its text. */
export const choice = (continuation: string, more: Partial<Choice> = {}): Choice => ({
  continuation,
  text: continuation,
  ...more,
});

/** What is said of one continuation after a prompt, with what is said of the question. */
export async function scoreOne(
  model: Answering,
  prompt: Prompt,
  continuation: string,
  more: Partial<LoglikelihoodAsk> = {},
): Promise<Scored> {
  const ask: LoglikelihoodAsk = { verb: 'loglikelihood', prompt, choices: [choice(continuation)], ...more };
  const { choices, ...head } = await askOne(model, ask);
  assert.equal(choices.length, ask.choices.length);
  return { ...choices[0]!, ...head };
}

/** A greedy answer. */
export const generate = (
  model: Answering,
  prompt: Prompt,
  max_new_tokens: number,
  more: Partial<GenerateAsk> = {},
): Promise<GenerationReply> => askOne(model, { verb: 'generate_until', prompt, until: [], max_new_tokens, ...more });
