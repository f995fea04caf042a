/**
 * Servers that a config starts, through the real programs: ready late, never, not at all; ended with the run however that ends.
 * `NANOEVAL_TEST_ALL=1` starts and stops fifty of them.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isThere } from './model/server/alive.ts';
import { answer, answerTo, fakeServer } from './model/server/fake_server.ts';
import { runWith, type Spawned, temporaryFolder } from './spawn.ts';

const skip = process.platform === 'win32';
const FAKE = fileURLToPath(new URL('model/server/fake_program.ts', import.meta.url));
const temporary = temporaryFolder('started');
after(() => temporary.remove());

const ROWS = 12;
const rows = Array.from({ length: ROWS }, (_, i) => ({
  id: `r${i}`,
  prompt: `row ${i}`,
  target: answerTo(`row ${i}`).trim(),
}));

let count = 0;
interface Given {
  /** Behind the fake server's own arguments. */
  args?: (string | number)[];
  server?: object;
  model?: object;
  env?: Record<string, string>;
  folder?: string;
}

/** A run of its own folder over a fake llama-server that it starts. */
function begin({ args = [], server = {}, model = {}, env = {}, folder }: Given = {}) {
  count += 1;
  const place = folder ?? join(temporary.path, `${count}`);
  // A hub's name: the program that stands for llama-server loads nothing.
  const command = [process.execPath, '--import', 'tsx', FAKE];
  const own = { command, model: 'org/toy', args, ready_timeout: 60, ...server };
  const config = {
    task: 'rollout',
    model: { model_id: 'toy', backend: 'llama_cpp', server: own, max_concurrency: 2, ...model },
    dataset: { rows },
    run: { check_rows: 0 },
    report: { output_dir: join(place, 'out'), save_plot: false },
  };
  return { run: launch('run_rollout', place, config, env), out: join(place, 'out'), place };
}

function launch(program: string, place: string, config: object, env: Record<string, string> = {}): Spawned {
  if (!existsSync(place)) mkdirSync(place, { recursive: true });
  return runWith(program, place, JSON.stringify(config), env);
}

const logOf = (out: string) =>
  existsSync(join(out, 'server.log')) ? readFileSync(join(out, 'server.log'), 'utf8') : '';
