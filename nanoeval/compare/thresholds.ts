/** Which metrics decide, and how much each of them may drop. */
import { type AllowedDrop, allowedDrop, type CompareConfig } from '../config/compare.ts';
import { nearest } from '../config/messages.ts';
import { type Measure, UserError } from '../types.ts';

/** A metric that may decide. */
export interface Candidate extends Measure {
  task: string;
  name: string;
  /** The task is judged by it unless the config says otherwise. */
  primary: boolean;
}

const DEFAULT_DROP: Record<Measure['unit'], AllowedDrop> = {
  share: { value: 0.01, relative: false },
  number: { value: 0.01, relative: true },
};

const isNamed = (key: string, { task, name }: Candidate) => key === name || key === `${task}.${name}`;

/** Throws UserError for a name that no metric has. */
function checkName(name: string, key: string, all: readonly Candidate[]): void {
  if (all.some((one) => isNamed(name, one))) return;
  const known = [...new Set(all.flatMap((one) => [one.name, `${one.task}.${one.name}`]))];
  const near = nearest(name, known);
  const hint = near === null ? `There are: ${known.join(', ')}.` : `Did you mean "${near}"?`;
  throw new UserError(`"${name}" is not a metric of both runs. ${hint}`, { key });
}

/** The metrics that decide: those that the config names, otherwise each task's primary one. Throws UserError for a name that is none. */
export function gatedMetrics(all: readonly Candidate[], { metrics }: CompareConfig['gate']): Candidate[] {
  if (metrics === undefined) return all.filter(({ primary }) => primary);
  for (const [i, name] of metrics.entries()) checkName(name, `gate.metrics.${i}`, all);
  return all.filter((one) => metrics.some((name) => isNamed(name, one)));
}

/**
 * How much a metric may drop, in its own unit: as the config says (a name with its task before one without), otherwise 0.01 for
 * a share and 1 % of the baseline for another metric.
 */
export function allowedFor(metric: Candidate, baseline: number, { max_drop }: CompareConfig['gate']): number {
  const named =
    typeof max_drop === 'object' ? (max_drop[`${metric.task}.${metric.name}`] ?? max_drop[metric.name]) : max_drop;
  const { value, relative } = named === undefined ? DEFAULT_DROP[metric.unit] : allowedDrop(named);
  return relative ? value * Math.abs(baseline) : value;
}

/** Throws UserError for a threshold of a metric that is not there. */
export function checkThresholds(all: readonly Candidate[], { max_drop }: CompareConfig['gate']): void {
  if (typeof max_drop !== 'object') return;
  for (const name of Object.keys(max_drop)) checkName(name, `gate.max_drop.${name}`, all);
}
