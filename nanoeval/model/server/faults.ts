/** What can go wrong with a request to a model server, as errors that say what to do about it. */

/**
 * `busy`: 429, 503; `gateway`: 502, 504; `timeout`: the deadline, 408; `unreachable`: no connection; `cut`: the connection was
 * lost under way; `error`: 500; `garbled`: an answer that is not what was asked for.
 */
export type PassingKind = 'busy' | 'gateway' | 'timeout' | 'unreachable' | 'cut' | 'error' | 'garbled';

/** A failure that another try may mend. Never leaves this folder: the pool turns the last one into a row's or a run's. */
export class Passing extends Error {
  readonly kind: PassingKind;
  /** The pause in ms that the server asked for; null when it did not. */
  readonly retryAfterMs: number | null;
  constructor(kind: PassingKind, message: string, options: { cause?: unknown; retryAfterMs?: number | null } = {}) {
    super(message, { cause: options.cause });
    this.name = 'Passing';
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** The server said no to this one request (4xx, 501): another try would hear the same. */
export class Refusal extends Error {
  readonly status: number;
  /** The server's word for it (`exceed_context_size_error`); empty where it has none. */
  readonly type: string;
  constructor(status: number, type: string, message: string) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.type = type;
  }
}

/** Nothing is to be had from this server by anybody (a wrong key, a refused certificate, a redirect): no use to try again. */
export class Unusable extends Error {
  /** The config key that would mend it. */
  readonly key: string;
  constructor(message: string, key: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'Unusable';
    this.key = key;
  }
}

/**
 * Whether a failure says that a route which only some servers have is not to be had here: there is none, a gateway keeps it to
 * itself (403, a redirect), or what stands there answers something else. One that is busy or out of reach has said nothing.
 */
export function isWithoutRoute(error: unknown): boolean {
  if (error instanceof Passing) return error.kind === 'garbled' || error.kind === 'error';
  return error instanceof Refusal || error instanceof Unusable;
}

/** Retry-After in ms: seconds or an HTTP date (RFC 9110 10.2.3); null when absent or unreadable. */
export function retryAfterMs(value: string | undefined, now: number = Date.now()): number | null {
  if (value === undefined || value.trim() === '') return null;
  const inSeconds = Number(value);
  if (Number.isFinite(inSeconds)) return Math.max(0, inSeconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** What a server says in the body of an error: type and message. An HTML page says its title. */
export function saidIn(body: string): { type: string; message: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    const title = /<title[^>]*>([^<]*)/i.exec(body)?.[1]?.trim();
    return { type: '', message: shortened(title || body.replace(/<[^>]*>/g, ' ')) };
  }
  const outer = asObject(parsed);
  // vLLM's 401 has a text in place of the object; FastAPI says `detail`.
  const inner = asObject(outer.error);
  const message = inner.message ?? outer.error ?? outer.message ?? outer.detail ?? body;
  return { type: typeof inner.type === 'string' ? inner.type : '', message: shortened(message) };
}

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** Characters of a server's words that a message holds. */
const MOST = 300;

function shortened(value: unknown): string {
  const text = (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).replace(/\s+/g, ' ').trim();
  return text.length > MOST ? `${text.slice(0, MOST - 3)}...` : text;
}

/**
 * Words for a prompt that does not fit. vLLM gives an answer what room the prompt leaves, and where that is none it complains of the
 * number of tokens that it made of it, which is never what was sent.
 */
const TOO_LONG = /context (length|size|window)|too long|max_tokens must be at least 1, got (0|-\d+)/i;

/** Whether a refusal says that prompt and answer do not fit into the context (llama-server by its type, others in words). */
export function isTooLong({ status, type, message }: Refusal): boolean {
  if (type === 'exceed_context_size_error') return true;
  return (status === 400 || status === 413 || status === 422) && TOO_LONG.test(message);
}
