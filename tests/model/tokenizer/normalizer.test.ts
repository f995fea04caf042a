/** Normalisers, as PyPI tokenizers applies them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNormalizer } from '../../../nanoeval/model/tokenizer/normalizer.ts';
import { testMatrix } from './matrix.ts';

testMatrix('normalizers');

test('the content of a replacement stands for itself, whatever signs it has', () => {
  for (const pattern of [{ String: 'a' }, { Regex: '[a]' }]) {
    assert.equal(createNormalizer({ type: 'Replace', pattern, content: '$&$1' }, 'x')('bab'), 'b$&$1b');
  }
});

test('a long run of blanks is stripped at once', () => {
  const strip = createNormalizer({ type: 'Strip', strip_left: true, strip_right: true }, 'x');
  assert.equal(strip(`${' '.repeat(1e5)}a${' '.repeat(1e5)}b${' '.repeat(1e5)}`), `a${' '.repeat(1e5)}b`);
});

test('a normaliser that is not known is refused by name', () => {
  assert.throws(
    () => createNormalizer({ type: 'Sequence', normalizers: [{ type: 'Rot13' }] }, 'repo: tokenizer.json'),
    {
      name: 'UserError',
      message:
        'repo: tokenizer.json: the normalizer "Rot13" is not supported, and without it the tokens would be others.',
    },
  );
});
