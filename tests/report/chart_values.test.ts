import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  axisOf,
  checkFinite,
  fitsShare,
  numberAxis,
  shortNumber,
  valueText,
} from '../../nanoeval/report/chart_values.ts';
import type { TableRow } from '../../nanoeval/types.ts';

const row = (value: number, ci95: [number, number] | null = null): TableRow => ({
  label: 'all',
  level: 'all',
  group: 'all',
  metric: 'm',
  estimate: { value, stderr: ci95 === null ? null : 0.1, ci95, n: 9 },
});

test('values read as percent with one standard error, or with the decimals that the error asks for', () => {
  assert.equal(valueText(0.4312, 0.0049, 'share'), '43.1 ± 0.5');
  assert.equal(valueText(0.5, null, 'share'), '50.0');
  assert.equal(valueText(31.0829, 0.42, 'number'), '31.08 ± 0.42');
  assert.equal(valueText(31.0829, null, 'number'), '31.08');
  assert.equal(valueText(31.0829, 0, 'number'), '31.08');
  assert.equal(valueText(37661.4, 120.3, 'number'), '37,661 ± 120');
  assert.equal(valueText(3.7661e12, 2e11, 'number'), '3.766e12 ± 2e11');
});

test('a number has four digits, all of its whole part from 1000 on, an exponent beyond a billion', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [0.98, '0.98'],
    [1.02345, '1.023'],
    [-0.25, '−0.25'],
    [999.96, '1,000'],
    [37661.4, '37,661'],
    [1.2e6, '1,200,000'],
    [999_999_999, '999,999,999'],
    [1e9, '1e9'],
    [-1.23456e30, '−1.235e30'],
    [0.00001234, '0.00001234'],
    [1.5e-7, '1.5e−7'],
  ];
  for (const [x, text] of cases) assert.equal(shortNumber(x), text);
});

test('a share is told by its values, not by its interval', () => {
  assert.equal(fitsShare([row(1, [0.6, 1.2])], 0.25), true);
  assert.equal(fitsShare([row(1.01)], 0.25), false);
  assert.equal(fitsShare([row(0.3)], -1), false);
});

test('the axis of shares is the same for all', () => {
  const axis = axisOf('share', [row(0.01)], null);
  assert.deepEqual([axis.start, axis.end, axis.ticks.length], [0, 1, 11]);
  assert.deepEqual([axis.labels[0], axis.labels[3], axis.labels[10]], ['0 %', '30 %', '100 %']);
  assert.deepEqual(axisOf('number', [row(31)], null), numberAxis([row(31)], null));
});

test('the axis of other numbers takes in zero, values, intervals and chance, at round ends', () => {
  const ends = (axis: ReturnType<typeof numberAxis>) => [axis.start, axis.end];
  assert.deepEqual(ends(numberAxis([row(31.2, [30.1, 32.3])], null)), [0, 40]);
  assert.deepEqual(ends(numberAxis([row(-3.4)], 2)), [-4, 2]);
  assert.deepEqual(numberAxis([row(0)], null), { start: 0, end: 1, ticks: [0, 1], labels: ['0', '1'] });
});

test('the labels of the axis fit its step', () => {
  const labels = (value: number) => numberAxis([row(value)], null).labels;
  assert.deepEqual(labels(1.02), ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0', '1.2']);
  assert.deepEqual(labels(0.98), ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']);
  assert.deepEqual(numberAxis([row(0.9)], null).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(labels(31.1), ['0', '10', '20', '30', '40']);
  assert.deepEqual(labels(37661), ['0', '10,000', '20,000', '30,000', '40,000']);
  assert.deepEqual(labels(1.2e6), ['0', '200,000', '400,000', '600,000', '800,000', '1,000,000', '1,200,000']);
  assert.deepEqual(labels(4e12), ['0', '1e12', '2e12', '3e12', '4e12']);
  assert.deepEqual(labels(-3.4), ['−4', '−3', '−2', '−1', '0']);
  for (let value = 1e-8; value < 1e15; value *= 1.37) {
    const axis = numberAxis([row(value)], null);
    assert.ok(axis.ticks.length >= 3 && axis.ticks.length <= 8, `${value}: ${axis.labels.join(' ')}`);
    assert.ok(axis.end >= value && axis.end < 2 * value, `${value}: ${axis.labels.join(' ')}`);
    assert.equal(new Set(axis.labels).size, axis.labels.length, axis.labels.join(' '));
  }
});

test('what is not a finite number is refused by name', () => {
  assert.throws(() => checkFinite([row(Number.POSITIVE_INFINITY)], null), /all: m holds Infinity/);
  assert.throws(() => checkFinite([row(1, [Number.NaN, 1])], null), /all: m holds NaN/);
  assert.throws(() => checkFinite([row(1)], Number.NaN), /chance is NaN/);
});
