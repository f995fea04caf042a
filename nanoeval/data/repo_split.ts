/** A split that lies in files of a repository or of this machine: its rows as one stream, file after file. */
import { join } from 'node:path';
import { type DatasetFile, type IndexedRow, Interrupted, type Row, type Split, UserError } from '../types.ts';
import { sha256OfFile } from './cache.ts';
import { someOf } from './hub_errors.ts';
import type { OpenOptions, OpenRepo } from './hub_repo.ts';
import type { ParquetFile } from './parquet.ts';
import { openLocalFile, WHOLE_FILE_BYTES } from './ranges.ts';
import { formatOf } from './split_files.ts';
import { countCsvRows, countJsonRows, countTxtRows, csvRows, jsonRows, txtRows } from './text_rows.ts';

/** What opening a split needs of its caller. */
export interface SplitOptions extends OpenOptions {
  /** Larger Parquet files on the hub are read by ranges; bytes. */
  wholeFileBytes?: number;
}

/** Where a split lies. */
export interface SplitPlace {
  repo: OpenRepo;
  /** Subset name; null for a single local file. */
  config: string | null;
  split: string;
  /** Its files in the repository, in the order of their rows. */
  paths: readonly string[];
}

/** What reading needs to know, and what it remembers between two passes. */
interface Reading {
  repo: OpenRepo;
  paths: readonly string[];
  signal: AbortSignal | undefined;
  /** The name of a file in messages. */
  label(path: string): string;
  /** Parquet files that are too large to be fetched whole. */
  byRanges: Set<string>;
  /** Those of them that are open: the footer costs a request. */
  remotes: Map<string, ParquetFile>;
  /** Rows of the files that have been counted. */
  counts: Map<string, number>;
  /** Keys of rows in JSON; filled when a row lacks one that is asked for. */
  keys: Set<string>;
}

/** The columns that are asked for, null: all; `optional` beside them, null where a file has none of that name. */
interface Asked {
  columns: readonly string[] | null;
  optional: readonly string[];
}

/** Whether any row from `from` up to but not including `to` is asked for. */
type Wanted = (from: number, to: number) => boolean;

/**
 * Opens a split: its files are fetched and hashed, but for large Parquet files, of which nothing is read yet.
 *
 * Throws OutsideError (network, disk), UserError (no access), Interrupted; `rows` and `numRows` throw these too, and
 * UserError for a damaged file, a bad row and a missing column.
 */
export async function openRepoSplit(place: SplitPlace, options: SplitOptions): Promise<Split> {
  const { repo, config, split, paths } = place;
  const { signal, wholeFileBytes = WHOLE_FILE_BYTES } = options;
  const isLocal = repo.commit === null;
  const reading: Reading = {
    repo,
    paths,
    signal,
    label: (path) => (!isLocal ? `${repo.id}/${path}` : config === null ? repo.id : join(repo.id, path)),
    byRanges: new Set(),
    remotes: new Map(),
    counts: new Map(),
    keys: new Set(),
  };
  const files = await readyFiles(reading, isLocal ? Infinity : wholeFileBytes);
  return {
    dataset_id: repo.id,
    revision: repo.revision,
    commit: repo.commit,
    subset_name: isLocal ? null : config,
    split,
    files,
    async numRows() {
      let sum = 0;
      for (const path of paths) sum += await countRows(reading, path);
      if (sum === 0) throw new UserError(`${filesOf(reading, paths)}: no rows in it.`, { key: 'dataset' });
      return sum;
    },
    rows: (columns, wanted, optional = []) => splitRows(reading, { columns, optional }, wanted),
  };
}

/** Files as a message names them. */
function filesOf({ label }: Reading, paths: readonly string[]): string {
  const first = label(paths[0] ?? '');
  return paths.length > 1 ? `${first} and ${paths.length - 1} more` : first;
}

/** Decides which files are read by ranges, and fetches and hashes the others. */
async function readyFiles(reading: Reading, wholeFileBytes: number): Promise<DatasetFile[]> {
  const { repo, paths, byRanges, signal } = reading;
  const listed = new Map(repo.files.map((file) => [file.path, file]));
  const files: DatasetFile[] = [];
  for (const path of paths) {
    const { size, sha256 } = listed.get(path)!;
    if (size > wholeFileBytes && formatOf(path) === 'parquet' && (await repo.cached(path)) === null) {
      byRanges.add(path);
      files.push({ path, size, sha256: null, verified: false });
    } else {
      // An LFS file's hash is in the listing, and no row is read before the content has been checked against it. Others
      // are small (below 10 MB on the hub) and hashed now.
      const hash = sha256 ?? (await sha256OfFile(await repo.fetch(path), signal));
      files.push({ path, size, sha256: hash, verified: true });
    }
  }
  return files;
}

