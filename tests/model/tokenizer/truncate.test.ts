/** How a text and a pair are cut; whole encodings are held against transformers in ../classifier.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutTo, keptLengths } from '../../../nanoeval/model/tokenizer/truncate.ts';

test('the longer text gives first; where both are too long each has half, the second of equals the odd token', () => {
  for (const [lengths, room, kept] of [
    [[5], 9, [5]],
    [[12], 9, [9]],
    [[3, 4], 9, [3, 4]],
    [[3, 40], 9, [3, 6]],
    [[40, 3], 9, [6, 3]],
    [[40, 50], 9, [4, 5]],
    [[50, 40], 9, [5, 4]],
    [[40, 40], 9, [4, 5]],
    [[5, 5], 9, [4, 5]],
    [[0, 20], 9, [0, 9]],
    [[4, 4], 0, [0, 0]],
  ] as const)
    assert.deepEqual(keptLengths(lengths, room), kept, `${lengths.join(' and ')} in ${room}`);
});

test('cut on the right, or on the left where the tokenizer says so', () => {
  assert.deepEqual(cutTo([1, 2, 3], 2, 'right'), [1, 2]);
  assert.deepEqual(cutTo([1, 2, 3], 2, 'left'), [2, 3]);
  assert.deepEqual(cutTo([1, 2, 3], 0, 'left'), []);
});
