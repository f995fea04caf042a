/** What tests of servers share: a log that is kept, a model over fake servers, questions and their replies. */
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { modelSection } from '../../../nanoeval/config/keys.ts';
import type { SendOptions } from '../../../nanoeval/model/server/exchange.ts';
import type { Send } from '../../../nanoeval/model/server/pool.ts';
import { findServer, type ServerOptions } from '../../../nanoeval/model/server/server.ts';
import type { Ask, GenerateAsk, LoglikelihoodAsk, Model, Reply } from '../../../nanoeval/questions.ts';
import type { Question, RowError } from '../../../nanoeval/types.ts';
import type { Fake } from './fake_server.ts';

export const FAST = { backoffMs: 10, longestBackoffMs: 40, patienceMs: 5_000 };

export function keptLog() {
  const said: string[] = [];
  return { said, log: { info: (line: string) => void said.push(line), progress: () => {} } };
}

/** The section `model` of a config for these servers. */
export function settingsFor(fakes: readonly Pick<Fake, 'url' | 'options'>[], keys: object = {}) {
  const [{ options }] = fakes as [Fake];
  const backend = options.kind === 'llama.cpp' ? 'llama_cpp' : options.kind;
  return modelSection.parse({ model_id: options.model, backend, base_url: fakes.map(({ url }) => url), ...keys });
}

export async function openFakes(
  t: TestContext,
  fakes: readonly Fake[],
  keys: object = {},
  options: Partial<ServerOptions> = {},
) {
  const { said, log } = keptLog();
  const given = { log, signal: new AbortController().signal, limits: FAST, loadMs: 5_000, env: {}, ...options };
  const found = await findServer(settingsFor(fakes, keys), given);
  const model = await found.load();
  t.after(() => model.close());
  return { found, model, said };
}

export const generated = (prompt: GenerateAsk['prompt'], more: Partial<GenerateAsk> = {}): GenerateAsk => ({
  verb: 'generate_until',
  prompt,
  until: [],
  max_new_tokens: 16,
  ...more,
});

export const ranked = (prompt: LoglikelihoodAsk['prompt'], continuations: readonly string[]): LoglikelihoodAsk => ({
  verb: 'loglikelihood',
  prompt,
  choices: continuations.map((continuation) => ({ continuation, text: continuation })),
});

/** The replies by the places of the questions. Throws where one comes twice. */
export async function replies(
  model: Pick<Model, 'answer'>,
  asks: readonly Ask[] | AsyncIterable<Question<Ask>>,
  signal = new AbortController().signal,
): Promise<(Reply | RowError)[]> {
  const found: (Reply | RowError)[] = [];
  const questions = Symbol.asyncIterator in asks ? asks : questionsOf(asks);
  for await (const { place, content } of model.answer(questions, signal)) {
    if (found[place] !== undefined) throw new Error(`place ${place} came twice`);
    found[place] = content;
  }
  return found;
}

export async function* questionsOf(asks: readonly Ask[]): AsyncGenerator<Question<Ask>> {
  for (const [place, content] of asks.entries()) yield { place, content };
}

/** A server without one: what each request is answered, by its path. */
export function stub(answers: (path: string, body: never, options?: SendOptions) => unknown) {
  const sent: { path: string; body: unknown }[] = [];
  const send: Send = async (_, path, body, options) => {
    sent.push({ path, body });
    await sleep(0);
    return answers(path, body as never, options);
  };
  return { send, sent };
}
