/**
 * A model server for tests: the routes of vLLM, of llama-server, or of neither, over a made-up model of words, and whatever
 * fault a test asks for. It is deterministic: what a request is answered follows from the request.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface Seen {
  method: string;
  path: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever a request holds
  body: any;
  headers: IncomingMessage['headers'];
  at: number;
}

/** What is done in place of an answer; true where something was. */
export type Fault = (request: Seen, response: ServerResponse, fake: Fake) => boolean | undefined;

export interface FakeOptions {
  kind?: 'vllm' | 'llama.cpp' | 'openai';
  model?: string;
  version?: string;
  /** Milliseconds of each completion. */
  latencyMs?: number;
  /** Completions side by side; the rest waits. */
  slots?: number;
  context?: number;
  bos?: boolean;
  /** Called before each answer. */
  fault?: Fault;
  /** In which way it cannot score. */
  scoring?: 'right' | 'ignored' | 'other tokens' | 'likeliest' | 'constant' | 'biased' | 'unforced' | 'mixed up';
  key?: string;
  /** It knows `logprob_token_ids`. */
  letters?: boolean;
  /** What vLLM's `/tokenizer_info` says; absent: it has no such route. */
  tokenizerInfo?: object;
  /** What becomes of a wish for a stream. */
  streaming?: 'right' | 'ignored' | 'refused' | 'without usage';
}

export interface Fake {
  url: string;
  options: Required<Omit<FakeOptions, 'fault' | 'key' | 'tokenizerInfo'>> &
    Pick<FakeOptions, 'fault' | 'key' | 'tokenizerInfo'>;
  seen: Seen[];
  /** Completions under way at a time, at most. */
  peak: number;
  /** Those of a route. */
  of(path: string): Seen[];
  close(): Promise<void>;
}

const words = new Map<string, number>([
  ['<s>', 1],
  ['</s>', 2],
  [' the', 3],
  [',', 4],
]);
const texts = new Map<number, string>([...words].map(([text, id]) => [id, text]));

export function idsOf(text: string): number[] {
  return (text.match(/<s>|\s?[^\s,]+|,|\s/g) ?? []).map((word) => {
    const id = words.get(word) ?? 10 + words.size;
    words.set(word, id);
    texts.set(id, word);
    return id;
  });
}
export const wordsOf = (ids: readonly number[]) => ids.map((id) => texts.get(id) ?? `<${id}>`).join('');

/** The made-up model: Paris is what it likes, the rest follows from a hash. */
export function logprobOf(before: readonly number[], id: number): number {
  if (texts.get(id) === ' Paris') return -0.25;
  return -2 - (createHash('sha256').update(`${before.join()}:${id}`).digest().readUInt16BE(0) % 1000) / 100;
}
export const sumOf = (context: readonly number[], continuation: readonly number[]) =>
  continuation.reduce((sum, id, i) => sum + logprobOf([...context, ...continuation.slice(0, i)], id), 0);

/** What it says to a text: the text's digest in words, so that an answer can be told from any other. */
export const answerTo = (text: string) => ` ${createHash('sha256').update(text).digest('hex').slice(0, 8)}`;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts it on a free port, or on `port`, until the test ends. */
export async function fakeServer(t: TestContext | null, given: FakeOptions = {}, port = 0): Promise<Fake> {
  const options: Fake['options'] = {
    kind: 'vllm',
    model: 'toy',
    version: '1',
    latencyMs: 0,
    slots: 64,
    context: 2048,
    bos: false,
    scoring: 'right',
    streaming: 'right',
    letters: true,
    ...given,
  };
  const queue: (() => void)[] = [];
  let busy = 0;
  const inSlot = async <T>(work: () => Promise<T>): Promise<T> => {
    if (busy >= options.slots) await new Promise<void>((resolve) => queue.push(resolve));
    else busy += 1;
    fake.peak = Math.max(fake.peak, busy);
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next === undefined) busy -= 1;
      else next();
    }
  };
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const text = Buffer.concat(pieces).toString('utf8');
    const seen: Seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      body: text === '' ? null : JSON.parse(text),
      headers: request.headers,
      at: performance.now(),
    };
    fake.seen.push(seen);
    if (options.fault?.(seen, response, fake)) return;
    if (options.key !== undefined && seen.headers.authorization !== `Bearer ${options.key}`)
      return answer(response, 401, { error: 'Unauthorized' });
    const isSlow = seen.method === 'POST' && /completion/.test(seen.path);
    const result = isSlow
      ? await inSlot(async () => {
          if (options.latencyMs > 0) await sleep(options.latencyMs);
          return route(fake, seen);
        })
      : route(fake, seen);
    if (seen.body?.stream !== true || result.status !== 200 || options.streaming === 'ignored')
      return answer(response, result.status, result.body);
    if (options.streaming === 'refused') return answer(response, 400, { error: { message: 'no stream here' } });
    const events = eventsOf(result.body, options.streaming === 'right');
    beginStream(response);
    response.end(events.map((event) => `data: ${event}\n\n`).join(''));
  });
  // A test that counts connections wants those that are lost, not those that grew old.
  server.keepAliveTimeout = 60_000;
  const fake: Fake = {
    url: '',
    options,
    seen: [],
    peak: 0,
    of: (path) => fake.seen.filter((one) => one.path === path),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t?.after(() => fake.close());
  return fake;
}

