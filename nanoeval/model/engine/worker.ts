/**
 * The program of a worker process: holds one executor and does what the parent's messages say, in their order.
 *
 * A process and not a thread: onnxruntime blocks the thread that it runs on, a thread that is ended in mid-pass takes
 * the whole program with it (worker.terminate, Node 20 to 24), and a process that the system kills for its memory does
 * not.
 */
import { setPriority } from 'node:os';
import { plainError } from './crossing.ts';
import type { Executor } from './executor.ts';
import { openExecutor } from './open_executor.ts';
import type { Call, Reply } from './workers.ts';

// The parent has little to do and should do it at once, on all cores' worth of threads too.
setPriority(5);

let executor: Executor | null = null;

async function answer({ method, args }: Call): Promise<unknown> {
  if (method === 'open') {
    executor = await openExecutor(...(args as Parameters<typeof openExecutor>));
    return executor.info;
  }
  if (executor === null) throw new Error(`${method} before open`);
  const call = executor[method] as (...args: readonly unknown[]) => Promise<unknown>;
  return call.apply(executor, [...args]);
}

// Ctrl-C and a closed terminal reach the whole group; when to stop is the parent's to say. Without a parent there is
// nothing to do.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
process.on('disconnect', () => process.exit(0));
let last: Promise<void> = Promise.resolve();
process.on('message', (call: Call) => {
  last = last.then(async () => {
    let reply: Reply;
    try {
      reply = { id: call.id, value: await answer(call) };
    } catch (error) {
      reply = { id: call.id, error: plainError(error) };
    }
    // A parent that was killed meanwhile wants no answer.
    process.send?.(reply, () => undefined);
    if (call.method === 'close') process.disconnect();
  });
});
