/** Unigram segmentation, as PyPI tokenizers does it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openUnigram } from '../../../nanoeval/model/tokenizer/unigram.ts';
import { testMatrix } from './matrix.ts';

testMatrix('model_unigram');

test('the most probable segmentation, and unknown characters in a row as one', () => {
  const vocab = [
    ['<unk>', 0],
    ['a', -1],
    ['b', -1],
    ['ab', -1.5],
    ['abc', -9],
    ['c', -3],
  ];
  const model = openUnigram({ vocab, unk_id: 0 }, 'x');
  assert.deepEqual(model.encode('abc'), [3, 5]);
  assert.deepEqual(model.encode('a𝟙zb'), [1, 0, 2]);
});

test('a text with unknown characters and no unk_id, or an unk_id beyond the vocabulary, is refused', () => {
  const vocab = [['a', -1]];
  assert.throws(() => openUnigram({ vocab }, 'x').encode('b'), {
    name: 'UserError',
    message: /^x: "b" is in no token/,
  });
  assert.throws(() => openUnigram({ vocab, unk_id: 1 }, 'x'), { name: 'UserError', message: /^x: unk_id is 1/ });
});
