/** A server's JSON, looked at before it is used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import { fieldsOf, garbled, idsOf, isFields, listOf, numberOf, textOf } from '../../../nanoeval/model/server/fields.ts';

test('what is of another kind is nothing', () => {
  for (const value of [null, undefined, 1, 'x', [1]]) assert.deepEqual(fieldsOf(value), {}, String(value));
  assert.deepEqual(fieldsOf({ a: 1 }), { a: 1 });
  assert.deepEqual([isFields({}), isFields([]), isFields(null)], [true, false, false]);
  assert.deepEqual([listOf([1]), listOf({ length: 1 }), listOf('ab')], [[1], [], []]);
  assert.deepEqual([textOf('a'), textOf(''), textOf(1)], ['a', '', null]);
  assert.deepEqual([numberOf(0), numberOf(Number.NaN), numberOf('1'), numberOf(Infinity)], [0, null, null, null]);
});

test('token ids are whole numbers from 0, and anything else is a garbled answer that names what was wanted', () => {
  assert.deepEqual(idsOf([0, 7], 'x'), [0, 7]);
  assert.deepEqual(idsOf([], 'x'), []);
  for (const wrong of [null, [1.5], [-1], ['1'], { 0: 1 }])
    assert.throws(
      () => idsOf(wrong, '/tokenize gives `tokens`'),
      (error) =>
        error instanceof Passing && error.kind === 'garbled' && /^\/tokenize gives `tokens`, and/.test(error.message),
    );
  assert.equal(garbled('a is 1', { a: 2 }).message, 'a is 1, and the answer has {"a":2}');
});
