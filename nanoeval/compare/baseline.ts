/** Baselines: what a later run is compared with, small enough for a repository, in a folder for each branch and suite. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { writeJson, writeWhole } from '../run/files.ts';
import type { Summary } from '../run/outcome.ts';
import { differences } from '../run/record.ts';
import { FORMAT, type Log, UserError } from '../types.ts';
import { readColumns } from './columns.ts';
import { compactLines } from './compact.ts';
import { readIndex, readSummary } from './saved_files.ts';
import { BASELINE_FILE, type BaselineIndex, baselineFiles, type ComparedRun, type ComparedSet } from './sources.ts';

/** The branch whose baseline is taken where there is none for the current one. */
const FALLBACK = 'main';

/** Milliseconds for a question to git. */
const GIT_TIMEOUT = 10_000;

/** What git says; null where there is no git, no repository or nothing to say. */
async function git(...args: string[]): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', args, { timeout: GIT_TIMEOUT });
    return stdout.trim() || null;
  } catch {
    // Outside of a repository and without git there is no branch: the caller says what it takes then.
    return null;
  }
}

/** The branch that the working directory has checked out; null for a detached head and outside of a repository. */
export const currentBranch = (): Promise<string | null> => git('symbolic-ref', '--quiet', '--short', 'HEAD');

/** A branch as a folder below `root`. Throws UserError (key `key`) for a name that would lead elsewhere. */
function branchFolder(root: string, branch: string, key: string): string {
  const parts = branch.split('/');
  const isSafe = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\0]/.test(part));
  if (!isSafe) throw new UserError(`"${branch}" is not the name of a branch.`, { key });
  return join(root, ...parts);
}

/**
 * The folder of the baseline for a suite: of `branch`, or of the current git branch, or of `main`. Throws UserError that names
 * the folders that were looked for.
 */
export async function findBaseline(root: string, suite: string, branch: string | undefined, log: Log): Promise<string> {
  const own = branch ?? (await currentBranch());
  const wanted = branch !== undefined ? [branch] : [...new Set([...(own === null ? [] : [own]), FALLBACK])];
  const folders = wanted.map((name) => join(branchFolder(root, name, 'branch'), suite));
  const found = folders.find((folder) => existsSync(join(folder, BASELINE_FILE)));
  if (found === undefined)
    throw new UserError(
      `no baseline of "${suite}": neither is in ${folders.join(' nor in ')}. Save one with \`run.save_baseline: true\`.`,
      { key: 'baseline' },
    );
  log.info(`baseline: ${found}`);
  return found;
}

/** The folder that a baseline is saved in: of the current git branch, `main` where there is none. */
export async function baselineFolder(root: string, suite: string): Promise<string> {
  return join(branchFolder(root, (await currentBranch()) ?? FALLBACK, 'run.baselines_dir'), suite);
}

/** Why a set is no baseline; null where it is one. */
function unfit({ runs }: ComparedSet): string | null {
  const bad = runs.find(({ summary }) => summary.status !== 'complete');
  if (bad !== undefined)
    return `${bad.name} is ${bad.summary.status}${bad.summary.faults.map((fault) => `: ${fault}`).join('')}`;
  const failed = runs.find(({ summary }) => summary.health.failed > 0);
  return failed === undefined ? null : `${failed.name}: ${failed.summary.health.failed} rows failed`;
}

/** What of a run makes its baseline another one. */
const asked = ({ task, recipe, scoring, selection, dataset }: Summary) => ({
  task,
  recipe,
  scoring,
  selection,
  dataset: { id: dataset.dataset_id, commit: dataset.commit, num_rows: dataset.num_rows },
});

/**
 * Saves the runs of a set as a baseline. A task of the folder that is asked in another way is left as it is unless `replace`;
 * then, and for an invalid or partial run, UserError is thrown before anything is written (key `run.save_baseline`).
 */
export async function saveBaseline(set: ComparedSet, folder: string, replace: boolean, log: Log): Promise<string[]> {
  const key = 'run.save_baseline';
  const reason = unfit(set);
  if (reason !== null) throw new UserError(`no baseline is saved in ${folder}: ${reason}.`, { key });
  if (!replace) refuseOthers(set, folder, key);
  const others = filesOfOthers(set, folder, key);
  const files: string[] = [];
  for (const run of set.runs) {
    const names = baselineFiles(run.name);
    const columns = await readColumns(run.batches());
    mkdirSync(dirname(join(folder, names.rows)), { recursive: true });
    writeWhole(join(folder, names.rows), [...compactLines(columns)]);
    const { host: _machine, ...summary } = run.summary;
    writeJson(join(folder, names.summary), summary);
    files.push(join(folder, names.rows), join(folder, names.summary));
  }
  for (const file of others) rmSync(join(folder, file), { force: true });
  const index: BaselineIndex = {
    format: FORMAT,
    suite: set.name,
    saved: new Date().toISOString(),
    git_commit: await git('rev-parse', 'HEAD'),
    tasks: set.runs.map(({ name }) => name),
  };
  writeJson(join(folder, BASELINE_FILE), index);
  log.info(`baseline of ${set.runs.length} tasks saved in ${folder}`);
  return [...files, join(folder, BASELINE_FILE)];
}

/** Throws UserError where the folder's baseline is of other questions than the set's. */
function refuseOthers({ runs }: ComparedSet, folder: string, key: string): void {
  for (const { name, summary } of runs) {
    const path = join(folder, baselineFiles(name).summary);
    if (!existsSync(path)) continue;
    const saved = readSummary(path, key, REMOVE);
    const found = differences(asked(saved), asked(summary));
    if (found.length === 0) continue;
    const keys = found
      .map((one) => one.key)
      .slice(0, 4)
      .join(', ');
    throw new UserError(
      `the baseline in ${folder} was asked in another way (${name}: ${keys}). Set it to replace to take this run in its place.`,
      { key },
    );
  }
}

/** What is to be done about a damaged baseline. */
const REMOVE = 'Remove the folder to save the baseline anew.';

/** Files of tasks that the suite does not have any more. Throws UserError for a damaged list of tasks. */
function filesOfOthers({ runs }: ComparedSet, folder: string, key: string): string[] {
  const path = join(folder, BASELINE_FILE);
  if (!existsSync(path)) return [];
  const others = readIndex(path, key, REMOVE).tasks.filter((name) => !runs.some((run) => run.name === name));
  return others.flatMap((name) => Object.values(baselineFiles(name)));
}

/** A single run as a set: what a task file saves. */
export const setOf = (run: ComparedRun): ComparedSet => ({ name: run.summary.task, folder: run.folder, runs: [run] });
