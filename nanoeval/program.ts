/** What every program shares: exit codes, signals, which errors show a stack; and a task file run by hand. */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { baselineFolder, saveBaseline } from './compare/baseline.ts';
import { openSet } from './compare/sources.ts';
import { parseConfig } from './config/check.ts';
import { type ConfigFile, readConfigFile } from './config/file.ts';
import type { TaskConfig } from './config/keys.ts';
import { show } from './config/messages.ts';
import { failureTable } from './report/failures.ts';
import { openOutput } from './report/output.ts';
import { openLog } from './report/progress.ts';
import { tableRows } from './report/summary.ts';
import { resultTable } from './report/table.ts';
import type { RunResult } from './run/outcome.ts';
import type { Task } from './task.ts';
import {
  IncomparableError,
  Interrupted,
  type Log,
  OutsideError,
  type Scores,
  type TableRow,
  UserError,
} from './types.ts';

/** Every program's exit codes. */
export const EXIT = {
  done: 0,
  /** The run is invalid or does not reach what is required of it, or a task of a suite failed. */
  invalid: 1,
  /** Input that a user can mend. */
  user: 2,
  /** Something outside failed after all retries. */
  outside: 3,
  /** A comparison that cannot tell, or that finds a drop which may be within what is allowed. */
  unsure: 4,
  /** Runs that may not be compared. */
  incomparable: 5,
  /** A bug of ours; the stack is shown. */
  bug: 70,
  /** By SIGINT; by another signal 128 and its number too. */
  interrupted: 130,
} as const;

/** What a program has to speak with. */
export interface ProgramLog extends Log {
  /** Ends the moving line. */
  close(): void;
  /** What the program was started for, on stdout. */
  print(text: string): void;
}

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
  if (error instanceof IncomparableError) return { code: EXIT.incomparable, text: error.message };
  if (error instanceof Interrupted) return { code: EXIT.interrupted, text: 'interrupted; every finished row is kept.' };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: EXIT.bug, text: `a bug in NanoEval, please report it:\n${stack}` };
}

/**
 * Runs a program to its exit code. The first SIGINT, SIGTERM or SIGHUP aborts `signal`, the run ends after the row at hand; a
 * second SIGINT or SIGTERM ends the process at once (a closed terminal may send SIGHUP twice).
 */
export async function runProgram(body: (log: ProgramLog, signal: AbortSignal) => Promise<number>): Promise<void> {
  const stop = new AbortController();
  const { log, complain } = openStreams();
  let interrupted: number = EXIT.interrupted;
  const onSignal = (name: NodeJS.Signals) => {
    if (stop.signal.aborted && name !== 'SIGHUP') process.exit(interrupted);
    if (stop.signal.aborted) return;
    interrupted = 128 + constants.signals[name];
    log.info('stopping after the row at hand (once more to stop at once)');
    stop.abort(new Interrupted());
  };
  const onBug = (error: unknown) => {
    complain(describeError(error).text);
    process.exit(EXIT.bug);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, onSignal);
  process.on('uncaughtException', onBug).on('unhandledRejection', onBug);
  try {
    process.exitCode = await body(log, stop.signal);
  } catch (caught) {
    const { code, text } = describeError(asInterruption(caught, stop.signal));
    log.close();
    log.info(text);
    process.exitCode = code === EXIT.interrupted ? interrupted : code;
  } finally {
    log.close();
    for (const name of signals) process.off(name, onSignal);
  }
}

/**
 * The log on stderr, and stdout. What cannot be written there (a full disk, a reader that went away) stops no run, since
 * its files are what counts; a program that is otherwise done then ends with 3, and says why where it still can.
 */
function openStreams(): { log: ProgramLog; complain(line: string): void } {
  const [out, err] = [openOutput(process.stdout), openOutput(process.stderr)];
  const log = openLog({ stream: err });
  const complain = (line: string) => void err.write(`${line}\n`);
  process.on('exit', (code) => {
    const isDone = code === EXIT.done;
    if (out.lost !== null)
      complain(`stdout could not be written: ${out.lost.message}.${isDone ? ' The files are complete.' : ''}`);
    if ((out.lost ?? err.lost) !== null && isDone) process.exitCode = EXIT.outside;
  });
  const print = (text: string) => {
    log.close();
    out.write(text);
  };
  return { log: { ...log, print }, complain };
}

/**
 * What stopping looks like as an error: the signal's own reason, or a request that was broken off. Anything else that went
 * wrong meanwhile (a full disk) stays what it is.
 */
export function asInterruption(error: unknown, { aborted }: AbortSignal): unknown {
  const isAbort = error instanceof Error && error.name === 'AbortError';
  return aborted && (isAbort || error instanceof Interrupted) ? new Interrupted() : error;
}

