/** Pre-tokenizers, as PyPI tokenizers applies them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPreTokenizer } from '../../../nanoeval/model/tokenizer/pre_tokenizer.ts';
import { testMatrix } from './matrix.ts';

for (const file of ['pre_byte_level', 'pre_digits', 'pre_metaspace', 'pre_punctuation', 'pre_whitespace'])
  testMatrix(file);
testMatrix('pre_others', { UnicodeScripts: 'UnicodeScripts', 'scripts and blanks': 'UnicodeScripts' });

test('digits of every script are digits', () => {
  const digits = createPreTokenizer({ type: 'Digits', individual_digits: true }, 'x');
  const texts = digits([{ text: 'a½²٣Ⅷ9', first: true }]).map(({ text }) => text);
  assert.deepEqual(texts, ['a', '½', '²', '٣', 'Ⅷ', '9']);
});

test('only what begins the whole text is first', () => {
  const metaspace = createPreTokenizer(
    { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
    'x',
  );
  const found = metaspace([
    { text: 'a b', first: true },
    { text: 'c', first: false },
  ]);
  assert.deepEqual(
    found.map(({ text }) => text),
    ['▁a▁b', 'c'],
  );
});
