/**
 * Repositories: on the hub at one commit, in the hub's cache (offline), or a local folder in the hub's layout.
 *
 * @huggingface/hub answers "which commit" and "which files"; downloads are our own, because its cache function checks
 * neither size nor hash, cannot resume and scatters a branch's files over several snapshots
 * (shared/reference/hub_and_libraries.md 1.4). Xet is not used: the resolve address serves every file.
 */
import { existsSync, statSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { type Log, OutsideError, type RandomAccess, type Repo, type RepoFile, UserError } from '../types.ts';
import {
  type Digest,
  diskError,
  isMissing,
  linkedDigest,
  linkSnapshot,
  listFolder,
  listRefs,
  matches,
  readRef,
  repoFolder,
  sizeOf,
  writeRef,
} from './cache.ts';
import { downloadBlob } from './download.ts';
import { type Http, type HttpLimits, openHttp, Refused } from './http.ts';
import { type HubEnv, readHubEnv } from './hub_env.ts';
import { explainRefusal, missingFile } from './hub_errors.ts';
import { openHubRanges } from './ranges.ts';

export interface RepoSpec {
  kind: 'model' | 'dataset';
  /** `owner/name`, or an old name without owner. */
  id: string;
  /** Branch, tag or commit. */
  revision: string;
}

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

const COMMIT = /^[0-9a-f]{40}$/;

/** The hub's grammar of ids (Python's validate_repo_id): null when the id keeps to it, else what is wrong. */
export function faultOfId(id: string): string | null {
  if (!/^(?:\b[\w\-.]{1,96}\b\/)?\b[\w\-.]{1,96}\b$/.test(id)) {
    return 'It would be owner/name, of letters, digits, "-", "_" and ".".';
  }
  if (id.includes('--') || id.includes('..')) return 'The hub has no "--" and no ".." in names.';
  if (id.endsWith('.git')) return 'Leave ".git" away.';
  return null;
}

/** Refuses listing paths that would leave the snapshot folder: the listing comes from outside. */
function isSafePath(path: string): boolean {
  return !isAbsolute(path) && !path.includes('\\') && path.split('/').every((part) => !['', '.', '..'].includes(part));
}

/** Settings of the environment laid over the defaults; a test's own limits win. */
function limitsFrom(env: HubEnv, own: Partial<HttpLimits> | undefined): Partial<HttpLimits> {
  const limits: Partial<HttpLimits> = {};
  if (env.etagTimeoutS !== null) limits.apiTimeoutMs = env.etagTimeoutS * 1000;
  if (env.downloadTimeoutS !== null) {
    limits.headersTimeoutMs = env.downloadTimeoutS * 1000;
    limits.stallTimeoutMs = env.downloadTimeoutS * 1000;
    limits.speedWindowMs = env.downloadTimeoutS * 2000;
  }
  return { ...limits, ...own };
}

/**
 * Opens a repository on the hub: resolves the revision to a commit once and lists its files; downloads nothing yet.
 * With `HF_HUB_OFFLINE=1` no request is made, and the list holds only what the cache has.
 *
 * Throws UserError (no such repository or revision, no access, bad token or id, not in the cache while offline),
 * OutsideError (hub not reachable or broken after all retries, disk), Interrupted.
 */
export async function openRepo(spec: RepoSpec, options: OpenOptions): Promise<OpenRepo> {
  const fault = faultOfId(spec.id);
  if (fault !== null) {
    const key = spec.kind === 'model' ? 'model.model_id' : 'dataset.dataset_id';
    throw new UserError(`"${spec.id}" cannot be the id of a ${spec.kind} on the hub. ${fault}`, { key });
  }
  if (!/^[^\s\\~^:?*[]+$/.test(spec.revision) || !isSafePath(spec.revision)) {
    const line = `"${spec.revision}" cannot be a revision of ${spec.id}. It would be a branch, a tag or a commit.`;
    throw new UserError(line, { key: `${spec.kind}.revision` });
  }
  const env = readHubEnv(options.env);
  const folder = repoFolder(env.cacheDir, spec.kind, spec.id);
  if (env.offline) return openOffline(spec, env, folder, options);

  const { log, signal } = options;
  const http = openHttp({
    endpoint: env.endpoint,
    token: env.token,
    log,
    signal,
    limits: limitsFrom(env, options.limits),
  });
  try {
    const commit = await findCommit(spec, http);
    const listing = await listCommit(spec, commit, http);
    return hubRepo({ spec, env, folder, http, commit, listing, log, signal });
  } catch (error) {
    if (error instanceof Refused) throw await explainRefusal(error, spec, env, http);
    if (error instanceof OutsideError) {
      const commit = COMMIT.test(spec.revision) ? spec.revision : await readRef(folder, spec.revision);
      const cached = commit !== null && existsSync(join(folder, 'snapshots', commit));
      const hint = `The cache has ${spec.id}@${spec.revision}: HF_HUB_OFFLINE=1 uses it without asking the hub.`;
      throw cached ? new OutsideError(`${error.message}. ${hint}`, { cause: error }) : error;
    }
    throw error;
  }
}

async function findCommit(spec: RepoSpec, http: Http): Promise<string> {
  if (COMMIT.test(spec.revision)) return spec.revision;
  const params = { name: spec.id, revision: spec.revision, hubUrl: http.endpoint, fetch: http.apiFetch };
  // A slow import, which local files do not need.
  const { datasetInfo, modelInfo } = await import('@huggingface/hub');
  const info =
    spec.kind === 'model'
      ? await modelInfo({ ...params, additionalFields: ['sha'] })
      : await datasetInfo({ ...params, additionalFields: ['sha'] });
  if (typeof info.sha !== 'string' || !COMMIT.test(info.sha)) {
    throw new OutsideError(`${http.endpoint}: no commit in the answer about ${spec.id}@${spec.revision}.`);
  }
  return info.sha;
}

interface ListedFile extends RepoFile {
  /** Git id of the file, or of the LFS pointer in its place. */
  oid: string;
}

async function listCommit(spec: RepoSpec, commit: string, http: Http): Promise<ListedFile[]> {
  const repo = { type: spec.kind, name: spec.id } as const;
  const files: ListedFile[] = [];
  const params = { repo, revision: commit, recursive: true, hubUrl: http.endpoint, fetch: http.apiFetch };
  const { listFiles } = await import('@huggingface/hub');
  for await (const entry of listFiles(params)) {
    if (entry.type !== 'file') continue;
    const { path, lfs, oid } = entry;
    const size = lfs?.size ?? entry.size;
    const sha256 = lfs?.oid ?? null;
    const known = sha256 === null ? /^[0-9a-f]{40}$/.test(oid ?? '') : /^[0-9a-f]{64}$/.test(sha256);
    if (!isSafePath(path) || !known || !Number.isSafeInteger(size) || size < 0) {
      throw new OutsideError(`${http.endpoint}: the listing of ${spec.id}@${commit} has an unusable entry "${path}".`);
    }
    files.push({ path, size, sha256, oid: oid ?? '' });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface HubRepoParts {
  spec: RepoSpec;
  env: HubEnv;
  folder: string;
  http: Http;
  commit: string;
  listing: ListedFile[];
  log: Log;
  signal: AbortSignal | undefined;
}

function hubRepo({ spec, env, folder, http, commit, listing, log, signal }: HubRepoParts): OpenRepo {
  const byPath = new Map(listing.map((file) => [file.path, file]));
  const verified = new Set<string>();
  const running = new Map<string, Promise<string>>();
  const opened = new Map<string, RandomAccess>();
  const prefix = spec.kind === 'dataset' ? '/datasets' : '';

  function find(path: string): ListedFile {
    const file = byPath.get(path);
    if (file === undefined) throw missingFile(path, `${spec.id}@${commit.slice(0, 7)}`, [...byPath.keys()]);
    return file;
  }
  // Per segment: encodeURIComponent keeps "/" out and makes "#", "?" and "%" in names safe, which the library does not.
  const urlOf = (path: string) =>
    `${env.endpoint}${prefix}/${spec.id}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
  const digestOf = (file: ListedFile): Digest =>
    file.sha256 === null ? { algorithm: 'git_blob', hex: file.oid } : { algorithm: 'sha256', hex: file.sha256 };
  const pointerOf = (path: string) => join(folder, 'snapshots', commit, ...path.split('/'));

  async function cached(path: string): Promise<string | null> {
    const file = find(path);
    const pointer = pointerOf(path);
    if (verified.has(path)) return pointer;
    const digest = digestOf(file);
    const blob = join(folder, 'blobs', digest.hex);
    if (await matches(pointer, file.size, digest, signal)) {
      verified.add(path);
      return pointer;
    }
    if (existsSync(pointer)) log.info(`${path}: the copy in the cache is damaged (${pointer}); it is replaced`);
    if (!(await matches(blob, file.size, digest, signal))) return null;
    await linkSnapshot(blob, pointer, env.disableSymlinks);
    verified.add(path);
    return pointer;
  }

  async function fetchFile(path: string): Promise<string> {
    const file = find(path);
    const pointer = pointerOf(path);
    const wasCached = (await cached(path)) !== null;
    if (!wasCached) {
      const digest = digestOf(file);
      const blob = join(folder, 'blobs', digest.hex);
      const label = `${spec.id}/${path}`;
      try {
        await downloadBlob(http, { url: urlOf(path), path, blob, size: file.size, digest, label }, log, signal);
      } catch (error) {
        if (error instanceof Refused) throw await explainRefusal(error, spec, env, http);
        throw error;
      }
      await linkSnapshot(blob, pointer, env.disableSymlinks);
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

  return {
    kind: spec.kind,
    id: spec.id,
    revision: spec.revision,
    commit,
    note: '',
    files: listing.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    cached,
    fetch(path) {
      // Asked for twice at once, a file is downloaded once.
      const work = running.get(path) ?? fetchFile(path).finally(() => running.delete(path));
      running.set(path, work);
      return work;
    },
    ranges(path) {
      const { size } = find(path);
      // One for all readers of the file, so that all of them see one version.
      const known = opened.get(path);
      if (known !== undefined) return known;
      const plain = openHubRanges(http, { url: urlOf(path), size, label: `${spec.id}/${path}` });
      const slice = (start: number, end?: number) =>
        plain.slice(start, end).catch(async (error: unknown) => {
          throw error instanceof Refused ? await explainRefusal(error, spec, env, http) : error;
        });
      const file = { byteLength: size, slice };
      opened.set(path, file);
      return file;
    },
  };
}

/** A repository as far as the cache holds it. */
async function openOffline(spec: RepoSpec, env: HubEnv, folder: string, options: OpenOptions): Promise<OpenRepo> {
  const why = 'and HF_HUB_OFFLINE=1 forbids asking the hub. Run once without it.';
  const commit = COMMIT.test(spec.revision) ? spec.revision : await readRef(folder, spec.revision);
  if (commit === null) {
    const refs = await listRefs(folder);
    const has = refs.length > 0 ? ` (it has: ${refs.join(', ')})` : '';
    throw new UserError(`${spec.id}: revision "${spec.revision}" is not in the cache ${env.cacheDir}${has}, ${why}`);
  }
  const snapshot = join(folder, 'snapshots', commit);
  const files: RepoFile[] = [];
  for (const path of await listFolder(snapshot)) {
    const pointer = join(snapshot, path);
    const digest = await linkedDigest(pointer);
    files.push({
      path,
      size: (await sizeOf(pointer)) ?? 0,
      sha256: digest?.algorithm === 'sha256' ? digest.hex : null,
    });
  }
  if (files.length === 0) {
    throw new UserError(`${spec.id}@${commit.slice(0, 7)}: no file of it is in the cache ${env.cacheDir}, ${why}`);
  }
  const verified = new Set<string>();
  async function cached(path: string): Promise<string> {
    const file = files.find((one) => one.path === path);
    if (file === undefined) {
      throw new UserError(
        `${path} of ${spec.id}@${commit?.slice(0, 7)} is not in the cache ${env.cacheDir}, ${why} ` +
          `In the cache: ${files.map((one) => one.path).join(', ')}.`,
      );
    }
    const pointer = join(snapshot, ...path.split('/'));
    const digest = await linkedDigest(pointer);
    if (digest !== null && !verified.has(path) && !(await matches(pointer, file.size, digest, options.signal))) {
      throw new OutsideError(
        `${pointer}: damaged: it does not hash to its name. Delete it and run without HF_HUB_OFFLINE.`,
      );
    }
    verified.add(path);
    return pointer;
  }
  return {
    kind: spec.kind,
    id: spec.id,
    revision: spec.revision,
    commit,
    note: ` (HF_HUB_OFFLINE=1: only what the cache ${env.cacheDir} holds is seen.)`,
    files,
    cached,
    fetch: cached,
    ranges(path) {
      throw new UserError(`${path} of ${spec.id} is not in the cache, ${why}`);
    },
  };
}

const LFS_POINTER = 'version https://git-lfs.github.com/spec/v1';

/**
 * Opens a local folder in the hub's layout. `fetch` returns the file's own path.
 * Throws UserError when the folder or a file is missing, or when a file is a Git-LFS pointer without content.
 */
export async function openFolder(path: string, kind: 'model' | 'dataset'): Promise<OpenRepo> {
  const root = resolve(path);
  const found = await stat(root).catch((error) => {
    if (isMissing(error)) return null;
    throw diskError(path, error);
  });
  if (!found?.isDirectory()) throw new UserError(`${path}: no such folder.`);
  const files: RepoFile[] = [];
  for (const name of await listFolder(root)) {
    files.push({ path: name, size: (await sizeOf(join(root, name))) ?? 0, sha256: null });
  }
  async function cached(name: string): Promise<string> {
    const file = files.find((one) => one.path === name);
    if (file === undefined)
      throw missingFile(
        name,
        path,
        files.map((one) => one.path),
      );
    const full = join(root, ...name.split('/'));
    if (file.size < 1024 && (await startsWith(full, LFS_POINTER))) {
      throw new UserError(`${full}: a Git-LFS pointer, not the file itself. Run "git lfs pull" in ${path}.`);
    }
    return full;
  }
  return {
    kind,
    id: path,
    revision: null,
    commit: null,
    note: '',
    files,
    cached,
    fetch: cached,
    ranges(name) {
      throw new Error(`${name}: a local file is not read by ranges`);
    },
  };
}

async function startsWith(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(text.length), 0, text.length, 0);
      return buffer.subarray(0, bytesRead).toString('latin1') === text;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(path, error);
  }
}

/**
 * Opens a checkpoint: an existing local folder wins, else `model_id` is a hub id. What looks like a path and does not
 * exist is a UserError that says so, not a question to the hub. Errors have the key `model.model_id` where it is at fault.
 */
export async function openModelRepo(model_id: string, revision: string, options: OpenOptions): Promise<OpenRepo> {
  if (existsSync(model_id) && statSync(model_id).isDirectory()) return openFolder(model_id, 'model');
  const key = 'model.model_id';
  if (existsSync(model_id)) {
    throw new UserError(`${model_id} is a file. It would be the folder that holds config.json and onnx/.`, { key });
  }
  const looksLocal = /^[./~]|^[A-Za-z]:[\\/]|\\/.test(model_id) || model_id.split('/').length > 2;
  if (looksLocal) {
    throw new UserError(`${model_id}: no such folder. It would be a local folder or a hub id like owner/name.`, {
      key,
    });
  }
  const fault = faultOfId(model_id);
  if (fault !== null) throw new UserError(`"${model_id}" is neither a local folder nor a hub id. ${fault}`, { key });
  return openRepo({ kind: 'model', id: model_id, revision }, options);
}
