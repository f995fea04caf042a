/** Damaged data files: reading one must give rows or exactly one line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { openSplit } from '../../nanoeval/data/rows.ts';
import type { Log } from '../../nanoeval/types.ts';
import { changed } from './changed.ts';
import type { Subject } from './watch.ts';

const PARQUET = fileURLToPath(new URL('../fixtures/parquet/', import.meta.url));
const log: Log = { info() {}, progress() {} };

const ROWS = Array.from({ length: 20 }, (_, i) => ({
  question: `Which is ${i}? "ä\n\t你`,
  answer: i % 4,
  choices: ['a', "b's", '', `[${i}]`],
  id: 2 ** 60 + i,
}));
const lines = `${ROWS.map((row) => JSON.stringify(row)).join('\n')}\n`.replace('"answer":3', '"answer":NaN');
const quoted = (value: unknown) => `"${String(value).replaceAll('"', '""')}"`;
const csv = [
  'question,answer,choices,id',
  ...ROWS.map((row) => [quoted(row.question), row.answer, quoted(JSON.stringify(row.choices)), row.id].join(',')),
].join('\r\n');

/** A small whole file, and how many rows are read of what stands under its name. */
interface Format extends Subject {
  bytes: () => Uint8Array;
  rows(bytes: Uint8Array, folder: string): Promise<number>;
}

/**
 * A format by a whole file and the columns that are read of it. The first half of a Parquet file is its data: odd seeds change
 * this alone, for most of a small file is its footer.
 */
function format(name: string, columns: readonly string[], bytes: () => Uint8Array): Format {
  let whole: Uint8Array | null = null;
  const rows = (changed: Uint8Array, folder: string) => rowsOf(join(folder, name), columns, changed);
  return {
    name,
    bytes,
    rows,
    async read(seed, folder) {
      whole ??= bytes();
      await rows(changed(whole, seed, seed % 2 === 1 ? whole.byteLength >> 1 : whole.byteLength), folder);
      return 'rows';
    },
  };
}

const parquet = (name: string, columns: readonly string[]): Format =>
  format(`${name}.parquet`, columns, () => readFileSync(join(PARQUET, `${name}.parquet`)));
const text = (name: string, bytes: () => Uint8Array): Format => format(name, Object.keys(ROWS[0]!), bytes);
const NESTED = ['question', 'choices', 'answer', 'big', 'score', 'ids', 'targets'];

export const FORMATS: readonly Format[] = [
  ...['none', 'snappy', 'zstd', 'gzip', 'brotli'].map((codec) => parquet(`rows_${codec}`, NESTED)),
  parquet('images', ['id', 'image']),
  parquet('kinds', ['text', 'named', 'scale1', 'scale4', 'scale18', 'json']),
  parquet('decimals', ['wide', 'long', 'int64', 'list', 'struct', 'map']),
  text('rows.jsonl', () => Buffer.from(lines)),
  text('rows.json', () => Buffer.from(JSON.stringify(ROWS))),
  text('rows.csv', () => Buffer.from(csv)),
  text('rows.jsonl.gz', () => gzipSync(lines)),
  text('rows.csv.gz', () => gzipSync(csv)),
  text('rows.jsonl.zst', () => zstandard(Buffer.from(lines))),
];

/** A frame of one raw block (RFC 8878): magic number, sizes, the bytes as they are. */
function zstandard(bytes: Buffer): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes.byteLength, 5);
  head.writeUIntLE(1 | (bytes.byteLength << 3), 9, 3);
  return Buffer.concat([head, bytes]);
}

/** Rows that are read of these bytes. */
async function rowsOf(path: string, columns: readonly string[], bytes: Uint8Array): Promise<number> {
  writeFileSync(path, bytes);
  const spec = { dataset_id: 'no/matter', revision: 'main', subset_name: null, split: 'test', path };
  const split = await openSplit(spec, { log });
  await split.numRows();
  let count = 0;
  for await (const _ of split.rows(columns)) count++;
  return count;
}
