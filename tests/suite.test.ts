import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import { openPart } from '../nanoeval/page/tokens.ts';
import { CompanionReader, readCompanion } from '../nanoeval/run/companion_file.ts';
import { readJournal, rowKey } from '../nanoeval/run/journal.ts';
import type { ResultFile } from '../nanoeval/run/result_file.ts';
import { sha256 } from '../nanoeval/text/hash.ts';
import { FORMAT } from '../nanoeval/types.ts';
import { runHereWith } from './in_process.ts';
import { DEMO, ROOT, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('suite');
after(folder.remove);
interface Smoke {
  primary: { name: string };
  metrics: Record<string, { value: number; n: number }>;
  determinism: { flips: number } | null;
}
const at = (...parts: string[]) => join(folder.path, ...parts);

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
    /^\| task +\| recipe +\| +n \| metric +\| +value \| +± stderr \| +reference \| +difference \| within 2 se \| source +\|$/,
  );
  assert.match(
    lines[2]!,
    /^\| mmlu +\| lm_eval \| +12 \| acc +\| +0\.\d{4} \| +0\.\d{4} \| +0\.5000 \| +[+-]?0\.\d{4} \| (?:yes|no) +\| a paper \|$/,
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
  const { code, stderr } = await runHereWith('suite', at('b'), yaml);
  assert.equal(code, 2);
  assert.match(stderr, /^\S+suite\.yaml:7:26: scoring\.strategy: "rank" is not one of: rank_ll, gen_letter\./);
  assert.ok(!existsSync(at('b/out')));
});

test('a suite run again is done at once, and its table is the same', async () => {
  mkdirSync(at('c'));
  const yaml = `suite: { output_root: ${at('c/out')} }
model: { model_id: ${DEMO} }
tasks:
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 2 }
    report: { save_plot: false }
    reference: { acc_nrom: 0.5 }
`;
  const first = await runHereWith('suite', at('c'), yaml);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /acc_nrom \|.*no such metric; acc_norm\?/);
  const table = readFileSync(at('c/out/suite.md'), 'utf8');
  const again = await runHereWith('suite', at('c'), yaml);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.stdout, first.stdout);
  assert.match(again.stderr, /^hellaswag:\nhellaswag: done, 2 rows in /);
  assert.ok(!/^model /m.test(again.stderr), again.stderr);
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
  const same = await runHereWith('suite', at('d'), yaml(`    report: { output_dir: ${at('d/same')}/ }\n`));
  assert.deepEqual(
    [same.code, same.stderr],
    [
      2,
      `${at('d/suite.yaml')}:7:27: tasks[1].report.output_dir: it is the folder of tasks[0] too. Give each its own.\n`,
    ],
  );
  const percent = await runHereWith('suite', at('d'), yaml('    reference: { acc: 29.3 }\n'));
  assert.match(
    percent.stderr,
    /suite\.yaml:7:23: tasks\[1\]\.reference\.acc: 29\.3 is not a share from 0 to 1\. Write 0\.293 for 29\.3 %\./,
  );
});

