/**
 * How many requests a server is given at a time. Nobody says how many it can take, so the number is found: it doubles while
 * what is answered a second grows with it, which is to say while latency holds, is halved when the server says that it is too
 * much (429, 503, a deadline), and comes back to just below where that happened.
 */

export interface LimiterOptions {
  /** To begin with. */
  start: number;
  /** Never more. */
  most: number;
  /** By which the number grows; 2 by default. */
  factor?: number;
  /** Milliseconds; the process's clock by default. */
  now?: () => number;
}

/**
 * Answers of a measurement, at least: fewer say little, and fewer do where few are under way. Otherwise as many as may be under way.
 */
const leastOf = (limit: number) => Math.min(16, Math.max(4, 2 * limit));
/** More a second by this share are worth a larger number. */
const GAIN = 1.05;
/**
 * Measurements between two looks whether more has become possible: twice as many each time that it gave nothing or was too much, since
 * something else on the machine may have spoilt the first look.
 */
const PATIENCE = 4;
/** At least, behind a refusal; and never more. */
const PATIENCE_REFUSED = 32;
const LONGEST_PATIENCE = 256;
/** The part of the number that was too much to which it comes back, where no smaller one is known to be good. */
const BELOW = 0.9;

/** What `begin` gives and the ends take: the halvings before the request was sent. */
export type Ticket = number;

export class Limiter {
  /** Requests under way. */
  inFlight = 0;
  /** The largest number that was ever allowed. */
  peak: number;
  private allowed: number;
  private readonly most: number;
  private readonly factor: number;
  private readonly now: () => number;
  /** Answers since the measurement began, and whether the number was ever reached in it. */
  private done = 0;
  /** How much they were, in the unit of `end`. */
  private amount = 0;
  private since: number;
  /** When the last request ended. */
  private ended: number;
  /** It goes on for as long again: answers come in bursts, and where one ends may hide what was gained. */
  private isLong = false;
  private wasFull = false;
  /** The number that is known to be good, with what was answered a second; null before the first measurement. */
  private known: { limit: number; rate: number } | null = null;
  private isSettled = false;
  private measured = 0;
  private patience = PATIENCE;
  /** What turned out to be too much. */
  private knee = Number.POSITIVE_INFINITY;
  private halvings = 0;

  constructor({ start, most, factor = 2, now = () => performance.now() }: LimiterOptions) {
    this.allowed = Math.max(1, Math.min(start, most));
    this.most = Math.max(1, most);
    this.factor = factor;
    this.peak = this.allowed;
    this.now = now;
    this.since = now();
    this.ended = this.since;
  }

  /** Requests that may be under way at a time. */
  get limit(): number {
    return this.allowed;
  }

  get hasRoom(): boolean {
    return this.inFlight < this.allowed;
  }

  /** A request is sent. */
  begin(): Ticket {
    // Time in which nothing was under way says nothing about the server.
    if (this.inFlight === 0) this.since += this.now() - this.ended;
    this.inFlight += 1;
    if (this.inFlight >= this.allowed) this.wasFull = true;
    return this.halvings;
  }

  /**
   * It was answered (`good`), or not, which says nothing about the number. `amount`: how much work the answer was (tokens), where
   * that is known: answers of many lengths say little by their count.
   */
  end(good: boolean, amount = 1): void {
    this.leave();
    if (!good) return;
    this.done += 1;
    this.amount += amount;
    if (this.done >= Math.max(leastOf(this.allowed), this.allowed) * (this.isLong ? 2 : 1)) this.measure();
  }

  /** It was too much. Of the requests that were sent before one halving only the first one halves. */
  tooMuch(ticket: Ticket): void {
    this.leave();
    if (ticket !== this.halvings) return;
    this.halvings += 1;
    const good = this.known !== null && this.known.limit < this.allowed ? this.known.limit : this.allowed * BELOW;
    this.knee = Math.max(1, Math.floor(good));
    this.patience = Math.min(LONGEST_PATIENCE, Math.max(PATIENCE_REFUSED, this.patience * 2));
    this.measured = 0;
    this.allowed = Math.max(1, Math.floor(this.allowed / 2));
    this.known = null;
    this.isSettled = false;
    this.restart();
  }

  private leave(): void {
    this.inFlight -= 1;
    this.ended = this.now();
  }

  private restart(): void {
    this.done = 0;
    this.amount = 0;
    this.isLong = false;
    this.since = this.now();
    this.wasFull = this.inFlight >= this.allowed;
  }

  private measure(): void {
    const rate = this.amount / Math.max(1e-3, this.now() - this.since);
    const { known, wasFull } = this;
    const isTried = !this.isSettled && known !== null && this.allowed > known.limit;
    if (wasFull && isTried && !this.isLong && rate < known.rate * GAIN) {
      this.isLong = true;
      return;
    }
    this.measured += 1;
    // A number that was never reached was not tried.
    if (wasFull) this.judge(rate);
    this.restart();
  }

  private judge(rate: number): void {
    const { known } = this;
    if (this.isSettled) {
      this.known = { limit: this.allowed, rate: Math.max(rate, (known?.rate ?? 0) * 0.97) };
      if (this.measured < this.patience) return;
      this.measured = 0;
      this.patience = Math.min(LONGEST_PATIENCE, this.patience * 2);
      // The server may have more to give by now, and what was too much may be so no longer.
      this.knee += Math.max(1, Math.floor(this.knee / 16));
      this.isSettled = false;
      this.grow(this.allowed === 1 ? this.factor : Math.ceil(this.allowed * 1.25));
      return;
    }
    if (known !== null && this.allowed > known.limit && rate < known.rate * GAIN) {
      this.allowed = known.limit;
      this.isSettled = true;
      this.measured = 0;
      return;
    }
    this.known = { limit: this.allowed, rate };
    this.grow(this.allowed * this.factor);
  }

  /** To `wanted`, or as far as it may be; where that is no further it is settled. */
  private grow(wanted: number): void {
    const next = Math.min(wanted, this.most, this.knee);
    if (next <= this.allowed) this.isSettled = true;
    this.allowed = Math.max(this.allowed, next);
    this.peak = Math.max(this.peak, this.allowed);
  }
}
