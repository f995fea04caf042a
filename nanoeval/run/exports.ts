/**
 * Files for other programs, from what a run leaves behind: its rows and its summary. They follow from these two, their names too:
 * a finished run that is looked at again writes the same files.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ExportFormat } from '../config/exports.ts';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { FailedRow, ScoredRow } from '../questions.ts';
import { type EvalResult, evalResult, evalResultsYaml } from '../report/exports/eval_results.ts';
import { asFileName, type ExportedRun } from '../report/exports/exported.ts';
import { exportCases, goneCase, isByRow } from '../report/exports/junit.ts';
import { dateId, resultsJson, sanitizedModel } from '../report/exports/lm_eval.ts';
import { namesOf } from '../report/exports/lm_eval_names.ts';
import { sampleLines } from '../report/exports/lm_eval_samples.ts';
import { junitXml } from '../report/junit.ts';
import type { Task } from '../task.ts';
import { openWhole, type WholeFile, writeJson, writeWhole } from './files.ts';
import { type JournalRow, readJournal } from './journal.ts';
import type { RunResult } from './outcome.ts';
import { keyOf, whyNot } from './result_file.ts';
import { slimRow } from './tally.ts';

/** Names of what exports write into a folder. */
export const EXPORTED = ['lm_eval', '.eval_results', 'junit.xml'] as const;

/** A run that is to be exported, or a task that has none, for `error`. */
export interface ToExport {
  name: string;
  task: Pick<Task, 'name' | 'shots'>;
  config: TaskConfig;
  recipe: ResolvedRecipe;
  result: Pick<RunResult, 'summary' | 'shortfall'> | null;
  error: string | null;
}

/** What was written, and what is to be said of what was not. */
export interface Exported {
  files: string[];
  notes: string[];
}

const rowsOf = ({ config: { report } }: ExportedRun) =>
  readJournal(join(report.output_dir, report.predictions_filename));

function exportedRun({ name, task, config, recipe, result }: ToExport): ExportedRun | null {
  if (result === null) return null;
  const { summary, shortfall } = result;
  return { name, config, recipe, shots: task.shots?.split ?? null, summary, shortfall };
}

/** Runs on one checkpoint, and what its files are called. */
interface Group {
  runs: ExportedRun[];
  /** As the harness calls the folder of a model; the variant behind it where two of one name stand together. */
  folder: string;
}

/** Runs that may be published, by checkpoint, and the lines that say which may not. */
function groupsOf(given: readonly ToExport[]): { groups: Group[]; left: string[] } {
  const left: string[] = [];
  const byKey = new Map<string, ExportedRun[]>();
  for (const one of given) {
    const run = exportedRun(one);
    const why = whyNot({ summary: one.result?.summary ?? null, error: one.error });
    if (run === null || why !== null) {
      left.push(`${one.name}: ${why ?? 'it has no summary'}`);
      continue;
    }
    const key = keyOf({ model: null, summary: one.result!.summary });
    byKey.set(key, [...(byKey.get(key) ?? []), run]);
  }
  const all = [...byKey.values()];
  const labels = all.map(([first]) => sanitizedModel(first!.summary.model.label));
  const groups = all.map((runs, i) => {
    const isAlone = labels.filter((label) => label === labels[i]).length === 1;
    return { runs, folder: isAlone ? labels[i]! : `${labels[i]}__${runs[0]!.summary.model.variant ?? i + 1}` };
  });
  return { groups, left };
}

/** The samples of one checkpoint's runs, a file for each task. Nothing is left behind where it fails. */
async function writeSamples(folder: string, date: string, runs: readonly ExportedRun[]): Promise<string[]> {
  const names = namesOf(runs);
  const files = new Map<string, WholeFile>();
  const fileOf = (task: string): WholeFile => {
    const known = files.get(task) ?? openWhole(join(folder, `samples_${task}_${date}.jsonl`));
    files.set(task, known);
    return known;
  };
  try {
    for (const [i, run] of runs.entries())
      for await (const row of rowsOf(run)) {
        if ('error' in row || row.metrics === undefined) continue;
        const { task, lines } = sampleLines(row as ScoredRow, run, names[i]!);
        for (const line of lines) fileOf(task).add(line);
      }
    for (const file of files.values()) file.finish();
  } finally {
    for (const file of files.values()) file.drop();
  }
  return [...files.values()].map(({ path }) => path);
}

