/** Against CPython 3.11.7's `ast.literal_eval`: fixtures/option_letter/README.md. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type PythonValue, parsePythonDicts, parsePythonLiteral } from '../../nanoeval/text/python_literal.ts';

type Tagged = null | boolean | string | { int: string } | { float: string } | Tagged[];
interface Literals {
  accepted: [text: string, value: Tagged][];
  refused: string[];
  unread: string[];
}
const literals: Literals = JSON.parse(
  readFileSync(new URL('../fixtures/option_letter/python_literals.json', import.meta.url), 'utf8'),
);

function untag(value: Tagged): PythonValue {
  if (Array.isArray(value)) return value.map(untag);
  if (value === null || typeof value !== 'object') return value;
  if ('float' in value) return Number(value.float.replace('inf', 'Infinity'));
  return Number.isSafeInteger(Number(value.int)) ? Number(value.int) : BigInt(value.int);
}

const shown = (text: string) => JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);

test(`${literals.accepted.length} literals have the value that Python gives them`, () => {
  assert.ok(literals.accepted.length > 400);
  for (const [text, value] of literals.accepted)
    assert.deepStrictEqual(parsePythonLiteral(text), untag(value), shown(text));
});

const WHERE = /^Python literal, character [1-9][0-9]*: .+\.$/s;

test(`${literals.refused.length} texts are refused as in Python, ${literals.unread.length} more by design`, () => {
  assert.ok(literals.refused.length > 150);
  for (const text of [...literals.refused, ...literals.unread])
    assert.throws(() => parsePythonLiteral(text), { name: 'Error', message: WHERE }, shown(text));
});

const FAULTS: [text: string, message: string][] = [
  ['', 'character 1: the text ends where a value was expected: a list, tuple, string, number, None, True or False.'],
  [
    "['a', nan]",
    'character 7: the name nan where a value was expected: a list, tuple, string, number, None, True or False.',
  ],
  ['[,]', 'character 2: "," where a value was expected: a list, tuple, string, number, None, True or False.'],
  ["['it's']", 'character 6: "s" where "," or "]" was expected.'],
  ["['a', 'b'", 'character 10: the text ends where "," or "]" was expected.'],
  ["('a'; 'b')", 'character 5: ";" where "," or ")" was expected.'],
  // Code points: the two emoji are two characters.
  ["['😀', '😀' x]", 'character 11: "x" where "," or "]" was expected.'],
  ["['a', 'b]", "character 7: the string that begins here has no closing '."],
  ["'''a'", "character 1: the string that begins here has no closing '''."],
  ["['a\nb']", "character 2: the string that begins here has no closing '."],
  [String.raw`'a\x4'`, 'character 3: \\x needs 2 hexadecimal digits.'],
  [String.raw`'\u12'`, 'character 2: \\u needs 4 hexadecimal digits.'],
  [String.raw`'\U0001F60'`, 'character 2: \\U needs 8 hexadecimal digits.'],
  [String.raw`'\U00110000'`, "character 2: \\U00110000 is beyond Unicode's last character, \\U0010ffff."],
  [String.raw`'\N{BULLET}'`, 'character 2: characters by name, \\N{...}, are not read.'],
  ["[r'a']", 'character 2: strings with a prefix, r, are not read.'],
  ['[{1}]', 'character 2: dicts and sets are not read.'],
  ['[007]', 'character 2: no int or float is written like this.'],
  ['[1j]', 'character 2: no int or float is written like this.'],
  ["[-'a']", 'character 3: "\'" where a number was expected, behind its sign.'],
  ["['a'] ['b']", 'character 7: "[" behind the value.'],
  ["'a\0'", 'character 3: a NUL or half a surrogate pair, which no Python source can hold.'],
  ['['.repeat(101), 'character 101: more than 100 brackets are open.'],
  ['9'.repeat(4301), 'character 1: a number of 4301 characters. At most 4300 are read.'],
];

test('an error says at which character what is wrong', () => {
  for (const [text, message] of FAULTS)
    assert.throws(() => parsePythonLiteral(text), { message: `Python literal, ${message}` }, shown(text));
});

test('every level of nesting up to 100', () => {
  let nested: PythonValue = [];
  for (let depth = 1; depth < 100; depth += 1) nested = [nested];
  assert.deepEqual(parsePythonLiteral(`${'['.repeat(100)}${']'.repeat(100)}`), nested);
});

test('time is linear: megabytes of every kind of token', () => {
  const started = performance.now();
  const million = 1_000_000;
  assert.equal(parsePythonLiteral(`'${'a'.repeat(4 * million)}'`)?.toString().length, 4 * million);
  assert.equal(parsePythonLiteral(`'${'\\\\'.repeat(million)}'`)?.toString().length, million);
  assert.equal(parsePythonLiteral(`'''${"''\\'".repeat(million / 4)}'''`)?.toString().length, (3 * million) / 4);
  assert.equal(parsePythonLiteral(`${"'a' ".repeat(million / 4)}`)?.toString().length, million / 4);
  assert.equal((parsePythonLiteral(`[${'1, '.repeat(million / 4)}]`) as PythonValue[]).length, million / 4);
  assert.equal((parsePythonLiteral(`[${'(),'.repeat(million / 4)}]`) as PythonValue[]).length, million / 4);
  assert.deepEqual(parsePythonLiteral(`[${' \n'.repeat(million)}${'#\n'.repeat(million / 4)}]`), []);
  assert.throws(() => parsePythonLiteral('1'.repeat(4 * million)), { message: /a number of 4000000 characters/ });
  assert.throws(() => parsePythonLiteral("'a' ".repeat(million / 4).concat('x')), { message: /character 1000001:/ });
  assert.ok(performance.now() - started < 10_000, `${performance.now() - started} ms`);
});

/** The published lists of options of a benchmark whose column holds Python text. */
const RECORDED = new URL('../../../shared/data/mmmu_pro/gpt4o_standard10_direct.jsonl', import.meta.url);

