/**
 * The wire format of protocol buffers, as much of it as ONNX files need
 * (https://protobuf.dev/programming-guides/encoding).
 */

import { fstatSync, readSync } from 'node:fs';

/** Random access to bytes that need not be in memory. */
export interface Bytes {
  length: number;
  /** `length` bytes from `start`; a view or a copy. */
  read(start: number, length: number): Uint8Array;
}

/** One field of a message: a number (varint, fixed32 as its bits) or a range of bytes. */
export interface Field {
  number: number;
  /** 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32. */
  wire: number;
  /** The varint's value as a signed 64-bit number; 0 for other wire types. Exact up to 2^53. */
  value: number;
  /** Where the content lies: of a length-delimited field, or of a fixed one. */
  start: number;
  length: number;
}

/** The bytes of an array. */
export function inMemory(bytes: Uint8Array): Bytes {
  return { length: bytes.length, read: (start, length) => bytes.subarray(start, start + length) };
}

/** The bytes of an open file, read through a window of 64 kB: fields are many and small, and the large ones are skipped. */
export function inFile(file: number): Bytes {
  const { size } = fstatSync(file);
  const window = Buffer.alloc(65536);
  let [from, to] = [0, 0];
  const fill = (buffer: Buffer, start: number): number => {
    let done = 0;
    while (done < buffer.length) {
      const count = readSync(file, buffer, done, buffer.length - done, start + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  };
  return {
    length: size,
    read(start, length) {
      if (length > window.length) {
        const whole = Buffer.alloc(length);
        return whole.subarray(0, fill(whole, start));
      }
      if (start < from || start + length > to) {
        from = start;
        to = start + fill(window, start);
      }
      return Uint8Array.prototype.slice.call(window, start - from, Math.min(start + length, to) - from);
    },
  };
}

/**
 * The fields of the message in [start, end), contents not read. Throws Error for what is no message: a truncated file,
 * a group, a length that runs past the end.
 */
export function* fields(bytes: Bytes, start = 0, end = bytes.length): Generator<Field> {
  let at = start;
  const varint = (): number => {
    const head = bytes.read(at, Math.min(10, end - at));
    let low = 0;
    let high = 0;
    for (let i = 0; i < head.length; i += 1) {
      const byte = head[i]!;
      if (i < 4) low += (byte & 0x7f) * 2 ** (7 * i);
      else high += (byte & 0x7f) * 2 ** (7 * (i - 4));
      if (byte < 0x80) {
        at += i + 1;
        // Ten bytes are a negative number: 2^64 is taken away in two halves, so that small ones stay exact.
        return i === 9 ? low - 2 ** 28 + (high - (2 ** 36 - 1)) * 2 ** 28 : low + high * 2 ** 28;
      }
    }
    throw new Error(`a number at byte ${at} has no end`);
  };
  while (at < end) {
    const key = varint();
    const [number, wire] = [Math.floor(key / 8), key % 8];
    let value = 0;
    let length = 0;
    if (wire === 0) value = varint();
    else if (wire === 1) length = 8;
    else if (wire === 2) length = varint();
    else if (wire === 5) length = 4;
    else throw new Error(`wire type ${wire} at byte ${at}`);
    // A negative length would go back and never end.
    if (length < 0 || at + length > end) throw new Error(`field ${number} runs past the end, byte ${end}`);
    yield { number, wire, value, start: at, length };
    at += length;
  }
}

/** Bytes of a name or a path; a damaged length may take in the weights. */
const LONGEST_TEXT = 65_536;
const decoder = new TextDecoder();

/** The text of a length-delimited field. Throws Error for one that is longer than any name. */
export function textAt(bytes: Bytes, { start, length }: Pick<Field, 'start' | 'length'>): string {
  if (length > LONGEST_TEXT) throw new Error(`a name of ${length} bytes at byte ${start}`);
  return decoder.decode(bytes.read(start, length));
}

/** Bytes of a number of 64 bits. */
export const LONGEST_NUMBER = 10;

/** The numbers of a packed list. Throws Error for one without an end. */
export function packed(bytes: Uint8Array): number[] {
  const out: number[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes) {
    if (shift >= 7n * BigInt(LONGEST_NUMBER)) throw new Error('a number in a list has no end');
    value += BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte < 0x80) {
      out.push(Number(BigInt.asIntN(64, value)));
      [value, shift] = [0n, 0n];
    }
  }
  return out;
}

function varintBytes(value: number): number[] {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

/** Parts one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A varint field. */
export const intField = (number: number, value: number): Uint8Array =>
  Uint8Array.from([...varintBytes(number * 8), ...varintBytes(value)]);

/** A length-delimited field: bytes, or a message. */
export const bytesField = (number: number, value: Uint8Array): Uint8Array =>
  joined([Uint8Array.from([...varintBytes(number * 8 + 2), ...varintBytes(value.length)]), value]);

/** A text field. */
export const textField = (number: number, value: string): Uint8Array =>
  bytesField(number, new TextEncoder().encode(value));

/** A fixed32 field that holds a float. */
export const floatField = (number: number, value: number): Uint8Array =>
  joined([Uint8Array.from(varintBytes(number * 8 + 5)), new Uint8Array(Float32Array.of(value).buffer)]);
