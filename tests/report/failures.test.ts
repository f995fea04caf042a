/** Wrong rows that say why. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { failuresIn, failuresOf, failureTable, rowName } from '../../nanoeval/report/failures.ts';

const row = (index: number, correct: 0 | 1 | undefined, rest: Partial<ScoredRow> = {}) =>
  ({ id: `r${index}`, index, correct, metrics: { pass: correct ?? 0 }, ...rest }) as ScoredRow;
const part = (name: string, failure?: string) => ({ name, metrics: {}, ...(failure === undefined ? {} : { failure }) });

test('a wrong row says why by its parts, else by itself; a right one says nothing', () => {
  const parts = [part('a', 'no a'), part('b'), part('c', 'no c')];
  assert.deepEqual(failuresIn(row(0, 0, { parts, failure: 'all of it' })), [
    { check: 'a', failure: 'no a' },
    { check: 'c', failure: 'no c' },
  ]);
  assert.deepEqual(failuresIn(row(0, 0, { parts: [part('b')], failure: 'all of it' })), [
    { check: 'pass', failure: 'all of it' },
  ]);
  assert.deepEqual(failuresIn(row(0, 1, { parts, failure: 'x' })), []);
  assert.deepEqual(failuresIn(row(0, undefined, { failure: 'x' })), []);
  assert.deepEqual(failuresIn(row(0, 0)), []);
});

test('rows are counted, and of their failures the first 50 kept', () => {
  assert.equal(failuresOf([row(0, 1), row(1, 0)]), null);
  const many = Array.from({ length: 40 }, (_, i) => row(i, 0, { parts: [part('a', 'x'), part('b', 'y')] }));
  const found = failuresOf([row(99, 1), ...many])!;
  assert.deepEqual([found.rows, found.of, found.first.length], [40, 41, 50]);
  assert.deepEqual(found.first[1], { id: 'r0', index: 0, check: 'b', failure: 'y' });
});

test('the table names the row, and which draw of it', () => {
  assert.equal(rowName({ id: 'a' }), 'a');
  assert.equal(rowName({ id: 'a', seed: 3, sample: 0 }), 'a, seed 3, sample 0');
  const found = failuresOf([row(0, 0, { sample: 1, failure: 'a | b' })])!;
  assert.equal(
    failureTable(found),
    '| wrong row    | check | why    |\n| ------------ | ----- | ------ |\n| r0, sample 1 | pass  | a \\| b |\n',
  );
});
