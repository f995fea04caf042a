/** What a run leaves behind besides its rows and its record: summary, table and chart. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { Model } from '../questions.ts';
import { failuresOf } from '../report/failures.ts';
import {
  artefactNames,
  CONFUSION_PLOT,
  CONFUSION_TABLE,
  type Failures,
  type Generation,
  type Health,
  PAGE_FILE,
  SCORES_FILE,
  type SummaryScores,
  tableRows,
} from '../report/summary.ts';
import { confusionCsv, metricsCsv, scoresCsv } from '../report/table.ts';
import { seedScores, summed, withSamples } from '../score/samples.ts';
import type { Task } from '../task.ts';
import { type Confusion, FORMAT, type Scores } from '../types.ts';
import { barsInput, confusionInput } from './charts.ts';
import type { Determinism } from './determinism.ts';
import { writeJson, writeWhole } from './files.ts';
import type { Earlier } from './journal.ts';
import type { RunRecord } from './record.ts';
import { isUnread, type Tally } from './tally.ts';

/** What summary.json holds. */
export interface Summary
  extends SummaryScores,
    Pick<
      RunRecord,
      'fingerprint' | 'recipe' | 'model' | 'dataset' | 'selection' | 'scoring' | 'version' | 'tool' | 'host'
    > {
  format: number;
  task: string;
  status: 'complete' | 'unscored' | 'invalid';
  /** Why the run is invalid; empty when it is not. */
  faults: string[];
  health: Health;
  /** What became of generated answers. */
  generation?: Generation;
  /** Rows that are wrong and say why. */
  failures?: Failures;
  timing: {
    started: string;
    finished: string;
    seconds: number;
    rows_computed: number;
    rows_per_second: number;
  };
  /** As in run.json. */
  scored_with?: readonly string[];
  /** What is to be said of the run besides. */
  notes?: readonly string[];
  /** How rows were computed: settings, form, remarks and counters. */
  engine: { remarks: string[] } & Record<string, unknown>;
  determinism: Determinism | null;
}

export interface RunResult {
  task: string;
  recipe: string;
  /** null where no row has a verdict. */
  scores: Scores | null;
  summary: Summary;
  /** Why the run, valid as it is, does not do (`run.require`); null where it does. */
  shortfall: string | null;
  /** The files written. */
  files: string[];
}

/** What a report is made from besides the rows. */
export interface Reported {
  task: Pick<Task, 'name' | 'subjects' | 'summarize' | 'files'>;
  config: TaskConfig;
  recipe: ResolvedRecipe;
  record: RunRecord;
  model: Pick<Model, 'remarks'>;
}

/** What this process did for the run. */
export interface Spent {
  started: Date;
  stats: Record<string, number | null>;
  determinism: Determinism | null;
  /** Rows that this process computed. */
  computed: number;
  notes?: readonly string[];
  /** Writes report.html where the config asks for it. Returns the files. */
  page?: (summary: Summary) => Promise<string[]>;
}

/** Writes everything that follows from the rows and the record; the summary last: a run that has one has all its files. */
export async function writeReport(reported: Reported, tally: Tally, spent: Spent): Promise<RunResult> {
  const { task, config, recipe } = reported;
  const { report } = config;
  const { rows } = tally;
  const scores = scoresOf(reported, tally);
  const at = (name: string) => join(report.output_dir, name);
  const files = [at('run.json'), at(report.predictions_filename), at(report.summary_filename)];
  if (scores !== null && report.save_table) {
    writeWhole(at(report.table_filename), metricsCsv(tableRows(scores)));
    files.push(at(report.table_filename));
  }
  if (scores !== null && report.save_plot)
    files.push(...(await writeChart(reported, scores, tally.health.rows - tally.health.failed)));
  if (scores?.confusion !== undefined) files.push(...(await writeConfusion(reported, scores.confusion)));
  if (config.scoring.reduce === 'none') {
    writeWhole(at(SCORES_FILE), scoresCsv(rows));
    files.push(at(SCORES_FILE));
  }
  for (const [name, textOf] of Object.entries(config.run.score ? (task.files ?? {}) : {})) {
    writeWhole(at(name), textOf(rows, tally.failed, recipe));
    files.push(at(name));
  }
  const summary = summaryOf(reported, tally, scores, spent);
  if (spent.page !== undefined) files.push(...(await spent.page(summary)));
  writeJson(at(report.summary_filename), summary);
  const shortfall = shortfallOf(recipe.required, summary);
  return { task: task.name, recipe: recipe.name, scores, summary, shortfall, files };
}

