/** One loaded copy of a decoder that does as it is told: where runs, plain scores and decoding steps are computed. */
import type { ModelSettings } from '../config.ts';
import { argMax } from './logits.ts';
import { naiveScore, type TokenScore } from './naive.ts';
import { type Cache, type Decoder, type GraphFiles, openDecoder } from './onnx.ts';
import type { Form, RunAnswer, RunOrder } from './prefix_tree.ts';
import { type Opened, openTreeSession, type TreeSession } from './tree_session.ts';

/** What an executor turned out to be; plain data. */
export interface ExecutorInfo {
  /** `alone`: full rows of one request each, nothing shared; `naive`: one plain forward pass for each request. */
  form: Form | 'alone' | 'naive';
  /** Bytes that a token of the cache takes. */
  bytesPerToken: number;
  /** Why a better form was not taken. */
  remarks: string[];
  /** Activations are quantised at run time, so that a row's numbers depend on what runs beside it. */
  dynamic: boolean;
  /** Weights are float16: what runs together moves the last digits. */
  half: boolean;
  /** The graph can go on from a cache. */
  hasCache: boolean;
  /** Width of the logits; null where only a run can tell. */
  vocab: number | null;
}

export interface ExecutorOptions {
  mode: 'auto' | 'prefix_tree' | 'naive';
  /** Threads of one forward pass; onnxruntime's choice when undefined. */
  threads: number | undefined;
}

/** One call at a time: what is asked of a worker waits there for its turn. */
export interface Executor {
  info: ExecutorInfo;
  /** A run of a plan. Not for `naive`. */
  run(order: RunOrder): Promise<RunAnswer>;
  /** The plain path: one forward pass over `input`, batch 1, nothing shared. Only for `naive`. */
  score(input: Int32Array, targets: readonly number[]): Promise<TokenScore>;
  /** The most likely token after `ids`, which go on from the cache `past`; the new cache is kept as `keep`. */
  next(ids: readonly number[], past: number | null, keep: number | null): Promise<number>;
  free(caches: readonly number[]): Promise<void>;
  close(): Promise<void>;
}

/** Loads the graph. Throws UserError and OutsideError as `openDecoder`. */
export async function openExecutor(
  files: GraphFiles,
  settings: ModelSettings,
  { mode, threads }: ExecutorOptions,
): Promise<Executor> {
  let remarks: string[] = [];
  let dynamic = false;
  if (mode !== 'naive') {
    const opened = await openTreeSession(files, settings, threads, mode === 'prefix_tree');
    if (opened.session !== null) return treeExecutor(opened.session, opened);
    ({ remarks, dynamic } = opened);
  }
  return plainExecutor(await openDecoder(files, settings, threads), remarks, dynamic);
}

/** The plain path over a decoder: the reference, and what a graph gets that takes no edit. */
export function plainExecutor(decoder: Decoder, remarks: string[] = [], dynamic = false): Executor {
  const caches = new Map<number, Cache>();
  return {
    info: { form: 'naive', bytesPerToken: 0, remarks, dynamic, half: false, hasCache: decoder.hasCache, vocab: null },
    run: () => Promise.reject(new Error('a naive executor has no runs')),
    score: (input, targets) => naiveScore(decoder, [...input], targets),
    async next(ids, past, keep) {
      const step = await decoder.forward(ids, past === null ? null : caches.get(past)!, keep !== null);
      if (keep !== null && step.cache !== null) caches.set(keep, step.cache);
      return argMax(step.logits, (step.rows - 1) * step.vocab, step.vocab);
    },
    async free(ids) {
      for (const id of ids) caches.delete(id);
    },
    close: () => decoder.close(),
  };
}

function treeExecutor(session: TreeSession, { remarks, dynamic, half }: Opened): Executor {
  const { form, bytesPerToken, vocab } = session;
  return {
    info: { form, bytesPerToken, remarks, dynamic, half, hasCache: bytesPerToken > 0, vocab },
    run: (order) => session.run(order),
    score: () => Promise.reject(new Error(`a ${form} executor scores by runs`)),
    async next(ids, past, keep) {
      const row = { ids: [...ids], parents: ids.map((_, i) => i - 1) };
      const { best } = await session.run({ past, rows: [row], select: [0, ids.length - 1], pairs: [], keep });
      return best[0]!;
    },
    async free(ids) {
      session.free(ids);
    },
    close: () => session.close(),
  };
}
