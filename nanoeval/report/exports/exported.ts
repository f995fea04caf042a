/** A finished run as the exports see it, and the small things that they share. */
import type { TaskConfig } from '../../config/keys.ts';
import type { ResolvedRecipe } from '../../config/recipe.ts';
import type { ModelIdentity } from '../../questions.ts';
import type { Estimate } from '../../types.ts';
import type { Tool } from '../host.ts';
import type { Health, SummaryScores } from '../summary.ts';

/** What of a summary is exported. */
export interface ExportedSummary extends SummaryScores {
  task: string;
  status: 'complete' | 'unscored' | 'invalid';
  faults: readonly string[];
  health: Health;
  timing: { started: string; finished: string; seconds: number };
  recipe: { name: string; strategy: string; num_fewshot: number; chat_template: boolean; sha256: string };
  model: ModelIdentity;
  dataset: {
    dataset_id: string;
    commit: string | null;
    subset_name: string | null;
    split: string;
    num_rows: number;
  };
  selection: Record<string, unknown>;
  version: number;
  tool: Tool;
}

/** A run with a summary. */
export interface ExportedRun {
  /** Of the run: its task's, or in a suite its entry's. */
  name: string;
  config: TaskConfig;
  recipe: ResolvedRecipe;
  /** The split that drawn examples come from; null where the task has none. */
  shots: string | null;
  summary: ExportedSummary;
  /** Why the run does not do (`run.require`); null where it does. */
  shortfall: string | null;
}

/** A metric as the mean that it is of, also where the summary has sums (`scoring.reduce: sum`). */
export function asMean(metric: string, estimate: Estimate, { reduce, pooled = [], over_samples = [] }: SummaryScores) {
  const { value, stderr, n } = estimate;
  if (reduce !== 'sum' || pooled.includes(metric) || over_samples.includes(metric)) return { value, stderr, n };
  return { value: value / n, stderr: stderr === null ? null : stderr / n, n };
}

/** The rows of the run are a part of the split's, in words; null where they are all of them. */
export function partOfRows({ summary }: Pick<ExportedRun, 'summary'>): string | null {
  const { subset_size, sample, subjects, shard } = summary.selection;
  const parts = [
    ...(subset_size == null ? [] : [`subset_size ${subset_size}`]),
    ...(sample == null ? [] : [`sample ${sample}`]),
    ...(subjects == null ? [] : [`subjects ${[subjects].flat().join(', ')}`]),
    ...(shard == null ? [] : [`shard ${shard}`]),
  ];
  if (parts.length === 0) return null;
  return `${summary.health.questions} of ${summary.dataset.num_rows} rows (${parts.join('; ')})`;
}

/** A text that every file system takes as a name, or as a part of one. */
export const asFileName = (text: string): string => text.replace(/[^\w.-]+/g, '_').replace(/^\.+/, '_') || '_';
