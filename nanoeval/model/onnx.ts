/** A text decoder as an ONNX graph in this process: what it declares is read from the session, and only that is fed. */
import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../config.ts';
import { OutsideError, UserError } from '../types.ts';
import type { Checkpoint } from './checkpoint.ts';

/** Keys and values of the tokens seen so far, under the names of the graph's `past*` inputs. */
export interface Cache {
  length: number;
  tensors: Record<string, Tensor>;
}

export interface Step {
  /** [rows, vocab], row i belongs to token i of the call. */
  logits: Float32Array;
  rows: number;
  vocab: number;
  /** null unless asked for. */
  cache: Cache | null;
}

export interface Decoder {
  /** The graph has a cache and so can go on from one. */
  hasCache: boolean;
  /** One forward pass, batch 1: `ids` after `cache` (null: from the start). */
  forward(ids: readonly number[], cache: Cache | null, keepCache: boolean): Promise<Step>;
  close(): Promise<void>;
}

/** What of a checkpoint a session needs; plain data, so that it can cross to another process. */
export type GraphFiles = Pick<Checkpoint, 'graphs' | 'config' | 'textConfig'>;

/** A graph as a file, or as bytes whose weights lie in a folder. */
export interface GraphSource {
  path: string;
  edited?: { bytes: Uint8Array; folder: string | null };
  /** More session options: `InferenceSession.SessionOptions`. */
  options?: object;
  /** Entries of `session.*` in onnxruntime's configuration; texts all. */
  entries?: Record<string, string>;
}

/** Exports whose rotary positions begin at 1 (transformers.js, `decoder_forward`). */
export const START_AT_ONE = new Set(['paligemma', 'gemma3', 'gemma3_text']);

/**
 * Opens the graphs of a checkpoint. Throws UserError when the device is not in this build of onnxruntime, when a file is
 * not a graph, or when the graph declares an input that nobody here knows.
 */
export async function openDecoder(
  checkpoint: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  source?: GraphSource,
): Promise<Decoder> {
  const session = await openSession(source ?? { path: checkpoint.graphs.decoder }, settings, threads);
  const embed =
    checkpoint.graphs.embed === null ? null : await openSession({ path: checkpoint.graphs.embed }, settings, threads);
  const inputs = describe(session.inputMetadata);
  const outputs = new Set(session.outputNames);
  const pastInputs = inputs.filter((input) => input.name.startsWith('past'));
  checkInputs(inputs, outputs, embed !== null, checkpoint);
  const presentOf = new Map(pastInputs.map((input) => [input.name, presentName(input.name, outputs, checkpoint)]));

  const positionsFrom = START_AT_ONE.has(checkpoint.config.model_type ?? '') ? 1 : 0;
  const emptyPast: Record<string, Tensor> = {};
  for (const input of pastInputs) emptyPast[input.name] = emptyTensor(input, checkpoint);

  return {
    hasCache: pastInputs.length > 0,
    async forward(ids, cache, keepCache) {
      const seen = cache?.length ?? 0;
      const feeds: Record<string, Tensor> = {};
      for (const { name, dims } of inputs) {
        if (name === 'input_ids') feeds[name] = int64(ids, [1, ids.length]);
        else if (name === 'inputs_embeds') feeds[name] = await embedded(embed, ids, checkpoint.graphs.embed ?? '');
        else if (name === 'attention_mask')
          feeds[name] = int64(new Array(seen + ids.length).fill(1), [1, seen + ids.length]);
        else if (name === 'position_ids') feeds[name] = positions(ids.length, seen + positionsFrom, dims);
        else if (name === 'use_cache_branch') feeds[name] = new Tensor('bool', Uint8Array.of(seen > 0 ? 1 : 0), [1]);
        else if (name === 'num_logits_to_keep') feeds[name] = new Tensor('int64', BigInt64Array.of(0n), []);
        else feeds[name] = refeedable((cache?.tensors ?? emptyPast)[name]!);
      }
      const wanted = keepCache ? ['logits', ...presentOf.values()] : ['logits'];
      const results = await runGraph(session, feeds, wanted, checkpoint.graphs.decoder);
      const logits = results.logits;
      const vocab = logits?.dims[2];
      if (logits === undefined || vocab === undefined || logits.dims[1] !== ids.length) {
        throw new UserError(
          `${checkpoint.graphs.decoder}: logits of shape [${logits?.dims}] for ${ids.length} tokens.`,
        );
      }
      let next: Cache | null = null;
      if (keepCache) {
        const tensors: Record<string, Tensor> = {};
        for (const [past, present] of presentOf) tensors[past] = results[present] as Tensor;
        next = { length: seen + ids.length, tensors };
      }
      return { logits: toFloat32(logits as Tensor), rows: ids.length, vocab, cache: next };
    },
    async close() {
      await session.release();
      await embed?.release();
    },
  };
}

