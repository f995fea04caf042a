import assert from 'node:assert/strict';
import { test } from 'node:test';
import { indexField, textField, textListField } from '../nanoeval/row.ts';
import { UserError } from '../nanoeval/types.ts';

const read = <T>(
  reader: (task: string, row: { index: number; row: Record<string, unknown> }, column: string) => T,
  x: unknown,
) => reader('mmlu', { index: 24, row: x === undefined ? {} : { x } }, 'x');

function refused(
  reader: Parameters<typeof read>[0],
  value: unknown,
  wanted: string,
  shown = JSON.stringify(value),
): void {
  assert.throws(
    () => read(reader, value),
    (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.message, `mmlu row 24: x is ${shown}. It has to be ${wanted}.`);
      return true;
    },
  );
}

test('a text, the empty one included, and nothing that could be made into one', () => {
  for (const text of ['a', '', ' ', '5']) assert.equal(read(textField, text), text);
  for (const value of [5, null, true, ['a'], { a: 1 }]) refused(textField, value, 'a text');
  refused(textField, undefined, 'a text', 'undefined');
});

test('a list of texts, of any or of one length', () => {
  const four = (task: string, row: Parameters<typeof textListField>[1], column: string) =>
    textListField(task, row, column, 4);
  assert.deepEqual(read(textListField, []), []);
  assert.deepEqual(read(textListField, ['a', '']), ['a', '']);
  assert.deepEqual(read(four, ['a', 'b', 'c', 'd']), ['a', 'b', 'c', 'd']);
  for (const value of ['abcd', ['a', 5], ['a', null], null, { 0: 'a', length: 1 }]) {
    refused(textListField, value, 'a list of texts');
  }
  for (const value of [
    ['a', 'b', 'c'],
    ['a', 'b', 'c', 'd', 'e'],
    [1, 2, 3, 4],
  ])
    refused(four, value, 'a list of 4 texts');
});

test("an index: a number, or its digits as in HellaSwag's label and CSV cells", () => {
  for (const value of [0, 3, '0', '3', '03']) assert.equal(read(indexField, value), Number(value));
  for (const value of ['', ' 1', '1.0', '-1', 'A', '1e3', '9999999999', null, true, [1], 1.5, -1]) {
    refused(indexField, value, 'an index from 0');
  }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
    refused(indexField, value, 'an index from 0', String(value));
});

test('a long value is cut in the message', () => {
  refused(textListField, 'x'.repeat(500), 'a list of texts', `"${'x'.repeat(56)}...`);
});
