/** The part of an answer that counts, and whether it is the target. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareText, cleaned, judged, lastNumber } from '../../nanoeval/score/answers.ts';
import { RowError } from '../../nanoeval/types.ts';

test('blanks at the ends never count; a mark, a group and the first line do what they say, in this order', () => {
  assert.equal(cleaned(' a\n', {}), 'a');
  assert.equal(cleaned('', {}), '');
  assert.equal(cleaned('1 + 1 #### 2 #### 3\n', { after: '####' }), '3');
  assert.equal(cleaned('no mark', { after: '####' }), null);
  assert.equal(cleaned('a ####', { after: '####' }), '');
  assert.equal(cleaned('The answer is 12. It is.', { regex: 'answer is (\\d+)' }), '12');
  assert.equal(cleaned('x 12 y 13', { regex: '\\d+' }), '12');
  assert.equal(cleaned('one\ntwo: b', { regex: '^two: (.*)$' }), 'b');
  assert.equal(cleaned('x', { regex: '\\d+' }), null);
  assert.equal(cleaned('\n\n first \r\nsecond', { first_line: true }), 'first');
  assert.equal(cleaned('', { first_line: true }), '');
  assert.equal(cleaned('a: 1\n=> b: 2\n more', { after: '=>', regex: 'b: ([\\s\\S]*)', first_line: true }), '2');
});

test("bare: every mark of Python's string.punctuation goes, other marks and blanks stay", () => {
  // print(string.punctuation)
  const marks = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';
  assert.equal(marks.length, 32);
  assert.equal(bareText(marks), '');
  assert.equal(bareText(` The ${marks}É “x” … 7 \n`), ' the é “x” … 7 \n');
});

const NUMBERS: [text: string, number: number | null][] = [
  ['', null],
  ['none', null],
  ['It is 18.', 18],
  ['18 apples, 5 left', 5],
  ['$1,234.50', 1234.5],
  ['1,234,567', 1234567],
  ['1,2', 2],
  ['12,34', 34],
  ['-7', -7],
  ['\u22127 °C', -7],
  ['x = -.5', -0.5],
  ['3-4', 4],
  ['between 3 - 4', 4],
  ['2e3', 2000],
  ['1.2.3', 1.2],
  ['10%', 10],
  ['is 3/4', 4],
];
test('the last number of a text', () => {
  for (const [text, number] of NUMBERS) assert.equal(lastNumber(text), number, text);
});

test('exact and contains mind case unless told otherwise, and blanks at the ends never', () => {
  assert.deepEqual(judged('exact', 'Paris', { target: ' Paris\n' }), { answer: 'Paris', right: true });
  assert.equal(judged('exact', 'paris', { target: 'Paris' }).right, false);
  assert.equal(judged('exact', 'STRASSE', { target: 'Straße', ignore_case: true }).right, true);
  assert.equal(judged('exact', '', { target: 'a' }).right, false);
  assert.equal(judged('contains', 'It is Paris.', { target: 'Paris' }).right, true);
  assert.equal(judged('contains', 'It is paris.', { target: 'Paris' }).right, false);
  assert.equal(judged('contains', 'é', { target: 'e\u0301' }).right, false);
});

test('numbers are compared as numbers, within the tolerance', () => {
  assert.deepEqual(judged('number', 'so 1,000.0', { target: 'because ... #### 1000' }), {
    answer: '1000',
    right: true,
  });
  assert.equal(judged('number', '3.14', { target: '3.14159' }).right, false);
  assert.equal(judged('number', '3.14', { target: '3.14159', tolerance: 0.01 }).right, true);
  // 0.3 - 0.2 is a little more than 0.1 in binary.
  assert.equal(judged('number', '0.3', { target: '0.2', tolerance: 0.1 }).right, true);
  assert.deepEqual(judged('number', 'none', { target: '1' }), { answer: null, right: false });
  assert.throws(() => judged('number', '1', { target: 'none' }), RowError);
});

test('a target may be a regular expression', () => {
  assert.equal(judged('regex', 'It is PARIS', { target: 'paris$', ignore_case: true }).right, true);
  assert.equal(judged('regex', 'It is Lyon', { target: 'Paris$' }).right, false);
  assert.throws(() => judged('regex', 'a', { target: '(' }), RowError);
});