export function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** The head of a stream of events. */
export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
}

/** What goes wrong in the middle of a stream. */
export type StreamFault = 'stall' | 'cut' | 'ended' | 'error' | 'too long' | 'no JSON' | 'pings' | 'trickle' | 'reset';

/** Begins to stream an answer to `prompt`, and goes wrong. `trickle`: slow, but right. */
export function streamFault(response: ServerResponse, kind: StreamFault, prompt: string, model = 'toy'): void {
  const choices = [{ index: 0, text: answerTo(prompt), finish_reason: 'stop' }];
  const events = eventsOf({ model, choices, usage: { prompt_tokens: 1, completion_tokens: 1 } });
  const write = (event: string) => response.write(`data: ${event}\n\n`);
  const error = (code: number, type: string) => JSON.stringify({ error: { message: 'so it is', type, code } });
  beginStream(response);
  const begin = () => {
    for (const event of events.slice(0, 2)) write(event);
  };
  if (kind !== 'trickle') begin();
  if (kind === 'ended') {
    // Everything but the sign that it is everything.
    for (const event of events.slice(2, -1)) write(event);
    response.end();
  } else if (kind === 'cut') response.end('data: {"choi');
  else if (kind === 'reset') setTimeout(() => response.destroy(), 20);
  else if (kind === 'error') response.end(`data: ${error(500, 'InternalServerError')}\n\ndata: [DONE]\n\n`);
  else if (kind === 'too long') response.end(`data: ${error(400, 'exceed_context_size_error')}\n\n`);
  else if (kind === 'no JSON') response.end('data: <html>\n\n');
  else if (kind === 'pings') {
    const timer = setInterval(() => response.write(': ping\n\n'), 20);
    response.on('close', () => clearInterval(timer));
  } else if (kind === 'trickle') {
    const timer = setInterval(() => {
      const event = events.shift();
      if (event !== undefined) write(event);
      if (events.length > 0) return;
      clearInterval(timer);
      response.end();
    }, 60);
    response.on('close', () => clearInterval(timer));
  }
}

/** An answer as the events of a stream, as llama-server and vLLM cut it: pieces, the reason for its end, counts, the end. */
// biome-ignore lint/suspicious/noExplicitAny: an answer of any route
export function eventsOf(body: any, withUsage = true): string[] {
  const { choices, usage, ...head } = body;
  const [{ text, message, finish_reason, ...rest }] = choices;
  const said: string = text ?? message.content;
  const pieces = said.match(/.{1,3}/gs) ?? [];
  const one = (piece: string) => (text === undefined ? { delta: { content: piece } } : { text: piece });
  const chunk = (more: object) => JSON.stringify({ ...head, choices: [{ index: 0, finish_reason: null, ...more }] });
  return [
    ...(text === undefined ? [chunk({ delta: { role: 'assistant', content: null } })] : []),
    ...pieces.map((piece, i) => chunk({ ...one(piece), ...(i === 0 ? rest : {}) })),
    chunk({ ...(text === undefined ? { delta: {} } : { text: '' }), finish_reason }),
    ...(withUsage ? [JSON.stringify({ ...head, choices: [], usage })] : []),
    '[DONE]',
  ];
}

interface Result {
  status: number;
  body: unknown;
}

const notThere: Result = { status: 404, body: { error: { message: 'Not Found', type: 'NotFoundError', code: 404 } } };

