/**
 * Requests to the hub: time limits on every wait, retries, redirects followed by hand so that the token reaches the
 * hub's origin and no other. @huggingface/hub 2.17.5 has none of this.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Interrupted, type Log, OutsideError } from '../types.ts';
import { Transient, withoutQuery } from './http_errors.ts';
import { HTTP_LIMITS, type HttpLimits, showSeconds } from './http_limits.ts';
import { type Answer, type HubClient, request } from './http_request.ts';

/** A try of `Http.retry`; what it is given counts bytes received as progress. */
export type Attempt<T> = (progressed: (bytes: number) => void) => Promise<T>;

/** The requests that one program makes to one hub. */
export interface Http {
  readonly limits: HttpLimits;
  readonly endpoint: string;
  /** One GET, one try, of a file's bytes as they are stored: see `request` for answers and errors. */
  get(url: string, headers?: Record<string, string>): Promise<Answer>;
  /**
   * Runs `attempt` until it throws no Transient; `progressed` starts the count of tries again. `what` begins messages.
   * Throws OutsideError after the last try, Interrupted, and what `attempt` throws otherwise.
   */
  retry<T>(what: string, attempt: Attempt<T>): Promise<T>;
  /** The `fetch` for @huggingface/hub: GET of JSON, read whole, retried; throws where `retry` and `get` do. */
  apiFetch: typeof fetch;
}

/** Which hub (address without a trailing slash), as whom, and under which limits. */
export interface HttpOptions {
  endpoint: string;
  token: string | null;
  log: Log;
  signal?: AbortSignal | undefined;
  limits?: Partial<HttpLimits> | undefined;
}

/** Requests to one hub, with one token, under one set of limits. See `Http` for what each member throws. */
export function openHttp(options: HttpOptions): Http {
  const { endpoint, token, log, signal } = options;
  const limits: HttpLimits = { ...HTTP_LIMITS, ...options.limits };
  const client: HubClient = { origin: new URL(endpoint).origin, token, limits, signal };
  return {
    limits,
    endpoint,
    // Compressed bodies would make sizes and ranges mean something else.
    get: (url, headers = {}) =>
      request(client, url, { 'accept-encoding': 'identity', ...headers }, limits.headersTimeoutMs),
    retry: (what, attempt) => retry(client, log, what, attempt),
    apiFetch: (input, init) => fetchJson(client, log, endpoint, input, init),
  };
}

async function retry<T>({ limits, signal }: HubClient, log: Log, what: string, attempt: Attempt<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    if (signal?.aborted) throw new Interrupted();
    let received = 0;
    try {
      return await attempt((bytes) => {
        received += bytes;
      });
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      if (signal?.aborted) throw new Interrupted();
      if (received >= limits.progressBytes) tried = 1;
      const pause = pauseAfter(error, tried, what, limits);
      log.info(`${what}: ${error.message}; try ${tried + 1} of ${limits.tries} in ${showSeconds(pause)}`);
      await sleep(pause, undefined, { signal }).catch(() => {
        if (signal?.aborted) throw new Interrupted();
      });
    }
  }
}

/** How long to wait behind the failed try number `tried`, in ms. Throws OutsideError when there is no other try. */
function pauseAfter(error: Transient, tried: number, what: string, limits: HttpLimits): number {
  if (error.retryAfterMs !== null && error.retryAfterMs > limits.longestRetryAfterMs) {
    const asked = `${showSeconds(error.retryAfterMs)}, more than ${showSeconds(limits.longestRetryAfterMs)}`;
    throw new OutsideError(`${what}: ${error.message}; it asks to wait ${asked}. Try again later.`);
  }
  if (tried >= limits.tries) {
    const fault = error.message.startsWith(`${what}: `) ? error.message : `${what}: ${error.message}`;
    throw new OutsideError(`${fault} (${tried} tries)`, { cause: error });
  }
  const backoff = Math.min(limits.backoffMs * 2 ** (tried - 1), limits.longestBackoffMs);
  return Math.max(error.retryAfterMs ?? 0, backoff * (0.5 + Math.random() / 2));
}

async function fetchJson(
  client: HubClient,
  log: Log,
  endpoint: string,
  input: string | URL | Request,
  init?: RequestInit,
): Promise<Response> {
  const url = input instanceof Request ? input.url : String(input);
  if (init?.method !== undefined && init.method !== 'GET') {
    throw new Error(`apiFetch: ${init.method} ${withoutQuery(url)}: only GET can be repeated safely`);
  }
  const headers = Object.fromEntries(new Headers(init?.headers));
  delete headers.authorization;
  return retry(client, log, withoutQuery(url).replace(`${endpoint}/`, ''), async (progressed) => {
    const answer = await request(client, url, headers, client.limits.apiTimeoutMs);
    const text = await readJson(answer, progressed);
    return new Response(text, { status: answer.status, headers: answer.headers });
  });
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