test('1,730 recorded lists of options have the values of Python', { skip: !existsSync(RECORDED) }, () => {
  const rows = readFileSync(RECORDED, 'utf8').trimEnd().split('\n');
  const lists = rows.map(
    (row) => parsePythonLiteral((JSON.parse(row) as { options: string }).options) as PythonValue[],
  );
  // The sha256 of json.dumps([ast.literal_eval(json.loads(line)['options']) for line in file], ensure_ascii=False,
  // separators=(',', ':')) in Python.
  assert.equal(
    createHash('sha256').update(JSON.stringify(lists)).digest('hex'),
    '21ecc69aa8a04d8c892fba84eec2827fc3effb938bbd3ae1a454d43b7c9b4f92',
  );
  const counts: Record<number, number> = {};
  for (const { length } of lists) counts[length] = (counts[length] ?? 0) + 1;
  assert.deepEqual(counts, { 10: 1214, 9: 221, 4: 124, 3: 41, 5: 41, 8: 31, 2: 28, 6: 16, 7: 12, 12: 1, 1: 1 });
  assert.deepEqual(
    lists.filter((list) => list.some((item) => typeof item !== 'string')),
    [[['A', 'B', 'Not enough information']]],
  );
});

test('dicts are objects where they are asked for: what CPython 3.11 gives, string keys alone', () => {
  const table: [text: string, value: PythonValue][] = [
    ['{}', {}],
    ['[{}, { }]', [{}, {}]],
    [`{'a': 1, "b": ['x', {'c': None}],}`, { a: 1, b: ['x', { c: null }] }],
    ["{'a': 1, 'b': 2, 'a': 3}", { a: 3, b: 2 }],
    ["{ # note\n 'a' 'b' :\n(1, 2) }", { ab: [1, 2] }],
    [String.raw`{'it\'s': "\u00e9\n"}`, { "it's": 'é\n' }],
    ["{'a': {'b': {'c': -1.5}}}, 2", [{ a: { b: { c: -1.5 } } }, 2]],
    ['[1, (2,)]', [1, [2]]],
  ];
  for (const [text, value] of table) assert.deepEqual(parsePythonDicts(text), value, text);
  const odd = parsePythonDicts("{'__proto__': 1}") as Record<string, unknown>;
  assert.deepEqual(Object.entries(odd), [['__proto__', 1]]);
});

test('what is no dict with string keys is refused at its character', () => {
  const faults: [text: string, message: string][] = [
    ["{'a'}", 'character 5: "}" where ":" was expected.'],
    ["{'a', 'b'}", 'character 5: "," where ":" was expected.'],
    ["[{1: 'a'}]", 'character 3: a key that is no string.'],
    ["{'a': 1 'b': 2}", 'character 9: "\'" where "," or "}" was expected.'],
    ["{'a': 1", 'character 8: the text ends where "," or "}" was expected.'],
    ["{'a':}", 'character 6: "}" where a value was expected: a list, tuple, string, number, None, True or False.'],
    ['{,}', 'character 2: "," where a value was expected: a list, tuple, string, number, None, True or False.'],
    [`${"{'a': ".repeat(101)}1`, 'character 601: more than 100 brackets are open.'],
  ];
  for (const [text, message] of faults)
    assert.throws(() => parsePythonDicts(text), { name: 'Error', message: `Python literal, ${message}` }, text);
});
