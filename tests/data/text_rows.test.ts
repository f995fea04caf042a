/** JSON-lines, JSON and CSV rows, and texts. */
import assert from 'node:assert/strict';
import { constants } from 'node:buffer';
import { truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  countCsvRows,
  countJsonRows,
  countTxtRows,
  csvRows,
  jsonRows,
  txtRows,
} from '../../nanoeval/data/text_rows.ts';
import { OutsideError, UserError } from '../../nanoeval/types.ts';
import { collect, temporaryFolder } from './hub_server.ts';

function write(t: TestContext, name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(t), name);
  writeFileSync(path, content);
  return path;
}
const read = (path: string) =>
  collect(path.endsWith('.csv') ? csvRows(path, basename(path)) : jsonRows(path, basename(path)));
const count = (path: string) => (path.endsWith('.csv') ? countCsvRows(path, path) : countJsonRows(path, path));

test('JSON lines: blank lines, Windows line ends, a byte order mark, U+2028 in a text, no last line end', async (t) => {
  const path = write(t, 'a.jsonl', '\uFEFF{"a":1,"t":"x\u2028y"}\r\n\n{"a":null,"b":[1,{"c":2}]}\r\n  \n{"a":"你好"}');
  assert.deepEqual(await read(path), [
    [0, { a: 1, t: 'x\u2028y' }],
    [1, { a: null, b: [1, { c: 2 }] }],
    [2, { a: '你好' }],
  ]);
  assert.equal(await count(path), 3);
  assert.deepEqual(await read(write(t, 'b.jsonl', '')), []);
});

test('JSON lines that are not wanted are not parsed, but the first, and keep their numbers', async (t) => {
  const path = write(t, 'a.jsonl', '\uFEFF\n{"a":0}\n\n{"a":\n{"a":2}\n\uFEFF{"a":3}\n{');
  const some = await collect(jsonRows(path, 'a.jsonl', (index) => index === 2 || index === 3));
  assert.deepEqual(some, [
    [0, { a: 0 }],
    [2, { a: 2 }],
    [3, { a: 3 }],
  ]);
  assert.equal(await count(path), 5);
});

test('JSON lines longer than a piece of the stream', async (t) => {
  const long = 'ä'.repeat(400_000);
  const path = write(t, 'a.ndjson', `${JSON.stringify({ long })}\n${JSON.stringify({ long: 1 })}\n`);
  const rows = await read(path);
  assert.deepEqual([(rows[0]![1].long as string).length, rows[1]![1].long], [400_000, 1]);
});

test('bad lines name the line and what was found', async (t) => {
  const cases: [string | Uint8Array, RegExp][] = [
    ['{"a":1}\n\n{"a":\n', /^a.jsonl:3: found "\{\\"a\\":", which is no JSON/],
    ['{"a":1}\n[1]\n', /^a.jsonl:2: found "\[1\]"\. It would be a JSON object/],
    ['{"a":nan}\n', /^a.jsonl:1: found/],
    ['null\n', /^a.jsonl:1: found "null"/],
    [Buffer.from('7b2261223a22ff227d0a', 'hex'), /^a.jsonl:1: not UTF-8/],
  ];
  for (const [content, message] of cases) {
    await assert.rejects(
      read(write(t, 'a.jsonl', content)),
      (error) => error instanceof UserError && message.test(error.message),
      String(message),
    );
  }
  await assert.rejects(read(join(temporaryFolder(t), 'no.jsonl')), OutsideError);
});

test('.json: one array, or lines', async (t) => {
  const path = write(t, 'a.json', '\n [{"a":1},\n {"a":2}]\n');
  assert.deepEqual(await read(path), [
    [0, { a: 1 }],
    [1, { a: 2 }],
  ]);
  assert.equal(await count(path), 2);
  assert.equal(await count(write(t, 'b.json', '{"a":1}\n{"a":2}\n{"a":3}')), 3);
  await assert.rejects(read(write(t, 'c.json', '[{"a":1}')), /c.json: no JSON/);
  await assert.rejects(read(write(t, 'd.json', '[1]')), UserError);
});

