/** page.jsonl read back: what rows share in memory, the rows themselves by their places in the file. */
import { closeSync, openSync, readSync } from 'node:fs';
import { checkFormat } from '../config/file.ts';
import type { PagePicture, PageRow, PageShared } from '../report/page_shape.ts';
import { isReadingFault } from '../text/bytes.ts';
import { readRawLines } from '../text/lines.ts';
import { UserError } from '../types.ts';
import type { Place } from './growing_file.ts';
import { wholeBytes } from './journal.ts';

/** What a companion holds, as its lines are read. */
export class CompanionIndex {
  readonly shared: PageShared = { text_heads: {}, ids_heads: {}, texts: {} };
  /** By `rowKey`; of two lines of a row the later one counts. */
  readonly rows = new Map<string, Place>();
  /** By SHA-256. */
  readonly pictures = new Map<string, Place>();
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Takes the next line. Throws UserError for another format, SyntaxError for what is no JSON. */
  take(line: Buffer, place: Place): void {
    // Rows and pictures are most of the file: they are read when they are wanted.
    if (startsWith(line, ROW)) this.rows.set(nameIn(line, ROW.length), place);
    else if (startsWith(line, PICTURE)) this.pictures.set(nameIn(line, PICTURE.length), place);
    else this.takeShared(JSON.parse(line.toString('utf8')) as SharedLine);
  }

  private takeShared({ format, texts, head, text, ids }: SharedLine): void {
    if (format !== undefined) checkFormat(this.path, format);
    if (texts !== undefined) Object.assign(this.shared.texts, texts);
    if (head !== undefined && text !== undefined) this.shared.text_heads[head] = text;
    if (head !== undefined && ids !== undefined) this.shared.ids_heads[head] = ids;
  }
}

const ROW = Buffer.from('{"row":"');
const PICTURE = Buffer.from('{"picture":"');

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

/** Reads the whole lines of the file. Throws UserError for a line that is none of it, and for another format. */
export async function readCompanion(path: string): Promise<CompanionIndex> {
  const index = new CompanionIndex(path);
  let offset = 0;
  let number = 0;
  try {
    for await (const lines of readRawLines(path, wholeBytes(path))) {
      for (const line of lines) {
        number += 1;
        index.take(Buffer.from(line.buffer, line.byteOffset, line.byteLength), { offset, length: line.length });
        offset += line.length + 1;
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
  return index;
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
