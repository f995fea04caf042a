import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Interrupted, OutsideError, RowError, UserError } from '../nanoeval/types.ts';

test('each error is told from the others by its class, and keeps its cause', () => {
  const cause = new Error('below');
  const errors = [
    new UserError('u', { key: 'dataset.split', cause }),
    new OutsideError('o', { cause }),
    new RowError('nan', 'r', { cause }),
  ];
  assert.deepEqual(
    errors.map((error) => [error.name, error.message, error.cause]),
    [
      ['UserError', 'u', cause],
      ['OutsideError', 'o', cause],
      ['RowError', 'r', cause],
    ],
  );
  assert.equal(new UserError('u').key, undefined);
  assert.equal(new UserError('u', { key: 'model.dtype' }).key, 'model.dtype');
  assert.equal(new RowError('nan', 'r').kind, 'nan');
  assert.ok(!(new OutsideError('o') instanceof UserError));
  assert.equal(new Interrupted().name, 'Interrupted');
});

test('a message is one line, whatever stands in the names that it tells', () => {
  const name = 'a\u0000b\r\nc\u001b[2Kd\u2028e';
  for (const error of [new UserError(name), new OutsideError(name), new RowError('nan', name)])
    assert.equal(error.message, 'a b c [2Kd e');
});
