/** How far two models' distributions over the next token are apart, from their logits, in double precision. */

/** One position of a text, seen by two models. */
export interface Position {
  /** KL(reference || variant) over the whole vocabulary, in nats; 0 or above. */
  kl: number;
  /** The most likely token of each, the first one on ties. */
  top: { reference: number; variant: number };
  /** Natural log-probability of the token that follows in the text. */
  logprob: { reference: number; variant: number };
}

/** The largest logit of a row and its index, the first on ties; -infinity and -1 where there is no number above it. */
function largestOf(row: Float32Array): { index: number; value: number } {
  let index = -1;
  let value = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i += 1) {
    if (row[i]! > value) {
      value = row[i]!;
      index = i;
    }
  }
  return { index, value };
}

/**
 * Compares two rows of logits [vocab] and looks up the token `target`. All sums run in float64. A token that the reference
 * rules out (logit -infinity) adds nothing. Returns null where the result is not finite: a logit is NaN or +infinity, a row is
 * all -infinity, or the variant rules out a token that the reference does not. Throws RangeError for rows of different lengths
 * or a target outside of them.
 */
export function comparePosition(reference: Float32Array, variant: Float32Array, target: number): Position | null {
  const { length } = reference;
  if (variant.length !== length) throw new RangeError(`rows of ${length} and of ${variant.length} logits.`);
  if (!(target >= 0 && target < length)) throw new RangeError(`token ${target} of ${length} logits.`);
  const [p, q] = [largestOf(reference), largestOf(variant)];
  let [sumP, sumQ, weighted] = [0, 0, 0];
  for (let i = 0; i < length; i += 1) {
    const [x, y] = [reference[i]! - p.value, variant[i]! - q.value];
    const weight = Math.exp(x);
    sumP += weight;
    sumQ += Math.exp(y);
    // A NaN has to show: it is not left out as a weight of 0 is.
    if (weight !== 0) weighted += weight * (x - y);
  }
  // sum of P (log P - log Q), with log P = x - log sumP and log Q = y - log sumQ.
  const kl = weighted / sumP - Math.log(sumP) + Math.log(sumQ);
  const logprob = {
    reference: reference[target]! - p.value - Math.log(sumP),
    variant: variant[target]! - q.value - Math.log(sumQ),
  };
  if (![kl, logprob.reference, logprob.variant].every(Number.isFinite)) return null;
  // Rounding leaves some 1e-16 below 0 where both are the same.
  return { kl: Math.max(0, kl), top: { reference: p.index, variant: q.index }, logprob };
}

/** The smallest value that has a share `share` of all values at or below it (nearest rank; NumPy's `inverted_cdf`). NaN for none. */
export function percentile(values: Float64Array, share: number): number {
  const sorted = Float64Array.from(values).sort();
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[Math.min(rank, sorted.length) - 1] ?? Number.NaN;
}

/** Two models over the same tokens. */
export interface Divergence {
  /** Positions that count: those with finite numbers. */
  tokens: number;
  /** Positions where a logit, or what follows from it, is not finite; they count nowhere else. */
  nonfinite: number;
  /** KL(reference || variant) a token, in nats; null where no position counts. */
  kl: { mean: number; p99: number; largest: number } | null;
  /** Share of the positions at which both have the same most likely token. */
  top1: number | null;
  /** exp of the mean negative log-likelihood of the tokens that follow in the text. */
  perplexity: { reference: number; variant: number } | null;
}

/** Gathers positions: eight bytes are kept of each. */
export class DivergenceTally {
  private readonly kl: number[] = [];
  private same = 0;
  private nonfinite = 0;
  private readonly logprob = { reference: 0, variant: 0 };

  add(position: Position | null): void {
    if (position === null) {
      this.nonfinite += 1;
      return;
    }
    const { kl, top, logprob } = position;
    this.kl.push(kl);
    if (top.reference === top.variant) this.same += 1;
    this.logprob.reference += logprob.reference;
    this.logprob.variant += logprob.variant;
  }

  result(): Divergence {
    const tokens = this.kl.length;
    const { nonfinite } = this;
    if (tokens === 0) return { tokens, nonfinite, kl: null, top1: null, perplexity: null };
    const values = Float64Array.from(this.kl);
    const mean = values.reduce((sum, value) => sum + value, 0) / tokens;
    const perplexity = (logprob: number) => Math.exp(-logprob / tokens);
    return {
      tokens,
      nonfinite,
      kl: { mean, p99: percentile(values, 0.99), largest: percentile(values, 1) },
      top1: this.same / tokens,
      perplexity: { reference: perplexity(this.logprob.reference), variant: perplexity(this.logprob.variant) },
    };
  }
}
