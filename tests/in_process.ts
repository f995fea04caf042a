/**
 * Runs a program of the project in the test's own process: the same file, to its end, with an environment, stdout, stderr and
 * exit code of its own. It spares the second that a process costs before its first line; what is about processes, signals or
 * memory is started by `spawn.ts`. The engine's worker is in this process too (`here_workers.ts`), unless there are several.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { workersHere } from './here_workers.ts';
import { type Finished, ROOT } from './spawn.ts';

/** The events of the process that a program listens to. */
const EVENTS = ['exit', 'uncaughtException', 'unhandledRejection', 'SIGINT', 'SIGTERM', 'SIGHUP'];
type Listener = (...args: unknown[]) => void;

const listenersNow = () => EVENTS.map((event) => process.rawListeners(event) as Listener[]);

/** Takes away what the program left listening; its listeners for the end of the process are called, as at an end. */
function endListeners(before: readonly (readonly Listener[])[]): void {
  for (const [i, event] of EVENTS.entries()) {
    for (const listener of process.rawListeners(event) as Listener[]) {
      if (before[i]!.includes(listener)) continue;
      process.removeListener(event, listener);
      if (event === 'exit') listener(process.exitCode ?? 0);
    }
  }
}

/** Puts a stream in the place of one of the process's; gives what was written into it, and puts the old one back. */
function capture(name: 'stdout' | 'stderr'): () => string {
  const old = Object.getOwnPropertyDescriptor(process, name)!;
  let text = '';
  const stream = {
    isTTY: false,
    on: () => stream,
    write: (piece: string) => {
      text += piece;
      return true;
    },
  };
  Object.defineProperty(process, name, { configurable: true, enumerable: true, value: stream });
  return () => {
    Object.defineProperty(process, name, old);
    return text;
  };
}

let count = 0;

async function runNow(program: string, env: Record<string, string>, hasProcesses: boolean): Promise<Finished> {
  const path = join(ROOT, `nanoeval/${program}.ts`);
  const url = pathToFileURL(path).href;
  // Others may import the file too; that must not start it.
  await import(url);
  const [variables, started, exitCode, folder] = [
    { ...process.env },
    process.argv[1]!,
    process.exitCode,
    process.cwd(),
  ];
  const listeners = listenersNow();
  for (const name of Object.keys(variables)) if (/^(HF_|NANOEVAL_|HUGGING)/.test(name)) delete process.env[name];
  Object.assign(process.env, env);
  process.argv[1] = path;
  process.exitCode = undefined;
  process.chdir(ROOT);
  const workersBack = hasProcesses ? () => undefined : workersHere();
  const [stdout, stderr] = [capture('stdout'), capture('stderr')];
  try {
    count += 1;
    // A module is run once for each address.
    await import(`${url}?run=${count}`);
    endListeners(listeners);
    return { code: Number(process.exitCode ?? 0), stdout: stdout(), stderr: stderr() };
  } finally {
    for (const putBack of [stdout, stderr, workersBack]) putBack();
    process.chdir(folder);
    process.exitCode = exitCode;
    process.argv[1] = started;
    for (const name of Object.keys(process.env)) if (!(name in variables)) delete process.env[name];
    Object.assign(process.env, variables);
  }
}

let running: Promise<unknown> = Promise.resolve();

/**
 * Runs `nanoeval/<program>.ts` as `start` of spawn.ts does, in this process. Those that are asked for at once run one after
 * another, for a process has one environment and one exit code. `hasProcesses`: the engine's workers are processes.
 */
export function runHere(program: string, env: Record<string, string>, hasProcesses = false): Promise<Finished> {
  const turn = running.then(() => runNow(program, env, hasProcesses));
  running = turn.catch(() => undefined);
  return turn;
}

/**
 * Writes `yaml` into the folder, which it makes, and runs the program on it: `runWith` of spawn.ts, in this process. Several
 * workers are processes, so that they do compute at once.
 */
export function runHereWith(
  program: string,
  folder: string,
  yaml: string,
  env: Record<string, string> = {},
): Promise<Finished> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${program}.yaml`);
  writeFileSync(path, yaml);
  const variable = program === 'suite' ? 'NANOEVAL_SUITE' : 'NANOEVAL_CONFIG';
  return runHere(program, { [variable]: path, ...env }, /\bworkers"?: ?[2-9]/.test(yaml));
}
