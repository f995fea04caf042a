/**
 * The normal and the binomial distribution, to about 1e-13 of each value: what tests and intervals of paired runs need.
 * Sources: Abramowitz & Stegun (1964), 26.2 (normal); Loader (2000), "Fast and Accurate Computation of Binomial
 * Probabilities" (binomial).
 */

const LOG_2_PI = Math.log(2 * Math.PI);
/** Where the power series of the normal integral hands over to the continued fraction. */
const SERIES_END = 3;
const FRACTION_TERMS = 80;

const normalDensity = (x: number) => Math.exp(-0.5 * (x * x + LOG_2_PI));

/** P(Z <= x) of a standard normal Z; its small values in the lower tail are exact to about 1e-13 of themselves. */
export function normalCdf(x: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (Math.abs(x) < SERIES_END) {
    // 1/2 + density * (x + x^3/3 + x^5/(3 * 5) + ...), A&S 26.2.11.
    let [term, sum] = [x, x];
    for (let k = 3; Math.abs(term) > 1e-18 * Math.abs(sum); k += 2) {
      term *= (x * x) / k;
      sum += term;
    }
    return 0.5 + normalDensity(x) * sum;
  }
  // The tail beyond |x|: density / (x + 1/(x + 2/(x + 3/(x + ...)))), A&S 26.2.14, from the inside out.
  const far = Math.abs(x);
  let fraction = far;
  for (let k = FRACTION_TERMS; k >= 1; k -= 1) fraction = far + k / fraction;
  const tail = normalDensity(far) / fraction;
  return x < 0 ? tail : 1 - tail;
}

/**
 * The x with P(Z <= x) = `share`. A&S 26.2.23 (to 4.5e-4), then Halley's steps on `normalCdf`, which leave rounding
 * only. Throws RangeError unless 0 < share < 1.
 */
export function normalQuantile(share: number): number {
  if (!(share > 0 && share < 1)) throw new RangeError(`the normal quantile of ${share}: above 0 and below 1`);
  if (share > 0.5) return -normalQuantile(1 - share);
  const t = Math.sqrt(-2 * Math.log(share));
  const above = 2.515517 + t * (0.802853 + t * 0.010328);
  const below = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  let x = above / below - t;
  for (let step = 0; step < 3; step += 1) {
    const newton = (normalCdf(x) - share) / normalDensity(x);
    x -= newton / (1 + (x * newton) / 2);
  }
  return x;
}

/** z of a two-sided interval: 1.959964 for 0.95. Throws RangeError unless 0 < level < 1. */
export function criticalValue(level: number): number {
  if (!(level > 0 && level < 1)) throw new RangeError(`level ${level}: above 0 and below 1`);
  return -normalQuantile((1 - level) / 2);
}

/**
 * log(n!) less Stirling's formula (n + 1/2) log n - n + log(2 pi)/2, for whole n >= 1: the part that is lost where the
 * two are subtracted.
 */
export function stirlingError(n: number): number {
  if (n > 15) {
    const square = n * n;
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n;
  }
  let factorial = 1;
  for (let k = 2; k <= n; k += 1) factorial *= k;
  return Math.log(factorial) - (n + 0.5) * Math.log(n) + n - LOG_2_PI / 2;
}

/** x log(x / m) + m - x without cancellation where x is near m. */
function deviance(x: number, m: number): number {
  if (Math.abs(x - m) >= 0.1 * (x + m)) return x * Math.log(x / m) + m - x;
  const v = (x - m) / (x + m);
  let sum = (x - m) * v;
  let power = 2 * x * v;
  for (let j = 3; ; j += 2) {
    power *= v * v;
    const next = sum + power / j;
    if (next === sum) return sum;
    sum = next;
  }
}

function massOf(k: number, n: number, p: number, q: number): number {
  if (p === 0) return k === 0 ? 1 : 0;
  if (q === 0) return k === n ? 1 : 0;
  if (k === 0) return Math.exp(n * (p < 0.5 ? Math.log1p(-p) : Math.log(q)));
  if (k === n) return Math.exp(n * (q < 0.5 ? Math.log1p(-q) : Math.log(p)));
  const log = stirlingError(n) - stirlingError(k) - stirlingError(n - k) - deviance(k, n * p) - deviance(n - k, n * q);
  return Math.exp(log) * Math.sqrt(n / (2 * Math.PI * k * (n - k)));
}

/** P(X <= k), k not above the mean or little so: the terms from k down, until they add nothing. */
function sumDown(k: number, n: number, p: number, q: number): number {
  let term = massOf(k, n, p, q);
  let sum = term;
  for (let j = k; j > 0 && term > sum * 1e-18; j -= 1) {
    term *= (j * q) / ((n - j + 1) * p);
    sum += term;
  }
  return Math.min(1, sum);
}

function checkBinomial(n: number, p: number): void {
  if (!(Number.isSafeInteger(n) && n >= 0)) throw new RangeError(`a binomial of ${n} trials: a whole number from 0`);
  if (!(p >= 0 && p <= 1)) throw new RangeError(`a binomial of probability ${p}: from 0 to 1`);
}

/** P(X = k) of a binomial of `n` trials of probability `p`. Throws RangeError on n or p out of range. */
export function binomialMass(k: number, n: number, p: number): number {
  checkBinomial(n, p);
  return k < 0 || k > n || !Number.isInteger(k) ? 0 : massOf(k, n, p, 1 - p);
}

/** P(X <= k); sums the smaller tail, O(sqrt(n)) terms. Throws RangeError on n or p out of range. */
export function binomialCdf(k: number, n: number, p: number): number {
  checkBinomial(n, p);
  const whole = Math.floor(k);
  if (whole < 0) return 0;
  if (whole >= n) return 1;
  if (p === 0 || p === 1) return p === 0 ? 1 : 0;
  return whole <= n * p ? sumDown(whole, n, p, 1 - p) : 1 - sumDown(n - whole - 1, n, 1 - p, p);
}

/** P(X >= k), with the digits of a small upper tail. Throws RangeError on n or p out of range. */
export function binomialUpper(k: number, n: number, p: number): number {
  checkBinomial(n, p);
  const whole = Math.ceil(k);
  if (whole <= 0) return 1;
  if (whole > n) return 0;
  if (p === 0 || p === 1) return p;
  return whole >= n * p ? sumDown(n - whole, n, 1 - p, p) : 1 - sumDown(whole - 1, n, p, 1 - p);
}
