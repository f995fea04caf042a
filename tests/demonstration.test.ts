/**
 * The gate, shown: a checkpoint with noise on its weights has regressed, an untouched copy is held, and the drop grows with the
 * noise. The demo checkpoint on its 200 HellaSwag rows.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { CompareResult } from '../nanoeval/compare/result.ts';
import { runHereWith } from './in_process.ts';
import { addNoise } from './noisy_checkpoint.ts';
import { DEMO, ROOT, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('demonstration');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);

/** Standard deviations of the noise, in those of the weights. */
const NOISE = [0.4, 1];

async function run(name: string, checkpoint: string): Promise<void> {
  const { code, stderr } = await runHereWith(
    'run_hellaswag',
    at(name),
    `task: hellaswag
model: { model_id: ${checkpoint}, chat_template: false }
engine: { workers: 1, threads_per_worker: 2 }
dataset: { path: nanoeval/demo/data/hellaswag }
run: { check_rows: 0 }
report: { output_dir: ${at(name)}, save_plot: false, save_table: false }
`,
  );
  assert.equal(code, 0, stderr);
}

async function compare(current: string): Promise<CompareResult> {
  const out = at('compare', current);
  const yaml = `baseline: ${at('full')}\ncurrent: ${at(current)}\nreport: { output_dir: ${out}, save_plot: false }\n`;
  const { code, stderr } = await runHereWith('compare', out, yaml);
  const result = JSON.parse(readFileSync(join(out, 'compare.json'), 'utf8')) as CompareResult;
  assert.equal(code, result.exit_code, stderr);
  return result;
}

before(async () => {
  const demo = join(ROOT, DEMO);
  cpSync(demo, at('copy_of_demo'), { recursive: true });
  for (const share of NOISE)
    assert.ok(addNoise(demo, at(`demo${share}`), 'onnx/decoder_model_merged.onnx', share) > 100_000);
  await run('full', DEMO);
  await run('copy', at('copy_of_demo'));
  for (const share of NOISE) await run(`noise${share}`, at(`demo${share}`));
});

test('an untouched copy is held: no row differs', async () => {
  const { verdict, exit_code, tasks } = await compare('copy');
  assert.deepEqual([verdict, exit_code, tasks[0]!.flips], ['HELD', 0, []]);
  assert.equal(tasks[0]!.drift.kl!.largest, 0);
});

test('noise as large as the weights has regressed', async () => {
  const { verdict, exit_code, tasks } = await compare('noise1');
  assert.deepEqual([verdict, exit_code], ['REGRESSED', 1]);
  assert.ok(tasks[0]!.flips.length > 40);
});

test("the gate of this project's checks, which .ci/run holds the demo against, fails on a noisy one", async () => {
  const smoke = readFileSync(join(ROOT, 'suites/suite_smoke.yaml'), 'utf8');
  const gate = readFileSync(join(ROOT, 'tests/baselines/compare.yaml'), 'utf8');
  const codeOf = async (name: string, checkpoint: string) => {
    const root = at(name);
    const suite = smoke
      .replace('model_id: nanoeval/demo/checkpoint', `model_id: ${checkpoint}`)
      .replace('name: suite_smoke', `name: suite_smoke\n  output_root: ${root}`);
    assert.notEqual(suite, smoke);
    // Golden cases that a noisy checkpoint misses make the suite's own exit code.
    const ran = await runHereWith('suite', root, suite.replace('require: 0.9', 'require: 0'));
    assert.equal(ran.code, 0, ran.stderr);
    const yaml = gate
      .replace(/^current: .*$/m, `current: ${root}`)
      .replace(/output_dir: .*$/m, `output_dir: ${at('gate', name)}`);
    return (await runHereWith('compare', at('gate', name), yaml)).code;
  };
  assert.equal(await codeOf('smoke_noisy', at('demo1')), 1);
});

test('the drop grows with the noise, and the distributions tell it before the score does', async () => {
  const drops = [0];
  const divergences = [0];
  for (const share of NOISE) {
    const { tasks } = await compare(`noise${share}`);
    drops.push(-tasks[0]!.metrics[0]!.difference);
    divergences.push(tasks[0]!.drift.kl!.mean);
  }
  assert.ok(drops[0]! < drops[1]! && drops[1]! < drops[2]!, drops.join(', '));
  assert.ok(divergences[0]! < divergences[1]! && divergences[1]! < divergences[2]!, divergences.join(', '));
});
