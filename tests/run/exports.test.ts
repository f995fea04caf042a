/**
 * Files for other programs, in their folders: of made-up runs and of the embedded demo. NANOEVAL_TEST_EXPORTS names a Python with
 * what `tests/exports/read_back.py` wants; lm_eval's own loader, `datasets` and huggingface_hub then read the files back.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse as parseJunit } from 'junit2json';
import { parse as parseYaml } from 'yaml';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { EXPORTED, type ToExport, withExports, writeExports } from '../../nanoeval/run/exports.ts';
import type { RunResult } from '../../nanoeval/run/outcome.ts';
import { runHereWith } from '../in_process.ts';
import { estimate, type Made, madeRow, madeRun } from '../report/exports/made_up.ts';
import { DEMO, ROOT, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('exports');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);

/** Every file under a folder, by its path there. */
const bytesOf = (path: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => [
        join(parentPath, name).slice(path.length + 1),
        readFileSync(join(parentPath, name), 'utf8'),
      ]),
  );

const choice = (logprob: number) => ({ logprob, is_greedy: false, num_tokens: 1, num_chars: 1, num_bytes: 1 });
const ranked = (index: number, correct: 0 | 1, rest: Partial<ScoredRow> = {}) =>
  madeRow(index, {
    choices: [choice(-1), choice(-2)],
    prediction: 1 - correct,
    correct,
    metrics: { acc: correct },
    ...rest,
  });
const failedRow = { task: 'made', id: 'id2', index: 2, error: { kind: 'nan', message: 'broken' } };