// What onnxruntime has to say comes back as an Error; its own log would print it twice, in colour.
env.logLevel = 'fatal';

/** Loads a graph. Throws UserError for a file or a device that will not do, OutsideError when the machine gives up. */
export async function openSession(
  { path, edited, options, entries = {} }: GraphSource,
  settings: ModelSettings,
  threads: number | undefined,
): Promise<InferenceSession> {
  const folder = edited?.folder;
  const session = {
    ...entries,
    ...(folder == null ? {} : { model_external_initializers_file_folder_path: folder }),
  };
  const all = {
    executionProviders: [settings.device],
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    logSeverityLevel: 4 as const,
    extra: { session },
    ...options,
  };
  try {
    return await (edited === undefined
      ? InferenceSession.create(path, all)
      : InferenceSession.create(edited.bytes, all));
  } catch (cause) {
    const message = (cause as Error).message.split('\n')[0]?.replace(/\.+$/, '') ?? '';
    if (settings.device !== 'cpu') {
      const names = listSupportedBackends().filter((backend) => backend.bundled);
      throw new UserError(
        `"${settings.device}" does not work in this build of onnxruntime-node: ${message}. ` +
          `It comes with: ${names.map((backend) => backend.name).join(', ')}.`,
        { key: 'model.device', cause },
      );
    }
    if (/protobuf parsing failed|invalid (model|graph)|unsupported|not a registered|external data/i.test(message)) {
      throw new UserError(`${path}: onnxruntime cannot load it: ${message}`, { key: 'model.model_id', cause });
    }
    throw new OutsideError(`${path}: onnxruntime cannot open it: ${message}`, { cause });
  }
}

export interface GraphInput {
  name: string;
  type: string;
  /** Numbers, or the symbol's name. */
  dims: readonly (number | string)[];
}

/** Names, element types and sizes of a session's inputs. */
export function describe(metadata: readonly InferenceSession.ValueMetadata[]): GraphInput[] {
  return metadata.map((value) => ({
    name: value.name,
    type: value.isTensor ? value.type : 'not a tensor',
    dims: value.isTensor ? value.shape : [],
  }));
}

/** The inputs that are fed, beside the past, and the element types in which they are fed. */
const KNOWN = new Map([
  ['input_ids', ['int64']],
  ['inputs_embeds', ['float32', 'float16']],
  ['attention_mask', ['int64']],
  ['position_ids', ['int64']],
  ['use_cache_branch', ['bool']],
  ['num_logits_to_keep', ['int64']],
]);

function checkInputs(inputs: GraphInput[], outputs: Set<string>, hasEmbed: boolean, checkpoint: GraphFiles): void {
  const graph = checkpoint.graphs.decoder;
  for (const { name, type, dims } of inputs) {
    const past = /^past_key_values\..+$/.test(name) && dims.length === 4 && /^float(16|32)$/.test(type);
    if (!KNOWN.get(name)?.includes(type) && !past) {
      throw new UserError(
        `${graph}: it wants the input "${name}" (${type} [${dims.join(', ')}]), which is not known here. ` +
          `Known: ${[...KNOWN].map(([known, types]) => `${known} (${types.join(', ')})`).join(', ')}, ` +
          'past_key_values.N.key / .value (float32, float16) of four dimensions.',
        { key: 'model.model_id' },
      );
    }
    if (name === 'inputs_embeds' && !hasEmbed) {
      throw new UserError(`${graph}: it wants inputs_embeds, and the repository has no embed_tokens graph.`, {
        key: 'model.model_id',
      });
    }
  }
  if (!outputs.has('logits')) {
    throw new UserError(`${graph}: it has no output "logits". It has: ${[...outputs].join(', ')}.`, {
      key: 'model.model_id',
    });
  }
}

function presentName(past: string, outputs: Set<string>, checkpoint: GraphFiles): string {
  const present = past.replace(/^past_key_values/, 'present');
  if (outputs.has(present)) return present;
  throw new UserError(`${checkpoint.graphs.decoder}: input "${past}" has no output "${present}" to go on from.`, {
    key: 'model.model_id',
  });
}

