/** The section `sandbox`: nothing is run unless it says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rescoreSchema } from '../../nanoeval/config/keys.ts';
import { sandboxSection } from '../../nanoeval/config/sandbox.ts';

test('running programs is off, in tasks and in rescore.ts, and no other key is known', () => {
  const off = { enabled: false, unsafe: false, python: 'python3' };
  assert.deepEqual(sandboxSection.parse({}), off);
  assert.deepEqual(rescoreSchema.parse({ runs: 'a' }).sandbox, off);
  assert.equal(sandboxSection.safeParse({ enable: true }).success, false);
});
