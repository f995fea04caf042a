/** SentencePiece's maps of characters; the fixture of normalizers holds a whole one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCharsmap } from '../../../nanoeval/model/tokenizer/charsmap.ts';

test('what is no map is refused', () => {
  const long = Buffer.from([255, 255, 255, 127, 0, 0, 0, 0]).toString('base64');
  for (const value of [null, '', 'AA==', long])
    assert.throws(() => openCharsmap(value, 'x'), { name: 'UserError', message: /^x: precompiled_charsmap is no map/ });
});
