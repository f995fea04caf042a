/**
 * Reading part of a file: a file on this machine through its handle, a file on the hub by HTTP ranges. Both are
 * hyparquet's input type. Ranges serve Parquet files that are too large to fetch whole for a few columns.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { OutsideError, type RandomAccess } from '../types.ts';
import { diskError } from './cache.ts';
import type { Http } from './http.ts';
import { Refused, Transient, withoutQuery } from './http_errors.ts';
import type { Answer } from './http_request.ts';

/** Larger Parquet files are read by ranges and so never verified as a whole (MMMU_Pro: 340 to 820 MB a file). */
export const WHOLE_FILE_BYTES = 256 * 1024 * 1024;

/** A RandomAccess that holds something open. */
export interface OpenFile extends RandomAccess {
  close(): Promise<void>;
}

/** Random access to a file on this machine. Throws OutsideError with the path when it cannot be read. */
export async function openLocalFile(path: string): Promise<OpenFile> {
  let handle: FileHandle;
  let byteLength: number;
  try {
    handle = await open(path, 'r');
    byteLength = (await handle.stat()).size;
  } catch (error) {
    throw diskError(path, error);
  }
  const slice = async (start: number, end: number = byteLength): Promise<ArrayBuffer> => {
    const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - start));
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesRead } = await handle.read(bytes, done, bytes.byteLength - done, start + done);
      if (bytesRead === 0)
        throw new OutsideError(`${path}: ended at byte ${start + done}; it changed while it was read.`);
      done += bytesRead;
    }
    return bytes.buffer;
  };
  return { byteLength, slice, close: () => handle.close() };
}

/**
 * Random access to one file on the hub at a fixed commit, by Range requests to its resolve address, or to the signed
 * address that it redirected to while that one is valid. `size` in bytes is that of the listing.
 *
 * Every answer must be 206 with exactly the range asked for and so many bytes: @huggingface/hub's Blob takes 412,879
 * bytes for 1,000 without a word when a server ignores Range. Anything else is tried again. The ETag of the first
 * answer goes along as If-Match, so that two versions are never mixed. Throws OutsideError when the file changed, or
 * after all tries.
 */
export function openHubRanges(http: Http, file: { url: string; size: number; label: string }): RandomAccess {
  const { url, size, label } = file;
  let signed: string | null = null;
  let etag: string | null = null;
  const changed = () => new OutsideError(`${label}: changed while it was read. Run again.`);

  async function ask(start: number, end: number): Promise<Answer> {
    const headers: Record<string, string> = { range: `bytes=${start}-${end - 1}` };
    if (etag?.startsWith('"')) headers['if-match'] = etag; // weak tags never match there (RFC 9110 13.1.1)
    const at = signed ?? url;
    try {
      return await http.get(at, headers);
    } catch (error) {
      // The signed address may be what failed: the next try asks the hub for a new one.
      signed = null;
      if (error instanceof Refused && at !== url) throw new Transient(error.message, { cause: error });
      throw error;
    }
  }

  async function check(answer: Answer, start: number, end: number): Promise<void> {
    const expected = `bytes ${start}-${end - 1}/${size}`;
    const got = answer.headers.get('content-range');
    const tag = answer.headers.get('etag');
    let fault: Error | null = null;
    if (answer.status === 412) fault = changed();
    else if (answer.status !== 206) {
      fault = new Transient(`${withoutQuery(answer.url)}: answer ${answer.status} to a range, 206 expected`);
    } else if (got !== expected)
      fault = new Transient(`${label}: asked for ${expected}, got ${got ?? 'no Content-Range'}`);
    else if (etag !== null && tag !== null && tag !== etag) fault = changed();
    if (fault === null) return;
    signed = null;
    await answer.discard();
    throw fault;
  }

  async function slice(start: number, end: number = size): Promise<ArrayBuffer> {
    const stop = Math.min(end, size);
    if (start < 0 || start > stop) throw new RangeError(`${label}: bytes ${start} to ${end} of ${size}`);
    if (start === stop) return new ArrayBuffer(0);
    const bytes = new Uint8Array(stop - start);
    return http.retry(`${label} (bytes ${start}-${stop - 1})`, async (progressed) => {
      const answer = await ask(start, stop);
      await check(answer, start, stop);
      let have = 0;
      for await (const piece of answer.body()) {
        if (have + piece.byteLength > bytes.byteLength) throw new Transient(`${label}: more bytes than asked for`);
        bytes.set(piece, have);
        have += piece.byteLength;
      }
      if (have < bytes.byteLength) throw new Transient(`${label}: ${have} of ${bytes.byteLength} bytes came`);
      progressed(0); // a range starts again from its first byte: nothing is kept of a failed try
      etag ??= answer.headers.get('etag');
      if (answer.redirected && new URL(answer.url).origin !== new URL(url).origin) signed = answer.url;
      return bytes.buffer;
    });
  }
  return { byteLength: size, slice };
}
