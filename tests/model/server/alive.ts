/** What tests of started programs look at: what a log says, and which processes are there. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Whether there is a process of this number. */
export function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until the log says this, ten seconds at most; gives its first group, or all of it. */
export async function wrote(path: string, what: RegExp): Promise<string> {
  for (let i = 0; i < 200; i += 1) {
    const found = existsSync(path) ? what.exec(readFileSync(path, 'utf8')) : null;
    if (found !== null) return found[1] ?? found[0];
    await sleep(50);
  }
  throw new Error(`${path} never had ${what}: ${readFileSync(path, 'utf8')}`);
}
