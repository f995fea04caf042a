/** Splits: the rows of a data set on the hub, of local files, or of the config, as a stream in published order. */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { OWN_ROWS } from '../config/keys.ts';
import { OutsideError, type Row, type Split, UserError } from '../types.ts';
import { diskError } from './cache.ts';
import { openConfigRows } from './config_rows.ts';
import { openFile, openFolder, openRepo } from './hub.ts';
import type { OpenRepo } from './hub_repo.ts';
import { PythonRandom } from './python_random.ts';
import { openRepoSplit, type SplitOptions } from './repo_split.ts';
import {
  type Choice,
  choiceNote,
  chooseConfig,
  chooseSplit,
  DEFAULT_CONFIG,
  declaredLayout,
  endings,
  isDataFile,
  isText,
  type Layout,
  namedLayout,
  textLayout,
  unnamedNote,
} from './split_files.ts';

/** The `dataset` block of a config, as far as it says which rows. */
export interface SplitSpec {
  dataset_id: string;
  revision: string;
  subset_name: string | null;
  split: string;
  /** A local file or folder in place of the hub. */
  path: string | null;
  /** Rows in the config itself (`dataset.rows`), in place of the hub and of `path`. */
  rows?: readonly Row[] | null | undefined;
}

/** Branch where the hub keeps a Parquet copy of data sets in other formats (`<config>/<split>/0000.parquet`). */
const PARQUET_BRANCH = 'refs/convert/parquet';

/**
 * Opens a split.
 *
 * - `rows` are the split, whatever its name. They have no other: whoever wants shots from another split must not open
 *   it here, or gets the same rows again.
 * - A local `path` is one file, which then is the split whatever its name, or a folder laid out like a hub repository.
 *   A `.txt` file is one row `{ text }`. They are looked for in a folder without files in other formats, in the order
 *   of their paths by code points: `test/*.txt` and `test.txt` are the split `test`; where no path names a split, all
 *   texts of the folder are one, whatever its name.
 * - On the hub the files are found by README.md's `configs:`, else by file names, else on the branch
 *   `refs/convert/parquet`. Texts are not read there: for Python's `datasets` each of their lines is a row.
 *
 * Throws UserError (keys `dataset.rows`, `dataset.path`, `dataset.subset_name`, `dataset.split`, `dataset.dataset_id`,
 * the last four listing what there is), OutsideError, Interrupted.
 */
export async function openSplit(spec: SplitSpec, options: SplitOptions): Promise<Split> {
  const { rows = null, path, split } = spec;
  if (rows !== null && path !== null) {
    const line = `there is dataset.path (${path}) too. It would be one of the two: rows here or a path to files.`;
    throw new UserError(line, { key: 'dataset.rows' });
  }
  if (rows !== null) return openConfigRows(rows, split, options.signal);
  if (path === null && spec.dataset_id === OWN_ROWS.dataset_id)
    throw new UserError('no rows. Give them as dataset.rows, name a file as dataset.path, or a data set of the hub.', {
      key: 'dataset',
    });
  refuseSlice(split);
  if (path !== null) return openLocalSplit(spec, path, options);
  const where = spec.dataset_id;
  let repo = await openDataset(spec, options);
  let found = await layoutOf(repo);
  const readable = [...found.layout.values()].some((splits) => [...splits.values()].flat().some(isDataFile));
  if (!readable && spec.revision !== PARQUET_BRANCH) {
    const reason = `${where}@${spec.revision} has no .parquet, .jsonl, .json or .csv of its own`;
    options.log.info(`${reason}: its rows come from ${PARQUET_BRANCH}`);
    repo = await openParquetBranch(spec, options, reason);
    found = { layout: namedLayout(repo.files.map((file) => file.path)), byDefault: null, isNamed: true };
  }
  const choice = { ...found, where, note: repo.note + noteOn(repo, found), isLocal: false };
  const config = chooseConfig(choice, spec.subset_name);
  return openChosen(repo, choice, config, split, options);
}

/** Opens the chosen split, and says which files it is where their names alone leave a choice. */
function openChosen(
  repo: OpenRepo,
  choice: Choice & { isNamed: boolean },
  config: string,
  split: string,
  options: SplitOptions,
): Promise<Split> {
  const paths = chooseSplit(choice, config, split);
  const names = repo.files.map((file) => file.path);
  const note = choice.isNamed ? choiceNote(names, config, split, paths) : null;
  if (note !== null) options.log.info(`${choice.where}: ${note}`);
  return openRepoSplit({ repo, config, split, paths }, options);
}

/** What to say of files that are in no split, where names alone say which files are in one. */
function noteOn({ files }: OpenRepo, { isNamed }: { isNamed: boolean }): string {
  return isNamed ? unnamedNote(files.map((file) => file.path)) : '';
}

