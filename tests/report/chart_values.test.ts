import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFinite, fitsShare, numberDomain, shortNumber, valueText } from '../../nanoeval/report/chart_values.ts';
import type { TableRow } from '../../nanoeval/types.ts';

const row = (value: number, ci95: [number, number] | null = null): TableRow => ({
  label: 'all',
  level: 'all',
  group: 'all',
  metric: 'm',
  estimate: { value, stderr: ci95 === null ? null : 0.1, ci95, n: 9 },
});

test('values read as percent with one standard error, or with the decimals that the error asks for', () => {
  assert.equal(valueText(0.4312, 0.0049, true), '43.1 ± 0.5');
  assert.equal(valueText(0.5, null, true), '50.0');
  assert.equal(valueText(31.0829, 0.42, false), '31.08 ± 0.42');
  assert.equal(valueText(31.0829, null, false), '31.08');
  assert.equal(shortNumber(12345.6), '12,350');
  assert.equal(shortNumber(-0.25), '−0.25');
  assert.equal(shortNumber(0), '0');
});

test('a share is told by its values, not by its interval', () => {
  assert.equal(fitsShare([row(1, [0.6, 1.2])], 0.25), true);
  assert.equal(fitsShare([row(1.01)], 0.25), false);
  assert.equal(fitsShare([row(0.3)], -1), false);
});

test('the axis of other numbers takes in zero, values, intervals and chance, at round ends', () => {
  assert.deepEqual(numberDomain([row(31.2, [30.1, 32.3])], null), [0, 40]);
  assert.deepEqual(numberDomain([row(-3.4)], 2), [-4, 2]);
  assert.deepEqual(numberDomain([row(0)], null), [0, 1]);
});

test('what is not a finite number is refused by name', () => {
  assert.throws(() => checkFinite([row(Number.POSITIVE_INFINITY)], null), /all: m holds Infinity/);
  assert.throws(() => checkFinite([row(1, [Number.NaN, 1])], null), /all: m holds NaN/);
  assert.throws(() => checkFinite([row(1)], Number.NaN), /chance is NaN/);
});
