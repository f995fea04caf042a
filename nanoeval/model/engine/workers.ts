/** Executors in processes of their own, so that the program's thread stays free while onnxruntime computes. */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ModelSettings } from '../../config/keys.ts';
import { OutsideError } from '../../types.ts';
import type { GraphFiles } from '../graph/session.ts';
import { errorOf, type PlainError, plainEnvironment } from './crossing.ts';
import type { Executor, ExecutorInfo, ExecutorOptions, Next, Seen, Turned } from './executor.ts';

/** A message to a worker. */
export interface Call {
  id: number;
  method: 'open' | Exclude<keyof Executor, 'info'>;
  args: readonly unknown[];
}

/** A worker's message back. */
export interface Reply {
  id: number;
  value?: unknown;
  error?: PlainError;
}

/** The worker's process ended without being asked to: killed for its memory, or crashed. */
export class WorkerGone extends OutsideError {}

/** A forward pass that takes longer than this is not coming back. */
const CALL_LIMIT_MS = 30 * 60_000;
const CLOSE_LIMIT_MS = 5_000;

/** The calls of answers side by side. */
function answering(call: (method: Call['method'], ...args: readonly unknown[]) => Promise<unknown>) {
  return {
    turnTo: (way) => call('turnTo', way) as Promise<Turned>,
    begin: (order) => call('begin', order) as Promise<Next>,
    step: (rows) => call('step', rows) as Promise<(Next | null)[]>,
    leave: (slots) => call('leave', slots) as Promise<void>,
  } satisfies Partial<Executor>;
}

/**
 * Starts a worker and loads the graph in it. Throws what `openExecutor` throws, and OutsideError that names the graph when
 * the process ends before it has answered. What is asked later is rejected with WorkerGone when the process has ended.
 */
export async function openWorker(
  files: GraphFiles,
  settings: ModelSettings,
  options: ExecutorOptions,
): Promise<Executor> {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const child: ChildProcess = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), {
    execArgv: ['--import', tsx],
    env: plainEnvironment(),
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, Waiting>();
  let count = 0;
  let gone: WorkerGone | null = null;
  const end = (reason: string) => {
    gone ??= goneBecause(reason, waiting, files);
    for (const { reject } of waiting.values()) reject(gone);
    waiting.clear();
  };
  child.on('message', ({ id, value, error }: Reply) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(errorOf(error));
  });
  child.on('exit', (code, signal) => end(signal ?? `exit code ${code}`)).on('error', (error) => end(error.message));

  const call = async (method: Call['method'], ...args: readonly unknown[]): Promise<unknown> => {
    if (gone !== null) throw gone;
    count += 1;
    const id = count;
    const answer = new Promise((resolve, reject) => waiting.set(id, { method, resolve, reject }));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      waiting.get(id)?.reject(new OutsideError(`no answer to ${method} in ${CALL_LIMIT_MS / 60_000} minutes.`));
    }, CALL_LIMIT_MS);
    child.send({ id, method, args } satisfies Call, (error) => {
      if (error) end(error.message);
    });
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  };

  const close = async () => {
    if (gone !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_LIMIT_MS);
    try {
      await call('close');
      await exited;
    } catch (error) {
      if (!(error instanceof WorkerGone)) throw error;
    } finally {
      clearTimeout(timer);
    }
  };

  try {
    const info = (await call('open', files, settings, options)) as ExecutorInfo;
    return {
      info,
      pass: (order) => call('pass', order) as ReturnType<Executor['pass']>,
      score: (input, targets) => call('score', input, targets) as ReturnType<Executor['score']>,
      next: (ids, past, keep, options) => call('next', ids, past, keep, options) as Promise<Next>,
      free: (caches) => call('free', caches) as Promise<void>,
      ...answering(call),
      see: (picture) => call('see', picture) as Promise<Seen>,
      unsee: (firsts) => call('unsee', firsts) as Promise<void>,
      close,
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error instanceof WorkerGone ? goneWhileOpening(files, error) : error;
  }
}

/** A call without an answer so far. */
interface Waiting {
  method: Call['method'];
  resolve(value: unknown): void;
  reject(error: Error): void;
}

function goneBecause(reason: string, waiting: ReadonlyMap<number, Waiting>, { graphs }: GraphFiles): WorkerGone {
  // Calls are taken in their order: the first that waits is the one that was under way.
  const [first] = waiting.values();
  const looking = first?.method === 'see' ? ` while ${graphs.vision} was given a picture` : '';
  return new WorkerGone(`the worker process ended: ${reason}${looking}`);
}

/** A graph that ends the process which opens it: onnxruntime does not survive some damaged files, nor a lack of memory. */
function goneWhileOpening({ graphs }: GraphFiles, cause: WorkerGone): OutsideError {
  const paths = [graphs.decoder, graphs.embed].filter((path) => path !== null).join(', ');
  const message = `${paths}: ${cause.message} while onnxruntime opened the graph. The file is damaged, or the memory does not do.`;
  return new OutsideError(message, { cause });
}
