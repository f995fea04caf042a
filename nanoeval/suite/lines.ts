/** The lines of a suite's table: what each task came to, means of them, and what the reported table has beside. */
import { nearest } from '../config/messages.ts';
import type { TableConfig } from '../config/suite.ts';
import type { SuiteLine } from '../report/suite_table.ts';
import type { RunResult } from '../run/outcome.ts';
import type { Estimate } from '../types.ts';
import { type Entry, labelOf, shareByName } from './entries.ts';

/** What a task of the suite came to. */
export interface Outcome {
  entry: Entry;
  result: RunResult | null;
  error: { code: number; text: string } | null;
}

/** The lines of one task: its primary metric, and each metric with a reported value. One that failed keeps what is reported. */
export function linesOf({ entry, result, error }: Outcome): SuiteLine[] {
  const { config, reference } = entry;
  const name = labelOf(entry);
  const head = { task: name, recipe: config.scoring.recipe };
  const source = String(reference?.source ?? '');
  const reported = Object.keys(reference ?? {}).filter((key) => key !== 'source');
  if (result?.scores == null) {
    const reason = error?.text ?? result?.summary.faults[0] ?? 'no row could be scored';
    const failed = { ...head, n: null, metric: null, estimate: null, unit: null, error: reason };
    if (reported.length === 0) return [failed];
    return reported.map((metric) => ({ ...failed, metric, reference: { value: Number(reference![metric]), source } }));
  }
  const { scores } = result;
  const wanted = new Set([scores.primary.name, ...reported]);
  if (result.shortfall !== null) head.task = `${name} (failed)`;
  if (result.summary.faults.length > 0) head.task = `${name} (invalid)`;
  return [...wanted].map((metric) => {
    const estimate = scores.metrics[metric] ?? null;
    const value = reference?.[metric];
    const hint = nearest(metric, Object.keys(scores.metrics));
    const error = `no such metric${hint === null ? '' : `; ${hint}?`}`;
    const isPrimary = metric === scores.primary.name;
    return {
      ...head,
      n: estimate?.n ?? null,
      metric,
      estimate,
      unit: isPrimary ? scores.primary.unit : shareByName(metric) ? 'share' : null,
      ...(estimate === null ? { error } : {}),
      ...(typeof value === 'number' ? { reference: { value, source } } : {}),
    };
  });
}

/** The lines below the tasks': means, and what is not run. */
export function moreLines(outcomes: readonly Outcome[], { means, missing }: TableConfig): SuiteLine[] {
  const lines: SuiteLine[] = means.map((mean) => ({ ...meanLine(outcomes, mean), ...referenceOf(mean) }));
  for (const one of missing)
    lines.push({
      task: one.name,
      recipe: '-',
      n: null,
      metric: null,
      estimate: null,
      unit: null,
      missing: one.reason,
      ...referenceOf(one),
    });
  return lines;
}

type Mean = TableConfig['means'][number];

const referenceOf = ({ reference }: Pick<Mean, 'reference'>) => (reference === undefined ? {} : { reference });

/** A part of a mean: an entry and its metric. */
export const partOf = (part: Mean['of'][number]) => (typeof part === 'string' ? { task: part, metric: null } : part);

/**
 * The plain mean of metrics. Its standard error takes entries as independent (root of the sum of squares) and metrics of one
 * entry, which are of the same rows, as wholly dependent (their sum): it is never too small. Of shares the interval ends at 0 and 1.
 */
function meanLine(outcomes: readonly Outcome[], { name, of }: Mean): SuiteLine {
  const head = {
    task: name,
    recipe: `mean of ${of.length}`,
    metric: null,
    n: null,
    estimate: null,
    unit: null,
  } as const;
  const byEntry = new Map<string, Estimate[]>();
  const metrics = new Set<string>();
  let isShare = true;
  for (const { task, metric: named } of of.map(partOf)) {
    const outcome = outcomes.find(({ entry }) => entry.name === task);
    const scores = outcome?.result?.summary.faults.length === 0 ? outcome.result.scores : null;
    const metric = named ?? scores?.primary.name;
    const estimate = metric === undefined ? undefined : scores?.metrics[metric];
    if (scores == null || metric === undefined || estimate === undefined)
      return { ...head, error: `${task} has no ${metric ?? 'value'}` };
    isShare &&= metric === scores.primary.name ? scores.primary.unit === 'share' : shareByName(metric);
    metrics.add(metric);
    byEntry.set(task, [...(byEntry.get(task) ?? []), estimate]);
  }
  const value = [...byEntry.values()].flat().reduce((sum, estimate) => sum + estimate.value, 0) / of.length;
  const sums = [...byEntry.values()].map((estimates) =>
    estimates.reduce((sum, { stderr }) => sum + (stderr ?? Number.NaN), 0),
  );
  const spread = Math.sqrt(sums.reduce((sum, one) => sum + one ** 2, 0)) / of.length;
  const stderr = Number.isNaN(spread) ? null : spread;
  const [low, high] = isShare ? [0, 1] : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const ci95: [number, number] | null =
    stderr === null ? null : [Math.max(low, value - Z95 * stderr), Math.min(high, value + Z95 * stderr)];
  const n = [...byEntry.values()].reduce((sum, [first]) => sum + first!.n, 0);
  return {
    ...head,
    metric: [...metrics].join(', '),
    n,
    unit: isShare ? 'share' : null,
    estimate: { value, stderr, ci95, n },
  };
}

/** Standard errors on either side of a normal 95 % interval. */
const Z95 = 1.959963984540054;
