/** Parquet files read by ranges under every fault: the rows are right or the run ends with an error. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { openLocalFile } from '../../nanoeval/data/ranges.ts';
import { OutsideError } from '../../nanoeval/types.ts';
import { checkCache, type Fault, HUB_FILES, NO_HUB, runJob, startHub, temporaryFolder } from './hub_server.ts';

const job = {
  split: { dataset_id: 'cais/mmlu', subset_name: 'all', split: 'validation' },
  columns: ['question', 'choices', 'answer'],
};

async function outcomeOf(t: TestContext, faults: (Fault | string)[], tries = 5, args: string[] = []) {
  const hub = await startHub(t, args);
  await hub.arm(...faults);
  const byRanges = { ...job, wholeFileBytes: 1000, limits: { tries } };
  const outcome = await hub.run(byRanges, { HF_TOKEN: 'hf_local_ok' });
  const blobs = checkCache(join(hub.home, 'hub')).blobs.filter((path) => /[0-9a-f]{64}$/.test(path));
  assert.deepEqual(blobs, []);
  return { hub, ...outcome };
}

const CDN = { match: '/cdn/', retry_after: 0 };

describe('by ranges', { skip: NO_HUB, concurrency: 8 }, () => {
  let rowsHash: string | undefined;
  before(async () => {
    const path = join(HUB_FILES, 'datasets', 'cais', 'mmlu');
    const local = await runJob({ ...job, split: { ...job.split, path } }, {});
    rowsHash = local.done.rowsHash;
    assert.ok(rowsHash, local.done.error?.message);
  });

  const passing: [string, (Fault | string)[], string[]?][] = [
    ['no fault', []],
    ['no fault, no CDN', [], ['--cdn', 'off']],
    ['no fault, CDN on the same origin', [], ['--cdn', 'same-origin']],
    ['503', [{ ...CDN, fault: '503x2' }]],
    ['429', [{ ...CDN, fault: '429x2', after: 1 }]],
    ['cut', [{ ...CDN, fault: 'cutx2' }]],
    ['truncate', [{ ...CDN, fault: 'truncatex2', after: 1 }]],
    ['truncate-silent', [{ ...CDN, fault: 'truncate-silentx2' }]],
    ['slow', [{ ...CDN, fault: 'slowx1' }]],
    ['stall', [{ ...CDN, fault: 'stallx1', after: 1 }]],
    ['range-ignored', [{ ...CDN, fault: 'range-ignoredx2' }]],
    ['range-ignored after the footer', [{ ...CDN, fault: 'range-ignoredx1', after: 1 }]],
    ['redirect-loop', [{ fault: 'redirect-loopx3', match: 'parquet' }]],
    ['expired: asked anew each time', ['expired']],
    ['expired at once', [], ['--cdn-ttl', '1']],
  ];
  for (const [name, faults, args] of passing) {
    test(`${name}: passes`, async (t) => {
      const { hub, exit, done } = await outcomeOf(t, faults, 5, args);
      assert.equal(exit, 0, done.error?.message);
      assert.deepEqual([done.rows, done.numRows, done.rowsHash], [1531, 1531, rowsHash]);
      assert.deepEqual(
        (done.splitFiles as { verified: boolean; sha256: null }[]).map((file) => [file.verified, file.sha256]),
        [[false, null]],
      );
      assert.ok((await hub.log()).some((line) => line.range !== null));
    });
  }

  const staying: [string, (Fault | string)[], RegExp][] = [
    ['503', [{ ...CDN, fault: '503' }], /: 503 \(2 tries\)$/],
    ['cut', [{ ...CDN, fault: 'cut' }], /\(2 tries\)$/],
    ['truncate', [{ ...CDN, fault: 'truncate' }], /\(2 tries\)$/],
    ['truncate-silent', [{ ...CDN, fault: 'truncate-silent' }], /\d+ of \d+ bytes came \(2 tries\)$/],
    ['slow', [{ ...CDN, fault: 'slow' }], /too slow \(2 tries\)$/],
    ['stall', [{ ...CDN, fault: 'stall' }], /no bytes for 1 s \(2 tries\)$/],
    ['range-ignored', [{ ...CDN, fault: 'range-ignored' }], /answer 200 to a range, 206 expected \(2 tries\)$/],
    ['etag-change', [{ ...CDN, fault: 'etag-change' }], /changed while it was read/],
    ['redirect-loop', [{ fault: 'redirect-loop', match: 'parquet' }], /redirects and no end/],
  ];
  for (const [name, faults, message] of staying) {
    test(`${name}: stays`, async (t) => {
      const { exit, done } = await outcomeOf(t, faults, 2);
      assert.equal(exit, 3, JSON.stringify(done));
      assert.match(done.error!.message, message);
    });
  }

  test('a flipped byte is an error or goes unseen, never a crash: by ranges nothing is verified', async (t) => {
    const { exit } = await outcomeOf(t, [{ ...CDN, fault: 'corrupt' }], 2);
    assert.ok([0, 2, 3].includes(exit ?? -1), `exit ${exit}`);
  });

  test('only the row groups of wanted rows are read; a file in the cache is used whole', async (t) => {
    const hub = await startHub(t);
    const big = { ...job, split: { ...job.split, split: 'test' }, wholeFileBytes: 1000 };
    const one = await hub.run({ ...big, wanted: [5000] });
    assert.equal(one.done.rows, 1);
    const asked = (await hub.log()).filter((line) => line.host === 'cdn');
    assert.ok(asked.length <= 4, `${asked.length} requests`);
    await hub.run({ ...big, wholeFileBytes: 1e9, wanted: [0] });
    const before = (await hub.log()).filter((line) => line.host === 'cdn').length;
    const cached = await hub.run(big);
    assert.equal(cached.done.rows, 14042);
    assert.equal((await hub.log()).filter((line) => line.host === 'cdn').length, before);
  });
});

test('a local file', async (t) => {
  const path = join(temporaryFolder(t), 'x.bin');
  writeFileSync(path, 'abcdef');
  const file = await openLocalFile(path);
  const text = async (start: number, end?: number) => Buffer.from(await file.slice(start, end)).toString();
  assert.equal(file.byteLength, 6);
  assert.equal(await text(2, 4), 'cd');
  assert.equal(await text(4), 'ef');
  assert.equal(await text(4, 100), 'ef');
  await file.close();
  await assert.rejects(openLocalFile(`${path}.no`), OutsideError);
});
