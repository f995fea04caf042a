/**
 * A program that runs beside this one and does not outlive it: in a process group of its own, under a shell that holds a pipe to
 * this process. The pipe closes when this process ends, however it ends; the shell then ends the group.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import type { Command } from './command.ts';

/** How a program ended: the exit code of a shell, 128 and the signal's number where it was a signal. */
export interface Ended {
  code: number;
}

export interface Running {
  /** Of the group. */
  readonly pid: number;
  /** null while it runs. */
  readonly ended: Ended | null;
  /** Settles when it has ended. */
  readonly end: Promise<Ended>;
  /** The last lines that it wrote, as one text. */
  tail(): string;
  /** SIGTERM to the group, SIGKILL after `graceMs`; settles when it is gone. Never throws; may be called again. */
  stop(): Promise<void>;
}

/**
 * `$1`: seconds from SIGTERM to SIGKILL; the rest: the program. Descriptor 3 is the pipe, 2 the log, 1 says how the program
 * ended, if anybody still reads it. What the program started and left behind is ended with the group, this shell too.
 */
const SHELL = `
grace=$1; shift
exec 3<&0 </dev/null
trap : TERM
"$@" >&2 3<&- &
program=$!
( exec >&2; trap : TERM; while read -r line <&3; do :; done
  kill -s TERM 0; sleep "$grace"; kill -s KILL 0 ) &
while :; do
  wait "$program"; code=$?
  kill -s 0 "$program" 2>/dev/null || break
done
trap '' PIPE
echo "$code" 2>/dev/null
exec >&-
kill -s KILL 0
`;

/** Bytes at the end of the log, and lines of them, that a message shows. */
const TAIL_BYTES = 16_384;
const TAIL_LINES = 3;
const LINE_LENGTH = 200;

export interface ProcessOptions {
  /** File that is appended to; what the program writes goes there. */
  logPath: string;
  /** Milliseconds from SIGTERM to SIGKILL. */
  graceMs: number;
}

/** Starts it. A program that cannot be started ends at once with 126 or 127, and the log says why. */
export function startProcess({ program, args, env }: Command, { logPath, graceMs }: ProcessOptions): Running {
  const log = openSync(logPath, 'a+');
  writeSync(log, `nanoeval: ${new Date().toISOString()}: starts ${program}\n`);
  const begun = fstatSync(log).size;
  const child = spawn('sh', ['-c', SHELL, 'sh', String(graceMs / 1000), program, ...args], {
    detached: true,
    stdio: ['pipe', 'pipe', log],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  const running = new Process(child, graceMs, () => tailOf(logPath, begun));
  return running;
}

class Process implements Running {
  ended: Ended | null = null;
  readonly end: Promise<Ended>;
  readonly tail: () => string;
  private readonly child: ChildProcess;
  private readonly graceMs: number;

  constructor(child: ChildProcess, graceMs: number, tail: () => string) {
    this.child = child;
    this.graceMs = graceMs;
    this.tail = tail;
    let said = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    // Broken where the shell is gone already, which its end tells.
    child.stdin!.on('error', () => undefined);
    this.end = new Promise((resolve) => {
      const settle = (code: number) => {
        this.ended = { code };
        resolve(this.ended);
      };
      child.on('error', () => settle(127));
      child.on('close', () => {
        const code = Number.parseInt(said, 10);
        // The shell was killed by somebody: the program may live on without it.
        if (Number.isNaN(code)) this.kill();
        settle(Number.isNaN(code) ? 137 : code);
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async stop(): Promise<void> {
    this.child.stdin!.end();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.kill();
        resolve();
      }, this.graceMs + 5_000);
    });
    await Promise.race([this.end, late]);
    clearTimeout(timer);
  }

  private kill(): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The last lines of a file behind `from`, without colours and blank lines, joined by ` | `; empty where it is gone. */
export function tailOf(path: string, from = 0): string {
  if (!existsSync(path)) return '';
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const start = Math.max(from, size - TAIL_BYTES);
    const bytes = Buffer.alloc(Math.max(0, size - start));
    readSync(file, bytes, 0, bytes.length, start);
    const lines = bytes
      .toString('utf8')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' colours are such characters
      .replace(/\x1b\[[0-9;]*[A-Za-z]/g, '')
      .split(/[\r\n]+/)
      .map((line) => line.trim())
      .filter((line) => line !== '');
    const shortened = (line: string) => (line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH - 3)}...` : line);
    return lines.slice(-TAIL_LINES).map(shortened).join(' | ');
  } finally {
    closeSync(file);
  }
}
