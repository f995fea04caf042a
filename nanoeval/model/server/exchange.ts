/**
 * Requests to one model server: connections that are kept, a deadline for each request, no redirects. The one place where an
 * API key is put in, and taken out of whatever the server says.
 */
import http from 'node:http';
import https from 'node:https';
import { show } from '../../config/messages.ts';
import { Passing, Refusal, retryAfterMs, saidIn, Unusable } from './faults.ts';
import { fieldsOf } from './fields.ts';
import { EventReader, StreamedError } from './stream.ts';

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
  /**
   * The body asks for a stream: it is put together as the answer that is no stream. Milliseconds from one piece to the next; until
   * the first one comes, which may wait for its turn, `timeoutMs` alone counts.
   */
  idleMs?: number;
  /** With `idleMs`: an answer that is no stream is garbled. Otherwise it is taken as it is. */
  streamed?: boolean;
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
  idleMs?: number;
  streamed?: boolean;
  accept?: readonly number[];
}

interface Raw {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
  /** Of a stream: the answer put together. */
  streamed?: unknown;
}

/** A kept connection was closed before the answer began. */
class Stale extends Passing {}

/** One try on one connection: the answer whole, whatever its status. */
function once(wire: Wire, { method, path, body, timeoutMs, signal, idleMs }: Sent): Promise<Raw> {
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
      clearTimeout(idle);
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
    let idle: NodeJS.Timeout | undefined;
    const leave = signal === undefined ? null : whenAborted(signal, onAbort);
    const lost = (error: NodeJS.ErrnoException) => {
      wire.losses += 1;
      fail(translate(error, where, began, request.reusedSocket));
    };
    request.on('error', lost);
    const onPiece = () => {
      idle ??= setTimeout(() => {
        fail(new Passing('timeout', `${where}: the answer stopped for ${idleMs! / 1000} s in its middle`));
        request.destroy();
      }, idleMs);
      idle.refresh();
    };
    request.on('response', (response) => {
      began = true;
      response.on('error', lost);
      const { statusCode = 0, headers: said } = response;
      if (idleMs !== undefined && statusCode < 300 && /^text\/event-stream/i.test(said['content-type'] ?? '')) {
        const resolved = (streamed: unknown) =>
          settle(() => resolve({ status: statusCode, headers: said, text: '', streamed }));
        readStream(wire, path, response, { onPiece, fail, resolved });
        return;
      }
      const pieces: Buffer[] = [];
      let size = 0;
      response.on('data', (piece: Buffer) => {
        size += piece.length;
        pieces.push(piece);
        if (size <= MOST_BYTES) return;
        fail(new Refusal(statusCode, '', `${where}: the answer has more than ${MOST_BYTES / 1e6} MB`));
        request.destroy();
      });
      response.on('end', () => {
        const text = Buffer.concat(pieces).toString('utf8');
        settle(() => resolve({ status: statusCode, headers: said, text }));
      });
    });
    request.end(body ?? undefined);
  });
}

/** A stream of events; one of `fail` and `resolved` is called. */
function readStream(
  wire: Wire,
  path: string,
  response: http.IncomingMessage,
  on: { onPiece(): void; fail(error: unknown): void; resolved(answer: unknown): void },
): void {
  const where = `${wire.base}${path}`;
  const reader = new EventReader();
  let size = 0;
  let isBroken = false;
  const read = (text: string, isLast = false) => {
    if (isBroken) return;
    try {
      size += text.length;
      if (size > MOST_BYTES) throw new Refusal(200, '', `${where}: the answer has more than ${MOST_BYTES / 1e6} MB`);
      if (reader.push(text)) on.onPiece();
    } catch (error) {
      // Cut in the middle of a piece, which is told below.
      if (isLast && error instanceof SyntaxError) return;
      isBroken = true;
      response.destroy();
      if (error instanceof SyntaxError) on.fail(new Passing('garbled', `${where}: not JSON in a stream`));
      else on.fail(error instanceof StreamedError ? streamedFault(wire, path, error) : error);
    }
  };
  response.setEncoding('utf8').on('data', (text: string) => read(text));
  response.on('end', () => {
    // The last line may come without an end.
    read('\n\n', true);
    if (isBroken) return;
    if (reader.isWhole) return on.resolved(reader.answer.whole());
    wire.losses += 1;
    on.fail(new Passing('cut', `${where}: the stream ended in the middle of the answer`));
  });
}

/** An error in the middle of a stream means what it would mean in place of the answer. */
function streamedFault(wire: Wire, path: string, { said }: StreamedError): unknown {
  const { code } = fieldsOf(said.error);
  const status = typeof code === 'number' && code >= 400 && code < 600 ? code : 500;
  return faultOf(wire, path, { status, headers: {}, text: JSON.stringify(said) });
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
function judge(wire: Wire, { path, accept, streamed: isWanted }: Sent, raw: Raw): unknown {
  const { status, text, streamed } = raw;
  if (streamed !== undefined) return streamed;
  const where = `${wire.base}${path}`;
  if (isWanted && status < 300) throw new Passing('garbled', `${where}: no stream, which was asked for`);
  if ((status >= 200 && status < 300) || accept?.includes(status)) {
    try {
      return JSON.parse(text);
    } catch (cause) {
      // An empty 200 is vLLM's way to be well.
      if (text === '' && status < 300) return null;
      throw new Passing('garbled', `${where}: not JSON: ${show(cleanOf(wire)(saidIn(text).message))}`, { cause });
    }
  }
  throw faultOf(wire, path, raw);
}

/** Takes the key out of what a server says. */
const cleanOf =
  ({ key }: Wire) =>
  (words: string) =>
    key === null || key === '' ? words : words.replaceAll(key, '***');

/** What an answer's status means that is no success. */
function faultOf(wire: Wire, path: string, { status, headers, text }: Raw): Error {
  const where = `${wire.base}${path}`;
  const clean = cleanOf(wire);
  if (status >= 300 && status < 400) {
    const to = headers.location ?? '';
    const target = URL.canParse(to, where) ? new URL(to, where).origin : show(to);
    return new Unusable(
      `${where}: ${status}, sends on to ${clean(target)}. A key follows no redirect: name the server's own address`,
      'model.base_url',
    );
  }
  const { type, message } = saidIn(text);
  const line = `${where}: ${status}${type === '' ? '' : ` ${clean(type)}`}${message === '' ? '' : `: ${clean(message)}`}`;
  if (status === 401 || status === 403) return new Unusable(line, 'model.api_key_env');
  if (status === 429 || status === 503)
    return new Passing('busy', line, { retryAfterMs: retryAfterMs(headers['retry-after']) });
  if (status === 408) return new Passing('timeout', line);
  if (status === 502 || status === 504) return new Passing('gateway', line);
  if (status === 500) return new Passing('error', line);
  return new Refusal(status, clean(type), line);
}
