/** Byte-pair encoding, as PyPI tokenizers does it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBpe } from '../../../nanoeval/model/tokenizer/bpe.ts';
import { testMatrix } from './matrix.ts';

testMatrix('model_bpe');

const VOCAB = { '<unk>': 0, '▁': 1, a: 2, b: 3, '▁a': 4, 'b▁': 5, 'a▁': 6, '▁▁': 7 };

test('a text is cut into words only where no merge reaches over', () => {
  const merges = [
    ['▁', '▁'],
    ['b', '▁'],
    ['▁', 'a'],
  ];
  const model = openBpe({ vocab: VOCAB, merges, unk_token: '<unk>' }, 'x');
  // "a▁a" is cut before ▁, "b▁a" is not: there ▁ belongs to b.
  assert.deepEqual(model.encode('▁a▁a'), [4, 4]);
  assert.deepEqual(model.encode('▁b▁a'), [1, 5, 2]);
  assert.deepEqual(model.encode('a▁▁a'), [2, 7, 2]);
});

test('characters that become nothing let their neighbours merge', () => {
  const model = openBpe({ vocab: VOCAB, merges: [['▁', '▁']] }, 'x');
  assert.deepEqual(model.encode('▁z▁a'), [7, 2]);
});

test('a file that contradicts itself is refused', () => {
  const open = (more: object) => () => openBpe({ vocab: VOCAB, merges: [], ...more }, 'x');
  assert.throws(open({ merges: [['a', 'c']] }), { message: /^x: merge 1 \(\["a","c"\]\) has tokens that are not/ });
  for (const id of [-1, 1.5, '1', null])
    assert.throws(open({ vocab: { a: 0, b: id } }), {
      message:
        'x: model.vocab.b: expected an id, a whole number from 0. It is not as a tokenizer.json is written; get it again.',
    });
  assert.throws(open({ merges: [['a', 'constructor']] }), { message: /^x: merge 1 / });
  assert.throws(open({ unk_token: '[UNK]' }), { message: /^x: the unknown token "\[UNK\]" is not in the vocabulary/ });
  assert.throws(open({ dropout: 0.1 }), { message: /^x: dropout is 0.1/ });
});

test('what merges make is found in any order, by several ways to one token, and with a prefix of words', () => {
  const vocab = { a: 0, b: 1, abab: 2, ab: 3, aba: 4, '##b': 5, bab: 6 };
  const merges = ['a b', 'ab ab', 'ab a', 'b ab', 'aba b', 'a bab'];
  const ids = (text: string) => openBpe({ vocab, merges }, 'x').encode(text);
  assert.deepEqual(['ab', 'abab', 'aba', 'bab', 'ba'].map(ids), [[3], [2], [4], [6], [1, 0]]);
  const prefixed = openBpe({ vocab, merges: ['a ##b'], continuing_subword_prefix: '##' }, 'x');
  assert.deepEqual(prefixed.encode('ab'), [3]);
});
