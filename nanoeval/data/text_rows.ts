/** Rows of JSON-lines, JSON and CSV files, read as a stream; a bad row is an error with `path:line`. And of texts. */
import { constants } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { LineError, lineDecoder, readLines, readRawLines } from '../text/lines.ts';
import { type Row, UserError } from '../types.ts';
import { diskError, sizeOf } from './cache.ts';

/** Shows the start of what was found in a message. */
function excerpt(text: string): string {
  const line = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return JSON.stringify(line);
}

/** What went wrong with a file's lines, with its place. */
function lineFault(path: string, name: string, cause: unknown): unknown {
  if (cause instanceof UserError) return cause;
  if (cause instanceof LineError) return new UserError(`${name}:${cause.number}: ${cause.message}.`, { cause });
  return diskError(path, cause);
}

/** A line of ASCII blanks, a byte order mark in front of them or not. */
const isBlank = (line: Uint8Array): boolean =>
  line.every((byte) => byte <= 0x20) || (line[0] === 0xef && new TextDecoder().decode(line).trim() === '');

function asRow(value: unknown, where: string, text: string): Row {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Row;
  throw new UserError(`${where}: found ${excerpt(text)}. It would be a JSON object, one a line.`);
}

/** First character of a file that is no blank; '' when it is empty. */
async function firstCharacter(path: string, name: string): Promise<string> {
  try {
    for await (const [, line] of readLines(path)) {
      const first = line.trimStart()[0];
      if (first !== undefined) return first;
    }
  } catch (cause) {
    throw lineFault(path, name, cause);
  }
  return '';
}

/**
 * Rows of a JSON-lines file, with their number from 0; blank lines are no rows, and of those that are not `wanted` the
 * first alone is looked at. A `.json` file that begins with `[` is one array of objects and read whole. Throws
 * UserError `name:line: ...` for what is no object.
 */
export async function* jsonRows(
  path: string,
  name: string,
  wanted: (index: number) => boolean = () => true,
): AsyncGenerator<[number, Row]> {
  let index = 0;
  if (path.endsWith('.json') && (await firstCharacter(path, name)) === '[') {
    for (const value of await readJsonArray(path, name))
      yield [index, asRow(value, `${name}: row ${index++}`, String(value))];
    return;
  }
  const decode = lineDecoder();
  let number = 0;
  try {
    for await (const lines of readRawLines(path)) {
      for (const bytes of lines) {
        number += 1;
        if (isBlank(bytes)) continue;
        if (index === 0 || wanted(index)) yield [index, jsonRow(decode(number, bytes), `${name}:${number}`)];
        index += 1;
      }
    }
  } catch (cause) {
    throw lineFault(path, name, cause);
  }
}

function jsonRow(line: string, where: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(`${where}: found ${excerpt(line)}, which is no JSON (${reason}).`, { cause });
  }
  return asRow(value, where, line);
}

async function readJsonArray(path: string, name: string): Promise<unknown[]> {
  const text = await readFile(path, 'utf8').catch((error) => {
    throw diskError(path, error);
  });
  try {
    return JSON.parse(text) as unknown[];
  } catch (cause) {
    throw new UserError(`${name}: no JSON: ${cause instanceof Error ? cause.message : cause}.`, { cause });
  }
}

/** Rows in a JSON-lines file without parsing them. */
export async function countJsonRows(path: string, name: string): Promise<number> {
  if (path.endsWith('.json') && (await firstCharacter(path, name)) === '[')
    return (await readJsonArray(path, name)).length;
  let count = 0;
  try {
    for await (const lines of readRawLines(path)) for (const line of lines) if (!isBlank(line)) count++;
  } catch (cause) {
    throw lineFault(path, name, cause);
  }
  return count;
}

/**
 * A CSV cell: text stays text, numbers too ("1" and "01" are different answers). A cell from `[` to `]` that is JSON
 * becomes the list it says, so that a CSV can hold choices; any other text in brackets stays text.
 */
function cell(text: string): unknown {
  if (!text.startsWith('[') || !text.endsWith(']')) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/**
 * Rows of a CSV file (RFC 4180, comma, header row), with their number from 0. Cells are strings; see `cell` for lists.
 * Throws UserError `name:line: ...` for a row of another length, an open quote, or a file without header.
 */
export async function* csvRows(path: string, name: string): AsyncGenerator<[number, Row]> {
  const parser = parse({ bom: true, columns: checkHeader, skip_empty_lines: true });
  const source = createReadStream(path);
  source.on('error', (error) => parser.destroy(diskError(path, error)));
  const text = source.pipe(utf8Only(name));
  text.on('error', (error) => parser.destroy(error));
  text.pipe(parser);
  function checkHeader(header: string[]): string[] {
    const twice = header.find((column, i) => header.indexOf(column) !== i);
    if (twice !== undefined) throw new UserError(`${name}:1: the header has "${twice}" twice.`);
    return header;
  }
  let index = 0;
  try {
    for await (const record of parser as AsyncIterable<Record<string, string>>) {
      const row: Row = {};
      for (const [column, text] of Object.entries(record)) row[column] = cell(text);
      yield [index++, row];
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = typeof error.lines === 'number' ? `:${error.lines}` : '';
    throw new UserError(`${name}${line}: ${error.message}.`, { cause: error });
  } finally {
    source.destroy();
  }
}

/** Passes UTF-8 through; anything else is an error, and not a replacement character in a prompt. */
function utf8Only(name: string): Transform {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decode = (bytes: Uint8Array | undefined, done: (error: Error | null, text?: string) => void) => {
    try {
      done(null, decoder.decode(bytes, { stream: bytes !== undefined }));
    } catch (cause) {
      done(notUtf8(name, cause));
    }
  };
  return new Transform({
    transform: (bytes: Uint8Array, _, done) => decode(bytes, done),
    flush: (done) => decode(undefined, done),
  });
}

function notUtf8(name: string, cause: unknown): UserError {
  return new UserError(`${name}: not UTF-8. Save the file as UTF-8.`, { cause });
}

/** Records in a CSV file behind its header. */
export async function countCsvRows(path: string, name: string): Promise<number> {
  let count = 0;
  for await (const _ of csvRows(path, name)) count++;
  return count;
}

/**
 * The one row of a text file: `{ text }`, all of it as it is, but for a byte order mark in front. The text of an empty
 * file is ''. Nothing is read when the row is not `wanted`. Throws UserError for what is not UTF-8, and for more bytes
 * than a text in JavaScript can have (512 MiB); OutsideError when the file cannot be read.
 */
export async function* txtRows(
  path: string,
  name: string,
  wanted: (index: number) => boolean = () => true,
): AsyncGenerator<[number, Row]> {
  if (!wanted(0)) return;
  const size = (await sizeOf(path)) ?? 0;
  const most = constants.MAX_STRING_LENGTH;
  if (size > most)
    throw new UserError(`${name}: ${size} bytes are too many for one text. It would be ${most} at most.`);
  const bytes = await readFile(path).catch((error) => {
    throw diskError(path, error);
  });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw notUtf8(name, cause);
  }
  yield [0, { text }];
}

/** A text file has one row, whatever it holds. */
export async function countTxtRows(): Promise<number> {
  return 1;
}
