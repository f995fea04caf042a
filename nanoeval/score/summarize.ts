/** From per-row verdicts to a task's scores: over all rows, by group, by subject. */
import type { Estimate, ScoredRow, Scores, Verdict } from '../types.ts';
import { clusteredEstimate, estimate, macroEstimate, microEstimate } from './statistics.ts';

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

/**
 * Means of every metric over all rows, each group and, where rows have them, each subject and each tag.
 *
 * Several samples or seeds of a row are one cluster: their standard error is the cluster-robust one.
 *
 * With subjects the mean over all rows or over a group is the example-weighted (micro) one with lm-eval's pooled
 * standard error, and `<metric>_macro` is the plain mean over subjects. Groups and subjects keep the order of the rows.
 */
export function summarizeRows(rows: readonly ScoredRow[], primary: string, chance: number | null): Scores {
  const names = Object.keys(rows[0]?.metrics ?? {});
  const metricsOf = (part: readonly ScoredRow[]): Record<string, Estimate> => {
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
  };
  const bySubject = collect(rows, (row) => row.subject);
  const byGroup = collect(rows, (row) => row.group);
  const tags = [...new Set(rows.flatMap((row) => row.tags ?? []))];
  const tagged = tags.map((tag) => [tag, metricsOf(rows.filter((row) => row.tags?.includes(tag)))] as const);
  return {
    primary_metric: primary,
    chance,
    metrics: metricsOf(rows),
    groups: Object.fromEntries([...byGroup].map(([group, part]) => [group, metricsOf(part)])),
    subjects: Object.fromEntries([...bySubject].map(([subject, part]) => [subject, metricsOf(part)])),
    subject_groups: Object.fromEntries([...bySubject].map(([subject, part]) => [subject, part[0]?.group ?? ''])),
    ...(tags.length === 0 ? {} : { tags: Object.fromEntries(tagged) }),
  };
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
