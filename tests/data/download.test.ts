/** Downloads under every fault of the local hub server: each as one that passes, and as one that never does. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { checkCache, type Fault, type Hub, NO_HUB, startHub, temporaryFolder } from './hub_server.ts';

const MMLU = 'cais/mmlu';
/** An LFS file of 180 KB, behind a redirect to the CDN. */
const LFS = 'all/validation-00000-of-00001.parquet';
/** A plain file of 42 KB. */
const PLAIN = 'README.md';

async function outcomeOf(
  t: TestContext,
  faults: (Fault | string)[],
  options: { tries?: number; paths?: string[]; args?: string[]; apart?: boolean } = {},
) {
  const hub = await startHub(t, options.args ?? []);
  await hub.arm(...faults);
  const { tries = 5, paths = [LFS, PLAIN], apart = false } = options;
  const outcome = await hub[apart ? 'runApart' : 'run'](
    { id: MMLU, fetch: paths, limits: { tries } },
    { HF_TOKEN: 'hf_local_ok' },
  );
  return { hub, ...outcome, cache: checkCache(join(hub.home, 'hub')) };
}

/** Ranges that files were asked for by. */
async function ranges(hub: Hub): Promise<string[]> {
  return (await hub.log()).flatMap((line) => (line.range === null || line.host !== 'cdn' ? [] : [line.range]));
}

describe('a fault that passes', { skip: NO_HUB, concurrency: 8 }, () => {
  const cases: [string, (Fault | string)[]][] = [
    ['503', ['503x2']],
    ['500', ['500x2']],
    ['429', ['429x2']],
    ['503 from the CDN', [{ fault: '503x2', host: 'cdn', retry_after: 0 }]],
    ['cut, resumed', ['cutx2']],
    ['truncate, resumed', ['truncatex2']],
    ['truncate-silent, resumed', ['truncate-silentx2']],
    ['corrupt', ['corruptx2']],
    ['slow', ['slowx1']],
    ['stall', ['stallx2']],
    ['range-ignored while resuming', ['cutx1', 'range-ignored']],
    ['etag-change while resuming', ['cutx1', 'etag-change']],
    ['redirect-loop', ['redirect-loopx4']],
    ['expired: every try takes a new signed address', ['cutx1', 'expired']],
    [
      'the listing cut',
      [
        { fault: 'cutx1', match: '/tree/' },
        { fault: 'cutx1', match: '/revision/' },
      ],
    ],
    [
      'the listing truncated',
      [
        { fault: 'truncate-silentx1', match: '/tree/' },
        { fault: 'truncatex1', match: '/revision/' },
      ],
    ],
    ['the listing corrupt', [{ fault: 'corruptx1', match: '/tree/' }]],
    [
      'the listing stalled',
      [
        { fault: 'stallx1', match: '/tree/' },
        { fault: 'slowx1', match: '/revision/', rate: 4 },
      ],
    ],
  ];
  for (const [name, faults] of cases) {
    test(name, async (t) => {
      const { hub, exit, done, cache } = await outcomeOf(t, faults);
      assert.equal(exit, 0, done.error?.message);
      assert.equal(cache.blobs.length, 2);
      assert.deepEqual(cache.incomplete, []);
      if (name.endsWith('resumed')) assert.ok((await ranges(hub)).some((range) => /^bytes=[1-9]\d+-$/.test(range)));
    });
  }

  test('Retry-After is waited for', async (t) => {
    const { exit, seconds } = await outcomeOf(t, [{ fault: '429x1', retry_after: 2 }]);
    assert.equal(exit, 0);
    assert.ok(seconds >= 2, `${seconds} s`);
  });
});

describe('a fault that stays', { skip: NO_HUB, concurrency: 8 }, () => {
  const cases: [string, (Fault | string)[], RegExp][] = [
    ['503', ['503'], /: 503 \(2 tries\)$/],
    ['500', [{ fault: '500', match: '/resolve/', retry_after: 0 }], /: 500 \(2 tries\)$/],
    ['429', ['429'], /: 429 \(2 tries\)$/],
    ['cut', ['cut'], /ECONNRESET|closed|terminated/],
    ['truncate', ['truncate'], /\(2 tries\)$/],
    ['truncate-silent', ['truncate-silent'], /ended at \d+ of \d+ bytes \(2 tries\)$/],
    ['corrupt', ['corrupt'], /arrived damaged: .*\(3 downloads\)/],
    ['slow', ['slow'], /too slow \(2 tries\)$/],
    ['stall', ['stall'], /no bytes for 1 s \(2 tries\)$/],
    ['redirect-loop', ['redirect-loop'], /redirects and no end/],
    ['a signed address that is always expired', [{ fault: 'none' }], /403 from the signed address \(2 tries\)$/],
    ['the listing corrupt', [{ fault: 'corrupt', match: '/tree/' }], /not whole JSON \(2 tries\)$/],
  ];
  for (const [name, faults, message] of cases) {
    test(name, async (t) => {
      const args = name.startsWith('a signed') ? ['--cdn-ttl', '-1'] : [];
      const { exit, done, cache } = await outcomeOf(t, faults, { tries: 2, paths: [LFS], args });
      assert.equal(exit, 3, JSON.stringify(done));
      assert.match(done.error!.message, message);
      assert.deepEqual(cache.blobs, []);
    });
  }

  test('five tries by default', async (t) => {
    const { hub, exit, stderr } = await outcomeOf(t, [{ fault: '503', match: '/revision/', retry_after: 0 }]);
    assert.equal(exit, 3);
    assert.equal((await hub.log()).length, 5);
    assert.match(stderr, /503; try 5 of 5 in/);
  });

  test('a Retry-After beyond two minutes is not waited for', async (t) => {
    const { exit, done, seconds } = await outcomeOf(t, [{ fault: '429', retry_after: 3600 }]);
    assert.equal(exit, 3);
    assert.match(done.error!.message, /asks to wait 3600 s, more than 120 s/);
    assert.ok(seconds < 10);
  });
});

