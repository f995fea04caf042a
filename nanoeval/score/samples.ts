/** What several samples of an answer, and several seeds, say together. */
import type { ScoredRow } from '../questions.ts';
import type { Estimate, Scores } from '../types.ts';
import { clusteredEstimate, mean } from './statistics.ts';

/** How a metric differs between seeds. */
export interface BetweenSeeds {
  /** Mean of the seeds' values. */
  mean: number;
  /** Standard deviation between seeds (divisor n - 1); null for one seed. */
  std: number | null;
  /** Seeds. */
  n: number;
}

export interface SeedScores {
  /** Seed -> metric -> its mean over that seed's rows. */
  by_seed: Record<string, Record<string, number>>;
  between_seeds: Record<string, BetweenSeeds>;
}

/** Probability that at least one of `k` answers drawn from `n`, `c` of them right, is right (Chen et al. 2021, eq. 1). */
export function passAt(k: number, n: number, c: number): number {
  if (n - c < k) return 1;
  let none = 1;
  for (let i = n - c + 1; i <= n; i += 1) none *= 1 - k / i;
  return 1 - none;
}

/**
 * The answer that most samples gave, a choice or a text; of equals the one that came first. null when none could be read, and
 * samples without an answer have no vote (self-consistency, Wang et al. 2022).
 */
export function majority<T extends number | string>(predictions: readonly (T | null | undefined)[]): T | null {
  const votes = new Map<T, number>();
  for (const answer of predictions) if (answer != null) votes.set(answer, (votes.get(answer) ?? 0) + 1);
  let best: T | null = null;
  for (const [answer, count] of votes) if (count > (best === null ? 0 : votes.get(best)!)) best = answer;
  return best;
}

/** 1, 2, 4, ... and `n`. */
function sizes(n: number): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(n)) + 1 }, (_, i) => 2 ** i);
  return [...new Set([...powers, n])];
}

/** What is counted of a sample. */
export type Sample = Pick<ScoredRow, 'correct' | 'prediction'>;

/**
 * What the `n` samples of one question come to: `pass_at_k`, `avg_at_n` and, with answers, `maj_at_n`. A majority is right as
 * the samples are that gave it.
 */
export function sampleStatistics(
  n: number,
  hasAnswers: boolean,
): Record<string, (samples: readonly Sample[]) => number> {
  const right = (samples: readonly Sample[]) => samples.reduce((sum, { correct }) => sum + correct!, 0);
  const agreed = (samples: readonly Sample[]): number => {
    const answer = majority(samples.map(({ prediction }) => prediction));
    return answer === null ? 0 : samples.find(({ prediction }) => prediction === answer)!.correct!;
  };
  const passes = sizes(n).map((k) => [`pass_at_${k}`, (samples: readonly Sample[]) => passAt(k, n, right(samples))]);
  return {
    ...(Object.fromEntries(passes) as Record<string, (samples: readonly Sample[]) => number>),
    [`avg_at_${n}`]: (samples) => right(samples) / n,
    ...(hasAnswers ? { [`maj_at_${n}`]: agreed } : {}),
  };
}

/**
 * `sampleStatistics` of the primary metric over the questions that have all n samples, where n is above 1 and rows are right
 * or wrong; no metrics otherwise. Standard errors take the samples and seeds of a question for one cluster.
 */
export function sampleMetrics(rows: readonly ScoredRow[]): Record<string, Estimate> {
  const questions = new Map<string, ScoredRow[]>();
  for (const row of rows) {
    if (row.correct === undefined) return {};
    const key = `${row.index}|${row.seed ?? ''}`;
    const own = questions.get(key);
    if (own === undefined) questions.set(key, [row]);
    else own.push(row);
  }
  let n = 0;
  for (const samples of questions.values()) n = Math.max(n, samples.length);
  if (n < 2) return {};
  // A question that lost a sample to a failure has no say here: n of the estimate tells how many have.
  const all = [...questions.values()].filter((samples) => samples.length === n);
  const clusters = all.map(([first]) => first!.index);
  const hasAnswers = rows.some(({ prediction }) => prediction !== undefined);
  return Object.fromEntries(
    Object.entries(sampleStatistics(n, hasAnswers)).map(([name, value]) => [
      name,
      clusteredEstimate(all.map(value), clusters),
    ]),
  );
}

