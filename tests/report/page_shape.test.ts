import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_ROWS, PROMPT_DIGITS } from '../../nanoeval/report/page_shape.ts';

test('the sizes that writer and script share: pages of earlier versions were written with them', () => {
  assert.deepEqual([BLOCK_ROWS, PROMPT_DIGITS], [256, 8]);
});
