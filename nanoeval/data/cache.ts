/**
 * The hub cache on disk, in exactly the layout of Python's huggingface_hub, so that both find each other's files:
 *
 *   models--org--name/refs/main                    the commit that `main` stood for
 *   models--org--name/blobs/<etag>                 content; etag = sha256 of LFS files, git blob id of others
 *   models--org--name/snapshots/<commit>/<path>    relative link to the blob (a copy where links are not possible)
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { Interrupted, OutsideError } from '../types.ts';

/** Folder of one repository in the cache. Old ids without an owner keep their short name, as in Python. */
export function repoFolder(cacheDir: string, kind: 'model' | 'dataset', id: string): string {
  return join(cacheDir, [`${kind}s`, ...id.split('/')].join('--'));
}

/** What a file must hash to. Known for every file of a listing. */
export interface Digest {
  algorithm: 'sha256' | 'git_blob';
  hex: string;
}

/** A running hash of one kind; a git blob id covers `blob <size>\0` and then the content. */
export function startHash(digest: Digest, size: number): Hash {
  if (digest.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${size}\0`);
}

/** Reads a file into a hash, piece by piece. Throws OutsideError with the path when it cannot be read. */
export async function hashFile(path: string, hash: Hash, signal?: AbortSignal): Promise<Hash> {
  try {
    // 1 MiB pieces: about 1.5 GB/s of sha256 on a core with SHA instructions.
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
      if (signal?.aborted) throw new Interrupted();
      hash.update(piece as Uint8Array);
    }
  } catch (error) {
    throw diskError(path, error);
  }
  return hash;
}

/** sha256 of a file in hex, read by streaming. Throws OutsideError with the path when it cannot be read. */
export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  return (await hashFile(path, createHash('sha256'), signal)).digest('hex');
}

/** True when the file has this size and hashes to this digest; false too when there is no file. */
export async function matches(path: string, size: number, digest: Digest, signal?: AbortSignal): Promise<boolean> {
  if ((await sizeOf(path)) !== size) return false;
  return (await hashFile(path, startHash(digest, size), signal)).digest('hex') === digest.hex;
}

/** Bytes of a file behind any links; null when there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw diskError(path, error);
  }
}

/** True for an error of the file system that says there is no such file or folder. */
export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

const DISK_WORDS: Record<string, string> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'the disk is read-only',
};

/** A failure of the file system as OutsideError with the path; errors that are not one pass through. */
export function diskError(path: string, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (!(error instanceof Error) || code === undefined || (error as NodeJS.ErrnoException).syscall === undefined) {
    return error instanceof Error ? error : new Error(String(error));
  }
  return new OutsideError(`${path}: ${DISK_WORDS[code] ?? error.message} (${code})`, { cause: error });
}

/** The commit in `refs/<revision>`; null when the cache has none. */
export async function readRef(folder: string, revision: string): Promise<string | null> {
  const path = join(folder, 'refs', revision);
  try {
    const commit = (await readFile(path, 'utf8')).trim();
    return /^[0-9a-f]{40}$/.test(commit) ? commit : null;
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'EISDIR') return null;
    throw diskError(path, error);
  }
}

/** Names under `refs/`, for messages. */
export async function listRefs(folder: string): Promise<string[]> {
  const files = await listFolder(join(folder, 'refs'));
  return files.filter((path) => !path.endsWith('.tmp'));
}

/** Writes `refs/<revision>`, as Python does for every revision that is not a commit itself. */
export async function writeRef(folder: string, revision: string, commit: string): Promise<void> {
  if (revision === commit || (await readRef(folder, revision)) === commit) return;
  const path = join(folder, 'refs', revision);
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, commit);
    await rename(temporary, path);
  } catch (error) {
    await removeQuietly(temporary);
    throw diskError(path, error);
  }
}

/** Clears up after a failure: one more failure there would only hide the first. */
async function removeQuietly(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

/** Paths of all files below a folder, with `/`, sorted; links are followed, a missing folder is empty. */
export async function listFolder(folder: string): Promise<string[]> {
  const paths: string[] = [];
  /** `chain`: real paths of the folders that led here; a link back to one of them would never end. */
  const walk = async (prefix: string, chain: readonly string[]): Promise<void> => {
    for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
      if (entry.name === '.git' || entry.name === '.DS_Store') continue;
      const path = prefix + entry.name;
      const full = join(folder, path);
      const found = entry.isSymbolicLink() ? await stat(full).catch(nullWhenMissing) : entry;
      if (found?.isFile()) paths.push(path);
      if (!found?.isDirectory()) continue;
      const real = await realpath(full);
      if (!chain.includes(real)) await walk(`${path}/`, [...chain, real]);
    }
  };
  try {
    await walk('', [await realpath(folder)]);
  } catch (error) {
    if (!isMissing(error)) throw diskError(folder, error);
  }
  return paths.sort();
}

function nullWhenMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

/**
 * The digest that a cached file should have, read from the name of the blob that its snapshot entry links to;
 * null for a copy, whose name says nothing.
 */
export async function linkedDigest(pointer: string): Promise<Digest | null> {
  const target = await readlink(pointer).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EINVAL' || isMissing(error)) return null; // EINVAL: not a link
    throw diskError(pointer, error);
  });
  const name = target === null ? '' : basename(target);
  if (/^[0-9a-f]{64}$/.test(name)) return { algorithm: 'sha256', hex: name };
  if (/^[0-9a-f]{40}$/.test(name)) return { algorithm: 'git_blob', hex: name };
  return null;
}

/**
 * Puts `snapshots/<commit>/<path>` in place: a relative link to the blob, or a copy where links are not possible
 * (Windows without developer mode, some network disks) or not wanted.
 */
export async function linkSnapshot(blob: string, pointer: string, copies: boolean): Promise<void> {
  const temporary = `${pointer}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(pointer), { recursive: true });
    let linked = false;
    if (!copies) {
      linked = await symlink(relative(dirname(pointer), blob), temporary).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'UNKNOWN'].includes(error.code ?? ''))
            return false;
          throw error;
        },
      );
    }
    if (!linked) await copyFile(blob, temporary);
    // By rename, so that neither a dead entry nor another process's fresh one is in the way.
    await rename(temporary, pointer);
  } catch (error) {
    await removeQuietly(temporary);
    throw diskError(pointer, error);
  }
}
