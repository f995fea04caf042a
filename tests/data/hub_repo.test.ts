/** hubRepo over a small server: one download a file, the cache first, addresses of odd names. More: hub.test.ts. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { repoFolder } from '../../nanoeval/data/cache.ts';
import { openHttp } from '../../nanoeval/data/http.ts';
import { readHubEnv } from '../../nanoeval/data/hub_env.ts';
import { hubRepo, type ListedFile } from '../../nanoeval/data/hub_repo.ts';
import { type Log, UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from './hub_server.ts';
import { serve } from './small_server.ts';

const COMMIT = 'c'.repeat(40);
const LFS = 'weights';
const PLAIN = 'a,b\n1,2\n';
const sha256 = createHash('sha256').update(LFS).digest('hex');
const oid = createHash('sha1').update(`blob ${PLAIN.length}\0${PLAIN}`).digest('hex');
const LISTING: ListedFile[] = [
  { path: 'onnx/model #1?.onnx', size: LFS.length, sha256, oid: 'd'.repeat(40) },
  { path: 'rows.csv', size: PLAIN.length, sha256: null, oid },
];

async function repoOf(t: TestContext) {
  const asked: string[] = [];
  const endpoint = await serve(t, (request, response) => {
    asked.push(request.url ?? '');
    if (request.url?.includes('.onnx')) response.writeHead(401, { 'x-error-code': 'GatedRepo' }).end();
    else response.end(PLAIN);
  });
  const env = readHubEnv({ HF_HOME: temporaryFolder(t), HF_ENDPOINT: endpoint });
  const lines: string[] = [];
  const log: Log = { info: (line) => void lines.push(line), progress() {} };
  const folder = repoFolder(env.cacheDir, 'dataset', 'some/rows');
  const http = openHttp({ endpoint, token: null, log });
  const spec = { kind: 'dataset', id: 'some/rows', revision: 'main' } as const;
  const open = () => hubRepo({ spec, env, folder, http, commit: COMMIT, log, signal: undefined }, LISTING);
  return { open, asked, lines, folder };
}

test('a file asked for twice at once is downloaded once, and found again later', async (t) => {
  const { open, asked, folder } = await repoOf(t);
  const repo = open();
  assert.deepEqual(repo.files[0], { path: 'onnx/model #1?.onnx', size: 7, sha256 });
  assert.equal(await repo.cached('rows.csv'), null);
  assert.ok(!existsSync(join(folder, 'refs')), 'no ref before the first file');
  const [one, two] = await Promise.all([repo.fetch('rows.csv'), repo.fetch('rows.csv')]);
  assert.equal(one, join(folder, 'snapshots', COMMIT, 'rows.csv'));
  assert.equal(two, one);
  assert.equal(readFileSync(one, 'utf8'), PLAIN);
  assert.equal(readFileSync(join(folder, 'blobs', oid), 'utf8'), PLAIN);
  assert.equal(readFileSync(join(folder, 'refs', 'main'), 'utf8'), COMMIT);
  assert.equal(await open().fetch('rows.csv'), one);
  assert.deepEqual(asked, [`/datasets/some/rows/resolve/${COMMIT}/rows.csv`]);
});

test('a damaged copy is told and replaced', async (t) => {
  const { open, asked, lines } = await repoOf(t);
  const path = await open().fetch('rows.csv');
  writeFileSync(path, 'a,b\n1,3\n');
  assert.equal(readFileSync(await open().fetch('rows.csv'), 'utf8'), PLAIN);
  assert.equal(asked.length, 2);
  assert.match(lines.join('\n'), /rows.csv: the copy in the cache is damaged/);
});

test('refusals become lines for the user, also by ranges; names are escaped in addresses', async (t) => {
  const { open, asked } = await repoOf(t);
  const repo = open();
  const [path] = LISTING.map((file) => file.path);
  const refused = (error: unknown) => error instanceof UserError && /HF_TOKEN/.test(error.message);
  await assert.rejects(repo.fetch(path!), refused);
  await assert.rejects(repo.ranges(path!).slice(0, 4), refused);
  assert.equal(repo.ranges(path!), repo.ranges(path!));
  assert.equal(repo.ranges(path!).byteLength, 7);
  assert.ok(asked.every((url) => url.endsWith('/onnx/model%20%231%3F.onnx')));
  const missing = /rows.json is not in some\/rows@ccccccc\. It has: onnx\/model #1\?.onnx, rows.csv\.$/;
  await assert.rejects(repo.fetch('rows.json'), missing);
  assert.throws(() => repo.ranges('rows.json'), missing);
});
