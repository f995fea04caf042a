/** A repository as far as the hub's cache holds it, for `HF_HUB_OFFLINE=1`: no request is made. */
import { join } from 'node:path';
import { OutsideError, type RepoFile, UserError } from '../types.ts';
import { linkedDigest, listFolder, listRefs, matches, readRef, sizeOf } from './cache.ts';
import type { HubEnv } from './hub_env.ts';
import type { OpenRepo, RepoSpec } from './hub_repo.ts';

/**
 * Opens what the cache has of a repository; `folder` is its own in there. The listing holds the files of the snapshot.
 *
 * Throws UserError when the revision, or any file of it, is not in the cache. `fetch` and `cached` throw UserError for
 * a file that is not there, OutsideError for one that does not hash to the name of its blob.
 */
export async function openOffline(
  spec: RepoSpec,
  env: HubEnv,
  folder: string,
  signal?: AbortSignal,
): Promise<OpenRepo> {
  const why = 'and HF_HUB_OFFLINE=1 forbids asking the hub. Run once without it.';
  const commit = /^[0-9a-f]{40}$/.test(spec.revision) ? spec.revision : await readRef(folder, spec.revision);
  if (commit === null) {
    const refs = await listRefs(folder);
    const has = refs.length > 0 ? ` (it has: ${refs.join(', ')})` : '';
    throw new UserError(`${spec.id}: revision "${spec.revision}" is not in the cache ${env.cacheDir}${has}, ${why}`);
  }
  const snapshot = join(folder, 'snapshots', commit);
  const files = await filesOf(snapshot);
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
    if (digest !== null && !verified.has(path) && !(await matches(pointer, file.size, digest, signal))) {
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

/** The files of a snapshot, their hashes as far as the names of their blobs say them. */
async function filesOf(snapshot: string): Promise<RepoFile[]> {
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
  return files;
}
