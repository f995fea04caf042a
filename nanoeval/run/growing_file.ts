/** A file of lines that somebody else appends to: its new whole lines since the last look, and old ones by their places. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';

/** Where a line stands, in bytes, without its end. */
export interface Place {
  offset: number;
  length: number;
}

/** Bytes that one look takes at most: a long file is taken in pieces. */
const PIECE = 8e6;

export class GrowingFile {
  private end = 0;
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The next whole lines with their places; none where there is no file or nothing new. Throws what the file system says. */
  next(): { line: Buffer; place: Place }[] {
    if (!existsSync(this.path)) return [];
    const file = openSync(this.path, 'r');
    try {
      const found: { line: Buffer; place: Place }[] = [];
      for (let most = PIECE; found.length === 0; most *= 2) {
        const size = Math.min(fstatSync(file).size - this.end, most);
        const bytes = Buffer.alloc(Math.max(0, size));
        const read = size > 0 ? readSync(file, bytes, 0, size, this.end) : 0;
        let from = 0;
        for (let at = bytes.indexOf(10); at >= 0 && at < read; at = bytes.indexOf(10, from)) {
          found.push({ line: bytes.subarray(from, at), place: { offset: this.end + from, length: at - from } });
          from = at + 1;
        }
        this.end += from;
        // One line may be longer than a piece.
        if (size < most) break;
      }
      return found;
    } finally {
      closeSync(file);
    }
  }

  /** A line by its place. */
  at({ offset, length }: Place): string {
    const file = openSync(this.path, 'r');
    try {
      const bytes = Buffer.alloc(length);
      readSync(file, bytes, 0, length, offset);
      return bytes.toString('utf8');
    } finally {
      closeSync(file);
    }
  }
}
