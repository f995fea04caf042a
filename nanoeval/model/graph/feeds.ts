/** What an edited graph is fed for a pass: ids, positions and masks of its sequences, and what is asked of them. */
import { Tensor } from 'onnxruntime-node';
import type { PassOrder, Sequence } from '../engine/prefix_tree.ts';
import { EDITED } from './edit.ts';
import type { Embedder } from './embeddings.ts';
import { allLogits, type GraphInput, int64, integers, KEPT_LOGITS, refeedable } from './session.ts';

/** Added to the score of a token that is not to be seen; in float16 it becomes -infinity. */
const HIDDEN = -1e9;

/** What of a session and of its caches the feeds depend on. */
export interface FeedOptions {
  inputs: readonly GraphInput[];
  /** Turns ids into vectors, for a graph that wants those. */
  embedder: Embedder | null;
  /** Tokens that a layer with a sliding window sees, the token itself counted; null where none slides. */
  window?: number | null;
  /** Tokens of the past, and its keys and values by the names of the graph's inputs, one for each sequence. */
  seen: number;
  past: ReadonlyMap<string, Tensor>;
}

/** The graph's inputs for a pass, by name. */
export async function feedsOf(
  { sequences, select, pairs }: PassOrder,
  { inputs, embedder, window = null, seen, past }: FeedOptions,
): Promise<Record<string, Tensor>> {
  const length = longest(sequences);
  const dims = [sequences.length, length];
  const ids = padded(sequences, length);
  const feeds: Record<string, Tensor> = {};
  for (const input of inputs) {
    const { name, type } = input;
    if (name === 'input_ids') feeds[name] = integers(ids, dims, type);
    else if (name === 'inputs_embeds') feeds[name] = await embedder!.embed(ids, dims, type);
    else if (name === 'attention_mask') feeds[name] = plainMask(sequences, length, seen, type);
    else if (name === 'position_ids') feeds[name] = positions(sequences, length, seen, input);
    else if (name === EDITED.bias) feeds[name] = treeMask(sequences, length, seen);
    else if (name === EDITED.windowed) feeds[name] = treeMask(sequences, length, seen, window);
    else if (name === EDITED.select) feeds[name] = selectTensor(select);
    else if (name === EDITED.pairs) feeds[name] = pairsTensor(pairs);
    else if (name === 'use_cache_branch') feeds[name] = new Tensor('bool', Uint8Array.of(seen > 0 ? 1 : 0), [1]);
    else if (KEPT_LOGITS.includes(name)) feeds[name] = allLogits(input);
    else feeds[name] = refeedable(past.get(name)!);
  }
  return feeds;
}

/** Tokens of the longest sequence. */
export function longest(sequences: readonly Sequence[]): number {
  return Math.max(...sequences.map(({ ids }) => ids.length));
}

/** Ids of each sequence, zeros behind the shorter ones: [sequences, length]. */
function padded(sequences: readonly Sequence[], length: number): Int32Array {
  const out = new Int32Array(sequences.length * length);
  for (const [s, { ids }] of sequences.entries()) out.set(ids, s * length);
  return out;
}

/** Tokens above each token of a sequence, itself not counted. */
function depthsOf({ parents }: Sequence): number[] {
  const depths: number[] = [];
  for (const parent of parents) depths.push(parent < 0 ? 0 : depths[parent]! + 1);
  return depths;
}

/** [sequences, length], or [3, sequences, length] where the graph declares three rotary sections. */
function positions(sequences: readonly Sequence[], length: number, from: number, { dims, type }: GraphInput): Tensor {
  const out = new Int32Array(sequences.length * length);
  for (const [s, sequence] of sequences.entries())
    for (const [i, depth] of depthsOf(sequence).entries()) out[s * length + i] = from + depth;
  if (dims.length !== 3) return integers(out, [sequences.length, length], type);
  // Three rotary sections (Qwen-VL), equal for text.
  return integers([...out, ...out, ...out], [3, sequences.length, length], type);
}

/** 1 for the past and the sequence's own tokens, 0 behind them: right padding, which every export takes. */
function plainMask(sequences: readonly Sequence[], length: number, seen: number, type: string): Tensor {
  const total = seen + length;
  const mask = new Int32Array(sequences.length * total);
  for (const [s, { ids }] of sequences.entries()) mask.fill(1, s * total, s * total + seen + ids.length);
  return integers(mask, [sequences.length, total], type);
}

/**
 * [sequences, 1, length, past + length]: each token sees the past, the tokens above it and itself, of all these the last
 * `window`. Padding sees itself, for its row of the mask must not be empty.
 */
function treeMask(sequences: readonly Sequence[], length: number, seen: number, window: number | null = null): Tensor {
  const total = seen + length;
  const mask = new Float32Array(sequences.length * length * total).fill(HIDDEN);
  for (const [s, sequence] of sequences.entries()) {
    const { ids, parents } = sequence;
    const depths = window === null ? null : depthsOf(sequence);
    for (let i = 0; i < length; i += 1) {
      const at = (s * length + i) * total;
      const parent = i < ids.length ? parents[i]! : -1;
      if (parent >= 0) mask.copyWithin(at, (s * length + parent) * total, (s * length + parent + 1) * total);
      else if (i < ids.length) mask.fill(0, window === null ? at : at + Math.max(0, seen - window + 1), at + seen);
      mask[at + seen + i] = 0;
      // What its parent saw and the window has left behind: one token, in the past or above it.
      const left = depths === null || parent < 0 ? -1 : seen + depths[i]! - window!;
      if (left >= 0) mask[at + (left < seen ? left : seen + ancestor(parents, i, window!))] = HIDDEN;
    }
  }
  return new Tensor('float32', mask, [sequences.length, 1, length, total]);
}

/** The token `steps` above another. */
function ancestor(parents: readonly number[], token: number, steps: number): number {
  let at = token;
  for (let step = 0; step < steps; step += 1) at = parents[at]!;
  return at;
}

/** [states, 2]; a graph cannot select nothing, so then it is the first state. */
function selectTensor(select: readonly number[]): Tensor {
  return int64(select.length === 0 ? [0, 0] : select, [Math.max(1, select.length / 2), 2]);
}

/** [pairs, 3], the first of each three 0; at least one. */
function pairsTensor(pairs: readonly number[]): Tensor {
  const count = Math.max(1, pairs.length / 2);
  const out = new Int32Array(count * 3);
  for (let i = 0; i < pairs.length / 2; i += 1) {
    out[3 * i + 1] = pairs[2 * i]!;
    out[3 * i + 2] = pairs[2 * i + 1]!;
  }
  return int64(out, [count, 3]);
}
