/** What is compared, as it lies on the disk: a run's folder, a suite's, or a baseline's. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { checkFormat } from '../config/file.ts';
import type { Summary } from '../run/outcome.ts';
import { readRuns } from '../run/saved_run.ts';
import { IncomparableError, UserError } from '../types.ts';
import { type ComparedRow, comparedRow } from './columns.ts';
import { readCompact } from './compact.ts';

/** Which of the two runs of a comparison; also the key of the config that names it. */
export type Side = 'baseline' | 'current';

/** One task on one checkpoint. */
export interface ComparedRun {
  /** Its name in the suite, or the task's; with the checkpoint's before it where a suite has several. */
  name: string;
  folder: string;
  summary: Summary;
  /** null for a row that failed. */
  rows(): AsyncGenerator<ComparedRow | null>;
}

/** A folder that was named to be compared. */
export interface ComparedSet {
  /** The suite's name; the task's for a single run. */
  name: string;
  folder: string;
  runs: ComparedRun[];
}

/** The names of a baseline's files. `name` is a task's in its suite, with the checkpoint's folder before it where there are several. */
export const BASELINE_FILE = 'baseline.json';
export const baselineFiles = (name: string) => ({ summary: `${name}.summary.json`, rows: `${name}.rows.jsonl` });

/** What baseline.json holds. */
export interface BaselineIndex {
  format: number;
  suite: string;
  saved: string;
  /** Commit of the repository that it was saved in; null outside of one. */
  git_commit: string | null;
  tasks: string[];
}

/** Opens a folder, whatever it is. Throws UserError (key `side`) for one that holds nothing to compare. */
export async function openSet(folder: string, side: Side): Promise<ComparedSet> {
  if (!existsSync(folder))
    throw new UserError(`${folder}: there is no such folder. Name a run's folder, a suite's or a baseline's.`, {
      key: side,
    });
  if (existsSync(join(folder, BASELINE_FILE))) return openBaseline(folder, side);
  if (existsSync(join(folder, 'suite_summary.json'))) return openSuite(folder, side);
  if (existsSync(join(folder, 'run.json'))) {
    const run = await openRun(folder, null, side);
    return { name: run.summary.task, folder, runs: [run] };
  }
  throw new UserError(
    `${folder}: neither a run (run.json), nor a suite (suite_summary.json), nor a baseline (${BASELINE_FILE}) is in it.`,
    { key: side },
  );
}

function readJson(path: string, side: Side): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    // V8 shows lines of the file in its message.
    const reason = (cause as Error).message.replaceAll(/\s+/g, ' ');
    throw new UserError(`${path}: not JSON: ${reason}.`, { key: side, cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UserError(`${path}: not a JSON object.`, { key: side });
  checkFormat(path, (value as { format?: unknown }).format, { key: side });
  return value as Record<string, unknown>;
}

/** A summary with what a comparison reads of it. */
function readSummary(path: string, side: Side): Summary {
  const summary = readJson(path, side) as Partial<Record<keyof Summary, unknown>>;
  const sections = [
    'recipe',
    'model',
    'dataset',
    'selection',
    'scoring',
    'primary',
    'metrics',
    'health',
    'faults',
  ] as const;
  const missing = sections.find((name) => typeof summary[name] !== 'object' || summary[name] === null);
  if (missing !== undefined || typeof summary.task !== 'string')
    throw new UserError(`${path}: not the summary of a run: it has no "${missing ?? 'task'}".`, { key: side });
  return summary as Summary;
}

async function openRun(folder: string, name: string | null, side: Side): Promise<ComparedRun> {
  const [run] = await readRuns([folder]).catch((error) => {
    // The key of whoever reads many folders is not ours.
    throw error instanceof UserError ? new UserError(error.message, { key: side, cause: error }) : error;
  });
  if (run === undefined) throw new Error(`${folder}: no run was read.`);
  const path = join(folder, run.config.report.summary_filename);
  if (!existsSync(path))
    throw new IncomparableError(`${folder}: the run is not finished (no ${basename(path)}). Run its config again.`);
  const summary = readSummary(path, side);
  return {
    name: name ?? summary.task,
    folder,
    summary,
    async *rows() {
      for await (const row of run.rows()) yield comparedRow(row, folder);
    },
  };
}

async function openSuite(folder: string, side: Side): Promise<ComparedSet> {
  const path = join(folder, 'suite_summary.json');
  const { suite, tasks } = readJson(path, side) as { suite?: unknown; tasks?: unknown };
  if (typeof suite !== 'string' || !Array.isArray(tasks) || tasks.length === 0)
    throw new UserError(`${path}: not the summary of a suite: it has no tasks.`, { key: side });
  const runs: ComparedRun[] = [];
  for (const task of tasks as {
    name: string;
    model?: string;
    output_dir?: string;
    status?: string;
    error?: string;
  }[]) {
    const name = task.model === undefined ? task.name : `${task.model}/${task.name}`;
    if (task.status === 'failed')
      throw new IncomparableError(
        `${folder}: ${name} failed: ${String(task.error).split('\n', 1)[0]} Run the suite again.`,
      );
    // Below the suite's folder, wherever that was moved; elsewhere only where the task said so.
    const own = join(folder, ...(task.model === undefined ? [] : [task.model]), task.name);
    runs.push(await openRun(existsSync(join(own, 'run.json')) ? own : String(task.output_dir), name, side));
  }
  return { name: suite, folder, runs };
}

async function openBaseline(folder: string, side: Side): Promise<ComparedSet> {
  const path = join(folder, BASELINE_FILE);
  const { suite, tasks } = readJson(path, side) as Partial<BaselineIndex>;
  if (typeof suite !== 'string' || !Array.isArray(tasks) || tasks.length === 0)
    throw new UserError(`${path}: not the list of a baseline's tasks. Save the baseline again.`, { key: side });
  const runs = tasks.map((name): ComparedRun => {
    const files = baselineFiles(name);
    const rows = join(folder, files.rows);
    if (!existsSync(rows)) throw new UserError(`${rows}: missing. Save the baseline again.`, { key: side });
    return { name, folder, summary: readSummary(join(folder, files.summary), side), rows: () => readCompact(rows) };
  });
  return { name: suite, folder, runs };
}
