/** One loaded copy of a decoder that does as it is told: what can be asked of it, and the plain one. */
import { argMax, leadOf, logSoftmaxAt } from '../graph/logits.ts';
import type { Cache, Decoder } from '../graph/onnx.ts';
import type { Shown } from '../vision/album.ts';
import type { Looked } from '../vision/encoder.ts';
import { type Draw, drawToken } from './decode.ts';
import { naiveScore, type TokenScore } from './naive.ts';
import type { Form, PassAnswer, PassOrder } from './prefix_tree.ts';

/** What an executor turned out to be; plain data. */
export interface ExecutorInfo {
  /** `alone`: one full sequence for each distinct input; `naive`: one plain forward pass for each request. */
  form: Form | 'alone' | 'naive';
  /** Bytes that a token of the cache takes. */
  bytesPerToken: number;
  /** Why a better form was not taken. */
  remarks: string[];
  /** Activations are quantised at run time, so that a sequence's numbers depend on those beside it. */
  dynamic: boolean;
  /** Weights are float16: what is computed together moves the last digits. */
  half: boolean;
  /** The graph can go on from a cache. */
  hasCache: boolean;
  /** Width of the logits; null where only a pass can tell. */
  vocab: number | null;
  /** Rows of the table that token ids are looked up in; absent or null where the graph shows none. */
  tableRows?: number | null;
}

export interface ExecutorOptions {
  mode: 'auto' | 'prefix_tree' | 'naive';
  /** Threads of one forward pass; onnxruntime's choice when undefined. */
  threads: number | undefined;
  /** Bytes of keys and values that answers under way may take; few are expected without it. */
  decodeBytes?: number;
}

/** One call at a time: what is asked of a worker waits there for its turn. */
export interface Executor {
  info: ExecutorInfo;
  /** A pass of a plan. Not for `naive`. */
  pass(order: PassOrder): Promise<PassAnswer>;
  /** The plain path: one forward pass over `input`, batch 1, nothing shared. Only for `naive`. */
  score(input: Int32Array, targets: readonly number[]): Promise<TokenScore>;
  /** The next token after `ids`, which go on from the cache `past`; the new cache is kept as `keep`. */
  next(ids: readonly number[], past: number | null, keep: number | null, options?: NextOptions): Promise<Next>;
  free(caches: readonly number[]): Promise<void>;
  /**
   * Makes the executor ready for scores or for answers: it holds one session, for two would hold the weights twice. One that is
   * ready for answers is ready for few, in a form that is slower for them. All caches are gone where it changes. How many bytes a token of an answer takes, or why answers cannot run side by side.
   */
  turnTo(way: Way): Promise<Turned>;
  /** Begins an answer in the slot behind the last one, or keeps a cache: `DecodeSession.begin`. After `turnTo('answers')`. */
  begin(order: BeginOrder): Promise<Next>;
  /** Takes every answer a token further, by slot; null where its logits are not numbers. */
  step(rows: readonly StepOrder[]): Promise<(Next | null)[]>;
  /** Ends the answers of these slots, one after the other: the last one moves to each. */
  leave(slots: readonly number[]): Promise<void>;
  /** Computes the features of a picture and keeps them under its ids. Throws RowError for a file that is no picture. */
  see(picture: Shown): Promise<Seen>;
  /** Drops the features of the pictures that begin at these ids. */
  unsee(firsts: readonly number[]): Promise<void>;
  close(): Promise<void>;
}

export interface NextOptions {
  /** Tokens whose log-probability at that place is wanted too. */
  watched?: readonly number[];
  /** The token is drawn; the most likely one is taken without it. */
  draw?: Draw;
  /** How much likelier the most likely token is than the next one is wanted too. */
  margin?: boolean;
}

export interface Next {
  token: number;
  /** Of each watched token. */
  logprobs: number[];
  /** Log-probability of the most likely token less that of the next one, in nats; where it was asked for. */
  margin?: number;
}

/** What an executor computes next. */
export type Way = 'scores' | 'answers' | 'few answers';

/** Whether answers run side by side, and what each of their tokens takes. */
export type Turned = { bytesPerToken: number } | { remark: string };

export interface BeginOrder {
  past: number | null;
  ids: readonly number[];
  /** The number under which the cache is kept; null: an answer begins. */
  keep: number | null;
  room: Room;
  watched: readonly number[];
  draw?: Draw;
  margin?: boolean;
}

/** What memory is set aside for: the more is known at once, the less is copied later. */
export interface Room {
  /** Tokens that the answer may come to, its prompt included. */
  tokens: number;
  /** Answers that may run side by side. */
  slots: number;
  /** Tokens of all of them together, whatever their number and their widths will be; absent where it is not known. */
  most?: number;
}

export interface StepOrder {
  /** The last token of the answer. */
  token: number;
  draw?: Draw;
  margin?: boolean;
}

/** What showing a picture took, in milliseconds. */
export type Seen = Omit<Looked, 'features'>;

/** What of an executor has to do with pictures. */
export type Eyes = Pick<Executor, 'see' | 'unsee' | 'close'>;

const BLIND: Eyes = {
  see: () => Promise.reject(new Error('this executor takes no pictures')),
  unsee: async () => undefined,
  close: async () => undefined,
};

/** The plain path over a decoder: the reference, and what a graph gets that takes no edit. */
export function plainExecutor(
  decoder: Decoder,
  { remarks = [], dynamic = false, eyes = BLIND }: { remarks?: string[]; dynamic?: boolean; eyes?: Eyes } = {},
): Executor {
  const caches = new Map<number, Cache>();
  return {
    info: { form: 'naive', bytesPerToken: 0, remarks, dynamic, half: false, hasCache: decoder.hasCache, vocab: null },
    pass: () => Promise.reject(new Error('a naive executor has no passes of a plan')),
    score: (input, targets) => naiveScore(decoder, [...input], targets),
    async next(ids, past, keep, { watched = [], draw, margin } = {}) {
      const step = await decoder.forward(ids, past === null ? null : caches.get(past)!, keep !== null);
      if (keep !== null && step.cache !== null) caches.set(keep, step.cache);
      const at = (step.rows - 1) * step.vocab;
      const logprobs = watched.map((token) => logSoftmaxAt(step.logits, at, step.vocab, token).logprob);
      const row = step.logits.subarray(at, at + step.vocab);
      const token = draw === undefined ? argMax(step.logits, at, step.vocab) : drawToken(row, draw);
      return { token, logprobs, ...(margin ? { margin: leadOf(row) } : {}) };
    },
    async free(ids) {
      for (const id of ids) caches.delete(id);
    },
    turnTo: async () => ({ remark: 'the plain path answers one prompt at a time' }),
    begin: () => Promise.reject(new Error('a naive executor has no answers side by side')),
    step: () => Promise.reject(new Error('a naive executor has no answers side by side')),
    leave: () => Promise.reject(new Error('a naive executor has no answers side by side')),
    see: eyes.see,
    unsee: eyes.unsee,
    async close() {
      await decoder.close();
      await eyes.close();
    },
  };
}
