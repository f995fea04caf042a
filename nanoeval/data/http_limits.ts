/** Every wait and every count of a request to the hub, and the clock that ends a wait. */
import { Transient } from './http_errors.ts';

/** Milliseconds and bytes. */
export interface HttpLimits {
  /** Until the headers of an API answer; `HF_HUB_ETAG_TIMEOUT`. */
  apiTimeoutMs: number;
  /** Until the headers of a file's answer; `HF_HUB_DOWNLOAD_TIMEOUT`. */
  headersTimeoutMs: number;
  /** Between two pieces of a body; `HF_HUB_DOWNLOAD_TIMEOUT`. */
  stallTimeoutMs: number;
  /** A body slower than `minBytesPerSecond` over a whole window ends. Twice `HF_HUB_DOWNLOAD_TIMEOUT`. */
  speedWindowMs: number;
  minBytesPerSecond: number;
  /** Tries of one request that make no progress. */
  tries: number;
  /** So many bytes received make a failed try count as progress: the count of tries starts again. */
  progressBytes: number;
  /** First pause; it doubles each time, up to the longest, and is drawn from its upper half. */
  backoffMs: number;
  longestBackoffMs: number;
  /** A server that asks for a longer pause (Retry-After) is not waited for. */
  longestRetryAfterMs: number;
  redirects: number;
}

/** What holds where neither the environment nor a test says otherwise. */
export const HTTP_LIMITS: HttpLimits = {
  apiTimeoutMs: 30_000,
  headersTimeoutMs: 30_000,
  stallTimeoutMs: 30_000,
  speedWindowMs: 60_000,
  minBytesPerSecond: 4096,
  tries: 5,
  progressBytes: 1 << 20,
  backoffMs: 500,
  longestBackoffMs: 15_000,
  longestRetryAfterMs: 120_000,
  redirects: 10,
};

/** A clock that can be started again and again. */
export interface Watch {
  start(): void;
  stop(): void;
}

/** Aborts with a Transient that carries the reason, `ms` after the last `start`, unless stopped before. */
export function watch(controller: AbortController, ms: number, reason: () => string): Watch {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(timer);
  const start = () => {
    stop();
    timer = setTimeout(() => controller.abort(new Transient(reason())), ms);
  };
  return { start, stop };
}

/** The mean speed of a body, over one window of waiting after the other. */
export class SpeedCheck {
  readonly #limits: Pick<HttpLimits, 'speedWindowMs' | 'minBytesPerSecond'>;
  #ms = 0;
  #bytes = 0;

  constructor(limits: Pick<HttpLimits, 'speedWindowMs' | 'minBytesPerSecond'>) {
    this.#limits = limits;
  }

  /** Counts bytes and the ms that were spent waiting for them; `where` begins the message of the Transient thrown. */
  add(bytes: number, ms: number, where: string): void {
    this.#ms += ms;
    this.#bytes += bytes;
    if (this.#ms < this.#limits.speedWindowMs) return;
    const speed = (this.#bytes / this.#ms) * 1000;
    if (speed < this.#limits.minBytesPerSecond)
      throw new Transient(`${where}: ${Math.round(speed)} bytes a second over ${showSeconds(this.#ms)} is too slow`);
    this.#ms = 0;
    this.#bytes = 0;
  }
}

/** A length of time for messages: `0.1 s`. */
export function showSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
