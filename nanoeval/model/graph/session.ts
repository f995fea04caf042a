/**
 * A graph in onnxruntime: opening it, what it declares, running it, and the element types that JavaScript does not
 * have.
 */
import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { OutsideError, UserError } from '../../types.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { loadFault } from './export.ts';

/** What of a checkpoint a session needs; plain data, so that it can cross to another process. */
export type GraphFiles = Pick<Checkpoint, 'graphs' | 'config' | 'textConfig' | 'preprocessor' | 'processor'>;

/** A graph as a file, or as bytes whose weights lie in a folder. */
export interface GraphSource {
  path: string;
  edited?: { bytes: Uint8Array; folder: string | null };
  /** More session options: `InferenceSession.SessionOptions`. */
  options?: object;
  /** Entries of `session.*` in onnxruntime's configuration; texts all. */
  entries?: Record<string, string>;
}

// What onnxruntime has to say comes back as an Error; its own log would print it twice, in colour.
env.logLevel = 'fatal';

/** What onnxruntime says where the machine is at fault and not the file. */
const MACHINE = /alloc|memory|permission|denied|too many open files|input\/output|resource/i;

/** Whether a message about the graph at `path` is about the machine. */
export const blamesMachine = (message: string, path: string): boolean => MACHINE.test(message.replaceAll(path, ''));

const firstLine = (cause: unknown) => (cause as Error).message.split('\n')[0]?.replace(/\.+$/, '') ?? '';

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
    const message = firstLine(cause);
    const fault = loadFault(path, message);
    if (fault !== null) throw new UserError(fault, { key: 'model.model_id', cause });
    if (settings.device !== 'cpu') {
      const names = listSupportedBackends().filter((backend) => backend.bundled);
      throw new UserError(
        `"${settings.device}" does not work in this build of onnxruntime-node: ${message}. ` +
          `It comes with: ${names.map((backend) => backend.name).join(', ')}.`,
        { key: 'model.device', cause },
      );
    }
    if (!blamesMachine(message, path))
      throw new UserError(`${path}: onnxruntime cannot load it: ${message}`, { key: 'model.model_id', cause });
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

/** int64 from small non-negative numbers, through the low words: four times as fast as BigInt by BigInt. */
export function int64(values: ArrayLike<number>, dims: readonly number[]): Tensor {
  const words = new Int32Array(values.length * 2);
  for (let i = 0; i < values.length; i += 1) words[2 * i] = values[i]!;
  return new Tensor('int64', new BigInt64Array(words.buffer), dims);
}

/** Small non-negative numbers in the type that the graph's input has: int64, int32 or bool. */
export function integers(values: ArrayLike<number>, dims: readonly number[], type: string): Tensor {
  if (type === 'bool') return new Tensor('bool', Uint8Array.from(values), dims);
  return type === 'int32' ? new Tensor('int32', Int32Array.from(values), dims) : int64(values, dims);
}

/** Inputs that say how many of the last positions have logits, under their older and their newer name. */
export const KEPT_LOGITS = ['num_logits_to_keep', 'logits_to_keep'];

/** What such an input is fed: 0, for all of them. */
export const allLogits = ({ type, dims }: GraphInput): Tensor => integers([0], dims.length === 0 ? [] : [1], type);

/**
 * Out of memory, an id beyond the embedding, a type that does not fit: onnxruntime's own words behind the graph's name.
 */
export async function runGraph(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  wanted: string[] | Record<string, Tensor | null>,
  graph: string,
) {
  try {
    return await session.run(feeds, wanted as string[]);
  } catch (cause) {
    const message = firstLine(cause);
    throw new OutsideError(`${graph}: onnxruntime failed: ${message}`, { cause });
  }
}

/** An output that is no tensor: see `runInto`. */
export const UNREADABLE = 'nanoeval_unreadable';

/** What onnxruntime-node says of an output that is no tensor. */
const NO_TENSOR = /^Non tensor type is temporarily not supported/;

/**
 * Runs a graph into memory that is given for every output. onnxruntime-node (1.30) makes new memory for each output that it
 * returns and copies it there, also one that it was given memory for: with caches as outputs that takes as long as the pass. The
 * graph's first output, `UNREADABLE`, is of a kind that it does not return: it stops there, after the pass, and nothing is
 * copied. One that learns to return it copies, and gives the same numbers. Throws as `runGraph`.
 */
export async function runInto(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  outputs: Record<string, Tensor>,
  graph: string,
): Promise<void> {
  try {
    await session.run(feeds, { [UNREADABLE]: null, ...outputs });
  } catch (cause) {
    const message = firstLine(cause);
    if (!NO_TENSOR.test(message)) throw new OutsideError(`${graph}: onnxruntime failed: ${message}`, { cause });
  }
}

/**
 * Node 24 and newer: onnxruntime-common 1.30 wraps float16 data into a Float16Array whose length the binding reads as 0
 * ("not enough space: expected N, got 0"; microsoft/onnxruntime pull 32323). The bits as a Uint16Array are what it
 * takes.
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
