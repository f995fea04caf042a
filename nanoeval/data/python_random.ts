/**
 * CPython's random.Random for whole-number seeds: MT19937, and `sample` with both its branches, so that a sample drawn
 * here is the one that Python draws. Source: CPython 3.11 Modules/_randommodule.c and Lib/random.py.
 */

const N = 624;
const M = 397;

/** One generator; the same seed gives the same numbers as `random.Random(seed)` in Python. */
export class PythonRandom {
  readonly #state = new Uint32Array(N);
  #at = N;

  /** `seed` is a whole number up to 2^53; its sign is dropped, as in Python. Throws RangeError otherwise. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed ${seed} is not a whole number`);
    const low = Math.abs(seed) % 2 ** 32;
    const high = Math.floor(Math.abs(seed) / 2 ** 32);
    this.#initByArray(high > 0 ? [low, high] : [low]);
  }

  #initGenrand(seed: number): void {
    const mt = this.#state;
    mt[0] = seed;
    for (let i = 1; i < N; i++) {
      const previous = mt[i - 1]! ^ (mt[i - 1]! >>> 30);
      mt[i] = Math.imul(1812433253, previous) + i;
    }
  }

  #initByArray(key: readonly number[]): void {
    this.#initGenrand(19650218);
    const mt = this.#state;
    let i = 1;
    let j = 0;
    for (let k = Math.max(N, key.length); k > 0; k--) {
      const previous = mt[i - 1]! ^ (mt[i - 1]! >>> 30);
      mt[i] = (mt[i]! ^ Math.imul(previous, 1664525)) + key[j]! + j;
      if (++i >= N) {
        mt[0] = mt[N - 1]!;
        i = 1;
      }
      if (++j >= key.length) j = 0;
    }
    for (let k = N - 1; k > 0; k--) {
      const previous = mt[i - 1]! ^ (mt[i - 1]! >>> 30);
      mt[i] = (mt[i]! ^ Math.imul(previous, 1566083941)) - i;
      if (++i >= N) {
        mt[0] = mt[N - 1]!;
        i = 1;
      }
    }
    mt[0] = 0x80000000;
  }

  /** 32 random bits, unsigned. */
  #next(): number {
    const mt = this.#state;
    if (this.#at >= N) {
      for (let k = 0; k < N; k++) {
        const y = (mt[k]! & 0x80000000) | (mt[(k + 1) % N]! & 0x7fffffff);
        mt[k] = mt[(k + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.#at = 0;
    }
    let y = mt[this.#at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  /** A float in [0, 1) with 53 random bits. */
  random(): number {
    const a = this.#next() >>> 5;
    const b = this.#next() >>> 6;
    return (a * 67108864 + b) / 9007199254740992;
  }

  /** `bits` random bits, 0 to 53; more would not fit a number. */
  getrandbits(bits: number): number {
    if (!Number.isInteger(bits) || bits < 0 || bits > 53) throw new RangeError(`getrandbits(${bits}): 0 to 53 bits`);
    if (bits === 0) return 0;
    if (bits <= 32) return this.#next() >>> (32 - bits);
    const low = this.#next();
    return (this.#next() >>> (64 - bits)) * 2 ** 32 + low;
  }

  /** A whole number in [0, n), by rejection of draws of n's bit length. */
  randbelow(n: number): number {
    if (!Number.isSafeInteger(n) || n <= 0) throw new RangeError(`randbelow(${n}): a whole number above 0`);
    const bits = Math.floor(Math.log2(n)) + 1; // exact below 2^48; row counts are far below
    for (;;) {
      const drawn = this.getrandbits(bits);
      if (drawn < n) return drawn;
    }
  }

  /** One of `from`, as `random.choice`. */
  choice<T>(from: ArrayLike<T>): T {
    return from[this.randbelow(from.length)]!;
  }

  /**
   * `random.sample(range(n), k)`: k different numbers below n, in drawing order. Small populations use a shrinking
   * pool, large ones reject what was drawn already; which one decides the numbers. Throws RangeError when k > n.
   */
  sample(n: number, k: number): number[] {
    if (!(Number.isInteger(k) && k >= 0 && k <= n)) throw new RangeError(`sample of ${k} from ${n}`);
    let setsize = 21;
    if (k > 5) setsize += 4 ** Math.ceil(logBase4(k * 3));
    const result: number[] = [];
    if (n <= setsize) {
      const pool = Array.from({ length: n }, (_, i) => i);
      for (let i = 0; i < k; i++) {
        const j = this.randbelow(n - i);
        result.push(pool[j]!);
        pool[j] = pool[n - i - 1]!;
      }
      return result;
    }
    const selected = new Set<number>();
    while (result.length < k) {
      const j = this.randbelow(n);
      if (selected.has(j)) continue;
      selected.add(j);
      result.push(j);
    }
    return result;
  }
}

/** Python's `log(x, 4)` = ln(x) / ln(4), rounded as there: an exact power may land beside its whole number. */
function logBase4(x: number): number {
  return Math.log(x) / Math.log(4);
}
