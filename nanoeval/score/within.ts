/** A time limit for what cannot be stopped from within: a regular expression that backtracks without end. */
import { createContext, Script } from 'node:vm';
import { RowError } from '../types.ts';

/** Milliseconds that a check may take. An honest one takes less than one. */
const LIMIT = 2000;

const context = createContext({ run: null as (() => void) | null });
const script = new Script('run()');

/**
 * What `work` returns. Node's `vm` stops the engine, regular expressions included, when the time is over. Throws RowError
 * `time` then; `what` says what took so long.
 */
export function withinTime<T>(what: string, work: () => T, limit = LIMIT): T {
  let result: { value: T } | undefined;
  context.run = () => {
    result = { value: work() };
  };
  try {
    script.runInContext(context, { timeout: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new RowError('time', `${what} was stopped after ${limit / 1000} s on this answer.`, { cause: error });
  } finally {
    context.run = null;
  }
  return result!.value;
}
