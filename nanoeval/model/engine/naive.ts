/**
 * The plain path: every choice is one full forward pass of the untouched graph, batch 1, nothing shared. Slow, short
 * and the reference that every faster form is held against.
 */
import { logSoftmaxAt } from '../graph/logits.ts';
import type { Cache, Decoder } from '../graph/onnx.ts';

/** What the tokens of one continuation came to. */
export interface TokenScore {
  /** Sum over the targets, natural log. */
  logprob: number;
  /** How many targets are the arg-max at their place. */
  numGreedy: number;
}

/** Longer inputs go in pieces through the cache: logits of 2,048 tokens over a 49,152-token vocabulary are 400 MB. */
const PIECE = 2048;

/** Log-probabilities of the `targets` after the last `targets.length` tokens of `input`. Throws RowError for a NaN. */
export async function naiveScore(
  decoder: Decoder,
  input: readonly number[],
  targets: readonly number[],
): Promise<TokenScore> {
  const first = input.length - targets.length;
  let logprob = 0;
  let numGreedy = 0;
  let cache: Cache | null = null;
  const piece = decoder.hasCache ? PIECE : input.length;
  for (let start = 0; start < input.length; start += piece) {
    const ids = input.slice(start, start + piece);
    const step = await decoder.forward(ids, cache, start + piece < input.length);
    cache = step.cache;
    for (let i = Math.max(0, first - start); i < ids.length; i += 1) {
      const token = logSoftmaxAt(step.logits, i * step.vocab, step.vocab, targets[start + i - first]!);
      logprob += token.logprob;
      if (token.isGreedy) numGreedy += 1;
    }
  }
  return { logprob, numGreedy };
}
