/** Writing so that a crash loses nothing: whole files by rename, the folder synced after. */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { OutsideError } from '../types.ts';

/**
 * Where a test may end the process, as the system ends one that runs out of memory: `NANOEVAL_TEST_KILL=<point>:<n>` kills
 * it at the n-th time that it comes by the point, in the middle of what it does there. `<point>:<n>:SIGINT` sends it that
 * signal there instead, as a user's Ctrl-C does, and it goes on as it would.
 */
export type Point = 'row' | 'page' | 'file' | 'rename' | 'renamed';
const [killPoint, killCount, killSignal = 'SIGKILL'] = (process.env.NANOEVAL_TEST_KILL ?? '').split(':');
let passed = 0;

/** Whether the process is to die here; `die` is for whoever was told so. */
export function isKilledAt(point: Point): boolean {
  if (point !== killPoint) return false;
  passed += 1;
  if (passed !== Number(killCount)) return false;
  if (killSignal !== 'SIGKILL') process.kill(process.pid, killSignal);
  return killSignal === 'SIGKILL';
}

/** Ends the process without a word. */
export function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal arrives before the next line of JavaScript, or soon after.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

/** Writes all of it. Half of it, and then the process ends, where a test wants that. */
export function writeAll(file: number, content: Uint8Array, point: Point): void {
  const end = isKilledAt(point) ? Math.floor(content.length / 2) : content.length;
  for (let done = 0; done < end; ) done += writeSync(file, content, done, end - done);
  if (end < content.length) die();
}

/** Puts a folder's entries on the disk: a file that was renamed there is found after a crash. */
export function syncFolder(folder: string): void {
  let handle: number;
  try {
    handle = openSync(folder, 'r');
  } catch {
    // Windows opens no folders, and needs none synced.
    return;
  }
  try {
    fsyncSync(handle);
  } catch {
    // Some network file systems refuse; their servers keep their own order.
  } finally {
    closeSync(handle);
  }
}

/**
 * Writes a file whole: under another name first, put on the disk, then renamed, so that a reader sees the old file or the
 * new one and never half of one. A list of texts is written as one text. Throws OutsideError when the disk refuses.
 */
export function writeWhole(path: string, content: string | Uint8Array | readonly string[]): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const file = openSync(`${path}.new`, 'w');
    try {
      for (const piece of piecesOf(content)) writeAll(file, piece, 'file');
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (isKilledAt('rename')) die();
    renameSync(`${path}.new`, path);
    syncFolder(dirname(path));
    if (isKilledAt('renamed')) die();
  } catch (cause) {
    throw new OutsideError(`${path} could not be written: ${(cause as Error).message}.`, { cause });
  }
}

/** Characters of a list of texts that are written at once: one text of all of them may be longer than a string can be. */
const PIECE = 1 << 24;

function* piecesOf(content: string | Uint8Array | readonly string[]): Generator<Uint8Array> {
  if (content instanceof Uint8Array) return yield content;
  if (typeof content === 'string') return yield Buffer.from(content);
  let held: string[] = [];
  let length = 0;
  for (const text of content) {
    held.push(text);
    length += text.length;
    if (length < PIECE) continue;
    yield Buffer.from(held.join(''));
    [held, length] = [[], 0];
  }
  yield Buffer.from(held.join(''));
}

/** `writeWhole` of a value as indented JSON. */
export function writeJson(path: string, value: unknown): void {
  writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** A file that is written whole, as `writeWhole` has it, a text at a time. */
export interface WholeFile {
  readonly path: string;
  /** Throws OutsideError when the disk refuses. */
  add(text: string): void;
  /** Puts it in its place. Throws OutsideError. */
  finish(): void;
  /** Leaves what was there before; nothing where it is finished. */
  drop(): void;
}

/** Characters that are held until they are written. */
const HELD = 1 << 20;

/** Opens a file for texts that together are too long to be held. Throws OutsideError when the disk refuses. */
export function openWhole(path: string): WholeFile {
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw new OutsideError(`${path} could not be written: ${(cause as Error).message}.`, { cause });
    }
  };
  const file = guarded(() => {
    mkdirSync(dirname(path), { recursive: true });
    return openSync(`${path}.new`, 'w');
  });
  let held: string[] = [];
  let length = 0;
  let open = true;
  const flush = () => {
    writeAll(file, Buffer.from(held.join('')), 'file');
    [held, length] = [[], 0];
  };
  return {
    path,
    add(text) {
      held.push(text);
      length += text.length;
      if (length >= HELD) guarded(flush);
    },
    finish() {
      guarded(() => {
        flush();
        fsyncSync(file);
        open = false;
        closeSync(file);
        renameSync(`${path}.new`, path);
        syncFolder(dirname(path));
      });
    },
    drop() {
      if (!open) return;
      open = false;
      closeSync(file);
      rmSync(`${path}.new`, { force: true });
    },
  };
}

/** `writeWhole` of texts as they come. Throws what the texts throw, and OutsideError when the disk refuses. */
export async function writeStreamed(path: string, texts: AsyncIterable<string>): Promise<void> {
  const file = openWhole(path);
  try {
    for await (const text of texts) file.add(text);
    file.finish();
  } finally {
    file.drop();
  }
}
