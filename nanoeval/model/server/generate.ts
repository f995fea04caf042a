/** `generate_until` over `/v1/completions` (texts) and `/v1/chat/completions` (conversations, pictures too). */
import { createHash } from 'node:crypto';
import type { ChatMessage, ContentPart, GenerateAsk, GenerationReply } from '../../questions.ts';
import { imagesOf, isConversation } from '../../text/prompt_parts.ts';
import { OutsideError, RowError, type Sampling } from '../../types.ts';
import { cutAtStops, hasStop } from '../engine/decode.ts';
import { type Fields, fieldsOf, garbled, listOf, numberOf, textOf } from './fields.ts';
import { firstLogprobs } from './first_token.ts';
import type { ServerIdentity, ServerKind } from './identity.ts';
import { streamsTokens, tokensOf, tokenWish } from './kept_tokens.ts';
import type { Pace } from './pace.ts';
import type { Send } from './pool.ts';
import { plainText } from './tokens.ts';

/** Answers one question that is generated. */
export type Generate = (send: Send, ask: GenerateAsk) => Promise<GenerationReply>;

/** Stop texts that a request may name; the others are cut here. llama-server has no limit, vLLM and OpenAI one of four. */
const MOST_STOPS: Partial<Record<ServerKind, number>> = { 'llama.cpp': 64 };
const USUAL_STOPS = 4;

/** Of OpenAI's schema, where they are 0; a server may have been started with others. */
const NO_PENALTIES = { presence_penalty: 0, frequency_penalty: 0 };
/**
 * Settings that a server would otherwise take from the model's generation config, from how it was started or from defaults of its
 * own; penalties move greedy answers too. Those that OpenAI's schema does not have are sent only to servers that know them.
 */
const NEUTRAL: Partial<Record<ServerKind, object>> = {
  // In transformers' order, and nothing besides: no penalty, no other cut, whatever it was started with.
  'llama.cpp': { samplers: ['temperature', 'top_p'], dynatemp_range: 0, mirostat: 0 },
  vllm: { ...NO_PENALTIES, top_k: 0, min_p: 0, repetition_penalty: 1, skip_special_tokens: true },
  sglang: { ...NO_PENALTIES, top_k: -1, min_p: 0, repetition_penalty: 1, skip_special_tokens: true },
};

export interface GenerateOptions {
  /** The server streams answers: milliseconds from one piece to the next, at most. null: it does not. */
  idleMs?: number | null;
  /** A conversation as the server's template has it: the prompt that the row keeps, and is paired by. */
  render?: (send: Send, messages: readonly ChatMessage[]) => Promise<string>;
  /** The ids of a prompt, as the server reads it. */
  encode?: (send: Send, text: string) => Promise<readonly number[]>;
  /** Says how long an answer may take; the exchange by default. */
  pace?: Pace;
}

/** Tokens from which on an answer is streamed: a short one is not worth the pieces. */
const STREAMED_FROM = 128;

/** Generates with the server's model, `limit` tokens of prompt and answer at most (null: what the server takes). */
export function generateBy(
  { kind, model, context }: ServerIdentity,
  limit: number | null,
  { encode, idleMs = null, pace, render }: GenerateOptions = {},
): Generate {
  // Of a name that stands for the newest version a server says which one answers, and of several names for one model the first.
  const said = { model: kind === 'llama.cpp' ? model : null };
  return async (send, ask) => {
    const { prompt, until, max_new_tokens, sampling } = ask;
    const stops = until.filter((stop) => stop !== '').slice(0, MOST_STOPS[kind] ?? USUAL_STOPS);
    const isKept = ask.keep_tokens === true;
    const canStream = idleMs !== null && (!isKept || streamsTokens(kind));
    const isStreamed = canStream && max_new_tokens >= STREAMED_FROM;
    const settings = { model, max_tokens: max_new_tokens, ...sampled(sampling), ...NEUTRAL[kind] };
    const asked = {
      ...settings,
      ...(stops.length === 0 ? {} : { stop: stops }),
      ...(isKept ? tokenWish(kind) : {}),
      ...(isStreamed ? STREAM : {}),
    };
    const options = {
      ...(isStreamed ? { idleMs } : {}),
      ...(pace === undefined ? {} : { timeoutMs: pace.deadlineMs(max_new_tokens) }),
    };
    const isChat = isConversation(prompt);
    const text = isChat ? null : plainText(prompt);
    const isRendered = isChat && render !== undefined && imagesOf(prompt).length === 0;
    const shown = isRendered ? await render(send, prompt) : text;
    if (isChat) checkTurn(prompt, kind, shown);
    const began = performance.now();
    const path = isChat ? '/v1/chat/completions' : '/v1/completions';
    const content = isChat ? { messages: prompt.map(messageOf) } : { prompt: text };
    const answer = fieldsOf(await send('POST', path, { ...asked, ...content }, options));
    checkModel(answer, said);
    const [choice] = listOf(answer.choices);
    if (choice === undefined) throw garbled('choices has an answer', answer.choices);
    const spent = usageOf(answer);
    pace?.note(spent.made, performance.now() - began);
    const finish = textOf(fieldsOf(choice).finish_reason);
    const words = isChat ? contentOf(fieldsOf(choice), finish, spent.made) : textOf(fieldsOf(choice).text);
    if (words === null) throw garbled('choices[0] has a text', choice);
    const isStopped = hasStop(words, until);
    checkRoom(isStopped ? 'stop' : finish, spent, max_new_tokens, { limit, context });
    const isRead = isKept && shown !== null && kind === 'llama.cpp' && encode !== undefined;
    const encoded = isRead ? await encode(send, shown) : null;
    const first = ask.first_tokens?.length ? await firstLogprobs(send, path, { ...settings, ...content }, ask) : null;
    return {
      ...(first === null ? {} : { first_logprobs: first }),
      ...(isKept ? { tokens: tokensOf(answer, fieldsOf(choice), kind, encoded) } : {}),
      output: cutAtStops(words, until),
      finish_reason: isStopped ? 'stop' : finishOf(finish),
      num_output_tokens: spent.made,
      prompts: shown === null ? null : [shown],
      num_context_tokens: spent.read,
      truncated: false,
    };
  };
}

