/** One GET of one address: sent, redirected, judged by its status, its body read under time limits. */
import { Interrupted, OutsideError } from '../types.ts';
import { pauseOf, Refused, Transient, translate, withoutQuery } from './http_errors.ts';
import { type HttpLimits, SpeedCheck, showSeconds, watch } from './http_limits.ts';

/** What all requests to one hub share. */
export interface HubClient {
  /** The one origin that is given the token. */
  origin: string;
  token: string | null;
  limits: HttpLimits;
  signal: AbortSignal | undefined;
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

/** One response on its way: its headers are here, its body is not. */
interface Exchange {
  /** Without redirects: the address that this response is from. */
  url: string;
  response: Response;
  /** Aborting it closes the connection. */
  controller: AbortController;
  /** Stops listening to the user's signal; to be called when the body is done with. */
  end(): void;
}

const REDIRECTS = [301, 302, 303, 307, 308];

/**
 * One GET, one try, `timeoutMs` until the headers of each hop. Answers 200, 206, 304, 412 and 416; throws Transient
 * (network, 408, 429, 5xx, 403 from a signed address), Refused (other 4xx), OutsideError (redirects without end, a
 * refused certificate), Interrupted.
 */
export async function request(
  client: HubClient,
  url: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<Answer> {
  let at = url;
  for (let hops = 0; ; hops++) {
    const exchange = await send(client, at, headers, timeoutMs);
    const location = exchange.response.headers.get('location');
    if (!REDIRECTS.includes(exchange.response.status) || location === null) {
      const fault = faultOf(client, exchange, hops > 0);
      if (fault === null) return answerOf(client, exchange, hops > 0);
      await drain(exchange);
      throw fault;
    }
    await drain(exchange);
    if (hops >= client.limits.redirects) {
      throw new OutsideError(`${withoutQuery(url)}: ${hops + 1} redirects and no end. Is HF_ENDPOINT right?`);
    }
    if (!URL.canParse(location, at)) {
      throw new OutsideError(`${withoutQuery(url)}: redirected to "${withoutQuery(location)}", which is no address.`);
    }
    at = new URL(location, at).href;
  }
}

/** One request without redirects. */
async function send(
  client: HubClient,
  url: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<Exchange> {
  const { signal, token, origin } = client;
  if (signal?.aborted) throw new Interrupted();
  const controller = new AbortController();
  const onAbort = () => controller.abort(new Interrupted());
  signal?.addEventListener('abort', onAbort, { once: true });
  const end = () => signal?.removeEventListener('abort', onAbort);
  const limit = watch(controller, timeoutMs, () => `${withoutQuery(url)}: no answer in ${showSeconds(timeoutMs)}`);
  limit.start();
  const all: Record<string, string> = { 'user-agent': 'nanoeval', ...headers };
  // The one place where the token is put in, whatever redirects led here.
  if (token !== null && new URL(url).origin === origin) all.authorization = `Bearer ${token}`;
  try {
    const response = await fetch(url, { headers: all, redirect: 'manual', signal: controller.signal });
    return { url, response, controller, end };
  } catch (error) {
    end();
    throw translate(error, url, signal);
  } finally {
    limit.stop();
  }
}

/** What is wrong with a response that is no redirect; null when its body can be read. */
function faultOf(client: HubClient, { url, response }: Exchange, redirected: boolean): Error | null {
  const { status } = response;
  if (status === 408 || status === 429 || status >= 500) {
    return new Transient(`${withoutQuery(url)}: ${status}`, { retryAfterMs: pauseOf(response.headers) });
  }
  const code = response.headers.get('x-error-code');
  if (status === 403 && code === null && (redirected || new URL(url).origin !== client.origin)) {
    // A signed address that ran out: the next try asks the hub for a new one.
    return new Transient(`${withoutQuery(url)}: 403 from the signed address`);
  }
  if (status >= 400 && status !== 412 && status !== 416) return new Refused(status, code, url);
  return null;
}

function answerOf(client: HubClient, exchange: Exchange, redirected: boolean): Answer {
  const { url, response } = exchange;
  return {
    status: response.status,
    headers: response.headers,
    url,
    redirected,
    body: () => readBody(client, exchange),
    discard: () => discard(exchange),
  };
}

/** The pieces of a body; each has `stallTimeoutMs`, and all of them together the speed limit. */
async function* readBody(client: HubClient, exchange: Exchange): AsyncGenerator<Uint8Array> {
  const { url, response, controller, end } = exchange;
  const where = withoutQuery(url);
  const { stallTimeoutMs } = client.limits;
  const stall = watch(controller, stallTimeoutMs, () => `${where}: no bytes for ${showSeconds(stallTimeoutMs)}`);
  const speed = new SpeedCheck(client.limits);
  let finished = false;
  const reader = response.body?.getReader();
  try {
    while (reader) {
      const asked = performance.now();
      stall.start();
      const { done, value } = await reader.read();
      if (done) break;
      // Only the time spent waiting for bytes counts: a consumer that takes long is not a slow server.
      speed.add(value.byteLength, performance.now() - asked, where);
      stall.stop();
      yield value;
    }
    finished = true;
  } catch (error) {
    throw translate(error, url, client.signal);
  } finally {
    stall.stop();
    end();
    // Left early, by an error or by the consumer: the rest is not wanted, so the connection goes.
    if (!finished) controller.abort(new Transient(`${where}: left unread`));
  }
}

/** Closes the connection of a response whose body is not wanted. */
async function discard({ url, controller, end }: Exchange): Promise<void> {
  end();
  controller.abort(new Transient(`${withoutQuery(url)}: not wanted`));
}

/** Bytes up to which a body that nobody wants is read away, and the ms that this may take. */
const DRAINED_BYTES = 65536;
const DRAIN_MS = 1000;

/** Reads a small body away so that the connection can be used again; a long one is cut off. */
async function drain(exchange: Exchange): Promise<void> {
  const length = exchange.response.headers.get('content-length');
  if (length === null || Number(length) > DRAINED_BYTES) return discard(exchange);
  const timer = setTimeout(() => discard(exchange), DRAIN_MS);
  // Errors of a body that nobody wants say nothing about the answer, whose status and headers are known.
  await exchange.response.arrayBuffer().then(
    () => undefined,
    () => undefined,
  );
  clearTimeout(timer);
  await discard(exchange);
}
