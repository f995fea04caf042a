/** SHA-256 of texts and files, in lower-case hex. */
import { createHash } from 'node:crypto';
import { appendFileSync, createReadStream, mkdirSync, readFileSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Of a text (as UTF-8) or of bytes. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Streams the file; about 1 GB/s, constant memory. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** Where hashes are remembered: one JSON line for each file seen. */
export function hashMemory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'nanoeval', 'sha256.jsonl');
}

/** A file that changed less than this ago may change again within its clock's grain: it is not remembered (git's rule). */
const SETTLED_MS = 2_000;

/**
 * `sha256File`, remembered over runs by path, size, time of change and inode: gigabytes of weights need not be read again
 * to know that they are the same. A memory that cannot be read or written is done without.
 */
export async function rememberedSha256(path: string, memory: string = hashMemory()): Promise<string> {
  const file = await realpath(path);
  const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true });
  const key = [file, size, mtimeNs, ctimeNs, ino].join('|');
  const known = remembered(memory).get(key);
  if (known !== undefined) return known;
  const hash = await sha256File(file);
  const after = await stat(file, { bigint: true });
  const settled = Date.now() - Number(after.mtimeNs / 1_000_000n) > SETTLED_MS;
  if (settled && after.mtimeNs === mtimeNs && after.size === size) {
    try {
      mkdirSync(dirname(memory), { recursive: true });
      appendFileSync(memory, `${JSON.stringify({ key, hash })}\n`);
    } catch {
      // Read-only home: the next run reads the file again.
    }
  }
  return hash;
}

function remembered(memory: string): Map<string, string> {
  const known = new Map<string, string>();
  let text = '';
  try {
    text = readFileSync(memory, 'utf8');
  } catch {
    return known;
  }
  for (const line of text.split('\n')) {
    try {
      const { key, hash } = JSON.parse(line) as { key: string; hash: string };
      if (/^[0-9a-f]{64}$/.test(hash)) known.set(key, hash);
    } catch {
      // A line that two programs wrote into at once, or a torn one.
    }
  }
  return known;
}