/**
 * The metrics of each seed, and how they differ between seeds; null where rows have no seed. `summarize`: what the task
 * makes of rows, so that a metric that is no mean over rows is computed as it is for the whole run.
 */
export function seedScores(
  rows: readonly ScoredRow[],
  summarize: (rows: readonly ScoredRow[]) => Scores,
): SeedScores | null {
  const bySeed = new Map<number, ScoredRow[]>();
  for (const row of rows) {
    if (row.seed === undefined) return null;
    const own = bySeed.get(row.seed);
    if (own === undefined) bySeed.set(row.seed, [row]);
    else own.push(row);
  }
  const by_seed: SeedScores['by_seed'] = {};
  for (const [seed, own] of bySeed) {
    const { metrics } = summarize(own);
    by_seed[seed] = Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]));
  }
  const names = Object.keys(Object.values(by_seed)[0] ?? {}).filter((name) =>
    Object.values(by_seed).every((metrics) => name in metrics),
  );
  const between_seeds = Object.fromEntries(
    names.map((name): [string, BetweenSeeds] => {
      const values = Object.values(by_seed).map((metrics) => metrics[name]!);
      const centre = mean(values);
      const scatter = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
      const std = values.length < 2 ? null : Math.sqrt(scatter / (values.length - 1));
      return [name, { mean: centre, std, n: values.length }];
    }),
  );
  return { by_seed, between_seeds };
}

/**
 * Scores with what the samples of a question say together put behind its metrics, and named as such (`over_samples`). Throws Error
 * where the task has a metric of the same name: one of the two would be taken for the other.
 */
export function withSamples(scores: Scores, rows: readonly ScoredRow[]): Scores {
  const own = sampleMetrics(rows);
  const names = Object.keys(own);
  const twice = names.find((name) => name in scores.metrics);
  if (twice !== undefined)
    throw new Error(
      `"${twice}" is a metric of the task and of the samples of a question. Give the task's another name.`,
    );
  if (names.length === 0) return scores;
  return { ...scores, metrics: { ...scores.metrics, ...own }, over_samples: names };
}

/** The macro mean of another metric that is there. */
const isMacro = (name: string, metrics: object) =>
  name.endsWith('_macro') && name.slice(0, -'_macro'.length) in metrics;

/**
 * `scoring.reduce: sum`: each mean as the sum that it is of. Macro means are of no sum and left out; metrics over samples
 * stay shares of the questions, and pooled ones (a perplexity) what they are.
 */
export function summed(scores: Scores): Scores {
  const { pooled = [], over_samples = [], primary } = scores;
  const times = ({ value, stderr, ci95, n }: Estimate): Estimate => ({
    value: value * n,
    stderr: stderr === null ? null : stderr * n,
    ci95: ci95 === null ? null : [ci95[0] * n, ci95[1] * n],
    n,
  });
  const each = (metrics: Record<string, Estimate>, kept: readonly string[]) =>
    Object.fromEntries(
      Object.entries(metrics)
        .filter(([name]) => kept.includes(name) || !isMacro(name, metrics))
        .map(([name, one]) => [name, kept.includes(name) ? one : times(one)]),
    );
  // Metrics over samples are those over all questions alone.
  const inside = (parts: Record<string, Record<string, Estimate>>) =>
    Object.fromEntries(Object.entries(parts).map(([label, metrics]) => [label, each(metrics, pooled)]));
  const { metrics, groups, subjects, tags } = scores;
  const n = metrics[primary.name]?.n ?? 0;
  const isSum = !pooled.includes(primary.name);
  return {
    ...scores,
    // A sum of shares is a count.
    primary: isSum
      ? { ...primary, unit: 'number', chance: primary.chance === null ? null : primary.chance * n }
      : primary,
    metrics: each(metrics, [...pooled, ...over_samples]),
    groups: inside(groups),
    subjects: inside(subjects),
    ...(tags === undefined ? {} : { tags: inside(tags) }),
  };
}
