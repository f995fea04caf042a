/** What a run leaves behind besides its rows: run.json's record, summary, table and chart. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import { artefactNames, type Health, SCORES_FILE, tableRows } from '../report/summary.ts';
import { metricsCsv, scoresCsv } from '../report/table.ts';
import { seedScores, summed, withSamples } from '../score/samples.ts';
import { strip } from '../text/python_text.ts';
import type { Model, ScoredRow, Scores } from '../types.ts';
import type { Run } from './ask.ts';
import type { Determinism } from './determinism.ts';
import { writeJson, writeWhole } from './files.ts';
import { type Earlier, readJournal } from './journal.ts';
import type { RunRecord } from './record.ts';

export interface RunResult {
  task: string;
  recipe: string;
  scores: Scores | null;
  health: Health;
  /** Why the run is invalid; empty when it is not. */
  faults: string[];
  /** What summary.json holds. */
  summary: Record<string, unknown>;
  /** The files written. */
  files: string[];
}

/** Names of subjects and groups that the config asks for; none where it asks for all. */
function askedSubjects(dataset: object): string[] {
  if (!('subjects' in dataset) || dataset.subjects === undefined) return [];
  return [dataset.subjects].flat().map(String);
}

/** What the report says of a run besides its rows. */
export interface Reported<C extends TaskConfig> extends Pick<Run<C>, 'config' | 'recipe' | 'chat'> {
  model: Pick<Model, 'identity' | 'engineRemarks'>;
}

/** What this process did for the run. */
export interface Spent {
  started: Date;
  stats: Record<string, number | null>;
  determinism: Determinism | null;
  /** Rows that this process computed. */
  computed: number;
  /** What is to be said of the run besides. */
  notes?: readonly string[];
}

/** Everything that follows from predictions.jsonl and run.json. */
export async function writeReport<C extends TaskConfig>(
  task: {
    name: string;
    subsetOfEachSubject?: boolean;
    summarize(rows: readonly ScoredRow[], recipe: ResolvedRecipe): Scores;
  },
  run: Reported<C>,
  record: RunRecord,
  { started, stats, determinism, computed, notes = [] }: Spent,
): Promise<RunResult> {
  const { report, run: limits } = run.config;
  const at = (name: string) => join(report.output_dir, name);
  const health: Health = { rows: 0, failed: 0, unparsed: 0, truncated: 0, empty: 0 };
  const rows: ScoredRow[] = [];
  let firstFailure = '';
  for await (const row of readJournal(at(report.predictions_filename))) {
    health.rows += 1;
    if ('error' in row) {
      health.failed += 1;
      firstFailure ||= `row ${row.index} (id ${row.id}): ${row.error.message}`;
      continue;
    }
    if (row.prediction === null) health.unparsed += 1;
    if (row.truncated) health.truncated += 1;
    if (row.output !== undefined && strip(row.output) === '') health.empty += 1;
    // The texts and the choices are not needed any more: 14,042 rows stay small.
    const { choices: _choices, output: _output, prompt: _prompt, tokens: _ids, prompt_tokens: _more, ...slim } = row;
    if (slim.metrics !== undefined) rows.push(slim as ScoredRow);
  }
  const faults = [];
  if (health.failed / health.rows > limits.max_failed) {
    faults.push(
      `${health.failed} of ${health.rows} rows failed, more than run.max_failed ${limits.max_failed}; the first: ${firstFailure}`,
    );
  }
  if (health.unparsed / health.rows > limits.max_unparsed) {
    faults.push(
      `${health.unparsed} of ${health.rows} answers without a choice, more than run.max_unparsed ${limits.max_unparsed}`,
    );
  }
  // A shard is a block of the rows: it need not hold every subject.
  const isWhole = limits.score && limits.shard === undefined;
  for (const name of isWhole ? askedSubjects(run.config.dataset) : []) {
    if (!rows.some((row) => row.subject === name || row.group === name))
      faults.push(`dataset.subjects: no row of ${name}`);
  }
  const { score } = limits;
  if (rows.length === 0 && (score || health.failed === health.rows) && (isWhole || health.rows > 0))
    faults.push(`no row could be scored; the first: ${firstFailure}`);
  const means = rows.length === 0 ? null : withSamples(task.summarize(rows, run.recipe), rows);
  const { reduce } = run.config.scoring;
  const scores = means !== null && reduce === 'sum' ? summed(means) : means;
  const seeds = seedScores(rows);
  const finished = new Date();
  const seconds = (finished.getTime() - started.getTime()) / 1000;
  const summary = {
    task: task.name,
    status: faults.length > 0 ? 'invalid' : score ? 'complete' : 'unscored',
    faults,
    ...(scores ?? { primary_metric: run.recipe.primary, metrics: {} }),
    ...(seeds ?? {}),
    ...(reduce === 'mean' ? {} : { reduce }),
    health,
    timing: {
      started: started.toISOString(),
      finished: finished.toISOString(),
      seconds,
      rows_computed: computed,
      rows_per_second: computed / seconds,
    },
    fingerprint: record.fingerprint,
    recipe: record.recipe,
    model: record.model,
    dataset: record.dataset,
    selection: record.selection,
    scoring: record.scoring,
    version: record.version,
    ...(notes.length === 0 ? {} : { notes }),
    engine: { ...record.engine, remarks: engineRemarks(run.model, stats), ...stats },
    determinism,
    tool: record.tool,
    host: record.host,
  };
  const files = [at('run.json'), at(report.predictions_filename), at(report.summary_filename)];
  if (scores !== null && report.save_table) {
    writeWhole(at(report.table_filename), metricsCsv(tableRows(scores)));
    files.push(at(report.table_filename));
  }
  if (scores !== null && report.save_plot)
    files.push(...(await writeChart(run, scores, health.rows - health.failed, task.subsetOfEachSubject === true)));
  if (reduce === 'none') {
    writeWhole(at(SCORES_FILE), scoresCsv(rows));
    files.push(at(SCORES_FILE));
  }
  // Last: a run with a summary has all its files.
  writeJson(at(report.summary_filename), summary);
  return { task: task.name, recipe: run.recipe.name, scores, health, faults, summary, files };
}

