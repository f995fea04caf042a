/** Numbers of words, sentences and paragraphs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LENGTH, piecesOf } from '../../../nanoeval/score/ifeval/length.ts';
import { compareRecorded, failureOf } from './recorded.ts';

test('lengths: the verdicts of lm-evaluation-harness', () => {
  compareRecorded('length_constraints');
});

test('a failure says how many there are', () => {
  const words = { num_words: 3, relation: 'at least' };
  assert.equal(failureOf('length_constraints:number_words', words, 'a b'), '2 words, not at least 3');
  const few = { num_sentences: 1, relation: 'less than' };
  assert.equal(failureOf('length_constraints:number_sentences', few, 'A.'), '1 sentences, not less than 1');
  const nth = { num_paragraphs: 2, nth_paragraph: 2, first_word: 'Go' };
  const of = (text: string) => failureOf('length_constraints:nth_paragraph_first_word', nth, text);
  assert.equal(of('a'), 'paragraph 2 is not there, or blank');
  assert.equal(of('a\n\nb'), 'paragraph 2 begins with "b", not with "Go"');
  assert.equal(of('a\n\ngo\n\nb'), '3 paragraphs, not 2');
  // Paragraphs count from 1.
  const { args } = LENGTH['length_constraints:nth_paragraph_first_word']!;
  assert.equal(args.safeParse({ ...nth, nth_paragraph: 0 }).success, false);
});

test('pieces: blank ones at the ends do not count, one in the middle is none at all', () => {
  assert.deepEqual(piecesOf(['', 'a', 'b', ' ']), ['a', 'b']);
  assert.equal(piecesOf(['a', '\u3000', 'b']), null);
  assert.deepEqual(piecesOf(['']), []);
});
