/** Questions as texts made into questions as token ids, and the ids' answers made into replies: one function a verb. */
import type { Apart, GenerateAsk, GenerationReply, LoglikelihoodAsk, Prompt, Reply, RollingAsk } from '../questions.ts';
import { imagesOf } from '../text/prompt_parts.ts';
import { RowError } from '../types.ts';
import type { Taker } from './engine/decode.ts';
import { cutAtStops, hasStop } from './engine/decode.ts';
import type { Engine, TokenPrompt } from './engine/engine.ts';
import type { TokenScore } from './engine/naive.ts';
import type { TokenRequest } from './engine/prefix_tree.ts';
import { type Pictured, withPictures } from './pictures.ts';
import { longestOf, TextTail } from './text_tail.ts';
import type { Tokenizer } from './tokenizer.ts';
import { FIRST_IMAGE_ID, type Shown } from './vision/album.ts';
import type { VisionFamily } from './vision/family.ts';

/** What texts need to become tokens. */
export interface Desk {
  tokenizer: Tokenizer;
  album: Engine['album'];
  /** Tokens that end an answer. */
  eosTokens: readonly number[];
  /** The context limit in tokens. */
  maxLength: number;
  /** Rows of the table that ids are looked up in; null where nobody knows. */
  tableRows?: number | null;
  /** How the checkpoint takes pictures; throws UserError when it takes none. Asked with the first picture. */
  vision(): VisionFamily;
  /** The prompt as text, chat template applied (`date`: today's, for it), with a placeholder for each picture. */
  render(prompt: Prompt, date?: string): string;
}

/** A question for `engine.score`; with no requests the reply is known without the engine. */
export interface ScoreQuestion {
  shown: readonly Shown[];
  asked: { requests: readonly TokenRequest[] };
  reply(scores: readonly TokenScore[]): Reply;
}

/** A question for `engine.generate`. */
export interface DecodeQuestion {
  shown: readonly Shown[];
  asked: Pick<TokenPrompt, 'ids' | 'begin'>;
  reply(): Reply;
}

/** Lets go of pictures. */
export function leave(album: Engine['album'], shown: readonly Shown[]): void {
  for (const picture of shown) album.leave(picture);
}

/** Prepares with the pictures of a text, which are let go where that fails. */
async function pictured<T>(
  { album, vision }: Desk,
  text: string,
  images: readonly Uint8Array[],
  work: (placed: Pictured) => T,
): Promise<T & { shown: readonly Shown[] }> {
  const placed = await withPictures(text, images, album, vision);
  try {
    return { ...work(placed), shown: placed.shown };
  } catch (error) {
    leave(album, placed.shown);
    throw error;
  }
}

/** The tokens that the model is fed. Throws RowError for one that its table has no row for: onnxruntime would give up. */
function fed(ids: readonly number[], { tableRows }: Desk): Int32Array {
  const beyond = ids.find((id) => tableRows != null && id >= tableRows && id < FIRST_IMAGE_ID);
  if (beyond === undefined) return Int32Array.from(ids);
  throw new RowError('tokens', `token ${beyond} is beyond the ${tableRows} rows of the model's table of embeddings.`);
}

/** One choice: lm-eval, HF backend: the last max_length + 1 tokens of context and continuation, without the final one. */
function encodeChoice(
  desk: Desk,
  { text, shown, place }: Pictured,
  continuation: string,
  { choices, tokenization }: LoglikelihoodAsk,
) {
  const { tokenizer, maxLength } = desk;
  const siblings = choices.map((choice) => choice.continuation);
  const pair = tokenizer.encodePair(text, continuation, tokenization, siblings);
  const { length } = pair.continuation;
  if (length > maxLength)
    throw new RowError('length', `the continuation has ${length} tokens, the window ${maxLength}.`);
  const whole = place([...pair.context, ...pair.continuation]);
  if (shown.length > 0 && whole.length - 1 > maxLength)
    throw new RowError(
      'length',
      `a prompt with pictures cannot be cut, and it has ${whole.length - 1} tokens; the window has ${maxLength}.`,
    );
  const request: TokenRequest = {
    input: fed(whole.slice(-(maxLength + 1)).slice(0, -1), desk),
    targets: pair.continuation,
  };
  return { request, pair, truncated: whole.length - 1 > maxLength };
}

