/** A stream of questions over a pool of servers: many under way, each reply given as it is known. */
import type { Ask, Model, Reply } from '../../questions.ts';
import { type Question, RowError } from '../../types.ts';

type Settled = Question<Reply | RowError>;

export interface AnswerOptions {
  /** Questions under way at a time: no fewer than the servers may take together, or they would wait. */
  atOnce: number;
  /**
   * Whether the servers are still those that the run began with; replies are given only behind it. Throws OutsideError where
   * one is another: what was answered since the last look is thrown away then, and asked again by the next run.
   */
  verify(signal: AbortSignal): Promise<void>;
  /** Milliseconds from one look to the next. */
  verifyMs?: number;
}

/** So many replies are looked behind at once, whatever the time. */
const BATCH = 256;
/** Replies that may wait to be given: nothing piles up behind a slow reader. */
const MOST_WAITING = 4096;

/** `Model.answer` from a function that answers one question. It throws RowError where only this row is to blame. */
export function openAnswers(
  answerOne: (ask: Ask, signal: AbortSignal) => Promise<Reply>,
  options: AnswerOptions,
): Model['answer'] {
  return (questions, signal) => new AnswerStream(answerOne, options).answers(questions, signal);
}

/** The questions of one call. */
class AnswerStream {
  private readonly answerOne: (ask: Ask, signal: AbortSignal) => Promise<Reply>;
  private readonly options: Required<AnswerOptions>;
  /** Answered and not given yet. */
  private settled: Settled[] = [];
  private underWay = 0;
  private isRead = false;
  private failure: { error: unknown } | null = null;
  private wake = () => {};
  private changed: Promise<void>;
  private looked = performance.now();
  /** Ends the requests under way. */
  private readonly stop = new AbortController();

  constructor(answerOne: (ask: Ask, signal: AbortSignal) => Promise<Reply>, options: AnswerOptions) {
    this.answerOne = answerOne;
    this.options = { verifyMs: 1000, ...options };
    this.changed = this.renewed();
  }

  private renewed(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private note(): void {
    const { wake } = this;
    this.changed = this.renewed();
    wake();
  }

  async *answers(questions: AsyncIterable<Question<Ask>>, signal: AbortSignal): AsyncGenerator<Settled> {
    const onAbort = () => {
      this.fail(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const source = questions[Symbol.asyncIterator]();
    const reading = this.read(source);
    try {
      for (;;) {
        const { changed } = this;
        if (this.isDue()) yield* await this.verified();
        else if (this.failure !== null) throw this.failure.error;
        else if (this.isOver()) break;
        else await this.wait(changed);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.fail(new Error('left early'));
      // The source may be waiting for its next row, which nobody waits for any more.
      Promise.resolve(source.return?.(undefined)).catch(() => undefined);
      reading.catch(() => undefined);
    }
  }

  private isOver(): boolean {
    return this.isRead && this.underWay === 0 && this.settled.length === 0;
  }

  /** Something is to be given: the time for a look has come, or nothing else follows. */
  private isDue(): boolean {
    if (this.settled.length === 0) return false;
    const isLast = this.failure !== null || (this.isRead && this.underWay === 0);
    return isLast || this.settled.length >= BATCH || performance.now() - this.looked >= this.options.verifyMs;
  }

  /** Until something happens, or the time for a look has come. */
  private async wait(changed: Promise<void>): Promise<void> {
    if (this.settled.length === 0) return changed;
    let timer: NodeJS.Timeout | undefined;
    const due = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.options.verifyMs - (performance.now() - this.looked));
    });
    await Promise.race([changed, due]);
    clearTimeout(timer);
  }

  /** The replies so far, when the servers are still the same ones. */
  private async verified(): Promise<Settled[]> {
    const batch = this.settled;
    this.settled = [];
    // A run that is being stopped looks a last time, for as long as that takes to answer or fail.
    await this.options.verify(new AbortController().signal);
    this.looked = performance.now();
    this.note();
    return batch;
  }

  private fail(error: unknown): void {
    this.failure ??= { error };
    if (!this.stop.signal.aborted) this.stop.abort(error);
    this.note();
  }

  /** Reads questions while there is room for them. */
  private async read(source: AsyncIterator<Question<Ask>>): Promise<void> {
    try {
      while (this.failure === null) {
        if (this.underWay >= this.options.atOnce || this.settled.length >= MOST_WAITING) {
          await this.changed;
          continue;
        }
        const next = await source.next();
        if (next.done) break;
        if (!next.value.done) this.begin(next.value);
      }
    } catch (error) {
      this.fail(error);
    }
    this.isRead = true;
    this.note();
  }

  private begin({ place, content }: Question<Ask>): void {
    this.underWay += 1;
    const settle = (reply: Reply | RowError) => this.settled.push({ place, content: reply });
    this.answerOne(content, this.stop.signal)
      .then(settle, (error) => (error instanceof RowError ? settle(error) : this.fail(error)))
      .finally(() => {
        this.underWay -= 1;
        this.note();
      });
  }
}
