/** What a comparison comes to: compare.json, which of several verdicts counts, and the exit code that it means. */
import type { Outcome } from '../score/gate.ts';
import type { Measure } from '../types.ts';
import type { Difference } from './difference.ts';
import type { Drift } from './quantities.ts';

/** One metric of a task. */
export interface MetricResult extends Measure, Difference {
  name: string;
  /** It decides. */
  gated: boolean;
  /** Of the interval: 0.95, more where several metrics decide. */
  level: number;
  /** In the metric's own unit. */
  allowed_drop: number;
  verdict: Outcome;
  /** The plain tolerance: the difference is not below minus the allowed drop. */
  point: 'PASS' | 'FAIL';
  /** The smallest true drop that so many rows find four times in five; null where none or nobody can say. */
  smallest_drop: number | null;
  /** Rows that would tell, where these cannot; null where nobody can say. */
  rows_needed: number | null;
  /** What is to be said besides. */
  note: string | null;
}

/** A row whose verdict by the primary metric is another one now. */
export interface Flip {
  id: string;
  index: number;
  seed?: number;
  sample?: number;
  gold: number | string | null;
  baseline: { value: number; prediction: number | string | null };
  current: { value: number; prediction: number | string | null };
}

/** One task on one checkpoint. */
export interface TaskResult {
  name: string;
  task: string;
  recipe: string;
  /** Pairs of rows, and the questions (clusters) that they belong to. */
  rows: number;
  questions: number;
  left: { baseline: number; current: number; other_prompt: number };
  metrics: MetricResult[];
  drift: Drift;
  /** Metric of the flips; null where rows are not right or wrong. */
  flips_of: string | null;
  flips: Flip[];
}

/** One of the two runs. */
export interface SideResult {
  folder: string;
  /** Name of the checkpoint and what tells it from others of that name. */
  models: string[];
}

export interface CompareResult {
  format: number;
  verdict: Outcome;
  exit_code: number;
  baseline: SideResult;
  current: SideResult;
  gate: { rule: 'interval' | 'point'; strict: boolean; metrics: string[]; level: number };
  tasks: TaskResult[];
  warnings: string[];
}

/** From the worst to the best. */
const ORDER: readonly Outcome[] = ['REGRESSED', 'SUSPECT', 'UNDERPOWERED', 'HELD', 'IMPROVED'];

/** The verdict of a whole comparison: the worst of its metrics'. Throws Error for none. */
export function worst(outcomes: readonly Outcome[]): Outcome {
  const found = ORDER.find((outcome) => outcomes.includes(outcome));
  if (found === undefined) throw new Error('a comparison without a metric that decides.');
  return found;
}

/** Exit codes of a metric that decides: a regression, and one that is not sure. */
export const GATE_EXIT = { passed: 0, regressed: 1, unsure: 4 } as const;
type GateExit = (typeof GATE_EXIT)[keyof typeof GATE_EXIT];

/**
 * The exit code of one metric. Rule `interval`: 1 for REGRESSED, 4 for SUSPECT, and 4 for UNDERPOWERED where the difference
 * itself is below minus the allowed drop, or under `strict`. Rule `point`: 1 where the difference is below minus the allowed drop.
 */
export function exitOf(
  { verdict, point }: Pick<MetricResult, 'verdict' | 'point'>,
  { rule, strict }: { rule: 'interval' | 'point'; strict: boolean },
): GateExit {
  if (rule === 'point') return point === 'FAIL' ? GATE_EXIT.regressed : GATE_EXIT.passed;
  if (verdict === 'REGRESSED') return GATE_EXIT.regressed;
  if (verdict === 'SUSPECT') return GATE_EXIT.unsure;
  if (verdict === 'UNDERPOWERED' && (strict || point === 'FAIL')) return GATE_EXIT.unsure;
  return GATE_EXIT.passed;
}

/** Of several: a regression counts before one that is not sure. */
export function exitOfAll(codes: readonly GateExit[]): GateExit {
  return [GATE_EXIT.regressed, GATE_EXIT.unsure].find((code) => codes.includes(code)) ?? GATE_EXIT.passed;
}