test('CSV: quotes, line ends inside, every cell is a text', async (t) => {
  const csv = '\uFEFFquestion,choices,answer\r\n"a, ""b""\nc","[""x"",""y""]",01\r\n[header] How to,[1,\r\n';
  const path = write(t, 'a.csv', csv);
  assert.deepEqual(await read(path), [
    [0, { question: 'a, "b"\nc', choices: '["x","y"]', answer: '01' }],
    [1, { question: '[header] How to', choices: '[1', answer: '' }],
  ]);
  assert.equal(await count(path), 2);
  assert.deepEqual(await read(write(t, 'b.csv', 'a,b\n')), []);
});

test('CSV: each line end ends a row outside of quotes, wherever a piece of the stream ends', async (t) => {
  const rows = [
    { a: '1', b: 'x\r\ny' },
    { a: '2', b: 'x\ry' },
    { a: '3', b: '' },
  ];
  for (const [first, second] of [
    ['\n', '\r\n'],
    ['\r\n', '\n'],
    ['\r', '\r\n'],
    ['\r', '\r'],
  ]) {
    const text = `a,b${first}1,"x\r\ny"${second}${second}2,"x\ry"${first}3,${second}`;
    assert.deepEqual(
      (await read(write(t, 'a.csv', text))).map(([, row]) => ({ ...row })),
      rows,
      JSON.stringify(text),
    );
  }
  // Rows of every length around the size of a piece, 256 KiB.
  const long = Array.from({ length: 8 }, (_, i) => `${'x'.repeat((1 << 18) - 8 + i)},${i}\r\n`);
  const read8 = await read(write(t, 'b.csv', `a,b\n${long.join('')}`));
  assert.deepEqual(
    read8.map(([, row]) => row.b),
    ['0', '1', '2', '3', '4', '5', '6', '7'],
  );
  for (let before = (1 << 18) - 12; before <= 1 << 18; before++) {
    const path = write(t, 'c.csv', `a,b\r\n${'x'.repeat(before - 9)},y\r\n1,z\r\n`);
    assert.deepEqual(
      (await read(path)).map(([, row]) => row.b),
      ['y', 'z'],
    );
  }
});

test('CSV: columns without a name are left out', async (t) => {
  const path = write(t, 'a.csv', ',question,,answer,,\n0,q,x,1,,\n1,r,,2,,\n');
  assert.deepEqual(
    (await read(path)).map(([, row]) => ({ ...row })),
    [
      { question: 'q', answer: '1' },
      { question: 'r', answer: '2' },
    ],
  );
});

const JSON_LINES = '\uFEFF{"a":1}\n{"a":"ä"}\n';
const CSV = 'a,b\r\n1,ä\r\n';
/** The same bytes as `zstd -3` makes of JSON_LINES. */
const ZSTANDARD = 'KLUv/QRYsQAA77u/eyJhIjoxfQp7ImEiOiLDpCJ9CpF3GrQ=';

test('packed files', async (t) => {
  const rows = [
    [0, { a: 1 }],
    [1, { a: 'ä' }],
  ];
  for (const path of [
    write(t, 'a.jsonl.gz', gzipSync(JSON_LINES)),
    write(t, 'b.jsonl.gz', Buffer.concat([gzipSync(JSON_LINES.slice(0, 9)), gzipSync(JSON_LINES.slice(9))])),
    write(t, 'c.json.gz', gzipSync('[{"a":1},{"a":"ä"}]')),
    write(t, 'd.ndjson.zst', Buffer.from(ZSTANDARD, 'base64')),
  ]) {
    assert.deepEqual(await read(path), rows, path);
    assert.equal(await count(path), 2);
  }
  const path = write(t, 'a.csv.gz', gzipSync(CSV));
  assert.deepEqual(await collect(csvRows(path, 'a.csv.gz')), [[0, { a: '1', b: 'ä' }]]);
  assert.equal(await countCsvRows(path, 'a.csv.gz'), 1);
});

