/**
 * The keys and values of answers under way: one buffer for each input of the graph, cut into slots of one answer each. A pass
 * writes into it in place, so nothing is copied from token to token.
 */
import { Tensor } from 'onnxruntime-node';

type Numbers = Float32Array | Uint16Array;

/** Memory for `PAGE` tokens of a cache: of each input [heads, PAGE, head size]. */
type Page = ReadonlyMap<string, Numbers>;

/** The cache of one text. */
export interface Snapshot {
  length: number;
  pages: readonly Page[];
}

/** An input that a cache goes into. */
export interface SlotInput {
  name: string;
  heads: number;
  size: number;
  type: 'float32' | 'float16';
}

/** Capacities are multiples of this many tokens: a little more room is not another layout. */
const BLOCK = 64;

/**
 * Tokens of a page. A kept cache is made of pages, which serve the next one when it is let go: memory made anew for each would
 * wait for the garbage collector and leave holes of every size (0.9 GB in 200 rows of GSM8K with five examples).
 */
const PAGE = 32;

/** The capacity that a slot for so many tokens has. */
export const inBlocks = (tokens: number) => Math.ceil(tokens / BLOCK) * BLOCK;

/** Times the room that is needed: with more, memory is laid out anew. */
const SPARE = 1.5;

/** Slots from 0 to `count` - 1, each with room for `capacity` tokens. */
export class Slots {
  /** Bytes that a token of an answer takes. */
  readonly bytesPerToken: number;
  capacity = 0;
  count = 0;
  /** Tokens of all slots together that the buffers hold. */
  #tokens = 0;
  readonly #inputs: readonly SlotInput[];
  readonly #buffers = new Map<string, Numbers>();
  /** Pages that no cache is made of. */
  readonly #free: Page[] = [];

  constructor(inputs: readonly SlotInput[]) {
    this.#inputs = inputs;
    this.bytesPerToken = inputs.reduce((sum, input) => sum + input.heads * input.size * bytesOf(input), 0);
  }

  /**
   * Room for `count` slots of `tokens` each at least. What stands in the first ones, up to `lengths` tokens, stays. `most`:
   * tokens of all slots together that will ever be wanted. Memory for so many is asked for at once, and the system gives it
   * page by page as it is written to: buffers made anew each time would wait for the garbage collector, beside those in use.
   */
  reserve(count: number, tokens: number, lengths: readonly number[], most = 0): void {
    const capacity = Math.max(this.capacity, inBlocks(tokens));
    if (count > this.count || capacity > this.capacity) this.#lay(Math.max(count, this.count), capacity, lengths, most);
  }

  /** The same, and not much more room than that: a long answer that is over leaves its width to more short ones. */
  fit(count: number, tokens: number, lengths: readonly number[], most = 0): void {
    const [slots, capacity] = [Math.max(count, lengths.length + 1), inBlocks(Math.max(tokens, ...lengths))];
    const grown = Math.max(slots, this.count) * Math.max(capacity, this.capacity);
    if (grown > SPARE * slots * capacity) this.#lay(slots, capacity, lengths, most);
    else this.reserve(slots, capacity, lengths, most);
  }

