/** Tokens of an answer: drawing them, and its end by stop texts, as lm-eval's `generate_until` (HF backend). */
import { createHash } from 'node:crypto';
import { RowError, type Sampling } from '../../types.ts';

/** Takes an answer token by token. */
export interface Taker {
  /**
   * The next token; with the first one the log-probabilities of `watched` at its place; with each `margin` where `margins` asks
   * for it. True ends the answer.
   */
  take(token: number, logprobs: readonly number[], margin?: number): boolean;
  watched: readonly number[];
  /** How much likelier each most likely token is than the next one is wanted. */
  margins?: boolean;
  /** Tokens that the answer may have; the cache grows as it goes without it. */
  room?: number;
  /** How tokens are drawn; greedy without it. */
  sampling?: Sampling;
}

/** One draw: how, and the random number for it. */
export interface Draw extends Omit<Sampling, 'stream'> {
  /** From 0 to below 1. */
  uniform: number;
}

/**
 * The draw of an answer's token `step`. Its random number is the first 53 bits of the SHA-256 of `<stream>:<step>`: it
 * follows from names alone, so neither order nor batch nor an interruption changes what is drawn.
 */
export function drawAt({ stream, ...how }: Sampling, step: number): Draw {
  const hash = createHash('sha256').update(`${stream}:${step}`).digest();
  return { ...how, uniform: (hash.readUInt32BE(0) * 2 ** 21 + (hash.readUInt32BE(4) >>> 11)) / 2 ** 53 };
}

/**
 * A token by the distribution softmax(logits / temperature), cut to the nucleus: of the tokens by falling probability
 * those before which the sum has not reached `top_p` (transformers' TemperatureLogitsWarper, then TopPLogitsWarper).
 * `logits` may be log-probabilities. Tokens lie on the line from 0 to 1 by falling probability, equals by rising id.
 * Throws RowError `nan` when a logit is not a number.
 */
export function drawToken(logits: ArrayLike<number>, { temperature, top_p, uniform }: Draw): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id += 1) largest = Math.max(largest, logits[id]!);
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (Number.isNaN(sum)) throw new RowError('nan', "nothing can be drawn: the model's logits are broken here.");
  const order = likeliest(weights, top_p * sum);
  let mass = 0;
  let count = 0;
  // One without weight is never drawn, be the rounding of the sums as it may.
  while (count < order.length && weights[order[count]!]! > 0 && (count === 0 || mass < top_p * sum)) {
    mass += weights[order[count]!]!;
    count += 1;
  }
  let left = uniform * mass;
  for (let i = 0; i < count - 1; i += 1) {
    left -= weights[order[i]!]!;
    if (left < 0) return order[i]!;
  }
  return order[count - 1]!;
}

/**
 * The same draw from the likeliest tokens alone: their natural log-probabilities at the draw's temperature, falling, equals by
 * rising id. null where the others decide: the nucleus, or what is drawn, may lie beyond them.
 */
export function drawLikeliest(
  { tokens, logprobs }: { tokens: readonly number[]; logprobs: ArrayLike<number> },
  { top_p, uniform }: Pick<Draw, 'top_p' | 'uniform'>,
): number | null {
  const weights = Array.from(logprobs, Math.exp);
  let mass = 0;
  let count = 0;
  while (count < weights.length && (count === 0 || mass < top_p)) {
    mass += weights[count]!;
    count += 1;
  }
  const isWhole = top_p < 1 && mass >= top_p;
  if (!isWhole && top_p < 1) return null;
  let left = uniform * (isWhole ? mass : 1);
  for (let i = 0; i < count; i += 1) {
    left -= weights[i]!;
    if (left < 0) return tokens[i]!;
  }
  return isWhole ? tokens[count - 1]! : null;
}

/** The part of `text` before the first stop; each stop is applied in turn, as the harness does. */
export function cutAtStops(text: string, until: readonly string[]): string {
  let kept = text;
  for (const stop of until) {
    if (stop === '') continue;
    const at = kept.indexOf(stop);
    if (at >= 0) kept = kept.slice(0, at);
  }
  return kept;
}

/** Whether one of the stops stands in the text. */
export function hasStop(text: string, until: readonly string[]): boolean {
  return until.some((stop) => stop !== '' && text.includes(stop));
}

/** Ids by falling weight, equals by rising id: all, or those of the largest weights when they come to `enough`. */
function likeliest(weights: Float64Array, enough: number): Uint32Array {
  const byWeight = (a: number, b: number) => weights[b]! - weights[a]! || a - b;
  // Sorting a whole vocabulary takes as long as a forward pass of a small model.
  const large: number[] = [];
  let mass = 0;
  for (const [id, weight] of weights.entries()) {
    if (weight < 1e-4) continue;
    large.push(id);
    mass += weight;
  }
  if (mass > enough) return Uint32Array.from(large).sort(byWeight);
  return Uint32Array.from(weights, (_, id) => id).sort(byWeight);
}
