/** Values are those of CPython 3.11's `json.loads`, but for long whole numbers, which are their digits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePythonJson } from '../../nanoeval/text/python_json.ts';

test('NaN and the infinities are values, where a value may stand', () => {
  assert.deepEqual(parsePythonJson('{"a": NaN, "b": [Infinity,-Infinity , 1], "c": {"d": NaN}}'), {
    a: Number.NaN,
    b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1],
    c: { d: Number.NaN },
  });
  assert.equal(parsePythonJson(' -Infinity\n'), Number.NEGATIVE_INFINITY);
});

test('whole numbers keep all digits, in lists too; other numbers are what they were', () => {
  assert.deepEqual(
    parsePythonJson(
      '[9007199254740991, 9007199254740992, -9007199254740993, 12345678901234567890123, 1234567890123456]',
    ),
    [9007199254740991, '9007199254740992', '-9007199254740993', '12345678901234567890123', 1234567890123456],
  );
  assert.deepEqual(parsePythonJson('{"a":9007199254740993,"b":0.12345678901234567890,"c":1e22,"d":1.5E-7}'), {
    a: '9007199254740993',
    b: 0.12345678901234568,
    c: 1e22,
    d: 1.5e-7,
  });
});

test('in settings a long whole number is the nearest number', () => {
  const text = '{"model_max_length": 1000000000000000019884624838656, "limit": Infinity, "NaN": NaN}';
  assert.deepEqual(parsePythonJson(text, 'number'), { model_max_length: 1e30, limit: Infinity, NaN: Number.NaN });
  assert.deepEqual(parsePythonJson('{"NaN": 9007199254740993}', 'number'), { NaN: 9007199254740992 });
  assert.throws(() => parsePythonJson('{"NaN": x}', 'number'), SyntaxError);
});

test('what stands in strings and keys stays', () => {
  const value = { NaN: 'Infinity, 9007199254740993', '9007199254740993': 'a \\" NaN "', 'e\\': '\\', x: 'é\u2028NaN' };
  assert.deepEqual(parsePythonJson(JSON.stringify(value)), value);
  assert.deepEqual(parsePythonJson('{"\\u004eaN": NaN}'), { NaN: Number.NaN });
});

test('what Python refuses is refused in one line', () => {
  const table = [
    ...[
      'nan',
      'NaNs',
      'xNaN',
      '-NaN',
      '+Infinity',
      '--Infinity',
      'Infinity5',
      '1.Infinity',
      '1e-Infinity',
      '5Infinity',
    ],
    ...[
      '{NaN: 1}',
      '{9007199254740993 : 1}',
      '{Infinity: 1}',
      '09007199254740993',
      '9007199254740993 9007199254740993',
    ],
    ...['[NaN', '[NaN,]', '"NaN', '"NaN\\"', '["a\nb", NaN]', '[9007199254740993.]', '9007199254740993n', '', 'x'],
    '[1,\n\n 2, oops]',
  ];
  for (const text of table)
    assert.throws(
      () => parsePythonJson(text),
      (error) => error instanceof SyntaxError && !/\n|[0-9a-f]{8}-/.test(error.message),
      text,
    );
});

test('megabytes of escapes, quotes and digits are read in one go', () => {
  const value = { a: '\\"'.repeat(500_000), b: '1'.repeat(1_000_000), c: 'NaN' };
  assert.deepEqual(parsePythonJson(JSON.stringify(value)), value);
  assert.equal(parsePythonJson('7'.repeat(100_000)), '7'.repeat(100_000));
  const deep = `${'['.repeat(200_000)}NaN${']'.repeat(200_000)}`;
  assert.throws(() => parsePythonJson(deep), SyntaxError);
});