function route(fake: Fake, { method, path, body }: Seen): Result {
  const { options } = fake;
  const { kind, model } = options;
  const is = (verb: string, name: string) => method === verb && path === name;
  if (is('GET', '/v1/models')) {
    const meta = kind === 'llama.cpp' ? { meta: { n_vocab: 100, n_ctx: options.context, ftype: 'Q4_1' } } : {};
    const length = kind === 'vllm' ? { max_model_len: options.context } : {};
    return { status: 200, body: { data: [{ id: model, created: Date.now(), ...meta, ...length }] } };
  }
  if (is('GET', '/version') && kind === 'vllm') return { status: 200, body: { version: options.version } };
  if (is('GET', '/tokenizer_info') && options.tokenizerInfo !== undefined)
    return { status: 200, body: options.tokenizerInfo };
  if (is('GET', '/props') && kind === 'llama.cpp') {
    const settings = { n_ctx: options.context };
    const props = { default_generation_settings: settings, total_slots: options.slots, build_info: options.version };
    return { status: 200, body: { ...props, chat_template: '{{ x }}', model_path: `/models/${model}.gguf` } };
  }
  if (is('POST', '/v1/completions')) return completions(fake, body);
  if (is('POST', '/v1/chat/completions')) {
    // biome-ignore lint/suspicious/noExplicitAny: whatever a request holds
    const said = answerTo(body.messages.map((one: any) => JSON.stringify(one.content)).join('|'));
    const isTold = body.return_token_ids === true && kind === 'vllm';
    const choice = {
      index: 0,
      message: { role: 'assistant', content: said },
      finish_reason: 'stop',
      ...(isTold ? { token_ids: idsOf(said) } : {}),
    };
    const told = isTold ? { prompt_token_ids: idsOf(rendered(body.messages)) } : {};
    const usage = { prompt_tokens: 7, completion_tokens: 1 };
    return { status: 200, body: { model, choices: [choice], usage, ...told } };
  }
  const bos = options.bos ? [1] : [];
  if (is('POST', '/tokenize') && kind === 'vllm') {
    const text = body.messages === undefined ? body.prompt : rendered(body.messages);
    const framed = body.add_special_tokens && body.messages === undefined ? bos : [];
    const tokens = [...framed, ...idsOf(text)];
    return { status: 200, body: { count: tokens.length, max_model_len: options.context, tokens } };
  }
  if (is('POST', '/detokenize') && kind === 'vllm') return { status: 200, body: { prompt: wordsOf(body.tokens) } };
  if (is('POST', '/tokenize') && kind === 'llama.cpp')
    return { status: 200, body: { tokens: [...(body.add_special ? bos : []), ...idsOf(body.content ?? '')] } };
  if (is('POST', '/apply-template') && kind === 'llama.cpp')
    return { status: 200, body: { prompt: rendered(body.messages) } };
  if (is('POST', '/completion') && kind === 'llama.cpp') return native(fake, body);
  return notThere;
}

export const rendered = (messages: { role: string; content: string }[]) =>
  `${messages.map(({ role, content }) => `<${role}> ${content}`).join(' ')} <assistant>`;

// biome-ignore lint/suspicious/noExplicitAny: whatever a request holds
function completions({ options }: Fake, body: any): Result {
  const { model, kind } = options;
  const prompts: (string | number[])[] =
    Array.isArray(body.prompt) && Array.isArray(body.prompt[0]) ? body.prompt : [body.prompt];
  const asIds = (prompt: string | number[]) => (typeof prompt === 'string' ? idsOf(prompt) : prompt);
  if (prompts.some((prompt) => asIds(prompt).length + (body.max_tokens ?? 16) > options.context)) {
    const message = `This model's maximum context length is ${options.context} tokens. However, you requested more.`;
    return { status: 400, body: { error: { message, type: 'BadRequestError', code: 400 } } };
  }
  const choices = prompts.map((prompt, index) => {
    const ids = asIds(prompt);
    const text = typeof prompt === 'string' ? prompt : wordsOf(prompt);
    const kept =
      body.return_token_ids && kind === 'vllm' ? { prompt_token_ids: ids, token_ids: idsOf(answerTo(text)) } : {};
    const choice = { index, text: answerTo(text), finish_reason: 'stop', ...kept };
    if (body.logprob_token_ids !== undefined && kind === 'vllm' && options.letters)
      return { ...choice, logprobs: nextLogprobs(ids, body.logprob_token_ids) };
    if (body.prompt_logprobs !== undefined && kind === 'vllm' && options.scoring !== 'ignored')
      return { ...choice, prompt_logprobs: promptLogprobs(options, ids), prompt_token_ids: ids };
    if (body.echo && kind === 'openai' && options.scoring !== 'ignored')
      return { ...choice, logprobs: echoed(options, ids) };
    return choice;
  });
  const usage = { prompt_tokens: asIds(prompts[0]!).length, completion_tokens: 1 };
  const told =
    kind === 'llama.cpp' && body.verbose ? { __verbose: { tokens: idsOf(answerTo(String(prompts[0]))) } } : {};
  return { status: 200, body: { model, choices, usage, ...told } };
}

