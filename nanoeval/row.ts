/** Reads the fields of a published row. A field of another kind is an error that names the row; nothing is guessed. */
import { show } from './config_file.ts';
import { type IndexedRow, UserError } from './types.ts';

function refuse(task: string, { index, row }: IndexedRow, column: string, wanted: string): UserError {
  return new UserError(`${task} row ${index}: ${column} is ${show(row[column])}. It has to be ${wanted}.`);
}

/** A text. Throws UserError with the row. */
export function textField(task: string, indexed: IndexedRow, column: string): string {
  const value = indexed.row[column];
  if (typeof value !== 'string') throw refuse(task, indexed, column, 'a text');
  return value;
}

/** A list of texts, `length` of them when given. Throws UserError with the row. */
export function textListField(task: string, indexed: IndexedRow, column: string, length?: number): string[] {
  const value = indexed.row[column];
  const wanted = `a list of ${length ?? ''} texts`.replace('  ', ' ');
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw refuse(task, indexed, column, wanted);
  if (length !== undefined && value.length !== length) throw refuse(task, indexed, column, wanted);
  return value;
}

/** A whole number from 0, as a number or as its digits (HellaSwag's label is a text, CSV cells all are). */
export function indexField(task: string, indexed: IndexedRow, column: string): number {
  const value = indexed.row[column];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
  throw refuse(task, indexed, column, 'an index from 0');
}
