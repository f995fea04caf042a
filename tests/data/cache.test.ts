/**
 * The cache on disk: names, links, refs, hashes. That Python finds the files was checked by hand (hub.test.ts has the
 * layout).
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  diskError,
  linkedDigest,
  linkSnapshot,
  listFolder,
  listRefs,
  matches,
  readRef,
  repoFolder,
  sha256OfFile,
  sizeOf,
  writeRef,
} from '../../nanoeval/data/cache.ts';
import { Interrupted, OutsideError } from '../../nanoeval/types.ts';
import { temporaryFolder } from './hub_server.ts';

test('folder names', () => {
  assert.equal(repoFolder('/c', 'model', 'org/name'), join('/c', 'models--org--name'));
  assert.equal(repoFolder('/c', 'dataset', 'gsm8k'), join('/c', 'datasets--gsm8k'));
});

test('hashes', async (t) => {
  const path = join(temporaryFolder(t), 'x');
  writeFileSync(path, 'hello\n');
  // git hash-object of "hello\n"; sha256sum of the same.
  const git = { algorithm: 'git_blob', hex: 'ce013625030ba8dba906f756967f9e9ca394464a' } as const;
  const sha = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03';
  assert.equal(await sha256OfFile(path), sha);
  assert.ok(await matches(path, 6, git));
  assert.ok(await matches(path, 6, { algorithm: 'sha256', hex: sha }));
  assert.ok(!(await matches(path, 7, git)));
  assert.ok(!(await matches(path, 6, { ...git, hex: '0'.repeat(40) })));
  assert.ok(!(await matches(`${path}.no`, 6, git)));
  assert.equal(await sizeOf(`${path}.no`), null);
  await assert.rejects(
    sha256OfFile(`${path}.no`),
    (error) => error instanceof OutsideError && error.message.includes(`${path}.no`),
  );
  await assert.rejects(sha256OfFile(path, AbortSignal.abort()), Interrupted);
  assert.equal(createHash('sha1').update('blob 6\0hello\n').digest('hex'), git.hex);
});

test('refs', async (t) => {
  const folder = temporaryFolder(t);
  const commit = 'a'.repeat(40);
  assert.equal(await readRef(folder, 'main'), null);
  await writeRef(folder, 'main', commit);
  await writeRef(folder, 'refs/convert/parquet', commit);
  await writeRef(folder, commit, commit);
  assert.equal(readFileSync(join(folder, 'refs', 'refs', 'convert', 'parquet'), 'utf8'), commit);
  assert.deepEqual(await listRefs(folder), ['main', 'refs/convert/parquet']);
  assert.equal(await readRef(folder, 'main'), commit);
  assert.equal(await readRef(folder, 'refs'), null);
});

test('links and copies', async (t) => {
  const folder = temporaryFolder(t);
  const blob = join(folder, 'blobs', 'b'.repeat(64));
  mkdirSync(join(folder, 'blobs'));
  writeFileSync(blob, 'x');
  const pointer = join(folder, 'snapshots', 'c', 'onnx', 'm.onnx');
  await linkSnapshot(blob, pointer, false);
  assert.equal(readlinkSync(pointer), join('..', '..', '..', 'blobs', 'b'.repeat(64)));
  assert.deepEqual(await linkedDigest(pointer), { algorithm: 'sha256', hex: 'b'.repeat(64) });
  await linkSnapshot(blob, pointer, true);
  assert.ok(lstatSync(pointer).isFile());
  assert.equal(await linkedDigest(pointer), null);
  const dead = join(folder, 'snapshots', 'c', 'dead');
  symlinkSync('../../blobs/gone', dead);
  assert.deepEqual(await listFolder(join(folder, 'snapshots', 'c')), ['onnx/m.onnx']);
  await linkSnapshot(blob, dead, false);
  assert.equal(readFileSync(dead, 'utf8'), 'x');
  await assert.rejects(linkSnapshot(blob, join(blob, 'under', 'a', 'file'), false), OutsideError);
  assert.deepEqual(readdirSync(join(folder, 'snapshots', 'c')).sort(), ['dead', 'onnx']);
});

test('listing: sorted, no .git, links in a circle end', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, '.git'));
  mkdirSync(join(folder, 'b'));
  for (const path of ['.git/x', 'b/2', 'a', 'b/1']) writeFileSync(join(folder, path), '');
  assert.deepEqual(await listFolder(folder), ['a', 'b/1', 'b/2']);
  assert.deepEqual(await listFolder(join(folder, 'no')), []);
  symlinkSync('..', join(folder, 'b', 'up'));
  mkdirSync(join(folder, 'c'));
  symlinkSync('../b', join(folder, 'c', 'b'));
  symlinkSync('../c', join(folder, 'b', 'c'));
  assert.deepEqual(await listFolder(folder), ['a', 'b/1', 'b/2', 'c/b/1', 'c/b/2']);
});

test('a full disk is said in words', () => {
  const full = Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC', syscall: 'write' });
  assert.equal(diskError('/c/x', full).message, '/c/x: the disk is full (ENOSPC)');
  const bug = new TypeError('x');
  assert.equal(diskError('/c/x', bug), bug);
});

test('a full disk for real', { skip: existsSync('/dev/full') ? false : 'needs /dev/full' }, async (t) => {
  const pointer = join(temporaryFolder(t), 'p');
  writeFileSync(`${pointer}.src`, 'x');
  const { open } = await import('node:fs/promises');
  const file = await open('/dev/full', 'w');
  const error = await file.write('x').catch((reason: unknown) => reason);
  await file.close();
  assert.match(diskError('/dev/full', error).message, /the disk is full/);
});
