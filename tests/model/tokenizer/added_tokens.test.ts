/** Added tokens in texts, as PyPI tokenizers finds them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pipelineOf, testMatrix } from './matrix.ts';

testMatrix('added_tokens');

test("ids are the model's, else the next free ones: the id in the file is not read", () => {
  const token = (content: string, id: number) => ({ content, id, special: true, normalized: false });
  const added_tokens = [token('the', 9), token('<x>', 20), token('<y>', 30)];
  const pipeline = pipelineOf({ added_tokens }, { '<unk>': 0, the: 5, of: 6 });
  assert.deepEqual(['the', '<x>', '<y>'].map(pipeline.idOf), [5, 6, 7]);
});

test('the longest token that is there whole, though a longer one begins alike', () => {
  const token = (content: string, id: number) => ({ content, id, special: true, normalized: false });
  const added_tokens = [token('ab', 10), token('abcd', 11), token('  ', 12), token('    ', 13), token('😀', 14)];
  const pipeline = pipelineOf({ added_tokens }, { '<unk>': 0, c: 1, x: 2 });
  const ids = (text: string) => pipeline.encode(text).filter((id) => id >= 3);
  const [ab, abcd, two, four, face] = ['ab', 'abcd', '  ', '    ', '😀'].map(pipeline.idOf);
  assert.deepEqual(ids('abcab'), [ab, ab]);
  assert.deepEqual(ids('abcdab'), [abcd, ab]);
  assert.deepEqual(ids('x   x    x x'), [two, four]);
  assert.deepEqual(ids('x😀'), [face]);
});
