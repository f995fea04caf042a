import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import {
  imageField,
  indexField,
  labelField,
  labelledOptions,
  literalField,
  literalListField,
  rowBy,
  textField,
  textListField,
} from '../../nanoeval/data/row.ts';
import { UserError } from '../../nanoeval/types.ts';

const read = <T>(
  reader: (task: string, row: { index: number; row: Record<string, unknown> }, column: string) => T,
  x: unknown,
) => reader('mmlu', { index: 24, row: x === undefined ? {} : { x } }, 'x');

function refused(
  reader: Parameters<typeof read>[0],
  value: unknown,
  wanted: string,
  shown = JSON.stringify(value),
): void {
  assert.throws(
    () => read(reader, value),
    (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.message, `mmlu row 24: x is ${shown}. It has to be ${wanted}.`);
      return true;
    },
  );
}

test('a text, the empty one included, and nothing that could be made into one', () => {
  for (const text of ['a', '', ' ', '5']) assert.equal(read(textField, text), text);
  for (const value of [5, null, true, ['a'], { a: 1 }]) refused(textField, value, 'a text');
  refused(textField, undefined, 'a text', 'undefined');
});

test('a label: one of them as it is written; where none is a number, a place from 0', () => {
  const among =
    (...labels: string[]) =>
    (task: string, row: Parameters<typeof textListField>[1], column: string) =>
      labelField(task, row, column, labels);
  assert.equal(read(among('no', 'é 🙂'), 'é 🙂'), 1);
  assert.equal(read(among('no', 'yes'), 1), 1);
  assert.equal(read(among('no', 'yes'), '0'), 0);
  assert.equal(read(among('1', '2'), 2), 1);
  assert.equal(read(among('-1', '1'), '-1'), 0);
  for (const value of ['Yes', '', 2, '2', -1, 0.5, null, true, ['no']])
    refused(among('no', 'yes'), value, 'one of: no, yes');
  // 0 is no place here: labels are numbers.
  refused(among('1', '2'), 0, 'one of: 1, 2');
  const many = Array.from({ length: 14 }, (_, i) => `l${i}`);
  refused(among(...many), 'x', `one of: ${many.slice(0, 12).join(', ')}, or 2 more`);
});

test('a list of texts, of any or of one length', () => {
  const four = (task: string, row: Parameters<typeof textListField>[1], column: string) =>
    textListField(task, row, column, 4);
  assert.deepEqual(read(textListField, []), []);
  assert.deepEqual(read(textListField, ['a', '']), ['a', '']);
  assert.deepEqual(read(four, ['a', 'b', 'c', 'd']), ['a', 'b', 'c', 'd']);
  for (const value of ['abcd', ['a', 5], ['a', null], null, { 0: 'a', length: 1 }]) {
    refused(textListField, value, 'a list of texts');
  }
  for (const value of [
    ['a', 'b', 'c'],
    ['a', 'b', 'c', 'd', 'e'],
    [1, 2, 3, 4],
  ])
    refused(four, value, 'a list of 4 texts');
});

test('a list that is written in a text, as a CSV has it, is a list only where one is asked for', () => {
  const four = (task: string, row: Parameters<typeof textListField>[1], column: string) =>
    textListField(task, row, column, 4);
  const table: [string, string[]][] = [
    ['["2","0","4","3"]', ['2', '0', '4', '3']],
    ["['2', '0', '4', '3']", ['2', '0', '4', '3']],
    ["['2' '0' '4' '3']", ['2', '0', '4', '3']],
    [`['a b' "it's"\n 'c, d' 'e\\n']`, ['a b', "it's", 'c, d', 'e\n']],
    [` ["it's", 'x', "", 'y']`, ["it's", 'x', '', 'y']],
  ];
  for (const [text, wanted] of table) {
    assert.deepEqual(read(four, text), wanted);
    assert.equal(read(textField, text), text);
  }
  assert.deepEqual(read(textListField, "['one']"), ['one']);
  assert.deepEqual(read(textListField, '[]'), []);
  for (const value of ['[1, 2]', "['a' 'b', 'c']", "['a', 'b' 'c']", "['a'", '[header] a', '[a, b]', "('a', 'b')"])
    refused(textListField, value, 'a list of texts');
});