/** `loglikelihood`: a request for each choice. */
export async function prepareChoices(desk: Desk, ask: LoglikelihoodAsk): Promise<ScoreQuestion> {
  type Part = ReturnType<typeof encodeChoice> & { shown: readonly Shown[] };
  const own = ask.choices.some(({ prompt }) => prompt !== undefined);
  const render = (prompt: Prompt) => desk.render(prompt, ask.template_date);
  const shared = render(ask.prompt);
  const contexts = ask.choices.map(({ prompt }) => (prompt === undefined ? shared : render(prompt)));
  const parts: Part[] = [];
  try {
    for (const [i, { continuation, prompt = ask.prompt }] of ask.choices.entries()) {
      const encode = (placed: Pictured) => encodeChoice(desk, placed, continuation, ask);
      parts.push(await pictured(desk, contexts[i]!, imagesOf(prompt), encode));
    }
  } catch (error) {
    for (const { shown } of parts) leave(desk.album, shown);
    throw error;
  }
  return {
    shown: parts.flatMap(({ shown }) => shown),
    asked: { requests: parts.map(({ request }) => request) },
    reply: (scores) => ({
      choices: parts.map(({ pair }, i) => {
        const { logprob, numGreedy } = scores[i]!;
        const { length } = pair.continuation;
        const tokens = ask.keep_tokens ? { tokens: { prompt: pair.context, output: pair.continuation } } : {};
        const counted = ask.count_greedy ? { num_greedy: numGreedy } : {};
        return { logprob, num_tokens: length, is_greedy: numGreedy === length, ...counted, ...tokens };
      }),
      prompts: own ? contexts : [shared],
      num_context_tokens: parts[0]?.pair.context.length ?? 0,
      truncated: parts.some(({ truncated }) => truncated),
    }),
  };
}

export interface Window {
  input: number[];
  /** The tokens scored: those after the last `targets.length` of `input`. */
  targets: number[];
}

/**
 * lm-eval's `get_rolling_token_windows` made into model inputs (`make_disjoint_window`): windows of `length` tokens, of which
 * each after the first scores `stride` new ones (lm-eval: context_len = length - stride + 1). Every token is scored once;
 * the last window looks back over tokens already scored, to be full.
 */
export function* rollingWindows(
  tokens: readonly number[],
  prefix: number,
  length: number,
  stride = length,
): Generator<Window> {
  const first = tokens.slice(0, length);
  yield { input: [prefix, ...first.slice(0, -1)], targets: first };
  for (let done = first.length; done < tokens.length; ) {
    const end = Math.min(done + stride, tokens.length);
    yield { input: tokens.slice(Math.max(0, end - length - 1), end - 1), targets: tokens.slice(done, end) };
    done = end;
  }
}

/** `loglikelihood_rolling`: a request for each window of the text. */
export function prepareRolling(desk: Desk, ask: RollingAsk): ScoreQuestion {
  const { tokenizer, maxLength } = desk;
  const { text, window = maxLength, stride = window } = ask;
  if (window > maxLength) throw new RowError('length', `a window of ${window} tokens, and the model has ${maxLength}.`);
  if (stride < 1 || stride > window)
    throw new RowError('length', `a stride of ${stride} in windows of ${window} tokens.`);
  const tokens = tokenizer.encode(text);
  if (tokens.length > 0 && tokenizer.prefixToken === undefined)
    throw new RowError('tokens', 'the tokenizer has neither a BOS nor an EOS token.');
  const windows = tokens.length === 0 ? [] : [...rollingWindows(tokens, tokenizer.prefixToken!, window, stride)];
  const requests = windows.map(({ input, targets }) => ({ input: fed(input, desk), targets }));
  return {
    shown: [],
    asked: { requests },
    reply: (scores) => ({
      logprob: scores.reduce((sum, { logprob }) => sum + logprob, 0),
      num_tokens: tokens.length,
      num_greedy: scores.reduce((sum, { numGreedy }) => sum + numGreedy, 0),
      num_windows: windows.length,
      prompts: [text],
      num_context_tokens: 0,
      truncated: false,
      ...(ask.keep_tokens ? { tokens: { prompt: [], output: tokens } } : {}),
    }),
  };
}

/**
 * `generate_until`, greedy or drawn. The context loses tokens on the left when it would leave no room for `max_new_tokens`;
 * with pictures it keeps all, and the answer has what room is left.
 */
export async function prepareAnswer(desk: Desk, ask: GenerateAsk): Promise<DecodeQuestion> {
  const context = desk.render(ask.prompt, ask.template_date);
  return pictured(desk, context, imagesOf(ask.prompt), (placed) => {
    const { prompt, ids, most, room } = fitPrompt(desk, placed, ask.max_new_tokens);
    const answer = new GrowingAnswer(desk, ask, most);
    const kept = [...fed(ids.slice(-room), desk)];
    return {
      asked: { ids: kept, begin: () => answer.begin() },
      reply: () => ({
        ...answer.reply(),
        prompts: [context],
        num_context_tokens: ids.length,
        truncated: ids.length > room,
        ...(ask.keep_tokens ? { tokens: { prompt: prompt.slice(-room), output: answer.tokens } } : {}),
      }),
    };
  });
}

