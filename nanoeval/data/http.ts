/**
 * Requests to the hub: time limits on every wait, retries, redirects followed by hand so that the token reaches the
 * hub's origin and no other. @huggingface/hub 2.17.5 has none of this (shared/reference/hub_and_libraries.md 1.1, 1.5).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Interrupted, type Log, OutsideError } from '../types.ts';

/** Every wait and every count, in one place. Milliseconds and bytes. */
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

/** The hub said no (4xx): another try would hear the same. hub.ts turns it into a line that says what to do. */
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

/** An answer whose headers have come. The body must be read to its end or discarded. */
export interface Answer {
  status: number;
  headers: Headers;
  /** After redirects; a signed address must not reach a message: print `withoutQuery(url)`. */
  url: string;
  redirected: boolean;
  /** Pieces of the body, each awaited under the stall and speed limits. */
  body(): AsyncGenerator<Uint8Array>;
  discard(): Promise<void>;
}

export interface Http {
  readonly limits: HttpLimits;
  readonly endpoint: string;
  /**
   * One GET, one try. Answers 200, 206, 304, 412 and 416; throws Transient (network, 408, 429, 5xx, 403 from a signed
   * address), Refused (other 4xx), OutsideError (redirects without end), Interrupted.
   */
  get(url: string, headers?: Record<string, string>): Promise<Answer>;
  /** Runs `attempt` until it throws no Transient; `progressed` starts the count of tries again. */
  retry<T>(what: string, attempt: (progressed: (bytes: number) => void) => Promise<T>): Promise<T>;
  /** The `fetch` for @huggingface/hub: GET of JSON, read whole, retried; throws where `retry` and `get` do. */
  apiFetch: typeof fetch;
}