test("an index: a number, or its digits as in HellaSwag's label and CSV cells", () => {
  for (const value of [0, 3, '0', '3', '03']) assert.equal(read(indexField, value), Number(value));
  for (const value of ['A', 'd']) refused(indexField, value, 'an index from 0: 0 in place of A, 1 in place of B');
  for (const value of ['', ' 1', '1.0', '-1', 'AB', '1e3', '9999999999', null, true, [1], 1.5, -1]) {
    refused(indexField, value, 'an index from 0');
  }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
    refused(indexField, value, 'an index from 0', String(value));
});

test('a long value is cut in the message', () => {
  refused(textListField, 'x'.repeat(500), 'a list of texts', `"${'x'.repeat(56)}...`);
});

test('a list written as a Python literal, or a list already; lists in it are laid flat', () => {
  const table: [unknown, string[]][] = [
    ["['a', 'b']", ['a', 'b']],
    [`['it\\'s', "5'", '\\\\frac{1}{2}']`, ["it's", "5'", '\\frac{1}{2}']],
    ["[['A', 'B', 'Not enough information']]", ['A', 'B', 'Not enough information']],
    ["('a', ['b', ('c',)])", ['a', 'b', 'c']],
    ["['']", ['']],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
    [
      [['a'], [['b']]],
      ['a', 'b'],
    ],
  ];
  for (const [value, wanted] of table) assert.deepEqual(read(literalListField, value), wanted, String(value));
});

test('no option, an option that is no text, or what Python does not read is an error that names the row', () => {
  const list = 'a list of texts, as a list or written as a Python literal';
  for (const value of ['[]', '[[]]', '5', "'a'", 'None', "['a', 5]", "['a', None]", [], [5], ['a', null], 5, null, {}])
    refused(literalListField, value, list);
  refused(literalListField, undefined, list, 'undefined');
  const why = (text: string) => `a Python list of texts (Python literal, character ${text})`;
  refused(
    literalListField,
    '',
    why('1: the text ends where a value was expected: a list, tuple, string, number, None, True or False.'),
  );
  refused(literalListField, "['a', 'b", why("7: the string that begins here has no closing '."));
  refused(
    literalListField,
    'A. cat B. dog',
    why('1: the name A where a value was expected: a list, tuple, string, number, None, True or False.'),
  );
});

test('a list that may be empty is still a list of texts', () => {
  const any = (task: string, row: Parameters<typeof literalListField>[1], column: string) =>
    literalListField(task, row, column, 0);
  for (const value of ['[]', '()', '[[]]', [], [[]]]) assert.deepEqual(read(any, value), []);
  for (const value of ['5', 'None', '[5]', 5, null, {}, [null]])
    refused(any, value, 'a list of texts, as a list or written as a Python literal');
});

test("a picture's file: bytes, base64, or none", () => {
  const bytes = Uint8Array.of(0, 255, 62, 63, 64);
  const text = Buffer.from(bytes).toString('base64');
  assert.equal(text, 'AP8+P0A=');
  assert.equal(read(imageField, { bytes, path: 'a.png' }), bytes);
  for (const one of [text, 'AP8+P0A', 'AP8+\nP0A=\n']) {
    const found = read(imageField, { bytes: one, path: null });
    assert.ok(found !== null);
    assert.deepEqual([...found], [...bytes], one);
  }
  for (const none of [null, undefined, { bytes: null, path: null }, { bytes: null, path: 'a.png' }])
    assert.equal(read(imageField, none), null);
});

