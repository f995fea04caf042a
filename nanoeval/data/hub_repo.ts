/** A repository on the hub at one commit, its listing known: files come from the cache, else from the hub. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Log, OutsideError, type RandomAccess, type Repo, type RepoFile } from '../types.ts';
import { type Digest, linkSnapshot, matches, writeRef } from './cache.ts';
import { downloadBlob } from './download.ts';
import type { Http } from './http.ts';
import { Refused } from './http_errors.ts';
import type { HttpLimits } from './http_limits.ts';
import type { HubEnv } from './hub_env.ts';
import { explainRefusal, missingFile } from './hub_errors.ts';
import { openHubRanges } from './ranges.ts';

/** Which repository on the hub, at which revision. */
export interface RepoSpec {
  kind: 'model' | 'dataset';
  /** `owner/name`, or an old name without owner. */
  id: string;
  /** Branch, tag or commit. */
  revision: string;
}

/** What opening a repository needs of its caller. */
export interface OpenOptions {
  log: Log;
  signal?: AbortSignal | undefined;
  /** The environment to read the hub's settings from; `process.env` when absent. */
  env?: NodeJS.ProcessEnv | undefined;
  limits?: Partial<HttpLimits> | undefined;
}

/** A repository that can also be read without fetching a file whole. */
export interface OpenRepo extends Repo {
  /** Said behind errors about what is not there: while offline the listing is only what the cache has. Else ''. */
  note: string;
  /** Path of a file that is on this machine already, verified; null when it would have to be downloaded. */
  cached(path: string): Promise<string | null>;
  /** The bytes of one file by ranges, unverified. Throws UserError when there is no such file. */
  ranges(path: string): RandomAccess;
}

/** A file of the hub's listing. */
export interface ListedFile extends RepoFile {
  /** Git id of the file, or of the LFS pointer in its place. */
  oid: string;
}

/** Which repository, and what it takes to get at its files. */
export interface HubSource {
  spec: RepoSpec;
  env: HubEnv;
  /** Of the repository in the cache. */
  folder: string;
  http: Http;
  /** 40 hex digits. */
  commit: string;
  log: Log;
  signal: AbortSignal | undefined;
}

/** What one opened repository knows of its files, by path. */
interface HubFiles extends HubSource {
  listed: Map<string, ListedFile>;
  /** Those whose copy in the cache has been checked. */
  verified: Set<string>;
  running: Map<string, Promise<string>>;
  /** Opened by ranges. */
  opened: Map<string, RandomAccess>;
}

/**
 * The repository with the files of its listing. Its members throw UserError (no such file, no access), OutsideError
 * (network, damage, disk), Interrupted.
 */
export function hubRepo(source: HubSource, listing: readonly ListedFile[]): OpenRepo {
  const { spec, commit } = source;
  const files: HubFiles = {
    ...source,
    listed: new Map(listing.map((file) => [file.path, file])),
    verified: new Set(),
    running: new Map(),
    opened: new Map(),
  };
  return {
    kind: spec.kind,
    id: spec.id,
    revision: spec.revision,
    commit,
    note: '',
    files: listing.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    cached: (path) => cachedPath(files, path),
    fetch(path) {
      // Asked for twice at once, a file is downloaded once.
      const work = files.running.get(path) ?? fetchFile(files, path).finally(() => files.running.delete(path));
      files.running.set(path, work);
      return work;
    },
    ranges(path) {
      // One for all readers of the file, so that all of them see one version.
      const file = files.opened.get(path) ?? openRanges(files, path);
      files.opened.set(path, file);
      return file;
    },
  };
}

/** Where a file is, here and there, and what it has to hash to. Throws UserError when the listing has no such file. */
function placesOf({ listed, spec, env, folder, commit }: HubFiles, path: string) {
  const file = listed.get(path);
  if (file === undefined) throw missingFile(path, `${spec.id}@${commit.slice(0, 7)}`, [...listed.keys()]);
  const digest: Digest =
    file.sha256 === null ? { algorithm: 'git_blob', hex: file.oid } : { algorithm: 'sha256', hex: file.sha256 };
  const prefix = spec.kind === 'dataset' ? '/datasets' : '';
  const parts = path.split('/');
  return {
    size: file.size,
    digest,
    label: `${spec.id}/${path}`,
    blob: join(folder, 'blobs', digest.hex),
    pointer: join(folder, 'snapshots', commit, ...parts),
    // Per segment: encodeURIComponent keeps "/" out and makes "#", "?" and "%" in names safe, which the library does
    // not.
    url: `${env.endpoint}${prefix}/${spec.id}/resolve/${commit}/${parts.map(encodeURIComponent).join('/')}`,
  };
}

/** The path in the snapshot when the cache has the right content, linked there if need be; else null. */
async function cachedPath(files: HubFiles, path: string): Promise<string | null> {
  const { pointer, blob, size, digest } = placesOf(files, path);
  const { verified, env, log, signal } = files;
  if (verified.has(path)) return pointer;
  if (await matches(pointer, size, digest, signal)) {
    verified.add(path);
    return pointer;
  }
  if (existsSync(pointer)) log.info(`${path}: the copy in the cache is damaged (${pointer}); it is replaced`);
  if (!(await matches(blob, size, digest, signal))) return null;
  await linkSnapshot(blob, pointer, env.disableSymlinks);
  verified.add(path);
  return pointer;
}

async function fetchFile(files: HubFiles, path: string): Promise<string> {
  const { spec, env, folder, http, commit, log, signal, verified } = files;
  const { pointer, ...want } = placesOf(files, path);
  const wasCached = (await cachedPath(files, path)) !== null;
  if (!wasCached) {
    try {
      await downloadBlob(http, { path, ...want }, log, signal);
    } catch (error) {
      if (error instanceof Refused) throw await explainRefusal(error, spec, env, http);
      throw error;
    }
    await linkSnapshot(want.blob, pointer, env.disableSymlinks);
    verified.add(path);
  }
  // After the first file, not at opening: a ref to an empty snapshot would hide an older, full one when offline.
  await writeRef(folder, spec.revision, commit).catch((error: unknown) => {
    // A shared cache may be read-only; a file that is there can be used all the same, as in Python.
    if (!wasCached || !(error instanceof OutsideError)) throw error;
    log.info(`${error.message}: offline runs will not find ${spec.id}@${spec.revision}`);
  });
  return pointer;
}

function openRanges(files: HubFiles, path: string): RandomAccess {
  const { spec, env, http } = files;
  const { size, url, label } = placesOf(files, path);
  const plain = openHubRanges(http, { url, size, label });
  const slice = (start: number, end?: number) =>
    plain.slice(start, end).catch(async (error: unknown) => {
      throw error instanceof Refused ? await explainRefusal(error, spec, env, http) : error;
    });
  return { byteLength: size, slice };
}
