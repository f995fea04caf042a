/**
 * What a server can do, found out by asking it before the first row: a 200 is no proof, so each answer's shape is looked at,
 * and a value in it.
 */
import type { BackendName } from '../../config/backends.ts';
import { show } from '../../config/messages.ts';
import { RowError, UserError } from '../../types.ts';
import { echo, scoreByEcho } from './echo.ts';
import { isWithoutRoute, Passing, Refusal } from './faults.ts';
import { type Fields, fieldsOf, isFields, listOf, numberOf, textOf } from './fields.ts';
import { scoreByForcing } from './forced.ts';
import { STREAM } from './generate.ts';
import type { ServerIdentity, ServerKind } from './identity.ts';
import { hasTokens, tokenWish } from './kept_tokens.ts';
import type { Send } from './pool.ts';
import { scoreByPrompt, scoreLetters } from './prompt_scores.ts';
import { prefixOf, type ScoreText, scoreByWindows } from './rolling.ts';
import { type ScoreChoices, scoreByTokens, type TokenScoring } from './score.ts';
import { bosOf, LLAMA_ROUTES, type TokenRoutes, vllmRoutes } from './tokens.ts';

/** How a given text is scored. */
export type ScoringWay = 'forced by grammar' | 'forced by bias' | 'prompt_logprobs' | 'echo';

/** Goes into run.json as it is. */
export interface Findings {
  /** null where it cannot score a given text; then `cannot_score` says why. */
  scoring: ScoringWay | null;
  cannot_score?: string;
  /** vLLM: choices of one token each are scored by one request, whose context is computed once. */
  letters_at_once?: boolean;
  /** It answers conversations (`/v1/chat/completions`), and texts as they are (`/v1/completions`). */
  chat: boolean;
  plain: boolean;
  /** It tokenises over HTTP. */
  tokenizer: boolean;
  /** The token that it puts before a text; null: none, absent: nobody knows. */
  bos?: number | null;
  /** Its chat template prints a BOS, and it would put another one before the text. */
  doubled_bos?: boolean;
  /** Of a generated token's likeliest ones, as many were given of 20 that were asked for; null: none. */
  top_logprobs: number | null;
  /** A long answer comes in pieces, with the counts of its tokens: a stall in its middle is seen. */
  streams: boolean;
  /** Answers come with the ids of their tokens where they are asked for; absent where nobody knows how. */
  token_ids?: boolean;
  /** Twice the same greedy request, twice the same answer. */
  repeatable: boolean;
}

/** What the probe leaves for the rows. */
export interface Probed {
  findings: Findings;
  routes: TokenRoutes | null;
  bos: number | null;
  /** null where the server cannot score. */
  score: ScoreChoices | null;
  /** Texts token by token; null where that cannot be had. */
  scoreText: ScoreText | null;
  /** One request at a time on a server. */
  alone: boolean;
}

/** What the server cannot do, in the words of the message. */
class Unfit extends Error {}

/** The sentence whose tokens are looked at: eight at least in any vocabulary. */
const SENTENCE = 'The sky is blue and the grass is green';
/** The first one is right, to any model that has read anything. */
const KNOWN = { prompt: 'The capital of France is', right: ' Paris', wrong: ' banana' };
/** Milliseconds between two pieces of the probe's stream. */
const PROBE_IDLE_MS = 60_000;
/** Nats between them, at least. */
const MARGIN = 2;
/** Nats between two tries of one score, at most: on a schedule that is always the same, and on none. */
const REPEATED = { scheduled: 1e-3, free: 0.1 };

export interface ProbeOptions {
  backend: BackendName;
  identity: ServerIdentity;
  /** The config's limit in tokens. */
  maxLength: number | null;
}

/** Asks the server everything. Throws what `send` throws where it fails at what any server does. */
export async function probeServer(send: Send, options: ProbeOptions): Promise<Probed> {
  const { identity } = options;
  const generation = await probeGeneration(send, identity);
  const own =
    identity.kind === 'llama.cpp' ? LLAMA_ROUTES : identity.kind === 'vllm' ? vllmRoutes(identity.model) : null;
  // A gateway may let the routes of OpenAI's interface through and no others.
  const tokens = own === null ? null : await ifThere(() => probeTokens(send, own));
  const routes = tokens === null ? null : own;
  const found = { ...generation, tokenizer: tokens !== null, ...tokens };
  const scoring = await probeScoring(send, options, routes, tokens?.bos ?? null);
  if ('reason' in scoring) {
    const isMissed = routes === null && own !== null && options.backend !== 'openai';
    const reason = isMissed ? `${scoring.reason}, and its own way needs /tokenize, which is not had` : scoring.reason;
    const findings: Findings = { scoring: null, cannot_score: reason, ...found };
    return { findings, routes, bos: tokens?.bos ?? null, score: null, scoreText: null, alone: false };
  }
  const { way, score, letters, scoreText = null } = scoring;
  const alone = way.startsWith('forced');
  const findings: Findings = { scoring: way, ...(letters === undefined ? {} : { letters_at_once: letters }), ...found };
  return { findings, routes, bos: tokens?.bos ?? null, score, scoreText, alone };
}

