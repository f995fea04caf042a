import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadTask, taskNames } from '../nanoeval/suite.ts';
import { DEMO, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('suite');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);

test('the folder is the registry: every task file is found by its name and exports its task', async () => {
  assert.ok(taskNames().includes('mmlu') && taskNames().includes('hellaswag'));
  for (const name of taskNames()) assert.equal((await loadTask(name)).name, name);
});

test('one model block, weights loaded once, references beside ours; a failing task stops nobody', async () => {
  mkdirSync(at('a'));
  const yaml = `suite: { name: both, output_root: ${at('a/out')} }
model: { model_id: ${DEMO} }
tasks:
  - task: mmlu
    dataset: { path: nanoeval/demo/data/mmlu, subset_size: 3 }
    scoring: { num_fewshot: 0 }
    reference: { acc: 0.5, source: a paper }
  - task: hellaswag
    name: broken
    dataset: { path: nanoeval/demo/data/hellaswag, split: tset }
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 5 }
    report: { save_plot: false }
`;
  const { code, stdout, stderr } = await runWith('suite', at('a'), yaml).finished;
  assert.equal(code, 1, stderr);
  assert.equal(stderr.match(/^model /gm)?.length, 1, stderr);
  assert.match(stderr, /suite\.yaml:10:59: dataset\.split: "tset" .*validation/);
  const summary = JSON.parse(readFileSync(at('a/out/suite_summary.json'), 'utf8'));
  assert.deepEqual(
    summary.tasks.map((task: { name: string; status: string }) => [task.name, task.status]),
    [
      ['mmlu', 'complete'],
      ['broken', 'failed'],
      ['hellaswag', 'complete'],
    ],
  );
  assert.equal(summary.tasks[0].summary.metrics.acc.n, 12);
  const lines = stdout.trimEnd().split('\n');
  assert.match(
    lines[0]!,
    /^\| task +\| recipe +\| +n \| metric +\| +value \| +± stderr \| +reference \| +difference \| source +\|$/,
  );
  assert.match(
    lines[2]!,
    /^\| mmlu +\| lm_eval \| +12 \| acc +\| +0\.\d{4} \| +0\.\d{4} \| +0\.5000 \| +[+-]?0\.\d{4} \| a paper \|$/,
  );
  assert.match(lines[3]!, /broken .*failed/);
  assert.equal(readFileSync(at('a/out/suite.md'), 'utf8'), `# both\n\n${stdout}`);
  for (const name of ['mmlu', 'hellaswag']) assert.ok(existsSync(at('a/out', name, 'predictions.jsonl')));
});

test('every entry is checked before the first one runs', async () => {
  mkdirSync(at('b'));
  const yaml = `suite: { output_root: ${at('b/out')} }
model: { model_id: ${DEMO} }
tasks:
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 2 }
  - task: mmlu
    scoring: { strategy: rank }
`;
  const { code, stderr } = await runWith('suite', at('b'), yaml).finished;
  assert.equal(code, 2);
  assert.match(stderr, /^\S+suite\.yaml:7:26: scoring\.strategy: "rank" is not one of: rank_ll, gen_letter\./);
  assert.ok(!existsSync(at('b/out')));
});
