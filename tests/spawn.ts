/** Runs a program of the project as a user would: a process of its own, a YAML file, environment variables. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Spawned {
  finished: Promise<Finished>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `nanoeval/<program>.ts`. The environment is this process's, less the hub's variables, and `env`. */
export function start(program: string, env: Record<string, string>): Spawned {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(HF_|NANOEVAL_|HUGGING)/.test(name)),
  );
  const child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, `nanoeval/${program}.ts`)], {
    cwd: ROOT,
    env: { ...clean, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...texts }));
  });
  return { finished, kill: (signal) => child.kill(signal) };
}

/** A folder under the system's temporary one, and a way to be rid of it. */
export function temporaryFolder(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `nanoeval-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Writes `yaml` into the folder and runs the program on it. */
export function runWith(program: string, folder: string, yaml: string, env: Record<string, string> = {}): Spawned {
  const path = join(folder, `${program}.yaml`);
  writeFileSync(path, yaml);
  return start(program, { [program === 'suite' ? 'NANOEVAL_SUITE' : 'NANOEVAL_CONFIG']: path, ...env });
}

export const DEMO = 'nanoeval/demo/checkpoint';
