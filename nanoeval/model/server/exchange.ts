/**
 * Requests to one model server: connections that are kept, a deadline for each request, no redirects. The one place where an
 * API key is put in, and taken out of whatever the server says.
 */
import http from 'node:http';
import https from 'node:https';
import { show } from '../../config/messages.ts';
import { Passing, Refusal, retryAfterMs, saidIn, Unusable } from './faults.ts';

/** One server. */
export interface Exchange {
  /** Its address, without `/v1` and without a slash at the end. */
  readonly base: string;
  /**
   * One request with a JSON answer, one try. Throws Passing, Refusal, Unusable (`faults.ts`), and the signal's reason when it
   * is aborted.
   */
  send(method: 'GET' | 'POST', path: string, body?: unknown, options?: SendOptions): Promise<unknown>;
  /** Connections that were lost: whoever answers after one may be another process. */
  readonly losses: number;
  /** Closes the connections that wait. */
  close(): void;
}

export interface SendOptions {
  /** Until the last byte of the answer; by default that of the exchange. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Statuses whose answers are given back as they are, beside 200 to 299. */
  accept?: readonly number[];
}

export interface ExchangeOptions {
  /** Sent as `Authorization: Bearer`. */
  key: string | null;
  timeoutMs: number;
  /** Certificates that are trusted besides, PEM. */
  ca?: string;
}

const ACTS = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `act` when the signal is aborted, unless what is returned is called before. One listener for all: a signal looks through
 * its listeners for each new one, and hundreds of requests have the same.
 */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  let acts = ACTS.get(signal);
  if (acts === undefined) {
    const own = new Set<() => void>();
    acts = own;
    ACTS.set(signal, own);
    signal.addEventListener('abort', () => {
      for (const one of [...own]) one();
    });
  }
  const known = acts.add(act);
  return () => void known.delete(act);
}

/** Bytes of one answer: a whole vocabulary's log-probabilities are some 20 MB. */
const MOST_BYTES = 128e6;

/** Opens nothing yet. `base` as `serverAddress` gives it. */
export function openExchange(base: string, { key, timeoutMs, ca }: ExchangeOptions): Exchange {
  const url = new URL(base);
  const isSecure = url.protocol === 'https:';
  const kept = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY };
  const agent = isSecure ? new https.Agent({ ...kept, ...(ca === undefined ? {} : { ca }) }) : new http.Agent(kept);
  const whole: Wire = {
    base,
    isSecure,
    key,
    losses: 0,
    options: {
      agent,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port),
    },
    root: url.pathname.replace(/\/$/, ''),
  };
  return {
    base,
    get losses() {
      return whole.losses;
    },
    async send(method, path, body, options = {}) {
      const sent: Sent = {
        method,
        path,
        timeoutMs,
        ...options,
        body: body === undefined ? null : JSON.stringify(body),
      };
      try {
        return judge(whole, sent, await once(whole, sent));
      } catch (error) {
        // A connection that was kept may have been closed on the other side meanwhile: nothing has gone wrong yet.
        if (!(error instanceof Stale)) throw error;
        return judge(whole, sent, await once(whole, sent));
      }
    },
    close: () => agent.destroy(),
  };
}

interface Wire {
  base: string;
  isSecure: boolean;
  key: string | null;
  losses: number;
  options: http.RequestOptions;
  root: string;
}

interface Sent {
  method: string;
  path: string;
  body: string | null;
  timeoutMs: number;
  signal?: AbortSignal;
  accept?: readonly number[];
}

