/** How fast answers come, and so how long one may take: a long answer of a slow server is no stall. */

/** An answer may take as many times as long as those before it, token for token. */
const SLOWER = 5;
/** Weight of the last answer in the mean. */
const WEIGHT = 0.1;

export class Pace {
  private readonly leastMs: number;
  private readonly isFixed: boolean;
  /** Milliseconds of a token, the wait for a free place included; null before the first answer. */
  private msPerToken: number | null = null;

  /** `isFixed`: the deadline is `leastMs`, whatever is measured. */
  constructor(leastMs: number, isFixed: boolean) {
    this.leastMs = leastMs;
    this.isFixed = isFixed;
  }

  /** An answer of so many tokens took so long. */
  note(tokens: number | null, ms: number): void {
    if (tokens === null || tokens < 1) return;
    const own = ms / tokens;
    this.msPerToken = this.msPerToken === null ? own : this.msPerToken + (own - this.msPerToken) * WEIGHT;
  }

  /** Milliseconds that an answer of so many tokens may take. */
  deadlineMs(tokens: number): number {
    if (this.isFixed || this.msPerToken === null) return this.leastMs;
    return Math.max(this.leastMs, SLOWER * this.msPerToken * tokens);
  }
}
