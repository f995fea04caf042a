import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { taskSchema } from '../../nanoeval/config/keys.ts';
import { resolveRecipe } from '../../nanoeval/config/recipe.ts';
import type { Run } from '../../nanoeval/run/ask.ts';
import { type JournalRow, readEarlier } from '../../nanoeval/run/journal.ts';
import { finishedRun, writeReport } from '../../nanoeval/run/outcome.ts';
import { describeRun } from '../../nanoeval/run/record.ts';
import { summarizeRows } from '../../nanoeval/score/summarize.ts';
import type { Model, Split } from '../../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-outcome-'));
after(() => rmSync(folder, { recursive: true }));

const recipes = {
  lm_eval: {
    num_fewshot: 2,
    strategies: { rank_ll: { primary: 'acc', normalized: null, normalize_by_length: false } },
  },
};
const schema = taskSchema('toy', { dataset_id: 'a/b', subset_name: 'default', split: 'test' }, recipes);
const identity: Model['identity'] = {
  model_id: 'a/model',
  revision: 'main',
  commit: 'c'.repeat(40),
  backend: 'onnx',
  dtype: 'q4',
  device: 'cpu',
  max_length: 512,
  is_vlm: false,
  files: [{ path: 'onnx/model_q4.onnx', size: 9, sha256: 'f'.repeat(64) }],
  config_sha256: 'c',
  tokenizer_sha256: 't',
  chat_template_sha256: null,
};
const split: Split = {
  dataset_id: 'a/b',
  revision: 'main',
  commit: 'd'.repeat(40),
  subset_name: 'default',
  split: 'test',
  files: [{ path: 'test.parquet', size: 5, sha256: 'e', verified: true }],
  numRows: async () => 4,
  async *rows() {},
};

