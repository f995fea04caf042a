/** What is compared, as it lies on the disk: a run's folder, a suite's, or a baseline's. */
import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Summary } from '../run/outcome.ts';
import { readRuns } from '../run/saved_run.ts';
import { IncomparableError, UserError } from '../types.ts';
import { type ComparedRow, comparedRow } from './columns.ts';
import { readCompact } from './compact.ts';
import { readIndex, readSuite, readSummary } from './saved_files.ts';

/** Which of the two runs of a comparison; also the key of the config that names it. */
export type Side = 'baseline' | 'current';

/** One task on one checkpoint. */
export interface ComparedRun {
  /** Its name in the suite, or the task's; with the checkpoint's before it where a suite has several. */
  name: string;
  folder: string;
  summary: Summary;
  /** Many at a time; null for a row that failed. */
  batches(): AsyncGenerator<readonly (ComparedRow | null)[]>;
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
  if (!statSync(folder).isDirectory())
    throw new UserError(`${folder}: a file. Name a run's folder, a suite's or a baseline's.`, { key: side });
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

async function openRun(folder: string, name: string | null, side: Side): Promise<ComparedRun> {
  const [run] = await readRuns([folder]).catch((error) => {
    // The key of whoever reads many folders is not ours.
    throw error instanceof UserError ? new UserError(error.message, { key: side, cause: error }) : error;
  });
  if (run === undefined) throw new Error(`${folder}: no run was read.`);
  const path = join(folder, run.config.report.summary_filename);
  if (!existsSync(path))
    throw new IncomparableError(`${folder}: the run is not finished (no ${basename(path)}). Run its config again.`);
  const summary = readSummary(path, side, 'Run its config again.');
  return {
    name: name ?? summary.task,
    folder,
    summary,
    async *batches() {
      for await (const rows of run.batches()) yield rows.map((row) => comparedRow(row, folder));
    },
  };
}

async function openSuite(folder: string, side: Side): Promise<ComparedSet> {
  const path = join(folder, 'suite_summary.json');
  const { suite, tasks } = readSuite(path, side);
  const runs: ComparedRun[] = [];
  for (const task of tasks) {
    const model = task.model ?? undefined;
    const name = model === undefined ? task.name : `${model}/${task.name}`;
    if (task.status === 'failed')
      throw new IncomparableError(
        `${folder}: ${name} failed: ${String(task.error).split('\n', 1)[0]} Run the suite again.`,
      );
    // Below the suite's folder, wherever that was moved; elsewhere only where the task said so.
    const own = join(folder, ...(model === undefined ? [] : [model]), task.name);
    const found = [own, ...(task.output_dir == null ? [] : [task.output_dir])].find((one) =>
      existsSync(join(one, 'run.json')),
    );
    if (found === undefined)
      throw new UserError(`${path}: ${name}: there is no run in ${own}. Run the suite again.`, { key: side });
    runs.push(await openRun(found, name, side));
  }
  return { name: suite, folder, runs };
}

async function openBaseline(folder: string, side: Side): Promise<ComparedSet> {
  const path = join(folder, BASELINE_FILE);
  const { suite, tasks } = readIndex(path, side, 'Save the baseline again.');
  const runs = tasks.map((name): ComparedRun => {
    const files = baselineFiles(name);
    const rows = join(folder, files.rows);
    if (!existsSync(rows)) throw new UserError(`${rows}: missing. Save the baseline again.`, { key: side });
    const summary = readSummary(join(folder, files.summary), side, 'Save the baseline again.');
    return { name, folder, summary, batches: () => readCompact(rows, side) };
  });
  return { name: suite, folder, runs };
}