test('the smoke suite: benchmarks of the embedded demo and of rows of its own, with its numbers', async () => {
  mkdirSync(at('smoke'));
  const yaml = readFileSync(join(ROOT, 'suites/suite_smoke.yaml'), 'utf8').replace(
    'name: suite_smoke',
    `name: suite_smoke\n  output_root: ${at('smoke/out')}`,
  );
  const { code, stderr } = await runHereWith('suite', at('smoke'), yaml);
  assert.equal(code, 0, stderr);
  const { tasks, format } = JSON.parse(readFileSync(at('smoke/out/suite_summary.json'), 'utf8'));
  assert.equal(format, FORMAT);
  const found = tasks.map(({ name, status, summary }: { name: string; status: string; summary: Smoke }) => {
    const primary = summary.primary.name;
    const { value, n } = summary.metrics[primary]!;
    return [name, status, n, primary, value.toFixed(3), summary.determinism?.flips ?? 0];
  });
  assert.deepEqual(found, [
    ['mmlu', 'complete', 200, 'acc', '0.750', 0],
    ['hellaswag', 'complete', 200, 'acc_norm', '0.710', 0],
    ['mmmu_pro', 'complete', 160, 'acc', '0.681', 0],
    ['golden', 'complete', 10, 'pass', '0.900', 0],
    ['encoding', 'complete', 10, 'token_acc', '0.248', 0],
    ['ranking', 'complete', 10, 'acc', '0.600', 0],
    ['rollout', 'complete', 10, 'acc', '0.600', 0],
    ['classification', 'complete', 10, 'acc', '0.300', 0],
  ]);
  const [name, ...others] = readdirSync(at('smoke/out')).filter((one) => /^\d{4}-/.test(one));
  assert.deepEqual(others, []);
  const { timestamp, benchmarks, ...file } = JSON.parse(readFileSync(at('smoke/out', name!), 'utf8')) as ResultFile;
  assert.equal(
    name,
    `${timestamp.slice(0, 10)}_local_checkpoint_mmlu-hellaswag-mmmu_pro-golden-encoding-ranking-rollout-classification.json`,
  );
  assert.equal(timestamp, tasks.at(-1).summary.timing.finished);
  assert.deepEqual(file, {
    repo_id: null,
    model_path: 'nanoeval/demo/checkpoint/onnx/decoder_model_merged.onnx',
    model_format: 'onnx',
    gpu_info: null,
  });
  assert.deepEqual(
    Object.entries(benchmarks).map(([key, { benchmark, questions, n_samples, overall_score }]) => [
      key,
      benchmark,
      questions,
      n_samples,
      overall_score.toFixed(3),
    ]),
    found.map(([key, , n, , value]: (string | number)[]) => [key, key, n, 1, value]),
  );
  const book = /id="book">([^<]*)</.exec(readFileSync(at('smoke/out/report.html'), 'utf8'))![1]!;
  assert.deepEqual(
    JSON.parse(book).runs.map(({ name, prompts }: { name: string; prompts: number }) => [name, prompts]),
    found.map(([key, , n]: (string | number)[]) => [key, n]),
  );
  for (const task of ['mmlu', 'hellaswag', 'mmmu_pro', 'golden']) await checkPrompts(at('smoke/out', task));
});

/** What page.jsonl keeps is what was asked, letter by letter, and its tokens are as many as the row says. */
async function checkPrompts(run: string): Promise<void> {
  const { shared, rows } = await readCompanion(join(run, 'page.jsonl'));
  const reader = new CompanionReader(join(run, 'page.jsonl'));
  for await (const row of readJournal(join(run, 'predictions.jsonl'))) {
    assert.ok(!('error' in row), run);
    const [prompt] = reader.row(rows.get(rowKey(row))!).prompts.map((part) => openPart(part, shared));
    assert.equal(sha256(prompt!.text), row.prompt_sha256, `${run}: row ${row.index}`);
    assert.equal(prompt!.ids!.length, row.num_context_tokens, `${run}: row ${row.index}`);
    assert.equal(
      prompt!.pieces!.reduce((sum, { ids, times = 1 }) => sum + ids.length * times, 0),
      prompt!.ids!.length,
    );
  }
  reader.close();
}

/** Two checkpoints out of one: `model` is what they share. */
const twoModels = (root: string, tasks = TASKS) => `suite: { output_root: ${root} }
engine: { workers: 1, threads_per_worker: 1 }
model: { model_id: ${DEMO}, chat_template: false }
models:
  - name: wide
  - { name: narrow, max_length: 128 }
tasks:
${tasks}`;
const TASKS = `  - task: mmlu
    dataset: { path: nanoeval/demo/data/mmlu, subset_size: 3 }
    scoring: { num_fewshot: 0 }
    report: { save_plot: false }
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 5 }
    report: { save_plot: false }
`;

