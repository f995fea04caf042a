/** Special tokens around a text, as PyPI tokenizers puts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFrame } from '../../../nanoeval/model/tokenizer/post_processor.ts';
import { testMatrix } from './matrix.ts';

testMatrix('post_processors');

test('a post-processor that is not known, and a template without its token, are refused', () => {
  assert.throws(() => createFrame({ type: 'Wrap' }, 'x'), {
    message: /^x: the post-processor "Wrap" is not supported/,
  });
  const single = [{ SpecialToken: { id: '<s>', type_id: 0 } }];
  assert.throws(() => createFrame({ type: 'TemplateProcessing', single, special_tokens: {} }, 'x'), {
    message: 'x: the template\'s "<s>" is not in special_tokens.',
  });
});
