/** Against CPython 3.13.0: fixtures/python_text/README.md. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  capitalize,
  codePoints,
  isBlank,
  isLower,
  isUpper,
  lstrip,
  pythonPattern,
  rstrip,
  splitAtBlanks,
  splitWords,
  strip,
  utf8Bytes,
} from '../../nanoeval/text/python_text.ts';

interface Vectors {
  isspace: number[];
  capitalize: [string, string][];
  strip: [string, string, string][];
  length: [string, number, number][];
}
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../fixtures/python_text/vectors.json', import.meta.url), 'utf8'),
);

/** So that two strings that look alike are told apart in a failure. */
const escaped = (text: string) => text.replace(/[^ -~]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);

test('the blanks are those of str.isspace(), over all code points', () => {
  const stripped: number[] = [];
  const cut: number[] = [];
  const blank: number[] = [];
  for (let code = 0; code <= 0x10ffff; code += 1) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const char = String.fromCodePoint(code);
    if (strip(`${char}x`) === 'x') stripped.push(code);
    if (rstrip(`x${char}`) === 'x') cut.push(code);
    if (char.length === 1 && isBlank(char)) blank.push(code);
  }
  assert.deepEqual(stripped, vectors.isspace);
  assert.deepEqual(cut, vectors.isspace);
  assert.deepEqual(blank, vectors.isspace);
});

test('strip and rstrip', () => {
  for (const [text, both, right] of vectors.strip) {
    assert.equal(escaped(strip(text)), escaped(both), `strip ${escaped(text)}`);
    assert.equal(escaped(rstrip(text)), escaped(right), `rstrip ${escaped(text)}`);
  }
});

test('a megabyte of blanks is stripped at once', () => {
  const blanks = ' \n'.repeat(500_000);
  const started = performance.now();
  assert.equal(strip(`${blanks}x${blanks}y${blanks}`), `x${blanks}y`);
  assert.equal(strip(blanks), '');
  assert.ok(performance.now() - started < 2000);
});

test('capitalize: first character title-cased, the rest lower-cased', () => {
  assert.ok(vectors.capitalize.length > 400);
  for (const [text, wanted] of vectors.capitalize) {
    assert.equal(escaped(capitalize(text)), escaped(wanted), `capitalize ${text} ${escaped(text)}`);
  }
});

test('lengths in code points and in UTF-8 bytes', () => {
  for (const [text, points, bytes] of vectors.length) {
    assert.equal(codePoints(text), points, escaped(text));
    assert.equal(utf8Bytes(text), bytes, escaped(text));
  }
});

test("splitAtBlanks: Python's re.split(r'\\s+', text), empty pieces at the ends and all", () => {
  // python3.11: re.split(r'\s+', text)
  const table: [string, string[]][] = [
    ['a b', ['a', 'b']],
    [' a\u3000b  ', ['', 'a', 'b', '']],
    ['', ['']],
    ['\x1ca\u2028b', ['', 'a', 'b']],
    // Blanks of JavaScript that are none of Python's.
    ['a\ufeffb\u200bc', ['a\ufeffb\u200bc']],
    ['x\u0085y', ['x', 'y']],
  ];
  for (const [text, pieces] of table) assert.deepEqual(splitAtBlanks(text), pieces, escaped(text));
});

test("pythonPattern: \\s is Python's, and every match is found", () => {
  // python3.11: re.sub(r' \s*@', '|', text)
  const pattern = pythonPattern(' \\s*@');
  for (const [text, wanted] of [
    ['a  @ b @', 'a| b|'],
    ['a \u3000@', 'a|'],
    ['a \x1c@', 'a|'],
    ['a \ufeff@', 'a \ufeff@'],
  ] as const)
    assert.equal(text.replace(pattern, '|'), wanted, escaped(text));
});

test('splitWords and lstrip: white space is that of Python', () => {
  // python3.11: text.split(), text.lstrip()
  assert.deepEqual(splitWords(' a\u3000b \x1cc\ufeff '), ['a', 'b', 'c\ufeff']);
  assert.deepEqual(splitWords(' \n'), []);
  assert.equal(lstrip('\x1f\u00a0a \n'), 'a \n');
  assert.equal(lstrip('\ufeffa'), '\ufeffa');
});

test('isUpper and isLower: one letter of the case, and none of another', () => {
  // python3.11: text.isupper(), text.islower()
  const table: [string, boolean, boolean][] = [
    ['', false, false],
    ['123 שלום 你好', false, false],
    ['A1 É!', true, false],
    ['a1 é!', false, true],
    ['Aa', false, false],
    ['\u01c5', false, false],
    ['A\u01c5', false, false],
    ['\u216b\u24b6', true, false],
    ['\u217b\u24d0', false, true],
    ['A\u00aa', false, false],
    ['\u00df', false, true],
    ['\u1e9e', true, false],
    ['\u{1d400}', true, false],
  ];
  for (const [text, upper, lower] of table)
    assert.deepEqual([isUpper(text), isLower(text)], [upper, lower], escaped(text));
});
