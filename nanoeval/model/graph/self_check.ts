/**
 * Whether an edited graph gives the numbers of the untouched one, in every way in which it will be used: from the start
 * and from a cache, a long one too, one sequence and many, sequences of unlike length, and with branches.
 */
import { Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { OutsideError } from '../../types.ts';
import { chain, type Form, type PassAnswer, type PassOrder, type Sequence } from '../engine/prefix_tree.ts';
import { nudgeAttention, roundsActivations } from './edit.ts';
import type { Embedder } from './embeddings.ts';
import { logSoftmaxAt } from './logits.ts';
import { readNamed } from './names.ts';
import { type Cache, type Decoder, openDecoder } from './onnx.ts';
import { writeGraph } from './onnx_graph.ts';
import type { GraphFiles, GraphSource } from './session.ts';

/** What is held against the untouched graph. */
export interface Runner {
  form: Form | 'alone';
  pass(order: PassOrder): Promise<PassAnswer>;
  /** Takes a cache that was made elsewhere. */
  hold(id: number, cache: Cache): void;
  free(caches: readonly number[]): void;
}

export interface Expected {
  numbers: number[];
  /** A long past of made-up keys and values, and the log-probabilities after one more token; null without a cache. */
  long: { cache: Cache; numbers: number[]; noise: Distances | null } | null;
  /**
   * How far plain passes of one text are apart by rounding alone: whole and from a cache, and with what attention gives changed
   * by a millionth. It is much where activations are rounded to 8 bits. null where neither can be had.
   */
  noise: Distances | null;
  /** Width of the logits. */
  vocab: number;
}

/** Of two lists of log-probabilities, in nats. */
export interface Distances {
  mean: number;
  largest: number;
}

/** A stem of five tokens, two branches from it and a third that leaves it earlier: sequences of unlike length. */
export const STEM = [11, 5, 8, 3, 14];
export const BRANCHES = [
  [2, 9, 4, 13],
  [7, 1, 6],
  [10, 12, 2, 5, 8, 1, 4],
];

/** Log-probabilities by the untouched graph of each branch's tokens after the stem, the first of them included. */
export async function expectedNumbers(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  { dynamic, embedder }: { dynamic: boolean; embedder: Embedder | null },
): Promise<Expected> {
  // Nothing is optimised or copied, so it is opened in a moment, and its weights are pages of the same file. Not where
  // activations are quantised: optimised and plain forms of such a graph differ (0.05 nats a token), and MatMulNBits rounds
  // activations only when its weights were packed. Those are opened as they will be used.
  const graph = readNamed(files.graphs.decoder);
  const quick = { options: { graphOptimizationLevel: 'disabled' }, entries: { disable_prepacking: '1' } };
  const rounds = roundsActivations(graph);
  const { options, entries } = dynamic || rounds ? { options: {}, entries: {} } : quick;
  const source: GraphSource = {
    path: files.graphs.decoder,
    edited: writeGraph(graph),
    options,
    // The first session of a process decides how its main thread treats denormals: see `openEdited`.
    entries: { ...entries, set_denormal_as_zero: '1' },
  };
  const decoder = await openDecoder(files, settings, threads, { source, embedder });
  try {
    const { numbers, vocab } = await wholePasses(decoder);
    const cached = !dynamic && decoder.hasCache;
    // Where nothing is rounded the passes agree, and these cost a second on a large graph.
    const apart = cached && rounds ? await fromCache(decoder, numbers) : null;
    const long = cached ? await afterLongPast(decoder, files) : null;
    const nudged = dynamic ? [] : await whenNudged(files, settings, threads, source, embedder, long?.cache ?? null);
    const noise = largestOf([
      ...(apart === null ? [] : [apart]),
      ...nudged.map(({ near }) => distances(near, numbers)),
    ]);
    if (long !== null && nudged.length > 0)
      long.noise = largestOf(nudged.map(({ far }) => distances(far, long.numbers)));
    return { numbers, long, noise, vocab };
  } finally {
    await decoder.close();
  }
}

/** Log-probabilities of each branch's tokens after the stem, in one pass a branch, and the width of the logits. */
async function wholePasses(decoder: Decoder): Promise<{ numbers: number[]; vocab: number }> {
  const numbers: number[] = [];
  let width = 0;
  for (const branch of BRANCHES) {
    const ids = [...STEM, ...branch];
    const { logits, vocab } = await decoder.forward(ids.slice(0, -1), null, false);
    width = vocab;
    for (let i = STEM.length - 1; i < ids.length - 1; i += 1)
      numbers.push(logSoftmaxAt(logits, i * vocab, vocab, ids[i + 1]!).logprob);
  }
  return { numbers, vocab: width };
}

/** Factors by which another order of sums may change what attention gives. */
const NUDGES = [1 + 1e-6, 1 - 1e-6];

/**
 * The same numbers, and those after a long past, with what each layer's attention gives changed by a millionth, up and down, as
 * another order of its sums changes it. Only for graphs that round activations to 8 bits, where it may tip a rounding and the next ones with it.
 */
async function whenNudged(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  source: GraphSource,
  embedder: Embedder | null,
  past: Cache | null,
): Promise<{ near: number[]; far: number[] }[]> {
  const found: { near: number[]; far: number[] }[] = [];
  for (const factor of NUDGES) {
    const graph = readNamed(files.graphs.decoder);
    if (!roundsActivations(graph) || !nudgeAttention(graph, factor)) return [];
    const nudged = { ...source, edited: writeGraph(graph) };
    const decoder = await openDecoder(files, settings, threads, { source: nudged, embedder });
    try {
      const { numbers } = await wholePasses(decoder);
      found.push({ near: numbers, far: past === null ? [] : await after(decoder, past) });
    } finally {
      await decoder.close();
    }
  }
  return found;
}

/** The same numbers from a cache of the stem; null where the graph does not go on from one by several tokens. */
async function fromCache(decoder: Decoder, numbers: readonly number[]): Promise<Distances | null> {
  const found: number[] = [];
  try {
    for (const branch of BRANCHES) {
      const stem = await decoder.forward(STEM, null, true);
      const rest = await decoder.forward(branch.slice(0, -1), stem.cache, false);
      const rows = [[stem, STEM.length - 1] as const, ...branch.slice(1).map((_, i) => [rest, i] as const)];
      for (const [i, [{ logits, vocab }, row]] of rows.entries())
        found.push(logSoftmaxAt(logits, row * vocab, vocab, branch[i]!).logprob);
    }
  } catch (error) {
    // Some operators go on from a cache by one token at a time alone.
    if (!(error instanceof OutsideError)) throw error;
    return null;
  }
  return distances(found, numbers);
}

/** Tokens of the long past, and bytes that it may take. Masks that slide over fewer tokens show themselves. */
const LONG_PAST = 2048;
const LONG_PAST_BYTES = 128e6;
/** Float16 bits of -2 to 2, and the numbers: what the keys and values are made of. */
const HALVES = [0x3c00, 0xbc00, 0x3e00, 0xbe00, 0x3800, 0xb800, 0x4000, 0xc000];
const FLOATS = [1, -1, 1.5, -1.5, 0.5, -0.5, 2, -2];

async function afterLongPast(decoder: Decoder, { textConfig }: GraphFiles): Promise<Expected['long']> {
  const { cache } = await decoder.forward(STEM.slice(0, 1), null, true);
  const tensors = Object.entries(cache!.tensors);
  const perToken = tensors.reduce(
    (sum, [, { dims, type }]) => sum + dims[1]! * dims[3]! * (type === 'float16' ? 2 : 4),
    0,
  );
  const most = Number(textConfig.max_position_embeddings ?? textConfig.n_positions ?? LONG_PAST);
  let length = Math.min(LONG_PAST, most - 1, Math.floor(LONG_PAST_BYTES / perToken));
  for (; length >= 1; length = Math.floor(length / 2)) {
    const made = madeUp(tensors, length);
    try {
      return { cache: made, numbers: await after(decoder, made), noise: null };
    } catch (error) {
      // Rotary tables may be shorter than the config says: then so is the past.
      if (!(error instanceof OutsideError)) throw error;
    }
  }
  return null;
}

/** Log-probabilities of the stem's tokens one token after a past. */
async function after(decoder: Decoder, past: Cache): Promise<number[]> {
  const { logits, vocab } = await decoder.forward(STEM.slice(0, 1), past, false);
  return STEM.map((id) => logSoftmaxAt(logits, 0, vocab, id).logprob);
}

const largestOf = (all: readonly Distances[]) =>
  all.length === 0 ? null : all.reduce((a, b) => (a.largest >= b.largest ? a : b));

/** A cache of `length` tokens after the pattern of a real one, from a generator of its own. */
function madeUp(pattern: readonly [string, Tensor][], length: number): Cache {
  let state = 1;
  const made: Cache = { length, tensors: {} };
  for (const [name, { dims, type }] of pattern) {
    const size = dims[1]! * length * dims[3]!;
    const values = type === 'float16' ? new Uint16Array(size) : new Float32Array(size);
    for (let i = 0; i < size; i += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      values[i] = (type === 'float16' ? HALVES : FLOATS)[state >>> 29]!;
    }
    const shape = [1, dims[1]!, length, dims[3]!];
    made.tensors[name] =
      values instanceof Uint16Array ? new Tensor('float16', values, shape) : new Tensor('float32', values, shape);
  }
  return made;
}

/**
 * Distances between the session's numbers and the expected ones, over every way in which it will be used; after a long past
 * apart (null where there is none to compare with).
 */
export async function difference(
  session: Runner,
  { numbers: expected, long }: Expected,
): Promise<{ near: Distances; far: Distances | null }> {
  const found: number[] = [];
  if (session.form === 'alone' || session.form === 'whole') {
    for (const branch of BRANCHES) {
      const ids = [...STEM, ...branch];
      const at = branch.map((_, i) => STEM.length - 1 + i);
      const order = { past: null, sequences: [chain(ids.slice(0, -1))], keep: null };
      const pairs = branch.flatMap((id, i) => [i, id]);
      found.push(...(await session.pass({ ...order, select: at.flatMap((i) => [0, i]), pairs })).logprobs);
    }
    if (session.form === 'alone') return { near: distances(found, expected), far: null };
    // What a longer input told of the stem is held against the stem by itself: tokens behind must not count.
    const stem = { past: null, sequences: [chain(STEM)], select: [0, STEM.length - 1], keep: null };
    const pairs = BRANCHES.flatMap((branch) => [0, branch[0]!]);
    found.push(...(await session.pass({ ...stem, pairs })).logprobs);
    return { near: distances(found, [...expected, ...firstsOf(expected)]), far: null };
  }
  // The stem as a cache; its last token gives the first of each branch.
  const stem = { past: null, sequences: [chain(STEM)], select: [0, STEM.length - 1], keep: 1 };
  const firsts = (await session.pass({ ...stem, pairs: BRANCHES.flatMap((branch) => [0, branch[0]!]) })).logprobs;
  const inputs = BRANCHES.map((branch) => branch.slice(0, -1));
  const after: number[][] = [];
  if (session.form === 'single') {
    for (const [b, input] of inputs.entries()) {
      const order = { past: 1, sequences: [chain(input)], keep: null, select: input.flatMap((_, i) => [0, i]) };
      after.push(
        (await session.pass({ ...order, pairs: input.flatMap((_, i) => [i, BRANCHES[b]![i + 1]!]) })).logprobs,
      );
    }
  } else {
    // tree: the first two branches in one sequence, the third in another; batched: a sequence each.
    const sequences = session.form === 'tree' ? [joined(inputs[0]!, inputs[1]!), chain(inputs[2]!)] : inputs.map(chain);
    const places = inputs.map((input, b) =>
      input.map((_, i) =>
        session.form !== 'tree' ? [b, i] : b === 2 ? [1, i] : [0, i + (b === 1 ? inputs[0]!.length : 0)],
      ),
    );
    const targets = inputs.flatMap((input, b) => input.map((_, i) => BRANCHES[b]![i + 1]!));
    const pairs = targets.flatMap((target, i) => [i, target]);
    const { logprobs } = await session.pass({ past: 1, sequences, select: places.flat(2), pairs, keep: null });
    let from = 0;
    for (const input of inputs) {
      after.push(logprobs.slice(from, from + input.length));
      from += input.length;
    }
  }
  for (const [b, first] of firsts.entries()) found.push(first, ...after[b]!);
  session.free([1]);
  const near = distances(found, expected);
  if (long === null) return { near, far: null };
  session.hold(2, long.cache);
  const last = { past: 2, sequences: [chain(STEM.slice(0, 1))], select: [0, 0], keep: null };
  const { logprobs } = await session.pass({ ...last, pairs: STEM.flatMap((id) => [0, id]) });
  session.free([2]);
  return { near, far: distances(logprobs, long.numbers) };
}

/** Of the numbers of all branches, those of their first tokens. */
function firstsOf(numbers: readonly number[]): number[] {
  let at = 0;
  return BRANCHES.map((branch) => {
    at += branch.length;
    return numbers[at - branch.length]!;
  });
}

/** Two branches of one stem in one sequence. */
function joined(a: readonly number[], b: readonly number[]): Sequence {
  const second = b.map((_, i) => (i === 0 ? -1 : a.length + i - 1));
  return { ids: [...a, ...b], parents: [...chain(a).parents, ...second] };
}

export function distances(found: readonly number[], expected: readonly number[]): Distances {
  if (found.length !== expected.length) return { mean: Number.NaN, largest: Number.NaN };
  const all = found.map((value, i) => Math.abs(value - expected[i]!));
  return { mean: all.reduce((sum, value) => sum + value, 0) / all.length, largest: Math.max(...all) };
}
