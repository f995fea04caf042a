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

test('a suite run again is refused before its table is written over', async () => {
  mkdirSync(at('c'));
  const yaml = `suite: { output_root: ${at('c/out')} }
model: { model_id: ${DEMO} }
tasks:
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 2 }
    report: { save_plot: false }
    reference: { acc_nrom: 0.5 }
`;
  const first = await runWith('suite', at('c'), yaml).finished;
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /acc_nrom \|.*no such metric; acc_norm\?/);
  const table = readFileSync(at('c/out/suite.md'), 'utf8');
  const again = await runWith('suite', at('c'), yaml).finished;
  assert.equal(again.code, 2);
  assert.match(again.stderr, /report\.output_dir: \S+predictions\.jsonl already has rows/);
  assert.equal(readFileSync(at('c/out/suite.md'), 'utf8'), table);
});

test('two entries never share a folder, and a reference is a share like ours', async () => {
  mkdirSync(at('d'));
  const yaml = (second: string) => `suite: { output_root: ${at('d/out')} }
model: { model_id: ${DEMO} }
tasks:
  - task: hellaswag
    report: { output_dir: ${at('d/same')} }
  - task: mmlu
${second}`;
  const same = await runWith('suite', at('d'), yaml(`    report: { output_dir: ${at('d/same')}/ }\n`)).finished;
  assert.deepEqual(
    [same.code, same.stderr],
    [
      2,
      `${at('d/suite.yaml')}:7:27: tasks[1].report.output_dir: it is the folder of tasks[0] too. Give each its own.\n`,
    ],
  );
  const percent = await runWith('suite', at('d'), yaml('    reference: { acc: 29.3 }\n')).finished;
  assert.match(
    percent.stderr,
    /suite\.yaml:7:23: tasks\[1\]\.reference\.acc: 29\.3 is not a share from 0 to 1\. Write 0\.293 for 29\.3 %\./,
  );
});
