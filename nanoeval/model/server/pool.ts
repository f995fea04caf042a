/**
 * The servers of one model: jobs go to whichever has room, fail over to another one, and are tried again where that can help.
 * A server that is out of reach is left out, and looked at again before it is used.
 */
import { type Log, OutsideError, RowError } from '../../types.ts';
import { type Exchange, type SendOptions, whenAborted } from './exchange.ts';
import { isTooLong, Passing, type PassingKind, Refusal, Unusable } from './faults.ts';
import { Limiter, type Ticket } from './limiter.ts';

/** One request to the server that a job was given. */
export type Send = (method: 'GET' | 'POST', path: string, body?: unknown, options?: SendOptions) => Promise<unknown>;

/** Requests that belong together and go to one server; all of them again when one fails. */
export type Job<T> = (send: Send) => Promise<T>;

/** Waits and counts. */
export interface PoolLimits {
  /** First pause in ms after a failure; it doubles up to the longest, and is drawn from its upper half. */
  backoffMs: number;
  longestBackoffMs: number;
  /** A server that asks for a longer pause is asked again after this one. */
  longestRetryAfterMs: number;
  /** Without any answer for so long, while all that is asked fails, the run ends. */
  patienceMs: number;
  /** Rows that fail one after another, no other answered between them, before the run ends. */
  rowsInARow: number;
}

export const POOL_LIMITS: PoolLimits = {
  backoffMs: 500,
  longestBackoffMs: 30_000,
  longestRetryAfterMs: 120_000,
  patienceMs: 180_000,
  rowsInARow: 5,
};

/** Waits; throws the signal's reason when it is aborted. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const leave = whenAborted(signal, () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
    const timer = setTimeout(() => {
      leave();
      resolve();
    }, ms);
  });
}

/** Tries of one job that each kind of failure may use up; the others are no fault of the job and are not counted. */
const TRIES: Partial<Record<PassingKind, number>> = { timeout: 3, cut: 4, error: 2, garbled: 2 };

export interface PoolOptions {
  /** Of each server. */
  concurrency: { start: number; most: number; factor?: number };
  log: Log;
  /**
   * Called before a server is used that was out of reach, or lost a connection: whether it is still the one that it was.
   * Throws Passing where it does not answer, OutsideError where it is another one.
   */
  recheck?: (exchange: Exchange, send: Send) => Promise<void>;
  limits?: Partial<PoolLimits>;
}

interface RunOptions<T> {
  alone?: boolean;
  amount?: (result: T) => number;
}

class Replica {
  readonly exchange: Exchange;
  readonly limiter: Limiter;
  /** No request before this time: it was asked for, or the server was out of reach. */
  pausedUntil = 0;
  /** Failures one after another. */
  failures = 0;
  /** Why it is of no use any more. */
  lost: Unusable | null = null;
  /** A job has it to itself. */
  isTaken = false;
  /** Connections that had been lost when it was last looked at, and the look that is under way. */
  checkedLosses = 0;
  looking: Promise<void> | null = null;
  isOut = false;

  constructor(exchange: Exchange, limiter: Limiter) {
    this.exchange = exchange;
    this.limiter = limiter;
  }
}

const noneLeft = (error: Unusable) => new OutsideError(`${error.message}. No server is left.`, { cause: error });

/** A server with a place on it that is one's own. */
interface Place {
  replica: Replica;
  ticket: Ticket;
}

interface Waiter {
  alone: boolean;
  give(place: Place): void;
  /** There is nothing to wait for any more. */
  fail(error: Error): void;
}

export class Pool {
  private readonly replicas: Replica[];
  private readonly log: Log;
  private readonly limits: PoolLimits;
  private readonly recheck: PoolOptions['recheck'];
  private readonly waiters: Waiter[] = [];
  private timer: NodeJS.Timeout | undefined;
  private jobs = 0;
  /** When something was last answered, or work began. */
  private progress = 0;
  private failedRows = 0;
  private requests = 0;
  private retried = 0;

  constructor(exchanges: readonly Exchange[], { concurrency, log, recheck, limits }: PoolOptions) {
    this.replicas = exchanges.map((exchange) => new Replica(exchange, new Limiter(concurrency)));
    this.log = log;
    this.recheck = recheck;
    this.limits = { ...POOL_LIMITS, ...limits };
  }

