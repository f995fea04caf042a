import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packNumbers, unpackNumbers } from '../../nanoeval/text/varint.ts';

test('numbers come back, small ones in one byte', () => {
  const numbers = [0, 1, 127, 128, 300, 16383, 16384, 49152, 2 ** 31, 2 ** 32 - 1];
  assert.deepEqual(unpackNumbers(packNumbers(numbers)), numbers);
  assert.equal(Buffer.from(packNumbers([0, 127, 128]), 'base64').length, 4);
  const many = Array.from({ length: 30_000 }, (_, i) => i);
  assert.deepEqual(unpackNumbers(packNumbers(many)), many);
  assert.deepEqual(unpackNumbers(''), []);
});

test('what is no number of 32 bits is refused, and so is a text that ends within one', () => {
  for (const wrong of [-1, 1.5, 2 ** 32, Number.NaN]) assert.throws(() => packNumbers([wrong]), RangeError);
  assert.throws(() => unpackNumbers(Buffer.from([200]).toString('base64')), RangeError);
});
