/** Beginnings that many sequences share (few-shot headers), found as the sequences come, so that each is stored once. */

/** A text, or token ids. */
export type Sequence = string | readonly number[];

/** Shared elements below which a beginning is not worth a number. */
const LEAST = 96;
/** By so many first elements it is looked up which sequences may share a beginning. */
const KEY = 16;
/** Sequences that a new one is held against, and beginnings, the latest ones of each key. */
const RECENT = 8;
const HEADS = 256;

interface Bucket<S extends Sequence> {
  recent: S[];
  heads: { number: number; head: S }[];
}

/** Gives the beginnings numbers in the order in which they are found, from `next` on. */
export class SharedHeads<S extends Sequence> {
  next = 0;
  private readonly buckets = new Map<string, Bucket<S>>();
  private readonly end: (sequence: S, length: number) => number;

  /** `end`: where a beginning of a length had better end, so that what is a sequence's own is not cut; 0: nowhere. */
  constructor(end: (sequence: S, length: number) => number = (_, length) => length) {
    this.end = end;
  }

  /** A beginning that is known from before, under its number. */
  add(number: number, head: S): void {
    this.bucketOf(head).heads.push({ number, head });
    this.next = Math.max(this.next, number + 1);
  }

  /** The sequence as the number of its beginning and the rest; `found`: the beginning, where it is new. */
  split(sequence: S): { head: number | null; rest: S; found: S | null } {
    if (sequence.length < LEAST) return { head: null, rest: sequence, found: null };
    const bucket = this.bucketOf(sequence);
    let best: Bucket<S>['heads'][number] | null = null;
    for (const one of bucket.heads)
      if (one.head.length > (best?.head.length ?? 0) && startsWith(sequence, one.head)) best = one;
    let longest = 0;
    for (const other of bucket.recent) longest = Math.max(longest, sharedLength(sequence, other));
    longest = this.end(sequence, longest);
    bucket.recent.push(sequence);
    if (bucket.recent.length > RECENT) bucket.recent.shift();
    const known = best?.head.length ?? 0;
    if (longest < known + LEAST)
      return best === null
        ? { head: null, rest: sequence, found: null }
        : { head: best.number, rest: sequence.slice(known) as S, found: null };
    const found = sequence.slice(0, longest) as S;
    const number = this.next;
    this.add(number, found);
    if (bucket.heads.length > HEADS) bucket.heads.shift();
    return { head: number, rest: sequence.slice(longest) as S, found };
  }

  private bucketOf(sequence: S): Bucket<S> {
    const first = sequence.slice(0, KEY);
    const key = typeof first === 'string' ? first : first.join();
    let bucket = this.buckets.get(key);
    if (bucket === undefined) {
      bucket = { recent: [], heads: [] };
      this.buckets.set(key, bucket);
    }
    return bucket;
  }
}

function startsWith(sequence: Sequence, head: Sequence): boolean {
  if (typeof sequence === 'string') return sequence.startsWith(head as string);
  return sharedLength(sequence, head) === head.length;
}

/** Elements that two sequences have in common from the first one on; a text is not cut within a surrogate pair. */
function sharedLength(a: Sequence, b: Sequence): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length += 1;
  if (typeof a === 'string' && length > 0 && /[\ud800-\udbff]/.test(a[length - 1]!)) length -= 1;
  return length;
}
