/** Starts the local hub server and the child program for the data tests, and looks at what they leave behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Done, doJob, type Job } from './fetch_program.ts';

const SERVER = fileURLToPath(new URL('../../../shared/hub/serve_hub.mjs', import.meta.url));
const PROGRAM = fileURLToPath(new URL('./fetch_program.ts', import.meta.url));

/** Set as `skip` of every test that needs the server. */
export const NO_HUB = existsSync(SERVER) ? false : 'needs ../shared/hub: the local hub server';
export const HUB_FILES = fileURLToPath(new URL('../../../shared/hub/', import.meta.url));

export interface LogLine {
  host: 'hub' | 'cdn';
  method: string;
  path: string;
  range: string | null;
  status: number;
  auth: boolean;
  leak?: boolean;
  fault?: string;
}

export interface Fault {
  fault: string;
  match?: string;
  host?: 'hub' | 'cdn';
  after?: number;
  rate?: number;
  retry_after?: number;
}

export interface Outcome {
  exit: number | null;
  done: Done;
  stderr: string;
  seconds: number;
}

/** One server, one empty HF_HOME, both gone when the test ends. */
export interface Hub {
  url: string;
  home: string;
  arm(...faults: (Fault | string)[]): Promise<void>;
  log(): Promise<LogLine[]>;
  /** Does a job in this process. */
  run(job: Job, env?: Record<string, string>): Promise<Outcome>;
  /** The same in a process of its own, ended by `kill` once bytes have come: partial files have the name of their process. */
  runApart(job: Job, env?: Record<string, string>, kill?: NodeJS.Signals): Promise<Outcome>;
}

/** A temporary folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval_data_'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** All that a generator yields; Array.fromAsync is not in Node 20. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

/** The environment with nothing of this process's hub settings. */
const cleanEnv = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HF_|HUGGING|XDG_)/.test(name)));

/** What holds of every outcome: no secrets, errors of one line, no bug. */
function checked(outcome: Outcome, stdout: string, token: string | undefined): Outcome {
  const { exit, done, stderr } = outcome;
  const text = stdout + stderr;
  for (const secret of [token, 'hf_local_ok', 'hf_local_denied']) {
    if (secret) assert.ok(!text.includes(secret), `the token stands in the output: ${text}`);
  }
  assert.ok(!/Signature=/.test(text), `a signed address stands in the output: ${text}`);
  if (exit !== 0 && exit !== null) assert.ok(!done.error?.message.includes('\n'), `one line: ${done.error?.message}`);
  assert.notEqual(exit, 70, stderr);
  return outcome;
}

/** Does a job in this process, with nothing of its hub settings. */
export async function runJob(job: Job, env: Record<string, string>): Promise<Outcome> {
  const started = performance.now();
  let stderr = '';
  const say = (line: string) => {
    stderr += `${line}\n`;
  };
  const { exit, done } = await doJob(job, { env: { ...cleanEnv(), ...env }, say });
  const seconds = (performance.now() - started) / 1000;
  // As it would be printed: without what JSON leaves out.
  const stdout = JSON.stringify(done);
  return checked({ exit, done: JSON.parse(stdout) as Done, stderr, seconds }, stdout, env.HF_TOKEN);
}

/** The same as a child program, ended by `kill` once a download has begun. */
async function runJobApart(job: Job, env: Record<string, string>, kill?: NodeJS.Signals): Promise<Outcome> {
  const started = performance.now();
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, JSON.stringify(job)], {
    env: { ...cleanEnv(), ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
    if (kill !== undefined && stderr.includes('bytes have come')) child.kill(kill);
  });
  const exit = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const done = stdout.trim() === '' ? {} : (JSON.parse(stdout) as Done);
  return checked({ exit, done, stderr, seconds: (performance.now() - started) / 1000 }, stdout, env.HF_TOKEN);
}

/** Starts the hub server with these arguments. */
export async function startHub(t: TestContext, args: string[] = []): Promise<Hub> {
  const home = temporaryFolder(t);
  const server = spawn(process.execPath, [SERVER, '--port', '0', '--quiet', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => server.kill());
  const [first] = (await new Promise<string[]>((resolve, reject) => {
    createInterface({ input: server.stdout }).once('line', (line) => resolve([line]));
    server.once('exit', (code) => reject(new Error(`the hub server ended with ${code}`)));
  })) as [string];
  const { hub: url } = JSON.parse(first) as { hub: string };
  const checkedRun = async (run: typeof runJob, job: Job, env: Record<string, string> = {}): Promise<Outcome> => {
    // Short where a fault of the server has to be waited out. No fault holds headers back: their limits are long, since
    // on a busy machine the first request alone may take seconds.
    const timeouts = { HF_HUB_DOWNLOAD_TIMEOUT: '1', HF_HUB_ETAG_TIMEOUT: '20' };
    const limits = { backoffMs: 20, headersTimeoutMs: 20_000, ...job.limits };
    const outcome = await run({ ...job, limits }, { HF_ENDPOINT: url, HF_HOME: home, ...timeouts, ...env });
    checkCache(join(home, 'hub'));
    const leaks = (await hub.log()).filter((line) => line.leak);
    assert.deepEqual(leaks, [], 'the token reached the CDN');
    return outcome;
  };
  // A connection that is kept may be closed by the server in the moment of the next request.
  const headers = { connection: 'close' };
  const hub: Hub = {
    url,
    home,
    async arm(...faults) {
      const body = JSON.stringify(
        faults.map((one) => (typeof one === 'string' ? { fault: one, retry_after: 0 } : one)),
      );
      const answer = await fetch(`${url}/__fault`, { method: 'POST', body, headers });
      assert.equal(answer.status, 200, await answer.text());
    },
    async log() {
      return (await (await fetch(`${url}/__log`, { headers })).json()) as LogLine[];
    },
    run: (job, env) => checkedRun(runJob, job, env),
    runApart: (job, env, kill) => checkedRun((limited, all) => runJobApart(limited, all, kill), job, env),
  };
  return hub;
}

function walk(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

/** Every blob hashes to its name, every snapshot entry leads to one, nothing temporary but `.incomplete` files. */
export function checkCache(cache: string): { blobs: string[]; incomplete: string[] } {
  const blobs: string[] = [];
  const incomplete: string[] = [];
  for (const file of walk(cache)) {
    if (file.endsWith('.incomplete')) {
      incomplete.push(file);
      continue;
    }
    assert.ok(!file.endsWith('.tmp'), `left behind: ${file}`);
    if (/[\\/]snapshots[\\/]/.test(file)) assert.ok(statSync(file).isFile(), `a dead link: ${file}`);
    const name = /[\\/]blobs[\\/]([0-9a-f]+)$/.exec(file)?.[1];
    if (name === undefined) continue;
    const bytes = readFileSync(file);
    const hash =
      name.length === 64
        ? createHash('sha256').update(bytes)
        : createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes);
    assert.equal(hash.digest('hex'), name, `a blob whose name is not its content: ${file}`);
    blobs.push(file);
  }
  return { blobs, incomplete };
}