/** The rows of all files under one running index. */
async function* splitRows(reading: Reading, asked: Asked, wanted?: readonly number[]): AsyncGenerator<IndexedRow> {
  const { paths, signal } = reading;
  const chosen = wanted === undefined ? null : Float64Array.from(wanted);
  const last = chosen === null ? Infinity : (chosen.at(-1) ?? -1);
  let before = 0;
  for (const path of paths) {
    if (before > last) return;
    const offset = before;
    const isWanted: Wanted = (from, to) => chosen === null || hasWithin(chosen, offset + from, offset + to);
    for await (const [index, row] of await fileRows(reading, path, asked, isWanted)) {
      if (signal?.aborted) throw new Interrupted();
      yield { index: offset + index, row };
      if (offset + index >= last) return;
    }
    before += paths.length > 1 ? await countRows(reading, path) : 0;
  }
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

// ---------------------------------------------------------------- one file

/** How the rows of a format other than Parquet are read and counted: path, name for messages, which rows are wanted. */
interface TextFormat {
  rows(path: string, name: string, wanted: (index: number) => boolean): AsyncGenerator<[number, Row]>;
  count(path: string, name: string): Promise<number>;
}

const JSON_ROWS: TextFormat = { rows: jsonRows, count: countJsonRows };
const CSV_ROWS: TextFormat = { rows: csvRows, count: countCsvRows };
const TXT_ROWS: TextFormat = { rows: txtRows, count: countTxtRows };

function textFormatOf(path: string): TextFormat {
  if (formatOf(path) === 'csv') return CSV_ROWS;
  return formatOf(path) === 'txt' ? TXT_ROWS : JSON_ROWS;
}

async function countRows(reading: Reading, path: string): Promise<number> {
  const { repo, counts, label } = reading;
  const known = counts.get(path);
  if (known !== undefined) return known;
  let count = 0;
  if (formatOf(path) === 'parquet') for await (const n of await withParquet(reading, path, onlyCount)) count = n;
  else count = await textFormatOf(path).count(await repo.fetch(path), label(path));
  counts.set(path, count);
  return count;
}

async function* onlyCount(file: ParquetFile): AsyncGenerator<number> {
  yield file.numRows;
}

/** The wanted rows of one file, numbered from 0, with the asked columns and no others (null: with all). */
async function fileRows(
  reading: Reading,
  path: string,
  asked: Asked,
  wanted: Wanted,
): Promise<AsyncGenerator<[number, Row]>> {
  if (formatOf(path) === 'parquet') return withParquet(reading, path, (file) => parquetRows(file, asked, wanted));
  const here = await reading.repo.fetch(path);
  const name = reading.label(path);
  const source = textFormatOf(path).rows(here, name, (index) => wanted(index, index + 1));
  return pick(reading, path, source, asked, wanted);
}

async function* parquetRows(
  file: ParquetFile,
  { columns, optional }: Asked,
  wanted: Wanted,
): AsyncGenerator<[number, Row]> {
  const there = optional.filter((column) => file.columns.includes(column));
  const nulls = Object.fromEntries(optional.map((column) => [column, null]));
  const asked = columns === null ? file.columns : [...columns, ...there];
  for await (const [index, row] of file.rows(asked, wanted)) yield [index, { ...nulls, ...row }];
}

/**
 * Rows of a text file with the asked columns only; null where a row in JSON lacks one that another row has. Asked for all
 * columns (null), rows come as they stand.
 */
async function* pick(
  reading: Reading,
  path: string,
  source: AsyncGenerator<[number, Row]>,
  { columns, optional }: Asked,
  wanted: Wanted,
): AsyncGenerator<[number, Row]> {
  for await (const [index, row] of source) {
    if (index === 0 && columns !== null) await checkColumns(reading, path, columns, row);
    if (!wanted(index, index + 1)) continue;
    if (columns === null) {
      yield [index, row];
      continue;
    }
    const value = (column: string) => (Object.hasOwn(row, column) ? (row[column] ?? null) : null);
    yield [index, Object.fromEntries([...columns, ...optional].map((column) => [column, value(column)]))];
  }
}

/**
 * Throws UserError when no row has one of the columns. In JSON a row may lack what the others have (writers leave nulls
 * out): the files are read up to the row where all have been seen.
 */
async function checkColumns(reading: Reading, path: string, columns: readonly string[], first: Row): Promise<void> {
  const { keys, label, repo } = reading;
  const missing = () => columns.find((column) => !Object.hasOwn(first, column) && !keys.has(column));
  if (missing() === undefined) return;
  const has = (names: Iterable<string>) => someOf([...names]) || 'none';
  if (formatOf(path) !== 'json')
    throw new UserError(`${label(path)}: has no column "${missing()}". It has: ${has(Object.keys(first))}.`);
  const paths = reading.paths.filter((one) => formatOf(one) === 'json');
  for (const one of paths) {
    for await (const [, row] of jsonRows(await repo.fetch(one), label(one))) {
      if (reading.signal?.aborted) throw new Interrupted();
      for (const key of Object.keys(row)) keys.add(key);
      if (missing() === undefined) return;
    }
  }
  throw new UserError(`${filesOf(reading, paths)}: has no column "${missing()}". It has: ${has(keys)}.`);
}

/** What `use` makes of a Parquet file; a file on this machine is open only as long as that is read. */
async function withParquet<T>(
  { repo, label, byRanges, remotes }: Reading,
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
