/**
 * A decoder whose graph was edited for scoring, as a session that runs the rows of a plan.
 *
 * Which edits a graph takes is found out when it is opened: each set of them is tried on a small tree of tokens and held
 * against the untouched graph. The first that gives the same numbers is used; a graph that takes none is left alone.
 */
import { Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import type { Row } from '../engine/prefix_tree.ts';
import { editMask, fuseRotary, groupHeads, writeOutGroupQueryAttention } from './attention.ts';
import { EDITED, editHead, isDynamicallyQuantized, NoEdit } from './edit.ts';
import type { Embedder } from './embeddings.ts';
import { emptyTensor, START_AT_ONE } from './onnx.ts';
import { type OnnxGraph, readGraph, writeGraph } from './onnx_graph.ts';
import { difference, type Expected, expectedNumbers, type Runner } from './self_check.ts';
import {
  describe,
  type GraphFiles,
  type GraphInput,
  type GraphSource,
  int64,
  openSession,
  refeedable,
  runGraph,
} from './session.ts';

export interface TreeSession extends Runner {
  /** Bytes that a token of the cache takes. */
  bytesPerToken: number;
  /** Width of the logits. */
  vocab: number;
  close(): Promise<void>;
}

export interface Opened {
  session: TreeSession | null;
  /** Why a better form was not taken. */
  remarks: string[];
  /** The graph quantises activations at run time. */
  dynamic: boolean;
  /** It has float16 weights. */
  half: boolean;
}

/** Added to the score of a token that is not to be seen; in float16 it becomes -infinity. */
const HIDDEN = -1e9;

interface Attempt {
  form: Runner['form'];
  /** In a remark: `no <name> runs: ...`. */
  name: string;
  edit(graph: OnnxGraph): void;
}

/**
 * Opens the decoder of `files` in the best form that it takes. `share`: rows may be shared even where that changes a
 * number, as it does in dynamically quantised graphs. Throws UserError when the untouched graph cannot be loaded either.
 */
export async function openTreeSession(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  { share, embedder }: { share: boolean; embedder: Embedder | null },
): Promise<Opened> {
  const path = files.graphs.decoder;
  const remarks: string[] = [];
  let dynamic = false;
  let half = false;
  try {
    const graph = readGraph(path);
    dynamic = isDynamicallyQuantized(graph);
    half = usesHalf(graph);
  } catch (error) {
    return { session: null, remarks: [`the graph cannot be edited: ${(error as Error).message}`], dynamic, half };
  }
  let expected: Expected | null = null;
  for (const attempt of attempts(files, dynamic && !share)) {
    const graph = readGraph(path);
    let opened: TreeSession | null = null;
    try {
      attempt.edit(graph);
      const edited = writeGraph(graph);
      expected ??= await expectedNumbers(files, settings, threads, { dynamic, embedder });
      opened = await openEdited(attempt.form, expected.vocab, { path, edited }, { files, settings, threads, embedder });
      const { mean, largest } = await difference(opened, expected);
      // Where sharing itself moves the numbers only their mean can say whether the right ones are meant.
      const [off, limit] = dynamic && share ? [mean, 1] : [largest, half ? 0.2 : 5e-3];
      // Also true of NaN.
      if (!(off <= limit)) throw new NoEdit(`log-probabilities are ${off.toPrecision(2)} off`);
      return { session: opened, remarks: [...new Set(remarks)], dynamic, half };
    } catch (error) {
      await opened?.close();
      remarks.push(`no ${attempt.name} runs: ${(error as Error).message}`);
    }
  }
  return { session: null, remarks: [...new Set(remarks)], dynamic, half };
}

const usesHalf = (graph: OnnxGraph) => [...graph.initializers.values()].some((tensor) => tensor.type === 10);

function attempts(files: GraphFiles, alone: boolean): Attempt[] {
  if (alone) return [{ form: 'alone', name: 'alone', edit: (graph) => editHead(graph, false) }];
  const head = (graph: OnnxGraph) => editHead(graph, true);
  const mask = (graph: OnnxGraph) => {
    const sizes = attentionSizes(graph, files);
    const grouped = graph.nodes.some((node) => node.op === 'GroupQueryAttention');
    if (grouped) writeOutGroupQueryAttention(graph, sizes);
    else editMask(graph, sizes);
    return { sizes, grouped };
  };
  return [
    {
      form: 'tree',
      name: 'streamlined tree',
      edit(graph) {
        head(graph);
        const { sizes, grouped } = mask(graph);
        if (grouped) return;
        groupHeads(graph, sizes);
        fuseRotary(graph, sizes);
      },
    },
    {
      form: 'tree',
      name: 'tree',
      edit(graph) {
        head(graph);
        mask(graph);
      },
    },
    { form: 'batched', name: 'batched', edit: head },
    { form: 'single', name: 'single', edit: head },
  ];
}

/** From config.json; the number of layers with a cache from the graph itself. */
function attentionSizes(graph: OnnxGraph, { textConfig: config }: GraphFiles) {
  const layers = graph.inputs.filter((input) => /^past_key_values\..*key$/.test(input.name)).length;
  const heads = Number(config.num_attention_heads ?? config.n_head);
  const groups = Number(config.num_key_value_heads ?? heads);
  const headSize = Number(config.head_dim ?? Number(config.hidden_size ?? config.n_embd) / heads);
  if (layers === 0) throw new NoEdit('the graph has no cache');
  if (![heads, groups, headSize].every(Number.isInteger)) throw new NoEdit('config.json does not say how many heads');
  // The second name is GPT-Neo's, the third Llama 4's.
  const window = config.sliding_window ?? config.window_size ?? config.attention_chunk_size;
  if (typeof window === 'number' && config.use_sliding_window !== false) {
    const most = Number(config.max_position_embeddings ?? Number.POSITIVE_INFINITY);
    if (window < most) throw new NoEdit(`attention slides over ${window} of ${most} tokens`);
  }
  return { layers, heads, groups, headSize };
}

interface Surroundings {
  files: GraphFiles;
  settings: ModelSettings;
  threads: number | undefined;
  embedder: Embedder | null;
}

async function openEdited(
  form: Runner['form'],
  vocab: number,
  source: GraphSource,
  { files, settings, threads, embedder }: Surroundings,
): Promise<TreeSession> {
  // Denormals: masked scores give weights of 1e-39, on which every later product stalls (a Softmax takes 7 times as long).
  const opened: GraphSource = {
    ...source,
    // A memory pattern is made for each new shape of the inputs, and here nearly every run has one.
    options: { enableMemPattern: false },
    entries: { set_denormal_as_zero: '1' },
  };
  const session = await openSession(opened, settings, threads);
  const inputs = describe(session.inputMetadata);
  const past = inputs.filter((input) => input.name.startsWith('past'));
  const presentOf = new Map(past.map(({ name }) => [name, name.replace(/^past_key_values/, 'present')]));
  const empty = new Map(past.map((input) => [input.name, emptyTensor(input, files)]));
  const first = START_AT_ONE.has(files.config.model_type ?? '') ? 1 : 0;
  const caches = new Map<number, { length: number; tensors: Map<string, Tensor> }>();
  /** The last cache that was repeated for a batch: the runs of a group come one after the other. */
  let repeated: { past: number; rows: number; tensors: Map<string, Tensor> } | null = null;
  const spare = new Map<string, ArrayBuffer>();
  let bytesPerToken = 0;
  for (const tensor of empty.values()) {
    bytesPerToken += tensor.dims[1]! * tensor.dims[3]! * (tensor.type === 'float16' ? 2 : 4);
  }

  const pastTensors = (id: number | null, rows: number, widest: number): Map<string, Tensor> => {
    const cache = id === null ? null : caches.get(id);
    if (cache === undefined) throw new Error(`no cache ${id}`);
    const tensors = cache?.tensors ?? empty;
    if (rows === 1) return tensors;
    if (id === null) return new Map([...tensors].map(([name, tensor]) => [name, repeat(tensor, rows)]));
    if (repeated?.past !== id || repeated.rows < rows) {
      repeated = null;
      const many = Math.max(rows, widest);
      repeated = { past: id, rows: many, tensors: new Map() };
      for (const [name, tensor] of tensors) repeated.tensors.set(name, repeat(tensor, many, spare.get(name)));
      // The next group's copies go where this one's are: fresh pages cost more than the copy.
      for (const [name, tensor] of repeated.tensors) spare.set(name, bitsOf(tensor).buffer as ArrayBuffer);
    }
    return new Map([...repeated.tensors].map(([name, tensor]) => [name, firstRows(tensor, rows)]));
  };

  return {
    form,
    bytesPerToken,
    vocab,
    async run({ past: pastId, rows, select, pairs, keep, widest = rows.length }) {
      const seen = pastId === null ? 0 : (caches.get(pastId)?.length ?? 0);
      const length = Math.max(...rows.map((row) => row.ids.length));
      const dims = [rows.length, length];
      const ids = padded(rows, length, (row, i) => row.ids[i]!);
      const depths = rows.map(depthsOf);
      const feeds: Record<string, Tensor> = {};
      const pasts = pastTensors(pastId, rows.length, widest);
      for (const { name, dims: declared, type } of inputs) {
        if (name === 'input_ids') feeds[name] = int64(ids, dims);
        else if (name === 'inputs_embeds') feeds[name] = await embedder!.embed(ids, dims, type);
        else if (name === 'attention_mask') feeds[name] = plainMask(rows, length, seen);
        else if (name === 'position_ids') feeds[name] = positions(depths, length, seen + first, declared);
        else if (name === EDITED.bias) feeds[name] = treeMask(rows, length, seen);
        else if (name === EDITED.select)
          feeds[name] = int64(select.length === 0 ? [0, 0] : select, [Math.max(1, select.length / 2), 2]);
        else if (name === EDITED.pairs) feeds[name] = pairsTensor(pairs);
        else if (name === 'use_cache_branch') feeds[name] = new Tensor('bool', Uint8Array.of(seen > 0 ? 1 : 0), [1]);
        else if (name === 'num_logits_to_keep') feeds[name] = new Tensor('int64', BigInt64Array.of(0n), []);
        else feeds[name] = refeedable(pasts.get(name)!);
      }
      const wanted = [EDITED.logprob, EDITED.best, ...(keep === null ? [] : presentOf.values())];
      const results = await runGraph(session, feeds, wanted, files.graphs.decoder);
      if (keep !== null) {
        const tensors = new Map([...presentOf].map(([name, present]) => [name, results[present] as Tensor]));
        caches.set(keep, { length: seen + length, tensors });
        if (repeated?.past === keep) repeated = null;
      }
      const logprobs = pairs.length === 0 ? [] : Array.from((results[EDITED.logprob] as Tensor).data as Float32Array);
      const best =
        select.length === 0 ? [] : Array.from((results[EDITED.best] as Tensor).data as BigInt64Array, Number);
      return { logprobs, best };
    },
    hold(id, { length, tensors }) {
      caches.set(id, { length, tensors: new Map(Object.entries(tensors)) });
    },
    free(ids) {
      for (const id of ids) {
        caches.delete(id);
        if (repeated?.past === id) repeated = null;
      }
    },
    async close() {
      await session.release();
    },
  };
}

/** Values of each row, zeros behind the shorter ones. */
function padded(rows: readonly Row[], length: number, value: (row: Row, i: number) => number): Int32Array {
  const out = new Int32Array(rows.length * length);
  for (const [r, row] of rows.entries())
    for (let i = 0; i < row.ids.length; i += 1) out[r * length + i] = value(row, i);
  return out;
}

/** Tokens above each token of a row, itself not counted. */
function depthsOf({ parents }: Row): number[] {
  const depths: number[] = [];
  for (const parent of parents) depths.push(parent < 0 ? 0 : depths[parent]! + 1);
  return depths;
}

function positions(depths: number[][], length: number, from: number, declared: GraphInput['dims']): Tensor {
  const out = new Int32Array(depths.length * length);
  for (const [r, row] of depths.entries()) for (const [i, depth] of row.entries()) out[r * length + i] = from + depth;
  if (declared.length !== 3) return int64(out, [depths.length, length]);
  // Three rotary sections (Qwen-VL), equal for text.
  return int64([...out, ...out, ...out], [3, depths.length, length]);
}

/** 1 for the past and the row's own tokens, 0 behind them: right padding, which every export takes. */
function plainMask(rows: readonly Row[], length: number, seen: number): Tensor {
  const total = seen + length;
  const mask = new Int32Array(rows.length * total);
  for (const [r, row] of rows.entries()) mask.fill(1, r * total, r * total + seen + row.ids.length);
  return int64(mask, [rows.length, total]);
}

/** Each token sees the past, the tokens above it and itself. Padding sees itself, for its row must not be empty. */
function treeMask(rows: readonly Row[], length: number, seen: number): Tensor {
  const total = seen + length;
  const mask = new Float32Array(rows.length * length * total).fill(HIDDEN);
  for (const [r, { ids, parents }] of rows.entries()) {
    for (let i = 0; i < length; i += 1) {
      const at = (r * length + i) * total;
      const parent = i < ids.length ? parents[i]! : -1;
      if (parent >= 0) mask.copyWithin(at, (r * length + parent) * total, (r * length + parent + 1) * total);
      else if (i < ids.length) mask.fill(0, at, at + seen);
      mask[at + seen + i] = 0;
    }
  }
  return new Tensor('float32', mask, [rows.length, 1, length, total]);
}

function pairsTensor(pairs: readonly number[]): Tensor {
  const count = Math.max(1, pairs.length / 2);
  const out = new Int32Array(count * 3);
  for (let i = 0; i < pairs.length / 2; i += 1) {
    out[3 * i + 1] = pairs[2 * i]!;
    out[3 * i + 2] = pairs[2 * i + 1]!;
  }
  return int64(out, [count, 3]);
}

/** The numbers of a tensor; float16 as its bits. */
function bitsOf(tensor: Tensor): Float32Array | Uint16Array {
  const data = refeedable(tensor).data as Float32Array | Uint16Array;
  return data instanceof Float32Array ? data : new Uint16Array(data.buffer, data.byteOffset, data.length);
}

const tensorOf = (bits: Float32Array | Uint16Array, dims: readonly number[]): Tensor =>
  bits instanceof Float32Array ? new Tensor('float32', bits, dims) : new Tensor('float16', bits, dims);

/** A tensor of one batch row repeated along the batch, in `memory` when that is large enough. */
function repeat(tensor: Tensor, rows: number, memory?: ArrayBuffer): Tensor {
  const one = bitsOf(tensor);
  const size = one.byteLength * rows;
  const buffer = memory !== undefined && memory.byteLength >= size ? memory : new ArrayBuffer(size);
  const length = one.length * rows;
  const many = one instanceof Float32Array ? new Float32Array(buffer, 0, length) : new Uint16Array(buffer, 0, length);
  for (let r = 0; r < rows; r += 1) many.set(one, r * one.length);
  return tensorOf(many, [rows, ...tensor.dims.slice(1)]);
}

/** The first rows of a batch, over the same memory. */
function firstRows(tensor: Tensor, rows: number): Tensor {
  const bits = bitsOf(tensor);
  return tensorOf(bits.subarray(0, (bits.length / tensor.dims[0]!) * rows), [rows, ...tensor.dims.slice(1)]);
}
