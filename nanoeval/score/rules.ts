/**
 * What other papers' rules would have said of the same rows: every way of reading a saved row that is known here, and why it
 * cannot be read so.
 */
import type { Prediction } from '../questions.ts';
import { RowError } from '../types.ts';
import { exactLetter, likelyLetter, readLetter } from './letters.ts';
import { LENGTHS, type LoglikelihoodMetric } from './loglikelihood.ts';
import { officialLetter } from './option_letter.ts';

/** A rule that turns a saved row into a choice. */
export interface Rule {
  name: string;
  /** Whose rule it is. */
  of: string;
  /** What a row must have for it, as an error says it; null when this row has it. */
  lacks(row: Prediction): string | null;
  /** The choice; null where the answer has none. Throws RowError for a row that is broken. */
  choose(row: Prediction): number | null;
}

const noIndex = ({ gold }: Prediction) =>
  typeof gold === 'number' ? null : 'what is right in these rows is no choice among several';
const noChoices = (row: Prediction) =>
  noIndex(row) ??
  (row.choices === undefined ? 'the rows were generated: they have no log-likelihoods of choices' : null);
const noOutput = (row: Prediction) =>
  noIndex(row) ?? (row.output === undefined ? 'the rows were ranked: they have no answers' : null);
const noOptions = (row: Prediction) =>
  noOutput(row) ?? (row.options === undefined ? 'the rows show no lettered options' : null);

const ranked = (name: LoglikelihoodMetric, of: string): Rule => ({
  name,
  of,
  lacks: noChoices,
  choose: ({ choices = [] }) => best(choices.map((choice) => choice.logprob / LENGTHS[name](choice))),
});

/** The first of the largest. */
function best(values: readonly number[]): number {
  const largest = Math.max(...values);
  if (!Number.isFinite(largest)) throw new RowError('nan', 'a log-likelihood is not a number.');
  return values.indexOf(largest);
}

/** Lettered options of a generated row. */
const count = ({ options = [] }: Prediction) => options.length;

/** In the order of the table. */
export const RULES: readonly Rule[] = [
  ranked('acc', 'sum (lm-eval acc)'),
  ranked('acc_norm', 'per character (lm-eval acc_norm)'),
  ranked('acc_bytes', 'per byte (lm-eval acc_bytes)'),
  ranked('acc_token', 'per token (build-nanogpt, llama.cpp)'),
  {
    name: 'exact_letter',
    of: 'the first line is the letter (lm-eval generative)',
    lacks: noOptions,
    choose: (row) => exactLetter(row.output ?? '', count(row)),
  },
  {
    name: 'letter',
    of: 'a letter in a free answer (ours)',
    lacks: noOptions,
    choose: (row) => readLetter(row.output ?? '', count(row)),
  },
  {
    name: 'official_letter',
    of: "the official script's, without its random guess",
    lacks: noOptions,
    choose: ({ output = '', options = [] }) => officialLetter(output, options),
  },
  {
    name: 'letter_prob',
    of: 'the likeliest first token (ours)',
    lacks: (row) =>
      noOptions(row) ??
      (row.first_logprobs === undefined ? 'the rows do not hold first-token log-probabilities' : null),
    choose: (row) => likelyLetter(row.first_logprobs ?? {}, count(row)),
  },
];

/** How a rule scores all rows. */
export interface RuleScore {
  rule: string;
  of: string;
  /** Sum of right rows and of all; null when the rule is impossible. */
  right: number | null;
  rows: number;
  /** Standard error of the share of right rows, a row's samples and seeds being one cluster. */
  stderr: number | null;
  /** Rows in which it reads no choice. */
  unread: number;
  /** Why it is impossible. */
  impossible: string | null;
}

/** Scores of every rule over a stream of rows, one row at a time. */
export function openRuleScores() {
  const scores = RULES.map(
    ({ name, of }): RuleScore => ({ rule: name, of, right: 0, rows: 0, stderr: null, unread: 0, impossible: null }),
  );
  // Samples and seeds of a row stand together in a finished file: sums over the clusters, and the one at hand.
  const sums = RULES.map(() => ({ index: -1, right: 0, rows: 0, clusters: 0, rr: 0, rn: 0, nn: 0 }));
  const close = (sum: (typeof sums)[number], index: number) => {
    if (sum.rows > 0) {
      sum.clusters += 1;
      sum.rr += sum.right ** 2;
      sum.rn += sum.right * sum.rows;
      sum.nn += sum.rows ** 2;
    }
    Object.assign(sum, { index, right: 0, rows: 0 });
  };
  return {
    add(row: Prediction): void {
      for (const [i, rule] of RULES.entries()) {
        const score = scores[i]!;
        if (score.impossible !== null) continue;
        score.impossible = rule.lacks(row);
        if (score.impossible !== null) {
          score.right = null;
          continue;
        }
        const sum = sums[i]!;
        if (sum.index !== row.index) close(sum, row.index);
        const choice = rule.choose(row);
        score.rows += 1;
        sum.rows += 1;
        if (choice === null) score.unread += 1;
        else if (choice === row.gold) {
          score.right! += 1;
          sum.right += 1;
        }
      }
    },
    /** The scores so far, with the cluster-robust standard error of `clusteredEstimate`. */
    get scores(): RuleScore[] {
      for (const [i, score] of scores.entries()) {
        const sum = sums[i]!;
        close(sum, sum.index);
        if (score.right === null || sum.clusters < 2) continue;
        const mean = score.right / score.rows;
        const squares = Math.max(0, sum.rr - 2 * mean * sum.rn + mean ** 2 * sum.nn);
        score.stderr = Math.sqrt((sum.clusters / (sum.clusters - 1)) * squares) / score.rows;
      }
      return scores;
    },
  };
}