/** What asks for a stream, with the counts of tokens at its end. */
export const STREAM = { stream: true, stream_options: { include_usage: true } };

/** Greedy, or drawn with a seed that follows from the stream's name. */
function sampled(sampling: Sampling | undefined) {
  if (sampling === undefined) return { temperature: 0, top_p: 1, seed: 0 };
  const { temperature, top_p, stream } = sampling;
  const seed = createHash('sha256').update(stream).digest().readUInt32BE(0) >>> 1;
  return { temperature, top_p, seed };
}

function messageOf({ role, content }: ChatMessage): object {
  return { role, content: typeof content === 'string' ? content : content.map(partOf) };
}

function partOf(part: ContentPart): object {
  if (part.type === 'text') return { type: 'text', text: part.text };
  const url = `data:${mediaType(part.bytes)};base64,${Buffer.from(part.bytes).toString('base64')}`;
  return { type: 'image_url', image_url: { url } };
}

/** By the first bytes of the file. */
function mediaType(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  if (head.startsWith('\x89PNG')) return 'image/png';
  if (head.startsWith('\xff\xd8')) return 'image/jpeg';
  if (head.startsWith('GIF8')) return 'image/gif';
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'image/webp';
  throw new RowError('pictures', 'a picture is neither PNG, JPEG, GIF nor WebP, which alone are shown to a server.');
}

/** All answers are one model's, where the server says whose they are. */
function checkModel({ model }: Fields, said: { model: string | null }): void {
  if (typeof model !== 'string' || model === '') return;
  said.model ??= model;
  if (model === said.model) return;
  throw new OutsideError(
    `the server changed its model while the run went on: answers were those of ${JSON.stringify(said.model)}, and one is of ${JSON.stringify(model)}.`,
  );
}

/** Tokens of prompt and answer, where it says. */
const usageOf = ({ usage }: Fields) => ({
  read: numberOf(fieldsOf(usage).prompt_tokens),
  made: numberOf(fieldsOf(usage).completion_tokens),
});

/** The text of a chat's answer. One whose budget went into thoughts has none, and says nothing about the model. */
function contentOf({ message }: Fields, finish: string | null, made: number | null): string | null {
  const { content, reasoning_content, reasoning } = fieldsOf(message);
  const text = textOf(content);
  const thought = textOf(reasoning_content) ?? textOf(reasoning) ?? '';
  if ((text ?? '') === '' && thought !== '' && finish === 'length')
    throw new RowError(
      'length',
      `the answer ended inside the model's reasoning${made === null ? '' : ` after ${made} tokens`}. Raise scoring.max_new_tokens.`,
    );
  return content === null ? '' : text;
}

/**
 * An answer that was given less room than was asked for is not scored: the context was full before it was as long as it may be,
 * or prompt and answer are longer than the config allows, which the server is not told.
 */
function checkRoom(
  finish: string | null,
  { read, made }: ReturnType<typeof usageOf>,
  wanted: number,
  { limit, context }: { limit: number | null; context: number | null },
): void {
  if (read === null || made === null) return;
  const isOver = limit !== null && read + made > limit;
  const most = limit ?? context;
  const isFull = finish === 'length' && made < wanted && most !== null && read + made >= most - 1;
  if (!isOver && !isFull) return;
  const where = limit === null ? `the server's context of ${context}` : `a context of ${limit}`;
  const room = Math.max(0, isOver ? limit - read : made);
  throw new RowError(
    'length',
    `the prompt has ${read} tokens and leaves room for ${room} of ${wanted} new ones in ${where}.`,
  );
}

/**
 * A conversation that ends with the model's own words is answered, not continued. llama-server continues it, unless it was
 * started with --no-prefill-assistant; `shown` is the conversation as its template has it, where it is known.
 */
function checkTurn(messages: readonly ChatMessage[], kind: ServerKind, shown: string | null): void {
  const last = messages.at(-1);
  if (kind !== 'llama.cpp' || last?.role !== 'assistant') return;
  if (shown !== null && !shown.trimEnd().endsWith(plainText([last]).trim())) return;
  throw new RowError(
    'chat',
    'llama-server continues a conversation that ends with the words of the assistant. Start it with --no-prefill-assistant, or end with a question.',
  );
}

function finishOf(finish: string | null): GenerationReply['finish_reason'] {
  if (finish === 'stop' || finish === 'length') return finish;
  throw new RowError('server', `the answer ended by ${JSON.stringify(finish)}, neither "stop" nor "length".`);
}