  #lay(slots: number, capacity: number, lengths: readonly number[], most: number): void {
    const grows = slots * capacity > this.#tokens;
    if (grows) this.#tokens = Math.max(slots * capacity, most);
    for (const input of this.#inputs) {
      const { name, heads, size, type } = input;
      const old = this.#buffers.get(name);
      const length = this.#tokens * heads * size;
      const next = grows || old === undefined ? numbersOf(type, length) : old;
      if (old !== undefined) spread(old, next, input, { from: this.capacity, to: capacity, lengths });
      this.#buffers.set(name, next);
    }
    this.capacity = capacity;
    this.count = slots;
  }

  /** The slots from `first` on as tensors [count, heads, capacity, head size], over their own memory. */
  tensors(first: number, count: number): Map<string, Tensor> {
    return new Map(
      this.#inputs.map(({ name, heads, size, type }) => {
        const one = heads * this.capacity * size;
        const part = this.#buffers.get(name)!.subarray(first * one, (first + count) * one);
        const dims = [count, heads, this.capacity, size];
        return [
          name,
          part instanceof Float32Array ? new Tensor('float32', part, dims) : new Tensor(type as 'float16', part, dims),
        ];
      }),
    );
  }

  /** Puts a cache into a slot, from its first place on. */
  load(slot: number, snapshot: Snapshot): void {
    this.#each(slot, snapshot, (buffer, from, page, at, count) => buffer.set(page.subarray(at, at + count), from));
  }

  /** A copy of the first `length` tokens of a slot. */
  snapshot(slot: number, length: number): Snapshot {
    if (length > this.capacity) throw new RangeError(`${length} tokens in a slot of ${this.capacity}`);
    const pages = Array.from({ length: Math.ceil(length / PAGE) }, () => this.#free.pop() ?? this.#page());
    const snapshot = { length, pages };
    this.#each(slot, snapshot, (buffer, from, page, at, count) => page.set(buffer.subarray(from, from + count), at));
    return snapshot;
  }

  /** Lets go of a cache: its memory is the next one's. */
  release({ pages }: Snapshot): void {
    this.#free.push(...pages);
  }

  /** Copies the first `length` tokens of a slot over another one. */
  move(from: number, to: number, length: number): void {
    if (from === to) return;
    for (const { name, heads, size } of this.#inputs) {
      const buffer = this.#buffers.get(name)!;
      for (let head = 0; head < heads; head += 1) {
        const source = (from * heads + head) * this.capacity * size;
        buffer.copyWithin((to * heads + head) * this.capacity * size, source, source + length * size);
      }
    }
  }

  #page(): Page {
    return new Map(this.#inputs.map(({ name, heads, size, type }) => [name, numbersOf(type, heads * PAGE * size)]));
  }

  /** Calls `use` for each head of each page: its place in the buffer, its place in the page, and how many numbers. */
  #each(
    slot: number,
    { length, pages }: Snapshot,
    use: (buffer: Numbers, from: number, page: Numbers, at: number, count: number) => void,
  ): void {
    if (length > this.capacity) throw new RangeError(`${length} tokens in a slot of ${this.capacity}`);
    for (const { name, heads, size } of this.#inputs) {
      const buffer = this.#buffers.get(name)!;
      for (const [i, page] of pages.entries()) {
        const count = Math.min(PAGE, length - i * PAGE) * size;
        for (let head = 0; head < heads; head += 1)
          use(
            buffer,
            ((slot * heads + head) * this.capacity + i * PAGE) * size,
            page.get(name)!,
            head * PAGE * size,
            count,
          );
      }
    }
  }
}

const numbersOf = (type: SlotInput['type'], length: number): Numbers =>
  type === 'float32' ? new Float32Array(length) : new Uint16Array(length);

/**
 * Lays the heads of the first slots, of `lengths` tokens each, `to` tokens apart that lie `from` apart; in one buffer or from
 * one to another. What moves back begins at the end and what moves ahead at the start, so that nothing is written over.
 */
function spread(
  old: Numbers,
  next: Numbers,
  { heads, size }: SlotInput,
  { from, to, lengths }: { from: number; to: number; lengths: readonly number[] },
): void {
  if (old === next && from === to) return;
  const places = lengths.flatMap((kept, slot) => Array.from({ length: heads }, (_, i) => [slot * heads + i, kept]));
  if (to > from) places.reverse();
  for (const [head, kept] of places as [number, number][]) {
    const [source, target, count] = [head * from * size, head * to * size, kept * size];
    if (old === next) next.copyWithin(target, source, source + count);
    else next.set(old.subarray(source, source + count), target);
  }
}

const bytesOf = ({ type }: SlotInput) => (type === 'float16' ? 2 : 4);
