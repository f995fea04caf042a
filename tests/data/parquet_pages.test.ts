/** Pages that say of themselves what cannot be; the bytes are changed at run time, from seeds (tests/fuzz/changed.ts). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FileMetaData, parquetMetadataAsync, parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { checkedGroup } from '../../nanoeval/data/parquet_pages.ts';
import { changed } from '../fuzz/changed.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/parquet/', import.meta.url));

function inMemory(bytes: Uint8Array) {
  return {
    byteLength: bytes.byteLength,
    slice: async (start: number, end?: number) => new Uint8Array(bytes.subarray(start, end)).buffer,
  };
}

const chunksOf = (metadata: FileMetaData, group: number) =>
  metadata.row_groups[group]!.columns.map(({ meta_data }) => {
    const from = Number(meta_data!.dictionary_page_offset || meta_data!.data_page_offset);
    return { codec: meta_data!.codec, from, to: from + Number(meta_data!.total_compressed_size) };
  });

for (const name of ['rows_none', 'rows_snappy', 'rows_zstd', 'images', 'kinds']) {
  test(`${name}: whole pages pass, under a codec of each column's own`, async () => {
    const whole = readFileSync(`${FIXTURES}${name}.parquet`);
    const metadata = await parquetMetadataAsync(inMemory(whole));
    const group = checkedGroup(inMemory(whole), metadata, parquetSchema(metadata), 0, compressors);
    const chunks = chunksOf(group.metadata, 0);
    assert.equal(new Set(chunks.map(({ codec }) => codec)).size, chunks.length);
    assert.deepEqual(
      Object.keys(group.compressors),
      chunks.map(({ codec }) => codec),
    );
    for (const { from, to } of chunks) assert.equal((await group.file.slice(from, to)).byteLength, to - from);
    assert.notDeepEqual(chunksOf(metadata, 0), chunks);
  });
}

test('pages that claim more than there can be are refused when they are read', async () => {
  const reasons = new Set<string>();
  for (const name of ['rows_none', 'rows_zstd']) {
    const whole = readFileSync(`${FIXTURES}${name}.parquet`);
    const metadata = await parquetMetadataAsync(inMemory(whole));
    const chunks = chunksOf(metadata, 0);
    const { from, to } = { from: chunks[0]!.from, to: chunks.at(-1)!.to };
    for (let seed = 0; seed < 400; seed++) {
      const bytes = Buffer.concat([
        whole.subarray(0, from),
        changed(whole.subarray(from, to), seed),
        whole.subarray(to),
      ]);
      const group = checkedGroup(inMemory(bytes), metadata, parquetSchema(metadata), 0, compressors);
      await group.file.slice(from, to).catch((error: Error) => reasons.add(error.message.replaceAll(/-?\d+/g, 'N')));
    }
  }
  for (const reason of [
    'a page of N bytes where N are left',
    'a page of N values, N of them null, where N are left',
    'levels of N and N bytes in a page of N',
    'a run of N in a page of N values',
  ])
    assert.ok(reasons.has(reason), `${reason}; found: ${[...reasons].join('; ')}`);
});

test('bytes that nobody waits for are no rejection that is left alone', async (t) => {
  const alone: unknown[] = [];
  const note = (error: unknown) => alone.push(error);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  const whole = readFileSync(`${FIXTURES}rows_none.parquet`);
  const metadata = await parquetMetadataAsync(inMemory(whole));
  const file = { byteLength: whole.byteLength, slice: () => Promise.reject(new Error('gone')) };
  const group = checkedGroup(file, metadata, parquetSchema(metadata), 0, compressors);
  void group.file.slice(4, 100);
  await assert.rejects(group.file.slice(4, 200), /gone/);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(alone, []);
});
