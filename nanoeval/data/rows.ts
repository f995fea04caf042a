/** Splits: the rows of a data set on the hub, or of local files, as a stream in published order. */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type DatasetFile, type IndexedRow, Interrupted, type Row, type Split, UserError } from '../types.ts';
import { diskError, sha256OfFile } from './cache.ts';
import { type OpenOptions, type OpenRepo, openFolder, openRepo } from './hub.ts';
import type { ParquetFile } from './parquet.ts';
import { PythonRandom } from './python_random.ts';
import { openLocalFile, WHOLE_FILE_BYTES } from './ranges.ts';
import {
  chooseConfig,
  chooseSplit,
  DEFAULT_CONFIG,
  declaredLayout,
  isDataFile,
  type Layout,
  namedLayout,
} from './split_files.ts';
import { countCsvRows, countJsonRows, csvRows, jsonRows } from './text_rows.ts';

/** The `dataset` block of a config, as far as it says which rows. */
export interface SplitSpec {
  dataset_id: string;
  revision: string;
  subset_name: string | null;
  split: string;
  /** A local file or folder in place of the hub. */
  path: string | null;
}

export interface SplitOptions extends OpenOptions {
  /** Larger Parquet files on the hub are read by ranges; bytes. */
  wholeFileBytes?: number;
}

/** A split that can also skip the row groups in which no wanted row lies. */
export interface OpenSplit extends Split {
  /** `wanted`: row indices in rising order; all rows when absent. */
  rows(columns: readonly string[], wanted?: readonly number[]): AsyncGenerator<IndexedRow>;
}

/** Branch where the hub keeps a Parquet copy of data sets in other formats (`<config>/<split>/0000.parquet`). */
const PARQUET_BRANCH = 'refs/convert/parquet';

/**
 * Opens a split. On the hub its files are found by README.md's `configs:`, else by file names, else on the branch
 * `refs/convert/parquet`. A local `path` is one file, which then is the split whatever its name, or a folder laid out like
 * a hub repository.
 *
 * Throws UserError (keys `dataset.subset_name`, `dataset.split`, `dataset.path`, `dataset.dataset_id`, each listing what
 * there is), OutsideError, Interrupted.
 */
