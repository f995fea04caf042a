/** ONNX files with some bytes changed: all over, in what tells messages apart, in names, or a name in place of another. */
import { type Field, fields, inMemory } from '../../nanoeval/model/graph/protobuf.ts';
import { changed, randomFrom } from './changed.ts';

/** Messages inside of a message, by field number (onnx.proto3). */
interface Message {
  [number: number]: Message;
}
const TENSOR: Message = { 13: {} };
const VALUE: Message = { 2: { 1: { 2: { 1: {} } } } };
const MODEL: Message = { 7: { 1: { 5: { 5: TENSOR } }, 5: TENSOR, 11: VALUE, 12: VALUE, 13: VALUE }, 8: {} };
/** Contents up to this many bytes are names and small numbers; weights are longer. */
const SHORT = 64;

/** Where what lies in an ONNX file. */
export interface Anatomy {
  whole: Uint8Array;
  /** Places of field numbers, lengths and plain numbers. */
  heads: number[];
  /** Contents that are no messages, by their length. */
  short: Map<number, Field[]>;
}

/** Takes a whole file apart. */
export function anatomyOf(whole: Uint8Array): Anatomy {
  const anatomy: Anatomy = { whole, heads: [], short: new Map() };
  const walk = (message: Message, from: number, to: number) => {
    let at = from;
    for (const field of fields(inMemory(whole), from, to)) {
      for (; at < field.start; at += 1) anatomy.heads.push(at);
      at = field.start + field.length;
      const inner = message[field.number];
      if (inner !== undefined) walk(inner, field.start, at);
      else if (field.length > 0 && field.length <= SHORT)
        anatomy.short.set(field.length, [...(anatomy.short.get(field.length) ?? []), field]);
    }
  };
  walk(MODEL, 0, whole.length);
  return anatomy;
}

/**
 * The file changed by a seed: in turn at any place, at heads, inside of short contents, and with one short content in place of
 * others of its length, so that a graph is still one and is tied together in another way.
 */
export function changedGraph({ whole, heads, short }: Anatomy, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const below = (count: number) => Math.floor(random() * count);
  const way = seed % 4;
  if (way === 0) return changed(whole, seed);
  const bytes = Uint8Array.from(whole);
  for (let left = 1 + below(3); left > 0; left -= 1) {
    const all = [...short.values()][below(short.size)]!;
    const { start, length } = all[below(all.length)]!;
    if (way === 1) bytes[heads[below(heads.length)]!] = below(256);
    else if (way === 2) bytes[start + below(length)] = below(256);
    else {
      const other = all[below(all.length)]!;
      bytes.set(whole.subarray(other.start, other.start + length), start);
    }
  }
  return bytes;
}
