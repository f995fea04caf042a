/**
 * SentencePiece's `precompiled_charsmap`: a double array (Darts) of UTF-8 sequences, and what each becomes. Read as the Rust
 * library does (crate `spm_precompiled`), which looks a whole grapheme up first and takes the shortest key that begins it.
 */
import { UserError } from '../../types.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/**
 * Characters of ASCII among their like, where each is a grapheme: finding graphemes is slow. Beside others, and around a
 * carriage return, they may be part of a longer one.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII but the carriage return.
const ALONE = /(?<![^\0-\x0c\x0e-\x7f])([\0-\x0c\x0e-\x7f]+)(?![^\0-\x0c\x0e-\x7f])/;
/** UTF-8 bytes from which on a grapheme is not looked up as a whole. */
const LONG = 6;

/** A function that normalises a text by `base64`, the field's value. Throws UserError when it is no such map. */
export function openCharsmap(base64: unknown, where: string): (text: string) => string {
  const bytes = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : Buffer.alloc(0);
  const size = bytes.length >= 4 ? bytes.readUInt32LE(0) : -1;
  if (size < 4 || size % 4 !== 0 || 4 + size > bytes.length) {
    throw new UserError(`${where}: precompiled_charsmap is no map of characters. Get tokenizer.json again.`);
  }
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const normalized = bytes.subarray(4 + size);
  const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
  const seen = new Map<string, string>();

  function looked(part: string): string | null {
    const at = shortestKey(units, encoder.encode(part));
    if (at === null) return null;
    const end = normalized.indexOf(0, at);
    return decoder.decode(normalized.subarray(at, end < 0 ? normalized.length : end));
  }

  function normalizeGrapheme(grapheme: string): string {
    const whole = Buffer.byteLength(grapheme) < LONG ? looked(grapheme) : null;
    if (whole !== null) return whole;
    return Array.from(grapheme, (char) => looked(char) ?? char).join('');
  }

  function remembered(grapheme: string): string {
    let part = seen.get(grapheme);
    if (part === undefined) {
      part = normalizeGrapheme(grapheme);
      if (seen.size < 65536) seen.set(grapheme, part);
    }
    return part;
  }

  return (text) => {
    let found = '';
    text.split(ALONE).forEach((part, i) => {
      if (i % 2 === 1) for (const char of part) found += remembered(char);
      else for (const { segment } of graphemes.segment(part)) found += remembered(segment);
    });
    return found;
  };
}

/** Value of the shortest key that `bytes` begin with; null for none. */
function shortestKey(units: Uint32Array, bytes: Uint8Array): number | null {
  const offset = (unit: number) => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
  let at = 0 ^ offset(units[0]!);
  for (const byte of bytes) {
    if (byte === 0) return null;
    at ^= byte;
    const unit = units[at];
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return null;
    at ^= offset(unit);
    if (((unit >>> 8) & 1) === 1) return units[at]! & 0x7fffffff;
  }
  return null;
}
