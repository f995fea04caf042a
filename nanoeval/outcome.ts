/** What a run leaves behind besides its rows: run.json's record, summary, table and chart. */
import { join } from 'node:path';
import type { TaskConfig } from './config.ts';
import { sha256 } from './hash.ts';
import { strip } from './python_text.ts';
import type { ResolvedRecipe } from './recipe.ts';
import { describeHost, describeTool } from './report/host.ts';
import { readJournal } from './report/journal.ts';
import { type Health, tableRows, writeJson, writeWhole } from './report/summary.ts';
import { metricsCsv } from './report/table.ts';
import type { Run, Splits } from './run.ts';
import type { Model, ScoredRow, Scores } from './types.ts';

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

/** Raised by hand when a change of the code changes a prompt or how it is scored without touching a recipe's data. */
const PREDICT_VERSION = 1;

/** What identifies a run. The fingerprint covers all of it that decides a prediction. */
export async function describeRun(run: Run, { split, shots }: Splits, task: string) {
  const { config, recipe, model } = run;
  const settings = { strategy: recipe.strategy, num_fewshot: recipe.numFewshot, chat_template: run.chat };
  const identity = {
    task,
    version: PREDICT_VERSION,
    recipe: { name: recipe.name, ...settings, sha256: sha256(JSON.stringify([recipe.recipe, settings])) },
    model: model.identity,
    dataset: {
      dataset_id: split.dataset_id,
      revision: split.revision,
      commit: split.commit,
      subset_name: split.subset_name,
      split: split.split,
      num_rows: await split.numRows(),
      files: split.files,
    },
    shots: shots === null ? null : { split: shots.split, files: shots.files },
    selection: { ...pickSelection(config.dataset), seed: config.scoring.seed },
    engine: model.engine,
  };
  const fingerprint = sha256(JSON.stringify([identity, config.scoring]));
  return { fingerprint, ...identity, config, tool: describeTool(), host: describeHost() };
}

function pickSelection(dataset: TaskConfig['dataset']): Record<string, unknown> {
  const own: Record<string, unknown> = dataset;
  return Object.fromEntries(['subset_size', 'sample', 'subjects'].map((key) => [key, own[key] ?? null]));
}

/** Names of subjects and groups that the config asks for; none where it asks for all. */
function askedSubjects(dataset: object): string[] {
  if (!('subjects' in dataset) || dataset.subjects === undefined) return [];
  return [dataset.subjects].flat().map(String);
}

/** Everything that follows from predictions.jsonl and run.json. */
export async function writeReport<C extends TaskConfig>(
  task: {
    name: string;
    subsetOfEachSubject?: boolean;
    summarize(rows: readonly ScoredRow[], recipe: ResolvedRecipe): Scores;
  },
  run: Run<C>,
  record: Awaited<ReturnType<typeof describeRun>>,
  { started, stats }: { started: Date; stats: Record<string, number | null> },
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
    const { choices: _choices, output: _output, prompt: _prompt, ...slim } = row;
    rows.push(slim);
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
  for (const name of askedSubjects(run.config.dataset)) {
    if (!rows.some((row) => row.subject === name || row.group === name))
      faults.push(`dataset.subjects: no row of ${name}`);
  }
  if (rows.length === 0) faults.push(`no row could be scored; the first: ${firstFailure}`);
  const scores = rows.length === 0 ? null : task.summarize(rows, run.recipe);
  const finished = new Date();
  const seconds = (finished.getTime() - started.getTime()) / 1000;
  const summary = {
    task: task.name,
    status: faults.length === 0 ? 'complete' : 'invalid',
    faults,
    ...(scores ?? { primary_metric: run.recipe.primary, metrics: {} }),
    health,
    timing: {
      started: started.toISOString(),
      finished: finished.toISOString(),
      seconds,
      rows_per_second: health.rows / seconds,
    },
    fingerprint: record.fingerprint,
    recipe: record.recipe,
    model: record.model,
    dataset: record.dataset,
    selection: record.selection,
    engine: { ...record.engine, remarks: engineRemarks(run.model, stats), ...stats },
    tool: record.tool,
    host: record.host,
  };
  writeJson(at(report.summary_filename), summary);
  const files = [at('run.json'), at(report.predictions_filename), at(report.summary_filename)];
  if (scores !== null && report.save_table) {
    writeWhole(at(report.table_filename), metricsCsv(tableRows(scores)));
    files.push(at(report.table_filename));
  }
  if (scores !== null && report.save_plot)
    files.push(...(await writeChart(run, scores, health.rows - health.failed, task.subsetOfEachSubject === true)));
  return { task: task.name, recipe: run.recipe.name, scores, health, faults, summary, files };
}

/** How rows were computed, where that bears on the numbers. */
function engineRemarks({ engineRemarks }: Model, { halved_runs }: Record<string, number | null>): string[] {
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

async function writeChart(run: Run, scores: Scores, n: number, ofEachSubject: boolean): Promise<string[]> {
  // Vega is the slowest import of all; only a run that gets here waits for it.
  const { drawChart } = await import('./report/chart.ts');
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
    rows: tableRows(scores),
  });
  const png = join(config.report.output_dir, config.report.plot_filename);
  const svg = png.replace(/(\.png)?$/, '.svg');
  writeWhole(png, chart.png);
  writeWhole(svg, chart.svg);
  return [png, svg];
}

function chartDetails({ model, config, recipe, chat }: Run, ofEachSubject: boolean): string[] {
  const { subset_size, sample } = config.dataset;
  return [
    model.identity.dtype,
    `${recipe.numFewshot}-shot`,
    recipe.strategy,
    ...(chat ? ['chat template'] : []),
    ...(subset_size === undefined ? [] : [`first ${subset_size} rows${ofEachSubject ? ' of each subject' : ''}`]),
    ...(sample === undefined ? [] : [`${sample} rows drawn with seed ${config.scoring.seed}`]),
  ];
}
