/** Parquet rows from the fixtures that pyarrow wrote (tests/fixtures/parquet/README.md). */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openParquet } from '../../nanoeval/data/parquet.ts';
import { openLocalFile } from '../../nanoeval/data/ranges.ts';
import { OutsideError, type Row, UserError } from '../../nanoeval/types.ts';
import { collect, temporaryFolder } from './hub_server.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/parquet/', import.meta.url));

async function read(
  path: string,
  columns: string[],
  wanted?: (from: number, to: number) => boolean,
): Promise<[number, Row][]> {
  const file = await openLocalFile(path);
  try {
    return await collect((await openParquet(file, path)).rows(columns, wanted));
  } finally {
    await file.close();
  }
}

for (const codec of ['snappy', 'zstd', 'gzip', 'brotli', 'none']) {
  test(`values, ${codec}`, async () => {
    const path = join(FIXTURES, `rows_${codec}.parquet`);
    const rows = await read(path, ['question', 'choices', 'answer', 'big', 'score', 'ids', 'targets']);
    assert.deepEqual(
      rows.map(([index]) => index),
      Array.from({ length: 25 }, (_, i) => i),
    );
    assert.deepEqual(rows[1]![1], {
      question: 'Question 1? Größe 你好',
      choices: ['a1', 'b1'],
      answer: 1,
      big: '9007199254740992',
      score: 0.125,
      ids: [1, 2],
      targets: { choices: ['c1'], labels: [1] },
    });
    assert.deepEqual(
      rows.slice(3, 6).map(([, row]) => row.choices),
      [null, [], ['a5', 'b', null]],
    );
    assert.deepEqual(
      rows.slice(0, 5).map(([, row]) => row.big),
      [9007199254740991, '9007199254740992', '9007199254740993', '-9223372036854775808', '9223372036854775807'],
    );
    assert.equal(rows[7]![1].answer, null);
    assert.equal(JSON.stringify(rows).includes('undefined'), false);
  });
}

test('pictures are bytes of their own, an absent one is null', async () => {
  const rows = await read(join(FIXTURES, 'images.parquet'), ['image', 'id']);
  assert.deepEqual(Object.keys(rows[0]![1]), ['image', 'id']);
  assert.equal(rows[2]![1].image, null);
  const image = rows[4]![1].image as { bytes: Uint8Array; path: string };
  assert.equal(image.path, '4.png');
  assert.ok(image.bytes instanceof Uint8Array);
  assert.equal(image.bytes.buffer.byteLength, image.bytes.byteLength);
  assert.equal(Buffer.from(image.bytes.subarray(1, 4)).toString(), 'PNG');
});

test('only the groups with wanted rows are read', async () => {
  const path = join(FIXTURES, 'rows_none.parquet');
  const file = await openLocalFile(path);
  const asked: [number, number][] = [];
  const counted = {
    byteLength: file.byteLength,
    slice(a: number, b?: number) {
      asked.push([a, b ?? 0]);
      return file.slice(a, b);
    },
  };
  const parquet = await openParquet(counted, path);
  assert.equal(parquet.numRows, 25);
  assert.deepEqual(parquet.columns, ['question', 'choices', 'answer', 'big', 'score', 'ids', 'targets']);
  assert.equal(asked.length, 1);
  const rows = await collect(parquet.rows(['answer'], (from, to) => from <= 22 && 22 < to));
  assert.deepEqual(rows, [[22, { answer: 2 }]]);
  assert.equal(asked.length, 2);
  assert.equal((await collect(parquet.rows([]))).length, 25);
  await file.close();
});

test('no rows, no such column', async () => {
  assert.deepEqual(await read(join(FIXTURES, 'empty.parquet'), ['question']), []);
  await assert.rejects(
    read(join(FIXTURES, 'rows_gzip.parquet'), ['question', 'label']),
    (error) =>
      error instanceof UserError &&
      /rows_gzip.parquet: has no column "label". It has: question, choices,/.test(error.message),
  );
});