/** The task's means, reduced as the config asks. */
function scoresOf({ task, config, recipe }: Reported, { rows }: Tally): SummaryScores | null {
  if (rows.length === 0) return null;
  const means = withSamples(task.summarize(rows, recipe), rows);
  const { primary, metrics } = means;
  if (metrics[primary.name] === undefined) {
    const found = Object.keys(metrics).join(', ') || 'nothing';
    throw new Error(
      `run_${task.name}.ts: score and summarize give no ${primary.name}, which is primary. They give: ${found}.`,
    );
  }
  const { reduce } = config.scoring;
  return {
    ...(reduce === 'sum' ? summed(means) : means),
    ...(seedScores(rows, (own) => task.summarize(own, recipe)) ?? {}),
    ...(reduce === 'mean' ? {} : { reduce }),
  };
}

function summaryOf(
  { task, config, recipe, record, model }: Reported,
  tally: Tally,
  scores: SummaryScores | null,
  { started, stats, determinism, computed, notes = [] }: Spent,
): Summary {
  const finished = new Date();
  const seconds = (finished.getTime() - started.getTime()) / 1000;
  const faults = tally.faults(config);
  const failures = failuresOf(tally.rows);
  const { generation } = tally;
  const { primary: name, unit, better } = recipe;
  const none: Scores = {
    primary: { name, unit, better, chance: null },
    metrics: {},
    groups: {},
    subjects: {},
    subject_groups: {},
  };
  return {
    format: FORMAT,
    task: task.name,
    status: faults.length > 0 ? 'invalid' : config.run.score ? 'complete' : 'unscored',
    faults,
    ...(scores ?? none),
    health: tally.health,
    ...(generation === null ? {} : { generation }),
    ...(failures === null ? {} : { failures }),
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
    ...(record.template_date === undefined ? {} : { template_date: record.template_date }),
    selection: record.selection,
    scoring: record.scoring,
    version: record.version,
    ...(record.scored_with === undefined ? {} : { scored_with: record.scored_with }),
    ...(notes.length === 0 ? {} : { notes }),
    engine: { ...record.engine, ...record.computed, remarks: remarksOn(model, stats), ...stats },
    determinism,
    tool: record.tool,
    host: record.host,
  };
}

/**
 * Why the primary metric is not what it has to be; null where it is, where nothing is asked of it and where there is none. A
 * sum over rows is judged as the mean that it is of.
 */
export function shortfallOf(
  required: number | null,
  { primary: { name, better }, metrics, reduce, pooled = [] }: SummaryScores,
): string | null {
  const found = metrics[name];
  if (required === null || found === undefined) return null;
  const value = reduce === 'sum' && !pooled.includes(name) ? found.value / found.n : found.value;
  if (better === 'higher' ? value >= required : value <= required) return null;
  return `${name} is ${Number(value.toFixed(4))}, and ${required} at ${better === 'higher' ? 'least' : 'most'} is required (run.require)`;
}

/**
 * The result of a run that is finished, from its summary; null when there is something left to do. `own`: the files that the
 * task writes besides, and what its primary metric has to reach.
 */