/** Greedy twice: the same text? And how many likely tokens it names. */
async function probeGeneration(
  send: Send,
  { model, kind, template }: ServerIdentity,
): Promise<Pick<Findings, 'chat' | 'plain' | 'streams' | 'top_logprobs' | 'repeatable' | 'token_ids'>> {
  const body = { model, max_tokens: 8, temperature: 0, seed: 0 };
  const ask = (path: string, asked: object) =>
    unlessRefused(async () => fieldsOf(listOf(fieldsOf(await send('POST', path, asked)).choices)[0]));
  const inText = () => ask('/v1/completions', { ...body, prompt: KNOWN.prompt });
  const messages = [{ role: 'user', content: 'Name a colour.' }];
  const inChat = () => ask('/v1/chat/completions', { ...body, messages });
  const [text, reply] = [await inText(), kind === 'llama.cpp' && template === null ? null : await inChat()];
  const plain = textOf(text?.text) !== null;
  const chat = 'message' in fieldsOf(reply);
  if (!plain && !chat)
    throw new UserError('it answers neither /v1/completions nor /v1/chat/completions.', { key: 'model.base_url' });
  const said = (choice: Fields | null) => textOf(choice?.text) ?? fieldsOf(choice?.message).content;
  const repeatable = plain ? said(text) === said(await inText()) : said(reply) === said(await inChat());
  const asked = plain ? { ...body, prompt: KNOWN.prompt } : { ...body, messages };
  const streams = await canStream(send, asked);
  const found = { chat, plain, streams, repeatable, ...(await givesTokens(send, asked, kind)) };
  if (!plain) return { ...found, top_logprobs: null };
  const top = await ask('/v1/completions', { ...body, prompt: KNOWN.prompt, max_tokens: 1, logprobs: 20 });
  const logprobs = fieldsOf(top?.logprobs);
  const chatLike = listOf(fieldsOf(listOf(logprobs.content)[0]).top_logprobs);
  const legacy = Object.keys(fieldsOf(listOf(logprobs.top_logprobs)[0]));
  return { ...found, top_logprobs: Math.max(chatLike.length, legacy.length) || null };
}

const pathOf = (body: object) => ('prompt' in body ? '/v1/completions' : '/v1/chat/completions');

/** Whether answers come with the ids of their tokens; nothing where nobody knows how to ask for them. */
async function givesTokens(send: Send, body: object, kind: ServerKind): Promise<Pick<Findings, 'token_ids'>> {
  const wish = tokenWish(kind);
  if (wish === null) return {};
  const answer = fieldsOf(await unlessRefused(() => send('POST', pathOf(body), { ...body, ...wish })));
  return { token_ids: hasTokens(answer, fieldsOf(listOf(answer.choices)[0]), kind) };
}

/** A stream with a text, a reason for its end and the counts of its tokens; a server may take the wish and ignore it. */
async function canStream(send: Send, body: object): Promise<boolean> {
  try {
    const answer = fieldsOf(
      await send('POST', pathOf(body), { ...body, ...STREAM }, { idleMs: PROBE_IDLE_MS, streamed: true }),
    );
    const choice = fieldsOf(listOf(answer.choices)[0]);
    const said = textOf(choice.text) ?? textOf(fieldsOf(choice.message).content);
    return (
      said !== null &&
      textOf(choice.finish_reason) !== null &&
      isFields(answer.usage) &&
      numberOf(answer.usage.completion_tokens) !== null
    );
  } catch (error) {
    if (error instanceof Refusal) return false;
    if (error instanceof Passing && ['garbled', 'error', 'cut'].includes(error.kind)) return false;
    throw error;
  }
}

/** The answer; null where the server refuses such a request. */
async function unlessRefused<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Refusal || (error instanceof Passing && error.kind === 'error')) return null;
    throw error;
  }
}

/** What routes give that a gateway may keep to itself; null where they are not to be had. */
async function ifThere<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (isWithoutRoute(error)) return null;
    throw error;
  }
}

