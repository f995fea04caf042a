/** From per-row verdicts to a task's scores: over all rows, by group, by subject. */
import type { ScoredRow, Verdict } from '../questions.ts';
import type { Estimate, Primary, Scores } from '../types.ts';
import { clusteredEstimate, estimate, macroEstimate, mean, microEstimate } from './statistics.ts';

/**
 * The verdict on a row from the choice that each metric prefers (null: none could be read, which counts as wrong and as
 * unparsed). `metrics` has the primary one first.
 */
export function verdict(best: Readonly<Record<string, number | null>>, primary: string, gold: number): Verdict {
  const chosen = best[primary];
  if (chosen === undefined) throw new Error(`"${primary}" is not among the metrics ${Object.keys(best).join(', ')}.`);
  const right = (index: number | null) => (index === gold ? 1 : 0);
  const metrics = Object.fromEntries(
    [primary, ...Object.keys(best).filter((metric) => metric !== primary)].map((metric) => [
      metric,
      right(best[metric] ?? null),
    ]),
  );
  return { prediction: chosen, correct: right(chosen), metrics };
}

/** The share that random answers get right, where rows differ in how many choices they have. Throws Error for rows without any. */
export function chanceOf(rows: readonly ScoredRow[]): number {
  return mean(
    rows.map(({ id, choices, options, num_choices = choices?.length ?? options?.length }) => {
      if (num_choices === undefined) throw new Error(`row ${id} has no choices.`);
      return 1 / num_choices;
    }),
  );
}

/** What a recipe, as it was resolved, says of its primary metric. */
export interface PrimaryRule extends Omit<Primary, 'name' | 'chance'> {
  primary: string;
}

/** Estimates of metrics over some rows. */
export type MetricsOf = (rows: readonly ScoredRow[]) => Record<string, Estimate>;

/**
 * Means of every metric over all rows, each group and, where rows have them, each subject and each tag. `chance`: the
 * primary metric's expected value under random answers.
 *
 * Several samples or seeds of a row are one cluster: their standard error is the cluster-robust one. So are the verdicts on
 * parts of a row, which are averaged over all parts, and for each name of a part.
 *
 * With subjects the mean over all rows or over a group is the example-weighted (micro) one with lm-eval's pooled
 * standard error, and `<metric>_macro` is the plain mean over subjects. Groups and subjects keep the order of the rows.
 */
export function summarizeRows(rows: readonly ScoredRow[], rule: PrimaryRule, chance: number | null): Scores {
  const names = Object.keys(rows[0]?.metrics ?? {});
  const twice = partsOf(rows)
    .flatMap(({ metrics }) => Object.keys(metrics))
    .find((name) => names.includes(name));
  if (twice !== undefined) throw new Error(`"${twice}" is a metric of rows and of their parts. Name them apart.`);
  return { ...scoresBy(rows, rule, chance, (part) => ({ ...meansOf(part, names), ...partMeans(part) })) };
}

/** Scores by group, subject and tag from whatever a benchmark computes over some rows. */
export function scoresBy(
  rows: readonly ScoredRow[],
  { primary: name, unit, better }: PrimaryRule,
  chance: number | null,
  metricsOf: MetricsOf,
): Scores {
  const over = (parts: Map<string, ScoredRow[]>) =>
    Object.fromEntries([...parts].map(([label, part]) => [label, metricsOf(part)]));
  const bySubject = collect(rows, (row) => row.subject);
  const tags = [...new Set(rows.flatMap((row) => row.tags ?? []))];
  const tagged = over(new Map(tags.map((tag) => [tag, rows.filter((row) => row.tags?.includes(tag))])));
  const byPart = meansByPart(rows);
  const both = Object.keys(byPart).find((name) => name in tagged);
  if (both !== undefined) throw new Error(`"${both}" is a tag of rows and the name of a part. Name them apart.`);
  const named = { ...tagged, ...byPart };
  return {
    primary: { name, unit, better, chance },
    metrics: metricsOf(rows),
    groups: over(collect(rows, (row) => row.group)),
    subjects: over(bySubject),
    subject_groups: Object.fromEntries([...bySubject].map(([subject, part]) => [subject, part[0]?.group ?? ''])),
    ...(Object.keys(named).length === 0 ? {} : { tags: named }),
  };
}

/** The mean of each metric over rows, with the standard error that fits how they hang together. */
function meansOf(part: readonly ScoredRow[], names: readonly string[]): Record<string, Estimate> {
  const bySubject = collect(part, (row) => row.subject);
  const values = (metric: string, some: readonly ScoredRow[]) => some.map((row) => metricOf(row, metric));
  const clusters = part.map((row) => row.index);
  const repeated = new Set(clusters).size < clusters.length;
  const estimates = names.map((metric): [string, Estimate] => {
    if (repeated) return [metric, clusteredEstimate(values(metric, part), clusters)];
    if (bySubject.size < 2) return [metric, estimate(values(metric, part))];
    return [metric, microEstimate([...bySubject.values()].map((some) => values(metric, some)))];
  });
  const macros = [...(bySubject.size < 2 ? [] : names)].map((metric): [string, Estimate] => [
    `${metric}_macro`,
    macroEstimate(
      [...bySubject.values()].map((some) => values(metric, some)),
      repeated ? [...bySubject.values()].map((some) => some.map((row) => row.index)) : undefined,
    ),
  ]);
  return Object.fromEntries([...estimates, ...macros]);
}

/** Verdicts on parts of rows, each with its row. */
const partsOf = (rows: readonly ScoredRow[]) =>
  rows.flatMap(({ index, parts = [] }) => parts.map((one) => ({ ...one, index })));

type Part = ReturnType<typeof partsOf>[number];

/** The mean of each metric that parts have, over all of them; the parts of a row are one cluster. */
function overParts(parts: readonly Part[]): Record<string, Estimate> {
  const names = [...new Set(parts.flatMap(({ metrics }) => Object.keys(metrics)))];
  return Object.fromEntries(
    names.map((metric) => {
      const own = parts.filter(({ metrics }) => metric in metrics);
      return [
        metric,
        clusteredEstimate(
          own.map(({ metrics }) => metrics[metric]!),
          own.map(({ index }) => index),
        ),
      ];
    }),
  );
}

const partMeans: MetricsOf = (rows) => overParts(partsOf(rows));

function meansByPart(rows: readonly ScoredRow[]): Record<string, Record<string, Estimate>> {
  const parts = partsOf(rows);
  const names = [...new Set(parts.map(({ name }) => name))];
  return Object.fromEntries(names.map((name) => [name, overParts(parts.filter((one) => one.name === name))]));
}

function metricOf(row: ScoredRow, metric: string): number {
  const value = row.metrics[metric];
  if (value === undefined || !Number.isFinite(value))
    throw new Error(`row ${row.index} (id ${row.id}): ${metric} is ${value}.`);
  return value;
}

function collect(rows: readonly ScoredRow[], key: (row: ScoredRow) => string | undefined): Map<string, ScoredRow[]> {
  const parts = new Map<string, ScoredRow[]>();
  for (const row of rows) {
    const name = key(row);
    if (name === undefined) continue;
    const part = parts.get(name);
    if (part === undefined) parts.set(name, [row]);
    else part.push(row);
  }
  return parts;
}
