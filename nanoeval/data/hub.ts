/**
 * Repositories: on the hub at one commit, in the hub's cache (offline), or a local folder in the hub's layout.
 *
 * @huggingface/hub answers "which commit" and "which files"; downloads are our own, because its cache function checks
 * neither size nor hash, cannot resume and scatters a branch's files over several snapshots (version 2.17.5). Xet is
 * not used: the resolve address serves every file.
 */
import { existsSync, statSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { OutsideError, type RepoFile, UserError } from '../types.ts';
import { diskError, isMissing, listFolder, readRef, repoFolder, sizeOf } from './cache.ts';
import { type Http, openHttp } from './http.ts';
import { Refused } from './http_errors.ts';
import type { HttpLimits } from './http_limits.ts';
import { type HubEnv, readHubEnv } from './hub_env.ts';
import { explainRefusal, missingFile } from './hub_errors.ts';
import { openOffline } from './hub_offline.ts';
import { hubRepo, type ListedFile, type OpenOptions, type OpenRepo, type RepoSpec } from './hub_repo.ts';

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
  if (env.offline) return openOffline(spec, env, folder, options.signal);

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
    return hubRepo({ spec, env, folder, http, commit, log, signal }, listing);
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
  return localRepo(kind, path, files, (name) => join(root, ...name.split('/')));
}

/** Opens a local file as a data set that holds it alone, under its own name. Errors as those of `openFolder`. */
export async function openFile(path: string): Promise<OpenRepo> {
  const files = [{ path: basename(path), size: (await sizeOf(path)) ?? 0, sha256: null }];
  return localRepo('dataset', path, files, () => path);
}

function localRepo(
  kind: 'model' | 'dataset',
  id: string,
  files: RepoFile[],
  placeOf: (name: string) => string,
): OpenRepo {
  const sizes = new Map(files.map((file) => [file.path, file.size]));
  async function cached(name: string): Promise<string> {
    const size = sizes.get(name);
    if (size === undefined) throw missingFile(name, id, [...sizes.keys()]);
    const full = placeOf(name);
    if (size < 1024 && (await startsWith(full, LFS_POINTER))) {
      const folder = full === id ? dirname(full) : id;
      throw new UserError(`${full}: a Git-LFS pointer, not the file itself. Run "git lfs pull" in ${folder}.`);
    }
    return full;
  }
  return {
    kind,
    id,
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

const LFS_POINTER = 'version https://git-lfs.github.com/spec/v1';

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
 * exist is a UserError that says so, not a question to the hub. Errors have the key `model.model_id` where it is at
 * fault.
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
