import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intervalOf, plain, STATUS, valueWith } from '../../nanoeval/page/kit.ts';

test('shares read as percent, numbers as they are, with their intervals', () => {
  const share = { value: 0.4312, stderr: 0.012, ci95: [0.4, 0.4561] as [number, number], n: 9 };
  assert.deepEqual(
    [valueWith(share, 'share'), intervalOf(share, 'share'), plain(0.4312, 'share')],
    ['43.1 ± 1.2 %', '40.0 to 45.6 %', '43.1 %'],
  );
  const number = { value: 12.345678, stderr: null, ci95: null, n: 1 };
  assert.deepEqual(
    [valueWith(number, 'number'), intervalOf(number, 'number'), plain(12.345678, 'number')],
    ['12.35', '', '12.35'],
  );
  assert.equal(valueWith({ ...number, value: null as unknown as number }, 'number'), 'not finite');
});

test('each status has a name and a sign of its own', () => {
  const all = Object.values(STATUS);
  assert.equal(new Set(all.map(({ sign }) => sign)).size, all.length);
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
});
