/** Rows of JSON-lines, JSON and CSV files, read as a stream; a bad row is an error with `path:line`. And of texts. */
import { constants } from 'node:buffer';
import { pipeline, Transform } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { PackedError, readBytes, withoutPacking } from '../text/bytes.ts';
import { LineError, lineDecoder, readLines, readRawLines } from '../text/lines.ts';
import { parsePythonJson } from '../text/python_json.ts';
import { type Row, UserError } from '../types.ts';
import { diskError, sizeOf } from './cache.ts';

/** Shows the start of what was found in a message. */
function excerpt(text: string): string {
  const line = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return JSON.stringify(line);
}

/** What went wrong with reading a file, with its place. */
function readFault(path: string, name: string, cause: unknown): unknown {
  if (cause instanceof UserError) return cause;
  if (cause instanceof LineError) return new UserError(`${name}:${cause.number}: ${cause.message}.`, { cause });
  if (cause instanceof PackedError) return new UserError(`${name}: ${cause.message}.`, { cause });
  return diskError(path, cause);
}

/** A line of ASCII blanks, a byte order mark in front of them or not. */
const isBlank = (line: Uint8Array): boolean =>
  line.every((byte) => byte <= 0x20) || (line[0] === 0xef && new TextDecoder().decode(line).trim() === '');

function asRow(value: unknown, where: string, text: string): Row {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Row;
  throw new UserError(`${where}: found ${excerpt(text)}. It would be a JSON object, one a line.`);
}

/** True for a file that may be one array; `.jsonl` has a row a line. */
const isJson = (path: string): boolean => withoutPacking(path).endsWith('.json');

/** First character of a file that is no blank; '' when it is empty. */
async function firstCharacter(path: string, name: string): Promise<string> {
  try {
    for await (const [, line] of readLines(path)) {
      const first = line.trimStart()[0];
      if (first !== undefined) return first;
    }
  } catch (cause) {
    throw readFault(path, name, cause);
  }
  return '';
}

/**
 * Rows of a JSON-lines file, with their number from 0; blank lines are no rows, and of those that are not `wanted` the
 * first alone is looked at. A `.json` file that begins with `[` is one array of objects and read whole. JSON is what
 * `parsePythonJson` reads. Throws UserError `name:line: ...` for what is no object.
 */
export async function* jsonRows(
  path: string,
  name: string,
  wanted: (index: number) => boolean = () => true,
): AsyncGenerator<[number, Row]> {
  let index = 0;
  if (isJson(path) && (await firstCharacter(path, name)) === '[') {
    for (const value of await readJsonArray(path, name))
      yield [index, asRow(value, `${name}: row ${index++}`, Array.isArray(value) ? '[...]' : String(value))];
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
    throw readFault(path, name, cause);
  }
}

function jsonRow(line: string, where: string): Row {
  let value: unknown;
  try {
    value = parsePythonJson(line);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(`${where}: found ${excerpt(line)}, which is no JSON (${reason}).`, { cause });
  }
  return asRow(value, where, line);
}

async function readJsonArray(path: string, name: string): Promise<unknown[]> {
  const text = await wholeText(path, name);
  try {
    return parsePythonJson(text) as unknown[];
  } catch (cause) {
    throw new UserError(`${name}: no JSON: ${cause instanceof Error ? cause.message : cause}.`, { cause });
  }
}

/** Rows in a JSON-lines file without parsing them. */
export async function countJsonRows(path: string, name: string): Promise<number> {
  if (isJson(path) && (await firstCharacter(path, name)) === '[') return (await readJsonArray(path, name)).length;
  let count = 0;
  try {
    for await (const lines of readRawLines(path)) for (const line of lines) if (!isBlank(line)) count++;
  } catch (cause) {
    throw readFault(path, name, cause);
  }
  return count;
}

/**
 * Rows of a CSV file (RFC 4180, comma, header row), with their number from 0. `\n`, `\r\n` and `\r` end a row wherever
 * they stand outside of quotes. Cells are texts, numbers too ("1" and "01" are different answers); columns without a
 * name, as spreadsheets leave them behind the last one, are left out. Throws UserError `name:line: ...` for a row of
 * another length, an open quote, or a file without header.
 */
export async function* csvRows(path: string, name: string): AsyncGenerator<[number, Row]> {
  const parser = parse({
    bom: true,
    columns: checkHeader,
    skip_empty_lines: true,
    record_delimiter: ['\r\n', '\n', '\r'],
  });
  // The callback hears of an error that the loop below throws as well.
  pipeline(readBytes(path), utf8Only(name), parser, () => {});
  function checkHeader(header: string[]): (string | false)[] {
    const twice = header.find((column, i) => column !== '' && header.indexOf(column) !== i);
    if (twice !== undefined) throw new UserError(`${name}:1: the header has "${twice}" twice.`);
    return header.map((column) => (column === '' ? false : column));
  }
  let index = 0;
  try {
    for await (const record of parser as AsyncIterable<Record<string, string>>) yield [index++, record];
  } catch (error) {
    if (!(error instanceof CsvError)) throw readFault(path, name, error);
    const line = typeof error.lines === 'number' ? `:${error.lines}` : '';
    throw new UserError(`${name}${line}: ${error.message.replace(/\s+/g, ' ')}.`, { cause: error });
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
  if (wanted(0)) yield [0, { text: await wholeText(path, name) }];
}

/** All of a file as a text, without a byte order mark in front. Errors as those of `txtRows`. */
async function wholeText(path: string, name: string): Promise<string> {
  const most = constants.MAX_STRING_LENGTH;
  const tooMany = (size: number) =>
    new UserError(`${name}: ${size} bytes are too many for one text. It would be ${most} at most.`);
  const size = (await sizeOf(path)) ?? 0;
  if (size > most) throw tooMany(size);
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of readBytes(path)) {
      pieces.push(piece);
      length += piece.byteLength;
      if (length > most) throw tooMany(length);
    }
  } catch (cause) {
    throw readFault(path, name, cause);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch (cause) {
    throw notUtf8(name, cause);
  }
}

/** A text file has one row, whatever it holds. */
export async function countTxtRows(): Promise<number> {
  return 1;
}