export async function openSplit(spec: SplitSpec, options: SplitOptions): Promise<OpenSplit> {
  if (spec.path !== null) return openLocalSplit(spec, spec.path, options);
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
  const choice = { ...found, where, note: repo.note };
  const config = chooseConfig(choice, spec.subset_name);
  return splitOf(repo, config, spec.split, chooseSplit(choice, config, spec.split), options);
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

async function openLocalSplit(spec: SplitSpec, path: string, options: SplitOptions): Promise<OpenSplit> {
  const key = 'dataset.path';
  if (!existsSync(path)) throw new UserError(`${path}: no such file or folder.`, { key });
  if (!statSync(path).isDirectory()) {
    if (!isDataFile(path)) throw new UserError(`${path}: is none of .parquet, .jsonl, .json, .csv.`, { key });
    return splitOf(repoOfFile(path), null, spec.split, [basename(path)], options);
  }
  const repo = await openFolder(path, 'dataset');
  const found = await layoutOf(repo);
  const { layout } = found;
  if (layout.size === 0) {
    const names = repo.files.map((file) => file.path);
    throw new UserError(
      `${path}: no .parquet, .jsonl, .json or .csv in it. It has: ${names.join(', ') || 'nothing'}.`,
      { key },
    );
  }
  // A task's default subset need not be there: a folder of its own rows has none.
  const named = spec.subset_name !== null && layout.has(spec.subset_name) ? spec.subset_name : null;
  const plain = spec.subset_name !== null && named === null && layout.has(DEFAULT_CONFIG) ? DEFAULT_CONFIG : null;
  const choice = { ...found, where: path, note: '' };
  const config = named ?? plain ?? chooseConfig(choice, spec.subset_name);
  return splitOf(repo, config, spec.split, chooseSplit(choice, config, spec.split), options);
}

/** A local file as a repository that holds it alone. */
function repoOfFile(path: string): OpenRepo {
  const here = async () => path;
  return {
    kind: 'dataset',
    id: path,
    revision: null,
    commit: null,
    note: '',
    files: [{ path: basename(path), size: statSync(path).size, sha256: null }],
    fetch: here,
    cached: here,
    ranges() {
      throw new Error(`${path}: a local file is not read by ranges`);
    },
  };
}

async function splitOf(
  repo: OpenRepo,
  config: string | null,
  split: string,
  paths: readonly string[],
  options: SplitOptions,
): Promise<OpenSplit> {
  const { signal, wholeFileBytes = WHOLE_FILE_BYTES } = options;
  const local = repo.commit === null;
  const isOneFile = local && config === null;
  const label = (path: string) => (isOneFile ? repo.id : local ? join(repo.id, path) : `${repo.id}/${path}`);
  const byRanges = new Set<string>();
  const files: DatasetFile[] = [];
  for (const path of paths) {
    const { size, sha256 } = repo.files.find((file) => file.path === path)!;
    if (!local && size > wholeFileBytes && path.endsWith('.parquet') && (await repo.cached(path)) === null) {
      byRanges.add(path);
      files.push({ path, size, sha256: null, verified: false });
    } else {
      // An LFS file's hash is in the listing, and no row is read before the content has been checked against it. Others are
      // small (below 10 MB on the hub) and hashed now.
      const hash = sha256 ?? (await sha256OfFile(await repo.fetch(path), signal));
      files.push({ path, size, sha256: hash, verified: true });
    }
  }

  /** Opened by ranges: the footer costs a request, so it is kept. */
  const remotes = new Map<string, ParquetFile>();

  async function withParquet<T>(
    path: string,
    use: (file: ParquetFile) => AsyncGenerator<T>,
  ): Promise<AsyncGenerator<T>> {
    // A slow import, which text files do not need.
    const { openParquet } = await import('./parquet.ts');
    if (byRanges.has(path)) {
      const remote = remotes.get(path) ?? (await openParquet(repo.ranges(path), label(path)));
      remotes.set(path, remote);
      return use(remote);
    }
    const file = await openLocalFile(await repo.fetch(path));
    async function* closing(): AsyncGenerator<T> {
      try {
        yield* use(await openParquet(file, label(path)));
      } finally {
        await file.close();
      }
    }
    return closing();
  }

  async function* onlyCount(file: ParquetFile): AsyncGenerator<number> {
    yield file.numRows;
  }

  const counts = new Map<string, number>();
  async function countRows(path: string): Promise<number> {
    const known = counts.get(path);
    if (known !== undefined) return known;
    let count = 0;
    if (path.endsWith('.parquet')) for await (const n of await withParquet(path, onlyCount)) count = n;
    else if (path.endsWith('.csv')) count = await countCsvRows(await repo.fetch(path), label(path));
    else count = await countJsonRows(await repo.fetch(path), label(path));
    counts.set(path, count);
    return count;
  }

  /** Rows of a text file with the asked columns only. The first row must have them all; in later ones a gap is null. */
  async function* pick(
    path: string,
    source: AsyncGenerator<[number, Row]>,
    columns: readonly string[],
    wanted: (from: number, to: number) => boolean,
  ): AsyncGenerator<[number, Row]> {
    for await (const [index, row] of source) {
      const missing = index === 0 ? columns.find((column) => !(column in row)) : undefined;
      if (missing !== undefined) {
        throw new UserError(`${label(path)}: has no column "${missing}". It has: ${Object.keys(row).join(', ')}.`);
      }
      if (wanted(index, index + 1))
        yield [index, Object.fromEntries(columns.map((column) => [column, row[column] ?? null]))];
    }
  }

  async function openRows(path: string, columns: readonly string[], wanted: (from: number, to: number) => boolean) {
    if (path.endsWith('.parquet')) return withParquet(path, (file) => file.rows(columns, wanted));
    const here = await repo.fetch(path);
    const isWanted = (index: number) => wanted(index, index + 1);
    const source = path.endsWith('.csv') ? csvRows(here, label(path)) : jsonRows(here, label(path), isWanted);
    return pick(path, source, columns, wanted);
  }

  async function* rows(columns: readonly string[], wanted?: readonly number[]): AsyncGenerator<IndexedRow> {
    const chosen = wanted === undefined ? null : Float64Array.from(wanted);
    const last = chosen === null ? Infinity : (chosen.at(-1) ?? -1);
    let before = 0;
    for (const path of paths) {
      if (before > last) return;
      const offset = before;
      const isWanted = (from: number, to: number) => chosen === null || hasWithin(chosen, offset + from, offset + to);
      for await (const [index, row] of await openRows(path, columns, isWanted)) {
        if (signal?.aborted) throw new Interrupted();
        yield { index: offset + index, row };
        if (offset + index >= last) return;
      }
      before += paths.length > 1 ? await countRows(path) : 0;
    }
  }

  return {
    dataset_id: repo.id,
    revision: repo.revision,
    commit: repo.commit,
    subset_name: local ? null : config,
    split,
    files,
    async numRows() {
      let sum = 0;
      for (const path of paths) sum += await countRows(path);
      return sum;
    },
    rows,
  };
}

/** True when a rising list has a number in [from, to). */
function hasWithin(rising: Float64Array, from: number, to: number): boolean {
  let low = 0;
  let high = rising.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle]! < from) low = middle + 1;
    else high = middle;
  }
  return low < rising.length && rising[low]! < to;
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
