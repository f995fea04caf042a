/** Subjects of the fuzz, tried seed by seed in a child: one that hangs or runs out of memory is ended, and its seed is named. */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OutsideError, RowError, UserError } from '../../nanoeval/types.ts';

/** Milliseconds for one seed. */
const LONGEST = 10_000;

/** Something that is read with changed bytes. */
export interface Subject {
  name: string;
  /** Reads what this seed makes and says in a word what came of it; throws what stands in the way. */
  read(seed: number, folder: string): Promise<string>;
  /** Software outside reads the file too and may end the process; then that is no fault of ours. */
  mayEnd?: boolean;
}

/** What came of a seed, in a word, or what was wrong with it. */
export type Outcome = { kind: string } | { fault: string };

/** What came of a read that threw; null for an error that is a fault. One line is told, never more. */
function kindOf(error: unknown): string | null {
  if (error instanceof Error && /[\p{Cc}\u2028\u2029]/u.test(error.message)) return null;
  if (error instanceof UserError) return 'refused';
  if (error instanceof RowError) return 'row refused';
  return error instanceof OutsideError ? 'given up' : null;
}

/** Reads one seed: an error other than one line, a rejection that nobody waits for and more than 10 seconds are faults. */
export async function outcomeOf(subject: Subject, seed: number, folder: string): Promise<Outcome> {
  const alone: unknown[] = [];
  const note = (error: unknown) => alone.push(error);
  process.on('unhandledRejection', note);
  const started = performance.now();
  let kind: string | null = null;
  let fault: string | null = null;
  try {
    kind = await subject.read(seed, folder);
  } catch (error) {
    kind = kindOf(error);
    if (kind === null) fault = `${(error as Error).stack ?? error}`;
  }
  await new Promise((done) => setImmediate(done));
  process.off('unhandledRejection', note);
  if (alone.length > 0) fault ??= `left alone: ${alone[0]}`;
  if (performance.now() - started > LONGEST) fault ??= 'too slow';
  return fault === null ? { kind: kind! } : { fault: `${subject.name}, seed ${seed}: ${fault}` };
}

/** The child's work: seed after seed, and which one is next. */
export async function readSeeds(subject: Subject, from: number, to: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval_fuzz_'));
  try {
    for (let seed = from; seed < to; seed++) {
      process.send!({ seed });
      process.send!(await outcomeOf(subject, seed, folder));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  process.disconnect();
}

export interface Found {
  faults: string[];
  /** Outcomes by kind. */
  kinds: Map<string, number>;
}

/** Has `program` (`--child <name> <from> <to>`) read the seeds, and goes on behind one that ended it. */
export async function watchSeeds(program: string, subject: Subject, from: number, to: number): Promise<Found> {
  const found: Found = { faults: [], kinds: new Map() };
  const count = (kind: string) => found.kinds.set(kind, (found.kinds.get(kind) ?? 0) + 1);
  for (let next = from; next < to; ) {
    const { code, seed, hung } = await watchChild(program, subject.name, next, to, (said) => {
      if ('fault' in said) found.faults.push(said.fault);
      else count(said.kind);
    });
    if (code === 0) break;
    if (subject.mayEnd && !hung) count('process ended');
    else found.faults.push(`${subject.name}, seed ${seed}: the process ${hung ? 'hung' : `ended (${code})`}`);
    next = seed + 1;
  }
  return found;
}

function watchChild(program: string, name: string, from: number, to: number, take: (outcome: Outcome) => void) {
  return new Promise<{ code: number | string; seed: number; hung: boolean }>((done) => {
    let [seed, hung] = [from, false];
    const child = fork(program, ['--child', name, `${from}`, `${to}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const end = () => {
      hung = true;
      child.kill('SIGKILL');
    };
    let timer = setTimeout(end, 6 * LONGEST);
    child.on('message', (said: { seed: number } | Outcome) => {
      clearTimeout(timer);
      timer = setTimeout(end, 2 * LONGEST);
      if ('seed' in said) seed = said.seed;
      else take(said);
    });
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      done({ code: signal ?? code ?? 1, seed, hung });
    });
  });
}