/** A made-up run with its rows on the disk. */
function saved(where: string, made: Made = {}, rows: object[] = [ranked(0, 1), ranked(1, 0), failedRow]): ToExport {
  const output_dir = at(where);
  const { name, config, recipe, summary, shortfall } = madeRun({
    ...made,
    config: { ...made.config, report: { output_dir, ...made.config?.report } },
  });
  mkdirSync(output_dir, { recursive: true });
  writeFileSync(join(output_dir, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const host = { platform: 'x', cpu: 'x', cores: 1, memory_gib: 1, node: 'x', onnxruntime: 'x' };
  const result = { summary: { ...summary, host } as unknown as RunResult['summary'], shortfall };
  return { name, task: { name: 'made', shots: { split: 'train' } }, config, recipe, result, error: null };
}

const ALL = ['lm_eval', 'eval_results', 'junit'] as const;
const DATE = '2026-03-05T10-00-02.000000';

test('one run: results and samples, the hub YAML and junit.xml; a second time the same', async () => {
  const run = saved('one');
  const { files, notes } = await writeExports(at('one/out'), 'made', ALL, [run]);
  assert.deepEqual(notes, []);
  const names = [
    `lm_eval/org__model/results_${DATE}.json`,
    `lm_eval/org__model/samples_made_${DATE}.jsonl`,
    '.eval_results/made.yaml',
    'junit.xml',
  ];
  assert.deepEqual(
    files,
    names.map((name) => at('one/out', name)),
  );
  const written = bytesOf(at('one/out'));
  assert.deepEqual(Object.keys(written).sort(), [...names].sort());
  assert.deepEqual([...new Set(Object.keys(written).map((name) => name.split('/')[0]))].sort(), [...EXPORTED].sort());
  const results = JSON.parse(written[names[0]!]!);
  assert.equal(results.results.made['acc,none'], 0.431);
  const samples = written[names[1]!]!.trimEnd().split('\n');
  // A row that failed is no sample.
  assert.deepEqual(
    samples.map((line) => JSON.parse(line)).map(({ doc_id, acc }) => [doc_id, acc]),
    [
      [0, 1],
      [1, 0],
    ],
  );
  assert.equal(parseYaml(written[names[2]!]!)[0].value, 43.1);
  const { tests, failures, errors } = (await parseJunit(written['junit.xml']!)) as unknown as Record<string, number>;
  assert.deepEqual([tests, failures, errors], [3, 1, 1]);
  await writeExports(at('one/out'), 'made', ALL, [run]);
  assert.deepEqual(bytesOf(at('one/out')), written);
});

test('a later state of a run replaces what the earlier one left, and nothing of others', async () => {
  const root = at('later/out');
  await writeExports(root, 'made', ALL, [saved('later')]);
  const model = join(root, 'lm_eval/org__model');
  const strangers = ['results_2020-01-01T00-00-00.000000.json', 'samples_made_2020-01-01T00-00-00.000000.jsonl'];
  for (const name of strangers) writeFileSync(join(model, name), '{"model_source": "hf"}\n');
  const timing = { ...madeRun().summary.timing, finished: '2026-03-06T10:00:00.000Z' };
  await writeExports(root, 'made', ALL, [saved('later', { summary: { timing } })]);
  const now = '2026-03-06T10-00-00.000000';
  assert.deepEqual(
    readdirSync(model).sort(),
    [...strangers, `results_${now}.json`, `samples_made_${now}.jsonl`].sort(),
  );
  // A run that became invalid has none, and its cases say so.
  const invalid = saved('later', { summary: { timing, status: 'invalid', faults: ['1 of 3 rows failed'] } });
  const { files, notes } = await writeExports(root, 'made', ALL, [invalid]);
  assert.deepEqual(files, [join(root, 'junit.xml')]);
  assert.deepEqual(notes, [
    'lm_eval leaves out made: invalid: 1 of 3 rows failed',
    'eval_results leaves out made: invalid: 1 of 3 rows failed',
  ]);
  assert.deepEqual(readdirSync(model).sort(), strangers);
  assert.deepEqual(readdirSync(join(root, '.eval_results')), []);
  assert.match(readFileSync(join(root, 'junit.xml'), 'utf8'), /<error message="invalid: 1 of 3 rows failed"/);
});

test('several runs stand in one file; shards, predictions alone and tasks without a run are left out', async () => {
  const { summary } = madeRun();
  const runs = [
    saved('several/a', { name: 'a' }),
    saved('several/b', { name: 'b', summary: { dataset: { ...summary.dataset, commit: null } } }),
    saved('several/shard', { name: 'shard', summary: { selection: { shard: '1/2' } } }),
    saved('several/bare', { name: 'bare', summary: { status: 'unscored', metrics: {} } }),
    { ...saved('several/gone', { name: 'gone' }), result: null, error: 'no network' },
  ];
  const { notes } = await writeExports(at('several/out'), 'suite', ALL, runs);
  const written = bytesOf(at('several/out'));
  assert.deepEqual(Object.keys(written).sort(), [
    '.eval_results/suite.yaml',
    'junit.xml',
    `lm_eval/org__model/results_${DATE}.json`,
    `lm_eval/org__model/samples_a_${DATE}.jsonl`,
    `lm_eval/org__model/samples_b_${DATE}.jsonl`,
  ]);
  assert.deepEqual(Object.keys(JSON.parse(written[`lm_eval/org__model/results_${DATE}.json`]!).results), ['a', 'b']);
  assert.equal(parseYaml(written['.eval_results/suite.yaml']!).length, 1);
  assert.deepEqual(notes, [
    'lm_eval leaves out shard: it is shard 1/2 of a run',
    'lm_eval leaves out bare: it has predictions alone',
    'lm_eval leaves out gone: no network',
    'eval_results leaves out shard: it is shard 1/2 of a run',
    'eval_results leaves out bare: it has predictions alone',
    'eval_results leaves out gone: no network',
    'eval_results leaves out b: its rows are of no data set on the hub',
  ]);
  const junit = (await parseJunit(written['junit.xml']!)) as unknown as {
    testsuite: { name: string; tests: number }[];
  };
  assert.deepEqual(
    junit.testsuite.map(({ name, tests }) => [name, tests]),
    [
      ['a', 3],
      ['b', 3],
      ['shard', 3],
      ['bare', 1],
      ['gone', 1],
    ],
  );
});

test('two exports of one checkpoint do not share a folder or a file', async () => {
  const { model } = madeRun().summary;
  const runs = ['q4', 'fp32'].map((variant) =>
    saved(`two/${variant}`, { name: variant, summary: { model: { ...model, variant, sha256: variant } } }),
  );
  await writeExports(at('two/out'), 'suite', ['lm_eval', 'eval_results'], runs);
  assert.deepEqual(Object.keys(bytesOf(at('two/out'))).sort(), [
    '.eval_results/suite_org__model__fp32.yaml',
    '.eval_results/suite_org__model__q4.yaml',
    `lm_eval/org__model__fp32/results_${DATE}.json`,
    `lm_eval/org__model__fp32/samples_fp32_${DATE}.jsonl`,
    `lm_eval/org__model__q4/results_${DATE}.json`,
    `lm_eval/org__model__q4/samples_q4_${DATE}.jsonl`,
  ]);
});

test("a run's own exports: those that its config asks for, and a task's own junit.xml stays", async () => {
  const bare = saved('own');
  const result = { task: 'made', recipe: 'lm_eval', scores: null, files: ['x'], ...bare.result! };
  assert.equal((await withExports(bare.task, bare.config, bare.recipe, result)).result, result);
  const { task, config, recipe } = saved('own', { config: { report: { exports: ['junit', 'eval_results'] } } });
  const path = at('own/junit.xml');
  writeFileSync(path, 'of the task');
  const owned = await withExports({ ...task, files: { 'junit.xml': () => '' } }, config, recipe, result);
  assert.deepEqual(owned.result.files, ['x', at('own/.eval_results/made.yaml')]);
  assert.equal(readFileSync(path, 'utf8'), 'of the task');
  const written = await withExports(task, config, recipe, result);
  assert.deepEqual(written.result.files, ['x', path, at('own/.eval_results/made.yaml')]);
});

/** The demo's benchmarks as a suite, with and without `run.overwrite`. */
const demo = (
  overwrite: boolean,
) => `suite: { name: demo, output_root: ${at('demo')}, exports: [lm_eval, eval_results, junit] }
model: { model_id: ${DEMO}, chat_template: false }
run: { overwrite: ${overwrite} }
tasks:
  - task: mmlu
    dataset: { path: nanoeval/demo/data/mmlu, subset_size: 3 }
    report: { exports: [lm_eval, junit], save_plot: false, save_prompts: true }
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 6 }
    run: { require: 0.1 }
    report: { exports: [junit], save_plot: false }
  - { task: golden, dataset: { path: nanoeval/demo/data/own/golden.jsonl }, report: { exports: [junit] } }
  - { task: encoding, dataset: { path: nanoeval/demo/data/own/encoding.jsonl }, report: { save_plot: false } }
`;

test('the demo: a suite and its tasks have their exports, the same when all is done already', async () => {
  const { stderr } = await runHereWith('suite', at('demo_files'), demo(false));
  assert.match(stderr, /eval_results leaves out mmlu: its rows are of no data set on the hub/);
  const own = (name: string) => /(^|\/)(lm_eval|\.eval_results|junit\.xml)(\/|$)/.test(name);
  const exported = () => Object.fromEntries(Object.entries(bytesOf(at('demo'))).filter(([name]) => own(name)));
  const first = exported();
  const names = Object.keys(first).map((name) => name.replace(/_\d{4}-\d\d-\d\dT[\d.-]+\d{6}\.json/, '_<date>.json'));
  const model = 'lm_eval/nanoeval__demo__checkpoint';
  const subjects = ['elementary_mathematics', 'high_school_geography', 'miscellaneous', 'philosophy'];
  const mmlu = subjects.map((subject) => `samples_mmlu_${subject}_<date>.jsonl`);
  assert.deepEqual(
    names.sort(),
    [
      'golden/junit.xml',
      'hellaswag/junit.xml',
      'junit.xml',
      ...['results_<date>.json', 'samples_encoding_<date>.jsonl', 'samples_golden_<date>.jsonl'].map(
        (one) => `${model}/${one}`,
      ),
      ...['samples_hellaswag_<date>.jsonl', ...mmlu].map((one) => `${model}/${one}`),
      'mmlu/junit.xml',
      ...['results_<date>.json', ...mmlu].map((one) => `mmlu/${model}/${one}`),
    ].sort(),
  );
  const { results } = JSON.parse(first[Object.keys(first).find((name) => /^lm_eval.*results_/.test(name))!]!);
  const summary = JSON.parse(readFileSync(at('demo/mmlu/summary.json'), 'utf8'));
  assert.equal(results.mmlu['acc,none'], summary.metrics.acc.value);
  assert.equal(results.mmlu_philosophy['acc_stderr,none'], summary.subjects.philosophy.acc.stderr);
  const cases = async (name: string) => {
    const { testsuite } = (await parseJunit(first[name]!)) as unknown as {
      testsuite: { name: string; testcase: { name: string }[] }[];
    };
    return testsuite.map((suite) => [suite.name, suite.testcase.length]);
  };
  assert.deepEqual(await cases('junit.xml'), [
    ['mmlu', 12],
    ['hellaswag', 1],
    ['golden', 10],
    ['encoding', 10],
  ]);
  assert.deepEqual(await cases('hellaswag/junit.xml'), [['hellaswag', 1]]);
  await runHereWith('suite', at('demo_files'), demo(false));
  assert.deepEqual(exported(), first);
});

test('run.overwrite keeps the exports of the old run beside it', async () => {
  const of = (path: string) => Object.keys(bytesOf(path)).filter((name) => /lm_eval|junit/.test(name)).length;
  const before = of(at('demo/mmlu'));
  await runHereWith('suite', at('demo_files'), demo(true));
  assert.deepEqual([of(at('demo/mmlu.old-1')), of(at('demo/mmlu'))], [before, before]);
});

const PYTHON = process.env.NANOEVAL_TEST_EXPORTS;
const SKIP = PYTHON === undefined ? { skip: 'NANOEVAL_TEST_EXPORTS names no Python with lm_eval and datasets' } : {};

interface Read {
  card: string[];
  models: {
    folder: string;
    missing: string[];
    sanitized: string;
    table: string;
    groups: string | null;
    loaded: string[];
    samples: { task: string; date: string; rows: number; missing: string[]; means: Record<string, number> }[];
  }[];
  eval_results: { file: string; same: boolean; entries: Record<string, unknown>[] }[];
}

function readBack(root: string): Read {
  const script = join(ROOT, 'tests/exports/read_back.py');
  const { status, stdout, stderr } = spawnSync(PYTHON!, [script, root], { encoding: 'utf8', timeout: 300_000 });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Read;
}

test("lm_eval's own loader and `datasets` read the demo's files", SKIP, () => {
  const { card, models } = readBack(at('demo'));
  const [model] = models;
  assert.equal(models.length, 1);
  assert.deepEqual([model!.folder, model!.sanitized], ['nanoeval__demo__checkpoint', 'nanoeval__demo__checkpoint']);
  // What a harness without a model's tokenizer leaves out too.
  assert.deepEqual(model!.missing, [
    'eot_token_id',
    'samples',
    'tokenizer_bos_token',
    'tokenizer_eos_token',
    'tokenizer_pad_token',
  ]);
  const [results] = readdirSync(at('demo/lm_eval/nanoeval__demo__checkpoint')).filter((name) =>
    name.startsWith('results'),
  );
  const file = JSON.parse(readFileSync(at('demo/lm_eval/nanoeval__demo__checkpoint', results!), 'utf8'));
  assert.deepEqual(model!.loaded, Object.keys(file.results).sort());
  for (const name of model!.loaded) {
    const shown = name.replace(/^mmlu_/, '');
    assert.match(model!.table, new RegExp(`\\b${shown} *\\|`), name);
  }
  assert.match(model!.groups!, /\| - humanities/);
  assert.deepEqual(
    card,
    model!.samples.map(({ task }) => `nanoeval__demo__checkpoint__${task}`),
  );
  for (const { task, rows, missing, means } of model!.samples) {
    assert.deepEqual(missing, [], task);
    assert.equal(rows, file['n-samples'][task].effective, task);
    for (const [key, mean] of Object.entries(means)) {
      // The share of greedy tokens is over all texts together.
      if (key === 'token_acc,none') continue;
      assert.ok(
        Math.abs(mean - file.results[task][key]) < 1e-12,
        `${task} ${key}: ${mean}, ${file.results[task][key]}`,
      );
    }
  }
});

test("lm_eval's own loader and the hub's own parser read made-up runs of other kinds", SKIP, async () => {
  const { dataset, recipe } = madeRun().summary;
  const answered = (index: number, correct: 0 | 1) =>
    madeRow(index, {
      gold: '18',
      output: ' #### 18',
      prediction: correct === 1 ? '18' : null,
      correct,
      metrics: { exact_match: correct, flexible_extract: 1 },
    });
  const text = (index: number) =>
    madeRow(index, {
      gold: { words: 4, bytes: 20 },
      logprob: -8.5,
      num_tokens: 5,
      num_greedy: 1,
      metrics: { word_perplexity: 8 },
    });
  const runs = [
    saved(
      'kinds/gsm8k',
      {
        name: 'gsm8k',
        config: { scoring: { strategy: 'generate' } },
        summary: {
          task: 'gsm8k',
          recipe: { ...recipe, strategy: 'generate' },
          dataset: { ...dataset, dataset_id: 'openai/gsm8k' },
          metrics: { exact_match: estimate(0.5, 2), flexible_extract: estimate(1, 2) },
        },
      },
      [answered(0, 1), answered(1, 0)],
    ),
    saved(
      'kinds/perplexity',
      {
        name: 'perplexity',
        config: { scoring: { strategy: 'rolling_ll' } },
        summary: {
          task: 'perplexity',
          recipe: { ...recipe, strategy: 'rolling_ll' },
          metrics: { word_perplexity: estimate(8, 2, null) },
        },
      },
      [text(0), text(1)],
    ),
  ];
  await writeExports(at('kinds/out'), 'kinds', ALL, runs);
  const { models, eval_results } = readBack(at('kinds/out'));
  assert.deepEqual(
    models[0]!.samples.map(({ task, date, rows, means }) => [task, date, rows, means]),
    [
      ['gsm8k', DATE, 4, { 'exact_match,strict-match': 0.5, 'exact_match,flexible-extract': 1 }],
      ['perplexity', DATE, 2, {}],
    ],
  );
  assert.match(models[0]!.table, /\|gsm8k +\| +4\|flexible-extract\| +2\|exact_match/);
  assert.match(models[0]!.table, /\|word_perplexity\|↓ *\| *8/);
  assert.deepEqual(
    eval_results.map(({ file, same, entries }) => [
      file,
      same,
      entries.map(({ dataset_id, task_id, value, date, dataset_revision }) => [
        dataset_id,
        task_id,
        value,
        date,
        dataset_revision,
      ]),
    ]),
    [
      [
        'kinds.yaml',
        true,
        [
          ['openai/gsm8k', 'gsm8k', 50, '2026-03-05T10:00:02.000Z', 'd'.repeat(40)],
          ['org/made', 'main', 8, '2026-03-05T10:00:02.000Z', 'd'.repeat(40)],
        ],
      ],
    ],
  );
  assert.equal(existsSync(at('kinds/out/junit.xml')), true);
});