/** Puts `file:line:column: key: ` in front of an error that knows its key. */
export function placeError(error: unknown, file: ConfigFile, paths: (path: PropertyKey[]) => PropertyKey[][]): unknown {
  if (!(error instanceof UserError) || error.key === undefined) return error;
  // `dataset.rows[3].regex`: a number is a place in a list.
  const path = error.key
    .split(/[.[\]]+/)
    .flatMap((part) => (part === '' ? [] : /^\d+$/.test(part) ? Number(part) : part));
  const ancestors = path.map((_, i) => path.slice(0, path.length - i));
  const placed = new UserError(`${file.locate(ancestors.flatMap(paths))}: ${error.key}: ${error.message}`, {
    cause: error,
  });
  return placed;
}

/** The last line of a task file: runs it when the file was started by hand, as `NANOEVAL_CONFIG=... npx tsx run_x.ts`. */
export async function main<C extends TaskConfig, G>(url: string, task: Task<C, G>): Promise<void> {
  if (!isProgram(url)) return;
  await runProgram(async (log, signal) => {
    const file = readConfigFile('NANOEVAL_CONFIG', process.env.NANOEVAL_CONFIG, exampleOf(task.name));
    refuseOthers(file, task.name);
    const config = parseConfig(file, task.config);
    // What asks a model takes a while to load: who reads the runs of a task only does without it.
    const [{ openModels }, { notesOn }, { writeResults }, { runTask }] = await Promise.all([
      import('./run/models.ts'),
      import('./run/notes.ts'),
      import('./run/result_file.ts'),
      import('./run/run.ts'),
    ]);
    const models = openModels(log, signal, config.report.output_dir);
    try {
      const result = await runTask(task, config, models, log, signal);
      log.close();
      if (result.scores !== null) log.print(printed(result, result.scores));
      const run = { name: task.name, model: null, summary: result.summary, error: null };
      const results = writeResults(config.report.output_dir, [run]);
      log.info(`written: ${[...result.files, ...results.files].join(' ')}`);
      for (const line of [...results.notes, ...notesOn(result.summary, result.shortfall)]) log.info(line);
      if (config.run.save_baseline !== false)
        await keepBaseline(config.report.output_dir, config.run, result.summary.faults, log);
      return result.summary.faults.length === 0 && result.shortfall === null ? EXIT.done : EXIT.invalid;
    } catch (error) {
      throw placeError(error, file, (path) => [path]);
    } finally {
      await models.close();
    }
  });
}

/**
 * `run.save_baseline`: keeps a finished run or suite for later comparisons. One that has faults is none, which is said and
 * leaves the exit code as it is.
 */
export async function keepBaseline(
  folder: string,
  { save_baseline, baselines_dir }: TaskConfig['run'],
  faults: readonly string[],
  log: Log,
): Promise<void> {
  if (faults.length > 0) {
    log.info(`no baseline is saved: ${faults[0]}`);
    return;
  }
  const set = await openSet(folder, 'current');
  await saveBaseline(set, await baselineFolder(baselines_dir, set.name), save_baseline === 'replace', log);
}

/** A config of the task to name in a message: one that is there, if any. */
function exampleOf(task: string): string {
  const folder = new URL('../configs/', import.meta.url);
  const usual = `${task}_smollm2_135m.yaml`;
  if (existsSync(new URL(usual, folder))) return `configs/${usual}`;
  const own = existsSync(folder)
    ? readdirSync(folder).find((name) => new RegExp(`^${task}_.*\\.ya?ml$`).test(name))
    : undefined;
  return `configs/${own ?? `${task}_<model>.yaml`}`;
}

/** The table of the scores, and behind it that of the rows that are wrong and say why. */
function printed({ summary: { failures }, ...result }: RunResult, scores: Scores): string {
  const table = resultTable({ ...result, rows: printedRows(scores) });
  return failures === undefined ? table : `${table}\n${failureTable(failures)}`;
}

/** Every metric over all rows and the primary one of each group; subjects stand in the CSV. */
function printedRows(scores: Scores): TableRow[] {
  const rows = tableRows(scores);
  return rows.filter(({ level, metric }) => level === 'all' || (level === 'group' && metric === scores.primary.name));
}

/** A suite's file, or another task's, gets its own line: it is the wrong program, not forty unknown keys. */
function refuseOthers(file: ConfigFile, task: string): void {
  if ('tasks' in file.data || 'suite' in file.data) {
    const key = 'tasks' in file.data ? 'tasks' : 'suite';
    throw file.error([key], `this is a suite. Run it with NANOEVAL_SUITE=${file.path} npx tsx nanoeval/suite.ts.`);
  }
  const named = file.data.task;
  if (typeof named === 'string' && named !== task) {
    const program = new URL(`run_${named}.ts`, import.meta.url);
    const hint = existsSync(program)
      ? `Run it with npx tsx nanoeval/run_${named}.ts`
      : `This program reads task: ${task}`;
    throw file.error(['task'], `${show(named)} is not ${task}. ${hint}.`);
  }
}
