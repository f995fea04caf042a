/** A text decoder as an ONNX graph in this process: what it declares is read from the session, and only that is fed. */
import { Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { UserError } from '../../types.ts';
import { type Embedder, openEmbedder } from './embeddings.ts';
import { checkShapes, lastPositionAlone } from './export.ts';
import { isNamedOtherwise, readNamed } from './names.ts';
import { writeGraph } from './onnx_graph.ts';
import {
  allLogits,
  describe,
  type GraphFiles,
  type GraphInput,
  type GraphSource,
  integers,
  KEPT_LOGITS,
  openSession,
  refeedable,
  runGraph,
  toFloat32,
} from './session.ts';
import { slidingCaches } from './window.ts';

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

export interface DecoderOptions {
  /** The graph in another form than the file's. */
  source?: GraphSource;
  /** The embedding graph as it was opened before; it stays the caller's to close. Opened here where it is missing. */
  embedder?: Embedder | null;
}

/**
 * Opens the graphs of a checkpoint. Throws UserError when the device is not in this build of onnxruntime, when a file
 * is not a graph, or when the graph declares an input that nobody here knows.
 */
export async function openDecoder(
  checkpoint: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  { source, embedder }: DecoderOptions = {},
): Promise<Decoder> {
  const session = await openNamed(source ?? { path: checkpoint.graphs.decoder }, settings, threads);
  const own = embedder === undefined ? await openEmbedder(checkpoint, settings, threads) : null;
  const embed = embedder ?? own;
  const inputs = describe(session.inputMetadata);
  const outputs = new Set(session.outputNames);
  const pastInputs = inputs.filter((input) => input.name.startsWith('past'));
  checkInputs(inputs, outputs, embed !== null, checkpoint);
  checkShapes(checkpoint.graphs.decoder, inputs, describe(session.outputMetadata));
  const presentOf = new Map(pastInputs.map((input) => [input.name, presentName(input.name, outputs, checkpoint)]));

  const emptyPast: Record<string, Tensor> = {};
  const capacities =
    typeof checkpoint.textConfig.sliding_window === 'number' ? slidingCaches(checkpoint.graphs.decoder) : null;
  for (const input of pastInputs) emptyPast[input.name] = emptyTensor(input, checkpoint, capacities?.get(input.name));

  return {
    hasCache: pastInputs.length > 0,
    async forward(ids, cache, keepCache) {
      const seen = cache?.length ?? 0;
      const feeds: Record<string, Tensor> = {};
      for (const input of inputs) {
        const { name, type } = input;
        if (name === 'input_ids') feeds[name] = integers(ids, [1, ids.length], type);
        else if (name === 'inputs_embeds') feeds[name] = await embed!.embed(ids, [1, ids.length], type);
        else if (name === 'attention_mask')
          feeds[name] = integers(new Array(seen + ids.length).fill(1), [1, seen + ids.length], type);
        else if (name === 'position_ids') feeds[name] = positions(ids.length, seen, input);
        else if (name === 'use_cache_branch') feeds[name] = new Tensor('bool', Uint8Array.of(seen > 0 ? 1 : 0), [1]);
        else if (KEPT_LOGITS.includes(name)) feeds[name] = allLogits(input);
        else feeds[name] = refeedable((cache?.tensors ?? emptyPast)[name]!);
      }
      const wanted = keepCache ? ['logits', ...presentOf.values()] : ['logits'];
      const results = await runGraph(session, feeds, wanted, checkpoint.graphs.decoder);
      const logits = results.logits;
      const vocab = logits?.dims[2];
      if (logits === undefined || vocab === undefined || logits.dims[1] !== ids.length)
        throw lastPositionAlone(`${checkpoint.graphs.decoder} (${ids.length} tokens)`, logits?.dims ?? []);
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
      await own?.close();
    },
  };
}

/** A session over the graph; where its exporter has other names, over the same graph under those that are fed here. */
async function openNamed(source: GraphSource, settings: ModelSettings, threads: number | undefined) {
  const session = await openSession(source, settings, threads);
  if (source.edited !== undefined || !isNamedOtherwise(session.inputNames)) return session;
  let edited: GraphSource['edited'];
  try {
    edited = writeGraph(readNamed(source.path));
  } catch {
    // A graph with subgraphs keeps its names; what it then lacks is said by those.
    return session;
  }
  await session.release();
  return openSession({ ...source, edited }, settings, threads);
}

/** The inputs that are fed, beside the past, and the element types in which they are fed. */
const KNOWN = new Map<string, readonly string[]>([
  ['input_ids', ['int64', 'int32']],
  ['inputs_embeds', ['float32', 'float16']],
  ['attention_mask', ['int64', 'int32']],
  ['position_ids', ['int64', 'int32']],
  ['use_cache_branch', ['bool']],
  ...KEPT_LOGITS.map((name) => [name, ['int64', 'int32']] as const),
]);

/** States of convolutions and recurrences, as exporters name them: onnxruntime-genai's, the hub's, transformers' own. */
const STATES = /^(past|input\.cache|cache).*(conv|ssm|recurrent|state)/;

function statesBeside(graph: string, name: string, dims: GraphInput['dims']): UserError {
  return new UserError(
    `${graph}: the export goes on from states of convolutions or recurrences ("${name}" [${dims.join(', ')}]) as LFM2 and Mamba do, which is not supported. It has to be a checkpoint whose layers all attend, or an export without a cache.`,
    { key: 'model.model_id' },
  );
}

function checkInputs(inputs: GraphInput[], outputs: Set<string>, hasEmbed: boolean, checkpoint: GraphFiles): void {
  const graph = checkpoint.graphs.decoder;
  for (const { name, type, dims } of inputs) {
    const past = /^past_key_values\..+$/.test(name) && dims.length === 4 && /^float(16|32)$/.test(type);
    if (!KNOWN.get(name)?.includes(type) && !past) {
      if (STATES.test(name)) throw statesBeside(graph, name, dims);
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

/** Numbers of a cache that is there before the first token: 4 GB of float32. */
const MOST_NUMBERS = 2 ** 30;

/**
 * A past of length 0: [batch, kv heads, past, head size]. A symbol is read by its place, not by its name: some
 * exporters leave the head size symbolic too, and a head of size 0 would be refused by the graph, or worse, taken.
 * `capacity`: places of a cache that has its full size from the start.
 */
export function emptyTensor(input: GraphInput, { textConfig: config, graphs }: GraphFiles, capacity = 0): Tensor {
  const heads = Number(config.num_key_value_heads ?? config.num_attention_heads ?? config.n_head);
  const size = Number(
    config.head_dim ??
      Number(config.hidden_size ?? config.n_embd) / Number(config.num_attention_heads ?? config.n_head),
  );
  const [, kv, , last] = input.dims;
  const dims = [
    1,
    typeof kv === 'number' && kv > 0 ? kv : heads,
    capacity,
    typeof last === 'number' && last > 0 ? last : size,
  ];
  if (![dims[1]!, dims[3]!].every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw new UserError(
      `${graphs.decoder}: ${input.name} is [${input.dims.join(', ')}], and config.json does not say how many ` +
        'key-value heads of which size that is (num_key_value_heads, head_dim).',
      { key: 'model.model_id' },
    );
  }
  const numbers = dims.reduce((product, dim) => product * dim, 1);
  if (numbers > MOST_NUMBERS) {
    throw new UserError(`${graphs.decoder}: ${input.name} takes ${dims.join(' x ')} numbers from the start.`, {
      key: 'model.model_id',
    });
  }
  return input.type === 'float16'
    ? new Tensor('float16', new Uint16Array(numbers), dims)
    : new Tensor('float32', new Float32Array(numbers), dims);
}

/** [1, n], or [3, 1, n] where the graph has the three rotary sections of Qwen-VL (equal for text). */
function positions(length: number, from: number, { dims, type }: GraphInput): Tensor {
  const row = Array.from({ length }, (_, i) => from + i);
  return dims.length === 3
    ? integers([...row, ...row, ...row], [3, 1, length], type)
    : integers(row, [1, length], type);
}
