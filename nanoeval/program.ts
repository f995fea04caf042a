/** What every program shares: exit codes, signals, and which errors show a stack. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openLog } from './report/progress.ts';
import { Interrupted, type Log, OutsideError, UserError } from './types.ts';

/** Every program's exit codes. */
export const EXIT = {
  done: 0,
  /** The run is invalid, or a task of a suite failed. */
  invalid: 1,
  /** Input that a user can mend. */
  user: 2,
  /** Something outside failed after all retries. */
  outside: 3,
  /** A bug of ours; the stack is shown. */
  bug: 70,
  interrupted: 130,
} as const;

/** The file was started by hand and not imported (`import.meta.main` is missing on Node 20). */
export function isProgram(url: string): boolean {
  const started = process.argv[1];
  if (started === undefined) return false;
  try {
    return realpathSync(started) === realpathSync(fileURLToPath(url));
  } catch {
    // `node -e` and the REPL have no file behind argv[1].
    return false;
  }
}

/** The exit code of an error, and what of it is printed. */
export function describeError(error: unknown): { code: number; text: string } {
  if (error instanceof UserError) return { code: EXIT.user, text: error.message };
  if (error instanceof OutsideError) return { code: EXIT.outside, text: error.message };
  if (error instanceof Interrupted) return { code: EXIT.interrupted, text: 'interrupted; every finished row is kept.' };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: EXIT.bug, text: `a bug in NanoEval, please report it:\n${stack}` };
}

/**
 * Runs a program to its exit code. The first SIGINT or SIGTERM aborts `signal`, the run ends after the row at hand; the
 * second one ends the process at once.
 */
export async function runProgram(
  body: (log: Log & { close(): void }, signal: AbortSignal) => Promise<number>,
): Promise<void> {
  const stop = new AbortController();
  const log = openLog();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    log.info('stopping after the row at hand (once more to stop at once)');
    stop.abort(new Interrupted());
  };
  const onBug = (error: unknown) => {
    process.stderr.write(`${describeError(error).text}\n`);
    process.exit(EXIT.bug);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  // A reader that goes away (`| head`) is no fault of the run: its files are what counts.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') onBug(error);
    });
  }
  process.on('uncaughtException', onBug).on('unhandledRejection', onBug);
  try {
    process.exitCode = await body(log, stop.signal);
  } catch (caught) {
    const { code, text } = describeError(stop.signal.aborted ? new Interrupted() : caught);
    log.close();
    log.info(text);
    process.exitCode = code;
  } finally {
    log.close();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}
