/** One loaded copy of a decoder that does as it is told: where passes, plain scores and decoding steps are computed. */
import type { ModelSettings } from '../../config/keys.ts';
import { OutsideError, RowError, UserError } from '../../types.ts';
import { type Embedder, openEmbedder } from '../graph/embeddings.ts';
import { contradictions, embeddingRows, roundings } from '../graph/export.ts';
import { argMax, logSoftmaxAt } from '../graph/logits.ts';
import { type Cache, type Decoder, openDecoder } from '../graph/onnx.ts';
import { blamesMachine, type GraphFiles } from '../graph/session.ts';
import { type Opened, openTreeSession, type TreeSession } from '../graph/tree_session.ts';
import type { Shown } from '../vision/album.ts';
import type { Looked, VisionEncoder } from '../vision/encoder.ts';
import { type Draw, drawToken } from './decode.ts';
import { naiveScore, type TokenScore } from './naive.ts';
import { chain, type Form, type PassAnswer, type PassOrder } from './prefix_tree.ts';

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
}

export interface Next {
  token: number;
  /** Of each watched token. */
  logprobs: number[];
}

/** What showing a picture took, in milliseconds. */
export type Seen = Omit<Looked, 'features'>;

/** Loads the graph. Throws UserError and OutsideError as `openDecoder`, and UserError for a graph that cannot be run. */
export async function openExecutor(
  files: GraphFiles,
  settings: ModelSettings,
  options: ExecutorOptions,
): Promise<Executor> {
  const executor = await openForm(files, settings, options);
  const { info } = executor;
  const { decoder, embed } = files.graphs;
  info.tableRows = embeddingRows(embed ?? decoder);
  // Only a tree is fed the mask of a window; other forms have what the graph itself hides.
  info.remarks.push(...contradictions(decoder, files.textConfig, info.form === 'tree'), ...roundings(decoder));
  return executor;
}

async function openForm(
  files: GraphFiles,
  settings: ModelSettings,
  { mode, threads }: ExecutorOptions,
): Promise<Executor> {
  const embedder = await openEmbedder(files, settings, threads);
  // Loaded where pictures are asked about: with its schemas it is half of what a worker would load.
  const eyes = openEyes(embedder, async () => {
    const { openVisionEncoder } = await import('../vision/encoder.ts');
    return openVisionEncoder(files, settings, threads);
  });
  let remarks: string[] = [];
  let dynamic = false;
  if (mode !== 'naive') {
    const opened = await openTreeSession(files, settings, threads, { share: mode === 'prefix_tree', embedder });
    if (opened.session !== null) return treeExecutor(opened.session, opened, eyes);
    ({ remarks, dynamic } = opened);
  }
  const decoder = await openDecoder(files, settings, threads, { embedder });
  await tryTwoTokens(decoder, files.graphs.decoder);
  return plainExecutor(decoder, { remarks, dynamic, eyes });
}

/** What an export gives for more than one token is found now and not with the first row. */
async function tryTwoTokens(decoder: Decoder, path: string): Promise<void> {
  try {
    await decoder.forward([0, 0], null, false);
  } catch (cause) {
    if (!(cause instanceof OutsideError) || blamesMachine(cause.message, path)) throw cause;
    const message = `${cause.message}. Not even two tokens go through the graph: get the file again, or export it anew.`;
    throw new UserError(message, { key: 'model.model_id', cause });
  }
}

/** What of an executor has to do with pictures. */
type Eyes = Pick<Executor, 'see' | 'unsee' | 'close'>;

/** The vision graph is loaded with the first picture: who has none does not pay for it. */
function openEyes(embedder: Embedder | null, open: () => Promise<VisionEncoder>): Eyes {
  let encoder: Promise<VisionEncoder> | null = null;
  return {
    async see({ first, tokens, bytes }) {
      encoder ??= open();
      const { features, ...seen } = await (await encoder).look(bytes);
      embedder!.hold(first, features, tokens);
      return seen;
    },
    async unsee(firsts) {
      for (const first of firsts) embedder?.release(first);
    },
    async close() {
      // One that could not be opened was an answer before.
      await encoder?.then(
        (opened) => opened.close(),
        () => undefined,
      );
      await embedder?.close();
    },
  };
}

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
    async next(ids, past, keep, { watched = [], draw } = {}) {
      const step = await decoder.forward(ids, past === null ? null : caches.get(past)!, keep !== null);
      if (keep !== null && step.cache !== null) caches.set(keep, step.cache);
      const at = (step.rows - 1) * step.vocab;
      const logprobs = watched.map((token) => logSoftmaxAt(step.logits, at, step.vocab, token).logprob);
      if (draw === undefined) return { token: argMax(step.logits, at, step.vocab), logprobs };
      return { token: drawToken(step.logits.subarray(at, at + step.vocab), draw), logprobs };
    },
    async free(ids) {
      for (const id of ids) caches.delete(id);
    },
    see: eyes.see,
    unsee: eyes.unsee,
    async close() {
      await decoder.close();
      await eyes.close();
    },
  };
}

function treeExecutor(session: TreeSession, { remarks, dynamic, half }: Opened, eyes: Eyes): Executor {
  const { form, bytesPerToken, vocab } = session;
  const everyToken = Array.from({ length: 2 * vocab }, (_, i) => (i % 2 === 0 ? 0 : (i - 1) / 2));
  return {
    info: { form, bytesPerToken, remarks, dynamic, half, hasCache: bytesPerToken > 0, vocab },
    pass: (order) => session.pass(order),
    score: () => Promise.reject(new Error(`a ${form} executor scores by passes of a plan`)),
    async next(ids, past, keep, { watched = [], draw } = {}) {
      const select = [0, ids.length - 1];
      // The graph gives log-probabilities by name: to draw, all of them are asked for (some ms for 49,152).
      const pairs = draw === undefined ? [0, 0, ...watched.flatMap((token) => [0, token])] : everyToken;
      const { best, logprobs } = await session.pass({ past, sequences: [chain(ids)], select, pairs, keep });
      // One logit that is not a number makes every log-probability one; the arg-max would not show it.
      if (logprobs.some(Number.isNaN)) throw new RowError('nan', "the model's logits are broken here: not a number.");
      if (draw === undefined) return { token: best[0]!, logprobs: logprobs.slice(1) };
      return { token: drawToken(logprobs, draw), logprobs: watched.map((token) => logprobs[token]!) };
    },
    async free(ids) {
      session.free(ids);
    },
    see: eyes.see,
    unsee: eyes.unsee,
    async close() {
      await session.close();
      await eyes.close();
    },
  };
}
