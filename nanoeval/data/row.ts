/** Reads the fields of a published row. A field of another kind is an error that names the row; nothing is guessed. */
import type { z } from 'zod';
import { readBy } from '../config/check.ts';
import { show } from '../config/messages.ts';
import { parsePythonJson } from '../text/python_json.ts';
import { type PythonValue, parsePandasCell, parsePythonDicts, parsePythonLiteral } from '../text/python_literal.ts';
import { strip } from '../text/python_text.ts';
import { type IndexedRow, UserError } from '../types.ts';

/** The value of a column; `choices.text` is the field `text` of the struct in the column `choices`. */
function fieldOf({ row }: IndexedRow, column: string): unknown {
  if (Object.hasOwn(row, column)) return row[column];
  return column.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | null | undefined)?.[key], row);
}

function refuse(task: string, indexed: IndexedRow, column: string, wanted: string): UserError {
  const found = show(fieldOf(indexed, column));
  return new UserError(`${task} row ${indexed.index}: ${column} is ${found}. It has to be ${wanted}.`);
}

/** All of a row, as a schema has it. Throws UserError with the row and the key. */
export function rowBy<T extends z.ZodType>(task: string, { index, row }: IndexedRow, schema: T): z.infer<T> {
  const read = readBy(schema, row);
  if ('value' in read) return read.value;
  const { id } = row;
  const named = typeof id === 'number' || (typeof id === 'string' && id !== '') ? ` (id ${id})` : '';
  throw new UserError(`${task} row ${index}${named}: ${read.key === '' ? '' : `${read.key}: `}${read.message}`);
}

/** A text. Throws UserError with the row. */
export function textField(task: string, indexed: IndexedRow, column: string): string {
  const value = fieldOf(indexed, column);
  if (typeof value !== 'string') throw refuse(task, indexed, column, 'a text');
  return value;
}

/** The list that a text says, in JSON or as pandas writes lists into a CSV; the text itself where it says none. */
function listIn(text: string): unknown {
  if (!/^\s*\[/.test(text)) return text;
  for (const parse of [parsePythonJson, parsePandasCell]) {
    try {
      return parse(text);
    } catch {
      // Not written in this way: the other, or what stands there is no list.
    }
  }
  return text;
}

/**
 * A list of texts, `length` of them when given; it may be written in a text (`["a", "b"]`, `['a', 'b']`, `['a' 'b']`), for
 * a CSV has nothing else. Throws UserError with the row.
 */
export function textListField(task: string, indexed: IndexedRow, column: string, length?: number): string[] {
  const given = fieldOf(indexed, column);
  const value = typeof given === 'string' ? listIn(given) : given;
  const wanted = `a list of ${length ?? ''} texts`.replace('  ', ' ');
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw refuse(task, indexed, column, wanted);
  if (length !== undefined && value.length !== length) throw refuse(task, indexed, column, wanted);
  return value;
}

/**
 * A whole number from 0, as a number or as its digits (HellaSwag's label is a text, CSV cells all are). A letter is none:
 * whether "A" is the first cannot be known from one row.
 */
export function indexField(task: string, indexed: IndexedRow, column: string): number {
  const value = fieldOf(indexed, column);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
  const isLetter = typeof value === 'string' && /^[A-Za-z]$/.test(value);
  throw refuse(
    task,
    indexed,
    column,
    isLetter ? 'an index from 0: 0 in place of A, 1 in place of B' : 'an index from 0',
  );
}

/** Labels that a message lists. */
const LISTED = 12;

/**
 * The place of a row's label among the labels: a text or a number that is one of them, or, where none of them is a number, the
 * place itself, from 0 (a ClassLabel of the hub), as a number or as its digits. Throws UserError with the row.
 */
export function labelField(task: string, indexed: IndexedRow, column: string, labels: readonly string[]): number {
  const value = fieldOf(indexed, column);
  const written = typeof value === 'string' || Number.isInteger(value) ? String(value) : null;
  const place = written === null ? -1 : labels.indexOf(written);
  if (place >= 0) return place;
  const hasNumbers = labels.some((label) => /^-?\d+$/.test(label));
  if (written !== null && !hasNumbers && /^\d{1,9}$/.test(written) && Number(written) < labels.length)
    return Number(written);
  const more = labels.length > LISTED ? `, or ${labels.length - LISTED} more` : '';
  throw refuse(task, indexed, column, `one of: ${labels.slice(0, LISTED).join(', ')}${more}`);
}

/**
 * Options that have labels, in the layout of AI2's sets: `choices` holds `text` and `label`, and `answerKey` is the label of the
 * right one, blanks around it left out. `gold` is its place. Throws UserError with the row.
 */
export function labelledOptions(
  task: string,
  indexed: IndexedRow,
): { texts: string[]; labels: string[]; gold: number } {
  const texts = textListField(task, indexed, 'choices.text');
  const labels = textListField(task, indexed, 'choices.label', texts.length);
  const gold = labels.indexOf(strip(textField(task, indexed, 'answerKey')));
  if (gold < 0) throw refuse(task, indexed, 'answerKey', `one of: ${labels.join(', ')}`);
  return { texts, labels, gold };
}

/**
 * A list of texts that is written as a Python literal inside a text (`"['a', 'b']"`), or is a list already. Lists in it
 * are laid flat: one published row has `[['A', 'B']]`. Throws UserError with the row, also where there are fewer than
 * `least`.
 */
export function literalListField(task: string, indexed: IndexedRow, column: string, least = 1): string[] {
  const value = fieldOf(indexed, column);
  let items: PythonValue | unknown = value;
  if (typeof value === 'string') {
    try {
      items = parsePythonLiteral(value);
    } catch (cause) {
      throw refuse(task, indexed, column, `a Python list of texts (${(cause as Error).message})`);
    }
  }
  const flat = Array.isArray(items) ? items.flat(Number.POSITIVE_INFINITY) : null;
  if (flat === null || flat.length < least || !flat.every((item) => typeof item === 'string'))
    throw refuse(task, indexed, column, 'a list of texts, as a list or written as a Python literal');
  return flat;
}

/**
 * What a column holds as a Python literal inside a text (lists, dicts, their parts); anything but a text is given as it is.
 * Throws UserError with the row for a text that is none.
 */
export function literalField(task: string, indexed: IndexedRow, column: string): unknown {
  const value = fieldOf(indexed, column);
  if (typeof value !== 'string') return value;
  try {
    return parsePythonDicts(value);
  } catch (cause) {
    throw refuse(task, indexed, column, `a Python literal (${(cause as Error).message})`);
  }
}

/** No blank can be matched in two places: linear also in what does not match. */
const BASE64 = /^\s*[A-Za-z0-9+/][A-Za-z0-9+/\s]*(?:=\s*){0,2}$/;

/**
 * The file of a picture: `{ bytes, path }` as the `datasets` library stores it, the bytes as they are or as base64
 * text. null where the row has none. A text that is no base64 gives an empty file, which fails as a picture does: its
 * row alone. Throws UserError with the row for anything else.
 */
export function imageField(task: string, indexed: IndexedRow, column: string): Uint8Array | null {
  const value = fieldOf(indexed, column);
  if (value === null || value === undefined) return null;
  if (typeof value === 'object' && 'bytes' in value) {
    const { bytes } = value;
    if (bytes === null) return null;
    if (bytes instanceof Uint8Array) return bytes;
    if (typeof bytes === 'string') return BASE64.test(bytes) ? Buffer.from(bytes, 'base64') : new Uint8Array();
  }
  throw refuse(task, indexed, column, 'a picture: { bytes, path }, the bytes as they are or as base64 text');
}