describe('odd files', { skip: NO_HUB }, () => {
  test('the same content twice at once, empty files, names that a URL would cut', async (t) => {
    const root = temporaryFolder(t);
    const names = [
      'a.onnx',
      'onnx/b.onnx',
      'empty.txt',
      'empty.onnx',
      'x #1?.txt',
      '100%25.bin',
      'ünï (1).parquet',
      'two.txt',
    ];
    mkdirSync(join(root, 'models', 'me', 'odd', 'onnx'), { recursive: true });
    for (const name of names) {
      const content = name.startsWith('empty') ? '' : /[ab].onnx/.test(name) ? 'same'.repeat(50_000) : name;
      writeFileSync(join(root, 'models', 'me', 'odd', name), content);
    }
    const hub = await startHub(t, ['--root', root]);
    await hub.arm({ fault: 'slow', rate: 200_000 });
    const { exit, done } = await hub.run({ model_id: 'me/odd', fetch: names });
    assert.equal(exit, 0, done.error?.message);
    for (const [i, name] of names.entries()) {
      assert.ok(readFileSync(done.paths![i]!).equals(readFileSync(join(root, 'models', 'me', 'odd', name))), name);
    }
    const asked = (await hub.log()).filter((line) => line.host === 'hub' && /[ab]\.onnx$/.test(line.path));
    assert.equal(asked.length, 1);
  });
});

describe('partial files', { skip: NO_HUB, concurrency: 3 }, () => {
  test('a later run goes on where an earlier one was cut', async (t) => {
    const { hub, exit, cache } = await outcomeOf(t, ['cut'], { tries: 1, paths: [LFS], apart: true });
    assert.equal(exit, 3);
    assert.equal(cache.incomplete.length, 1);
    const had = statSync(cache.incomplete[0]!).size;
    assert.ok(had > 1000);
    await hub.arm('none');
    const again = await hub.runApart({ id: MMLU, fetch: [LFS] });
    assert.equal(again.exit, 0, again.done.error?.message);
    assert.ok((await ranges(hub)).includes(`bytes=${had}-`));
    assert.equal(checkCache(join(hub.home, 'hub')).incomplete.length, 0);
  });

  test('a partial file with wrong bytes, one too long, one of a live process, an old one of Python', async (t) => {
    const { hub, cache } = await outcomeOf(t, ['cut'], { tries: 1, paths: [LFS], apart: true });
    await hub.arm('none');
    const [partial] = cache.incomplete as [string];
    const size = statSync(partial).size;
    const job = { id: MMLU, fetch: [LFS] };
    // Wrong bytes: found out at the end, and started again.
    writeFileSync(partial, Buffer.alloc(size, 7));
    const wrong = await hub.runApart(job);
    assert.equal(wrong.exit, 0, wrong.done.error?.message);
    assert.match(wrong.stderr, /arrived damaged.*once more from the start/);
    const { blobs } = checkCache(join(hub.home, 'hub'));
    const blob = blobs[0]!;
    const whole = statSync(blob).size;
    // Longer than the file.
    renameSync(blob, partial);
    truncateSync(partial, whole + 10);
    assert.equal((await hub.runApart(job)).exit, 0);
    // A live process's file stays alone; Python's own, an hour old, is taken over.
    renameSync(blob, partial);
    truncateSync(partial, 1000);
    const live = partial.replace(
      /\.([0-9a-f]{4})[0-9a-f]{10}\.incomplete$/,
      `.$1${process.pid.toString(16).padStart(8, '0')}00.incomplete`,
    );
    renameSync(partial, live);
    const asked = (await hub.log()).length;
    assert.equal((await hub.runApart(job)).exit, 0);
    assert.equal(statSync(live).size, 1000);
    assert.ok((await hub.log()).slice(asked).every((line) => line.range === null));
    const python = join(dirname(blob), `${basename(blob)}.0a1b2c3d.incomplete`);
    renameSync(live, python);
    utimesSync(python, 1e9, 1e9);
    renameSync(blob, `${blob}.incomplete`);
    truncateSync(`${blob}.incomplete`, 500);
    utimesSync(`${blob}.incomplete`, 1e9, 1e9);
    const taken = await hub.runApart(job);
    assert.equal(taken.exit, 0, taken.done.error?.message);
    assert.match(taken.stderr, /goes on at byte 1000 of/);
  });

  test('SIGINT: exit 130, the partial file is kept and used', async (t) => {
    const hub = await startHub(t);
    await hub.arm({ fault: 'slow', rate: 20_000 });
    const stopped = await hub.runApart({ id: MMLU, fetch: [LFS] }, {}, 'SIGINT');
    assert.equal(stopped.exit, 130, JSON.stringify(stopped.done));
    const { blobs, incomplete } = checkCache(join(hub.home, 'hub'));
    assert.deepEqual([blobs.length, incomplete.length], [0, 1]);
    await hub.arm('none');
    assert.match((await hub.runApart({ id: MMLU, fetch: [LFS] })).stderr, /goes on at byte/);
  });

  test('killed outright', async (t) => {
    const hub = await startHub(t);
    await hub.arm({ fault: 'slow', rate: 20_000 });
    const killed = await hub.runApart({ id: MMLU, fetch: [LFS] }, {}, 'SIGKILL');
    assert.equal(killed.exit, null);
    assert.deepEqual(checkCache(join(hub.home, 'hub')).blobs, []);
    await hub.arm('none');
    assert.equal((await hub.runApart({ id: MMLU, fetch: [LFS] })).exit, 0);
  });
});
