/** stdout and stderr that may be gone: a full disk, a reader that went away, a terminal that was closed. */
import type { LogStream } from './progress.ts';

/** What of a stream of the process is used; tests bring their own. */
export interface OutputStream extends LogStream {
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** A stream that takes no more once it has failed. */
export interface Output extends LogStream {
  /** Why something could not be written; null while all of it could. */
  readonly lost: Error | null;
}

/**
 * The stream as one whose failure is no error of the program: the first one is kept in `lost`, and nothing more is
 * written. A file fails in `write` itself (Node throws there), a pipe and a terminal by an event later.
 */
export function openOutput(stream: OutputStream): Output {
  let lost: Error | null = null;
  const lose = (error: Error) => {
    lost ??= error;
  };
  stream.on('error', lose);
  return {
    get lost() {
      return lost;
    },
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns;
    },
    write(text) {
      if (lost !== null) return;
      try {
        stream.write(text);
      } catch (error) {
        lose(error as Error);
      }
    },
  };
}