export function finishedRun(
  config: TaskConfig,
  record: RunRecord,
  earlier: Earlier,
  own: { files?: object | undefined; required?: number | null } = {},
): RunResult | null {
  const { report } = config;
  if (earlier.failed.size > 0) return null;
  let summary: Partial<Summary>;
  try {
    summary = JSON.parse(readFileSync(join(report.output_dir, report.summary_filename), 'utf8'));
  } catch {
    // Not there yet, or torn by hand: it is made again from the rows.
    return null;
  }
  const { health, format, fingerprint } = summary;
  if (format !== FORMAT || fingerprint !== record.fingerprint || health === undefined) return null;
  // A summary of before it counted questions is made again.
  if (health.questions === undefined || health.failed > 0 || health.rows !== earlier.scored.size) return null;
  const whole = summary as Summary;
  const scores = Object.keys(whole.metrics).length > 0 ? whole : null;
  if (saysOther(config, whole) || (scores !== null && lacksFile(config, whole, own.files))) return null;
  const files = artefactNames(report, own.files)
    .map((name) => join(report.output_dir, name))
    .filter(existsSync);
  const shortfall = shortfallOf(own.required ?? null, whole);
  return { task: record.task, recipe: record.recipe.name, scores, summary: whole, shortfall, files };
}

/** The config asks of the same rows what the summary does not say: another reduction, another limit. */
function saysOther({ run, scoring }: TaskConfig, { reduce, health, faults }: Summary): boolean {
  const wasUnread = faults.some((fault) => fault.includes('run.max_unparsed'));
  return (reduce ?? 'mean') !== scoring.reduce || isUnread(health, run) !== wasUnread;
}

/** A file that the config asks for is not there: it has another name now, or was not wanted before. */
function lacksFile({ report, scoring, run }: TaskConfig, { confusion }: Summary, own: object = {}): boolean {
  const wanted = [
    ...(report.save_table ? [report.table_filename] : []),
    ...(report.save_plot ? [report.plot_filename] : []),
    ...(confusion !== undefined && report.save_table ? [CONFUSION_TABLE] : []),
    ...(confusion !== undefined && report.save_plot ? [CONFUSION_PLOT] : []),
    ...(scoring.reduce === 'none' ? [SCORES_FILE] : []),
    ...(report.page ? [PAGE_FILE] : []),
    ...(run.score ? Object.keys(own) : []),
  ];
  return wanted.some((name) => !existsSync(join(report.output_dir, name)));
}

/** How rows were computed, where that bears on the numbers. */
function remarksOn({ remarks }: Pick<Model, 'remarks'>, { halved_passes }: Record<string, number | null>): string[] {
  if (!halved_passes) return [...remarks];
  const retreat = `out of memory: ${halved_passes} forward passes were halved, which moves a log-likelihood by rounding`;
  return [...remarks, retreat];
}

/** Draws the chart of the primary metric. Returns the two files. */
async function writeChart(reported: Reported, scores: Scores, n: number): Promise<string[]> {
  // Vega is the slowest import of all; only a run that gets here waits for it.
  const { drawChart } = await import('../report/chart.ts');
  const { config } = reported;
  const chart = await drawChart(barsInput(reported, scores, n));
  return writePicture(join(config.report.output_dir, config.report.plot_filename), chart);
}

function writePicture(png: string, picture: { png: Uint8Array; svg: string }): string[] {
  const svg = png.replace(/(\.png)?$/, '.svg');
  writeWhole(png, picture.png);
  writeWhole(svg, picture.svg);
  return [png, svg];
}

/** The matrix as a table and as a picture, where the config wants tables and charts. Returns the files. */
async function writeConfusion(reported: Reported, confusion: Confusion): Promise<string[]> {
  const { output_dir, save_table, save_plot } = reported.config.report;
  const files: string[] = [];
  if (save_table) {
    writeWhole(join(output_dir, CONFUSION_TABLE), confusionCsv(confusion));
    files.push(join(output_dir, CONFUSION_TABLE));
  }
  if (!save_plot) return files;
  const { drawConfusion } = await import('../report/chart.ts');
  const picture = await drawConfusion(confusionInput(reported, confusion));
  return [...files, ...writePicture(join(output_dir, CONFUSION_PLOT), picture)];
}