/** The result of a run that is finished, from its summary; null when there is something left to do. */
export function finishedRun(task: string, config: TaskConfig, record: RunRecord, earlier: Earlier): RunResult | null {
  const { report } = config;
  if (earlier.failed.size > 0) return null;
  const path = join(report.output_dir, report.summary_filename);
  let summary: Record<string, unknown> & { fingerprint?: string; health?: Health; faults?: string[] };
  try {
    summary = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // Not there yet, or torn by hand: it is made again from the rows.
    return null;
  }
  const { health, faults = [] } = summary;
  if (
    summary.fingerprint !== record.fingerprint ||
    health === undefined ||
    health.failed > 0 ||
    health.rows !== earlier.scored.size
  )
    return null;
  const scores = 'chance' in summary ? (summary as unknown as Scores) : null;
  const files = artefactNames(report).map((name) => join(report.output_dir, name));
  const isStale = saysOther(config, health, faults, summary) || (scores !== null && lacksFile(config));
  if (isStale) return null;
  return { task, recipe: record.recipe.name, scores, health, faults, summary, files: files.filter(existsSync) };
}

/** The config asks of the same rows what the summary does not say: another reduction, another limit. */
function saysOther(
  { run, scoring }: TaskConfig,
  health: Health,
  faults: readonly string[],
  summary: Record<string, unknown>,
): boolean {
  const isUnread = health.unparsed / health.rows > run.max_unparsed;
  return (
    (summary.reduce ?? 'mean') !== scoring.reduce ||
    isUnread !== faults.some((fault) => fault.includes('run.max_unparsed'))
  );
}

/** A file that the config asks for is not there: it has another name now, or was not wanted before. */
function lacksFile({ report, scoring }: TaskConfig): boolean {
  const wanted = [
    ...(report.save_table ? [report.table_filename] : []),
    ...(report.save_plot ? [report.plot_filename] : []),
    ...(scoring.reduce === 'none' ? [SCORES_FILE] : []),
  ];
  return wanted.some((name) => !existsSync(join(report.output_dir, name)));
}

/** How rows were computed, where that bears on the numbers. */
function engineRemarks(
  { engineRemarks }: Pick<Model, 'engineRemarks'>,
  { halved_runs }: Record<string, number | null>,
): string[] {
  if (!halved_runs) return [...engineRemarks];
  const retreat = `out of memory: ${halved_runs} forward passes were halved, which moves a log-likelihood by rounding`;
  return [...engineRemarks, retreat];
}

/** What a reader of the table should know besides: why the run is invalid, and every health counter that is not zero. */
export function remarks({ health, faults }: RunResult): string[] {
  const counted: [number, string][] = [
    [health.failed, 'could not be scored'],
    [health.unparsed, 'have an answer without a choice'],
    [health.truncated, 'lost tokens on the left: longer than the window'],
  ];
  const notes = counted
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} of ${health.rows} rows ${what}`);
  return [...notes, ...faults.map((fault) => `INVALID: ${fault}`)];
}

async function writeChart(
  run: Reported<TaskConfig>,
  scores: Scores,
  n: number,
  ofEachSubject: boolean,
): Promise<string[]> {
  // Vega is the slowest import of all; only a run that gets here waits for it.
  const { drawChart } = await import('../report/chart.ts');
  const { model, config, recipe } = run;
  const title = {
    model: model.identity.model_id,
    task: config.task,
    recipe: recipe.name,
    n,
    details: chartDetails(run, ofEachSubject),
  };
  const chart = await drawChart({
    title,
    metric: scores.primary_metric,
    chance: scores.chance,
    // Dozens of tags would crowd the bars; they stand in the table.
    rows: tableRows(scores).filter(({ level }) => level !== 'tag'),
  });
  const png = join(config.report.output_dir, config.report.plot_filename);
  const svg = png.replace(/(\.png)?$/, '.svg');
  writeWhole(png, chart.png);
  writeWhole(svg, chart.svg);
  return [png, svg];
}

function chartDetails({ model, config, recipe, chat }: Reported<TaskConfig>, ofEachSubject: boolean): string[] {
  const { subset_size, sample } = config.dataset;
  return [
    model.identity.dtype,
    `${recipe.numFewshot}-shot`,
    recipe.strategy,
    ...(chat ? ['chat template'] : []),
    ...(subset_size === undefined ? [] : [`first ${subset_size} rows${ofEachSubject ? ' of each subject' : ''}`]),
    ...(sample === undefined
      ? []
      : [`${sample} rows drawn with seed ${(config.scoring.seeds ?? [config.scoring.seed]).join(', ')}`]),
    ...(config.scoring.temperature === 0 ? [] : [`temperature ${config.scoring.temperature}`]),
    ...(config.run.shard === undefined ? [] : [`shard ${config.run.shard}`]),
  ];
}
