/** The verbs over graphs whose answers are known by hand: the toy decoder, a scripted one, the toy checkpoint that sees. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ChatTemplate } from '../../nanoeval/model/chat.ts';
import type { Checkpoint } from '../../nanoeval/model/checkpoint.ts';
import type { Engine } from '../../nanoeval/model/engine/engine.ts';
import { openEngine } from '../../nanoeval/model/engine/engine.ts';
import { plainExecutor } from '../../nanoeval/model/engine/executor.ts';
import { openExecutor } from '../../nanoeval/model/engine/open_executor.ts';
import { type Decoder, openDecoder } from '../../nanoeval/model/graph/onnx.ts';
import { openRenderer } from '../../nanoeval/model/render.ts';
import { openTokenizer, type Tokenizer } from '../../nanoeval/model/tokenizer.ts';
import { openVerbs } from '../../nanoeval/model/verbs.ts';
import { familyOf } from '../../nanoeval/model/vision/family.ts';
import type { ContentPart, Model, Prompt } from '../../nanoeval/questions.ts';
import { RowError } from '../../nanoeval/types.ts';
import { byteLevelTokenizer, folderWith, readJson, settings } from './fixtures.ts';
import { favourites, TOY_CONFIG, type ToyOptions, toyDecoder, toyLogprob } from './toy_decoder.ts';
import { type Colour, IMAGE, IMAGE_ID, TOKENS, toyVlm, toyVlmFolder } from './toy_vlm.ts';

export const VOCAB = 320;
export const tokenizer = byteLevelTokenizer();
const log = { info: () => {}, progress: () => {} };

export const rowError = (kind: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RowError, String(error));
  assert.match(error.message, words);
  return error.kind === kind;
};
export const close = (found: number, expected: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found}, expected ${expected}`);

export async function openGraph(t: TestContext, decoder: string, config: object): Promise<Decoder> {
  const graphs = { decoder, embed: null, vision: null };
  const checkpoint = { graphs, config, textConfig: config } as unknown as Checkpoint;
  const opened = await openDecoder(checkpoint, settings(), 1);
  t.after(() => opened.close());
  return opened;
}

type Answering = Pick<Model, 'answer'>;

/** The plain path over a decoder. */
export function naiveVerbs(
  decoder: Decoder,
  own: Tokenizer,
  maxLength: number,
  ends: readonly number[] = [],
): Answering {
  const executor = plainExecutor(decoder);
  const engine = openEngine([executor], async () => executor, { batchTokens: 512, cacheBytes: 0, log });
  const { render, vision } = openRenderer('toy', null, () => assert.fail('no picture was shown'));
  const { album } = engine;
  return { answer: openVerbs(engine, { tokenizer: own, album, eosTokens: ends, maxLength, vision, render }) };
}

/** The plain path over the toy decoder. */
export async function toyVerbs(t: TestContext, maxLength: number, options: ToyOptions = {}): Promise<Answering> {
  const folder = folderWith(t, { 'model.onnx': toyDecoder({ vocab: VOCAB, ...options }) });
  const decoder = await openGraph(t, join(folder, 'model.onnx'), TOY_CONFIG);
  return naiveVerbs(decoder, tokenizer, maxLength);
}

/** Sum of the toy's log-probabilities of the last `scored` tokens of `input` + `last`, and how many are favourites. */
export function byHand(input: readonly number[], last: number, scored: number) {
  const next = [...input.slice(1), last];
  const best = favourites(input, VOCAB);
  let logprob = 0;
  let greedy = 0;
  for (let i = input.length - scored; i < input.length; i += 1) {
    logprob += toyLogprob(best[i]!, next[i]!, VOCAB);
    if (best[i] === next[i]) greedy += 1;
  }
  return { logprob, greedy, is_greedy: greedy === scored };
}

/** Says `answer`, token by token, whatever it is given; then the last token again and again. */
export function scriptedDecoder(answer: readonly number[], seen: (ids: readonly number[]) => void = () => {}): Decoder {
  let said = 0;
  return {
    hasCache: true,
    async forward(ids, cache, keepCache) {
      seen(ids);
      if (cache === null) said = 0;
      const logits = new Float32Array(ids.length * VOCAB);
      logits[(ids.length - 1) * VOCAB + (answer[Math.min(said, answer.length - 1)] ?? 0)] = 1;
      said += 1;
      const length = (cache?.length ?? 0) + ids.length;
      return { logits, rows: ids.length, vocab: VOCAB, cache: keepCache ? { length, tensors: {} } : null };
    },
    async close() {},
  };
}

