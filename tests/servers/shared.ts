/** What the scripts over real servers share: settings from the environment, servers, the project's programs, rows. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Finished, type Spawned, start } from '../spawn.ts';

/** An environment variable that has to be set. */
export function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new Error(`${name} is not set: the head of the script says what it is.`);
  return value;
}

/** Where everything is written. */
export const OUT = process.env.NANOEVAL_SERVERS_OUT ?? 'artifacts/servers';

/** Starts `nanoeval/<program>.ts` with a config; data sets come from the hub, or from HF_ENDPOINT. */
export function begin(program: string, name: string, config: object): Spawned {
  mkdirSync(OUT, { recursive: true });
  const path = join(OUT, `${name}.yaml`);
  writeFileSync(path, JSON.stringify(config));
  const hub = ['HF_ENDPOINT', 'HF_HOME'].flatMap((key) => {
    const value = process.env[key];
    return value === undefined ? [] : [[key, value] as const];
  });
  const key = program === 'suite' ? 'NANOEVAL_SUITE' : 'NANOEVAL_CONFIG';
  return start(program, { [key]: path, ...Object.fromEntries(hub) });
}

/** Runs it to its end. Throws where it ends otherwise than by one of `codes`. */
export async function run(program: string, name: string, config: object, codes = [0]): Promise<Finished> {
  const finished = await begin(program, name, config).finished;
  process.stderr.write(finished.stderr);
  if (!codes.includes(finished.code ?? -1)) throw new Error(`${name} ended with ${finished.code}`);
  return finished;
}

export interface Saved {
  id: string;
  correct?: number;
  output?: string;
  /** Of a text. */
  logprob?: number;
  num_tokens?: number;
  choices?: { logprob: number; num_tokens: number }[];
  error?: { message: string };
}

/** The rows of a run's folder. */
export function rowsIn(folder: string): Saved[] {
  const text = readFileSync(join(folder, 'predictions.jsonl'), 'utf8').trimEnd();
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line));
}

export interface Served {
  url: string;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<unknown>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a llama-server over a file, under the name `model`, and waits until it answers; its output goes to `<name>.log`. */
export async function serveLlama(name: string, gguf: string, args: readonly (string | number)[]): Promise<Served> {
  mkdirSync(OUT, { recursive: true });
  const port = await freePort();
  const log = openSync(join(OUT, `${name}.log`), 'w');
  const own = ['-m', gguf, '--alias', 'model', '--host', '127.0.0.1', '--port', port, '--cache-ram', 0, ...args];
  const child: ChildProcess = spawn(given('NANOEVAL_LLAMA_SERVER'), own.map(String), { stdio: ['ignore', log, log] });
  running.add(child);
  const ended = new Promise((resolve) => child.on('close', resolve));
  const url = `http://127.0.0.1:${port}`;
  for (let looks = 0; looks < 1200; looks += 1) {
    const answer = await fetch(`${url}/health`).catch(() => null);
    if (answer?.ok) return { url, ended, kill: (signal) => child.kill(signal) };
    await sleep(100);
  }
  throw new Error(`${name} was not ready after two minutes: ${join(OUT, `${name}.log`)}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
