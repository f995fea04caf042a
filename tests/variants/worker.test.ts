/** The process itself on the demo checkpoint: alone and beside the reference; and with files that are no graph. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { UserError } from '../../nanoeval/types.ts';
import { type Job, measure } from '../../nanoeval/variants/workers.ts';
import { settings } from '../model/fixtures.ts';
import { DEMO_FILES } from '../model/processes.ts';
import { ROOT } from '../spawn.ts';

const never = new AbortController().signal;
const model = { files: DEMO_FILES, settings: settings() };
const windows = [
  { row: 0, start: 0, input: [1, 2, 3, 4], targets: [2, 3, 4, 5] },
  { row: 0, start: 4, input: [4, 5, 6, 7], targets: [8] },
];
const job = (more: Partial<Job>): Job => ({ variant: model, reference: model, windows, threads: 1, limit: 2, ...more });

test('a checkpoint beside itself: the same distributions, and what it costs', async () => {
  const seen: number[] = [];
  const { cost, apart } = await measure(job({}), (done, total) => seen.push(done, total), never);
  assert.deepEqual(seen, [1, 4, 2, 4, 3, 4, 4, 4]);
  assert.equal(cost.pass.tokens, 8);
  assert.ok(cost.pass.seconds > 0 && cost.load_seconds > 0);
  // The weights are 4 MB; onnxruntime itself comes on top.
  assert.ok(cost.peak_rss > cost.peak_rss_before_load + 4e6, JSON.stringify(cost));
  assert.deepEqual(
    [apart!.tokens, apart!.nonfinite, apart!.kl, apart!.top1],
    [5, 0, { mean: 0, p99: 0, largest: 0 }, 1],
  );
});

test('a file that is no graph is told as one line of the user', async () => {
  const graphs = { ...DEMO_FILES.graphs, decoder: join(ROOT, 'package.json') };
  const variant = { ...model, files: { ...DEMO_FILES, graphs } };
  await assert.rejects(
    measure(job({ variant, reference: null }), () => {}, never),
    (error) => {
      return error instanceof UserError && !error.message.includes('\n');
    },
  );
});
