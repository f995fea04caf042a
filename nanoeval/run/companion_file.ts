/** page.jsonl read back: what rows share in memory, the rows themselves by their places in the file. */
import { closeSync, openSync, readSync } from 'node:fs';
import { checkFormat } from '../config/file.ts';
import type { PagePicture, PageRow, PageShared } from '../report/page_shape.ts';
import { isReadingFault } from '../text/bytes.ts';
import { readRawLines } from '../text/lines.ts';
import { UserError } from '../types.ts';
import { wholeBytes } from './journal.ts';

/** Where a line stands. */
export interface Place {
  offset: number;
  length: number;
}

export interface CompanionFile {
  shared: PageShared;
  /** By `rowKey`; of two lines of a row the later one counts. */
  rows: Map<string, Place>;
  /** By SHA-256. */
  pictures: Map<string, Place>;
}

const ROW = Buffer.from('{"row":"');
const PICTURE = Buffer.from('{"picture":"');

/** Reads the whole lines of the file. Throws UserError for a line that is none of it, and for another format. */
export async function readCompanion(path: string): Promise<CompanionFile> {
  const found: CompanionFile = {
    shared: { text_heads: {}, ids_heads: {}, texts: {} },
    rows: new Map(),
    pictures: new Map(),
  };
  let offset = 0;
  let number = 0;
  try {
    for await (const lines of readRawLines(path, wholeBytes(path))) {
      for (const line of lines) {
        number += 1;
        const place = { offset, length: line.length };
        offset += line.length + 1;
        const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
        // Rows and pictures are most of the file: they are read when they are wanted.
        if (startsWith(bytes, ROW)) found.rows.set(nameIn(bytes, ROW.length), place);
        else if (startsWith(bytes, PICTURE)) found.pictures.set(nameIn(bytes, PICTURE.length), place);
        else takeShared(found.shared, bytes, path);
      }
    }
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new UserError(
        `${path}:${number}: not a JSON line. Remove the file, or run its config with run.overwrite.`,
        {
          cause,
        },
      );
    throw isReadingFault(cause) ? new UserError(`${path}: cannot be read: ${cause.message}.`, { cause }) : cause;
  }
  return found;
}

const startsWith = (line: Buffer, head: Buffer) =>
  line.length > head.length && line.compare(head, 0, head.length, 0, head.length) === 0;

/** The text from a place on up to the next quote: keys and hashes have none in them. */
const nameIn = (line: Buffer, from: number) => line.toString('latin1', from, line.indexOf(34, from));

interface SharedLine {
  format?: unknown;
  texts?: Record<number, string>;
  head?: number;
  text?: string;
  ids?: string;
}

function takeShared(shared: PageShared, line: Buffer, path: string): void {
  const { format, texts, head, text, ids } = JSON.parse(line.toString('utf8')) as SharedLine;
  if (format !== undefined) checkFormat(path, format, {});
  if (texts !== undefined) Object.assign(shared.texts, texts);
  if (head !== undefined && text !== undefined) shared.text_heads[head] = text;
  if (head !== undefined && ids !== undefined) shared.ids_heads[head] = ids;
}

/** Reads lines of a companion by their places. */
export class CompanionReader {
  private readonly file: number;
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
    this.file = openSync(path, 'r');
  }

  /** The line as it stands. */
  line({ offset, length }: Place): string {
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const read = readSync(this.file, bytes, done, length - done, offset + done);
      if (read === 0) throw new UserError(`${this.path}: it became shorter while it was read.`);
      done += read;
    }
    return bytes.toString('utf8');
  }

  picture(place: Place): PagePicture {
    return JSON.parse(this.line(place)) as PagePicture;
  }

  row(place: Place): PageRow {
    return JSON.parse(this.line(place)) as PageRow;
  }

  close(): void {
    closeSync(this.file);
  }
}
