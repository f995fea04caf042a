/** A check that would not end is stopped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withinTime } from '../../nanoeval/score/within.ts';
import { RowError } from '../../nanoeval/types.ts';

test('what returns in time is given, and what is thrown is thrown', () => {
  assert.equal(
    withinTime('x', () => 3),
    3,
  );
  assert.equal(
    withinTime('x', () => undefined),
    undefined,
  );
  const own = new RangeError('mine');
  assert.throws(
    () =>
      withinTime('x', () => {
        throw own;
      }),
    own,
  );
});

test('a regular expression that backtracks without end is stopped, and the next one runs', () => {
  const regex = /^(a+)+$/u;
  const work = () => regex.test(`${'a'.repeat(60)}b`);
  assert.throws(
    () => withinTime(`the regular expression ${regex}`, work, 30),
    (error) =>
      error instanceof RowError &&
      error.kind === 'time' &&
      error.message === 'the regular expression /^(a+)+$/u was stopped after 0.03 s on this answer.',
  );
  assert.equal(
    withinTime('x', () => regex.test('aaa')),
    true,
  );
});
