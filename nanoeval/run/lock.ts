/** One run in a folder at a time: a lock file that names its process, and is taken over when that process is gone. */
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { OutsideError, UserError } from '../types.ts';

export interface Lock {
  /** What is told to the user when a dead run's lock was taken over; null when there was none. */
  takenFrom: string | null;
  release(): void;
}

interface Owner {
  pid: number;
  host: string;
  /** The process namespace that the number is of (containers have their own); null where unknown. */
  space?: string | null;
  /** When that process began, in the kernel's ticks: a number that is used again has another. null where unknown. */
  began: string | null;
}

/** The lock file's name in the run's folder. */
export const LOCK_FILE = 'run.lock';

/** The file is touched this often, so that another machine on the same disk can see that its owner lives. */
const BEAT_MS = 30_000;
/** Without a beat for so long, a lock of another machine is dead. */
const DEAD_MS = 10 * 60_000;
/** A process that takes a lock over needs some milliseconds; a mark older than this was left by one that died at it. */
const TAKEOVER_MS = 10_000;

/** Ended, and not yet fetched by its parent: it has a number still, and does nothing. */
const ENDED = 'ended';

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold blanks and brackets. */
function beganAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return 'ZX'.includes(state) ? ENDED : (fields[18] ?? null);
  } catch {
    // Not Linux, or no such process: then its number alone has to do.
    return null;
  }
}

/** Containers on one machine may share its name and not its processes. */
function processSpace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    // Not Linux.
    return null;
  }
}

function isAlive(owner: Owner, path: string): boolean {
  const { pid, began } = owner;
  // Of a machine or a container that is not this one only the beat tells.
  if (isElsewhere(owner)) return Date.now() - statSync(path).mtimeMs < DEAD_MS;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const now = beganAt(pid);
  if (now === ENDED) return false;
  return began === null || now === null || now === began;
}

const isElsewhere = ({ host, space }: Owner) => host !== hostname() || (space != null && space !== processSpace());

const isThere = (error: unknown) => (error as NodeJS.ErrnoException).code === 'EEXIST';
const isGone = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT';

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch (error) {
    if (isGone(error)) return null;
    throw new OutsideError(
      `${path} is no lock of ours: ${(error as Error).message}. Remove it if no run is under way.`,
    );
  }
}

/**
 * Locks the folder, which is made where it is missing. Throws UserError (key `report.output_dir`) when a living run has it
 * or nothing can be written there.
 */
export function takeLock(folder: string): Lock {
  const path = join(folder, LOCK_FILE);
  const own: Owner = { pid: process.pid, host: hostname(), space: processSpace(), began: beganAt(process.pid) };
  const draft = `${path}.${process.pid}`;
  let takenFrom: string | null = null;
  try {
    mkdirSync(folder, { recursive: true });
    // One that was killed may have left the draft of this number, still one file with its lock: not to be written into.
    rmSync(draft, { force: true });
    writeFileSync(draft, `${JSON.stringify(own)}\n`);
  } catch (cause) {
    const message = `${folder} cannot be written: ${(cause as Error).message}. Name another report.output_dir.`;
    throw new UserError(message, { key: 'report.output_dir', cause });
  }
  try {
    while (!linked(draft, path)) {
      const owner = readOwner(path);
      if (owner === null) continue;
      if (isAlive(owner, path)) {
        throw new UserError(
          `${folder} is in use by another run (process ${owner.pid} on ${owner.host}). Wait for it, or name another report.output_dir.${isElsewhere(owner) ? ` A run of another machine or container that died holds its folder for ${DEAD_MS / 60_000} minutes.` : ''}`,
          { key: 'report.output_dir' },
        );
      }
      takeOver(path, draft);
      takenFrom = `process ${owner.pid} on ${owner.host}`;
    }
  } finally {
    unlinkSync(draft);
  }
  dropDrafts(folder);
  const beat = setInterval(() => {
    try {
      utimesSync(path, new Date(), new Date());
    } catch {
      // The folder may be gone; whoever writes into it says so.
    }
  }, BEAT_MS);
  beat.unref();
  let held = true;
  return {
    takenFrom,
    release() {
      if (!held) return;
      held = false;
      clearInterval(beat);
      try {
        if (readOwner(path)?.pid === own.pid) unlinkSync(path);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    },
  };
}

/** Removes what processes left that were killed while they took the lock. */
function dropDrafts(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(`${LOCK_FILE}.`)) continue;
    const path = join(folder, name);
    try {
      if (isDropped(path)) unlinkSync(path);
    } catch {
      // Gone meanwhile, or another user's: it does no harm.
    }
  }
}

/** Whether nobody will come back for a draft or a mark. Half of one belongs to a process that is writing it, or was. */
function isDropped(path: string): boolean {
  const old = Date.now() - statSync(path).mtimeMs > TAKEOVER_MS;
  try {
    const owner = readOwner(path);
    return owner !== null && !isAlive(owner, path);
  } catch (error) {
    if (error instanceof OutsideError) return old;
    throw error;
  }
}

/** A link appears with its content or not at all, and never in place of another. */
function linked(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (isThere(error)) return false;
    // File systems without links (FAT, some network ones).
    try {
      writeFileSync(path, readFileSync(draft), { flag: 'wx' });
      return true;
    } catch (second) {
      if (isThere(second)) return false;
      throw second;
    }
  }
}

/** Removes a dead lock. Of several processes that see it dead one may, so that none removes the other's new one. */
function takeOver(path: string, draft: string): void {
  const mark = `${path}.takeover`;
  if (!linked(draft, mark)) {
    try {
      if (Date.now() - statSync(mark).mtimeMs > TAKEOVER_MS) unlinkSync(mark);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    return;
  }
  try {
    const owner = readOwner(path);
    if (owner !== null && !isAlive(owner, path)) unlinkSync(path);
  } finally {
    unlinkSync(mark);
  }
}
