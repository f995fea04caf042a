/**
 * The keys and values that an edited graph goes on from: kept caches, and their copies for the sequences of a batch.
 */
import { Tensor } from 'onnxruntime-node';
import { refeedable } from './session.ts';

type Tensors = ReadonlyMap<string, Tensor>;

/**
 * Caches by number, each of one sequence: tensors of [1, heads, tokens, head size] by the names of the graph's inputs.
 */
export class Past {
  /** Bytes that a token of a cache takes. */
  readonly bytesPerToken: number;
  readonly #empty: Tensors;
  readonly #caches = new Map<number, { length: number; tensors: Tensors }>();
  /** The last cache that was repeated for a batch: the passes of a group come one after the other. */
  #repeated: { past: number; count: number; tensors: Tensors } | null = null;
  /** Where the copies lie, by name. */
  readonly #spare = new Map<string, ArrayBuffer>();

  /** `empty`: the cache of no tokens. */
  constructor(empty: Tensors) {
    this.#empty = empty;
    let bytes = 0;
    for (const tensor of empty.values())
      bytes += tensor.dims[1]! * tensor.dims[3]! * (tensor.type === 'float16' ? 2 : 4);
    this.bytesPerToken = bytes;
  }

  /** Keeps a cache of `length` tokens under a number. */
  keep(id: number, length: number, tensors: Tensors): void {
    this.#caches.set(id, { length, tensors });
    if (this.#repeated?.past === id) this.#repeated = null;
  }

  free(ids: readonly number[]): void {
    for (const id of ids) {
      this.#caches.delete(id);
      if (this.#repeated?.past === id) this.#repeated = null;
    }
  }

  /** Tokens of a cache; of none, null. Throws when there is no such cache. */
  lengthOf(id: number | null): number {
    return id === null ? 0 : this.#cache(id).length;
  }

  /**
   * The cache for a batch of `count` sequences. It is repeated for `widest` of them at once, so that the other passes
   * that go on from it need no copy. Throws when there is no such cache.
   */
  tensorsOf(id: number | null, count: number, widest: number): Tensors {
    if (id === null) return count === 1 ? this.#empty : repeatAll(this.#empty, count);
    const { tensors } = this.#cache(id);
    if (count === 1) return tensors;
    let repeated = this.#repeated;
    if (repeated?.past !== id || repeated.count < count) {
      const many = Math.max(count, widest);
      this.#repeated = null;
      repeated = { past: id, count: many, tensors: repeatAll(tensors, many, this.#spare) };
      this.#repeated = repeated;
      // The next group's copies go where this one's are: fresh pages cost more than the copy.
      for (const [name, tensor] of repeated.tensors) this.#spare.set(name, bitsOf(tensor).buffer as ArrayBuffer);
    }
    return new Map([...repeated.tensors].map(([name, tensor]) => [name, firstOf(tensor, count)]));
  }

  #cache(id: number): { length: number; tensors: Tensors } {
    const cache = this.#caches.get(id);
    if (cache === undefined) throw new Error(`no cache ${id}`);
    return cache;
  }
}

function repeatAll(tensors: Tensors, count: number, memory?: ReadonlyMap<string, ArrayBuffer>): Tensors {
  return new Map([...tensors].map(([name, tensor]) => [name, repeat(tensor, count, memory?.get(name))]));
}

/** The numbers of a tensor; float16 as its bits. */
function bitsOf(tensor: Tensor): Float32Array | Uint16Array {
  const data = refeedable(tensor).data as Float32Array | Uint16Array;
  return data instanceof Float32Array ? data : new Uint16Array(data.buffer, data.byteOffset, data.length);
}

function tensorOf(bits: Float32Array | Uint16Array, dims: readonly number[]): Tensor {
  return bits instanceof Float32Array ? new Tensor('float32', bits, dims) : new Tensor('float16', bits, dims);
}

/** A tensor of one sequence repeated along the batch, in `memory` when that is large enough. */
function repeat(tensor: Tensor, count: number, memory?: ArrayBuffer): Tensor {
  const one = bitsOf(tensor);
  const size = one.byteLength * count;
  const buffer = memory !== undefined && memory.byteLength >= size ? memory : new ArrayBuffer(size);
  const length = one.length * count;
  const many = one instanceof Float32Array ? new Float32Array(buffer, 0, length) : new Uint16Array(buffer, 0, length);
  for (let s = 0; s < count; s += 1) many.set(one, s * one.length);
  return tensorOf(many, [count, ...tensor.dims.slice(1)]);
}

/** The first sequences of a batch, over the same memory. */
function firstOf(tensor: Tensor, count: number): Tensor {
  const bits = bitsOf(tensor);
  return tensorOf(bits.subarray(0, (bits.length / tensor.dims[0]!) * count), [count, ...tensor.dims.slice(1)]);
}
