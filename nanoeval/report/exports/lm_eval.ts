/**
 * The results file of lm-evaluation-harness 0.4.13 (`results_<date>.json`, its `EvalResults` and `GeneralConfigTracker`), from
 * the summaries of runs on one checkpoint. What the runs do not know is null; versions are NanoEval's.
 */
import type { Verb } from '../../questions.ts';
import type { Estimate } from '../../types.ts';
import { asMean, type ExportedRun } from './exported.ts';
import { isHigherBetter, type Names, namesOf } from './lm_eval_names.ts';

/** The harness's `sanitize_model_name`. */
export const sanitizedModel = (name: string): string => name.replace(/["<>:/|\\?*[\]]+/g, '__');

/** When the last of the runs ended, in UTC, as the harness writes a date into names: `2026-03-05T10-00-00.000000`. */
export function dateId(runs: readonly ExportedRun[]): string {
  const last = runs.map(({ summary }) => summary.timing.finished).reduce((a, b) => (a > b ? a : b));
  const [whole, part = ''] = last.replace(/Z$/, '').split('.') as [string, string?];
  return `${whole.replaceAll(':', '-')}.${part.padEnd(6, '0')}`;
}

/** What the harness calls the requests of each verb; it has none for a classification head. */
const OUTPUT_TYPES: Record<Verb, string> = {
  loglikelihood: 'multiple_choice',
  generate_until: 'generate_until',
  loglikelihood_rolling: 'loglikelihood_rolling',
  classify: 'classify',
};

/** What answers are generated with; null where none are. A limit that neither recipe nor config has may be each row's own: null. */
export function generationKwargs({ recipe, config }: ExportedRun) {
  if (recipe.verb !== 'generate_until') return null;
  const { temperature, top_p, max_new_tokens } = config.scoring;
  const max_gen_toks = max_new_tokens ?? recipe.rule.max_new_tokens ?? null;
  const own = config.scoring as { until?: string[] };
  const drawn = temperature > 0 ? { temperature, top_p } : { temperature };
  return { until: own.until ?? recipe.until, max_gen_toks, do_sample: temperature > 0, ...drawn };
}

/** `"<metric>,<filter>"` and `"<metric>_stderr,<filter>"`, as the harness keys them. */
function keyed(metrics: Record<string, Estimate>, names: Names, { summary }: ExportedRun): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(metrics).flatMap(([ours, estimate]) => {
      const { metric, filter } = names.metric(ours);
      const { value, stderr } = asMean(ours, estimate, summary);
      return [
        [`${metric},${filter}`, value],
        [`${metric}_stderr,${filter}`, stderr ?? 'N/A'],
      ];
    }),
  );
}

/** What stands under a task's name in each part of the file. */
interface TaskPart {
  name: string;
  result: Record<string, unknown>;
  config: Record<string, unknown>;
  samples: { original: number | null; effective: number };
}

function taskConfig(name: string, run: ExportedRun, names: Names): Record<string, unknown> {
  const { summary, recipe, config, shots } = run;
  const { dataset, recipe: asked } = summary;
  const kwargs = generationKwargs(run);
  return {
    task: name,
    dataset_path: dataset.dataset_id,
    dataset_name: dataset.subset_name,
    test_split: dataset.split,
    fewshot_split: asked.num_fewshot > 0 && recipe.recipe.fixed_shots === undefined ? shots : null,
    num_fewshot: asked.num_fewshot,
    output_type: names.outputType ?? OUTPUT_TYPES[recipe.verb],
    ...(kwargs === null ? {} : { generation_kwargs: kwargs }),
    repeats: config.scoring.samples_per_prompt,
    metric_list: Object.keys(summary.metrics).map((ours) => ({
      metric: names.metric(ours).metric,
      higher_is_better: isHigherBetter(ours, summary),
    })),
    metadata: {
      version: summary.version,
      nanoeval_task: summary.task,
      recipe: asked.name,
      strategy: asked.strategy,
      recipe_sha256: asked.sha256,
      chat_template: asked.chat_template,
      revision: dataset.commit,
    },
  };
}

function taskPart(name: string, alias: string, run: ExportedRun, names: Names, subject: string | null): TaskPart {
  const { summary } = run;
  const metrics = subject === null ? summary.metrics : summary.subjects[subject]!;
  const effective = metrics[summary.primary.name]?.n ?? 0;
  const { subset_size, sample, shard } = summary.selection;
  const isWhole = subset_size == null && sample == null && shard == null && summary.health.failed === 0;
  const inSubject = isWhole && run.config.scoring.samples_per_prompt === 1 ? effective : null;
  return {
    name,
    result: { name, alias, sample_len: effective, ...keyed(metrics, names, run) },
    config: taskConfig(name, run, names),
    samples: { original: subject === null ? summary.dataset.num_rows : inSubject, effective },
  };
}

