import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewSchema } from '../../nanoeval/config/view.ts';

test('folders are wanted, one or a list', () => {
  const { report, title } = viewSchema.parse({ folders: 'a' });
  assert.deepEqual([report.output_dir, title], ['artifacts/nanoeval/view', 'NanoEval']);
  assert.deepEqual(viewSchema.parse({ folders: ['a', 'b/*'] }).folders, ['a', 'b/*']);
  for (const wrong of [{}, { folders: [] }, { folders: 'a', runs: 'b' }])
    assert.equal(viewSchema.safeParse(wrong).success, false);
});