async function probeTokens(send: Send, routes: TokenRoutes): Promise<Pick<Findings, 'bos' | 'doubled_bos'>> {
  const bos = await bosOf(routes, send);
  if (bos === null) return { bos };
  const rendered = await unlessRefused(() => routes.render(send, [{ role: 'user', content: 'x' }]));
  const ids = typeof rendered === 'string' ? await routes.encode(send, rendered, true) : [];
  return { bos, doubled_bos: ids[0] === bos };
}

interface Way {
  way: ScoringWay;
  score: ScoreChoices;
  letters?: boolean;
  scoreText?: ScoreText | null;
}
type Scoring = Way | { reason: string };

async function probeScoring(
  send: Send,
  { backend, identity, maxLength }: ProbeOptions,
  routes: TokenRoutes | null,
  bos: number | null,
): Promise<Scoring> {
  try {
    const context = identity.context ?? Number.POSITIVE_INFINITY;
    const asked = maxLength === null ? Number.POSITIVE_INFINITY : maxLength + 1;
    let found: Way;
    if (backend === 'llama_cpp' && routes !== null) {
      const window = Math.min(asked, context);
      found = await forcing(send, identity, { routes, bos, window });
    } else if (backend === 'vllm' && routes !== null) {
      // One token is generated besides.
      const window = Math.min(asked, context - 1);
      await checkPrompt(send, identity.model, routes);
      const letters = await knowsIds(send, identity.model, routes);
      const score = scoreByPrompt(identity.model, letters);
      const prefix = await prefixOf(send, routes, bos);
      const scoreText = prefix === null ? null : scoreByWindows({ routes, window, score }, prefix);
      found = { way: 'prompt_logprobs', score: scoreByTokens({ routes, bos, window, score }), letters, scoreText };
    } else {
      await checkEcho(send, identity.model);
      found = { way: 'echo', score: scoreByEcho(identity.model) };
    }
    await checkKnown(send, found.score, found.way.startsWith('forced') ? REPEATED.scheduled : REPEATED.free);
    return found;
  } catch (error) {
    if (error instanceof Unfit || error instanceof RowError || error instanceof Refusal)
      return { reason: plain(error) };
    if (error instanceof Passing && (error.kind === 'garbled' || error.kind === 'error'))
      return { reason: plain(error) };
    throw error;
  }
}

const plain = ({ message }: Error) => message.replace(/\.$/, '');

/** llama-server: two unlikely tokens are forced, and their raw log-probabilities wanted. */
async function forcing(
  send: Send,
  { about }: ServerIdentity,
  scoring: Omit<TokenScoring, 'score'>,
): Promise<{ way: ScoringWay; score: ScoreChoices }> {
  const { routes } = scoring;
  const first = async (text: string) => (await routes.encode(send, text, false))[0]!;
  const [a, b, clean] = [await first(' elephant'), await first(' seventeen'), await first(',')];
  const prompt = await routes.encode(send, KNOWN.prompt, false);
  const common = { prompt, temperature: 0, n_probs: 1, return_tokens: true, cache_prompt: false };
  const grammar = `root ::= <[${a}]> <[${b}]>`;
  const byGrammar = await unlessRefused(() => send('POST', '/completion', { ...common, n_predict: 2, grammar }));
  const [one, two] = listOf(fieldsOf(byGrammar).completion_probabilities).map(fieldsOf);
  const vocabulary = numberOf(about.n_vocab) ?? 1e6;
  const scored = (isByGrammar: boolean) =>
    scoreByTokens({ ...scoring, score: scoreByForcing({ byGrammar: isByGrammar, vocabulary, clean }) });
  if (one?.id === a && two?.id === b && isRaw(one) && isRaw(two) && one.logprob !== two.logprob)
    return { way: 'forced by grammar', score: scored(true) };
  const biased = { ...common, n_predict: 1, logit_bias: [[a, 1e6]] };
  const byBias = await unlessRefused(() => send('POST', '/completion', biased));
  const entry = fieldsOf(listOf(fieldsOf(byBias).completion_probabilities)[0]);
  if (entry.id !== a) throw new Unfit('neither a grammar nor logit_bias forces a token');
  if (!isRaw(entry))
    throw new Unfit(
      `a forced token's log-probability is ${show(entry.logprob)}: that of what forced it, not of the model`,
    );
  return { way: 'forced by bias', score: scored(false) };
}

/** An unlikely token's own log-probability, with a likelier one beside it. */
function isRaw({ id, logprob, top_logprobs }: Fields): boolean {
  return (numberOf(logprob) ?? 0) < -1 && fieldsOf(listOf(top_logprobs)[0]).id !== id;
}

