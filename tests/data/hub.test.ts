/**
 * openRepo against the local hub server: the cache layout, access, offline, local folders. Faults: download.test.ts.
 */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFolder, openModelRepo } from '../../nanoeval/data/hub.ts';
import { type Log, UserError } from '../../nanoeval/types.ts';
import { checkCache, NO_HUB, runJob, startHub, temporaryFolder } from './hub_server.ts';

const MMLU = 'cais/mmlu';
const FILE = 'abstract_algebra/dev-00000-of-00001.parquet';
const log: Log = { info() {}, progress() {} };

describe('on the hub', { skip: NO_HUB, concurrency: 8 }, () => {
  test('the cache has the layout of Python, and is used the second time', async (t) => {
    const hub = await startHub(t, ['--page-size', '2']);
    const first = await hub.run({ id: MMLU, fetch: [FILE, 'README.md', FILE] });
    assert.equal(first.exit, 0, first.done.error?.message);
    assert.equal(first.done.files, 175);
    assert.ok((first.done.progress ?? 0) > 0);
    const { commit, paths } = first.done;
    const folder = join(hub.home, 'hub', 'datasets--cais--mmlu');
    assert.equal(readFileSync(join(folder, 'refs', 'main'), 'utf8'), commit);
    assert.equal(paths?.[0], join(folder, 'snapshots', commit!, ...FILE.split('/')));
    assert.match(readlinkSync(paths![0]!), /^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    assert.match(readlinkSync(paths![1]!), /^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    assert.equal(checkCache(join(hub.home, 'hub')).blobs.length, 2);
    const downloads = async () => (await hub.log()).filter((line) => line.path.includes('/resolve/')).length;
    assert.equal(await downloads(), 2);
    const again = await hub.run({ id: MMLU, fetch: [FILE, 'README.md'] });
    assert.deepEqual(again.done.paths, paths!.slice(0, 2));
    assert.equal(await downloads(), 2);
    const pinned = await hub.run({ id: MMLU, revision: commit!, fetch: [FILE] });
    assert.equal(pinned.done.commit, commit);
    assert.equal(await downloads(), 2);
    assert.ok(!existsSync(join(folder, 'refs', commit!)));
  });

  test('a damaged file in the cache is replaced', async (t) => {
    const hub = await startHub(t);
    const { done } = await hub.run({ id: MMLU, fetch: [FILE] });
    const bytes = readFileSync(done.paths![0]!);
    writeFileSync(done.paths![0]!, bytes.subarray(0, 1000));
    const again = await hub.run({ id: MMLU, fetch: [FILE] });
    assert.match(again.stderr, /damaged/);
    assert.ok(readFileSync(again.done.paths![0]!).equals(bytes));
    bytes[500]! ^= 0xff;
    writeFileSync(done.paths![0]!, bytes);
    const offline = await runJob(
      { id: MMLU, fetch: [FILE] },
      { HF_HOME: hub.home, HF_ENDPOINT: hub.url, HF_HUB_OFFLINE: '1' },
    );
    assert.equal(offline.exit, 3);
    assert.match(offline.done.error!.message, /damaged/);
  });

  test('offline: the cache alone, and errors that say so', async (t) => {
    const hub = await startHub(t);
    const env = { HF_HUB_OFFLINE: 'true' };
    const nothing = await hub.run({ id: MMLU, fetch: [FILE] }, env);
    assert.equal(nothing.exit, 2);
    assert.match(nothing.done.error!.message, /cais\/mmlu: revision "main" is not in the cache .* HF_HUB_OFFLINE=1/);
    assert.equal((await hub.log()).length, 0);
    const online = await hub.run({ id: MMLU, fetch: [FILE, 'README.md'] });
    const asked = (await hub.log()).length;
    const offline = await hub.run({ id: MMLU, fetch: [FILE] }, env);
    assert.deepEqual(offline.done.paths, online.done.paths!.slice(0, 1));
    assert.equal(offline.done.files, 2);
    const pinned = await hub.run({ id: MMLU, revision: online.done.commit!, fetch: [FILE] }, env);
    assert.equal(pinned.exit, 0);
    const missing = await hub.run({ id: MMLU, fetch: ['all/dev-00000-of-00001.parquet'] }, env);
    assert.equal(missing.exit, 2);
    assert.match(missing.done.error!.message, /all\/dev.* is not in the cache .*HF_HUB_OFFLINE=1/);
    const branch = await hub.run({ id: MMLU, revision: 'v2', fetch: [FILE] }, env);
    assert.match(branch.done.error!.message, /"v2" is not in the cache .* \(it has: main\)/);
    const split = await hub.run({ split: { dataset_id: MMLU, subset_name: 'abstract_algebra', split: 'test' } }, env);
    assert.equal(split.exit, 2);
    assert.match(split.done.error!.message, /HF_HUB_OFFLINE=1: only what the cache/);
    assert.equal((await hub.log()).length, asked);
    const dev = { split: { dataset_id: MMLU, subset_name: 'all', split: 'dev' }, columns: ['question', 'answer'] };
    const live = await hub.run(dev);
    const replay = await hub.run(dev, { ...env, HF_ENDPOINT: 'http://127.0.0.1:2' });
    assert.deepEqual(
      [replay.done.rows, replay.done.rowsHash, replay.done.splitFiles],
      [285, live.done.rowsHash, live.done.splitFiles],
    );
  });

  test('a hub that cannot be reached: exit 3, the cache is offered and not used', async (t) => {
    const hub = await startHub(t);
    const dead = { HF_ENDPOINT: 'http://127.0.0.1:2' };
    const never = await hub.run({ id: MMLU, fetch: [FILE] }, dead);
    assert.equal(never.exit, 3);
    assert.match(never.done.error!.message, /127\.0\.0\.1:2.*ECONNREFUSED.*\(5 tries\)$/);
    await hub.run({ id: MMLU, fetch: [FILE] });
    const cached = await hub.run({ id: MMLU, fetch: [FILE] }, dead);
    assert.equal(cached.exit, 3);
    assert.match(cached.done.error!.message, /HF_HUB_OFFLINE=1 uses it/);
  });

  test('gated', async (t) => {
    const hub = await startHub(t, ['--gated', MMLU]);
    const job = { id: MMLU, fetch: [FILE] };
    const none = await hub.run(job);
    assert.equal(none.exit, 2);
    assert.match(
      none.done.error!.message,
      /^cais\/mmlu: access needs its licence accepted at http.*\/datasets\/cais\/mmlu and HF_TOKEN/,
    );
    const denied = await hub.run(job, { HF_TOKEN: 'hf_local_denied' });
    assert.equal(denied.exit, 2);
    assert.match(denied.done.error!.message, /the token of HF_TOKEN has no access. Accept its licence at /);
    assert.deepEqual(checkCache(join(hub.home, 'hub')), { blobs: [], incomplete: [] });
    const ranges = await hub.run(
      { split: { dataset_id: MMLU, subset_name: 'all', split: 'dev' }, columns: ['answer'], wholeFileBytes: 1 },
      { HF_TOKEN: 'hf_local_denied' },
    );
    assert.equal(ranges.exit, 2, ranges.done.error?.message);
    const granted = await hub.run(job, { HF_TOKEN: ' hf_local_ok\n' });
    assert.equal(granted.exit, 0);
    assert.ok((await hub.log()).some((line) => line.host === 'cdn' && !line.auth));
  });

  test('private, missing, bad token, another token form, no implicit token', async (t) => {
    const hub = await startHub(t, ['--private', MMLU, '--token', 'hf_local_ok', '--token', 'custom_token_1']);
    const job = { id: MMLU, fetch: [FILE] };
    const hidden = await hub.run(job);
    assert.equal(hidden.exit, 2);
    assert.equal(hidden.done.error!.key, 'dataset.dataset_id');
    assert.match(hidden.done.error!.message, /has no public dataset "cais\/mmlu". .*if it is private, set HF_TOKEN/);
    const denied = await hub.run(job, { HF_TOKEN: 'hf_local_denied' });
    assert.match(denied.done.error!.message, /has no dataset "cais\/mmlu" that the token of HF_TOKEN may see/);
    assert.equal((await hub.run({ id: 'no/such' })).exit, 2);
    const bad = await hub.run({ id: 'openai/gsm8k' }, { HF_TOKEN: 'hf_who_is_this' });
    assert.equal(bad.exit, 2);
    assert.match(bad.done.error!.message, /refused the token of HF_TOKEN \(401\)/);
    assert.equal((await hub.run(job, { HUGGING_FACE_HUB_TOKEN: 'custom_token_1' })).exit, 0);
    writeFileSync(join(hub.home, 'token'), 'hf_local_ok\n');
    assert.equal((await hub.run(job)).exit, 0);
    const disabled = { HF_TOKEN: 'hf_local_ok', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' };
    assert.equal((await hub.run(job, disabled)).exit, 2);
    const broken = await hub.run(job, { HF_TOKEN: 'hf_with blank' });
    assert.equal(broken.exit, 2);
  });

  test('missing revision, missing file, bad ids', async (t) => {
    const hub = await startHub(t);
    const revision = await hub.run({ id: MMLU, revision: 'v9' });
    assert.equal(revision.exit, 2);
    assert.equal(revision.done.error!.key, 'dataset.revision');
    assert.match(
      revision.done.error!.message,
      /^"v9" is not a revision of cais\/mmlu. It has: main, refs\/convert\/parquet.$/,
    );
    const commit = await hub.run({ id: MMLU, revision: '0'.repeat(40) });
    assert.equal(commit.exit, 2);
    const file = await hub.run({ id: MMLU, fetch: ['model.onnx'] });
    assert.equal(file.exit, 2);
    assert.match(file.done.error!.message, /^model.onnx is not in cais\/mmlu@[0-9a-f]{7}. It has: /);
    const id = await hub.run({ id: '../../etc' });
    assert.equal(id.exit, 2);
    const path = await hub.run({ model_id: './no/such/folder' });
    assert.match(path.done.error!.message, /no such folder/);
  });

  test('old names, branches with slashes, CDN on the same origin and off, no links', async (t) => {
    const hub = await startHub(t, ['--cdn', 'same-origin']);
    const old = await hub.run(
      { id: 'gsm8k', fetch: ['main/test-00000-of-00001.parquet'] },
      { HF_TOKEN: 'hf_local_ok' },
    );
    assert.equal(old.exit, 0, old.done.error?.message);
    const branch = 'refs/convert/parquet';
    const converted = await hub.run({ id: 'google/IFEval', revision: branch, fetch: ['default/train/0000.parquet'] });
    assert.equal(converted.exit, 0, converted.done.error?.message);
    const folder = join(hub.home, 'hub', 'datasets--google--IFEval');
    assert.equal(readFileSync(join(folder, 'refs', ...branch.split('/')), 'utf8'), converted.done.commit);
    const off = await startHub(t, ['--cdn', 'off']);
    assert.equal((await off.run({ id: MMLU, fetch: [FILE] })).exit, 0);
    const copies = await off.run(
      { id: MMLU, fetch: ['README.md', FILE] },
      { HF_HUB_DISABLE_SYMLINKS: '1', HF_HUB_CACHE: join(off.home, 'c') },
    );
    assert.ok(
      copies.done.paths!.every((path) => path.startsWith(join(off.home, 'c')) && !lstatSync(path).isSymbolicLink()),
    );
  });

  test('two processes at once, and one file asked for twice at once', async (t) => {
    const hub = await startHub(t);
    await hub.arm({ fault: 'slow', rate: 400_000 });
    const job = { id: MMLU, fetch: ['all/validation-00000-of-00001.parquet', 'all/validation-00000-of-00001.parquet'] };
    const [a, b] = await Promise.all([hub.runApart(job), hub.runApart(job)]);
    assert.equal(a.exit, 0, a.done.error?.message);
    assert.equal(b.exit, 0, b.done.error?.message);
    assert.equal((await hub.log()).filter((line) => line.host === 'cdn').length, 2);
    assert.deepEqual(checkCache(join(hub.home, 'hub')).incomplete, []);
  });

  test('a cache that cannot be written', async (t) => {
    const hub = await startHub(t);
    const blocked = join(hub.home, 'blocked');
    writeFileSync(blocked, '');
    const outcome = await hub.run({ id: MMLU, fetch: [FILE] }, { HF_HUB_CACHE: blocked });
    assert.equal(outcome.exit, 3);
    assert.match(outcome.done.error!.message, /blocked/);
  });

  test('an endpoint that is no hub', async (t) => {
    const hub = await startHub(t);
    const outcome = await hub.run({ id: MMLU }, { HF_ENDPOINT: `${hub.url}/not/a/hub/` });
    assert.equal(outcome.exit, 2);
    assert.match(outcome.done.error!.message, /HF_ENDPOINT/);
    assert.equal((await hub.run({ id: MMLU }, { HF_ENDPOINT: 'hub.local' })).exit, 2);
  });
});

describe('local folders', () => {
  test('a folder in the hub layout', async (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, 'onnx'));
    mkdirSync(join(folder, '.git'));
    writeFileSync(join(folder, '.git', 'HEAD'), 'x');
    writeFileSync(join(folder, 'config.json'), '{}');
    writeFileSync(
      join(folder, 'onnx', 'model.onnx'),
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
    );
    const repo = await openModelRepo(folder, 'main', { log });
    assert.deepEqual([repo.id, repo.revision, repo.commit], [folder, null, null]);
    assert.deepEqual(
      repo.files.map((file) => [file.path, file.sha256]),
      [
        ['config.json', null],
        ['onnx/model.onnx', null],
      ],
    );
    assert.equal(repo.files[0]?.size, 2);
    assert.equal(await repo.fetch('config.json'), join(folder, 'config.json'));
    await assert.rejects(repo.fetch('onnx/model.onnx'), /Git-LFS pointer/);
    await assert.rejects(
      repo.fetch('tokenizer.json'),
      (error) => error instanceof UserError && /It has: config.json/.test(error.message),
    );
    await assert.rejects(openFolder(join(folder, 'no'), 'model'), UserError);
    assert.equal(readdirSync(folder).length, 3);
  });

  test('what is neither a folder nor an id', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'model.onnx'), '');
    const options = { log, env: { HF_ENDPOINT: 'http://127.0.0.1:2', HOME: folder } };
    for (const id of [
      join(folder, 'nothing'),
      './here',
      '~/models',
      'a/b/c',
      'owner/na me',
      'a--b',
      join(folder, 'model.onnx'),
    ]) {
      await assert.rejects(
        openModelRepo(id, 'main', options),
        (error) => error instanceof UserError && error.key === 'model.model_id',
        id,
      );
    }
  });
});
