/** WordPiece and WordLevel, as PyPI tokenizers does them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWordLevel, openWordPiece } from '../../../nanoeval/model/tokenizer/words.ts';
import { testMatrix } from './matrix.ts';

testMatrix('model_wordpiece');
testMatrix('model_wordlevel');

test('a vocabulary without its unknown token is refused', () => {
  for (const open of [openWordLevel, openWordPiece])
    assert.throws(() => open({ vocab: { a: 0 }, unk_token: '[UNK]' }, 'x'), {
      name: 'UserError',
      message: 'x: the unknown token "[UNK]" is not in the vocabulary.',
    });
});
