/**
 * One file from the hub into the cache: resumed, hashed while it streams, renamed into place last.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { type Log, OutsideError } from '../types.ts';
import { type Digest, diskError, hashFile, isMissing, matches, sizeOf, startHash } from './cache.ts';
import type { Http } from './http.ts';
import { Transient } from './http_errors.ts';
import type { Answer } from './http_request.ts';

/** What to download and where to. */
export interface Download {
  /** The hub's resolve address; every try starts there, so that a signed address is always fresh. */
  url: string;
  /** Final path: `blobs/<etag>`. */
  blob: string;
  size: number;
  digest: Digest;
  /** Path in the repository: the label of the progress line. */
  path: string;
  /** Repository and path, for messages. */
  label: string;
}

/** Whole downloads whose bytes were wrong before giving up: the fault is then not a flipped bit on the way. */
const DAMAGED_TRIES = 3;

/** A partial file of nobody we can ask about (another machine, Python) is taken over when this old. */
const ABANDONED_MS = 3_600_000;

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 4);

/**
 * Name of this thread's own partial file. Python 2.4 names it `<etag>.<8 hex>.incomplete`, unique too, and never
 * resumes; here the middle says machine, process and thread, so that a later run can tell whether its writer is gone.
 */
function partialName(blob: string): string {
  const owner = HOST + process.pid.toString(16).padStart(8, '0') + threadId.toString(16).padStart(2, '0');
  return `${blob}.${owner}.incomplete`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Takes over the largest partial file that an ended run left behind, by renaming it: of two processes that try, one
 * wins. A live writer's file is never touched, so two processes at most download the same bytes twice.
 */
async function adoptPartial(blob: string, own: string): Promise<void> {
  if ((await sizeOf(own)) !== null) return;
  const folder = dirname(blob);
  const candidates: { path: string; size: number }[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(blob)}.`) || !name.endsWith('.incomplete')) continue;
    const path = join(folder, name);
    const found = await stat(path).catch((error) => {
      if (isMissing(error)) return null; // its writer has just finished
      throw diskError(path, error);
    });
    if (found === null) continue;
    const owner = /\.([0-9a-f]{4})([0-9a-f]{8})[0-9a-f]{2,}\.incomplete$/.exec(name);
    const abandoned = Date.now() - found.mtimeMs > ABANDONED_MS;
    const dead = owner?.[1] === HOST && !isAlive(Number.parseInt(owner[2] ?? '', 16));
    if (dead || abandoned) candidates.push({ path, size: found.size });
  }
  candidates.sort((a, b) => b.size - a.size);
  for (const { path } of candidates) {
    try {
      await rename(path, own);
      return;
    } catch (error) {
      if (!isMissing(error)) throw diskError(path, error); // missing: the other process won
    }
  }
}

/** The first byte of an answer's body in the file; throws Transient when the answer does not fit what was asked. */
function startOf(answer: Answer, asked: number, want: Download): number {
  if (answer.status === 200) return 0;
  if (answer.status !== 206) throw new Transient(`${want.label}: answer ${answer.status} to bytes ${asked}-`);
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers.get('content-range') ?? '');
  const [first, total] = [Number(range?.[1]), range?.[3]];
  if (first !== asked || (total !== '*' && Number(total) !== want.size)) {
    const got = answer.headers.get('content-range') ?? 'no Content-Range';
    throw new Transient(`${want.label}: asked for bytes ${asked}- of ${want.size}, got ${got}`);
  }
  return first;
}

async function writeAll(file: FileHandle, piece: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < piece.byteLength; ) {
    const { bytesWritten } = await file.write(piece, done, piece.byteLength - done, at + done);
    done += bytesWritten;
  }
}

/**
 * Downloads one file to its blob path, verified: size and sha256 (LFS) or git blob id (others). A cut download goes on
 * where it ended, in this run and in a later one; wrong bytes start again from zero, at most three times.
 * Throws OutsideError (network or damage after all tries, disk), Refused (the hub said no), Interrupted.
 */
export function downloadBlob(http: Http, want: Download, log: Log, signal?: AbortSignal): Promise<void> {
  // Two paths with the same content, or two openings of one repository, share the blob and its partial file.
  const known = running.get(want.blob);
  if (known !== undefined) return known;
  const work = downloadOnce(http, want, log, signal).finally(() => running.delete(want.blob));
  running.set(want.blob, work);
  return work;
}

const running = new Map<string, Promise<void>>();

async function downloadOnce(http: Http, want: Download, log: Log, signal?: AbortSignal): Promise<void> {
  const own = partialName(want.blob);
  let file: FileHandle | null = null;
  try {
    await mkdir(dirname(want.blob), { recursive: true });
    await adoptPartial(want.blob, own);
    await (await open(own, 'a')).close(); // made when missing, kept when not; 'a' itself ignores positions
    const opened = await open(own, 'r+');
    file = opened;
    await fill(http, want, opened, own, log, signal);
    await opened.close();
    file = null;
    await rename(own, want.blob);
  } catch (error) {
    await file?.close();
    if ((await sizeOf(own)) === 0) await rm(own, { force: true });
    // Two processes at once: the other may have put the very file in place while this one failed.
    if (error instanceof OutsideError && (await matches(want.blob, want.size, want.digest, signal))) {
      await rm(own, { force: true });
      return;
    }
    throw diskError(own, error);
  }
}

/** Brings the partial file to its full, verified content. */
async function fill(http: Http, want: Download, file: FileHandle, path: string, log: Log, signal?: AbortSignal) {
  let have = (await file.stat()).size;
  let hash: Hash = startHash(want.digest, want.size);
  const restart = async () => {
    await file.truncate(0);
    have = 0;
    hash = startHash(want.digest, want.size);
  };
  if (have > want.size) await restart();
  else if (have > 0) {
    log.info(`${want.label}: goes on at byte ${have} of ${want.size}`);
    await hashFile(path, hash, signal);
  }
  const show = () => log.progress({ label: want.path, done: have, total: want.size, unit: 'MB' });
  // Within one run an ETag guards the rest against another file; across runs the final hash does.
  let etag: string | null = null;

  for (let damaged = 0; ; ) {
    show();
    await http.retry(want.label, async (progressed) => {
      if (have === want.size && have > 0) return;
      const headers: Record<string, string> = {};
      if (have > 0) headers.range = `bytes=${have}-`;
      if (have > 0 && etag !== null) headers['if-range'] = etag;
      const answer = await http.get(want.url, headers);
      if (answer.status === 416 || answer.status === 412) {
        await answer.discard();
        await restart();
        if (want.size === 0) return; // an empty file has no bytes to ask for
        throw new Transient(`${want.label}: answer ${answer.status} to bytes ${headers.range}`);
      }
      if (startOf(answer, have, want) !== have) await restart();
      const tag = answer.headers.get('etag');
      etag = tag?.startsWith('"') ? tag : null; // If-Range takes strong tags only
      for await (const piece of answer.body()) {
        if (have + piece.byteLength > want.size) {
          await restart();
          throw new Transient(`${want.label}: more than the ${want.size} bytes of the listing`);
        }
        await writeAll(file, piece, have);
        hash.update(piece);
        have += piece.byteLength;
        progressed(piece.byteLength);
        show();
      }
      if (have < want.size) throw new Transient(`${want.label}: ended at ${have} of ${want.size} bytes`);
    });
    const got = hash.digest('hex');
    if (got === want.digest.hex) return;
    damaged++;
    await restart();
    const name = want.digest.algorithm === 'sha256' ? 'sha256' : 'git blob id';
    const line = `${want.label}: arrived damaged: ${name} ${got}, not ${want.digest.hex}`;
    if (damaged >= DAMAGED_TRIES) {
      await rm(path, { force: true });
      throw new OutsideError(`${line} (${damaged} downloads). A proxy on the way, or the hub's copy, is at fault.`);
    }
    log.info(`${line}; once more from the start`);
  }
}
