/** How long an answer may take. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../../../nanoeval/model/server/pace.ts';

test('as long as the limit, and longer where the answers before it were slow', () => {
  const pace = new Pace(1_000, false);
  assert.equal(pace.deadlineMs(10_000), 1_000);
  pace.note(10, 20);
  assert.equal(pace.deadlineMs(50), 1_000, 'never shorter');
  assert.equal(pace.deadlineMs(1_000), 10_000);
  // The mean moves by a tenth of what the next one is off.
  pace.note(10, 120);
  assert.equal(pace.deadlineMs(1_000), 15_000);
  pace.note(null, 5_000);
  pace.note(0, 5_000);
  assert.equal(pace.deadlineMs(1_000), 15_000);
});

test('what the config says is not stretched', () => {
  const pace = new Pace(1_000, true);
  pace.note(1, 1_000);
  assert.equal(pace.deadlineMs(1_000), 1_000);
});
