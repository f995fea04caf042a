/** The parts of a server's JSON, looked at before they are used: a field that is missing or of another kind is a garbled answer. */
import { show } from '../../config/messages.ts';
import { Passing } from './faults.ts';

export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value as a mapping; an empty one where it is none. */
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);
export const numberOf = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/** An answer that is not what was asked for. */
export const garbled = (what: string, found: unknown): Passing =>
  new Passing('garbled', `${what}, and the answer has ${show(found)}`);

/** Token ids. Throws Passing where they are none. */
export function idsOf(value: unknown, what: string): number[] {
  const list = Array.isArray(value) ? value : null;
  if (list === null || !list.every((id) => Number.isInteger(id) && id >= 0)) throw garbled(what, value);
  return list as number[];
}