let runs = 0;
function makeRun(rows: JournalRow[], config: object = {}): Run {
  const output_dir = join(folder, String(runs));
  runs += 1;
  const parsed = schema.parse({ task: 'toy', model: { model_id: 'a/model' }, ...config });
  parsed.report.output_dir = output_dir;
  // The journal makes the folder in a real run.
  mkdirSync(output_dir);
  writeFileSync(join(output_dir, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const recipe = resolveRecipe({ name: 'toy', recipes }, parsed);
  return {
    config: parsed,
    recipe,
    model: { identity, engine: { mode: 'auto', form: 'tree' }, engineRemarks: [] as string[] } as unknown as Model,
    chat: false,
  } as Run;
}

const scored = (index: number, correct: number, rest: object = {}): JournalRow => ({
  task: 'toy',
  id: String(index),
  index,
  group: 'g',
  gold: 0,
  prediction: correct === 1 ? 0 : 1,
  correct,
  metrics: { acc: correct },
  choices: [],
  num_context_tokens: 3,
  truncated: false,
  prompt_sha256: 'p',
  ...rest,
});
const failed = (index: number): JournalRow => ({
  task: 'toy',
  id: `x${index}`,
  index,
  error: { kind: 'nan', message: 'broken' },
});
const task = {
  name: 'toy',
  summarize: (rows: Parameters<typeof summarizeRows>[0]) => summarizeRows(rows, 'acc', 0.25),
};

async function report(rows: JournalRow[], config: object = {}) {
  const run = makeRun(rows, config);
  const record = await describeRun(run.config, run.recipe, identity, { split, shots: null }, 'toy');
  const result = await writeReport(task, run, record, {
    started: new Date(),
    stats: { runs: 1 },
    determinism: null,
    computed: rows.length,
  });
  const at = (name: string) => join(run.config.report.output_dir, name);
  return { result, at, run, record, summary: JSON.parse(readFileSync(at('summary.json'), 'utf8')) };
}

test('the summary counts what happened to the rows and means only those that were scored', async () => {
  const rows = [
    scored(0, 1),
    scored(1, 0, { prediction: null, output: ' \n' }),
    scored(2, 1, { truncated: true }),
    scored(3, 0, { prediction: null, output: 'hm' }),
    failed(4),
  ];
  const { summary, result } = await report(rows, { run: { max_failed: 0.2 }, report: { save_plot: false } });
  assert.deepEqual(summary.health, { rows: 5, failed: 1, unparsed: 2, truncated: 1, empty: 1 });
  assert.equal(summary.status, 'complete');
  assert.equal(summary.metrics.acc.value, 0.5);
  assert.equal(summary.metrics.acc.n, 4);
  assert.deepEqual(summary.model, identity);
  assert.equal(summary.dataset.commit, split.commit);
  assert.deepEqual(result.faults, []);
});

test('more failed rows or unread answers than the limits allow make the run invalid, with the reason', async () => {
  const broken = await report([scored(0, 1), failed(1)]);
  assert.equal(broken.summary.status, 'invalid');
  assert.match(
    broken.summary.faults[0],
    /1 of 2 rows failed, more than run.max_failed 0; the first: row 1 \(id x1\): broken/,
  );
  const unread = await report([scored(0, 1), scored(1, 0, { prediction: null })], { run: { max_unparsed: 0.4 } });
  assert.match(unread.summary.faults[0], /1 of 2 answers without a choice, more than run.max_unparsed 0.4/);
});

test('a run of failed rows alone has no score, no table and no chart', async () => {
  const { summary, result, at } = await report([failed(0), failed(1)]);
  assert.equal(result.scores, null);
  assert.ok(result.faults.some((fault) => fault.startsWith('no row could be scored')));
  assert.deepEqual([summary.status, summary.metrics], ['invalid', {}]);
  assert.ok(!existsSync(at('metrics.csv')) && !existsSync(at('accuracy.png')));
});

test('table and chart are written beside the summary, and named in the result', async () => {
  const { result, at } = await report([scored(0, 1), scored(1, 0)]);
  assert.equal(readFileSync(at('metrics.csv'), 'utf8').split('\n')[0], 'label,metric,value,stderr,n');
  assert.equal(readFileSync(at('accuracy.png')).subarray(1, 4).toString(), 'PNG');
  const svg = readFileSync(at('accuracy.svg'), 'utf8');
  for (const word of ['toy', 'a/model', 'q4', '2-shot', 'n = 2', 'chance 25 %']) assert.ok(svg.includes(word), word);
  assert.deepEqual(
    result.files.map((path) => path.slice(path.lastIndexOf('/') + 1)),
    ['run.json', 'predictions.jsonl', 'summary.json', 'metrics.csv', 'accuracy.png', 'accuracy.svg'],
  );
});

test('a finished run is known by its summary; what the config asks anew of the rows is made anew', async () => {
  const rows = [scored(0, 1), scored(1, 0, { prediction: null })];
  const quiet = { save_plot: false };
  const { run, record, at, result } = await report(rows, { report: quiet });
  const path = at('predictions.jsonl');
  const finished = async (config: object = {}, of = record) =>
    finishedRun('toy', schema.parse({ ...run.config, ...config }), of, await readEarlier(path));
  const again = (await finished())!;
  assert.deepEqual(again.summary, JSON.parse(readFileSync(at('summary.json'), 'utf8')));
  assert.deepEqual(again.scores?.metrics, result.scores?.metrics);
  assert.deepEqual(again.files, result.files.filter(existsSync));
  assert.deepEqual([again.task, again.recipe, again.health, again.faults], ['toy', 'lm_eval', result.health, []]);
  // Another run's summary, rows that failed or are not in it, a torn summary: there is something left to do.
  assert.equal(await finished({}, { ...record, fingerprint: 'x' }), null);
  const whole = readFileSync(at('summary.json'));
  writeFileSync(at('summary.json'), whole.subarray(0, 100));
  assert.equal(await finished(), null);
  writeFileSync(at('summary.json'), whole);
  writeFileSync(path, [...rows, scored(2, 1)].map((row) => `${JSON.stringify(row)}\n`).join(''));
  assert.equal(await finished(), null);
  writeFileSync(path, [...rows, failed(2)].map((row) => `${JSON.stringify(row)}\n`).join(''));
  assert.equal(await finished(), null);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  assert.notEqual(await finished(), null);
  const { report: names, run: limits, scoring } = run.config;
  assert.equal(await finished({ scoring: { ...scoring, reduce: 'sum' } }), null);
  assert.equal(await finished({ run: { ...limits, max_unparsed: 0.1 } }), null);
  assert.equal(await finished({ report: { ...names, table_filename: 'other.csv' } }), null);
  assert.notEqual(await finished({ report: { ...names, table_filename: 'other.csv', save_table: false } }), null);
});

test('an invalid run is invalid again, until the limit is raised', async () => {
  const rows = [scored(0, 1), scored(1, 0, { prediction: null })];
  const { run, record, at, result } = await report(rows, { run: { max_unparsed: 0.4 }, report: { save_plot: false } });
  assert.equal(result.faults.length, 1);
  const earlier = await readEarlier(at('predictions.jsonl'));
  assert.deepEqual(finishedRun('toy', run.config, record, earlier)?.faults, result.faults);
  const raised = { ...run.config, run: { ...run.config.run, max_unparsed: 0.5 } };
  assert.equal(finishedRun('toy', raised, record, earlier), null);
});

test('predictions alone: rows without a verdict make no scores and no fault', async () => {
  const { prediction: _p, correct: _c, metrics: _m, ...bare } = scored(0, 1) as unknown as Record<string, unknown>;
  const { summary, result, at } = await report([bare as unknown as JournalRow], { run: { score: false } });
  assert.deepEqual([summary.status, summary.faults, summary.metrics, result.scores], ['unscored', [], {}, null]);
  assert.equal(summary.health.rows, 1);
  assert.ok(!existsSync(at('metrics.csv')) && !existsSync(at('accuracy.png')));
});

test("reduce: sums in place of means, or each row's scores in a file of their own", async () => {
  const rows = [scored(0, 1), scored(1, 0), scored(2, 1)];
  const sums = await report(rows, { scoring: { reduce: 'sum' }, report: { save_plot: false } });
  assert.deepEqual([sums.summary.metrics.acc.value, sums.summary.metrics.acc.n, sums.summary.reduce], [2, 3, 'sum']);
  const each = await report(rows, { scoring: { reduce: 'none' }, report: { save_plot: false } });
  assert.equal(each.summary.metrics.acc.value, 2 / 3);
  assert.equal(readFileSync(each.at('scores.csv'), 'utf8'), 'id,index,seed,sample,acc\n0,0,,,1\n1,1,,,0\n2,2,,,1\n');
  assert.ok(each.result.files.includes(each.at('scores.csv')));
});