  /** Counters since the pool was opened. */
  stats(): Record<string, number> {
    return {
      replicas: this.replicas.length,
      requests: this.requests,
      requests_retried: this.retried,
      concurrency: this.replicas.reduce((sum, { limiter }) => sum + limiter.peak, 0),
    };
  }

  /**
   * What the job gives, after as many tries as help. `alone`: on a server that does nothing else meanwhile; `amount`: how much work
   * a result was, in any unit. Throws RowError where this job cannot be had, OutsideError where none can, and the signal's reason.
   */
  async run<T>(job: Job<T>, signal: AbortSignal, { alone = false, amount = () => 1 }: RunOptions<T> = {}): Promise<T> {
    if (this.jobs === 0) this.progress = performance.now();
    this.jobs += 1;
    const used: Partial<Record<PassingKind, number>> = {};
    try {
      for (let tried = 0; ; tried += 1) {
        const place = await this.take(alone, tried > 0, signal);
        if (tried > 0) this.retried += 1;
        const outcome = await this.attempt(place, job, amount, signal);
        if ('result' in outcome) return outcome.result;
        const pause = this.pauseAfter(outcome.error, used);
        if (pause > 0) await sleep(pause, signal);
      }
    } finally {
      this.jobs -= 1;
    }
  }

  close(): void {
    clearTimeout(this.timer);
    for (const { exchange } of this.replicas) exchange.close();
  }

  /** One try on one server, which is free again afterwards. Failures that another try may mend are given back. */
  private async attempt<T>(
    { replica, ticket }: Place,
    job: Job<T>,
    amount: (result: T) => number,
    signal: AbortSignal,
  ): Promise<{ result: T } | { error: Passing | Unusable }> {
    const { exchange, limiter } = replica;
    const send: Send = (method, path, body, options) => {
      this.requests += 1;
      return exchange.send(method, path, body, { signal, ...options });
    };
    try {
      await this.lookAgain(replica, send);
      const result = await job(send);
      limiter.end(true, amount(result));
      this.wasAnswered(replica);
      return { result };
    } catch (error) {
      this.after(replica, ticket, error);
      // An answer that says no is one all the same.
      if (error instanceof Refusal || error instanceof RowError) this.progress = performance.now();
      if (error instanceof Passing || error instanceof Unusable) return { error };
      throw error instanceof Refusal ? this.refused(error) : error;
    } finally {
      replica.isTaken = false;
      this.serve();
    }
  }

  private wasAnswered(replica: Replica): void {
    if (replica.isOut) this.log.info(`${replica.exchange.base}: answers again`);
    replica.isOut = false;
    replica.failures = 0;
    this.failedRows = 0;
    this.progress = performance.now();
  }

  /** After a lost connection there may be another process behind the address. */
  private async lookAgain(replica: Replica, send: Send): Promise<void> {
    const { recheck } = this;
    if (recheck === undefined || replica.exchange.losses === replica.checkedLosses) return;
    // One look for all that wait for it.
    replica.looking ??= (async () => {
      const { losses } = replica.exchange;
      try {
        await recheck(replica.exchange, send);
        replica.checkedLosses = losses;
      } finally {
        replica.looking = null;
      }
    })();
    await replica.looking;
  }

  /** What a failure says about the server. */
  private after(replica: Replica, ticket: Ticket, error: unknown): void {
    const { limiter, exchange } = replica;
    if (error instanceof Unusable) {
      limiter.end(false);
      if (replica.lost === null) this.log.info(`${error.message}; it is left out`);
      replica.lost = error;
      return;
    }
    const isBusy = error instanceof Passing && (error.kind === 'busy' || error.kind === 'timeout');
    if (isBusy) limiter.tooMuch(ticket);
    else limiter.end(false);
    if (!(error instanceof Passing)) return;
    const now = performance.now();
    if (error.retryAfterMs !== null) {
      // One that asks for no pause at all would be asked again and again.
      const pause = Math.min(Math.max(error.retryAfterMs, this.backoff(1)), this.limits.longestRetryAfterMs);
      replica.pausedUntil = Math.max(replica.pausedUntil, now + pause);
    }
    // Of the requests that found it out of reach together the first one counts.
    if (error.kind !== 'unreachable' || now < replica.pausedUntil) return;
    replica.failures += 1;
    replica.pausedUntil = now + this.backoff(replica.failures);
    if (replica.isOut) return;
    replica.isOut = true;
    const others = this.replicas.some((other) => !other.isOut && other.lost === null);
    this.log.info(`${exchange.base} is out of reach (${error.message})${others ? ': the others go on' : ''}`);
  }

