/** Measures a variant in a process of its own. */
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ModelSettings } from '../config/keys.ts';
import { errorOf, type PlainError, plainEnvironment } from '../model/engine/crossing.ts';
import type { GraphFiles } from '../model/graph/session.ts';
import { OutsideError } from '../types.ts';
import type { Apart, Timing } from './passes.ts';
import type { TokenWindow } from './windows.ts';

/** A checkpoint as it crosses to the process. */
export interface JobModel {
  files: GraphFiles;
  settings: ModelSettings;
}

export interface Job {
  variant: JobModel;
  /** null: the variant is the reference itself, and nothing is compared. */
  reference: JobModel | null;
  windows: readonly TokenWindow[];
  /** Of a pass; undefined: onnxruntime's choice. */
  threads: number | undefined;
  /** KL in nats above which a position shows that a variant is broken. */
  limit: number;
}

/** What a variant costs. */
export interface Cost {
  load_seconds: number;
  pass: Timing;
  /** Bytes: the most that the process held with the variant loaded and run, and before it was loaded (Node.js itself). */
  peak_rss: number;
  peak_rss_before_load: number;
}

/** The process's messages. */
export type Report =
  | { kind: 'progress'; done: number; total: number }
  | { kind: 'cost'; cost: Cost }
  | { kind: 'apart'; apart: Apart }
  | { kind: 'error'; error: PlainError }
  | { kind: 'end' };

export interface Measured {
  cost: Cost;
  apart: Apart | null;
}

/** A load or a window that takes longer than this is not coming back. */
const SILENCE_LIMIT_MS = 30 * 60_000;

/**
 * Runs a job in a process of its own. Throws what opening a graph throws, OutsideError when the process ends before its work
 * is done (killed for its memory) or is silent for half an hour, and the signal's reason when that is aborted.
 */
export async function measure(
  job: Job,
  told: (done: number, total: number) => void,
  signal: AbortSignal,
  worker: URL = new URL('worker.ts', import.meta.url),
  silence: number = SILENCE_LIMIT_MS,
): Promise<Measured> {
  signal.throwIfAborted();
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const child = fork(fileURLToPath(worker), {
    // Logits of a window are some hundred MB: they are given back at once, not when V8 gets to it.
    execArgv: ['--expose-gc', '--import', tsx],
    env: plainEnvironment(),
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let timer: NodeJS.Timeout | undefined;
  const abort = new AbortController();
  try {
    return await new Promise<Measured>((resolve, reject) => {
      let [cost, apart]: [Cost | null, Apart | null] = [null, null];
      const watch = () => {
        clearTimeout(timer);
        const late = () => reject(new OutsideError(`no word of a variant's process in ${silence / 60_000} minutes.`));
        timer = setTimeout(late, silence);
      };
      const ended = (reason: string) => reject(new OutsideError(`the process of a variant ended: ${reason}`));
      child.on('message', (report: Report) => {
        watch();
        if (report.kind === 'progress') told(report.done, report.total);
        else if (report.kind === 'cost') cost = report.cost;
        else if (report.kind === 'apart') apart = report.apart;
        else if (report.kind === 'error') reject(errorOf(report.error));
        else if (cost !== null) resolve({ cost, apart });
      });
      child.on('exit', (code, name) => ended(name ?? `exit code ${code}`)).on('error', (error) => ended(error.message));
      signal.addEventListener('abort', () => reject(signal.reason), { signal: abort.signal });
      watch();
      child.send(job, (error) => {
        if (error) ended(error.message);
      });
    });
  } finally {
    clearTimeout(timer);
    abort.abort();
    child.kill('SIGKILL');
  }
}