/** The processes that the fake servers of a log were. */
const pidsIn = (log: string) => [...log.matchAll(/^(?:server|child) (\d+)$/gm)].map((match) => Number(match[1]));
const rowsIn = (out: string) => {
  const path = join(out, 'predictions.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
};

/** Those of them that are still there after two seconds. */
async function left(out: string, least = 1): Promise<number[]> {
  const pids = pidsIn(logOf(out));
  assert.ok(pids.length >= least, `${pids.length} processes in ${out}/server.log`);
  // On a busy machine the system takes a while to take a killed process away.
  for (let i = 0; i < 400 && pids.some(isThere); i += 1) await sleep(50);
  return pids.filter(isThere);
}

async function until(what: () => boolean, name: string): Promise<void> {
  for (let i = 0; i < 1200; i += 1) {
    if (what()) return;
    await sleep(50);
  }
  throw new Error(`it never came to: ${name}`);
}

test('a server that is ready late answers the run, is ended with it, and its key is nowhere', { skip }, async () => {
  const { run, out } = begin({
    args: ['--late', 700, '--child'],
    model: { api_key_env: 'TOY_KEY' },
    env: { TOY_KEY: 'sk-secret' },
  });
  const { code, stdout, stderr } = await run.finished;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^server: node is started on port \d+, its log is .*out\/server\.log$/m);
  assert.match(stderr, /^server: ready after \d+\.\d s$/m);
  assert.deepEqual(await left(out, 2), []);
  assert.equal(rowsIn(out).length, ROWS);
  const record = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'));
  assert.deepEqual([record.server.started, record.server.kind, record.model.label], [true, 'llama.cpp', 'toy']);
  assert.equal(JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8')).metrics.acc.value, 1);
  const written = readdirSync(out).map((name) => readFileSync(join(out, name), 'utf8'));
  assert.doesNotMatch([stdout, stderr, ...written].join('\n'), /sk-secret/);
});

test('one that dies while it starts, and one that is never ready: exit code 2 and its last words in one line', {
  skip,
}, async () => {
  const dying = begin({ args: ['--die', 5] });
  const never = begin({ args: ['--late', 600_000], server: { ready_timeout: 3 } });
  const [died, waited] = [await dying.run.finished, await never.run.finished];
  const last = ({ stderr }: { stderr: string }) => stderr.trimEnd().split('\n').at(-1)!;
  assert.equal(died.code, 2, died.stderr);
  assert.match(
    last(died),
    /^.*run_rollout\.yaml:1:\d+: model\.server: node ended before it was ready \(exit code 5\)\. Its log \(.*server\.log\) ends: server \d+ \| loading the model \| error: the model file is broken$/,
  );
  assert.equal(waited.code, 2, waited.stderr);
  assert.match(last(waited), /model\.server\.ready_timeout: node was not ready after 3 s\. .*ends: server \d+$/);
  for (const { out } of [dying, never]) assert.deepEqual(await left(out), []);
});

test('one server for all tasks of a suite', { skip }, async () => {
  const place = join(temporary.path, 'suite');
  const command = [process.execPath, '--import', 'tsx', FAKE];
  const task = (name: string, from: number) => ({
    task: 'rollout',
    name,
    dataset: { rows: rows.slice(from) },
    report: { save_plot: false },
  });
  const suite = {
    suite: { name: 's', output_root: join(place, 'out') },
    model: { model_id: 'toy', backend: 'llama_cpp', server: { command, model: 'org/toy' } },
    run: { check_rows: 0 },
    tasks: [task('one', 0), task('two', 6)],
  };
  const { code, stderr } = await launch('suite', place, suite).finished;
  assert.equal(code, 0, stderr);
  assert.equal(stderr.match(/server: node is started/g)?.length, 1, stderr);
  assert.equal(pidsIn(logOf(join(place, 'out'))).length, 1);
  assert.deepEqual(await left(join(place, 'out')), []);
});

test('a server that dies in mid-run ends the run with 3; the same config goes on, and no row is there twice', {
  skip,
}, async () => {
  const dying = begin({ args: ['--die-after', 9, '--latency', 100] });
  const { code, stderr } = await dying.run.finished;
  assert.equal(code, 3, stderr);
  assert.match(
    stderr.trimEnd().split('\n').at(-1)!,
    /^node ended while the run went on \(signal 9\)\. The same config goes on/,
  );
  const before = rowsIn(dying.out);
  assert.ok(before.length > 0 && before.length < ROWS, `${before.length} rows`);
  const { finished } = begin({ folder: dying.place }).run;
  const again = await finished;
  assert.equal(again.code, 0, again.stderr);
  const whole = rowsIn(dying.out);
  assert.deepEqual(
    whole.map((line) => JSON.parse(line).id),
    rows.map((_, i) => String(i)),
  );
  for (const line of before) assert.ok(whole.includes(line), `a row was lost: ${line}`);
  assert.deepEqual(await left(dying.out, 2), []);
});

test('signals end the server too', { skip }, async () => {
  for (const [signal, wanted] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const { run, out } = begin({ args: ['--latency', 400, '--child'] });
    await until(() => rowsIn(out).length > 0, `a row before ${signal}`);
    run.kill(signal);
    const { code, stderr } = await run.finished;
    assert.equal(code, wanted, stderr);
    assert.deepEqual(await left(out, 2), [], signal);
  }
});

test('SIGKILL of ours over a server that fails now and then: resumed, no row is lost and none is there twice', {
  skip,
}, async (t) => {
  let seen = 0;
  const fake = await fakeServer(t, {
    kind: 'llama.cpp',
    latencyMs: 150,
    fault: ({ path }, response) => {
      if (path !== '/v1/completions') return undefined;
      seen += 1;
      if (seen % 5 === 0) answer(response, 429, {}, { 'retry-after': '0.05' });
      else if (seen % 7 === 0) answer(response, 503, '<html>busy</html>');
      else if (seen % 11 === 0) response.destroy();
      else return undefined;
      return true;
    },
  });
  const port = Number(new URL(fake.url).port);
  const place = join(temporary.path, 'killed');
  const given = { server: { port, autostart: false, command: undefined, model: undefined }, folder: place };
  let before: string[] = [];
  for (const most of [2, 5, 8]) {
    const { run, out } = begin(given);
    await Promise.race([until(() => rowsIn(out).length >= most, `${most} rows`), run.finished]);
    run.kill('SIGKILL');
    const killed = await run.finished;
    assert.equal(killed.code, null, killed.stderr);
    const now = rowsIn(out);
    for (const line of before) assert.ok(now.includes(line), `a row was lost: ${line}`);
    before = now;
  }
  const { run, out } = begin(given);
  const { code, stderr } = await run.finished;
  assert.equal(code, 0, stderr);
  const whole = rowsIn(out).map((line) => JSON.parse(line));
  assert.deepEqual(
    whole.map(({ id, output }) => [id, output]),
    rows.map(({ prompt }, i) => [String(i), answerTo(prompt)]),
  );
});

test('a server that ignores SIGTERM is killed', { skip }, async () => {
  const { run, out } = begin({ args: ['--deaf'] });
  const { code, stderr } = await run.finished;
  assert.equal(code, 0, stderr);
  assert.match(logOf(out), /^SIGTERM is ignored$/m);
  assert.deepEqual(await left(out), []);
});

test('no process is left by starts and stops, some of them by SIGKILL of ours at any moment', { skip }, async (t) => {
  const [starts, kills] = process.env.NANOEVAL_TEST_ALL === '1' ? [50, 10] : [4, 2];
  const every = starts / kills;
  let killed = 0;
  for (let i = 0; i < starts; i += 1) {
    const isKilled = i % every === 0;
    const { run, out } = begin({ args: ['--child', ...(isKilled ? ['--latency', 300] : [])] });
    if (isKilled) {
      // While it loads, and at one row after the other.
      await until(
        () => pidsIn(logOf(out)).length === 2 && rowsIn(out).length >= Math.min(6, killed),
        'the moment of a kill',
      );
      run.kill('SIGKILL');
      killed += 1;
    }
    const { code, stderr } = await run.finished;
    assert.equal(code, isKilled ? null : 0, stderr);
    assert.deepEqual(await left(out, 2), [], `start ${i}`);
  }
  t.diagnostic(`${starts} starts, ${killed} kills`);
  assert.equal(killed, kills);
});