/** A run with subjects: a task for each, under the groups that they belong to, under the run's own name. */
function groupsOf(run: ExportedRun, names: Names) {
  const { summary } = run;
  const subjectsOf = (group: string) =>
    Object.keys(summary.subjects).filter((subject) => summary.subject_groups[subject] === group);
  const groups = Object.keys(summary.groups).filter((group) => subjectsOf(group).length > 0);
  const inGroups = groups.flatMap(subjectsOf);
  const alone = Object.keys(summary.subjects).filter((subject) => !inGroups.includes(subject));
  const part = (name: string, alias: string, metrics: Record<string, Estimate>) => ({
    name,
    alias,
    sample_len: metrics[summary.primary.name]?.n ?? 0,
    ...keyed(metrics, names, run),
  });
  return {
    results: Object.fromEntries([
      [names.task, part(names.task, names.task, summary.metrics)],
      ...groups.map((group) => [names.group(group), part(names.group(group), group, summary.groups[group]!)]),
    ]) as Record<string, Record<string, unknown>>,
    subtasks: Object.fromEntries([
      [names.task, [...groups.map(names.group), ...alone.map(names.subject)]],
      ...groups.map((group) => [names.group(group), subjectsOf(group).map(names.subject)]),
    ]) as Record<string, string[]>,
  };
}

/** A value that all runs share; null where they differ. */
function shared<T>(runs: readonly ExportedRun[], of: (run: ExportedRun) => T): T | null {
  const [first, ...others] = runs.map(of);
  return others.every((one) => JSON.stringify(one) === JSON.stringify(first)) ? first! : null;
}

/** Sorted by name, as the harness has them. */
const sorted = (entries: readonly (readonly [string, unknown])[]) =>
  Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));

function configOf(runs: readonly ExportedRun[]) {
  const { model } = runs[0]!.summary;
  const { revision = null, commit = null } = model.source as { revision?: string | null; commit?: string | null };
  return {
    model: 'nanoeval',
    model_args: { pretrained: model.label, revision, dtype: model.variant, backend: model.backend },
    model_dtype: model.variant,
    model_revision: revision,
    model_sha: commit,
    batch_size: null,
    batch_sizes: [],
    device: shared(runs, ({ config }) => config.model.device),
    use_cache: null,
    limit: shared(runs, ({ summary }) => summary.selection.subset_size ?? null),
    bootstrap_iters: null,
    gen_kwargs: null,
    random_seed: shared(runs, ({ summary }) => summary.selection.seed ?? null),
    numpy_seed: null,
    torch_seed: null,
    fewshot_seed: null,
  };
}

/** The results file of runs on one checkpoint. `folder`: what the checkpoint's folder is called. Pure. */
export function resultsJson(runs: readonly ExportedRun[], folder: string): Record<string, unknown> {
  const names = namesOf(runs);
  const parts = runs.flatMap((run, i) => {
    const own = names[i]!;
    const subjects = Object.keys(run.summary.subjects);
    if (subjects.length === 0) return [{ run, names: own, ...taskPart(own.task, own.task, run, own, null) }];
    return subjects.map((one) => ({ run, names: own, ...taskPart(own.subject(one), one, run, own, one) }));
  });
  const grouped = runs.flatMap((run, i) =>
    Object.keys(run.summary.subjects).length === 0 ? [] : [{ run, ...groupsOf(run, names[i]!) }],
  );
  const groups = Object.assign({}, ...grouped.map(({ results }) => results)) as Record<string, object>;
  const all = [
    ...parts.map(({ run, names: own, name }) => ({ run, own, name })),
    ...grouped.flatMap(({ run, results }) =>
      Object.keys(results).map((name) => ({ run, own: names[runs.indexOf(run)]!, name })),
    ),
  ];
  const { model, tool } = runs[0]!.summary;
  const directions = ({ summary }: ExportedRun, own: Names) =>
    Object.fromEntries(
      Object.keys(summary.metrics).map((ours) => [own.metric(ours).metric, isHigherBetter(ours, summary)]),
    );
  const chat = shared(runs, ({ summary }) => summary.recipe.chat_template) === true;
  const seconds = runs.reduce((sum, { summary }) => sum + summary.timing.seconds, 0);
  const started = Math.min(...runs.map(({ summary }) => Date.parse(summary.timing.started)));
  return {
    results: { ...groups, ...Object.fromEntries(parts.map(({ name, result }) => [name, result])) },
    ...(grouped.length === 0 ? {} : { groups }),
    group_subtasks: Object.assign({}, ...grouped.map(({ subtasks }) => subtasks)),
    configs: sorted(parts.map(({ name, config }) => [name, config])),
    versions: sorted(all.map(({ name, run }) => [name, run.summary.version])),
    'n-shot': sorted(all.map(({ name, run }) => [name, run.summary.recipe.num_fewshot])),
    higher_is_better: sorted(all.map(({ name, run, own }) => [name, directions(run, own)])),
    'n-samples': Object.fromEntries(parts.map(({ name, samples }) => [name, samples])),
    config: configOf(runs),
    git_hash: tool.git_commit,
    date: started / 1000,
    pretty_env_info: null,
    transformers_version: null,
    lm_eval_version: null,
    upper_git_hash: null,
    max_length: model.max_length,
    task_hashes: {},
    model_source: 'nanoeval',
    model_name: model.label,
    model_name_sanitized: folder,
    system_instruction: null,
    system_instruction_sha: null,
    fewshot_as_multiturn: chat,
    chat_template: null,
    chat_template_sha: chat ? model.chat_template_sha256 : null,
    total_evaluation_time_seconds: String(seconds),
    nanoeval_version: tool.version,
  };
}