/** `test[:10]` and `test+dev` are no names: what a file holds would be taken for the part that was meant. */
function refuseSlice(split: string): void {
  const first = /^([^[+]+)[[+]/.exec(split)?.[1];
  if (first === undefined) return;
  const count = /\[:(\d+)\]$/.exec(split)?.[1] ?? 10;
  const line = `"${split}" is no split: parts and sums of splits are not read.`;
  const right = `It would be "${first}", with dataset.subset_size: ${count} for its first ${count} rows.`;
  throw new UserError(`${line} ${right}`, { key: 'dataset.split' });
}

/** The data set on the hub. An error says so where files of that name lie on this machine. */
async function openDataset({ dataset_id: id, revision }: SplitSpec, options: SplitOptions): Promise<OpenRepo> {
  try {
    return await openRepo({ kind: 'dataset', id, revision }, options);
  } catch (error) {
    if (!existsSync(id)) throw error;
    const hint = `"${id}" lies on this machine: it would be dataset.path: ${id}`;
    if (error instanceof OutsideError) throw new OutsideError(`${error.message}. ${hint}`, { cause: error });
    if (!(error instanceof UserError)) throw error;
    const key = error.key === undefined ? {} : { key: error.key };
    throw new UserError(`${error.message} ${hint}`, { ...key, cause: error });
  }
}

/** What to do with Arrow files, which `save_to_disk` of Python's `datasets` writes; null where there are none. */
function arrowHint(path: string, names: readonly string[]): string | null {
  if (!names.some((name) => name.endsWith('.arrow'))) return null;
  const isDict = names.includes('dataset_dict.json');
  const load =
    names.length > 1 ? `load_from_disk("${path}")${isDict ? '["test"]' : ''}` : `Dataset.from_file("${path}")`;
  return `Arrow files, as save_to_disk of Python's datasets writes them, are not read. In Python: datasets.${load}.to_parquet("test.parquet")`;
}

async function openParquetBranch(spec: SplitSpec, options: SplitOptions, reason: string): Promise<OpenRepo> {
  try {
    return await openRepo({ kind: 'dataset', id: spec.dataset_id, revision: PARQUET_BRANCH }, options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${reason}, and no Parquet copy: ${error.message}`, {
      key: 'dataset.dataset_id',
      cause: error,
    });
  }
}

async function layoutOf(repo: OpenRepo): Promise<{ layout: Layout; byDefault: string | null; isNamed: boolean }> {
  const paths = repo.files.map((file) => file.path);
  if (paths.includes('README.md')) {
    const path = await repo.fetch('README.md');
    const readme = await readFile(path, 'utf8').catch((error) => {
      throw diskError(path, error);
    });
    const declared = declaredLayout(readme, paths, repo.id);
    if (declared !== null) return { ...declared, isNamed: false };
  }
  return { layout: namedLayout(paths), byDefault: null, isNamed: true };
}

async function openLocalSplit(spec: SplitSpec, path: string, options: SplitOptions): Promise<Split> {
  const key = 'dataset.path';
  const { split } = spec;
  if (!existsSync(path)) throw new UserError(`${path}: no such file or folder.`, { key });
  if (!statSync(path).isDirectory()) {
    if (!isDataFile(path) && !isText(path))
      throw new UserError(`${path}: ${arrowHint(path, [path]) ?? `is none of ${endings(true)}.`}`, { key });
    return openRepoSplit({ repo: await openFile(path), config: null, split, paths: [basename(path)] }, options);
  }
  const repo = await openFolder(path, 'dataset');
  const names = repo.files.map((file) => file.path);
  let found = await layoutOf(repo);
  let note = names.some(isText) ? ' Its .txt files do not count beside files in other formats.' : '';
  if (found.layout.size === 0) {
    const { texts, layout } = textLayout(names);
    if (texts.length === 0) {
      const has = names.join(', ') || 'nothing';
      const line = arrowHint(path, names) ?? `nothing in it is one of ${endings(true)}. It has: ${has}.`;
      throw new UserError(`${path}: ${line}`, { key });
    }
    if (layout === null) return openRepoSplit({ repo, config: DEFAULT_CONFIG, split, paths: texts }, options);
    found = { layout, byDefault: null, isNamed: false };
    note = '';
  }
  note += noteOn(repo, found);
  const { layout } = found;
  // A task's default subset need not be there: a folder of its own rows has none.
  const named = spec.subset_name !== null && layout.has(spec.subset_name) ? spec.subset_name : null;
  const plain = spec.subset_name !== null && named === null && layout.has(DEFAULT_CONFIG) ? DEFAULT_CONFIG : null;
  const choice = { ...found, where: path, note, isLocal: true };
  const config = named ?? plain ?? chooseConfig(choice, spec.subset_name);
  return openChosen(repo, choice, config, split, options);
}

/**
 * `n` row indices below `numRows`, rising: Python's `sorted(random.Random(seed).sample(range(numRows), n))`.
 * Throws UserError (key `dataset.sample`) when there are fewer rows.
 */
export function sampleIndices(numRows: number, n: number, seed: number): number[] {
  if (n > numRows) {
    throw new UserError(`${n} rows cannot be drawn from ${numRows}. It would be ${numRows} at most.`, {
      key: 'dataset.sample',
    });
  }
  return new PythonRandom(seed).sample(numRows, n).sort((a, b) => a - b);
}
