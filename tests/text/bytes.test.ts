import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { isReadingFault, PackedError, readBytes, withoutPacking } from '../../nanoeval/text/bytes.ts';

async function bytesOf(t: TestContext, name: string, content: Uint8Array, size?: number): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval_bytes_'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, content);
  const pieces: Buffer[] = [];
  for await (const piece of readBytes(path, size)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('a file as it is, or its first bytes', async (t) => {
  const content = Buffer.from('0123456789');
  assert.deepEqual(await bytesOf(t, 'a.txt', content), content);
  assert.deepEqual(await bytesOf(t, 'a.txt', content, 4), content.subarray(0, 4));
  assert.deepEqual(await bytesOf(t, 'a.txt', content, 0), Buffer.alloc(0));
  assert.deepEqual(await bytesOf(t, 'a.txt', gzipSync(content)), gzipSync(content));
});

test('gzip, in one member or several, larger than a piece', async (t) => {
  const content = Buffer.from('ä line of text\n'.repeat(100_000));
  assert.ok((await bytesOf(t, 'a.jsonl.gz', gzipSync(content))).equals(content));
  assert.equal(String(await bytesOf(t, 'a.gz', Buffer.concat([gzipSync('one'), gzipSync('two')]))), 'onetwo');
  assert.equal((await bytesOf(t, 'a.gz', gzipSync(''))).byteLength, 0);
});

test('Zstandard frames, one behind the other', async (t) => {
  // A frame of one raw block (RFC 8878): magic number, one byte of size, the block's header, its bytes.
  const frame = (text: string) =>
    Buffer.concat([
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, text.length, 1 | (text.length << 3), 0, 0]),
      Buffer.from(text),
    ]);
  assert.equal(String(await bytesOf(t, 'a.zst', frame('{"a":1}\n'))), '{"a":1}\n');
  assert.equal(String(await bytesOf(t, 'a.zst', Buffer.concat([frame('first '), frame('second')]))), 'first second');
});

test('what is damaged, cut or not packed at all', async (t) => {
  const whole = gzipSync('some text that is packed');
  const flipped = Buffer.from(whole);
  flipped[12]! ^= 0xff;
  for (const [name, content] of [
    ['a.gz', whole.subarray(0, 15)],
    ['a.gz', flipped],
    ['a.gz', Buffer.from('plain')],
    ['a.zst', Buffer.from('plain, and longer than a header')],
    ['a.zst', Buffer.from([0x28, 0xb5, 0x2f])],
  ] as const)
    await assert.rejects(bytesOf(t, name, content), PackedError);
  await assert.rejects(readBytes('/no/such/file.gz').next(), { code: 'ENOENT' });
});

test('names', () => {
  assert.deepEqual(['a.csv.gz', 'a.json.zst', 'a.gz.csv', 'gz'].map(withoutPacking), [
    'a.csv',
    'a.json',
    'a.gz.csv',
    'gz',
  ]);
});

test('what the file system refuses is told from other errors', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval_bytes_'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const path of [folder, join(folder, 'gone')])
    await assert.rejects(async () => {
      for await (const _piece of readBytes(path));
    }, isReadingFault);
  assert.equal(isReadingFault(new Error('other')), false);
  assert.equal(isReadingFault('no error'), false);
});
