/** The lines of a text file, as a stream. */
import { isAscii } from 'node:buffer';
import { readBytes } from './bytes.ts';

/** The longest line that is taken for one row; a file without line ends would fill the memory otherwise. */
const LONGEST_LINE = 256 * 1024 * 1024;

/** A line that is not UTF-8, or far too long; `number` counts from 1. */
export class LineError extends Error {
  readonly number: number;
  constructor(number: number, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'LineError';
    this.number = number;
  }
}

/**
 * The lines of a UTF-8 file with their number from 1, without their end (`\n` or `\r\n`). Cut at `\n` alone: node's
 * readline cuts at U+2028 inside a text too, which JSON leaves as it is. Throws LineError, PackedError (`readBytes`), and
 * what the file system says.
 */
export async function* readLines(path: string): AsyncGenerator<[number, string]> {
  const decode = lineDecoder();
  let number = 0;
  for await (const lines of readRawLines(path)) {
    for (const line of lines) {
      number += 1;
      yield [number, decode(number, line)];
    }
  }
}

/** Makes a line's bytes a text. Throws LineError where they are not UTF-8. */
export function lineDecoder(): (number: number, bytes: Uint8Array) => string {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return (number, bytes) => {
    try {
      // In UTF-8 the byte 13 is nothing but this character.
      return textOf(bytes.at(-1) === 13 ? bytes.subarray(0, -1) : bytes, decoder);
    } catch (cause) {
      throw new LineError(number, 'not UTF-8. Save the file as UTF-8', { cause });
    }
  };
}

/** Most lines are ASCII, which is read in a fraction of the time. */
function textOf(bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): string {
  if (!isAscii(bytes)) return decoder.decode(bytes);
  const own = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return own.toString('latin1');
}

/** The bytes of the lines, as many at a time as one read gives: for who skips most of them, or counts. Of `size` bytes at most. */
export async function* readRawLines(path: string, size?: number): AsyncGenerator<Uint8Array[]> {
  let number = 0;
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of readBytes(path, size)) {
    const lines: Uint8Array[] = [];
    let from = 0;
    for (let at = piece.indexOf(10); at !== -1; at = piece.indexOf(10, from)) {
      const last = piece.subarray(from, at);
      lines.push(parts.length === 0 ? last : Buffer.concat([...parts, last]));
      parts = [];
      length = 0;
      from = at + 1;
    }
    number += lines.length;
    if (lines.length > 0) yield lines;
    if (from === piece.byteLength) continue;
    parts.push(piece.subarray(from));
    length += piece.byteLength - from;
    if (length > LONGEST_LINE) throw new LineError(number + 1, 'a line of more than 256 MB');
  }
  if (length > 0) yield [Buffer.concat(parts)];
}