test('several checkpoints: a folder each, one table, and only what is missing is computed again', async () => {
  mkdirSync(at('m'));
  const yaml = twoModels(at('m/out'));
  const first = await runHereWith('suite', at('m'), yaml);
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stderr.match(/^model /gm)?.length, 2, first.stderr);
  const labels = ['wide/mmlu', 'wide/hellaswag', 'narrow/mmlu', 'narrow/hellaswag'];
  assert.deepEqual(first.stderr.match(/^(?:wide|narrow)\/\w+(?=:$)/gm), labels);
  const files = () =>
    Object.fromEntries(
      ['comparison.md', 'comparison.csv', 'suite.md', ...labels.map((label) => `${label}/predictions.jsonl`)].map(
        (name) => [name, readFileSync(at('m/out', name), 'utf8')],
      ),
    );
  const made = files();
  assert.equal(first.stdout, made['comparison.md']);
  assert.match(first.stdout, /^\| model +\| +mmlu \(lm_eval, acc\) \| +hellaswag \(lm_eval, acc_norm\) \|$/m);
  const values = (name: string) => [
    ...(first.stdout.match(new RegExp(`^\\| ${name} .*$`, 'm'))?.[0] ?? '').matchAll(/[01]\.\d{4} ±/g),
  ];
  assert.deepEqual([values('wide').length, values('narrow').length], [2, 2]);
  const csv: Record<string, string>[] = parse(made['comparison.csv']!, { columns: true });
  assert.deepEqual(
    csv.map(({ table, model, task, n, status }) => [table, `${model}/${task}`, n, status]),
    labels.map((label) => ['1', label, label.endsWith('mmlu') ? '12' : '5', 'complete']),
  );
  const { tasks } = JSON.parse(readFileSync(at('m/out/suite_summary.json'), 'utf8'));
  assert.deepEqual(
    tasks.map(({ model, name }: { model: string; name: string }) => `${model}/${name}`),
    labels,
  );
  // What stands in `models` goes before `model`.
  const { config, model } = JSON.parse(readFileSync(at('m/out/narrow/mmlu/run.json'), 'utf8'));
  assert.deepEqual([config.model.model_id, config.model.chat_template, config.model.max_length], [DEMO, false, 128]);
  assert.equal(model.max_length, 128);
  // A result file for each of them; the same runs leave the same ones.
  const results = () =>
    readdirSync(at('m/out'))
      .filter((one) => /^\d{4}-.*\.json$/.test(one))
      .sort();
  const before = results();
  assert.deepEqual(
    before.map((one) => one.slice(11)),
    ['local_checkpoint-narrow_mmlu-hellaswag.json', 'local_checkpoint-wide_mmlu-hellaswag.json'],
  );

  const again = await runHereWith('suite', at('m'), yaml);
  assert.deepEqual([again.code, again.stdout], [0, first.stdout], again.stderr);
  assert.deepEqual(again.stderr.match(/^\w+: done/gm)?.length, 4);
  assert.ok(!/^model /m.test(again.stderr), again.stderr);
  assert.deepEqual(results(), before);

  rmSync(at('m/out/narrow/hellaswag'), { recursive: true });
  const filled = await runHereWith('suite', at('m'), yaml);
  assert.deepEqual([filled.code, filled.stdout], [0, first.stdout], filled.stderr);
  assert.equal(filled.stderr.match(/^\w+: done/gm)?.length, 3, filled.stderr);
  assert.equal(filled.stderr.match(/^model /gm)?.length, 1, filled.stderr);
  assert.deepEqual(files(), made);
});

