import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describeError, EXIT } from '../nanoeval/program.ts';
import type { ScoredRow } from '../nanoeval/questions.ts';
import type { JournalRow } from '../nanoeval/run/journal.ts';
import { IncomparableError, Interrupted, OutsideError, UserError } from '../nanoeval/types.ts';
import { openFaults } from './config/faults.ts';
import { checkCache, type Fault, NO_HUB, startHub } from './data/hub_server.ts';
import { runHereWith } from './in_process.ts';
import { DEMO, ROOT, runWith } from './spawn.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-program-'));
after(() => rmSync(folder, { recursive: true }));
const url = (path: string) => pathToFileURL(fileURLToPath(new URL(`../nanoeval/${path}`, import.meta.url))).href;

/** A program of three lines whose body is `body`; `onOut` sees what it prints. */
function runBody(
  body: string,
  onOut: (text: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
  link = false,
  stdio: { out?: number; err?: number; closed?: boolean } = {},
) {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.mts`);
  writeFileSync(
    path,
    `import { runProgram, isProgram } from '${url('program.ts')}';
import { UserError, OutsideError, Interrupted } from '${url('types.ts')}';
if (isProgram(import.meta.url)) await runProgram(async (log, signal) => { ${body} });`,
  );
  const started = link ? `${path}.link.mts` : path;
  if (link) symlinkSync(path, started);
  const child = spawn(process.execPath, ['--import', 'tsx', started], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', stdio.out ?? 'pipe', stdio.err ?? 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  if (stdio.closed) child.stdout?.destroy();
  child.stdout?.on('data', (data: Buffer) => {
    stdout += data;
    onOut(stdout, (signal) => child.kill(signal));
  });
  child.stderr?.on('data', (data: Buffer) => {
    stderr += data;
  });
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

test('errors become their exit code and one line, bugs a stack', () => {
  assert.deepEqual(describeError(new UserError('a.yaml:1:1: x')), { code: 2, text: 'a.yaml:1:1: x' });
  assert.deepEqual(describeError(new OutsideError('hub: gone')), { code: 3, text: 'hub: gone' });
  assert.equal(describeError(new Interrupted()).code, 130);
  const bug = describeError(new TypeError('oh'));
  assert.equal(bug.code, 70);
  assert.match(bug.text, /please report it:\nTypeError: oh\n\s+at /);
  assert.deepEqual(describeError(new IncomparableError('out: other rows')), { code: 5, text: 'out: other rows' });
  const own = { done: 0, invalid: 1, user: 2, outside: 3, unsure: 4, incomparable: 5 };
  assert.deepEqual(EXIT, { ...own, bug: 70, interrupted: 130 });
});

test('the program ends with the code of its body or of its error, and prints the line on stderr alone', async () => {
  const cases = [
    { body: 'return 0;', code: 0, stderr: '' },
    { body: 'return 1;', code: 1, stderr: '' },
    { body: "throw new UserError('c.yaml:2:3: task: no');", code: 2, stderr: 'c.yaml:2:3: task: no\n' },
    { body: "throw new OutsideError('disk full');", code: 3, stderr: 'disk full\n' },
  ];
  const results = await Promise.all(cases.map(({ body }) => runBody(body)));
  assert.deepEqual(
    results.map(({ code, stderr, stdout }) => ({ code, stderr, stdout })),
    cases.map(({ code, stderr }) => ({ code, stderr, stdout: '' })),
  );
});

test('a bug ends with 70 wherever it happens, never as 1', async () => {
  const bodies = [
    "throw new TypeError('in the body');",
    "setImmediate(() => { throw new TypeError('in a callback'); }); await new Promise(() => setInterval(() => {}, 50));",
    "void Promise.reject(new TypeError('in a promise')); await new Promise(() => setInterval(() => {}, 50));",
  ];
  for (const { code, stderr } of await Promise.all(bodies.map((body) => runBody(body)))) {
    assert.equal(code, 70);
    assert.match(stderr, /a bug in NanoEval.*\nTypeError: in (the body|a callback|a promise)\n\s+at /);
  }
});

test('the first SIGINT lets the row at hand end, the second ends at once; both with 130', async () => {
  const graceful = await runBody(
    "process.stdout.write('ready'); const t = setInterval(() => {}, 50); await new Promise((r) => signal.addEventListener('abort', r)); clearInterval(t); process.stdout.write(' row done'); signal.throwIfAborted(); return 0;",
    (out, kill) => out === 'ready' && kill('SIGINT'),
  );
  assert.deepEqual([graceful.code, graceful.stdout], [130, 'ready row done']);
  assert.match(graceful.stderr, /stopping after the row at hand.*\ninterrupted; every finished row is kept\.\n$/);
  const hard = await runBody(
    "process.stdout.write('ready'); setInterval(() => {}, 50); signal.addEventListener('abort', () => process.stdout.write(' again')); await new Promise(() => {}); return 0;",
    (out, kill) => (out === 'ready' || out === 'ready again') && kill('SIGINT'),
  );
  assert.equal(hard.code, 130);
});

test('SIGTERM and a closed terminal interrupt too, with 128 and the number of the signal', async () => {
  const body = (more: string) =>
    `process.stdout.write('ready'); const t = setInterval(() => {}, 50); await new Promise((r) => signal.addEventListener('abort', r)); ${more} clearInterval(t); process.stdout.write(' row done'); signal.throwIfAborted(); return 0;`;
  // A shell that goes passes on what the terminal has sent already.
  const twice =
    "const second = new Promise((r) => process.once('SIGHUP', r)); process.stdout.write(' again'); await second;";
  const [term, hup] = await Promise.all([
    runBody(body(''), (out, kill) => out === 'ready' && kill('SIGTERM')),
    runBody(body(twice), (out, kill) => (out === 'ready' || out === 'ready again') && kill('SIGHUP')),
  ]);
  const said = /^stopping after the row at hand.*\ninterrupted; every finished row is kept\.\n$/;
  assert.deepEqual(
    [term.code, term.stdout, hup.code, hup.stdout],
    [143, 'ready row done', 129, 'ready again row done'],
  );
  assert.match(term.stderr, said);
  assert.match(hup.stderr, said);
});

test('what cannot be printed stops no run, and makes its exit code 3', {
  skip: existsSync('/dev/full') ? false : 'needs /dev/full',
}, async () => {
  const full = openSync('/dev/full', 'w');
  const body = (code: number) =>
    `log.info('one'); log.print('table'); await new Promise(setImmediate); log.info('two'); return ${code};`;
  const [out, err, both, invalid, gone] = await Promise.all([
    runBody(body(0), undefined, false, { out: full }),
    runBody(body(0), undefined, false, { err: full }),
    runBody(body(0), undefined, false, { out: full, err: full }),
    runBody(body(1), undefined, false, { out: full }),
    runBody(body(0), undefined, false, { closed: true }),
  ]);
  closeSync(full);
  const line = 'stdout could not be written: ENOSPC: no space left on device, write.';
  assert.deepEqual([out.code, out.stderr], [3, `one\ntwo\n${line} The files are complete.\n`]);
  assert.deepEqual([err.code, err.stdout], [3, 'table']);
  assert.equal(both.code, 3);
  assert.deepEqual([invalid.code, invalid.stderr], [1, `one\ntwo\n${line}\n`]);
  assert.deepEqual(
    [gone.code, gone.stderr],
    [3, 'one\ntwo\nstdout could not be written: write EPIPE. The files are complete.\n'],
  );
});

test('a program started through a link is started; one that is imported is not', async () => {
  assert.equal((await runBody('return 1;', undefined, true)).code, 1);
});

// ---------------------------------------------------------------- the wrong program

const faults = openFaults();
faults.mmlu(
  'another task',
  'task: hellaswag\nmodel:\n  model_id: a/b\n',
  'FILE:1:7: task: "hellaswag" is not mmlu. Run it with npx tsx nanoeval/run_hellaswag.ts.',
);
faults.hellaswag(
  'no task at all',
  'task: helaswag\nmodel:\n  model_id: a/b\n',
  'FILE:1:7: task: "helaswag" is not hellaswag. This program reads task: hellaswag.',
);
faults.mmlu(
  'a suite',
  'suite:\n  name: a\nmodel:\n  model_id: a/b\ntasks:\n  - task: mmlu\n',
  'FILE:5:1: tasks: this is a suite. Run it with NANOEVAL_SUITE=FILE npx tsx nanoeval/suite.ts.',
);
faults.suite(
  'the file of a task',
  'task: mmlu\nmodel:\n  model_id: a/b\n',
  'FILE:1:7: task: this is the file of one task. Run it with NANOEVAL_CONFIG=FILE npx tsx nanoeval/run_mmlu.ts.',
);
faults.checkAll('the file of another program is told with the right one');

// ---------------------------------------------------------------- a task file run by hand

const at = (...parts: string[]) => join(folder, ...parts);
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
  const [dated, ...others] = readdirSync(at('a/run')).sort();
  assert.match(dated!, /^\d{4}-\d{2}-\d{2}_local_checkpoint_hellaswag\.json$/);
  assert.deepEqual(others, [
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
    /^model .*checkpoint, fp32, \d+ MB, window \d+, tree form\n[\s\S]*hellaswag +100 % +30\/30 rows[\s\S]*written: .*run\.json/,
  );
  const rows = readRows(at('a/run/predictions.jsonl')) as ScoredRow[];
  assert.deepEqual(
    rows.map((row) => row.index),
    Array.from({ length: 30 }, (_, i) => i),
  );
  const summary = readJson(at('a/run/summary.json'));
  assert.equal(summary.metrics.acc_norm.value, rows.reduce((sum, row) => sum + row.metrics.acc_norm!, 0) / 30);
  assert.deepEqual(summary.primary, { name: 'acc_norm', unit: 'share', better: 'higher', chance: 0.25 });
  for (const row of rows) {
    assert.equal(row.choices?.length, 4);
    assert.equal(row.correct, row.prediction === row.gold ? 1 : 0);
    for (const choice of row.choices ?? []) assert.ok(choice.logprob < 0 && choice.num_tokens > 0);
  }
});

test('a finished run answers at once with its table; overwrite keeps the old folder aside', async () => {
  mkdirSync(at('b'));
  const yaml = hellaswag('b/run', 'path: nanoeval/demo/data/hellaswag, subset_size: 3');
  const first = await runHereWith('run_hellaswag', at('b'), yaml);
  assert.equal(first.code, 0, first.stderr);
  const before = readFileSync(at('b/run/predictions.jsonl'));
  const summary = readFileSync(at('b/run/summary.json'));
  const again = await runHereWith('run_hellaswag', at('b'), yaml);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.stdout, first.stdout);
  assert.match(
    again.stderr,
    /^hellaswag: done, 3 rows in \S+b\/run; run\.overwrite: true runs it again\nwritten: .*run\.json \S+predictions\.jsonl/,
  );
  const resultFile = () => readdirSync(at('b/run')).filter((name) => /^\d{4}-/.test(name));
  const [result] = resultFile();
  assert.equal(result?.slice(10), '_local_checkpoint_hellaswag.json');
  assert.ok(first.stderr.includes(result!) && again.stderr.includes(result!), again.stderr);
  const { benchmarks } = readJson(join(at('b/run'), result!));
  const { metrics } = readJson(at('b/run/summary.json'));
  assert.deepEqual(benchmarks, {
    hellaswag: { benchmark: 'hellaswag', questions: 3, n_samples: 1, overall_score: metrics.acc_norm.value },
  });
  assert.deepEqual(readFileSync(at('b/run/predictions.jsonl')), before);
  assert.deepEqual(readFileSync(at('b/run/summary.json')), summary);
  const over = await runHereWith('run_hellaswag', at('b'), `${yaml}run: { overwrite: true }\n`);
  assert.equal(over.code, 0, over.stderr);
  assert.deepEqual(readFileSync(at('b/run.old-1/predictions.jsonl')), before);
  assert.ok(existsSync(at('b/run.old-1/summary.json')) && existsSync(join(at('b/run.old-1'), result!)));
  assert.equal(resultFile().length, 1);
  assert.deepEqual(readFileSync(at('b/run/predictions.jsonl')), before);
});

test('SIGINT ends the run after the row at hand: complete rows, no summary, exit code 130', async () => {
  mkdirSync(at('c'));
  const run = runWith('run_hellaswag', at('c'), hellaswag('c/run'), { NANOEVAL_TEST_KILL: 'row:4:SIGINT' });
  const path = at('c/run/predictions.jsonl');
  const { code, stdout, stderr } = await run.finished;
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

interface Hub {
  args?: string[];
  model?: string;
  env?: Record<string, string>;
  /** As a process: one that waits for the hub leaves this one to the others. */
  isSpawned?: boolean;
}

/** A run whose checkpoint and rows both come from a local hub that has these faults. */
async function runThroughHub(t: TestContext, faults: (Fault | string)[], options: Hub = {}) {
  const hub = await startHub(t, ['--model', `demo/tiny=${join(ROOT, DEMO)}`, ...(options.args ?? [])]);
  await hub.arm(...faults);
  const yaml = `task: hellaswag
model: { model_id: ${options.model ?? 'demo/tiny'} }
dataset: { subset_size: 2 }
report: { output_dir: ${join(hub.home, 'run')}, save_plot: false }
`;
  const started = performance.now();
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: hub.home,
    HF_TOKEN: 'hf_local_ok',
    HF_HUB_DOWNLOAD_TIMEOUT: '1',
    // No fault holds headers back; on a busy machine they take more than a second.
    HF_HUB_ETAG_TIMEOUT: '20',
    ...options.env,
  };
  const { isSpawned = false } = options;
  const outcome = await (isSpawned
    ? runWith('run_hellaswag', hub.home, yaml, env).finished
    : runHereWith('run_hellaswag', hub.home, yaml, env));
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

/** Every fault has its tests in data/download.test.ts; here are some of each kind, and all with NANOEVAL_TEST_ALL=1. */
const isAll = process.env.NANOEVAL_TEST_ALL === '1';

describe('a run through a hub that fails and recovers', { skip: NO_HUB, concurrency: 3 }, () => {
  const faults = ['503x3', 'cutx2', 'corruptx1', 'stallx2', 'etag-change'];
  const more = ['500x2', '429x2', 'truncatex2', 'truncate-silentx2', 'redirect-loopx3', 'range-ignored', 'expired'];
  const slow: Fault = { fault: 'slowx1', match: 'parquet', host: 'cdn' };
  for (const fault of isAll ? [...faults, ...more, slow] : faults) {
    test(JSON.stringify(fault), async (t) => {
      const { code, stderr, rows } = await runThroughHub(t, [fault], { isSpawned: true });
      assert.equal(code, 0, stderr);
      assert.equal(readRows(rows).length, 2);
    });
  }
});

describe('a run through a hub that does not recover ends in one line, in time', {
  skip: NO_HUB,
  concurrency: 3,
}, () => {
  const faults = ['503', 'cut', 'corrupt', 'stall'];
  for (const fault of isAll ? [...faults, '429', 'truncate-silent', 'redirect-loop'] : faults) {
    test(fault, async (t) => {
      const { code, last, stdout, seconds, rows } = await runThroughHub(t, [fault], { isSpawned: true });
      assert.equal(code, 3, last);
      assert.equal(stdout, '');
      assert.match(last, /demo\/tiny|Rowan\/hellaswag|127\.0\.0\.1/);
      assert.ok(seconds < 60, `${seconds} s`);
      assert.deepEqual(existsSync(rows) ? readRows(rows) : [], []);
    });
  }
  const refusals: [string, Hub, RegExp][] = [
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
