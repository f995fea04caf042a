import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Model } from '../../nanoeval/questions.ts';
import { type JournalRow, readEarlier } from '../../nanoeval/run/journal.ts';
import { finishedRun, type Reported, type Spent, shortfallOf, writeReport } from '../../nanoeval/run/outcome.ts';
import { describeRun } from '../../nanoeval/run/record.ts';
import { slimRow, Tally } from '../../nanoeval/run/tally.ts';
import { summarizeRows } from '../../nanoeval/score/summarize.ts';
import type { Task } from '../../nanoeval/task.ts';
import { FORMAT } from '../../nanoeval/types.ts';
import { identityOf } from '../canned_model.ts';
import { schema, splitOf, toyConfig, toyRecipe, toyRows, toyTask } from './toy.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-outcome-'));
after(() => rmSync(folder, { recursive: true }));

const identity: Model['identity'] = {
  ...identityOf({ label: 'a/model', max_length: 512 }),
  variant: 'q4',
  source: { commit: 'c'.repeat(40) },
};
const split = splitOf(toyRows(4));
const task: Task<ReturnType<typeof toyConfig>> = toyTask({
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.25),
});

let runs = 0;

const scored = (index: number, correct: 0 | 1, rest: object = {}): JournalRow => ({
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
async function report(
  rows: JournalRow[],
  sections: Record<string, object> = {},
  spent: Partial<Spent> = {},
  more: { task?: Reported['task']; remarks?: string[] } = {},
) {
  const output_dir = join(folder, String(runs));
  runs += 1;
  const config = toyConfig({ ...sections, report: { output_dir, ...sections.report } });
  // The journal makes the folder in a real run.
  mkdirSync(output_dir);
  writeFileSync(join(output_dir, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const recipe = toyRecipe(config);
  const can = { verbs: ['loglikelihood'], images: false, chat: true } as const;
  const found = { identity, can, engine: { mode: 'auto' }, load: () => Promise.reject(new Error('not loaded')) };
  const record = await describeRun('toy', config, recipe, { found, chat: false, split, shots: null });
  const reported = {
    task: more.task ?? (task as unknown as Reported['task']),
    config,
    recipe,
    record,
    model: { remarks: more.remarks ?? [] },
  };
  const tally = new Tally();
  for (const row of rows) tally.add(slimRow(row));
  const result = await writeReport(reported, tally, {
    started: new Date(),
    stats: { runs: 1 },
    determinism: null,
    computed: rows.length,
    ...spent,
  });
  const at = (name: string) => join(output_dir, name);
  return { result, at, config, record, summary: JSON.parse(readFileSync(at('summary.json'), 'utf8')) };
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
  assert.deepEqual(summary.health, { rows: 5, questions: 4, failed: 1, unparsed: 2, truncated: 1, empty: 1 });
  assert.deepEqual(summary.generation, { answers: 2, cut: 0, never_stopped: 0, reasoning: 0, reasoning_cut: 0 });
  assert.equal(summary.status, 'complete');
  assert.equal(summary.metrics.acc.value, 0.5);
  assert.equal(summary.metrics.acc.n, 4);
  assert.deepEqual(summary.model, identity);
  assert.equal(summary.format, FORMAT);
  assert.deepEqual(summary.primary, { name: 'acc', unit: 'share', better: 'higher', chance: 0.25 });
  assert.equal(summary.dataset.commit, split.commit);
  assert.deepEqual(result.summary.faults, []);
});

test('more failed rows or unread answers than the limits allow make the run invalid, with the reason', async () => {
  const broken = await report([scored(0, 1), failed(1)]);
  assert.equal(broken.summary.status, 'invalid');
  assert.match(
    broken.summary.faults[0],
    /1 of 2 rows failed, more than run.max_failed 0; the first: row 1 \(id x1\): broken/,
  );
  const unread = await report([scored(0, 1), scored(1, 0, { prediction: null })], { run: { max_unparsed: 0.4 } });
  assert.match(unread.summary.faults[0], /1 of 2 answers could not be read, more than run.max_unparsed 0.4/);
});

test('a run of failed rows alone has no score, no table and no chart', async () => {
  const { summary, result, at } = await report([failed(0), failed(1)]);
  assert.equal(result.scores, null);
  assert.ok(result.summary.faults.some((fault) => fault.startsWith('no row could be scored')));
  assert.deepEqual([summary.status, summary.metrics], ['invalid', {}]);
  assert.ok(!existsSync(at('metrics.csv')) && !existsSync(at('accuracy.png')));
});

test('table and chart are written beside the summary, and named in the result', async () => {
  const { result, at } = await report([scored(0, 1), scored(1, 0)], { scoring: { num_fewshot: 2 } });
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
  const { config: own, record, at, result } = await report(rows, { report: quiet });
  const path = at('predictions.jsonl');
  const finished = async (config: object = {}, of = record) =>
    finishedRun(schema.parse({ ...own, ...config }), of, await readEarlier(path, 'acc'));
  const again = (await finished())!;
  assert.deepEqual(again.summary, JSON.parse(readFileSync(at('summary.json'), 'utf8')));
  assert.deepEqual(again.scores?.metrics, result.scores?.metrics);
  assert.deepEqual(again.files, result.files.filter(existsSync));
  assert.deepEqual(
    [again.task, again.recipe, again.summary.health, again.summary.faults],
    ['toy', 'lm_eval', result.summary.health, []],
  );
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
  const { report: names, run: limits, scoring } = own;
  assert.equal(await finished({ scoring: { ...scoring, reduce: 'sum' } }), null);
  assert.equal(await finished({ run: { ...limits, max_unparsed: 0.1 } }), null);
  assert.equal(await finished({ report: { ...names, table_filename: 'other.csv' } }), null);
  assert.notEqual(await finished({ report: { ...names, table_filename: 'other.csv', save_table: false } }), null);
});

test('an invalid run is invalid again, until the limit is raised', async () => {
  const rows = [scored(0, 1), scored(1, 0, { prediction: null })];
  const { config, record, at, result } = await report(rows, {
    run: { max_unparsed: 0.4 },
    report: { save_plot: false },
  });
  assert.equal(result.summary.faults.length, 1);
  const earlier = await readEarlier(at('predictions.jsonl'), 'acc');
  assert.deepEqual(finishedRun(config, record, earlier)?.summary.faults, result.summary.faults);
  const raised = { ...config, run: { ...config.run, max_unparsed: 0.5 } };
  assert.equal(finishedRun(raised, record, earlier), null);
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

test('a number of which lower is better: the summary, the table and the chart take it as it is', async () => {
  const text = (index: number, nats: number) => {
    const { prediction: _p, correct: _c, ...row } = scored(index, 1) as unknown as Record<string, unknown>;
    return { ...row, metrics: { nats }, logprob: -nats } as unknown as JournalRow;
  };
  const { summary, result, at } = await report([text(0, 40), text(1, 60)], {
    scoring: { strategy: 'rolling_ll' },
  });
  assert.deepEqual(summary.primary, { name: 'nats', unit: 'number', better: 'lower', chance: 0.25 });
  assert.deepEqual([summary.metrics.nats.value, summary.metrics.nats.stderr, summary.status], [50, 10, 'complete']);
  // Nothing was to be read in an answer: no row is unparsed.
  assert.equal(summary.health.unparsed, 0);
  assert.equal(
    readFileSync(at('metrics.csv'), 'utf8'),
    'label,metric,value,stderr,n\nall,nats,50,10,2\ng,nats,50,10,2\n',
  );
  assert.ok(result.files.includes(at('accuracy.png')));
  const svg = readFileSync(at('accuracy.svg'), 'utf8');
  assert.ok(!svg.includes('-shot'), 'a text has no shots');
  assert.ok(!/\d{3} %|25 %/.test(svg), 'no share, no percent');
});

test('a run of no scored row says what it would have been judged by', async () => {
  const { summary } = await report([failed(0)], { scoring: { strategy: 'rolling_ll' } });
  assert.deepEqual(summary.primary, { name: 'nats', unit: 'number', better: 'lower', chance: null });
});

test('sums of several seeds and samples: what the summary says of each', async () => {
  const rows = [7, 8].flatMap((seed) =>
    [0, 1].flatMap((index) => [0, 1].map((sample) => scored(index, sample === index ? 1 : 0, { seed, sample }))),
  );
  const { summary } = await report(rows, {
    scoring: { strategy: 'gen_letter', seeds: [7, 8], samples_per_prompt: 2, temperature: 1, reduce: 'sum' },
    report: { save_plot: false },
  });
  assert.deepEqual(summary.by_seed, { 7: { acc: 0.5 }, 8: { acc: 0.5 } });
  assert.deepEqual(summary.between_seeds.acc, { mean: 0.5, std: 0, n: 2 });
  assert.deepEqual([summary.metrics.acc.value, summary.metrics.pass_at_2.value], [4, 1]);
  assert.deepEqual([summary.primary.unit, summary.primary.chance], ['number', 0.25 * 8]);
});

test('what the computation was: settings, form, remarks and counters; a retreat for want of memory is a remark', async () => {
  const quiet = { report: { save_plot: false } };
  const { summary } = await report(
    [scored(0, 1)],
    quiet,
    { stats: { halved_passes: 2, passes: 9 } },
    { remarks: ['a remark'] },
  );
  assert.deepEqual(summary.engine, {
    mode: 'auto',
    halved_passes: 2,
    passes: 9,
    remarks: ['a remark', 'out of memory: 2 forward passes were halved, which moves a log-likelihood by rounding'],
  });
  const none = await report([scored(0, 1)], quiet, { stats: { halved_passes: 0 } }, { remarks: ['a remark'] });
  assert.deepEqual(none.summary.engine.remarks, ['a remark']);
  const spent = await report([scored(0, 1)], quiet, {
    notes: ['a note'],
    determinism: { rows: 1, largest_difference: 0, flips: 0, flipped: [] },
    computed: 1,
  });
  assert.deepEqual(spent.summary.notes, ['a note']);
  assert.deepEqual([spent.summary.determinism.rows, spent.summary.timing.rows_computed], [1, 1]);
  assert.ok(!('notes' in none.summary));
});

test('a summary of another format is made anew', async () => {
  const { config, record, at } = await report([scored(0, 1)], { report: { save_plot: false } });
  const earlier = await readEarlier(at('predictions.jsonl'), 'acc');
  assert.notEqual(finishedRun(config, record, earlier), null);
  const summary = JSON.parse(readFileSync(at('summary.json'), 'utf8'));
  for (const format of [FORMAT - 1, undefined]) {
    writeFileSync(at('summary.json'), JSON.stringify({ ...summary, format }));
    assert.equal(finishedRun(config, record, earlier), null);
  }
});

test("a task's own files are made of the rows and of those that failed; without one the run is not finished", async () => {
  const files = {
    'own.txt': (rows: readonly { id: string }[], lost: readonly { id: string }[], { name }: { name: string }) =>
      `${rows.map(({ id }) => id)} ${lost.map(({ id }) => id)} ${name}`,
  };
  const own = { ...task, files } as unknown as Reported['task'];
  const rows = [scored(0, 1), failed(1)];
  const { at, result, config, record } = await report(
    rows,
    { run: { max_failed: 1 }, report: { save_plot: false } },
    {},
    { task: own },
  );
  assert.equal(readFileSync(at('own.txt'), 'utf8'), '0 x1 lm_eval');
  assert.ok(result.files.includes(at('own.txt')));
  writeFileSync(at('predictions.jsonl'), `${JSON.stringify(rows[0])}\n`);
  const summary = JSON.parse(readFileSync(at('summary.json'), 'utf8'));
  writeFileSync(at('summary.json'), JSON.stringify({ ...summary, health: { ...summary.health, rows: 1, failed: 0 } }));
  const earlier = await readEarlier(at('predictions.jsonl'), 'acc');
  assert.ok(finishedRun(config, record, earlier, { files })!.files.includes(at('own.txt')));
  rmSync(at('own.txt'));
  assert.equal(finishedRun(config, record, earlier, { files }), null);
  const bare = await report(rows, { run: { score: false }, report: { save_plot: false } }, {}, { task: own });
  assert.ok(!existsSync(bare.at('own.txt')));
});

test('a confusion matrix is a table and a picture, as the config wants them; without one the run is not finished', async () => {
  const confusion = {
    labels: ['no', 'é'],
    counts: [
      [1, 0],
      [1, 12],
    ],
  };
  const own = {
    ...task,
    summarize: (...given: Parameters<typeof task.summarize>) => ({ ...task.summarize(...given), confusion }),
  };
  const { at, result, config, record, summary } = await report([scored(0, 1)], {}, {}, { task: own });
  assert.deepEqual(summary.confusion, confusion);
  assert.equal(readFileSync(at('confusion.csv'), 'utf8'), 'gold,no,é\nno,1,0\né,1,12\n');
  assert.ok(readFileSync(at('confusion.svg'), 'utf8').includes('n = 14'));
  for (const name of ['confusion.csv', 'confusion.png', 'confusion.svg'])
    assert.ok(result.files.includes(at(name)), name);
  const earlier = await readEarlier(at('predictions.jsonl'), 'acc');
  assert.ok(finishedRun(config, record, earlier)!.files.includes(at('confusion.png')));
  for (const [name, wanted] of [
    ['confusion.csv', { save_table: false }],
    ['confusion.png', { save_plot: false }],
  ] as const) {
    const bytes = readFileSync(at(name));
    rmSync(at(name));
    assert.equal(finishedRun(config, record, earlier), null);
    assert.notEqual(finishedRun({ ...config, report: { ...config.report, ...wanted } }, record, earlier), null);
    writeFileSync(at(name), bytes);
  }
});

test('what the primary metric has to reach: a run that misses it is complete and says so, whether made now or before', async () => {
  const rows = [scored(0, 1), scored(1, 0, { failure: 'it says 2' })];
  const quiet = { report: { save_plot: false } };
  const short = await report(rows, { ...quiet, run: { require: 0.75 } });
  assert.equal(short.result.shortfall, 'acc is 0.5, and 0.75 at least is required (run.require)');
  assert.deepEqual([short.summary.status, short.summary.faults], ['complete', []]);
  assert.deepEqual(short.summary.failures, {
    rows: 1,
    of: 2,
    first: [{ id: '1', index: 1, check: 'acc', failure: 'it says 2' }],
  });
  const earlier = await readEarlier(short.at('predictions.jsonl'), 'acc');
  const again = (required: number | null) => finishedRun(short.config, short.record, earlier, { required })!.shortfall;
  assert.equal(again(0.75), short.result.shortfall);
  assert.deepEqual([again(0.5), again(null)], [null, null]);
  const enough = await report(rows, { ...quiet, run: { require: 0.5 } });
  assert.equal(enough.result.shortfall, null);
  assert.equal((await report(rows, quiet)).result.shortfall, null);
  // The mean is judged, whatever the summary makes of it.
  const sum = await report(rows, { ...quiet, run: { require: 0.75 }, scoring: { reduce: 'sum' } });
  assert.match(sum.result.shortfall!, /^acc is 0\.5, and 0\.75 at least/);
  assert.equal((await report([failed(0)], { ...quiet, run: { require: 1 } })).result.shortfall, null);
});

test('of a metric where lower is better no more is allowed than is required', () => {
  const nats = { value: 3, stderr: null, ci95: null, n: 1 };
  const scores = {
    primary: { name: 'nats', unit: 'number', better: 'lower', chance: null },
    metrics: { nats },
    groups: {},
    subjects: {},
    subject_groups: {},
  } as const;
  assert.equal(shortfallOf(3, scores), null);
  assert.equal(shortfallOf(2.5, scores), 'nats is 3, and 2.5 at most is required (run.require)');
});
