import assert from 'node:assert/strict';
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { rememberedSha256, sha256, sha256File } from '../../nanoeval/text/hash.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('hash');
after(() => folder.remove());

// FIPS 180-4 / NIST vectors; the last one from Python 3.11: hashlib.sha256('é😀'.encode()).
const VECTORS: [string, string][] = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ['é😀', '1184d1f608158eea09d297565575892231550c403aaa913008d867a97cfd5c76'],
];
const MILLION_A = 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0';

test('texts, as UTF-8, and bytes', () => {
  for (const [text, hash] of VECTORS) {
    assert.equal(sha256(text), hash);
    assert.equal(sha256(Buffer.from(text)), hash);
  }
  assert.equal(sha256('a'.repeat(1_000_000)), MILLION_A);
});

test('files, also longer than one read', async () => {
  const path = join(folder.path, 'file');
  writeFileSync(path, '');
  assert.equal(await sha256File(path), VECTORS[0]?.[1]);
  writeFileSync(path, 'a'.repeat(1_000_000));
  assert.equal(await sha256File(path), MILLION_A);
  const long = Buffer.alloc(3_000_001, 7);
  writeFileSync(path, long);
  assert.equal(await sha256File(path), sha256(long));
  await assert.rejects(sha256File(join(folder.path, 'none')), { code: 'ENOENT' });
});

test('a hash is remembered until the file changes, and never while it may still be written', async () => {
  const path = join(folder.path, 'weights');
  const memory = join(folder.path, 'memory', 'sha256.jsonl');
  writeFileSync(path, 'one');
  assert.equal(await rememberedSha256(path, memory), sha256('one'));
  assert.equal(existsSync(memory), false, 'written a moment ago');
  const old = new Date(Date.now() - 60_000);
  utimesSync(path, old, old);
  assert.equal(await rememberedSha256(path, memory), sha256('one'));
  const [line = ''] = readFileSync(memory, 'utf8').split('\n');
  // What is remembered is what is given: the file is not read again.
  const { key } = JSON.parse(line) as { key: string };
  writeFileSync(memory, `torn{"key\n${JSON.stringify({ key, hash: 'f'.repeat(64) })}\n{"key":`);
  assert.equal(await rememberedSha256(path, memory), 'f'.repeat(64));
  // The same size and time, other content: the time of the inode's change tells.
  writeFileSync(path, 'two');
  utimesSync(path, old, old);
  assert.equal(await rememberedSha256(path, memory), sha256('two'));
  assert.equal(await rememberedSha256(path, join(path, 'under', 'a file')), sha256('two'), 'no place to remember');
});