test('what one checkpoint cannot do is missing in the table', async () => {
  mkdirSync(at('n'));
  const answers = `  - task: mmlu
    dataset: { path: nanoeval/demo/data/mmlu, subset_size: 1 }
    scoring: { num_fewshot: 0, strategy: gen_letter, max_new_tokens: 130 }
    report: { save_plot: false }
`;
  const yaml = twoModels(at('n/out'), answers + TASKS.slice(TASKS.indexOf('  - task: hellaswag')));
  const { code, stdout, stderr } = await runHereWith('suite', at('n'), yaml);
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /suite\.yaml:10:70: scoring\.max_new_tokens: 130 leaves no room for a prompt in a window of 128/,
  );
  assert.match(stdout, /^\| wide +\| +[01]\.\d{4} \|/m);
  assert.match(stdout, /^\| narrow +\| +missing \| +\S*[01]\.\d{4}/m);
  assert.equal(stdout, readFileSync(at('n/out/comparison.md'), 'utf8'));
  assert.match(readFileSync(at('n/out/suite.md'), 'utf8'), /^\| narrow\/mmlu .*failed: /m);
});

test('faults of `models` have their line', async () => {
  mkdirSync(at('o'));
  const place = `${at('o')}/suite.yaml`;
  const names = (first: string, second: string) =>
    twoModels(at('o/out')).replace(/ {2}- name: wide\n.*\n/, `  - ${first}\n  - ${second}\n`);
  const cases: [yaml: string, line: string][] = [
    [
      names('{ name: wide }', '{ max_length: 128, name: wide }'),
      `${place}:6:5: models[1]: "wide" is the name of models[0] too. Give it a \`name:\`.`,
    ],
    [
      names('{ dtype: q4 }', '{ dtype: q4, max_length: 128 }'),
      `${place}:6:5: models[1]: "checkpoint-q4" is the name of models[0] too. Give it a \`name:\`.`,
    ],
    [names('name: a', '{ name: b, dtpye: q4 }'), `${place}:6:16: models[1].dtpye: unknown key. Did you mean "dtype"?`],
    [
      names('name: a', '{ name: b/c }'),
      `${place}:6:13: models[1].name: "b/c" does not fit a folder. Use letters, digits, "_", "-" and ".".`,
    ],
    [
      names('name: a', '{ name: b, max_length: 0 }'),
      `${place}:6:28: models[1].max_length: 0 is too small. It has to be at least 1.`,
    ],
    [
      names('name: a', 'name: b').replace('report: { save_plot: false }', `report: { output_dir: ${at('o/one')} }`),
      `${place}:4:1: models: ${at('o/one')} would be the folder of two checkpoints. Leave report.output_dir out.`,
    ],
    [
      names('name: a', 'name: b').replace(`model_id: ${DEMO}, `, ''),
      `${place}:5:5: model.model_id: missing. It has to be a text.`,
    ],
    [
      twoModels(at('o/out')).replace(/models:\n.*\n.*\n/, 'models: []\n'),
      `${place}:4:1: models: the list is empty. It needs at least one entry.`,
    ],
  ];
  for (const [yaml, line] of cases) {
    const { code, stderr, stdout } = await runHereWith('suite', at('o'), yaml);
    assert.deepEqual([stderr.trimEnd(), code, stdout], [line, 2, '']);
  }
  assert.ok(!existsSync(at('o/out')));
});

test('a task that misses what is required of it fails the suite, and is complete', async () => {
  const yaml = `suite: { output_root: ${at('short/out')} }
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
run: { check_rows: 0 }
tasks:
  - task: golden
    dataset: { rows: [{ id: noon, prompt: The opposite of day is, contains: noon }] }
    scoring: { max_new_tokens: 3 }
    report: { save_plot: false }
`;
  const { code, stdout, stderr } = await runHereWith('suite', at('short'), yaml);
  assert.equal(code, 1, stderr);
  assert.match(stdout, /^\| golden \(failed\) \| own +\| +1 \| pass +\| 0\.0000 \|/m);
  assert.match(stderr, /^1 of 1 rows are wrong; the first: noon: contains: "noon" is not in " night/m);
  assert.match(stderr, /^FAILED: pass is 0, and 1 at least is required \(run\.require\)$/m);
  const { tasks } = JSON.parse(readFileSync(at('short/out/suite_summary.json'), 'utf8'));
  assert.deepEqual([tasks[0].status, tasks[0].error], ['complete', null]);
});
