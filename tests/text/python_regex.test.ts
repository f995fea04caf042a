/** Patterns of Python's `re`; what matches was looked up with CPython 3.11. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PythonFlags, pythonRegex } from '../../nanoeval/text/python_regex.ts';

const all = (source: string, text: string, flags: PythonFlags = {}) => text.match(pythonRegex(source, flags)) ?? [];

test('classes know all of Unicode: letters and numbers of any kind, no combining marks; digits; white space', () => {
  assert.deepEqual(all('\\w+', 'é² Ⅶ_ e\u0301 हिन्दी'), ['é²', 'Ⅶ_', 'e', 'ह', 'न', 'द']);
  assert.deepEqual(all('\\d', '1٣²Ⅶ'), ['1', '٣']);
  assert.deepEqual(all('\\s', ' \u001c\u0085\u00a0\ufeff'), [' ', '\u001c', '\u0085', '\u00a0']);
  assert.deepEqual(all('\\W\\D\\S', '!aa'), ['!aa']);
  assert.deepEqual(all('[\\w-]+', 'é-a b'), ['é-a', 'b']);
  assert.deepEqual(all('[^\\s\\d]', 'a \u00851'), ['a']);
});

test('borders of words are those of such letters', () => {
  assert.deepEqual(all('\\bfox\\b', 'fox foxé éfox fox\u0301 _fox'), ['fox', 'fox']);
  assert.deepEqual(all('\\Bx', 'éx x'), ['x']);
});

test('a dot is all but \\n; lines end with \\n alone, and the end of a text may stand before one', () => {
  assert.deepEqual(all('a.', 'a\r a\u2028 a\n'), ['a\r', 'a\u2028']);
  assert.deepEqual(all('^.', 'a\nb\rc', { multiline: true }), ['a', 'b']);
  assert.deepEqual(all('.$', 'a\nb\rc\n', { multiline: true }), ['a', 'c']);
  assert.deepEqual(all('^.|.$', 'a\nb\n'), ['a', 'b']);
  assert.deepEqual(all('\\A.|.\\Z', 'a\nb\n'), ['a']);
});

test('what closes nothing is a character, and what counts nothing too', () => {
  assert.deepEqual(all(']}', ']}'), [']}']);
  assert.deepEqual(all('a{x}', 'a{x}'), ['a{x}']);
  assert.deepEqual(all('a{,2}b', 'b aab aaab'), ['b', 'aab', 'aab']);
  assert.deepEqual(all('[]a]+', ']a['), [']a']);
  assert.deepEqual(all('[^]a]+', ']ab['), ['b[']);
  assert.deepEqual(all('[{2}(?P<]+', '{2}(?P<'), ['{2}(?P<']);
  assert.deepEqual(all('\\"\\-\\#\\/', '"-#/'), ['"-#/']);
  assert.deepEqual(all('(?P<x>a)(?#no word)b', 'ab'), ['ab']);
  assert.deepEqual(all('\\U0001f44d\\u00e9\\x41', '👍éA'), ['👍éA']);
});

test('without case: the long s, the Kelvin sign, and i with a dot and without', () => {
  assert.deepEqual(all('sk', 'ſK', { ignoreCase: true }), ['ſK']);
  assert.deepEqual(all('it', 'IT İT ıt', { ignoreCase: true }), ['IT', 'İT', 'ıt']);
  assert.deepEqual(all('[i]t', 'İT', { ignoreCase: true }), ['İT']);
  assert.deepEqual(all('i', 'ı'), []);
});

test('what is no pattern, or has no counterpart, is a SyntaxError', () => {
  for (const source of ['(', ')', '[a', '*', '\\q', '[\\W]', '(?P=x)', 'a(?i)'])
    assert.throws(() => pythonRegex(source), SyntaxError, source);
});
