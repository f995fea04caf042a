/** A picture's file -> the features that stand in the prompt for it: decoding, tiles, and the vision graph. */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { UserError } from '../../types.ts';
import { toHalf } from '../graph/embeddings.ts';
import { describe, type GraphFiles, openSession, runGraph, toFloat32 } from '../graph/session.ts';
import { familyOf, TILES, type Tiles, type VisionFamily } from './family.ts';
import { decodeImage } from './image.ts';

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
  tilesOfRun = TILES,
): Promise<VisionEncoder> {
  const family = familyOf(files);
  const path = files.graphs.vision;
  if (path === null)
    throw new UserError('the checkpoint has no vision_encoder graph. Its pictures cannot be shown.', {
      key: 'model.model_id',
    });
  const session = await openSession({ path }, settings, threads);
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

  return {
    async look(bytes) {
      const started = performance.now();
      const pixels = await decodeImage(bytes);
      const decoded = performance.now();
      const tiles = family.tiles(pixels);
      const cut = performance.now();
      const features = await encode(session, inputs, output!, tiles, family);
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

  async function encode(
    graph: InferenceSession,
    declared: typeof inputs,
    wanted: string,
    { count, width, height, data }: Tiles,
    { values }: VisionFamily,
  ): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    const area = width * height;
    for (let from = 0; from < count; from += tilesOfRun) {
      const n = Math.min(tilesOfRun, count - from);
      const numbers = new Float32Array(n * 3 * area);
      for (let plane = 0; plane < n * 3; plane += 1) {
        const table = values[plane % 3]!;
        const at = (from * 3 + plane) * area;
        for (let i = 0; i < area; i += 1) numbers[plane * area + i] = table[data[at + i]!]!;
      }
      const feeds: Record<string, Tensor> = {};
      for (const { name, type, dims } of declared) {
        const batch = dims.length === 5 || name === 'pixel_attention_mask' ? [1, n] : [n];
        if (name === 'pixel_attention_mask')
          feeds[name] = new Tensor('bool', new Uint8Array(n * area).fill(1), [...batch, height, width]);
        else {
          const shape = [...batch, 3, height, width];
          feeds[name] =
            type === 'float16' ? new Tensor('float16', toHalf(numbers), shape) : new Tensor('float32', numbers, shape);
        }
      }
      const results = await runGraph(graph, feeds, [wanted], path!);
      parts.push(toFloat32(results[wanted] as Tensor));
    }
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