/** Ids stand for themselves: `1 403 407`. */
export const numbered: Tokenizer = {
  special: {},
  prefixToken: 1,
  bosToken: 1,
  eosToken: undefined,
  encode: (text) => text.trim().split(' ').map(Number),
  encodePlain: (text) => text.trim().split(' ').map(Number),
  encodeWhole: () => {
    throw new Error('there is no head');
  },
  decode: (ids) => ids.join(' '),
  texts: (ids) => ids.map((id) => ` ${id}`),
  encodePair: (context, continuation) => ({
    context: numbered.encode(context),
    continuation: numbered.encode(continuation),
  }),
};

// ---------------------------------------------------------------- pictures

/** A text with its pictures in place of `<image>`. */
export function shown(text: string, ...pictures: Uint8Array[]): ContentPart[] {
  const rest = [...pictures];
  return text
    .split(IMAGE)
    .flatMap((words, i): ContentPart[] => [
      ...(i === 0 ? [] : [{ type: 'image' as const, bytes: rest.shift()! }]),
      ...(words === '' ? [] : [{ type: 'text' as const, text: words }]),
    ]);
}

/** Writes the texts and drops the pictures: the text says where they stand, and how many there are said to be. */
const TEXTS_ALONE: ChatTemplate = {
  text: '',
  render: (messages) =>
    messages
      .flatMap(({ content }) => content as ContentPart[])
      .map((part) => (part.type === 'text' ? part.text : ''))
      .join(''),
};

/** `text` as it stands, placeholders included, with pictures that need not be as many. */
export const saying = (text: string, pictures: readonly Uint8Array[]): Prompt => [
  {
    role: 'user',
    content: [{ type: 'text', text }, ...pictures.map((bytes): ContentPart => ({ type: 'image', bytes }))],
  },
];

/** Ids of a text in which each picture is its colour, as the toy checkpoint that sees counts them. */
export function idsOf(own: Tokenizer, text: string, colours: readonly Colour[]): number[] {
  let at = 0;
  return own.encode(text.replaceAll(IMAGE, IMAGE.repeat(TOKENS))).map((id) => {
    if (id !== IMAGE_ID) return id;
    at += 1;
    return colours[Math.floor((at - 1) / TOKENS)]![(at - 1) % TOKENS]!;
  });
}

export interface Seeing extends Answering {
  engine: Engine;
  own: Tokenizer;
  /** Ids of a text in which each picture is its colour. */
  known(text: string, ...colours: Colour[]): number[];
  /** What entered the album and has not left it. */
  held(): number;
  /** How often somebody asked how the checkpoint takes pictures. */
  asked(): number;
}

/** The toy checkpoint that sees: a picture counts as the tokens of its colour. */
export async function seeing(t: TestContext, maxLength = 64): Promise<Seeing> {
  const folder = folderWith(t, toyVlmFolder());
  const own = openTokenizer(readJson(join(folder, 'tokenizer.json')), { bos_token: '<s>', eos_token: '</s>' });
  const files = toyVlm(t);
  const executor = await openExecutor(files, settings(), { mode: 'naive', threads: 1 });
  const engine = openEngine([executor], async () => executor, { batchTokens: 512, cacheBytes: 0, log });
  t.after(() => engine.close());
  let held = 0;
  const { album } = engine;
  const { enter, leave } = album;
  album.enter = (bytes, tokens) => {
    held += 1;
    return enter(bytes, tokens);
  };
  album.leave = (picture) => {
    held -= 1;
    leave(picture);
  };
  let asked = 0;
  const { render, vision } = openRenderer('toy', TEXTS_ALONE, () => familyOf(files));
  const counted = () => {
    asked += 1;
    return vision();
  };
  const answer = openVerbs(engine, { tokenizer: own, album, eosTokens: [], maxLength, vision: counted, render });
  const known = (text: string, ...colours: Colour[]) => idsOf(own, text, colours);
  return { answer, engine, own, known, held: () => held, asked: () => asked };
}
