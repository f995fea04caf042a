/** A whole tokenizer.json. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPipeline } from '../../../nanoeval/model/tokenizer/pipeline.ts';
import { pipelineOf } from './matrix.ts';

test("files of early versions do not name the model's type", () => {
  const open = (model: object) => openPipeline({ model }, 'x');
  assert.deepEqual(open({ vocab: [['a', -1]] }).encode('aa'), [0, 0]);
  assert.deepEqual(open({ vocab: { a: 0, aa: 1 }, merges: ['a a'] }).encode('aaa'), [1, 0]);
  const words = { vocab: { a: 0, '##a': 1, '?': 2 }, unk_token: '?' };
  assert.deepEqual(open({ ...words, continuing_subword_prefix: '##' }).encode('aa'), [0, 1]);
  assert.deepEqual(open(words).encode('aa'), [2]);
});

test('a file without a vocabulary, and a model that is not known, are refused', () => {
  assert.throws(() => openPipeline({}, 'x'), { name: 'UserError', message: /^x: model: expected object/ });
  assert.throws(() => openPipeline({ model: { type: 'Patches', vocab: {} } }, 'x'), {
    message: 'x: the model "Patches" is not supported. Known: BPE, Unigram, WordPiece, WordLevel.',
  });
});

test('ids that no token has are passed over in decoding', () => {
  assert.equal(pipelineOf({}, { '<unk>': 0, a: 1 }).decode([1, 77, 1], true), 'a a');
});