/** Removes the results of ours, with their samples, that an earlier state of the same runs left below a folder. */
function removeEarlier(root: string, kept: readonly string[]): void {
  if (!existsSync(root)) return;
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(root, entry.name);
    const names = readdirSync(folder);
    for (const name of names) {
      const [, date] = /^results_(\d{4}-[\d.T-]+)\.json$/.exec(name) ?? [];
      if (date === undefined || kept.includes(join(folder, name)) || !isOurs(join(folder, name))) continue;
      for (const one of [name, ...names.filter((other) => other.endsWith(`_${date}.jsonl`))])
        if (!kept.includes(join(folder, one))) rmSync(join(folder, one), { force: true });
    }
  }
}

function isOurs(path: string): boolean {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { model_source?: unknown }).model_source === 'nanoeval';
  } catch {
    // Of somebody else: ours are written whole.
    return false;
  }
}

async function writeLmEval(root: string, groups: readonly Group[]): Promise<string[]> {
  const files: string[] = [];
  for (const { runs, folder } of groups) {
    const at = join(root, 'lm_eval', folder);
    const date = dateId(runs);
    const results = join(at, `results_${date}.json`);
    files.push(results, ...(await writeSamples(at, date, runs)));
    // Last: where the results are, all samples are.
    writeJson(results, resultsJson(runs, folder));
  }
  removeEarlier(join(root, 'lm_eval'), files);
  return files;
}

/** One YAML file for each checkpoint, in place of what an earlier state of the runs left there. */
function writeEvalResults(root: string, title: string, groups: readonly Group[]): Exported {
  const at = (name: string) => join(root, '.eval_results', `${asFileName(name)}.yaml`);
  const files: string[] = [];
  const notes: string[] = [];
  rmSync(at(title), { force: true });
  for (const { runs, folder } of groups) {
    const path = at(groups.length === 1 ? title : `${title}_${folder}`);
    const results: EvalResult[] = [];
    for (const run of runs) {
      const item = evalResult(run);
      if (typeof item === 'string') notes.push(`eval_results leaves out ${run.name}: ${item}`);
      else results.push(item);
    }
    rmSync(path, { force: true });
    if (results.length === 0) continue;
    writeWhole(path, evalResultsYaml(results));
    files.push(path);
  }
  return { files, notes };
}

async function writeJunit(root: string, given: readonly ToExport[]): Promise<string> {
  const cases = [];
  for (const one of given) {
    const run = exportedRun(one);
    if (run === null) {
      cases.push(goneCase(one.name, one.error ?? 'it has no summary'));
      continue;
    }
    const rows: ScoredRow[] = [];
    const failed: FailedRow[] = [];
    const add = (row: JournalRow) => {
      const { row: slim } = slimRow(row);
      if ('error' in slim) failed.push(slim);
      else rows.push(slim as ScoredRow);
    };
    if (isByRow(run)) for await (const row of rowsOf(run)) add(row);
    cases.push(...exportCases(run, rows, failed));
  }
  const path = join(root, 'junit.xml');
  writeWhole(path, junitXml('nanoeval', cases));
  return path;
}

/**
 * Writes what is asked for into a folder: of one run, or of several together. `title`: names the YAML file. Throws OutsideError
 * when the disk refuses.
 */
export async function writeExports(
  root: string,
  title: string,
  formats: readonly ExportFormat[],
  given: readonly ToExport[],
): Promise<Exported> {
  const files: string[] = [];
  const notes: string[] = [];
  const { groups, left } = groupsOf(given);
  for (const format of new Set(formats)) {
    if (format === 'junit') {
      files.push(await writeJunit(root, given));
      continue;
    }
    notes.push(...left.map((one) => `${format} leaves out ${one}`));
    if (format === 'lm_eval') files.push(...(await writeLmEval(root, groups)));
    else {
      const written = writeEvalResults(root, title, groups);
      files.push(...written.files);
      notes.push(...written.notes);
    }
  }
  return { files, notes };
}

/**
 * A run's own exports (`report.exports`), into its folder; its result with the files that it has more. A task that writes a
 * `junit.xml` itself keeps that one.
 */
export async function withExports(
  task: Pick<Task, 'name' | 'shots' | 'files'>,
  config: TaskConfig,
  recipe: ResolvedRecipe,
  result: RunResult,
): Promise<{ result: RunResult; notes: string[] }> {
  const formats = config.report.exports.filter((one) => one !== 'junit' || task.files?.['junit.xml'] === undefined);
  if (formats.length === 0) return { result, notes: [] };
  const given = { name: task.name, task, config, recipe, result, error: null };
  const { files, notes } = await writeExports(config.report.output_dir, task.name, formats, [given]);
  return { result: { ...result, files: [...result.files, ...files] }, notes };
}
