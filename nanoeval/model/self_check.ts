/**
 * Whether an edited graph gives the numbers of the untouched one, in every way in which it will be used: from the start and
 * from a cache, one row and many, rows of unlike length, and with branches.
 */
import type { ModelSettings } from '../config.ts';
import { logSoftmaxAt } from './logits.ts';
import { type GraphFiles, type GraphSource, openDecoder } from './onnx.ts';
import { readGraph, writeGraph } from './onnx_graph.ts';
import type { Form, Row, RunAnswer, RunOrder } from './prefix_tree.ts';

/** What is held against the untouched graph. */
export interface Runner {
  form: Form | 'alone';
  run(order: RunOrder): Promise<RunAnswer>;
  free(caches: readonly number[]): void;
}

export interface Expected {
  numbers: number[];
  /** Width of the logits. */
  vocab: number;
}

/** A stem of five tokens, two branches from it and a third that leaves it earlier: rows of unlike length. */
const STEM = [11, 5, 8, 3, 14];
const BRANCHES = [
  [2, 9, 4, 13],
  [7, 1, 6],
  [10, 12, 2, 5, 8, 1],
];

/** Log-probabilities by the untouched graph of each branch's tokens after the stem, the first of them included. */
export async function expectedNumbers(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
): Promise<Expected> {
  // Nothing is optimised or copied, so it is opened in a moment, and its weights are pages of the same file.
  const source: GraphSource = {
    path: files.graphs.decoder,
    edited: writeGraph(readGraph(files.graphs.decoder)),
    options: { graphOptimizationLevel: 'disabled' },
    // The first session of a process decides how its main thread treats denormals: see `openEdited`.
    entries: { disable_prepacking: '1', set_denormal_as_zero: '1' },
  };
  const decoder = await openDecoder(files, settings, threads, source);
  try {
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
  } finally {
    await decoder.close();
  }
}

const chain = (ids: readonly number[]): Row => ({ ids: [...ids], parents: ids.map((_, i) => i - 1) });

/** Mean distance between the session's numbers and the expected ones, over every way in which it will be used. */
export async function difference(session: Runner, expected: readonly number[]): Promise<number> {
  const found: number[] = [];
  if (session.form === 'alone') {
    for (const branch of BRANCHES) {
      const ids = [...STEM, ...branch];
      const at = branch.map((_, i) => STEM.length - 1 + i);
      const order = { past: null, rows: [chain(ids.slice(0, -1))], keep: null };
      const pairs = branch.flatMap((id, i) => [i, id]);
      found.push(...(await session.run({ ...order, select: at.flatMap((i) => [0, i]), pairs })).logprobs);
    }
    return meanDistance(found, expected);
  }
  // The stem as a cache; its last token gives the first of each branch.
  const stem = { past: null, rows: [chain(STEM)], select: [0, STEM.length - 1], keep: 1 };
  const firsts = (await session.run({ ...stem, pairs: BRANCHES.flatMap((branch) => [0, branch[0]!]) })).logprobs;
  const inputs = BRANCHES.map((branch) => branch.slice(0, -1));
  const after: number[][] = [];
  if (session.form === 'single') {
    for (const [b, input] of inputs.entries()) {
      const order = { past: 1, rows: [chain(input)], keep: null, select: input.flatMap((_, i) => [0, i]) };
      after.push((await session.run({ ...order, pairs: input.flatMap((_, i) => [i, BRANCHES[b]![i + 1]!]) })).logprobs);
    }
  } else {
    // tree: the first two branches in one row, the third in another; batched: a row each.
    const rows = session.form === 'tree' ? [joinedRow(inputs[0]!, inputs[1]!), chain(inputs[2]!)] : inputs.map(chain);
    const places = inputs.map((input, b) =>
      input.map((_, i) =>
        session.form !== 'tree' ? [b, i] : b === 2 ? [1, i] : [0, i + (b === 1 ? inputs[0]!.length : 0)],
      ),
    );
    const targets = inputs.flatMap((input, b) => input.map((_, i) => BRANCHES[b]![i + 1]!));
    const pairs = targets.flatMap((target, i) => [i, target]);
    const { logprobs } = await session.run({ past: 1, rows, select: places.flat(2), pairs, keep: null });
    let from = 0;
    for (const input of inputs) {
      after.push(logprobs.slice(from, from + input.length));
      from += input.length;
    }
  }
  for (const [b, first] of firsts.entries()) found.push(first, ...after[b]!);
  session.free([1]);
  return meanDistance(found, expected);
}

/** Two branches of one stem in one row. */
function joinedRow(a: readonly number[], b: readonly number[]): Row {
  const second = b.map((_, i) => (i === 0 ? -1 : a.length + i - 1));
  return { ids: [...a, ...b], parents: [...chain(a).parents, ...second] };
}

function meanDistance(found: readonly number[], expected: readonly number[]): number {
  if (found.length !== expected.length) return Number.NaN;
  return found.reduce((sum, value, i) => sum + Math.abs(value - expected[i]!), 0) / expected.length;
}
