/** predictions.jsonl: one line a row, appended as it is known; the only source of truth of a run. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { FailedRow, Prediction, Verdict } from '../questions.ts';
import { isReadingFault } from '../text/bytes.ts';
import { LineError, lineDecoder, readLines, readRawLines } from '../text/lines.ts';
import { OutsideError, UserError } from '../types.ts';
import { syncFolder, writeAll, writeWhole } from './files.ts';

/** A scored row, one that `run.score: false` left without a verdict, or a failed one. */
export type JournalRow = (Prediction & Partial<Verdict>) | FailedRow;

export interface Journal {
  /**
   * Appends one row in one write, and returns it as it was stored: one that is far too long as failed. Throws OutsideError
   * when the disk refuses it; the rows before it stay.
   */
  append(row: JournalRow): JournalRow;
  close(): void;
}

/** Moves a run's own files out of a folder into `<folder>.old-1`, `-2`, ... Returns the new folder. */
export function keepAside(folder: string, names: readonly string[]): string {
  for (let n = 1; ; n += 1) {
    const aside = `${resolve(folder)}.old-${n}`;
    if (existsSync(aside)) continue;
    mkdirSync(aside);
    for (const name of names) {
      if (existsSync(join(folder, name))) renameSync(join(folder, name), join(aside, name));
    }
    return aside;
  }
}

/** Whether the file of an earlier run has rows. */
export function hasRows(path: string): boolean {
  return existsSync(path) && statSync(path).size > 0;
}

