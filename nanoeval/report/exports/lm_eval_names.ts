/**
 * What lm-evaluation-harness calls tasks, metrics and filters where ours are the same numbers: recipes that follow one of its
 * tasks have its names, everything else keeps its own under the filter `none`.
 */

import { asFileName, type ExportedRun } from './exported.ts';
import known from './lm_eval_tasks.json' with { type: 'json' };

/** A recipe that follows a task of the harness. `dataset`: repository and config that its rows have to be of. */
interface Followed {
  recipe: string;
  strategy: string;
  dataset: string;
  task: string;
  /** Of its subjects and groups of them: `{subject}`, `{group}`, or `{group words}` with blanks in place of `_`. */
  subject?: string;
  group?: string;
  /** Ours -> its metric and filter. */
  metrics?: Record<string, string[]>;
  /** Metrics that are sums over texts: which count of the text they are by. */
  weights?: Record<string, string>;
  /** Metrics of which a sample of the harness has the log-likelihood of the row's only choice. */
  loglikelihoods?: string[];
  /** Where its requests are of another kind than those of our verb. */
  output_type?: string;
}

/** The names of one run. */
export interface Names {
  task: string;
  subject(subject: string): string;
  group(group: string): string;
  metric(metric: string): { metric: string; filter: string };
  /** The count that a metric of texts is by; null for others. */
  weight(metric: string): string | null;
  /** A sample has the log-likelihood of the row's only choice in place of the metric. */
  isLoglikelihood(metric: string): boolean;
  /** What the harness calls the task's requests; null where our verb says it. */
  outputType: string | null;
}

const lower: readonly string[] = known.lower_is_better;
const taskIds: Record<string, string> = known.hub_task_ids;

/** Whether a higher value of a metric is better: the primary one says it, of others a list. */
export function isHigherBetter(metric: string, { primary }: ExportedRun['summary']): boolean {
  return metric === primary.name ? primary.better === 'higher' : !lower.includes(metric);
}

/** The id of a data set's task on the hub: as its eval.yaml has it where that is known, the config of the data set otherwise. */
export function hubTaskId({ dataset_id, subset_name }: ExportedRun['summary']['dataset']): string {
  return taskIds[dataset_id] ?? subset_name ?? 'default';
}

function namesWith({ name, summary, config }: ExportedRun, takesTask: boolean): Names {
  const { dataset, recipe } = summary;
  // Windows that slide are none of the harness's: another number comes of them.
  const slides = (config.scoring as { stride?: number }).stride !== undefined;
  const all = slides ? [] : ((known.tasks as unknown as Record<string, Followed[]>)[summary.task] ?? []);
  const followed = all.filter((one) => one.recipe === recipe.name && one.strategy === recipe.strategy);
  const rowsOf = `${dataset.dataset_id} ${dataset.subset_name}`;
  const whole = takesTask ? followed.find((one) => one.dataset === rowsOf) : undefined;
  const { metrics = {}, weights = {}, loglikelihoods = [], output_type = null } = whole ?? followed[0] ?? {};
  const task = whole?.task ?? name;
  const own = `${name}_`;
  const subject = (one: string) => asFileName(whole?.subject?.replace('{subject}', one) ?? own + one);
  const subjects = new Set(Object.keys(summary.subjects).map(subject));
  return {
    task,
    subject,
    group: (group) => {
      const given = whole?.group?.replace('{group}', group).replace('{group words}', group.replaceAll('_', ' '));
      const named = given ?? own + group;
      // A subject may be called as a group is: both stand in one list.
      return subjects.has(named) ? `${named}_group` : named;
    },
    metric: (metric) => {
      const [named = metric, filter = 'none'] = metrics[metric] ?? [];
      return { metric: named, filter };
    },
    weight: (metric) => weights[metric] ?? null,
    isLoglikelihood: (metric) => loglikelihoods.includes(metric),
    outputType: output_type,
  };
}

/** The names of runs that stand in one file: a task's name that two of them would have goes to none. */
export function namesOf(runs: readonly ExportedRun[]): Names[] {
  const theirs = runs.map((run) => namesWith(run, true));
  const isAlone = (i: number) =>
    runs.every((run, j) => j === i || (theirs[j]!.task !== theirs[i]!.task && run.name !== theirs[i]!.task));
  return runs.map((run, i) => (isAlone(i) ? theirs[i]! : namesWith(run, false)));
}
