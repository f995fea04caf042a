/** What crosses between processes comes out as it went in, and secrets do not cross. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, plainEnvironment, plainError } from '../../../nanoeval/model/engine/crossing.ts';
import { OutsideError, RowError, UserError } from '../../../nanoeval/types.ts';

const crossed = (error: unknown) => errorOf(JSON.parse(JSON.stringify(plainError(error))));

test('errors keep their class, message, key and kind', () => {
  const user = crossed(new UserError('no such file', { key: 'model.dtype' }));
  assert.ok(user instanceof UserError && user.key === 'model.dtype' && user.message === 'no such file');
  const bare = crossed(new UserError('no key'));
  assert.ok(bare instanceof UserError && bare.key === undefined);
  const row = crossed(new RowError('nan', 'not a number'));
  assert.ok(row instanceof RowError && row.kind === 'nan');
  assert.ok(crossed(new OutsideError('out of memory')) instanceof OutsideError);
});

test('any other error is a bug and keeps its stack', () => {
  const bug = new TypeError('x is not a function');
  assert.deepEqual([crossed(bug).message, crossed(bug).stack], [bug.message, bug.stack]);
  assert.equal(crossed('a text').message, 'a text');
});

test('the environment of a worker has no secret and the allocator told to keep memory', (t) => {
  process.env.HF_TOKEN = 'secret';
  process.env.NANOEVAL_PLAIN = 'plain';
  t.after(() => {
    delete process.env.HF_TOKEN;
    delete process.env.NANOEVAL_PLAIN;
  });
  const found = plainEnvironment();
  assert.deepEqual([found.HF_TOKEN, found.NANOEVAL_PLAIN], [undefined, 'plain']);
  assert.ok(found.MALLOC_TRIM_THRESHOLD_ !== undefined);
});