interface Raw {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** A kept connection was closed before the answer began. */
class Stale extends Passing {}

/** One try on one connection: the answer whole, whatever its status. */
function once(wire: Wire, { method, path, body, timeoutMs, signal }: Sent): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const where = `${wire.base}${path}`;
    if (signal?.aborted) return reject(signal.reason);
    const headers: http.OutgoingHttpHeaders = { 'user-agent': 'nanoeval', accept: 'application/json' };
    if (body !== null) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = Buffer.byteLength(body);
    }
    if (wire.key !== null) headers.authorization = `Bearer ${wire.key}`;
    const request = (wire.isSecure ? https : http).request({
      ...wire.options,
      method,
      path: `${wire.root}${path}`,
      headers,
    });
    let began = false;
    const settle = (act: () => void) => {
      clearTimeout(timer);
      leave?.();
      act();
    };
    const fail = (error: unknown) => settle(() => reject(error));
    const onAbort = () => {
      fail(signal?.reason);
      request.destroy();
    };
    const timer = setTimeout(() => {
      fail(new Passing('timeout', `${where}: no whole answer in ${timeoutMs / 1000} s`));
      request.destroy();
    }, timeoutMs);
    const leave = signal === undefined ? null : whenAborted(signal, onAbort);
    const lost = (error: NodeJS.ErrnoException) => {
      wire.losses += 1;
      fail(translate(error, where, began, request.reusedSocket));
    };
    request.on('error', lost);
    request.on('response', (response) => {
      began = true;
      const pieces: Buffer[] = [];
      let size = 0;
      response.on('data', (piece: Buffer) => {
        size += piece.length;
        pieces.push(piece);
        if (size <= MOST_BYTES) return;
        fail(new Refusal(response.statusCode ?? 0, '', `${where}: the answer has more than ${MOST_BYTES / 1e6} MB`));
        request.destroy();
      });
      response.on('error', lost);
      response.on('end', () => {
        const text = Buffer.concat(pieces).toString('utf8');
        settle(() => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
    });
    request.end(body ?? undefined);
  });
}

// A wrong certificate does not get better; every other network failure is tried again.
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ERR_TLS|ERR_SSL|EPROTO/;

function translate(error: NodeJS.ErrnoException, where: string, began: boolean, reused: boolean): Error {
  const reason = error.code ?? error.message;
  if (CERTIFICATE.test(reason))
    return new Unusable(`${where}: no secure connection (${reason})`, 'model.base_url', { cause: error });
  const wasOpen = /ECONNRESET|EPIPE|HPE_/.test(reason);
  if (wasOpen && !began && reused) return new Stale('cut', `${where}: ${reason}`, { cause: error });
  return new Passing(began || wasOpen ? 'cut' : 'unreachable', `${where}: ${reason}`, { cause: error });
}

/** The answer's JSON, or what its status means. */
function judge({ base, key }: Wire, { path, accept }: Sent, { status, headers, text }: Raw): unknown {
  const where = `${base}${path}`;
  const clean = (words: string) => (key === null || key === '' ? words : words.replaceAll(key, '***'));
  if ((status >= 200 && status < 300) || accept?.includes(status)) {
    try {
      return JSON.parse(text);
    } catch (cause) {
      // An empty 200 is vLLM's way to be well.
      if (text === '' && status < 300) return null;
      throw new Passing('garbled', `${where}: not JSON: ${show(clean(saidIn(text).message))}`, { cause });
    }
  }
  if (status >= 300 && status < 400) {
    const to = headers.location ?? '';
    const target = URL.canParse(to, where) ? new URL(to, where).origin : show(to);
    throw new Unusable(
      `${where}: ${status}, sends on to ${clean(target)}. A key follows no redirect: name the server's own address`,
      'model.base_url',
    );
  }
  const { type, message } = saidIn(text);
  const line = `${where}: ${status}${type === '' ? '' : ` ${clean(type)}`}${message === '' ? '' : `: ${clean(message)}`}`;
  if (status === 401 || status === 403) throw new Unusable(line, 'model.api_key_env');
  if (status === 429 || status === 503)
    throw new Passing('busy', line, { retryAfterMs: retryAfterMs(headers['retry-after']) });
  if (status === 408) throw new Passing('timeout', line);
  if (status === 502 || status === 504) throw new Passing('gateway', line);
  if (status === 500) throw new Passing('error', line);
  throw new Refusal(status, clean(type), line);
}
