/** What can go wrong with a request to the hub, as errors that say whether another try may help. */
import { Interrupted, OutsideError } from '../types.ts';

/** A failure that another try may mend. Never leaves this folder: `Http.retry` turns the last one into OutsideError. */
export class Transient extends Error {
  /** The pause that the server asked for; null when it did not. */
  readonly retryAfterMs: number | null;
  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | null } = {}) {
    super(message, { cause: options.cause });
    this.name = 'Transient';
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/**
 * The hub said no (4xx): another try would hear the same. `explainRefusal` turns it into a line that says what to do.
 */
export class Refused extends Error {
  readonly status: number;
  /** The hub's `X-Error-Code`: `RepoNotFound`, `GatedRepo`, `RevisionNotFound`, `EntryNotFound`; else null. */
  readonly code: string | null;
  constructor(status: number, code: string | null, url: string) {
    super(`${withoutQuery(url)}: ${status}${code ? ` ${code}` : ''}`);
    this.name = 'Refused';
    this.status = status;
    this.code = code;
  }
}

/** The address without its query: signatures of signed addresses stay out of messages. */
export function withoutQuery(url: string): string {
  return url.split(/[?#]/)[0] ?? url;
}

/** Retry-After in ms: seconds or an HTTP date (RFC 9110 10.2.3); null when absent or unreadable. */
export function retryAfterMs(value: string | null, now: number = Date.now()): number | null {
  if (value === null || value.trim() === '') return null;
  const inSeconds = Number(value);
  if (Number.isFinite(inSeconds)) return Math.max(0, inSeconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/**
 * The pause in ms that a busy server asks for: Retry-After, else the hub's `RateLimit: "api";r=0;t=55` (t in seconds).
 */
export function pauseOf(headers: Headers): number | null {
  const window = /;\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return retryAfterMs(headers.get('retry-after') ?? window ?? null);
}

/** What a fetch or a read of `url` threw, as one of our errors; Interrupted whenever `signal` is aborted. */
export function translate(error: unknown, url: string, signal?: AbortSignal): Error {
  if (signal?.aborted) return new Interrupted();
  if (error instanceof Transient || error instanceof Interrupted || error instanceof OutsideError) return error;
  const reason = reasonOf(error);
  const where = withoutQuery(url);
  if (CERTIFICATE.test(reason)) return new OutsideError(`${where}: the certificate was refused (${reason}).`);
  return new Transient(`${where}: ${reason}`, { cause: error });
}

// A wrong certificate does not get better; every other network failure is tried again.
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ERR_TLS|ERR_SSL/;

/**
 * The reason inside fetch's bare "fetch failed" and "terminated": a code like ECONNRESET, else the innermost message.
 */
function reasonOf(error: unknown): string {
  let reason = error instanceof Error ? error.message : String(error);
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    const code = (e as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && code !== '') {
      return code.startsWith('UND_ERR') && e.message ? `${e.message} (${code})` : code;
    }
    reason = e.message || reason;
  }
  return reason;
}