/** Looks, before anything is downloaded, whether a run may write there. Throws UserError where no folder can be made. */
export function checkFolder(path: string): void {
  let folder = dirname(path);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is a file`);
    accessSync(folder, constants.W_OK);
  } catch (cause) {
    throw notWritable(path, cause);
  }
}

function notWritable(path: string, cause: unknown): UserError {
  const reason = (cause as Error).message;
  return new UserError(`${path} cannot be written: ${reason}. Name another report.output_dir.`, {
    key: 'report.output_dir',
    cause,
  });
}

/** What names a row of a run: its place, and where it is sampled its seed and the number of the sample. */
export function rowKey({ index, seed, sample }: { index: number; seed?: number; sample?: number }): string {
  return seed === undefined && sample === undefined ? String(index) : `${index}|${seed ?? ''}|${sample ?? ''}`;
}

/** What an earlier run left in a journal. */
export interface Earlier {
  /** Keys of the rows that have a verdict: they stand. */
  scored: Set<string>;
  /** Keys of the rows that failed, and were not mended since: they are tried again. */
  failed: Set<string>;
  /** Sum of the primary metric over the scored ones. */
  sum: number;
  /** Bytes of a torn last line, which is dropped. */
  torn: number;
}

/**
 * Reads what an earlier run left, and drops a last line that has no end: the process died in the middle of it. Throws
 * UserError with the line for anything else that is not a row. `primary`: the metric that is summed.
 */
export async function readEarlier(path: string, primary: string): Promise<Earlier> {
  const earlier: Earlier = { scored: new Set(), failed: new Set(), sum: 0, torn: 0 };
  if (!existsSync(path)) return earlier;
  earlier.torn = dropTornLine(path);
  for await (const rows of rowsAtOnce(path)) {
    for (const row of rows) {
      const key = rowKey(row);
      if ('error' in row) {
        if (!earlier.scored.has(key)) earlier.failed.add(key);
      } else if (!earlier.scored.has(key)) {
        earlier.scored.add(key);
        earlier.failed.delete(key);
        earlier.sum += row.metrics?.[primary] ?? 0;
      }
    }
  }
  return earlier;
}

/** Cuts the file behind its last line end. Returns how many bytes that were. */
export function dropTornLine(path: string): number {
  const { size } = statSync(path);
  const end = wholeBytes(path);
  if (end === size) return 0;
  const file = openSync(path, 'r+');
  try {
    ftruncateSync(file, end);
    fsyncSync(file);
    return size - end;
  } finally {
    closeSync(file);
  }
}

/** Bytes up to the last line end: what of a journal is whole, where its process died in the middle of a row. */
export function wholeBytes(path: string): number {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const piece = Buffer.alloc(1 << 16);
    let end = 0;
    for (let from = size; from > 0 && end === 0; ) {
      const start = Math.max(0, from - piece.length);
      const read = readSync(file, piece, 0, from - start, start);
      const at = piece.subarray(0, read).lastIndexOf(10);
      if (at >= 0) end = start + at + 1;
      from = start;
    }
    return end;
  } finally {
    closeSync(file);
  }
}

/** Rows are put on the disk this often; what the process has written survives its own death at any time. */
const SYNC_MS = 5_000;
/** A longer row would choke whoever reads the file; it is stored as failed. */
const LONGEST_ROW = 10e6;

/** Opens the journal, to go on behind the rows that are there. Throws UserError where it cannot be written. */
export function openJournal(path: string): Journal {
  let file: number;
  let size = 0;
  let closed = false;
  let synced = Date.now();
  try {
    mkdirSync(dirname(path), { recursive: true });
    file = openSync(path, 'a');
    size = fstatSync(file).size;
    syncFolder(dirname(path));
  } catch (cause) {
    throw notWritable(path, cause);
  }
  return {
    append(given) {
      let row = given;
      let line = Buffer.from(`${JSON.stringify(row)}\n`);
      if (line.length > LONGEST_ROW) {
        row = failedRow(row, 'size', `the row would take ${line.length} bytes, more than ${LONGEST_ROW}.`);
        line = Buffer.from(`${JSON.stringify(row)}\n`);
      }
      try {
        writeAll(file, line, 'row');
        size += line.length;
        if (Date.now() - synced > SYNC_MS) {
          fsyncSync(file);
          synced = Date.now();
        }
        return row;
      } catch (cause) {
        // What was written of it goes again, so that the file ends with a whole row.
        ftruncateSync(file, size);
        throw new OutsideError(
          `${path}: row ${row.index} could not be written: ${(cause as Error).message}. Earlier rows are intact.`,
          { cause },
        );
      }
    },
    close() {
      if (closed) return;
      closed = true;
      fsyncSync(file);
      closeSync(file);
      if (size === 0) unlinkSync(path);
    },
  };
}

/** A row in place of one that could not be had. */
export function failedRow(
  { task, id, index, seed, sample }: Pick<FailedRow, 'task' | 'id' | 'index' | 'seed' | 'sample'>,
  kind: string,
  message: string,
): FailedRow {
  const drawn = { ...(seed === undefined ? {} : { seed }), ...(sample === undefined ? {} : { sample }) };
  return { task, id, index, ...drawn, error: { kind, message } };
}

/** A finished journal, in data-set order. */
export interface Finished<T> {
  /** What was kept of each row. */
  kept: T[];
  /** The whole rows of these places. */
  rowsAt(places: readonly number[]): JournalRow[];
}

/**
 * Reads a finished journal, once: puts its rows into data-set order, by rename, each once. A row that a later try mended
 * replaces its failures, and of two verdicts the first stands. Rows are appended as they become known. `keep` says what of a
 * row is wanted.
 */
export async function finishJournal<T>(path: string, keep: (row: JournalRow) => T): Promise<Finished<T>> {
  interface Entry {
    order: readonly [number, number, number];
    line: string;
    failed: boolean;
    kept: T;
  }
  const rows = new Map<string, Entry>();
  let clean = true;
  let last: readonly number[] = [-1, 0, 0];
  let number = 0;
  for await (const [, line] of linesOf(path)) {
    number += 1;
    const row = journalRow(line, path, number);
    const key = rowKey(row);
    const order = [row.index, row.seed ?? 0, row.sample ?? 0] as const;
    const known = rows.get(key);
    clean &&= known === undefined && compare(last, order) <= 0;
    last = order;
    if (known === undefined || known.failed) rows.set(key, { order, line, failed: 'error' in row, kept: keep(row) });
  }
  const entries = [...rows.values()];
  if (!clean) {
    entries.sort((a, b) => compare(a.order, b.order));
    writeWhole(
      path,
      entries.map(({ line }) => `${line}\n`),
    );
  }
  return {
    kept: entries.map(({ kept }) => kept),
    rowsAt: (places) => places.map((place) => JSON.parse(entries[place]!.line) as JournalRow),
  };
}

const compare = (a: readonly number[], b: readonly number[]): number =>
  a.map((value, i) => value - b[i]!).find((difference) => difference !== 0) ?? 0;

/**
 * The rows of a journal, one at a time, of its first `size` bytes or all. Throws UserError with the line for anything that
 * is not a row.
 */
export async function* readJournal(path: string, size?: number): AsyncGenerator<JournalRow> {
  for await (const rows of rowsAtOnce(path, size)) for (const row of rows) yield row;
}

/** The same, as many rows at a time as one read gives. */
export async function* rowsAtOnce(path: string, size?: number): AsyncGenerator<JournalRow[]> {
  const decode = lineDecoder();
  let number = 0;
  const read = (line: Uint8Array) => {
    number += 1;
    return journalRow(decode(number, line), path, number);
  };
  try {
    for await (const lines of readRawLines(path, size)) yield lines.map(read);
  } catch (cause) {
    throw lineFault(path, cause);
  }
}

function journalRow(line: string, path: string, number: number): JournalRow {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (cause) {
    throw new UserError(`${path}:${number}: not a JSON line: ${(cause as Error).message}.`, { cause });
  }
  if (typeof row !== 'object' || row === null || !('id' in row) || !('index' in row)) {
    throw new UserError(`${path}:${number}: not a row: it has no id or no index.`);
  }
  return row as JournalRow;
}

function lineFault(path: string, cause: unknown): unknown {
  if (cause instanceof LineError) return new UserError(`${path}:${cause.number}: ${cause.message}.`, { cause });
  return isReadingFault(cause) ? new UserError(`${path}: cannot be read: ${cause.message}.`, { cause }) : cause;
}

async function* linesOf(path: string): AsyncGenerator<[number, string]> {
  try {
    yield* readLines(path);
  } catch (cause) {
    throw lineFault(path, cause);
  }
}
