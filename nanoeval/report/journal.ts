/** predictions.jsonl: one line a row, appended as it is known; the only source of truth of a run. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { LineError, readLines } from '../lines.ts';
import { type FailedRow, OutsideError, type ScoredRow, UserError } from '../types.ts';
import { writeWhole } from './summary.ts';

export type JournalRow = ScoredRow | FailedRow;

export interface Journal {
  /** Appends one row in one write. Throws OutsideError when the disk refuses it; the rows before it stay. */
  append(row: JournalRow): void;
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

/**
 * Looks, before anything is downloaded, whether a run may write there. A file that has rows already is refused with a
 * UserError: they are the valuable thing and are never written over or mixed with another run's. So is a place where no
 * folder can be made.
 */
export function checkJournal(path: string, overwrite: boolean): void {
  if (hasRows(path) && !overwrite) {
    throw new UserError(
      `${path} already has rows. Name another report.output_dir, move the folder away, or set run.overwrite: true (the old folder is kept aside).`,
      { key: 'report.output_dir' },
    );
  }
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

/**
 * Makes the journal of a new run. Throws UserError when the file is there already, if only since a moment ago: two runs
 * never write into one file. A journal that is closed without a row is taken away again.
 */
export function openJournal(path: string): Journal {
  checkJournal(path, false);
  let file: number;
  let rows = 0;
  let closed = false;
  try {
    mkdirSync(dirname(path), { recursive: true });
    file = openSync(path, 'ax');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw notWritable(path, cause);
    throw new UserError(
      `${path} is there, without rows: another run may have just begun. If none has, remove the file.`,
      {
        key: 'report.output_dir',
        cause,
      },
    );
  }
  return {
    append(row) {
      const line = Buffer.from(`${JSON.stringify(row)}\n`);
      try {
        for (let done = 0; done < line.length; ) done += writeSync(file, line, done);
        rows += 1;
      } catch (cause) {
        throw new OutsideError(
          `${path}: row ${row.index} could not be written: ${(cause as Error).message}. Earlier rows are intact.`,
          {
            cause,
          },
        );
      }
    },
    close() {
      if (closed) return;
      closed = true;
      fsyncSync(file);
      closeSync(file);
      if (rows === 0) unlinkSync(path);
    },
  };
}

/**
 * Puts the rows of a finished journal into data-set order, by rename. Rows are appended as they become known, and rows of
 * like length are computed together.
 */
export async function sortJournal(path: string): Promise<void> {
  const rows: { index: number; line: string }[] = [];
  let sorted = true;
  for await (const [, line] of linesOf(path)) {
    const { index } = JSON.parse(line) as { index: number };
    sorted &&= index >= (rows.at(-1)?.index ?? index);
    rows.push({ index, line });
  }
  if (sorted) return;
  rows.sort((a, b) => a.index - b.index);
  writeWhole(path, rows.map(({ line }) => `${line}\n`).join(''));
}

/** The rows of a journal, one at a time. Throws UserError with the line for anything that is not a row. */
export async function* readJournal(path: string): AsyncGenerator<JournalRow> {
  for await (const [number, line] of linesOf(path)) {
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (cause) {
      throw new UserError(`${path}:${number}: not a JSON line: ${(cause as Error).message}.`, { cause });
    }
    if (typeof row !== 'object' || row === null || !('id' in row) || !('index' in row)) {
      throw new UserError(`${path}:${number}: not a row: it has no id or no index.`);
    }
    yield row as JournalRow;
  }
}

async function* linesOf(path: string): AsyncGenerator<[number, string]> {
  try {
    yield* readLines(path);
  } catch (cause) {
    if (cause instanceof LineError) throw new UserError(`${path}:${cause.number}: ${cause.message}.`, { cause });
    throw cause;
  }
}
