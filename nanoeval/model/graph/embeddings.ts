/**
 * What a decoder takes in place of token ids, where its export comes in parts: the vectors of the embedding graph, and
 * the features of pictures where their tokens stand.
 *
 * In a prompt the tokens of a picture all have one id. Here each has an id of its own (`album.ts`), beyond every
 * vocabulary: so prompts share a prefix only where they show the same picture, and an id says which feature it is.
 */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { OutsideError, UserError } from '../../types.ts';
import { FIRST_IMAGE_ID } from '../vision/album.ts';
import { describe, type GraphFiles, integers, openSession, refeedable, runGraph, toFloat32 } from './session.ts';

export interface Embedder {
  /** Embeddings of `ids`, [...dims, hidden size], in the element type that the decoder wants. */
  embed(ids: ArrayLike<number>, dims: readonly number[], type: string): Promise<Tensor>;
  /** Features [tokens, hidden size] for the ids from `first` on. */
  hold(first: number, features: Float32Array, tokens: number): void;
  release(first: number): void;
  close(): Promise<void>;
}

/**
 * Opens the embedding graph; null where the checkpoint has none. Throws UserError and OutsideError as `openSession`.
 */
export async function openEmbedder(
  { graphs }: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
): Promise<Embedder | null> {
  if (graphs.embed === null) return null;
  const session: InferenceSession = await openSession({ path: graphs.embed }, settings, threads);
  const path = graphs.embed;
  const [from, to] = [session.inputNames[0], session.outputNames[0]];
  if (from === undefined || to === undefined)
    throw new UserError(`${path}: no graph from ids to embeddings.`, { key: 'model.model_id' });
  const idType = describe(session.inputMetadata)[0]!.type;
  const held = new Map<number, { features: Float32Array; tokens: number }>();

  return {
    async embed(ids, dims, type) {
      const plain = Int32Array.from(ids, (id) => (id >= FIRST_IMAGE_ID ? 0 : id));
      const results = await runGraph(session, { [from]: integers(plain, dims, idType) }, [to], path);
      const tensor = refeedable(results[to] as Tensor);
      if (ids.length === 0 || (tensor.type === type && plain.every((id, i) => id === ids[i]))) return tensor;
      const vectors = toFloat32(tensor);
      const size = vectors.length / ids.length;
      for (let i = 0; i < ids.length; ) {
        const id = ids[i]!;
        if (id < FIRST_IMAGE_ID) {
          i += 1;
          continue;
        }
        const { features, tokens, at } = find(id);
        if (features.length !== tokens * size) {
          const message = `${path}: vectors of ${size} numbers, features of pictures of ${features.length / tokens}.`;
          throw new UserError(message, { key: 'model.model_id' });
        }
        // The picture's tokens run on without a gap, in a row or up to its end.
        let count = 1;
        while (at + count < tokens && ids[i + count] === id + count) count += 1;
        vectors.set(features.subarray(at * size, (at + count) * size), i * size);
        i += count;
      }
      const shape = [...dims, size];
      return type === 'float16' ? new Tensor('float16', toHalf(vectors), shape) : new Tensor('float32', vectors, shape);
    },
    hold(first, features, tokens) {
      held.set(first, { features, tokens });
    },
    release(first) {
      held.delete(first);
    },
    close: () => session.release(),
  };

  function find(id: number): { features: Float32Array; tokens: number; at: number } {
    for (const [first, { features, tokens }] of held)
      if (id >= first && id < first + tokens) return { features, tokens, at: id - first };
    throw new OutsideError(`${path}: no features for the picture token ${id}.`);
  }
}

const bits = new Uint32Array(1);
const number = new Float32Array(bits.buffer);

/** Numbers as IEEE 754 binary16 bits, rounded to the nearest, ties to even; beyond its range infinite. */
export function toHalf(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    number[0] = values[i]!;
    const word = bits[0]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) out[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) out[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000) {
      const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
      out[i] = sign | ((rounded - 0x38000000) >>> 13);
    } else {
      // Below 2^-14 the steps are 2^-24 wide.
      const scaled = Math.abs(values[i]!) * 2 ** 24;
      const low = Math.floor(scaled);
      const rest = scaled - low;
      out[i] = sign | (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low);
    }
  }
  return out;
}