/** The prompt's tokens, how many new ones there may be, and how many of the prompt's are kept for that. */
function fitPrompt({ tokenizer, maxLength }: Desk, { text, shown, place }: Pictured, wanted: number) {
  const prompt = tokenizer.encode(text);
  const ids = place(prompt);
  const most = shown.length > 0 ? Math.min(wanted, maxLength - ids.length) : wanted;
  const room = maxLength - most;
  if (most < 1)
    throw new RowError('length', `the prompt with its pictures has ${ids.length} tokens, the window ${maxLength}.`);
  if (room < 1) throw new RowError('length', `max_new_tokens ${wanted} leaves no room in a window of ${maxLength}.`);
  if (ids.length === 0) throw new RowError('tokens', 'the context has no tokens.');
  return { prompt, ids, most, room };
}

/**
 * An answer as it grows, token by token. A stop may name a special token (`<|im_end|>`), so stops are looked for in the text
 * that shows them, as lm-eval does.
 */
class GrowingAnswer {
  tokens: number[] = [];
  /** Tokens before the one that ended it. */
  private end = 0;
  private finish: GenerationReply['finish_reason'] = 'length';
  private seen: readonly number[] = [];
  /** The token of each of `first_tokens`; null where it is not one token. */
  private readonly first: (number | null)[];
  private readonly desk: Desk;
  private readonly ask: GenerateAsk;
  private readonly most: number;
  /** The end of the text, where a stop would appear. */
  private tail: TextTail;
  /** How much likelier each token is than the next likely one, where that is asked for. */
  private margins: (number | null)[] = [];

  constructor(desk: Desk, ask: GenerateAsk, most: number) {
    this.desk = desk;
    this.ask = ask;
    this.most = most;
    this.tail = new TextTail(desk.tokenizer, longestOf(ask.until));
    this.first = (ask.first_tokens ?? [])
      .map((one) => desk.tokenizer.encodePlain(one))
      .map((ids) => (ids.length === 1 ? ids[0]! : null));
  }

  /** Begins, anew when a first try fell over. */
  begin(): Taker {
    this.tokens = [];
    this.end = 0;
    this.finish = 'length';
    this.tail = new TextTail(this.desk.tokenizer, longestOf(this.ask.until));
    this.margins = [];
    const { sampling, compare_with } = this.ask;
    return {
      take: (token, logprobs, margin) => this.take(token, logprobs, margin),
      watched: this.first.filter((id) => id !== null),
      room: this.most,
      ...(compare_with === undefined || sampling !== undefined ? {} : { margins: true }),
      ...(sampling === undefined ? {} : { sampling }),
    };
  }

  private take(token: number, logprobs: readonly number[], margin?: number): boolean {
    if (this.tokens.length === 0) this.seen = logprobs;
    this.tokens.push(token);
    this.margins.push(margin ?? null);
    if (this.desk.eosTokens.includes(token)) {
      this.finish = 'stop';
      return true;
    }
    this.end = this.tokens.length;
    const { until } = this.ask;
    // Only where the tail has a stop is the whole text looked at, which alone counts.
    if (hasStop(this.tail.add(token), until) && hasStop(this.desk.tokenizer.decode(this.tokens, true), until)) {
      this.finish = 'stop';
      return true;
    }
    return this.tokens.length >= this.most;
  }

  reply(): Pick<GenerationReply, 'output' | 'finish_reason' | 'num_output_tokens' | 'first_logprobs' | 'apart'> {
    let next = 0;
    const logprobs = this.first.map((id) => (id === null ? null : this.seen[next++]!));
    const { first_tokens, until } = this.ask;
    const text = this.desk.tokenizer.decode(this.tokens.slice(0, this.end));
    const output = cutAtStops(text, until);
    return {
      output,
      finish_reason: hasStop(text, until) ? 'stop' : this.finish,
      num_output_tokens: this.tokens.length,
      ...(first_tokens === undefined
        ? {}
        : { first_logprobs: Object.fromEntries(first_tokens.map((text, i) => [text, logprobs[i]!])) }),
      ...this.apartFrom(output),
    };
  }

  /** Where the answer leaves the one that it is compared with: the first token whose text is not the other's. */
  private apartFrom(output: string): { apart?: Apart } {
    const { compare_with: other } = this.ask;
    if (other === undefined || other === output) return {};
    // A character whose bytes are not all there says nothing yet.
    const agrees = (count: number) =>
      other.startsWith(this.desk.tokenizer.decode(this.tokens.slice(0, count)).replace(/\uFFFD+$/, ''));
    let [same, different] = [0, this.end + 1];
    while (different - same > 1) {
      const middle = (same + different) >> 1;
      if (agrees(middle)) same = middle;
      else different = middle;
    }
    // The other answer may go on where this one ends.
    const first = Math.min(same, this.tokens.length - 1);
    return { apart: { tokens: this.tokens.length - first, margin: this.margins[first] ?? null } };
  }
}
