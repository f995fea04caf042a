import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import type { JournalRow } from '../nanoeval/run/journal.ts';
import type { Models } from '../nanoeval/run/models.ts';
import { task as hellaswagTask } from '../nanoeval/run_hellaswag.ts';
import { runTask } from '../nanoeval/task.ts';
import {
  type Loglikelihood,
  type LoglikelihoodRequest,
  type Model,
  OutsideError,
  type Question,
  RowError,
  type ScoredRow,
} from '../nanoeval/types.ts';
import { checkCache, type Fault, NO_HUB, startHub } from './data/hub_server.ts';
import { DEMO, ROOT, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('task');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const readRows = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JournalRow);
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

const hellaswag = (out: string, dataset = 'path: nanoeval/demo/data/hellaswag', rest = '') =>
  `task: hellaswag\nmodel: { model_id: ${DEMO} }\ndataset: { ${dataset} }\nreport: { output_dir: ${at(out)}, save_plot: false }\n${rest}`;

test('a run writes its files, prints the table alone on stdout and where the files are on stderr', async () => {
  mkdirSync(at('a'));
  const yaml = hellaswag('a/run', 'path: nanoeval/demo/data/hellaswag, subset_size: 30').replace(
    ', save_plot: false',
    '',
  );
  const { code, stdout, stderr } = await runWith('run_hellaswag', at('a'), yaml).finished;
  assert.equal(code, 0, stderr);
  assert.deepEqual(readdirSync(at('a/run')).sort(), [
    'accuracy.png',
    'accuracy.svg',
    'metrics.csv',
    'predictions.jsonl',
    'run.json',
    'summary.json',
  ]);
  const table = stdout.trimEnd().split('\n');
  assert.ok(table.length >= 6 && table.every((line) => line.startsWith('| ') && line.endsWith(' |')), stdout);
  assert.match(
    stderr,
    /^model .*checkpoint, fp32, \d+ MB, window \d+, tree runs\n[\s\S]*hellaswag +100 % +30\/30 rows[\s\S]*written: .*run\.json/,
  );
  const rows = readRows(at('a/run/predictions.jsonl')) as ScoredRow[];
  assert.deepEqual(
    rows.map((row) => row.index),
    Array.from({ length: 30 }, (_, i) => i),
  );
  const summary = readJson(at('a/run/summary.json'));
  assert.equal(summary.metrics.acc_norm.value, rows.reduce((sum, row) => sum + row.metrics.acc_norm!, 0) / 30);
  assert.equal(summary.primary_metric, 'acc_norm');
  for (const row of rows) {
    assert.equal(row.choices?.length, 4);
    assert.equal(row.correct, row.prediction === row.gold ? 1 : 0);
    for (const choice of row.choices ?? []) assert.ok(choice.logprob < 0 && choice.num_tokens > 0);
  }
});

test('a finished run answers at once with its table; overwrite keeps the old folder aside', async () => {
  mkdirSync(at('b'));
  const yaml = hellaswag('b/run', 'path: nanoeval/demo/data/hellaswag, subset_size: 3');
  const first = await runWith('run_hellaswag', at('b'), yaml).finished;
  assert.equal(first.code, 0, first.stderr);
  const before = readFileSync(at('b/run/predictions.jsonl'));
  const summary = readFileSync(at('b/run/summary.json'));
  const again = await runWith('run_hellaswag', at('b'), yaml).finished;
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.stdout, first.stdout);
  assert.match(
    again.stderr,
    /^hellaswag: done, 3 rows in \S+b\/run; run\.overwrite: true runs it again\nwritten: .*run\.json \S+predictions\.jsonl/,
  );
  assert.deepEqual(readFileSync(at('b/run/predictions.jsonl')), before);
  assert.deepEqual(readFileSync(at('b/run/summary.json')), summary);
  const over = await runWith('run_hellaswag', at('b'), `${yaml}run: { overwrite: true }\n`).finished;
  assert.equal(over.code, 0, over.stderr);
  assert.deepEqual(readFileSync(at('b/run.old-1/predictions.jsonl')), before);
  assert.ok(existsSync(at('b/run.old-1/summary.json')));
  assert.deepEqual(readFileSync(at('b/run/predictions.jsonl')), before);
});