test('what is no picture file is an error that names the row: nothing is read from a path or an address', () => {
  const wanted = 'a picture: { bytes, path }, the bytes as they are or as base64 text';
  for (const value of [
    'images/a.png',
    'https://a/b.png',
    5,
    true,
    [1, 2],
    { path: 'a.png' },
    { bytes: 5 },
    { bytes: [1, 2] },
  ])
    refused(imageField, value, wanted);
});

test('a text that is no base64 is an empty file: its row fails as that of a broken picture does', () => {
  for (const bytes of ['', ' ', '\n', '=', 'AP8-P0A', 'AP8=P0A=', 'data:image/png;base64,AP8+', 'AP8+P===', 'é'])
    assert.equal(read(imageField, { bytes })?.length, 0, bytes);
});

test('base64 of megabytes is read at once, and so is what only begins like it', () => {
  const started = performance.now();
  const text = 'QUJD'.repeat(5_000_000);
  assert.equal(read(imageField, { bytes: text })?.length, 15_000_000);
  for (const bytes of [`${text}!`, `${text}==!`, `${' '.repeat(100_000)}!`, `A${' '.repeat(100_000)}!`])
    assert.equal(read(imageField, { bytes })?.length, 0);
  assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`);
});

test('a whole row by a schema: nulls are keys that are not there, and a fault names row, id and key', () => {
  const schema = z.strictObject({
    id: z.string().optional(),
    count: z.int(),
    list: z.array(z.strictObject({ a: z.string().optional() })).optional(),
  });
  const of = (row: Record<string, unknown>) => rowBy('toy', { index: 3, row }, schema);
  assert.deepEqual(of({ id: null, count: 2, list: [{ a: null }] }), { count: 2, list: [{}] });
  const refused = (row: Record<string, unknown>, message: string) =>
    assert.throws(
      () => of(row),
      (error) => error instanceof UserError && error.message === message,
    );
  refused({ count: 'x' }, 'toy row 3: count: "x" is not a number.');
  refused({ id: 'a', coutn: 1 }, 'toy row 3 (id a): coutn: unknown key. Did you mean "count"?');
  refused(
    { id: 'a', count: 1, list: [{ a: 'x' }, { a: 1 }] },
    'toy row 3 (id a): list[1].a: 1 is not a text. Put it in quotes.',
  );
});

test('options with labels: the place of the key among them, in whatever order they stand', () => {
  const row = (answerKey: unknown, label: unknown = ['B', 'A', 'C']) => ({
    index: 7,
    row: { choices: { text: ['x', 'y', ''], label }, answerKey },
  });
  const labels = ['B', 'A', 'C'];
  assert.deepEqual(labelledOptions('quiz', row('A')), { texts: ['x', 'y', ''], labels, gold: 1 });
  assert.equal(labelledOptions('quiz', row(' C\n')).gold, 2);
  const refusal = (one: ReturnType<typeof row>, message: string) =>
    assert.throws(() => labelledOptions('quiz', one), { name: 'UserError', message });
  refusal(row('D'), 'quiz row 7: answerKey is "D". It has to be one of: B, A, C.');
  refusal(row(''), 'quiz row 7: answerKey is "". It has to be one of: B, A, C.');
  refusal(row(1), 'quiz row 7: answerKey is 1. It has to be a text.');
  refusal(row('A', ['A', 'B']), 'quiz row 7: choices.label is ["A","B"]. It has to be a list of 3 texts.');
});

test('a Python literal inside a text, dicts too; what is no text stays as it is', () => {
  assert.deepEqual(read(literalField, `[{'a': "it's", 'b': [1, None]}]`), [{ a: "it's", b: [1, null] }]);
  for (const value of [[{ a: 1 }], null, 5]) assert.equal(read(literalField, value), value);
  assert.equal(read(literalField, undefined), undefined);
  const why = 'a Python literal (Python literal, character 5: "b" where ":" was expected.)';
  refused(literalField, '{"a"b', why);
});
