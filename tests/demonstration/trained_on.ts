/**
 * The gate on a checkpoint that training went wrong with, as a user meets it: `npm run test:slow`. The demo checkpoint was trained
 * on twice by train_on.py beside this file, with a learning rate far too high and with a sane one; their decoders lie in
 * tests/fixtures/demonstration. The demo's 200 HellaSwag rows, then compare.ts, each in a process of its own.
 */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { CompareResult } from '../../nanoeval/compare/result.ts';
import { DEMO, ROOT, runWith, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('trained-on');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);

/** The demo with another decoder. */
function withDecoder(name: string): string {
  cpSync(join(ROOT, DEMO), at(name), { recursive: true });
  const decoder = join(ROOT, 'tests/fixtures/demonstration', `${name}.onnx`);
  copyFileSync(decoder, at(name, 'onnx/decoder_model_merged.onnx'));
  return at(name);
}

async function evaluate(name: string, checkpoint: string): Promise<void> {
  mkdirSync(at('runs', name), { recursive: true });
  const { code, stderr } = await runWith(
    'run_hellaswag',
    at('runs', name),
    `task: hellaswag
model: { model_id: ${checkpoint}, chat_template: false }
dataset: { path: nanoeval/demo/data/hellaswag }
report: { output_dir: ${at('runs', name, 'out')} }
`,
  ).finished;
  assert.equal(code, 0, stderr);
}

/** Six of a hundred rows may be lost: 200 rows tell no less with two of them flipped. */
const MAX_DROP = 0.06;

async function gate(current: string) {
  const own = at('gate', current);
  mkdirSync(own, { recursive: true });
  const { code, stdout, stderr } = await runWith(
    'compare',
    own,
    `baseline: ${at('runs/demo/out')}
current: ${at('runs', current, 'out')}
gate: { max_drop: ${MAX_DROP} }
report: { output_dir: ${join(own, 'out')} }
`,
  ).finished;
  const result = JSON.parse(readFileSync(join(own, 'out/compare.json'), 'utf8')) as CompareResult;
  return { code, stdout, stderr, result, metric: result.tasks[0]!.metrics[0]! };
}

before(async () => {
  await evaluate('demo', DEMO);
  await evaluate('too_high', withDecoder('too_high'));
  await evaluate('sane', withDecoder('sane'));
});

test('trained on with far too high a learning rate: REGRESSED, exit code 1', async () => {
  const { code, stdout, stderr, metric, result } = await gate('too_high');
  assert.equal(code, 1, stderr);
  assert.match(stdout, /\| REGRESSED \| hellaswag \| acc_norm \|/);
  assert.match(stderr, /^REGRESSED \(exit code 1\)$/m);
  // It has lost what it knew, and not only what the gate asks for.
  assert.ok(metric.interval![1] < -0.2, `${metric.interval}`);
  assert.ok(metric.p_value! < 1e-6);
  assert.match(
    readFileSync(at('gate/too_high/out/compare.md'), 'utf8'),
    /^## REGRESSED: worse by more than is allowed\n/,
  );
  assert.ok(result.tasks[0]!.drift.kl!.mean > 1);
});

test('trained on with a sane one: HELD, exit code 0, though its weights are others', async () => {
  const { code, stderr, metric, result } = await gate('sane');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^HELD \(exit code 0\)$/m);
  assert.ok(Math.abs(metric.difference) <= 0.02, `${metric.difference}`);
  const { kl } = result.tasks[0]!.drift;
  assert.ok(kl!.mean > 0 && kl!.mean < 0.05, `${kl!.mean}`);
});