/**
 * A past of length 0: [batch, kv heads, past, head size]. A symbol is read by its place, not by its name: some exporters
 * leave the head size symbolic too, and a head of size 0 would be refused by the graph, or worse, taken.
 */
export function emptyTensor(input: GraphInput, { textConfig: config, graphs }: GraphFiles): Tensor {
  const heads = Number(config.num_key_value_heads ?? config.num_attention_heads ?? config.n_head);
  const size = Number(
    config.head_dim ??
      Number(config.hidden_size ?? config.n_embd) / Number(config.num_attention_heads ?? config.n_head),
  );
  const [, kv, , last] = input.dims;
  const dims = [
    1,
    typeof kv === 'number' && kv > 0 ? kv : heads,
    0,
    typeof last === 'number' && last > 0 ? last : size,
  ];
  if (!dims.every(Number.isInteger)) {
    throw new UserError(
      `${graphs.decoder}: ${input.name} is [${input.dims.join(', ')}], and config.json does not say how many key-value ` +
        'heads of which size that is (num_key_value_heads, head_dim).',
      { key: 'model.model_id' },
    );
  }
  return input.type === 'float16'
    ? new Tensor('float16', new Uint16Array(0), dims)
    : new Tensor('float32', new Float32Array(0), dims);
}

/** int64 from small non-negative numbers, through the low words: four times as fast as BigInt by BigInt. */
export function int64(values: ArrayLike<number>, dims: readonly number[]): Tensor {
  const words = new Int32Array(values.length * 2);
  for (let i = 0; i < values.length; i += 1) words[2 * i] = values[i]!;
  return new Tensor('int64', new BigInt64Array(words.buffer), dims);
}

/** [1, n], or [3, 1, n] where the graph has the three rotary sections of Qwen-VL (equal for text). */
function positions(length: number, from: number, dims: GraphInput['dims']): Tensor {
  const row = Array.from({ length }, (_, i) => from + i);
  return dims.length === 3 ? int64([...row, ...row, ...row], [3, 1, length]) : int64(row, [1, length]);
}

/** Embeddings of `ids` [batch, length], for decoders that take those. */
export async function embedded(
  embed: InferenceSession | null,
  ids: ArrayLike<number>,
  graph: string,
  dims: readonly number[] = [1, ids.length],
): Promise<Tensor> {
  const [from, to] = [embed?.inputNames[0], embed?.outputNames[0]];
  if (embed === null || from === undefined || to === undefined) {
    throw new UserError(`${graph}: no graph from ids to embeddings.`, { key: 'model.model_id' });
  }
  const results = await runGraph(embed, { [from]: int64(ids, dims) }, [to], graph);
  return refeedable(results[to] as Tensor);
}

/** Out of memory, an id beyond the embedding, a type that does not fit: onnxruntime's own words behind the graph's name. */
export async function runGraph(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  wanted: string[],
  graph: string,
) {
  try {
    return await session.run(feeds, wanted);
  } catch (cause) {
    const message = (cause as Error).message.split('\n')[0]?.replace(/\.+$/, '') ?? '';
    throw new OutsideError(`${graph}: onnxruntime failed: ${message}`, { cause });
  }
}

/**
 * Node 24 and newer: onnxruntime-common 1.30 wraps float16 data into a Float16Array whose length the binding reads as 0
 * ("not enough space: expected N, got 0"; microsoft/onnxruntime pull 32323). The bits as a Uint16Array are what it takes.
 */
export function refeedable(tensor: Tensor): Tensor {
  if (tensor.type !== 'float16' || tensor.data instanceof Uint16Array) return tensor;
  const data = tensor.data as unknown as Uint16Array;
  (tensor as unknown as { cpuData: Uint16Array }).cpuData = new Uint16Array(data.buffer, data.byteOffset, data.length);
  return tensor;
}

export function toFloat32(tensor: Tensor): Float32Array {
  if (tensor.type === 'float32') return tensor.data as Float32Array;
  if (tensor.type !== 'float16')
    throw new UserError(`the graph's logits are ${tensor.type}, neither float32 nor float16.`);
  const data = tensor.data as unknown as Uint16Array;
  return data instanceof Uint16Array ? halfToFloat(data) : new Float32Array(data as unknown as ArrayLike<number>);
}

/** IEEE 754 binary16 bits to numbers. */
export function halfToFloat(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i += 1) {
    const half = bits[i]!;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    const sign = half & 0x8000 ? -1 : 1;
    if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) out[i] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}
