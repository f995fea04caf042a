/** Verdicts on ranked choices: the arg-max of the summed log-likelihoods, plain and divided by four lengths. */
import type { ChoiceScore } from '../questions.ts';
import { RowError } from '../types.ts';

/** How a choice's sum is divided before the choices are compared; the metric names of lm-eval, and acc_token of ours. */
export const LENGTHS = {
  acc: () => 1,
  /** Code points of the choice (lm-eval). */
  acc_norm: (choice: ChoiceScore) => choice.num_chars,
  /** UTF-8 bytes of the choice (lm-eval). */
  acc_bytes: (choice: ChoiceScore) => choice.num_bytes,
  /** Tokens of the continuation (nanoeval, build-nanogpt, llama.cpp). */
  acc_token: (choice: ChoiceScore) => choice.num_tokens,
} as const;
export type LoglikelihoodMetric = keyof typeof LENGTHS;

/**
 * Index of the best choice under each metric; the first one wins ties, as NumPy's argmax. Without `byLength` under `acc`
 * alone: letters all have one length, and their normalised metrics would be copies of it.
 * Throws RowError `nan` for a log-likelihood that is missing or not finite and `length` for a choice of length 0.
 */
export function rank(choices: readonly ChoiceScore[], byLength = true): Record<string, number> {
  if (choices.length === 0) throw new RowError('choices', 'there are no choices to rank.');
  const best = (metric: LoglikelihoodMetric): number => {
    const values = choices.map((choice, i) => {
      const length = LENGTHS[metric](choice);
      if (!Number.isFinite(choice.logprob))
        throw new RowError('nan', `the log-likelihood of choice ${i} is ${choice.logprob}.`);
      if (!(length > 0)) throw new RowError('length', `choice ${i} has length ${length} under ${metric}.`);
      return choice.logprob / length;
    });
    return values.indexOf(Math.max(...values));
  };
  const metrics = Object.keys(LENGTHS) as LoglikelihoodMetric[];
  return Object.fromEntries(
    metrics.filter((metric) => byLength || metric === 'acc').map((metric) => [metric, best(metric)]),
  );
}

/**
 * The share of the choices' probability that falls on the right ones (`labels`: 1 for each of them), TruthfulQA's mc2. The
 * largest is taken off before they are exponentiated, so that sums of any size have a share. Throws RowError `nan` for a
 * log-likelihood that is missing or not finite.
 */
export function rightShare(choices: readonly ChoiceScore[], labels: readonly number[]): number {
  const lost = choices.findIndex(({ logprob }) => !Number.isFinite(logprob));
  if (lost >= 0) throw new RowError('nan', `the log-likelihood of choice ${lost} is ${choices[lost]!.logprob}.`);
  const largest = Math.max(...choices.map(({ logprob }) => logprob));
  const [right, all] = choices.reduce(
    ([one, both], { logprob }, i) => {
      const mass = Math.exp(logprob - largest);
      return [one + mass * labels[i]!, both + mass];
    },
    [0, 0],
  );
  return right / all;
}