/** vLLM: the log-probabilities of a prompt's own tokens. */
async function checkPrompt(send: Send, model: string, routes: TokenRoutes): Promise<void> {
  const ids = await routes.encode(send, SENTENCE, false);
  const body = { model, prompt: ids, max_tokens: 1, temperature: 0, seed: 0, prompt_logprobs: 1 };
  const answer = fieldsOf(await send('POST', '/v1/completions', body));
  const given = fieldsOf(listOf(answer.choices)[0]).prompt_logprobs;
  if (!Array.isArray(given)) throw new Unfit('prompt_logprobs is ignored: the answer has none');
  if (given.length !== ids.length)
    throw new Unfit(`prompt_logprobs has ${given.length} places for ${ids.length} tokens`);
  const own = ids.slice(1).map((id, i) => fieldsOf(fieldsOf(given[i + 1])[String(id)]).logprob);
  checkValues(own, 'prompt_logprobs');
}

/** vLLM: whether the next token's log-probabilities by their ids are those of the prompt. An older one takes the wish and ignores it. */
async function knowsIds(send: Send, model: string, routes: TokenRoutes): Promise<boolean> {
  const context = await routes.encode(send, KNOWN.prompt, false);
  const ids = [KNOWN.right, KNOWN.wrong].map(async (text) => (await routes.encode(send, text, false)).slice(0, 1));
  const targets = (await Promise.all(ids)).map((continuation) => ({ context, continuation }));
  const inPrompt = await scoreByPrompt(model)(send, targets);
  try {
    const next = await scoreLetters(send, model, targets);
    return next.every(({ logprob }, i) => Math.abs(logprob - inPrompt[i]!.logprob) < REPEATED.free);
  } catch (error) {
    if (error instanceof Refusal || error instanceof RowError) return false;
    if (error instanceof Passing && (error.kind === 'garbled' || error.kind === 'error')) return false;
    throw error;
  }
}

/** Any server: the log-probabilities of an echoed text. */
async function checkEcho(send: Send, model: string): Promise<void> {
  let echoed: Awaited<ReturnType<typeof echo>>;
  try {
    echoed = await echo(send, model, SENTENCE);
  } catch (error) {
    if (!(error instanceof Passing) || error.kind !== 'garbled') throw error;
    throw new Unfit('echo is ignored: the answer has no log-probabilities of the prompt');
  }
  const { tokens, logprobs } = echoed;
  if (tokens.length < 8 && tokens.join('') !== SENTENCE)
    throw new Unfit(`echo is ignored: the answer has ${tokens.length} tokens of the prompt`);
  // A BOS may stand before it, a mark of a word's beginning in place of a blank.
  const letters = (text: string) => text.replace(/[^a-z]/gi, '');
  if (!letters(tokens.join('')).endsWith(letters(SENTENCE)))
    throw new Unfit(`the log-probabilities are of other tokens: ${show(tokens.join(''))}`);
  if (logprobs[0] !== null && numberOf(logprobs[0]) === null) throw new Unfit('the first log-probability is no number');
  checkValues(logprobs.slice(1), 'echo');
}

/** Every token has a log-probability of its own. */
function checkValues(values: readonly unknown[], what: string): void {
  const numbers = values.map(numberOf);
  const absent = numbers.filter((value) => value === null || value <= -9999).length;
  if (absent > 0)
    throw new Unfit(`${what} gives no log-probability of ${absent} of ${values.length} tokens: of the likeliest alone`);
  if (numbers.some((value) => value! > 1e-6)) throw new Unfit(`${what} gives log-probabilities above 0`);
  if (new Set(numbers).size < 2)
    throw new Unfit(`${what} gives the same log-probability, ${numbers[0]}, for every token`);
}

/** A known pair has to rank right, by as much as any model has it, and twice the same. */
async function checkKnown(send: Send, score: ScoreChoices, repeated: number): Promise<void> {
  const { prompt, right, wrong } = KNOWN;
  const choices = [right, wrong].map((continuation) => ({ continuation, text: continuation }));
  const ask = { verb: 'loglikelihood', prompt, choices } as const;
  const [first, second] = [await score(send, ask), await score(send, ask)];
  const [good, bad] = first.choices.map(({ logprob }) => logprob) as [number, number];
  const said = `${show(prompt)}: ${show(right)} ${good.toFixed(2)}, ${show(wrong)} ${bad.toFixed(2)} nats`;
  if (Math.exp(good) + Math.exp(bad) > 1.001) throw new Unfit(`its log-probabilities are none (${said})`);
  if (good - bad < MARGIN) throw new Unfit(`it does not rank a known pair right (${said})`);
  const apart = Math.max(...first.choices.map(({ logprob }, i) => Math.abs(logprob - second.choices[i]!.logprob)));
  if (apart > repeated) throw new Unfit(`the same question scored twice is ${apart.toFixed(4)} nats apart (${said})`);
}
