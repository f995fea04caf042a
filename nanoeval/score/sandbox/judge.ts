/**
 * A program and its test in two processes that share nothing but lines of JSON: the program's answers calls, the test's makes
 * them and judges the answers. What would be right never reaches the program, and the verdict comes from a process in which
 * none of it runs, under a number that the program cannot know: nothing that it patches, prints or ends makes it pass.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RowError } from '../../types.ts';
import { Child, type End } from './child.ts';
import { type Command, commandFor, type Level, NOBODY } from './levels.ts';
import type { Python } from './python.ts';

/** A program, and how it is judged. */
export interface Job {
  /** Python, whole. */
  program: string;
  /** What the test may use besides the candidate: the words that were completed, which are Python by themselves. */
  prompt: string;
  /** Defines `check(candidate)`. */
  test: string;
  /** The function of the program that is the candidate. */
  entry_point: string;
}

export interface Judgement {
  passed: boolean;
  /** Why not, in one line; empty where it passed. */
  failure: string;
}

/** Where jobs are run. */
export interface Room {
  level: Level;
  python: Python;
  isRoot: boolean;
}

const MB = 1024 * 1024;
/** Seconds within which both processes have to be ready: that they are not says nothing about a program. */
const START_LIMIT = 30;
/** Wall-clock seconds for each one of processor time, and more for those of the test: a busy machine is no fault of a program. */
const WALL_FACTOR = 3;

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const SERVE = `${read('wire.py')}\n${read('serve.py')}`;
const JUDGE = `${read('wire.py')}\n${read('judge.py')}`;

/** Limits of a process, by the names of setrlimit: bytes, files, processes, seconds. */
export function limitsFor(seconds: number): Record<string, number> {
  return { AS: 1024 * MB, FSIZE: 16 * MB, NOFILE: 64, CORE: 0, NPROC: 0, CPU: seconds };
}

/** Runs a job with `seconds` of processor time. Throws RowError where the sandbox does not start or the row is no job. */
export async function judge(room: Room, job: Job, seconds: number): Promise<Judgement> {
  const folders: string[] = [];
  const start = (source: string, limits: Record<string, number>) => {
    const life = START_LIMIT + seconds * WALL_FACTOR;
    const command = commandFor(room.level, room.python, source, [JSON.stringify(limits)], { ...room, life });
    if (typeof command === 'string') throw new RowError('sandbox', `${command}.`);
    return command;
  };
  const folder = () => {
    // The others have a temporary folder that is theirs alone.
    if (room.level !== 'none') return '/';
    const path = mkdtempSync(join(tmpdir(), 'nanoeval-program-'));
    folders.push(path);
    if (room.isRoot) chownSync(path, NOBODY, NOBODY);
    return path;
  };
  try {
    const limits = limitsFor(seconds);
    const serve = { command: start(SERVE, limits), folder: folder() };
    const test = { command: start(JUDGE, { ...limits, CPU: seconds * WALL_FACTOR }), folder: folder() };
    return await new Hearing(job, seconds, serve, test).verdict();
  } finally {
    for (const path of folders) rmSync(path, { recursive: true, force: true });
  }
}

interface Seat {
  command: Command;
  folder: string;
}

/** One job under way. */
class Hearing {
  private readonly nonce = randomBytes(16).toString('hex');
  private readonly program: Child;
  private readonly test: Child;
  private readonly job: Job;
  private readonly seconds: number;
  private ready = 0;
  private timer: NodeJS.Timeout;
  private decide: (found: Judgement | RowError) => void = () => {};
  private readonly decided: Promise<Judgement | RowError>;

  constructor(job: Job, seconds: number, serve: Seat, test: Seat) {
    this.job = job;
    this.seconds = seconds;
    this.decided = new Promise((resolve) => {
      this.decide = resolve;
    });
    this.timer = setTimeout(() => {
      this.decide(new RowError('sandbox', `it did not start within ${START_LIMIT} s.`));
    }, START_LIMIT * 1000);
    this.program = new Child(serve.command, serve.folder, (line) => this.fromProgram(line));
    this.test = new Child(test.command, test.folder, (line) => this.fromTest(line));
    void this.program.ended.then((end) => this.programEnded(end));
    void this.test.ended.then((end) => this.testEnded(end));
  }

