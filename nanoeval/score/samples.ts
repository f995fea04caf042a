/** What several samples of an answer, and several seeds, say together. */
import type { Estimate, ScoredRow, Scores } from '../types.ts';
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
 * The choice that most samples took; of equals the one that came first. null when none could be read, and samples without a
 * choice have no vote (self-consistency, Wang et al. 2022).
 */
export function majority(predictions: readonly (number | null)[]): number | null {
  const votes = new Map<number, number>();
  for (const choice of predictions) if (choice !== null) votes.set(choice, (votes.get(choice) ?? 0) + 1);
  let best: number | null = null;
  for (const [choice, count] of votes) if (count > (best === null ? 0 : votes.get(best)!)) best = choice;
  return best;
}

/** 1, 2, 4, ... and `n`. */
function sizes(n: number): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(n)) + 1 }, (_, i) => 2 ** i);
  return [...new Set([...powers, n])];
}

/**
 * `pass_at_k`, `avg_at_n` and `maj_at_n` of the primary metric over the questions that have all n samples, where n is above
 * 1; no metrics otherwise. Standard errors take the samples and seeds of a question for one cluster.
 */
export function sampleMetrics(rows: readonly ScoredRow[]): Record<string, Estimate> {
  const questions = new Map<string, ScoredRow[]>();
  for (const row of rows) {
    const key = `${row.index}|${row.seed ?? ''}`;
    questions.set(key, [...(questions.get(key) ?? []), row]);
  }
  const n = Math.max(0, ...[...questions.values()].map((samples) => samples.length));
  if (n < 2) return {};
  // A question that lost a sample to a failure has no say here: n of the estimate tells how many have.
  const all = [...questions.values()].filter((samples) => samples.length === n);
  const clusters = all.map(([first]) => first!.index);
  const over = (value: (samples: readonly ScoredRow[]) => number) => clusteredEstimate(all.map(value), clusters);
  const right = (samples: readonly ScoredRow[]) => samples.reduce((sum, { correct }) => sum + correct, 0);
  return {
    ...Object.fromEntries(sizes(n).map((k) => [`pass_at_${k}`, over((samples) => passAt(k, n, right(samples)))])),
    [`avg_at_${n}`]: over((samples) => right(samples) / n),
    [`maj_at_${n}`]: over((samples) =>
      majority(samples.map(({ prediction }) => prediction)) === samples[0]!.gold ? 1 : 0,
    ),
  };
}

/** The metrics of each seed, and how they differ between seeds; null where rows have no seed. */
export function seedScores(rows: readonly ScoredRow[]): SeedScores | null {
  const bySeed = new Map<number, ScoredRow[]>();
  for (const row of rows) {
    if (row.seed === undefined) return null;
    const own = bySeed.get(row.seed);
    if (own === undefined) bySeed.set(row.seed, [row]);
    else own.push(row);
  }
  const names = Object.keys(rows[0]?.metrics ?? {});
  const by_seed: SeedScores['by_seed'] = {};
  for (const [seed, own] of bySeed)
    by_seed[seed] = Object.fromEntries(names.map((name) => [name, mean(own.map(({ metrics }) => metrics[name]!))]));
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

/** Scores with what the samples of a question say together put behind its metrics. */
export function withSamples(scores: Scores, rows: readonly ScoredRow[]): Scores {
  return { ...scores, metrics: { ...scores.metrics, ...sampleMetrics(rows) } };
}

/**
 * `scoring.reduce: sum`: each mean as the sum that it is of. Macro means are of no sum and left out; metrics over samples
 * stay shares of the questions.
 */
export function summed(scores: Scores): Scores {
  const times = ({ value, stderr, ci95, n }: Estimate): Estimate => ({
    value: value * n,
    stderr: stderr === null ? null : stderr * n,
    ci95: ci95 === null ? null : [ci95[0] * n, ci95[1] * n],
    n,
  });
  const each = (metrics: Record<string, Estimate>) =>
    Object.fromEntries(
      Object.entries(metrics)
        .filter(([name]) => !name.endsWith('_macro'))
        .map(([name, one]) => [name, name.includes('_at_') ? one : times(one)]),
    );
  const inside = (parts: Record<string, Record<string, Estimate>>) =>
    Object.fromEntries(Object.entries(parts).map(([label, metrics]) => [label, each(metrics)]));
  const { metrics, groups, subjects, tags, chance } = scores;
  const n = metrics[scores.primary_metric]?.n ?? 0;
  return {
    ...scores,
    chance: chance === null ? null : chance * n,
    metrics: each(metrics),
    groups: inside(groups),
    subjects: inside(subjects),
    ...(tags === undefined ? {} : { tags: inside(tags) }),
  };
}
