/** Decimals keep all their digits: of tests/fixtures/parquet/decimals.parquet, which pyarrow wrote, and of made schemas. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FileMetaData, parquetSchema, type SchemaElement } from 'hyparquet';
import { openParquet } from '../../nanoeval/data/parquet.ts';
import { rawDecimals } from '../../nanoeval/data/parquet_decimals.ts';
import { openLocalFile } from '../../nanoeval/data/ranges.ts';
import { collect } from './hub_server.ts';

test('a number where it has all digits, else the digits as a text; alone and inside of lists, structs and maps', async () => {
  const path = fileURLToPath(new URL('../fixtures/parquet/decimals.parquet', import.meta.url));
  const file = await openLocalFile(path);
  const columns = ['wide', 'long', 'int64', 'list', 'struct', 'map'];
  const rows = await collect((await openParquet(file, path)).rows(columns));
  await file.close();
  const column = (name: string) => rows.map(([, row]) => row[name]);
  assert.deepEqual(column('wide'), [
    9007199254740991,
    '9007199254740993',
    '-12345678901234567890123456789012345678',
    null,
  ]);
  assert.deepEqual(column('long'), [1.5, 0.1234567891, '12345678901234567.0000000001', -1e-10]);
  assert.deepEqual(column('int64'), ['1234567890123456.78', -0.05, 0, '90071992547409.93']);
  assert.deepEqual(column('list'), [[1.25, null, '12345678901234567.001'], [], null, [-2]]);
  const third = { price: '98765432109876543.21', name: 'b' };
  assert.deepEqual(column('struct'), [{ price: 10, name: 'a' }, null, third, { price: null, name: 'c' }]);
  assert.deepEqual(column('map'), [{ a: 0.1 }, {}, null, { b: '12345678901234567890.1' }]);
});

/** The footer of a file whose one column is `element`. */
function footer(element: Partial<SchemaElement>): FileMetaData {
  const schema: SchemaElement[] = [
    { name: 'schema', num_children: 1 },
    { name: 'x', type: 'INT32', repetition_type: 'OPTIONAL', ...element },
  ];
  return { version: 1, schema, num_rows: 0n, row_groups: [], metadata_length: 0 };
}
const open = (element: Partial<SchemaElement>) => {
  const metadata = footer(element);
  return rawDecimals(metadata, parquetSchema(metadata));
};

test('an annotation of the newer kind alone is one; hyparquet sees none of the two', () => {
  const { metadata, decimals } = open({ logical_type: { type: 'DECIMAL', precision: 5, scale: 2 } });
  assert.deepEqual(metadata.schema[1], { name: 'x', type: 'INT32', repetition_type: 'OPTIONAL' });
  assert.equal(decimals.get('x')!(-150), -1.5);
  assert.deepEqual([...open({ converted_type: 'INT_32' }).decimals], []);
});

test('bytes of any length are two’s complement', () => {
  const convert = open({ type: 'BYTE_ARRAY', converted_type: 'DECIMAL', scale: 1 }).decimals.get('x')!;
  const cases: [number[], unknown][] = [
    [[], 0],
    [[0xff], -0.1],
    [[0x00, 0xff], 25.5],
    [[0x80, 0, 0, 0, 0, 0, 0, 0, 0], '-236118324143482260684.8'],
  ];
  for (const [bytes, value] of cases) assert.equal(convert(Uint8Array.from(bytes)), value);
  assert.throws(() => convert(new Uint8Array(600)), /^Error: a decimal of 600 bytes$/);
});

test('decimals that cannot be are an error of the footer', () => {
  const faults: Partial<SchemaElement>[] = [
    { converted_type: 'DECIMAL', scale: -1 },
    { converted_type: 'DECIMAL', scale: 2 ** 31 - 1 },
    { converted_type: 'DECIMAL', type: 'DOUBLE' },
  ];
  for (const fault of faults)
    assert.throws(() => open(fault), /^Error: the column x has decimals of type \w+ with -?\d+ digits/);
});
