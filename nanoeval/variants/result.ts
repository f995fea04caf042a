/** What variants.ts finds: variants.json, and what the other files are made of. */
import type { Flip, MetricResult, TaskResult } from '../compare/result.ts';
import type { Host } from '../report/host.ts';
import type { Divergence } from '../score/divergence.ts';
import type { Outcome } from '../score/gate.ts';
import type { Estimate, Primary } from '../types.ts';
import type { Broken } from './broken.ts';
import type { WindowSource } from './windows.ts';

/** A task's primary metric on one variant. */
export interface VariantScore {
  task: string;
  primary: Primary;
  estimate: Estimate;
}

/** A task of a variant beside the reference: as compare.json has it, the flips counted alone. */
export interface VariantTask extends Omit<TaskResult, 'flips'> {
  flips: { worse: number; better: number };
}

/** A line of flips.jsonl. */
export interface VariantFlip extends Flip {
  variant: string;
  task: string;
}

export interface VariantResult {
  name: string;
  /** The checkpoint's name, and what tells it from others of that name. */
  model: string;
  variant: string | null;
  reference: boolean;
  /** Bytes of its weight files together, and the files; null where nobody says (a server). */
  bytes: number | null;
  files: { path: string; size: number; sha256: string }[] | null;
  /** null where they cannot be measured (a server), or could not be. */
  cost: {
    load_seconds: number;
    tokens_per_second: number;
    /** Tokens fed and seconds of the passes that this is of. */
    tokens: number;
    seconds: number;
    peak_rss: number;
    peak_rss_before_load: number;
  } | null;
  scores: VariantScore[];
  /** null for the reference, and where no task could be compared. */
  comparison: { verdict: Outcome; exit_code: number; level: number; tasks: VariantTask[]; warnings: string[] } | null;
  /** null for the reference, and where there are no logits. */
  distributions: Divergence | null;
  /** Perplexity over the tokens of `distributions`. */
  perplexity: number | null;
  broken: Broken | null;
  /** Tasks and measurements that went wrong, each with why. */
  faults: string[];
}

/** BROKEN: a variant near chance or with numbers that are none; FAILED: a task could not be run. Otherwise the worst verdict. */
export type Verdict = Outcome | 'BROKEN' | 'FAILED';

export interface VariantsResult {
  format: number;
  suite: string;
  verdict: Verdict;
  exit_code: number;
  reference: string;
  gate: { rule: 'interval' | 'point'; strict: boolean };
  distributions: WindowSource & { broken_kl: number };
  /** Threads of a pass; null: onnxruntime's choice. */
  threads: number | null;
  variants: VariantResult[];
  host: Host;
}

/** What the variant comes to. */
export function verdictOf({ broken, faults, comparison }: VariantResult): Verdict {
  if (broken !== null) return 'BROKEN';
  return faults.length > 0 || comparison === null ? 'FAILED' : comparison.verdict;
}

/** The metric by which a task is judged here. */
export function primaryOf(task: VariantTask, { primary }: Pick<VariantScore, 'primary'>): MetricResult {
  const found = task.metrics.find(({ name }) => name === primary.name);
  if (found === undefined) throw new Error(`${task.name}: the comparison has no ${primary.name}.`);
  return found;
}

/** A comparison's task without its flips, and those apart. */
export function withoutFlips({ flips, ...task }: TaskResult): VariantTask {
  const worse = flips.filter(({ baseline, current }) => current.value < baseline.value).length;
  return { ...task, flips: { worse, better: flips.length - worse } };
}