test('a row group without rows between others; texts with a mark in front; decimals; JSON in a column', async () => {
  const long = { id: '9007199254740993', x: Number.NaN };
  const none = { text: null, scale1: null, scale4: null, json: null };
  assert.deepEqual(
    await read(join(FIXTURES, 'kinds.parquet'), ['text', 'named', 'scale1', 'scale4', 'scale18', 'json']),
    [
      [0, { text: '\uFEFFMarked', named: '\uFEFFa', scale1: 0.3, scale4: 3, scale18: 1, json: 3 }],
      [1, { text: 'in \uFEFF it', named: '\uFEFFa', scale1: 2, scale4: 0.0001, scale18: 3, json: '03' }],
      [2, { text: '', named: '\uFEFFa', scale1: -0.7, scale4: 2.5, scale18: 0, json: long }],
      [3, { ...none, named: 'b', scale18: 2 }],
    ],
  );
  assert.deepEqual(await read(join(FIXTURES, 'no_rows.parquet'), ['text']), []);
});

/** A file in memory. */
const inMemory = (bytes: Uint8Array) => ({
  byteLength: bytes.byteLength,
  slice: async (start: number, end?: number) => new Uint8Array(bytes.subarray(start, end)).buffer,
});

test('a damaged page of one column of several is one line with file and row group, and nothing is left alone', async (t) => {
  const alone: unknown[] = [];
  const note = (error: unknown) => alone.push(error);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  const whole = readFileSync(join(FIXTURES, 'rows_none.parquet'));
  const columns = ['question', 'choices', 'answer', 'big', 'score', 'ids', 'targets'];
  for (const text of ['Question 12?', 'a13', 'c14']) {
    const bytes = Buffer.from(whole);
    // The length in front of the text: it would reach beyond the page.
    bytes.writeUInt32LE(0x7fffffff, bytes.indexOf(text) - 4);
    await assert.rejects(
      collect((await openParquet(inMemory(bytes), 'x.parquet')).rows(columns)),
      (error) =>
        error instanceof UserError &&
        /^x\.parquet: row group 1 \(rows 10 to 19\): not a whole Parquet file: [^\n]+ Get the file again\.$/.test(
          error.message,
        ),
      text,
    );
  }
  const slice = (start: number, end?: number) =>
    end === undefined || end === whole.byteLength
      ? inMemory(whole).slice(start, end)
      : Promise.reject(new OutsideError('the network is gone'));
  const file = await openParquet({ byteLength: whole.byteLength, slice }, 'x.parquet');
  await assert.rejects(collect(file.rows(columns)), OutsideError);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(alone, []);
});

test('a text that is not UTF-8 is refused', async () => {
  const bytes = readFileSync(join(FIXTURES, 'rows_none.parquet'));
  bytes[bytes.indexOf('Question 3?')] = 0xff;
  await assert.rejects(
    collect((await openParquet(inMemory(bytes), 'x')).rows(['question'])),
    /^UserError: x: row group 0 \(rows 0 to 9\): .* a text is not UTF-8\./,
  );
});

test('damaged files are errors with the name of the file', async (t) => {
  const folder = temporaryFolder(t);
  const whole = readFileSync(join(FIXTURES, 'rows_snappy.parquet'));
  const page = Buffer.from(whole);
  page.fill(0xff, 40, 400);
  const cases = {
    cut: whole.subarray(0, 5000),
    empty: whole.subarray(0, 0),
    tail: whole.subarray(3000),
    text: Buffer.from('not parquet'),
    page,
  };
  for (const [name, bytes] of Object.entries(cases)) {
    const path = join(folder, `${name}.parquet`);
    writeFileSync(path, bytes);
    await assert.rejects(
      read(path, ['question']),
      (error) =>
        error instanceof UserError &&
        error.message.includes(`${name}.parquet`) &&
        /not a whole Parquet file/.test(error.message),
      name,
    );
  }
  const broken = { byteLength: whole.byteLength, slice: () => Promise.reject(new OutsideError('the network is gone')) };
  await assert.rejects(openParquet(broken, 'x'), (error) => error instanceof OutsideError);
});