  private backoff(failures: number): number {
    const { backoffMs, longestBackoffMs } = this.limits;
    return Math.min(longestBackoffMs, backoffMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  }

  /** Milliseconds until the job is tried again. Throws where another try does not help. */
  private pauseAfter(error: Passing | Unusable, used: Partial<Record<PassingKind, number>>): number {
    if (error instanceof Unusable) {
      if (this.replicas.some(({ lost }) => lost === null)) return 0;
      throw noneLeft(error);
    }
    const { kind } = error;
    const most = TRIES[kind];
    used[kind] = (used[kind] ?? 0) + 1;
    if (most !== undefined && used[kind] >= most) {
      const times = `${most} tries`;
      throw this.failed(new RowError('server', `${error.message} (${times}).`, { cause: error }));
    }
    const silent = performance.now() - this.progress;
    // A server that is out of reach, or asked for a pause, is paused itself: another one may take the job at once.
    if (silent < this.limits.patienceMs)
      return kind === 'unreachable' || error.retryAfterMs !== null ? 0 : this.backoff(used[kind]);
    throw new OutsideError(
      `${error.message}. Nothing was answered for ${Math.round(silent / 1000)} s. The same config goes on from here.`,
      { cause: error },
    );
  }

  /** The server says no to this job. */
  private refused(error: Refusal): Error {
    if (isTooLong(error)) return new RowError('length', error.message, { cause: error });
    return this.failed(new RowError('server', error.message, { cause: error }));
  }

  /** A row that failed; the run's error where rows fail and none is answered. */
  private failed(row: RowError): Error {
    this.failedRows += 1;
    if (this.failedRows < this.limits.rowsInARow) return row;
    return new OutsideError(
      `${this.failedRows} rows in a row failed, the last: ${row.message} The same config goes on.`,
      {
        cause: row,
      },
    );
  }

  // -------------------------------------------------------------- who gets which server

  private take(alone: boolean, isUrgent: boolean, signal: AbortSignal): Promise<Place> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const waiter: Waiter = {
        alone,
        give: (place) => {
          leave();
          resolve(place);
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const onAbort = () => {
        const at = this.waiters.indexOf(waiter);
        if (at >= 0) this.waiters.splice(at, 1);
        reject(signal.reason);
      };
      const leave = whenAborted(signal, onAbort);
      if (isUrgent) this.waiters.unshift(waiter);
      else this.waiters.push(waiter);
      this.serve();
    });
  }

  /** Gives servers to those who wait, in their order. */
  private serve(): void {
    const losses = this.replicas.flatMap(({ lost }) => lost ?? []);
    if (losses.length === this.replicas.length)
      for (const waiter of this.waiters.splice(0)) waiter.fail(noneLeft(losses[0]!));
    // One time for all that is looked at: a pause that ended in between would wake nobody.
    const now = performance.now();
    while (this.waiters.length > 0) {
      const waiter = this.waiters[0]!;
      const replica = this.free(waiter.alone, now);
      if (replica === null) break;
      this.waiters.shift();
      replica.isTaken = waiter.alone;
      waiter.give({ replica, ticket: replica.limiter.begin() });
    }
    this.wakeLater(now);
  }

  /** The server with the most room; null where there is none at the time `now`. */
  private free(alone: boolean, now: number): Replica | null {
    const load = ({ limiter }: Replica) => limiter.inFlight / limiter.limit;
    let best: Replica | null = null;
    for (const replica of this.replicas) {
      if (replica.lost !== null || replica.isTaken || now < replica.pausedUntil) continue;
      if (alone ? replica.limiter.inFlight > 0 : !replica.limiter.hasRoom) continue;
      if (best === null || load(replica) < load(best)) best = replica;
    }
    return best;
  }

  /** A pause that had not ended at the time `now` wakes those who wait when it ends. */
  private wakeLater(now: number): void {
    clearTimeout(this.timer);
    if (this.waiters.length === 0) return;
    const pauses = this.replicas.flatMap(({ pausedUntil, lost }) =>
      lost === null && pausedUntil > now ? pausedUntil - now : [],
    );
    if (pauses.length > 0) this.timer = setTimeout(() => this.serve(), Math.min(...pauses) + 1);
  }
}
