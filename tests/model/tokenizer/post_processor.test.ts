/** Special tokens around a text, as PyPI tokenizers puts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFrame } from '../../../nanoeval/model/tokenizer/post_processor.ts';
import { testMatrix } from './matrix.ts';

testMatrix('post_processors');

test('of which text each token of a pair is', () => {
  const [sep, cls] = [
    ['</s>', 2],
    ['<s>', 1],
  ];
  const bert = createFrame({ type: 'BertProcessing', sep, cls }, 'x');
  assert.deepEqual(bert([7, 8], [9]), { ids: [1, 7, 8, 2, 9, 2], types: [0, 0, 0, 0, 1, 1] });
  const roberta = createFrame({ type: 'RobertaProcessing', sep, cls }, 'x');
  assert.deepEqual(roberta([7, 8], [9]), { ids: [1, 7, 8, 2, 2, 9, 2], types: [0, 0, 0, 0, 0, 0, 0] });
  const special_tokens = { '<s>': { id: '<s>', ids: [1, 4] } };
  const single = [{ Sequence: { id: 'A', type_id: 0 } }];
  const pair = [
    { Sequence: { id: 'B', type_id: 3 } },
    { SpecialToken: { id: '<s>', type_id: 1 } },
    { Sequence: { id: 'A' } },
  ];
  const made = createFrame({ type: 'TemplateProcessing', single, pair, special_tokens }, 'x');
  assert.deepEqual(made([7], [9, 9]), { ids: [9, 9, 1, 4, 7], types: [3, 3, 1, 1, 0] });
  const level = createFrame({ type: 'Sequence', processors: [{ type: 'ByteLevel' }] }, 'x');
  assert.deepEqual(level([7], [9]), { ids: [7, 9], types: [0, 1] });
});

test('a post-processor that is not known, and a template without its token, are refused', () => {
  assert.throws(() => createFrame({ type: 'Wrap' }, 'x'), {
    message: /^x: the post-processor "Wrap" is not supported/,
  });
  const single = [{ SpecialToken: { id: '<s>', type_id: 0 } }];
  assert.throws(() => createFrame({ type: 'TemplateProcessing', single, special_tokens: {} }, 'x'), {
    message: 'x: the template\'s "<s>" is not in special_tokens.',
  });
});
