/** One process of a sandbox: lines in, lines out, an end that always comes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from './levels.ts';

/** Bytes that a process may say in its life. */
const MOST_OUTPUT = 32 * 1024 * 1024;

/** Characters of its stderr that are kept, to say why it did not start. */
const KEPT = 2000;

/** Milliseconds between a kill and the moment at which nobody waits any more. */
const LAST_WAIT = 2000;

/** How a process ended. */
export interface End {
  code: number | null;
  /** The signal that ended it, the one that its keeper reports (128 and its number) included. */
  signal: string | null;
  /** It said more than it may. */
  tooMuch: boolean;
  stderr: string;
}

/** A process in a group of its own; `line` is called with each line that it says. */
export class Child {
  /** Comes always: at the latest two seconds after `kill`. */
  readonly ended: Promise<End>;
  private readonly running: ChildProcess;
  private rest = '';
  private said = 0;
  private stderr = '';
  private tooMuch = false;
  private finish: (end: End) => void = () => {};
  private lastWait: NodeJS.Timeout | undefined;

  constructor({ file, args }: Command, folder: string, line: (text: string) => void) {
    this.running = spawn(file, args, {
      cwd: folder,
      env: { PYTHONHASHSEED: '0', PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.ended = new Promise((resolve) => {
      this.finish = (end) => {
        clearTimeout(this.lastWait);
        resolve(end);
      };
    });
    const { stdin, stdout, stderr } = this.running;
    // Whoever reads no more is about to end; that is told by its end.
    stdin!.on('error', () => {});
    stdout!.setEncoding('utf8').on('data', (text: string) => this.take(text, line));
    stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(0, KEPT);
    });
    this.running.on('error', (error) => this.finish({ ...this.end(null, null), stderr: error.message }));
    this.running.on('close', (code, signal) => this.finish(this.end(code, signal)));
    // A process that it started may hold its stdout open.
    this.running.on('exit', () => this.kill());
  }

  private take(text: string, line: (text: string) => void): void {
    if (this.tooMuch) return;
    this.said += text.length;
    if (this.said > MOST_OUTPUT) {
      this.tooMuch = true;
      this.kill();
      return;
    }
    const lines = text.split('\n');
    lines[0] = this.rest + lines[0];
    this.rest = lines.pop()!;
    for (const one of lines) line(one);
  }

  private end(code: number | null, signal: string | null): End {
    const reported = code !== null && code > 128 ? signalNamed(code - 128) : null;
    return { code, signal: signal ?? reported, tooMuch: this.tooMuch, stderr: this.stderr.trim() };
  }

  /** Sends a line. Nothing happens where the process is gone. */
  say(text: string): void {
    if (this.running.stdin!.writable) this.running.stdin!.write(`${text}\n`);
  }

  /** Nothing more is sent. */
  hush(): void {
    this.running.stdin!.end();
  }

  /** Ends the whole group at once. */
  kill(): void {
    const { pid } = this.running;
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch (error) {
      // Nobody is left, or nobody but the dead (macOS).
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    this.lastWait ??= setTimeout(() => {
      this.running.stdout!.destroy();
      this.running.stderr!.destroy();
      this.finish(this.end(null, 'SIGKILL'));
    }, LAST_WAIT);
  }
}

function signalNamed(number: number): string | null {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? null;
}
