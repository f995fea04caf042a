/**
 * Seeded random numbers for resampling, the same on every platform: bits come of whole-number arithmetic. A binomial is
 * compared with exponentials and logarithms, in whose last digit engines may differ: less than one draw in 1e12.
 */
import { stirlingError } from './distributions.ts';

/** Below this mean a binomial is drawn by adding up its terms. */
const INVERSION_MEAN = 10;
const WARM_UP = 15;

/**
 * Generator "sfc32" (Doty-Humphrey, PractRand 2010): 128 bits of state, period of 2^64 on the average. `seed` is a
 * whole number up to 2^53; its sign is dropped. Throws RangeError otherwise.
 */
export class Random {
  #a: number;
  #b: number;
  #c = 0;
  #counter = 1;

  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed ${seed} is not a whole number`);
    this.#a = (Math.abs(seed) % 2 ** 32) | 0;
    this.#b = Math.floor(Math.abs(seed) / 2 ** 32) | 0;
    for (let i = 0; i < WARM_UP; i += 1) this.bits();
  }

  /** 32 random bits as a whole number from -2^31 to 2^31 - 1. */
  bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }

  /** A number inside (0, 1), one of 2^32 that lie evenly. */
  uniform(): number {
    return ((this.bits() >>> 0) + 0.5) * 2 ** -32;
  }

  /** A whole number from 0 to n - 1; n up to 2^31. No value's probability is off by more than n / 2^32 of itself. */
  below(n: number): number {
    return Math.floor((this.bits() >>> 0) * 2 ** -32 * n);
  }

  /**
   * About normal, mean 0 and variance 1: the sum of twelve uniforms less 6 (Irwin-Hall; kurtosis 2.9). For parts of a
   * sum that are small beside the rest; needs no logarithm.
   */
  roughNormal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i += 1) sum += this.uniform();
    return sum;
  }

  /** Successes in `n` trials of probability `p`, exact but for the 2^-32 grain of `uniform`. */
  binomial(n: number, p: number): number {
    if (n <= 0 || p <= 0) return 0;
    if (p >= 1) return n;
    if (p > 0.5) return n - this.binomial(n, 1 - p);
    return n * p < INVERSION_MEAN ? this.#byInversion(n, p) : this.#byRejection(n, p);
  }

  #byInversion(n: number, p: number): number {
    const none = Math.exp(n * Math.log1p(-p));
    const odds = p / (1 - p);
    for (;;) {
      let left = this.uniform();
      let mass = none;
      for (let k = 0; k <= n; k += 1) {
        if (left <= mass) return k;
        left -= mass;
        mass *= ((n - k) * odds) / (k + 1);
      }
    }
  }

  /** BTRS of Hörmann (1993), "The generation of binomial random variates": transformed rejection with a squeeze. */
  #byRejection(n: number, p: number): number {
    const spread = Math.sqrt(n * p * (1 - p));
    const b = 1.15 + 2.53 * spread;
    const a = -0.0873 + 0.0248 * b + 0.01 * p;
    const centre = n * p + 0.5;
    const squeeze = 0.92 - 4.2 / b;
    for (;;) {
      const u = this.uniform() - 0.5;
      const v = this.uniform();
      const edge = 0.5 - Math.abs(u);
      const k = Math.floor(((2 * a) / edge + b) * u + centre);
      if (edge >= 0.07 && v <= squeeze) return k;
      if (k < 0 || k > n) continue;
      const height = Math.log((v * (2.83 + 5.1 / b) * spread) / (a / (edge * edge) + b));
      if (height <= logMassRatio(k, n, p)) return k;
    }
  }
}

/** log of P(X = k) / P(X = mode), by Stirling's formula about n + 1, k + 1 and so on with its error. */
function logMassRatio(k: number, n: number, p: number): number {
  const mode = Math.floor((n + 1) * p);
  const odds = p / (1 - p);
  return (
    (mode + 0.5) * Math.log((mode + 1) / (odds * (n - mode + 1))) +
    (n + 1) * Math.log((n - mode + 1) / (n - k + 1)) +
    (k + 0.5) * Math.log((odds * (n - k + 1)) / (k + 1)) +
    stirlingError(mode + 1) +
    stirlingError(n - mode + 1) -
    stirlingError(k + 1) -
    stirlingError(n - k + 1)
  );
}
