/** Keywords, forbidden words, letters and commas. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYWORDS } from '../../../nanoeval/score/ifeval/keywords.ts';
import { compareRecorded, failureOf } from './recorded.ts';

test('keywords and commas: the verdicts of lm-evaluation-harness', () => {
  compareRecorded('keywords', 'punctuation');
});

test('a failure says which word, and how often', () => {
  assert.equal(failureOf('keywords:existence', { keywords: ['a', 'fox'] }, 'a cat'), '"fox" is not there');
  assert.equal(failureOf('keywords:forbidden_words', { forbidden_words: ['cat'] }, 'a cat'), '"cat" is there');
  const twice = { keyword: 'a', frequency: 2, relation: 'at least' };
  assert.equal(failureOf('keywords:frequency', twice, 'a fox'), '1 times "a", not at least 2');
  assert.equal(failureOf('punctuation:no_comma', {}, 'a,'), 'there is a comma');
});

test('letters beyond a to z are counted as they are: lm-evaluation-harness draws another one', () => {
  const hashes = { letter: '#', let_frequency: 2, let_relation: 'at least' };
  assert.equal(failureOf('keywords:letter_frequency', hashes, '## a'), null);
  assert.equal(failureOf('keywords:letter_frequency', hashes, '# a'), '1 times "#", not at least 2');
  // A character of two UTF-16 units is one.
  assert.equal(failureOf('keywords:letter_frequency', { ...hashes, letter: '👍' }, '👍👍🏽'), null);
});

test('keywords are patterns of Python; one that is none is refused', () => {
  assert.equal(failureOf('keywords:existence', { keywords: ['fo+x\\b', '\\w{2}$'] }, 'A FOOX éé'), null);
  const { args } = KEYWORDS['keywords:existence']!;
  assert.equal(args.safeParse({ keywords: ['('] }).success, false);
  assert.equal(args.safeParse({ keywords: [] }).success, false);
  assert.equal(KEYWORDS['keywords:forbidden_words']!.args.safeParse({ forbidden_words: ['a)'] }).success, false);
});
