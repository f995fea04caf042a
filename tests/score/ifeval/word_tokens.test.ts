/** Words, as NLTK cuts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordTokens } from '../../../nanoeval/score/ifeval/word_tokens.ts';
import { SENTENCES } from './recorded.ts';

test('the words of NLTK 3.9.1: contractions, quotes of all kinds, punctuation', () => {
  for (const { text, words } of SENTENCES) assert.deepEqual(wordTokens(text), words, JSON.stringify(text));
});

test('a blank text has none', () => {
  assert.deepEqual(wordTokens(' \u3000\n'), []);
});