  /** The verdict, when both processes are gone. Throws RowError. */
  async verdict(): Promise<Judgement> {
    const found = await this.decided;
    clearTimeout(this.timer);
    this.program.kill();
    this.test.kill();
    await Promise.all([this.program.ended, this.test.ended]);
    if (found instanceof RowError) throw found;
    return found;
  }

  private fromProgram(line: string): void {
    if (this.ready < 2) this.begin(line);
    else this.test.say(line);
  }

  private fromTest(line: string): void {
    if (this.ready < 2) this.begin(line);
    else if (line.startsWith(`{"nonce":"${this.nonce}"`)) this.conclude(JSON.parse(line));
    else if (line === '{"begun":true}') this.program.say(JSON.stringify({ program: this.job.program }));
    else this.program.say(line);
  }

  /** When both are ready the time begins. Nothing of the program has run yet. */
  private begin(line: string): void {
    if (line !== '{"ready":true}') return;
    this.ready += 1;
    if (this.ready < 2) return;
    clearTimeout(this.timer);
    const limit = this.seconds * WALL_FACTOR;
    this.timer = setTimeout(
      () => this.decide({ passed: false, failure: `timeout: not done after ${limit} s` }),
      limit * 1000,
    );
    const { prompt, test, entry_point } = this.job;
    this.test.say(JSON.stringify({ nonce: this.nonce, prompt, test, entry_point }));
  }

  private conclude(said: { passed?: true; gone?: true; failed?: string[]; broken?: string[] }): void {
    const { passed, failed, broken } = said;
    if (passed) this.decide({ passed: true, failure: '' });
    else if (failed !== undefined) this.decide({ passed: false, failure: wordsOf(failed) });
    else if (broken !== undefined)
      this.decide(new RowError('row', `its own prompt or test is no Python: ${wordsOf(broken)}.`));
    // Its end says why.
    else void this.program.ended.then((end) => this.decide({ passed: false, failure: this.whyEnded(end) }));
  }

  private programEnded(end: End): void {
    if (this.ready < 2) this.decide(notStarted(end));
    // The test hears that nobody answers any more, and says whether it was done.
    this.test.hush();
  }

  private testEnded(end: End): void {
    if (this.ready < 2) this.decide(notStarted(end));
    const how = end.signal ?? `exit code ${end.code}`;
    this.decide({ passed: false, failure: `the test's process ended on the answers of the program (${how})` });
  }

  private whyEnded({ code, signal, tooMuch }: End): string {
    if (tooMuch) return 'output: its answers are larger than 32 MB';
    if (signal === 'SIGXCPU') return `timeout: more than ${this.seconds} s of processor time`;
    return `ended before the test was done (${signal ?? `exit code ${code}`})`;
  }
}

function notStarted({ code, signal, stderr }: End): RowError {
  const said = stderr.split('\n').at(-1) || `${signal ?? `exit code ${code}`}`;
  return new RowError('sandbox', `it did not start: ${oneLine(said)}.`);
}

/** An exception in one line, without addresses, which differ from run to run. */
function wordsOf([name = '', message = '', place = '']: readonly string[]): string {
  const said = oneLine(message.replace(/0x[0-9a-f]{6,}/g, '0x...'));
  return oneLine(`${name}${said === '' ? '' : `: ${said}`}${place === '' ? '' : ` (${place})`}`);
}

/** What a program says may be anything: a short line without control characters. */
function oneLine(text: string): string {
  const plain = text.replace(/[\p{C}\u2028\u2029\s]+/gu, ' ').trim();
  return plain.length > 200 ? `${plain.slice(0, 197)}...` : plain;
}
