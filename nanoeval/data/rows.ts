/** Splits: the rows of a data set on the hub, of local files, or of the config, as a stream in published order. */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Row, type Split, UserError } from '../types.ts';
import { diskError } from './cache.ts';
import { openConfigRows } from './config_rows.ts';
import { openFile, openFolder, openRepo } from './hub.ts';
import type { OpenRepo } from './hub_repo.ts';
import { PythonRandom } from './python_random.ts';
import { openRepoSplit, type SplitOptions } from './repo_split.ts';
import {
  chooseConfig,
  chooseSplit,
  DEFAULT_CONFIG,
  declaredLayout,
  isDataFile,
  isText,
  type Layout,
  namedLayout,
  textLayout,
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
  if (path !== null) return openLocalSplit(spec, path, options);
  const where = spec.dataset_id;
  let repo = await openRepo({ kind: 'dataset', id: spec.dataset_id, revision: spec.revision }, options);
  let found = await layoutOf(repo);
  const readable = [...found.layout.values()].some((splits) => [...splits.values()].flat().some(isDataFile));
  if (!readable && spec.revision !== PARQUET_BRANCH) {
    const reason = `${where}@${spec.revision} has no .parquet, .jsonl, .json or .csv of its own`;
    options.log.info(`${reason}: its rows come from ${PARQUET_BRANCH}`);
    repo = await openParquetBranch(spec, options, reason);
    found = { layout: namedLayout(repo.files.map((file) => file.path)), byDefault: null };
  }
  const choice = { ...found, where, note: repo.note, isLocal: false };
  const config = chooseConfig(choice, spec.subset_name);
  return openRepoSplit({ repo, config, split, paths: chooseSplit(choice, config, split) }, options);
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

async function layoutOf(repo: OpenRepo): Promise<{ layout: Layout; byDefault: string | null }> {
  const paths = repo.files.map((file) => file.path);
  if (paths.includes('README.md')) {
    const path = await repo.fetch('README.md');
    const readme = await readFile(path, 'utf8').catch((error) => {
      throw diskError(path, error);
    });
    const declared = declaredLayout(readme, paths, repo.id);
    if (declared !== null) return declared;
  }
  return { layout: namedLayout(paths), byDefault: null };
}

async function openLocalSplit(spec: SplitSpec, path: string, options: SplitOptions): Promise<Split> {
  const key = 'dataset.path';
  const { split } = spec;
  if (!existsSync(path)) throw new UserError(`${path}: no such file or folder.`, { key });
  if (!statSync(path).isDirectory()) {
    if (!isDataFile(path) && !isText(path))
      throw new UserError(`${path}: is none of .parquet, .jsonl, .json, .csv, .txt.`, { key });
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
      throw new UserError(`${path}: no .parquet, .jsonl, .json, .csv or .txt in it. It has: ${has}.`, { key });
    }
    if (layout === null) return openRepoSplit({ repo, config: DEFAULT_CONFIG, split, paths: texts }, options);
    found = { layout, byDefault: null };
    note = '';
  }
  const { layout } = found;
  // A task's default subset need not be there: a folder of its own rows has none.
  const named = spec.subset_name !== null && layout.has(spec.subset_name) ? spec.subset_name : null;
  const plain = spec.subset_name !== null && named === null && layout.has(DEFAULT_CONFIG) ? DEFAULT_CONFIG : null;
  const choice = { ...found, where: path, note, isLocal: true };
  const config = named ?? plain ?? chooseConfig(choice, spec.subset_name);
  return openRepoSplit({ repo, config, split, paths: chooseSplit(choice, config, split) }, options);
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
