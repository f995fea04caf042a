/** openOffline over a cache made up here; against what the hub wrote: hub.test.ts. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { repoFolder } from '../../nanoeval/data/cache.ts';
import { readHubEnv } from '../../nanoeval/data/hub_env.ts';
import { openOffline } from '../../nanoeval/data/hub_offline.ts';
import { OutsideError, UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from './hub_server.ts';

const COMMIT = 'a'.repeat(40);

/** A cache with `rows/test.csv` as a link to its blob and `README.md` as a copy. */
function cacheOf(t: TestContext) {
  const home = temporaryFolder(t);
  const env = readHubEnv({ HF_HOME: home, HF_HUB_OFFLINE: '1' });
  const folder = repoFolder(env.cacheDir, 'dataset', 'some/rows');
  const snapshot = join(folder, 'snapshots', COMMIT);
  for (const path of [join(snapshot, 'rows'), join(folder, 'blobs'), join(folder, 'refs')])
    mkdirSync(path, { recursive: true });
  const content = 'a,b\n1,2\n';
  const sha256 = createHash('sha256').update(content).digest('hex');
  const blob = join(folder, 'blobs', sha256);
  writeFileSync(blob, content);
  symlinkSync(join('..', '..', '..', 'blobs', sha256), join(snapshot, 'rows', 'test.csv'));
  writeFileSync(join(snapshot, 'README.md'), '# rows');
  writeFileSync(join(folder, 'refs', 'main'), COMMIT);
  const open = (revision = 'main') => openOffline({ kind: 'dataset', id: 'some/rows', revision }, env, folder);
  return { open, blob, sha256, snapshot, env };
}

test('the files of the snapshot, by a branch or by the commit', async (t) => {
  const { open, sha256, snapshot } = cacheOf(t);
  const repo = await open();
  assert.deepEqual([repo.id, repo.revision, repo.commit], ['some/rows', 'main', COMMIT]);
  assert.deepEqual(repo.files, [
    { path: 'README.md', size: 6, sha256: null },
    { path: 'rows/test.csv', size: 8, sha256 },
  ]);
  assert.equal(await repo.fetch('rows/test.csv'), join(snapshot, 'rows', 'test.csv'));
  assert.equal(await repo.cached('README.md'), join(snapshot, 'README.md'));
  assert.match(repo.note, /^ \(HF_HUB_OFFLINE=1: only what the cache .* holds is seen\.\)$/);
  assert.equal((await open(COMMIT)).commit, COMMIT);
});

test('a damaged blob is found', async (t) => {
  const { open, blob } = cacheOf(t);
  const repo = await open();
  writeFileSync(blob, 'a,b\n1,3\n');
  await assert.rejects(
    repo.fetch('rows/test.csv'),
    (error) => error instanceof OutsideError && /damaged: it does not hash to its name/.test(error.message),
  );
});

test('what the cache does not have', async (t) => {
  const { open, env } = cacheOf(t);
  const user = (message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.match(error.message, /HF_HUB_OFFLINE=1 forbids asking the hub/);
    return true;
  };
  await assert.rejects(open('v2'), user(/revision "v2" is not in the cache .* \(it has: main\)/));
  await assert.rejects(open('b'.repeat(40)), user(/some\/rows@bbbbbbb: no file of it is in the cache/));
  const repo = await open();
  await assert.rejects(repo.fetch('rows/train.csv'), user(/rows\/train.csv of some\/rows@aaaaaaa is not in the cache/));
  assert.throws(() => repo.ranges('x.parquet'), user(/x.parquet of some\/rows is not in the cache/));
  const nothing = repoFolder(env.cacheDir, 'model', 'some/model');
  await assert.rejects(
    openOffline({ kind: 'model', id: 'some/model', revision: 'main' }, env, nothing),
    user(/^some\/model: revision "main" is not in the cache \S+, and/),
  );
});