function scoreIn({ scoring }: Fake['options'], before: number[], id: number): number {
  if (scoring === 'constant') return -1.5;
  if (scoring === 'mixed up') return -3 - logprobOf([], 7) * 0 + (id % 3) / 10;
  return logprobOf(before, id);
}

/** vLLM's `logprob_token_ids`: those of the ids that are named, as the next token. */
function nextLogprobs(ids: number[], wanted: number[]) {
  const own = wanted.map((id) => [`token_id:${id}`, logprobOf(ids, id)]);
  return {
    tokens: ['token_id:3'],
    token_logprobs: [-0.3],
    top_logprobs: [{ 'token_id:3': -0.3, ...Object.fromEntries(own) }],
  };
}

function promptLogprobs(options: Fake['options'], ids: number[]) {
  return ids.map((id, i) => {
    if (i === 0) return null;
    const own = { logprob: scoreIn(options, ids.slice(0, i), id), rank: texts.get(id) === ' Paris' ? 1 : 7 };
    const shown = options.scoring === 'other tokens' ? id + 1 : id;
    if (options.scoring === 'likeliest' && own.rank > 1) return { 3: { logprob: -0.2, rank: 1 } };
    return { 3: { logprob: -0.3, rank: 2 }, [shown]: own };
  });
}

function echoed(options: Fake['options'], ids: number[]) {
  const shown = [...ids, 3];
  const tokens = shown.map((id) => wordsOf([options.scoring === 'other tokens' ? id + 1000 : id]));
  const token_logprobs = shown.map((id, i) => {
    if (i === 0) return null;
    if (options.scoring === 'likeliest' && texts.get(id) !== ' Paris') return null;
    return scoreIn(options, ids.slice(0, i), id);
  });
  return { tokens, token_logprobs, top_logprobs: shown.map((_, i) => (i === 0 ? null : { ' the': -0.3 })) };
}

/** llama-server's own route: tokens forced by a grammar or by a bias, each with its raw log-probability. */
// biome-ignore lint/suspicious/noExplicitAny: whatever a request holds
function native({ options }: Fake, body: any): Result {
  const prompt: number[] = body.prompt;
  if (prompt.length >= options.context) {
    const message = `request (${prompt.length} tokens) exceeds the available context size`;
    return { status: 400, body: { error: { code: 400, message, type: 'exceed_context_size_error' } } };
  }
  const unforced = options.scoring === 'unforced';
  const byGrammar = [...String(body.grammar ?? '').matchAll(/<\[(\d+)\]>/g)].map((match) => Number(match[1]));
  // A part of a character, which no grammar can force.
  if (byGrammar.some((id) => isBroken(id)))
    return {
      status: 500,
      body: { error: { code: 500, message: 'Unexpected empty grammar stack', type: 'server_error' } },
    };
  const forced =
    byGrammar.length > 0 && !unforced ? byGrammar : body.logit_bias && !unforced ? [body.logit_bias[0][0]] : [3];
  const entries = forced.flatMap((id, i) => {
    if (isBroken(id)) return [];
    const before = [...prompt, ...forced.slice(0, i)];
    const logprob = options.scoring === 'biased' ? -1e-7 : scoreIn(options, before, id);
    const top =
      body.n_probs > 50
        ? [{ id: 3, logprob: -0.2 }, ...[...texts.keys()].map((one) => ({ id: one, logprob: logprobOf(before, one) }))]
        : [{ id: texts.get(id) === ' Paris' ? id : 3, logprob: -0.2 }];
    return [{ id, logprob, top_logprobs: top }];
  });
  const result = { tokens: forced, tokens_evaluated: prompt.length, id_slot: body.id_slot ?? 0, truncated: false };
  return { status: 200, body: { ...result, ...(entries.length === 0 ? {} : { completion_probabilities: entries }) } };
}

/** Words with this sign stand for tokens that end inside a character. */
const isBroken = (id: number) => texts.get(id)?.includes('\u25cc') ?? false;
