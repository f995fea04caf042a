/** A picture's file -> the features that stand in the prompt for it: decoding, tiles, and the vision graph. */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { UserError } from '../../types.ts';
import { toHalf } from '../graph/embeddings.ts';
import { describe, type GraphFiles, type GraphInput, openSession, runGraph, toFloat32 } from '../graph/session.ts';
import { familyOf, TILES } from './family.ts';
import { decodeImage } from './image.ts';
import type { Tiles } from './tiles.ts';

/** What a picture came to, and what each step took. */
export interface Looked {
  /** [tokens, hidden size]. */
  features: Float32Array;
  tiles: number;
  decode_ms: number;
  tiles_ms: number;
  encode_ms: number;
}

export interface VisionEncoder {
  /** Throws RowError for a file that is no picture, OutsideError when onnxruntime gives up. */
  look(bytes: Uint8Array): Promise<Looked>;
  close(): Promise<void>;
}

/** Opens the vision graph. Throws UserError where there is none, or one that wants what is not known here. */
export async function openVisionEncoder(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  tilesOfPass = TILES,
): Promise<VisionEncoder> {
  const family = familyOf(files);
  const path = files.graphs.vision;
  if (path === null)
    throw new UserError('the checkpoint has no vision_encoder graph. Its pictures cannot be shown.', {
      key: 'model.model_id',
    });
  const session = await openSession({ path }, settings, threads);
  const graph = openGraph(session, path);

  return {
    async look(bytes) {
      const started = performance.now();
      const pixels = await decodeImage(bytes);
      const decoded = performance.now();
      const tiles = family.tiles(pixels);
      const cut = performance.now();
      const features = await encode(graph, tiles, family.values, tilesOfPass);
      const done = performance.now();
      return {
        features,
        tiles: tiles.count,
        decode_ms: decoded - started,
        tiles_ms: cut - decoded,
        encode_ms: done - cut,
      };
    },
    close: () => session.release(),
  };
}

/** The vision graph, with what it takes and gives. */
interface VisionGraph {
  session: InferenceSession;
  path: string;
  inputs: GraphInput[];
  output: string;
}

/** Throws UserError for an input that is not known here. */
function openGraph(session: InferenceSession, path: string): VisionGraph {
  const inputs = describe(session.inputMetadata);
  const output = session.outputNames.find((name) => name === 'image_features') ?? session.outputNames[0];
  for (const { name, type, dims } of inputs) {
    const known =
      (name === 'pixel_values' && /^float(16|32)$/.test(type) && (dims.length === 4 || dims.length === 5)) ||
      (name === 'pixel_attention_mask' && type === 'bool' && dims.length === 4);
    if (known && output !== undefined) continue;
    throw new UserError(
      `${path}: it wants the input "${name}" (${type} [${dims.join(', ')}]), which is not known here. ` +
        'Known: pixel_values (float32, float16), pixel_attention_mask (bool).',
      { key: 'model.model_id' },
    );
  }
  return { session, path, inputs, output: output! };
}

/** Features of all tiles, [tokens, hidden size], `tilesOfPass` at a time. */
async function encode(
  { session, path, inputs, output }: VisionGraph,
  tiles: Tiles,
  values: readonly Float32Array[],
  tilesOfPass: number,
): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (let from = 0; from < tiles.count; from += tilesOfPass) {
    const count = Math.min(tilesOfPass, tiles.count - from);
    const feeds = feedsOf(inputs, tiles, count, numbersOf(tiles, from, count, values));
    const results = await runGraph(session, feeds, [output], path);
    parts.push(toFloat32(results[output] as Tensor));
  }
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The numbers of `count` tiles from `from` on, [count, 3, height, width]; `values`: for each channel, of each byte. */
function numbersOf(
  { width, height, data }: Tiles,
  from: number,
  count: number,
  values: readonly Float32Array[],
): Float32Array {
  const area = width * height;
  const numbers = new Float32Array(count * 3 * area);
  for (let plane = 0; plane < count * 3; plane += 1) {
    const table = values[plane % 3]!;
    const at = (from * 3 + plane) * area;
    for (let i = 0; i < area; i += 1) numbers[plane * area + i] = table[data[at + i]!]!;
  }
  return numbers;
}

/** The graph's inputs for `count` tiles, of which every pixel counts. */
function feedsOf(
  inputs: readonly GraphInput[],
  { width, height }: Tiles,
  count: number,
  numbers: Float32Array,
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const { name, type, dims } of inputs) {
    const batch = dims.length === 5 || name === 'pixel_attention_mask' ? [1, count] : [count];
    if (name === 'pixel_attention_mask')
      feeds[name] = new Tensor('bool', new Uint8Array(count * width * height).fill(1), [...batch, height, width]);
    else {
      const shape = [...batch, 3, height, width];
      feeds[name] =
        type === 'float16' ? new Tensor('float16', toHalf(numbers), shape) : new Tensor('float32', numbers, shape);
    }
  }
  return feeds;
}
