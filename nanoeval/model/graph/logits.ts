/** From a row of logits to log-probabilities, in double precision. */
import { RowError } from '../../types.ts';

/**
 * Natural log-probability of `target` under the softmax of one row of `vocab` logits that starts at `offset`, and
 * whether `target` is the row's arg-max (the first one on ties, as torch and NumPy).
 *
 * The sum runs in float64, so it does not carry the bias of a float32 log-softmax (torch's lies about 8e-6 nats a token
 * too high over 49,152 classes). Throws RowError `nan` when a logit is not a number or the row is all -infinity, and
 * `tokens` when the tokenizer knows more tokens than the graph.
 */
export function logSoftmaxAt(logits: Float32Array, offset: number, vocab: number, target: number) {
  if (target >= vocab) throw new RowError('tokens', `token ${target} is beyond the ${vocab} logits of the graph.`);
  const best = argMax(logits, offset, vocab);
  const max = logits[offset + best]!;
  let sum = 0;
  for (let i = offset; i < offset + vocab; i += 1) sum += Math.exp(logits[i]! - max);
  const logprob = logits[offset + target]! - max - Math.log(sum);
  if (!Number.isFinite(logprob)) {
    throw new RowError(
      'nan',
      `the log-likelihood of token ${target} is ${logprob}: the model's logits are broken here.`,
    );
  }
  return { logprob, isGreedy: best === target };
}

/** Index of the largest logit of a row, the first on ties. Throws RowError `nan` when there is a NaN in the row. */
export function argMax(logits: Float32Array, offset: number, vocab: number): number {
  let best = 0;
  let max = logits[offset]!;
  for (let i = 0; i < vocab; i += 1) {
    const value = logits[offset + i]!;
    if (value > max) {
      max = value;
      best = i;
    } else if (Number.isNaN(value)) {
      throw new RowError('nan', `logit ${i} is not a number.`);
    }
  }
  if (Number.isNaN(max)) throw new RowError('nan', 'logit 0 is not a number.');
  return best;
}

/** The largest number less the second largest; 0 where the largest stands twice. */
export function leadOf(numbers: ArrayLike<number>): number {
  let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < numbers.length; i += 1) {
    const value = numbers[i]!;
    if (value > first) [first, second] = [value, first];
    else if (value > second) second = value;
  }
  return first - second;
}
