/**
 * Lets the worker processes of the engine live in the test's own process: the same executors behind the same messages, copied
 * on their way as between processes. It spares the second that a worker costs before its first pass; tests of workers
 * themselves, and programs that are started as processes, have real ones.
 */
import childProcess, { type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import { deserialize, serialize } from 'node:v8';
import { plainError } from '../nanoeval/model/engine/crossing.ts';
import type { Executor } from '../nanoeval/model/engine/executor.ts';
import type { Call, Reply } from '../nanoeval/model/engine/workers.ts';

const copied = <T>(value: T): T => deserialize(serialize(value)) as T;

/** What `workers.ts` uses of a child process, with the work of `worker.ts` behind it. */
class HereWorker extends EventEmitter {
  private executor: Executor | null = null;
  private last: Promise<void> = Promise.resolve();
  private isGone = false;

  send(call: Call, _sent: (error: Error | null) => void): void {
    const received = copied(call);
    this.last = this.last.then(() => this.take(received));
  }

  /** Ends between two calls: what waits is never answered. */
  kill(signal: NodeJS.Signals): void {
    if (this.isGone) return;
    this.end(null, signal);
    this.last = this.last.then(async () => {
      await this.executor?.close();
    });
  }

  private end(code: number | null, signal: NodeJS.Signals | null): void {
    this.isGone = true;
    setImmediate(() => this.emit('exit', code, signal));
  }

  private async take({ id, method, args }: Call): Promise<void> {
    if (this.isGone) return;
    let reply: Reply;
    try {
      reply = { id, value: await this.answer(method, args) };
    } catch (error) {
      reply = { id, error: plainError(error) };
    }
    // A process that computes leaves its parent's thread free; here others get their turn between two calls.
    await new Promise(setImmediate);
    if (this.isGone) return;
    this.emit('message', copied(reply));
    if (method === 'close') this.end(0, null);
  }

  private async answer(method: Call['method'], args: readonly unknown[]): Promise<unknown> {
    if (method === 'open') {
      const { openExecutor } = await import('../nanoeval/model/engine/open_executor.ts');
      this.executor = await openExecutor(...(args as Parameters<typeof openExecutor>));
      return this.executor.info;
    }
    if (this.executor === null) throw new Error(`${method} before open`);
    const call = this.executor[method] as (...args: readonly unknown[]) => Promise<unknown>;
    return call.apply(this.executor, [...args]);
  }
}

type Fork = (path: string, ...rest: unknown[]) => ChildProcess | HereWorker;
const real = childProcess.fork as Fork;

function replaceFork(by: Fork): void {
  Object.assign(childProcess, { fork: by });
  // What was imported by name is the new one too.
  syncBuiltinESMExports();
}

let users = 0;

/** From now on the engine's workers are in this process; other children stay processes. Returns what undoes it. */
export function workersHere(): () => void {
  users += 1;
  replaceFork((path, ...rest) => (path.endsWith('/model/engine/worker.ts') ? new HereWorker() : real(path, ...rest)));
  return () => {
    users -= 1;
    if (users === 0) replaceFork(real);
  };
}
