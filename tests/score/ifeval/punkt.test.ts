/** Sentences, as NLTK cuts them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sentencesOf } from '../../../nanoeval/score/ifeval/punkt.ts';
import { SENTENCES } from './recorded.ts';

test('the sentences of NLTK 3.9.1: abbreviations, initials, numbers, quotes, collocations, white space of all kinds', () => {
  for (const { text, sentences } of SENTENCES) assert.deepEqual(sentencesOf(text), sentences, JSON.stringify(text));
});

test('a text without an end is one sentence, a blank one none', () => {
  assert.deepEqual(sentencesOf('no end'), ['no end']);
  assert.deepEqual(sentencesOf(' \n'), []);
  // One collocation for each first word is in the package; the others are beside the source.
  assert.deepEqual(sentencesOf('In 1990. Corrections followed.'), ['In 1990. Corrections followed.']);
  assert.deepEqual(sentencesOf('In 1990. Others followed.'), ['In 1990.', 'Others followed.']);
});
