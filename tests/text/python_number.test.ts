/** Against CPython 3.11: `float(text)`, `round(value, 2)`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pythonFloat, round2 } from '../../nanoeval/text/python_number.ts';

test('texts that Python reads as a number', () => {
  const table: [text: string, number: number][] = [
    ['5', 5],
    ['-5', -5],
    ['+.5', 0.5],
    ['5.', 5],
    ['1e3', 1000],
    ['1E-2', 0.01],
    [' 7\n', 7],
    ['\u00a07\u3000', 7],
    ['1_000.2_5', 1000.25],
    ['1_0e1_0', 10e10],
    ['４２', 42],
    ['\u0663.\u0665', 3.5],
    ['\u{1d7d8}\u{1d7e3}\u{1d7ff}', 19],
    ['inf', Infinity],
    ['-Infinity', -Infinity],
    ['1e999', Infinity],
    ['007', 7],
  ];
  for (const [text, number] of table) assert.equal(pythonFloat(text), number, JSON.stringify(text));
  for (const text of ['nan', '-NaN']) assert.ok(Number.isNaN(pythonFloat(text)), text);
  assert.ok(Object.is(pythonFloat('-0'), -0), '-0');
});

test('texts that are no number to Python', () => {
  const texts = [
    '',
    ' ',
    '.',
    '-',
    '+',
    'e5',
    '1e',
    '1e+',
    '1,000',
    '1__0',
    '_1',
    '1_',
    '1_.5',
    '0x10',
    '1 000',
    '--1',
  ];
  for (const text of [...texts, '½', '²', '五', 'infinit', '1.2.3', '1n', 'true', '\ufeff1'])
    assert.equal(pythonFloat(text), null, JSON.stringify(text));
});

test('hundredths as Python rounds them: what is stored decides, ties go to the even one', () => {
  const table: [value: number, rounded: number][] = [
    [0.125, 0.12],
    [0.375, 0.38],
    [0.625, 0.62],
    [0.875, 0.88],
    [-0.125, -0.12],
    [-0.375, -0.38],
    [2.675, 2.67],
    [2.665, 2.67],
    [1.005, 1],
    [1.115, 1.11],
    [0.015, 0.01],
    [0.005, 0.01],
    [0.0049, 0],
    [1234567.125, 1234567.12],
    [1234567.375, 1234567.38],
    [3, 3],
    [2.5, 2.5],
    [1e22, 1e22],
    [1.5e300, 1.5e300],
    [Infinity, Infinity],
    [-Infinity, -Infinity],
  ];
  for (const [value, rounded] of table) assert.equal(round2(value), rounded, String(value));
  assert.ok(Number.isNaN(round2(Number.NaN)), 'NaN');
});
