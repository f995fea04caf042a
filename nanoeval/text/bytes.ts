/** The bytes of a file, unpacked where its name ends in `.gz` or `.zst`. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';

/** What a file's bytes cannot be unpacked for. */
export class PackedError extends Error {
  constructor(packing: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message.replace(/\s+/g, ' ') : String(cause);
    super(`not a whole ${packing} file: ${reason}. Get the file again`, { cause });
    this.name = 'PackedError';
  }
}

/** Whether the file system refused: a folder in the place of a file, no right to read it, a link to itself. */
export function isReadingFault(cause: unknown): cause is NodeJS.ErrnoException {
  return cause instanceof Error && (cause as NodeJS.ErrnoException).syscall !== undefined;
}

/** A name without `.gz` or `.zst` behind it. */
export function withoutPacking(path: string): string {
  return path.replace(/\.(gz|zst)$/, '');
}

/**
 * The bytes of a file piece by piece, of the first `size` bytes of the file when given. Throws PackedError for a file
 * that is damaged or cut, and what the file system says.
 */
export async function* readBytes(path: string, size = Infinity): AsyncGenerator<Buffer> {
  if (size === 0) return;
  const source = createReadStream(path, { highWaterMark: 1 << 18, end: size - 1 });
  try {
    if (path.endsWith('.gz')) yield* gunzipped(source);
    else if (path.endsWith('.zst')) yield* unpackedZstandard(source);
    else yield* source as AsyncIterable<Buffer>;
  } finally {
    source.destroy();
  }
}

async function* gunzipped(source: NodeJS.ReadableStream): AsyncGenerator<Buffer> {
  // The callback hears of an error that is thrown below as well.
  const unpacked = pipeline(source, createGunzip({ chunkSize: 1 << 18 }), () => {});
  try {
    yield* unpacked as AsyncIterable<Buffer>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw new PackedError('gzip', error);
    throw error;
  }
}

/** By fzstd: zlib of Node.js 20 has no Zstandard. */
async function* unpackedZstandard(source: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  const ready: Buffer[] = [];
  const unpacker = new Decompress((piece) => ready.push(Buffer.from(piece)));
  const push = (bytes: Uint8Array, isLast: boolean) => {
    try {
      unpacker.push(bytes, isLast);
    } catch (error) {
      throw new PackedError('Zstandard', error);
    }
    return ready.splice(0);
  };
  for await (const piece of source as AsyncIterable<Buffer>) yield* push(piece, false);
  yield* push(new Uint8Array(), true);
}
