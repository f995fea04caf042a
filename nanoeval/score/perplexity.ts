/** How likely texts are to a model: perplexity by word and by byte, bits per byte (lm-evaluation-harness `wikitext`). */
import type { ScoredRow } from '../questions.ts';
import { type Estimate, RowError } from '../types.ts';
import { ratioEstimate } from './statistics.ts';

/** Units of a text, counted before anything was changed in it. */
export type TextUnits = {
  /** Pieces between blanks. */
  words: number;
  /** Of UTF-8. */
  bytes: number;
};

/** A metric over texts: the log-likelihood (natural) in units of something, and how the ratio is said. */
export interface PerplexityMetric {
  /** What the text's log-likelihood is divided by. */
  unit: keyof TextUnits;
  /** Of minus the log-likelihood a unit, in nats. */
  of(nats: number): number;
}

/** The metrics of texts by name. */
export const PERPLEXITIES = {
  word_perplexity: { unit: 'words', of: Math.exp },
  byte_perplexity: { unit: 'bytes', of: Math.exp },
  /** Of rows that are a word each (LAMBADA): lm-eval's name for it. */
  perplexity: { unit: 'words', of: Math.exp },
  bits_per_byte: { unit: 'bytes', of: (nats) => nats / Math.LN2 },
} as const satisfies Record<string, PerplexityMetric>;
export type PerplexityName = keyof typeof PERPLEXITIES;

/**
 * The metrics of one text from its log-likelihood (natural log, over all its tokens). Throws RowError for a text without
 * any of a unit, and where a perplexity is beyond any number: a language without blanks has no words to speak of.
 */
export function perplexityOf(
  logprob: number,
  units: TextUnits,
  names: readonly PerplexityName[],
): Record<string, number> {
  return Object.fromEntries(
    names.map((name) => {
      const { unit, of } = PERPLEXITIES[name];
      if (!(units[unit] > 0)) throw new RowError('length', `the text has no ${unit}.`);
      const value = of(-logprob / units[unit]);
      if (Number.isFinite(value)) return [name, value];
      throw new RowError('nan', `${name} is ${value}: ${-logprob} nats for ${units[unit]} ${unit}.`);
    }),
  );
}

/** A scored text. */
type TextRow = ScoredRow<TextUnits>;

/**
 * The metrics over all texts together: the sum of all log-likelihoods over the sum of all units, never a mean of the texts'
 * perplexities (benchmarks of one document and of sixty are then on one scale). Standard errors are those of a ratio of sums
 * over texts, carried through the exponential to first order; lm-evaluation-harness gives none. `token_acc`, ours: the share
 * of tokens that are the arg-max at their place.
 */
export function pooledPerplexity(rows: readonly TextRow[], names: readonly PerplexityName[]): Record<string, Estimate> {
  const clusters = rows.map(({ index }) => index);
  const nats = rows.map(({ logprob }) => -logprob!);
  const pooled = names.map((name): [string, Estimate] => {
    const { unit, of } = PERPLEXITIES[name];
    const ratio = ratioEstimate(
      nats,
      rows.map(({ gold }) => gold[unit]),
      clusters,
    );
    return [name, transformed(ratio, of, name === 'bits_per_byte' ? 1 / Math.LN2 : of(ratio.value))];
  });
  return Object.fromEntries([...pooled, ['token_acc', greedyShare(rows)]]);
}

/**
 * The share of tokens that are the arg-max at their place, over all rows together; samples and seeds of a row are one cluster.
 * Throws Error for rows that have not counted them.
 */
export function greedyShare(rows: readonly Pick<ScoredRow, 'index' | 'num_greedy' | 'num_tokens'>[]): Estimate {
  const share = ratioEstimate(
    rows.map(({ num_greedy }) => num_greedy!),
    rows.map(({ num_tokens }) => num_tokens!),
    rows.map(({ index }) => index),
  );
  const ends = share.ci95;
  return { ...share, ci95: ends === null ? null : [Math.max(0, ends[0]), Math.min(1, ends[1])] };
}

/** An estimate seen through a rising function, whose slope there makes the standard error; the ends of the interval go along. */
function transformed({ value, stderr, ci95, n }: Estimate, of: (value: number) => number, slope: number): Estimate {
  return {
    value: of(value),
    stderr: stderr === null ? null : stderr * slope,
    ci95: ci95 === null ? null : [of(ci95[0]), of(ci95[1])],
    n,
  };
}
