/** What is wrong with one row alone, and what is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTargets, isMemory, rowError } from '../../../nanoeval/model/engine/faults.ts';
import type { Lane } from '../../../nanoeval/model/engine/lane.ts';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';

test('targets beyond the logits are refused, where their number is known', () => {
  checkTargets([0, 63], 64);
  checkTargets([64], null);
  assert.throws(
    () => checkTargets([3, 64], 64),
    (error) => error instanceof RowError && error.kind === 'tokens' && /token 64 is beyond the 64/.test(error.message),
  );
});

test('memory: allocations that failed, and processes that ended', () => {
  for (const message of ['Failed to allocate memory for requested buffer', 'bad_alloc', 'CUDA: Out of memory'])
    assert.ok(isMemory(new OutsideError(message)), message);
  assert.ok(isMemory(new WorkerGone('SIGKILL')));
  for (const error of [
    new OutsideError('a shape is wrong'),
    new Error('Failed to allocate'),
    new RowError('nan', 'x'),
    null,
  ])
    assert.ok(!isMemory(error));
});

test("a row's error: its own, or no memory once the lane has recovered; others are thrown", async () => {
  const recovered: unknown[] = [];
  const lane = { recover: async (error: unknown) => void recovered.push(error) } as unknown as Lane;
  const own = new RowError('image', 'no picture');
  assert.equal(await rowError(own, lane), own);
  const memory = new OutsideError('Failed to allocate memory');
  const found = await rowError(memory, lane);
  assert.deepEqual([found.kind, found.cause], ['memory', memory]);
  assert.deepEqual(recovered, [memory]);
  const other = new OutsideError('a shape is wrong');
  await assert.rejects(rowError(other, lane), (error) => error === other);
});