test('SIGINT ends the run after the row at hand: complete rows, no summary, exit code 130', async () => {
  mkdirSync(at('c'));
  const run = runWith('run_hellaswag', at('c'), hellaswag('c/run'));
  const path = at('c/run/predictions.jsonl');
  const poll = setInterval(() => {
    if (!existsSync(path) || readFileSync(path, 'utf8').split('\n').length <= 4) return;
    run.kill('SIGINT');
    clearInterval(poll);
  }, 5);
  const { code, stdout, stderr } = await run.finished;
  clearInterval(poll);
  assert.equal(code, 130, stderr);
  assert.equal(stdout, '');
  const text = readFileSync(path, 'utf8');
  assert.ok(text.endsWith('\n'));
  const rows = readRows(path);
  assert.ok(rows.length >= 3 && rows.length < 190, `${rows.length} rows`);
  // Rows come as they are known: in any order, none twice.
  assert.equal(new Set(rows.map((row) => row.index)).size, rows.length);
  assert.ok(existsSync(at('c/run/run.json')) && !existsSync(at('c/run/summary.json')));
});

test('a permutation of the rows changes no verdict and no metric', async () => {
  mkdirSync(at('d'));
  const lines = readFileSync(join(ROOT, 'nanoeval/demo/data/hellaswag/validation.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(0, 60);
  const order = lines.map((_, i) => (i * 23 + 7) % lines.length);
  writeFileSync(at('d/plain.jsonl'), lines.join('\n'));
  writeFileSync(at('d/shuffled.jsonl'), order.map((i) => lines[i]).join('\n'));
  for (const name of ['plain', 'shuffled']) {
    const { code, stderr } = await runWith(
      'run_hellaswag',
      at('d'),
      hellaswag(`d/${name}`, `path: ${at('d', `${name}.jsonl`)}`),
    ).finished;
    assert.equal(code, 0, stderr);
  }
  const [plain, shuffled] = ['plain', 'shuffled'].map(
    (name) => readRows(at('d', name, 'predictions.jsonl')) as ScoredRow[],
  );
  for (const [place, from] of order.entries()) {
    const [found, expected] = [shuffled![place]!.choices!, plain![from]!.choices!];
    for (const [i, { logprob, ...rest }] of found.entries()) {
      // Other rows run together: rounding moves.
      assert.ok(Math.abs(logprob - expected[i]!.logprob) < 1e-4, `row ${from}, choice ${i}`);
      assert.deepEqual({ ...rest, logprob: 0 }, { ...expected[i]!, logprob: 0 });
    }
    assert.equal(shuffled![place]!.prediction, plain![from]!.prediction);
  }
  const values = (name: string) =>
    Object.entries(
      readJson(at('d', name, 'summary.json')).metrics as Record<string, { value: number; stderr: number }>,
    ).map(([metric, { value, stderr }]) => [metric, value.toFixed(12), stderr.toFixed(12)]);
  assert.deepEqual(values('shuffled'), values('plain'));
});

test('a subject that was asked for and has no rows makes the run invalid', async () => {
  mkdirSync(at('f'));
  const yaml = `task: mmlu
model: { model_id: ${DEMO} }
dataset: { path: nanoeval/demo/data/mmlu, subset_size: 2, subjects: [humanities, anatomy] }
scoring: { num_fewshot: 0 }
report: { output_dir: ${at('f/run')}, save_plot: false }
`;
  const { code, stderr } = await runWith('run_mmlu', at('f'), yaml).finished;
  assert.equal(code, 1, stderr);
  assert.match(stderr, /INVALID: dataset\.subjects: no row of anatomy\n$/);
  assert.equal(readJson(at('f/run/summary.json')).metrics.acc.n, 2);
});

test('letters are read from generated answers, and what is not a letter is unparsed', async () => {
  mkdirSync(at('e'));
  const yaml = `task: mmlu
model: { model_id: ${DEMO} }
dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }
scoring: { strategy: gen_letter, max_new_tokens: 4 }
report: { output_dir: ${at('e/run')}, save_plot: false }
`;
  const { code, stderr } = await runWith('run_mmlu', at('e'), yaml).finished;
  assert.equal(code, 0, stderr);
  const rows = readRows(at('e/run/predictions.jsonl')) as ScoredRow[];
  assert.equal(rows.length, 20);
  for (const row of rows) {
    assert.equal(typeof row.output, 'string');
    assert.equal(row.choices, undefined);
    assert.deepEqual(Object.keys(row.metrics), ['exact_match', 'acc']);
  }
  assert.equal(
    readJson(at('e/run/summary.json')).health.unparsed,
    rows.filter((row) => row.prediction === null).length,
  );
});

// ---------------------------------------------------------------- rows that fail, with a model that stands in

const IDENTITY: Model['identity'] = {
  model_id: 'a/model',
  revision: null,
  commit: null,
  backend: 'onnx',
  dtype: 'fp32',
  device: 'cpu',
  max_length: 1024,
  is_vlm: false,
  files: [],
  config_sha256: '',
  tokenizer_sha256: '',
  chat_template_sha256: null,
};

/** Answers from the words alone; `fails` says which contexts fail. `asked` and `planned`: what it answered, what it was shown. */
function standIn(fails: (context: string) => boolean) {
  const seen = { asked: [] as string[], planned: 0 };
  const answer = ({ context, continuation }: LoglikelihoodRequest): Loglikelihood => {
    if (fails(context)) throw new RowError('nan', 'broken logits');
    const logprob = -createHash('sha256').update(`${context}${continuation}`).digest().readUInt16BE(0) / 1000;
    return { logprob, num_tokens: 2, is_greedy: false, num_context_tokens: 3, truncated: false };
  };
  const model = {
    identity: IDENTITY,
    engine: { mode: 'auto', form: 'tree' },
    engineRemarks: [],
    engineStats: () => ({ runs: 0 }),
    countTokens: () => 1,
    close: async () => {},
    async *loglikelihoods(questions: AsyncIterable<Question<readonly LoglikelihoodRequest[]>>, signal: AbortSignal) {
      for await (const { place, content, done } of questions) {
        signal.throwIfAborted();
        seen.planned += 1;
        if (done) continue;
        seen.asked.push(content[0]!.context);
        try {
          yield { place, content: content.map(answer) };
        } catch (error) {
          yield { place, content: error as RowError };
        }
      }
    },
  } as unknown as Model;
  const models = {
    find: async () => ({ identity: IDENTITY }),
    open: async () => model,
    close: async () => {},
  } as unknown as Models;
  return { models, seen };
}

/** One run of the demo's HellaSwag rows in this process. */
async function inProcess(
  name: string,
  models: Models,
  keys: { run?: object; dataset?: object; scoring?: object } = {},
) {
  const said: string[] = [];
  const config = hellaswagTask.config.parse({
    task: 'hellaswag',
    model: { model_id: 'a/model' },
    dataset: { path: join(ROOT, 'nanoeval/demo/data/hellaswag'), ...keys.dataset },
    scoring: keys.scoring ?? {},
    run: { check_rows: 0, ...keys.run },
    report: { output_dir: at(name), save_plot: false },
  });
  const log = { info: (line: string) => void said.push(line), progress: () => {} };
  const { signal } = new AbortController();
  const result = await runTask(hellaswagTask, config, models, log, signal);
  return { result, said, text: readFileSync(at(name, 'predictions.jsonl'), 'utf8') };
}

test('a row that failed is tried again by the next run, and mended in its place; the others keep their bytes', async () => {
  const whole = await inProcess('never', standIn(() => false).models);
  const contexts = standIn(() => false);
  await inProcess('contexts', contexts.models);
  const broken = new Set([5, 130, 131].map((index) => contexts.seen.asked[index]!));
  const first = standIn((context) => broken.has(context));
  const once = await inProcess('mended', first.models, { run: { max_failed: 0.1 } });
  assert.deepEqual([once.result.health.failed, once.result.health.rows], [3, 200]);
  assert.equal(once.result.scores?.metrics.acc?.n, 197);
  const lines = once.text.trimEnd().split('\n');
  assert.deepEqual(JSON.parse(lines[130]!), {
    task: 'hellaswag',
    id: '130',
    index: 130,
    error: { kind: 'nan', message: 'broken logits' },
  });
  // Nothing mended yet: all three fail again, and are there once.
  const again = await inProcess('mended', standIn((context) => broken.has(context)).models, {
    run: { max_failed: 0.1 },
  });
  assert.equal(again.text, once.text);
  assert.match(again.said.join('\n'), /hellaswag: going on after 197 rows, 3 that failed are tried again/);
  const second = standIn(() => false);
  const mended = await inProcess('mended', second.models);
  assert.deepEqual(new Set(second.seen.asked), broken);
  // Both windows hold one: their other rows are planned with them.
  assert.equal(second.seen.planned, 200);
  assert.equal(mended.text, whole.text);
  assert.deepEqual(mended.result.scores, whole.result.scores);
  const done = await inProcess('mended', standIn(() => true).models);
  assert.match(done.said.join('\n'), /hellaswag: done, 200 rows/);
  const third = standIn(() => false);
  await inProcess('window', standIn((context) => context === contexts.seen.asked[5]).models, {
    run: { max_failed: 1 },
  });
  await inProcess('window', third.models);
  // The first window and the last one, which may have been left in the middle.
  assert.equal(third.seen.asked.length, 1);
});

test('too many failed rows: the run is invalid; it gives up once more of them failed than ever may', async () => {
  const few = standIn((context) => context.length % 40 === 0);
  const { result } = await inProcess('few', few.models);
  assert.ok(result.health.failed > 0 && result.health.failed <= 16, `${result.health.failed}`);
  assert.match(
    result.faults[0]!,
    /of 200 rows failed, more than run\.max_failed 0; the first: row \d+ \(id \d+\): broken logits/,
  );
  assert.equal(result.summary.status, 'invalid');
  for (const [max_failed, count] of [
    [0, 17],
    [0.05, 17],
    [0.25, 51],
  ] as const) {
    const name = `all_${count}_${max_failed}`;
    const all = standIn(() => true);
    await assert.rejects(inProcess(name, all.models, { run: { max_failed } }), (error) => {
      assert.ok(error instanceof OutsideError, String(error));
      assert.ok(
        error.message.startsWith(`gave up: ${count} of 200 rows failed, more than run.max_failed ${max_failed};`),
      );
      assert.match(error.message, /the last: row \d+ \(id \d+\): broken logits The same config goes on from here\.$/);
      return true;
    });
    assert.equal(readRows(at(name, 'predictions.jsonl')).length, count);
    assert.ok(!existsSync(at(name, 'summary.json')) && !existsSync(at(name, 'run.lock')));
    const mended = await inProcess(name, standIn(() => false).models, { run: { max_failed } });
    assert.equal(mended.text, readFileSync(at('never/predictions.jsonl'), 'utf8'));
  }
  const allowed = await inProcess('allowed', standIn(() => true).models, { run: { max_failed: 1 } });
  assert.match(allowed.result.faults[0]!, /^no row could be scored; the first: row 0/);
});

test('shards: blocks that are all rows together, each with its part of a sample', async () => {
  const whole = await inProcess('shard_whole', standIn(() => false).models, { dataset: { sample: 50 } });
  const parts = [];
  for (const n of [1, 2, 3])
    parts.push(
      await inProcess(`shard_${n}`, standIn(() => false).models, { dataset: { sample: 50 }, run: { shard: `${n}/3` } }),
    );
  assert.deepEqual(
    parts.map(({ result }) => result.health.rows),
    [16, 17, 17],
  );
  assert.equal(parts.map(({ text }) => text).join(''), whole.text);
});

/** A run whose checkpoint and rows both come from a local hub that has these faults. */
async function runThroughHub(
  t: TestContext,
  faults: (Fault | string)[],
  options: { args?: string[]; model?: string; env?: Record<string, string> } = {},
) {
  const hub = await startHub(t, ['--model', `demo/tiny=${join(ROOT, DEMO)}`, ...(options.args ?? [])]);
  await hub.arm(...faults);
  const yaml = `task: hellaswag
model: { model_id: ${options.model ?? 'demo/tiny'} }
dataset: { subset_size: 2 }
report: { output_dir: ${join(hub.home, 'run')}, save_plot: false }
`;
  const started = performance.now();
  const outcome = await runWith('run_hellaswag', hub.home, yaml, {
    HF_ENDPOINT: hub.url,
    HF_HOME: hub.home,
    HF_TOKEN: 'hf_local_ok',
    HF_HUB_DOWNLOAD_TIMEOUT: '1',
    HF_HUB_ETAG_TIMEOUT: '1',
    ...options.env,
  }).finished;
  const seconds = (performance.now() - started) / 1000;
  checkCache(join(hub.home, 'hub'));
  assert.deepEqual(
    (await hub.log()).filter((line) => line.leak),
    [],
    'the token reached the CDN',
  );
  assert.ok(!/hf_local/.test(outcome.stdout + outcome.stderr), 'the token stands in the output');
  const lines = outcome.stderr.trimEnd().split('\n');
  return { ...outcome, seconds, last: lines.at(-1) ?? '', rows: join(hub.home, 'run/predictions.jsonl') };
}

describe('a run through a hub that fails and recovers', { skip: NO_HUB, concurrency: 2 }, () => {
  const faults = [
    '503x3',
    '500x2',
    '429x2',
    'cutx2',
    'truncatex2',
    'truncate-silentx2',
    'corruptx1',
    'stallx2',
    'redirect-loopx3',
    'range-ignored',
    'etag-change',
    'expired',
  ];
  for (const fault of [...faults, { fault: 'slowx1', match: 'parquet', host: 'cdn' } as const]) {
    test(JSON.stringify(fault), async (t) => {
      const { code, stderr, rows } = await runThroughHub(t, [fault]);
      assert.equal(code, 0, stderr);
      assert.equal(readRows(rows).length, 2);
    });
  }
});

describe('a run through a hub that does not recover ends in one line, in time', {
  skip: NO_HUB,
  concurrency: 2,
}, () => {
  for (const fault of ['503', '429', 'cut', 'truncate-silent', 'corrupt', 'stall', 'redirect-loop']) {
    test(fault, async (t) => {
      const { code, last, stdout, seconds, rows } = await runThroughHub(t, [fault]);
      assert.equal(code, 3, last);
      assert.equal(stdout, '');
      assert.match(last, /demo\/tiny|Rowan\/hellaswag|127\.0\.0\.1/);
      assert.ok(seconds < 60, `${seconds} s`);
      assert.deepEqual(existsSync(rows) ? readRows(rows) : [], []);
    });
  }
  const refusals: [string, { args?: string[]; model?: string; env?: Record<string, string> }, RegExp][] = [
    ['missing', { model: 'demo/none' }, /^\S+run_hellaswag\.yaml:2:20: model\.model_id: \S+ has no model "demo\/none"/],
    ['gated, no token', { args: ['--gated', 'demo/tiny'], env: { HF_TOKEN: '' } }, /^demo\/tiny: .*licence.*HF_TOKEN/],
    [
      'gated, not granted',
      { args: ['--gated', 'demo/tiny'], env: { HF_TOKEN: 'hf_local_denied' } },
      /^demo\/tiny: .*no access.*licence/,
    ],
    ['private', { args: ['--private', 'demo/tiny'], env: { HF_TOKEN: '' } }, /HF_TOKEN/],
    [
      'gated data set',
      { args: ['--gated', 'Rowan/hellaswag'], env: { HF_TOKEN: '' } },
      /^Rowan\/hellaswag: .*licence.*HF_TOKEN/,
    ],
  ];
  for (const [name, options, message] of refusals) {
    test(name, async (t) => {
      const { code, last, stdout } = await runThroughHub(t, [], options);
      assert.equal(code, 2, last);
      assert.match(last, message);
      assert.equal(stdout, '');
    });
  }
});
