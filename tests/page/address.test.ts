import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, readAddress, START } from '../../nanoeval/page/address.ts';

test('an address says what is shown, and what is as at the start is left out', () => {
  assert.equal(addressOf(START), '#');
  const shown = {
    ...START,
    run: 'a/b & c',
    row: '3|1|0',
    filter: 'wrong' as const,
    search: 'x=y#z',
    sort: 'score' as const,
    down: true,
  };
  assert.deepEqual(readAddress(addressOf(shown)), shown);
  assert.deepEqual(readAddress(''), START);
});

test('what is not known in an address is left out', () => {
  assert.deepEqual(readAddress('#filter=evil&sort=1&row=5&other=6'), { ...START, row: '5' });
});
