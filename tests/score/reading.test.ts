/** Texts as a check reads them, and places in the original. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { excerpt, placeIn, readAs } from '../../nanoeval/score/reading.ts';

const read = (text: string, options: Parameters<typeof readAs>[1] = {}) => readAs(text, options).text;

test('nothing is changed unless it is asked for: white space, case, composed and decomposed letters', () => {
  for (const text of ['', ' A\n', 'e\u0301', '\u00e9', 'שלום', '👍🏽', '\ud800']) assert.equal(read(text), text);
});

test('white space is that of Python: ends are stripped, runs become one blank', () => {
  assert.equal(read(' \u00a0\u3000a b\t\n', { strip: true }), 'a b');
  assert.equal(read(' a \r\n\t b\u2003c ', { collapse_whitespace: true }), 'a b c');
  assert.equal(read(' a ', { collapse_whitespace: true, strip: false }), ' a ');
  // No white space for Python: a byte order mark.
  assert.equal(read('\ufeffa', { strip: true }), '\ufeffa');
  assert.equal(read(' \n ', { strip: true }), '');
});

test('without case: letters whose other case is longer, and the three sigmas', () => {
  assert.equal(read('Straße', { ignore_case: true }), read('STRASSE', { ignore_case: true }));
  assert.equal(read('ΟΔΟΣ', { ignore_case: true }), read('οδος', { ignore_case: true }));
  assert.equal(read('E\u0301', { ignore_case: true }), 'e\u0301');
  assert.equal(read('שלום 👍🏽', { ignore_case: true }), 'שלום 👍🏽');
});

test('each unit knows where it stood in the original, and the end does too', () => {
  const { text, places } = readAs('  ß \n B ', { ignore_case: true, collapse_whitespace: true });
  assert.equal(text, 'ss b');
  assert.deepEqual(places, [2, 2, 3, 6, 7]);
  assert.deepEqual(readAs('', { strip: true }), { text: '', places: [0] });
  const emoji = readAs('👍a', {});
  assert.deepEqual(emoji.places, [0, 0, 2, 3]);
});

test('a place is a line and a character of it, whatever ends the line', () => {
  assert.equal(placeIn('', 0), '1:1');
  assert.equal(placeIn('ab\r\nc👍d', 7), '2:3');
  assert.equal(placeIn('a\rb\nc', 4), '3:1');
});

test('an excerpt is cut between characters, in quotes, and shows what cannot be seen', () => {
  assert.equal(excerpt('short'), '"short"');
  assert.equal(excerpt('a\n"b"'), '"a\\n\\"b\\""');
  assert.equal(excerpt('abcdef', 2, 3), '..."cde"...');
  assert.equal(excerpt('abc', 3), '...""');
  // A letter with two marks, a family and a thumb with its colour stay whole.
  assert.equal(excerpt('xe\u0301\u0323yz', 0, 2), '"xe\u0301\u0323"...');
  assert.equal(excerpt('👨‍👩‍👧!!', 0, 1), '"👨‍👩‍👧"...');
  assert.equal(excerpt('👍🏽!', 0, 1), '"👍🏽"...');
  // A mark that turns the text's direction would turn the table around it.
  assert.equal(excerpt('\u202eabc\u200f'), '"\\u202eabc\\u200f"');
  assert.equal(excerpt('שלום'), '"שלום"');
  assert.equal(excerpt('\ud800'), '"\\ud800"');
});