export interface HttpOptions {
  endpoint: string;
  token: string | null;
  log: Log;
  signal?: AbortSignal | undefined;
  limits?: Partial<HttpLimits> | undefined;
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

/** The pause that a busy server asks for: Retry-After, else the hub's `RateLimit: "api";r=0;t=55` (t in seconds). */
function pauseOf(headers: Headers): number | null {
  const window = /;\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return retryAfterMs(headers.get('retry-after') ?? window ?? null);
}

/** The reason inside fetch's bare "fetch failed" and "terminated": a code like ECONNRESET, else the innermost message. */
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

// A wrong certificate does not get better; every other network failure is tried again.
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ERR_TLS|ERR_SSL/;

/** An abort that carries its reason and fires `ms` after the last `start`, unless stopped. */
function watch(controller: AbortController, ms: number, reason: () => string) {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(timer);
  const start = () => {
    stop();
    timer = setTimeout(() => controller.abort(new Transient(reason())), ms);
  };
  return { start, stop };
}

const showSeconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

/** Requests to one hub, with one token, under one set of limits. See `Http` for what each member throws. */
export function openHttp(options: HttpOptions): Http {
  const { endpoint, token, log, signal } = options;
  const limits: HttpLimits = { ...HTTP_LIMITS, ...options.limits };
  const hubOrigin = new URL(endpoint).origin;

  function checkSignal(): void {
    if (signal?.aborted) throw new Interrupted();
  }

  /** What a fetch or a read threw, as one of our errors. */
  function translate(error: unknown, url: string): Error {
    if (signal?.aborted) return new Interrupted();
    if (error instanceof Transient || error instanceof Interrupted || error instanceof OutsideError) return error;
    const reason = reasonOf(error);
    const where = withoutQuery(url);
    if (CERTIFICATE.test(reason)) return new OutsideError(`${where}: the certificate was refused (${reason}).`);
    return new Transient(`${where}: ${reason}`, { cause: error });
  }

  /** One request without redirects. */
  async function send(url: string, headers: Record<string, string>, timeoutMs: number) {
    checkSignal();
    const controller = new AbortController();
    const onAbort = () => controller.abort(new Interrupted());
    signal?.addEventListener('abort', onAbort, { once: true });
    const end = () => signal?.removeEventListener('abort', onAbort);
    const limit = watch(controller, timeoutMs, () => `${withoutQuery(url)}: no answer in ${showSeconds(timeoutMs)}`);
    limit.start();
    const all: Record<string, string> = { 'user-agent': 'nanoeval', ...headers };
    // The one place where the token is put in, whatever redirects led here.
    if (token !== null && new URL(url).origin === hubOrigin) all.authorization = `Bearer ${token}`;
    try {
      const response = await fetch(url, { headers: all, redirect: 'manual', signal: controller.signal });
      return { response, controller, end };
    } catch (error) {
      end();
      throw translate(error, url);
    } finally {
      limit.stop();
    }
  }

  async function* readBody(
    response: Response,
    url: string,
    controller: AbortController,
    end: () => void,
  ): AsyncGenerator<Uint8Array> {
    const where = withoutQuery(url);
    const { stallTimeoutMs, speedWindowMs, minBytesPerSecond } = limits;
    const stall = watch(controller, stallTimeoutMs, () => `${where}: no bytes for ${showSeconds(stallTimeoutMs)}`);
    // Only the time spent waiting for bytes counts: a consumer that takes long is not a slow server.
    let windowMs = 0;
    let windowBytes = 0;
    let finished = false;
    const reader = response.body?.getReader();
    try {
      while (reader) {
        const asked = performance.now();
        stall.start();
        const { done, value } = await reader.read();
        if (done) break;
        windowMs += performance.now() - asked;
        windowBytes += value.byteLength;
        if (windowMs >= speedWindowMs) {
          const speed = (windowBytes / windowMs) * 1000;
          if (speed < minBytesPerSecond) {
            throw new Transient(
              `${where}: ${Math.round(speed)} bytes a second over ${showSeconds(windowMs)} is too slow`,
            );
          }
          windowMs = 0;
          windowBytes = 0;
        }
        stall.stop();
        yield value;
      }
      finished = true;
    } catch (error) {
      throw translate(error, url);
    } finally {
      stall.stop();
      end();
      // Left early, by an error or by the consumer: the rest is not wanted, so the connection goes.
      if (!finished) controller.abort(new Transient(`${where}: left unread`));
    }
  }

  async function request(url: string, headers: Record<string, string>, timeoutMs: number): Promise<Answer> {
    let at = url;
    for (let hops = 0; ; hops++) {
      const { response, controller, end } = await send(at, headers, timeoutMs);
      const here = at;
      const { status } = response;
      const discard = async () => {
        end();
        controller.abort(new Transient(`${withoutQuery(here)}: not wanted`));
      };
      const location = response.headers.get('location');
      if ([301, 302, 303, 307, 308].includes(status) && location !== null) {
        await drain(response, discard);
        if (hops >= limits.redirects) {
          throw new OutsideError(`${withoutQuery(url)}: ${hops + 1} redirects and no end. Is HF_ENDPOINT right?`);
        }
        if (!URL.canParse(location, at)) {
          throw new OutsideError(
            `${withoutQuery(url)}: redirected to "${withoutQuery(location)}", which is no address.`,
          );
        }
        at = new URL(location, at).href;
        continue;
      }
      const redirected = hops > 0;
      if (status === 408 || status === 429 || status >= 500) {
        await drain(response, discard);
        const pause = pauseOf(response.headers);
        throw new Transient(`${withoutQuery(at)}: ${status}`, { retryAfterMs: pause });
      }
      const code = response.headers.get('x-error-code');
      const origin = new URL(at).origin;
      if (status === 403 && code === null && (redirected || origin !== hubOrigin)) {
        await drain(response, discard);
        // A signed address that ran out: the next try asks the hub for a new one.
        throw new Transient(`${withoutQuery(at)}: 403 from the signed address`);
      }
      if (status >= 400 && status !== 412 && status !== 416) {
        await drain(response, discard);
        throw new Refused(status, code, at);
      }
      const body = () => readBody(response, here, controller, end);
      return { status, headers: response.headers, url: at, redirected, body, discard };
    }
  }

  /** Reads a small body away so that the connection can be used again; a long one is cut off. */
  async function drain(response: Response, discard: () => Promise<void>): Promise<void> {
    const length = response.headers.get('content-length');
    if (length === null || Number(length) > 65536) return discard();
    const timer = setTimeout(discard, 1000);
    // Errors of a body that nobody wants say nothing about the answer, whose status and headers are known.
    await response.arrayBuffer().then(
      () => undefined,
      () => undefined,
    );
    clearTimeout(timer);
    await discard();
  }

  async function retry<T>(what: string, attempt: (progressed: (bytes: number) => void) => Promise<T>): Promise<T> {
    for (let tried = 1; ; tried++) {
      checkSignal();
      let received = 0;
      try {
        return await attempt((bytes) => {
          received += bytes;
        });
      } catch (error) {
        if (!(error instanceof Transient)) throw error;
        if (signal?.aborted) throw new Interrupted();
        if (received >= limits.progressBytes) tried = 1;
        if (error.retryAfterMs !== null && error.retryAfterMs > limits.longestRetryAfterMs) {
          const asked = `${showSeconds(error.retryAfterMs)}, more than ${showSeconds(limits.longestRetryAfterMs)}`;
          throw new OutsideError(`${what}: ${error.message}; it asks to wait ${asked}. Try again later.`);
        }
        if (tried >= limits.tries) {
          const fault = error.message.startsWith(`${what}: `) ? error.message : `${what}: ${error.message}`;
          throw new OutsideError(`${fault} (${tried} tries)`, { cause: error });
        }
        const backoff = Math.min(limits.backoffMs * 2 ** (tried - 1), limits.longestBackoffMs);
        const pause = Math.max(error.retryAfterMs ?? 0, backoff * (0.5 + Math.random() / 2));
        log.info(`${what}: ${error.message}; try ${tried + 1} of ${limits.tries} in ${showSeconds(pause)}`);
        await sleep(pause, undefined, { signal }).catch(() => checkSignal());
      }
    }
  }

  /** A whole JSON answer. One that does not parse was cut or damaged on the way, and is asked for again. */
  async function readJson(answer: Answer, progressed: (bytes: number) => void): Promise<string> {
    const pieces: Uint8Array[] = [];
    for await (const piece of answer.body()) {
      progressed(piece.byteLength);
      pieces.push(piece);
    }
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
      JSON.parse(text);
      return text;
    } catch (cause) {
      throw new Transient(`${withoutQuery(answer.url)}: the answer is not whole JSON`, { cause });
    }
  }

  const apiFetch: typeof fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (init?.method !== undefined && init.method !== 'GET') {
      throw new Error(`apiFetch: ${init.method} ${withoutQuery(url)}: only GET can be repeated safely`);
    }
    const headers = Object.fromEntries(new Headers(init?.headers));
    delete headers.authorization;
    return retry(withoutQuery(url).replace(`${endpoint}/`, ''), async (progressed) => {
      const answer = await request(url, headers, limits.apiTimeoutMs);
      const text = await readJson(answer, progressed);
      return new Response(text, { status: answer.status, headers: answer.headers });
    });
  };

  // Compressed bodies would make sizes and ranges mean something else.
  const get = (url: string, headers: Record<string, string> = {}) =>
    request(url, { 'accept-encoding': 'identity', ...headers }, limits.headersTimeoutMs);

  return { limits, endpoint, get, retry, apiFetch };
}
