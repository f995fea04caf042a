/** What is said of a run at its end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MANY, notesOn } from '../../nanoeval/run/notes.ts';

const health = { rows: 9, questions: 9, failed: 0, unparsed: 0, truncated: 0, empty: 0 };
const generation = { answers: 100, cut: 0, never_stopped: 0, reasoning: 0, reasoning_cut: 0 };
const hundred = { ...health, rows: 100, questions: 100 };

test('every counter of health that is not zero, and why the run is invalid', () => {
  assert.deepEqual(notesOn({ health, faults: [] }), []);
  assert.deepEqual(
    notesOn({ health: { ...health, failed: 1, unparsed: 2, truncated: 3, empty: 1 }, faults: ['why'] }),
    [
      '1 of 9 rows could not be scored',
      '2 of 9 rows have an answer that could not be read',
      '3 of 9 rows lost tokens: longer than the window',
      'INVALID: why',
    ],
  );
});

test('the first of the rows that are wrong, and what the run misses', () => {
  const failures = { rows: 2, of: 9, first: [{ id: 'a', index: 0, check: 'contains', failure: 'no b' }] };
  assert.deepEqual(notesOn({ health, faults: ['why'], failures }, 'too few'), [
    '2 of 9 rows are wrong; the first: a: contains: no b',
    'FAILED: too few',
    'INVALID: why',
  ]);
});

test('answers that were cut or are empty are warned about where they are more than 5 % of all', () => {
  assert.equal(MANY, 0.05);
  const notes = (counts: Partial<typeof generation>, empty = 0) =>
    notesOn({ health: { ...hundred, empty }, generation: { ...generation, ...counts }, faults: [] });
  assert.deepEqual(notes({ cut: 5, never_stopped: 5 }, 5), []);
  assert.deepEqual(notes({ cut: 6, never_stopped: 6 }, 7), [
    'warning: 6 of 100 answers were cut: no end within max_new_tokens or the window',
    'warning: 7 of 100 answers are empty',
  ]);
});

test('answers that think are told, and warned about where many do nothing else', () => {
  const notes = (counts: Partial<typeof generation>) =>
    notesOn({ health: hundred, generation: { ...generation, ...counts }, faults: [] });
  const told = 'answers think first (<think>): that is kept in the rows and not scored';
  assert.deepEqual(notes({ reasoning: 1 }), [`1 of 100 ${told}`]);
  assert.deepEqual(notes({ reasoning: 40, reasoning_cut: 5 }), [`40 of 100 ${told}`]);
  assert.deepEqual(notes({ reasoning: 40, reasoning_cut: 6 }), [
    `40 of 100 ${told}`,
    'warning: 6 of 100 answers think to their end and say nothing: raise max_new_tokens',
  ]);
});

test('with several answers a question also the questions of which none came to an end', () => {
  const notes = (never_stopped: number, questions: number) =>
    notesOn({ health: { ...hundred, questions }, generation: { ...generation, cut: 50, never_stopped }, faults: [] });
  const cut = 'warning: 50 of 100 answers were cut: no end within max_new_tokens or the window';
  assert.deepEqual(notes(2, 25), [cut, 'warning: 2 of 25 questions have no answer that came to an end']);
  assert.deepEqual(notes(1, 25), [cut]);
  assert.deepEqual(notes(50, 100), [cut]);
});
