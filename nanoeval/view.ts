/**
 * Pages to read runs in: a leaderboard, and for each task the rows of its runs, any two of them side by side.
 *
 *     NANOEVAL_CONFIG=configs/view.yaml npx tsx nanoeval/view.ts
 *
 * Reads folders of runs and suites, asks no model, and writes index.html and report_<task>.html. Runs that kept no page.jsonl
 * (`report.page`) are shown without prompts, which the page says.
 */
import { existsSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { glob } from 'tinyglobby';
import { readSuite, readSummary } from './compare/saved_files.ts';
import { parseConfig } from './config/check.ts';
import { readConfigFile } from './config/file.ts';
import { type ViewConfig, viewSchema } from './config/view.ts';
import { EXIT, isProgram, type ProgramLog, placeError, runProgram } from './program.ts';
import { checkFolder } from './run/journal.ts';
import { type AnyRun, pagedRun, writePage } from './run/report_page.ts';
import { findRuns, readRuns, type SavedRun } from './run/saved_run.ts';
import { UserError } from './types.ts';

const KEY = 'folders';
const SUITE = 'suite_summary.json';

/** A folder that was asked for, and what its suite says of it. */
interface Found {
  folder: string;
  reference?: Record<string, number | string>;
}

/** The runs of a suite, below its folder wherever that was moved; tasks that failed have none. */
function runsOfSuite(root: string): Found[] {
  const { tasks } = readSuite(join(root, SUITE), KEY);
  return tasks.flatMap(({ name, model, output_dir, reference }) => {
    const own = join(root, ...(model == null ? [] : [model]), name);
    const folder = [own, ...(output_dir == null ? [] : [output_dir])].find((one) => existsSync(join(one, 'run.json')));
    const reported = (reference ?? undefined) as Found['reference'];
    return folder === undefined ? [] : [{ folder: resolve(folder), ...(reported && { reference: reported }) }];
  });
}

/** The run folders that names and patterns stand for. Throws UserError for one that stands for nothing. */
async function findFolders(asked: ViewConfig['folders']): Promise<Found[]> {
  const found = new Map<string, Found>();
  for (const name of [asked].flat()) {
    const isSuite = existsSync(join(name, SUITE));
    const isPattern = !isSuite && /[*?{[]/.test(name);
    const paths = isPattern ? await glob(join(name, SUITE), { expandDirectories: false }) : [];
    const suites = isSuite ? [name] : paths.map((path) => join(path, '..'));
    const own: Found[] = suites.filter((path) => !/\.old-\d+$/.test(path)).flatMap(runsOfSuite);
    if (!isSuite) own.push(...(await runsIn(name, own.length > 0)));
    for (const one of own) found.set(one.folder, { ...one, ...found.get(one.folder) });
  }
  return [...found.values()];
}

async function runsIn(name: string, mayBeNone: boolean): Promise<Found[]> {
  try {
    return (await findRuns(name)).map((folder) => ({ folder }));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (mayBeNone) return [];
    throw new UserError(error.message.replace('no run: it has', 'neither a run nor a suite: it has'), {
      key: KEY,
      cause: error,
    });
  }
}

/** The ends of the folders' paths that tell them apart. */
export function namesOf(folders: readonly string[]): string[] {
  const parts = folders.map((folder) => resolve(folder).split(sep));
  const longest = Math.max(1, ...parts.map(({ length }) => length));
  for (let depth = 1; depth < longest; depth += 1) {
    const names = parts.map((part) => part.slice(-depth).join('/'));
    if (new Set(names).size === names.length) return names;
  }
  return [...folders];
}

/** A run as the pages show it; one that is not finished says so. */
function shown(run: SavedRun, name: string, reference: Found['reference']): AnyRun {
  const [folder] = run.folders as [string];
  const path = join(folder, run.config.report.summary_filename);
  const { label, variant } = run.record.model;
  const model = [label, variant].filter((part) => part != null).join(' ');
  if (!existsSync(path)) return { name, task: run.record.task, model, error: 'not finished: run its config again' };
  const summary = readSummary(path, KEY, 'Run its config again.');
  return { ...pagedRun(run, summary), name, ...(reference === undefined ? {} : { reference }) };
}

const taskOf = (run: AnyRun) => ('error' in run ? run.task : run.summary.task);

async function view(config: ViewConfig, log: ProgramLog): Promise<string[]> {
  const root = config.report.output_dir;
  const found = await findFolders(config.folders);
  checkFolder(join(root, 'index.html'));
  const saved = await readRuns(found.map(({ folder }) => folder));
  const names = namesOf(saved.map(({ folders }) => folders[0]!));
  const runs = saved.map((run, i) =>
    shown(run, names[i]!, found.find(({ folder }) => run.folders.includes(folder))?.reference),
  );
  const files: string[] = [];
  const links: { name: string; page: string }[] = [];
  for (const task of [...new Set(runs.map(taskOf))]) {
    const own = runs.filter((run) => taskOf(run) === task);
    if (own.every((run) => 'error' in run)) continue;
    const page = `report_${task}.html`;
    log.info(`${task}: ${own.length} ${own.length === 1 ? 'run' : 'runs'}`);
    files.push(
      await writePage(join(root, page), {
        kind: 'view',
        title: `${config.title}: ${task}`,
        runs: own,
        links: [{ name: 'all tasks', page: 'index.html' }],
      }),
    );
    links.push({ name: `${task}: ${own.length} ${own.length === 1 ? 'run' : 'runs'}`, page });
  }
  const board = runs.map((run) => ('error' in run ? run : { ...run, page: `report_${taskOf(run)}.html` }));
  files.unshift(await writePage(join(root, 'index.html'), { kind: 'view', title: config.title, runs: board, links }));
  return files;
}

if (isProgram(import.meta.url)) {
  await runProgram(async (log) => {
    const file = readConfigFile('NANOEVAL_CONFIG', process.env.NANOEVAL_CONFIG, 'configs/view.yaml');
    const config = parseConfig(file, viewSchema);
    try {
      const files = await view(config, log);
      log.info(`written: ${files.join(' ')}`);
    } catch (error) {
      const keyed =
        error instanceof UserError && error.key === 'runs'
          ? new UserError(error.message, { key: KEY, cause: error })
          : error;
      throw placeError(keyed, file, (path) => [path]);
    }
    return EXIT.done;
  });
}