test('packed files that are damaged or cut are one line, in whatever format', async (t) => {
  const table: [string, Buffer][] = [
    ['a.jsonl.gz', gzipSync(JSON_LINES).subarray(0, 20)],
    ['a.json.gz', Buffer.from('[{"a":1}]')],
    ['a.jsonl.zst', Buffer.from(ZSTANDARD, 'base64').subarray(0, 20)],
    ['a.jsonl.zst', Buffer.from(JSON_LINES)],
  ];
  const message = /^\S+: not a whole (gzip|Zstandard) file: [^\n]+\. Get the file again\.$/;
  const refused = (error: unknown) => error instanceof UserError && message.test(error.message);
  for (const [name, bytes] of table) {
    const path = write(t, name, bytes);
    await assert.rejects(collect(jsonRows(path, name)), refused, name);
    await assert.rejects(countJsonRows(path, name), refused, name);
  }
  const csv = write(t, 'a.csv.gz', gzipSync(CSV).subarray(0, 20));
  await assert.rejects(collect(csvRows(csv, 'a.csv.gz')), refused);
  await assert.rejects(collect(csvRows(join(csv, '..', 'no.csv.gz'), 'no')), OutsideError);
});

test('JSON as Python writes it: NaN and the infinities, long whole numbers, a mark before an array', async (t) => {
  const lines = '{"a":NaN,"b":-Infinity}\n{"a":9007199254740993,"b":[Infinity,"NaN"]}\n';
  const rows = [
    [0, { a: Number.NaN, b: -Infinity }],
    [1, { a: '9007199254740993', b: [Infinity, 'NaN'] }],
  ];
  assert.deepEqual(await read(write(t, 'a.jsonl', lines)), rows);
  const array = write(t, 'a.json', `\uFEFF[${lines.trim().replace('\n', ',\n')}]\n`);
  assert.deepEqual(await read(array), rows);
  assert.equal(await count(array), 2);
  const latin1 = write(t, 'b.json', Buffer.from('[{"a":"caf\u00e9"}]', 'latin1'));
  await assert.rejects(
    read(latin1),
    (error) => error instanceof UserError && /^b.json:1: not UTF-8/.test(error.message),
  );
});

test('bad CSV', async (t) => {
  const latin1 = write(t, 'l.csv', '');
  writeFileSync(latin1, Buffer.from('a,b\n1,caf\u00e9\n', 'latin1'));
  await assert.rejects(read(latin1), (error) => error instanceof UserError && /^l.csv: not UTF-8/.test(error.message));
  await assert.rejects(
    read(write(t, 'a.csv', 'a,b\n1,2\n1,2,3\n')),
    (error) => error instanceof UserError && /^a.csv:3: /.test(error.message),
  );
  await assert.rejects(
    read(write(t, 'b.csv', 'a,b\n1,"2\n')),
    (error) => error instanceof UserError && /^b.csv:\d: /.test(error.message),
  );
  await assert.rejects(read(write(t, 'c.csv', 'a,a\n1,2\n')), UserError);
  await assert.rejects(read(join(temporaryFolder(t), 'no.csv')), OutsideError);
});

test('a text: all of its file as it is, but for the byte order mark', async (t) => {
  const text = async (content: string | Uint8Array) => collect(txtRows(write(t, 'a.txt', content), 'a.txt'));
  assert.deepEqual(await text('\uFEFFa\r\nb\n\n  \u2028你好'), [[0, { text: 'a\r\nb\n\n  \u2028你好' }]]);
  assert.deepEqual(await text('a\uFEFF'), [[0, { text: 'a\uFEFF' }]]);
  assert.deepEqual(await text(''), [[0, { text: '' }]]);
  assert.deepEqual(await text('\uFEFF'), [[0, { text: '' }]]);
  assert.equal(await countTxtRows(), 1);
});

test('a text that is not UTF-8, too long, not there, not wanted', async (t) => {
  const user = (message: RegExp) => (error: unknown) => error instanceof UserError && message.test(error.message);
  for (const bytes of [Buffer.from('caf\u00e9', 'latin1'), Buffer.from('\uFEFFa', 'utf16le')])
    await assert.rejects(collect(txtRows(write(t, 'a.txt', bytes), 'a.txt')), user(/^a.txt: not UTF-8\. [^\n]*$/));
  const long = write(t, 'l.txt', '');
  truncateSync(long, constants.MAX_STRING_LENGTH + 1);
  await assert.rejects(collect(txtRows(long, 'l.txt')), user(/^l.txt: \d+ bytes are too many for one text\./));
  const missing = join(temporaryFolder(t), 'no.txt');
  await assert.rejects(collect(txtRows(missing, 'no.txt')), OutsideError);
  assert.deepEqual(await collect(txtRows(missing, 'no.txt', () => false)), []);
});
