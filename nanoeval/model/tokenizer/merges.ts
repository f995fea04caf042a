/** The merges of a BPE vocabulary: pairs of ids -> rank and merged id, in one open-addressing table. */

/** Looked up some million times a second: a Map with a key for each pair is several times slower and larger. */
export class Merges {
  /** Four numbers a slot: left id + 1 (0: free), right id, rank, merged id. */
  private readonly table: Int32Array;
  private readonly mask: number;

  /** Room for `count` pairs. */
  constructor(count: number) {
    let slots = 16;
    while (slots < 2 * count) slots *= 2;
    this.table = new Int32Array(4 * slots);
    this.mask = slots - 1;
  }

  /** Of two entries for one pair the later one holds, as in the Rust library. */
  set(left: number, right: number, rank: number, id: number): void {
    const at = this.slot(left, right);
    this.table[at] = left + 1;
    this.table[at + 1] = right;
    this.table[at + 2] = rank;
    this.table[at + 3] = id;
  }

  /** Place of a pair for `rank` and `merged`; -1 when the two do not merge. */
  find(left: number, right: number): number {
    const at = this.slot(left, right);
    return this.table[at] === 0 ? -1 : at;
  }

  rank(at: number): number {
    return this.table[at + 2]!;
  }

  merged(at: number): number {
    return this.table[at + 3]!;
  }

  private slot(left: number, right: number): number {
    const { table, mask } = this;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const at = 4 * i;
      if (table[at] === 0 || (table[at] === left + 1 && table[at + 1] === right)) return at;
    }
  }
}

/**
 * Merges the symbols of one word in place, the pair of the lowest rank first, of equal ranks the leftmost (`Word::merge_all`
 * of the Rust library). `ids` are the word's symbols; returns what is left of them.
 */
export function mergeAll(ids: number[], merges: Merges): number[] {
  return ids.length <= SHORT ? mergeShort(ids, merges) : mergeLong(ids, merges);
}

/** Up to this many symbols looking for the best pair again and again beats a heap. */
const SHORT = 24;

function mergeShort(ids: number[], merges: Merges): number[] {
  for (;;) {
    let best = -1;
    let bestRank = Number.POSITIVE_INFINITY;
    let merged = 0;
    for (let i = 0; i + 1 < ids.length; i += 1) {
      const at = merges.find(ids[i]!, ids[i + 1]!);
      if (at >= 0 && merges.rank(at) < bestRank) {
        bestRank = merges.rank(at);
        best = i;
        merged = merges.merged(at);
      }
    }
    if (best < 0) return ids;
    ids[best] = merged;
    ids.splice(best + 1, 1);
  }
}

/** A linked list of symbols and a heap of pairs, ordered by rank and then by place. */
function mergeLong(ids: number[], merges: Merges): number[] {
  const count = ids.length;
  const symbol = Int32Array.from(ids);
  const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  // rank, place, merged id of each pair in the heap. A pair whose symbols have changed since is passed over.
  const heap: [number, number, number][] = [];

  function offer(left: number): void {
    const right = left < 0 ? -1 : next[left]!;
    if (right < 0) return;
    const at = merges.find(symbol[left]!, symbol[right]!);
    if (at >= 0) push(heap, [merges.rank(at), left, merges.merged(at)]);
  }

  for (let i = 0; i + 1 < count; i += 1) offer(i);
  for (let top = pop(heap); top !== undefined; top = pop(heap)) {
    const [, left, merged] = top;
    const right = symbol[left]! < 0 ? -1 : next[left]!;
    if (right < 0) continue;
    const at = merges.find(symbol[left]!, symbol[right]!);
    if (at < 0 || merges.merged(at) !== merged) continue;
    symbol[left] = merged;
    symbol[right] = -1;
    next[left] = next[right]!;
    if (next[left]! >= 0) previous[next[left]!] = left;
    offer(previous[left]!);
    offer(left);
  }
  return Array.from(symbol).filter((id) => id >= 0);
}

type Entry = [rank: number, place: number, merged: number];

const before = (a: Entry, b: Entry) => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);

function push(heap: Entry[], entry: Entry): void {
  let at = heap.push(entry) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): Entry | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
