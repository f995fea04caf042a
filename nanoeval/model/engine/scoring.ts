/** Scores of a planned window: its passes on the lanes, and what happens to those that fall over. */
import { type Log, RowError } from '../../types.ts';
import type { Alone } from './alone.ts';
import { isMemory } from './faults.ts';
import type { EngineStats, Lane } from './lane.ts';
import { halves } from './prefix_tree.ts';
import { type Answer, collect, type Sheets, takeUnanswered } from './sheets.ts';
import type { Window } from './windows.ts';
import { doJobs, type Job, openWork, type Work } from './work.ts';

export interface ScoringOptions {
  lanes: readonly Lane[];
  stats: EngineStats;
  /** Answers questions that must not share a pass with others. */
  alone: Alone;
  log: Log;
}

/**
 * The answers of a window as they are known. When `signal` is aborted, what is under way is finished and given. Throws
 * OutsideError when onnxruntime or the machine gives up.
 */
export async function* scoreWindow(
  { root, refused }: Window,
  options: ScoringOptions,
  signal: AbortSignal,
): AsyncGenerator<Answer> {
  yield* refused;
  const work = openWork(root, options.lanes);
  const scoring = new WindowScoring(work, options);
  yield* doJobs<Answer>(work, options.lanes, (job, lane, answers) => scoring.perform(job, lane, answers), signal);
  yield* scoring.refused;
}

class WindowScoring {
  /** Given last: other jobs may still hold something of theirs, pictures too, which are let go with the answer. */
  readonly refused: Answer[] = [];
  readonly #sheets: Sheets = new Map();
  readonly #work: Work;
  readonly #options: ScoringOptions;

  constructor(work: Work, options: ScoringOptions) {
    this.#work = work;
    this.#options = options;
  }

  /** Does a job; questions that are complete with it go to `answers`. */
  async perform(job: Job, lane: Lane, answers: Answer[]): Promise<void> {
    try {
      for (const part of await lane.pass(job.group, job.pass)) collect(part, this.#sheets, answers);
    } catch (error) {
      if (error instanceof RowError) return this.#findFault(job, lane, error);
      if (!isMemory(error)) throw error;
      await lane.recover(error);
      this.#retreat(job, error);
    }
  }

  /** The memory did not do: the pass is halved; what cannot be halved is tried once more, and then given up. */
  #retreat(job: Job, { message }: Error): void {
    const { stats, log } = this.#options;
    if (this.#halve(job)) {
      stats.halved_passes += 1;
      log.info(`out of memory: a forward pass of ${job.pass!.sequences.length} sequences is halved (${message})`);
    } else if (!job.retried) this.#work.again([{ ...job, retried: true }]);
    else {
      const scores = new RowError('memory', `out of memory: ${message}`);
      for (const { place } of takeUnanswered(job, this.#sheets)) this.refused.push({ place, scores });
    }
  }

  /**
   * Something of the pass cannot be shown: it is halved until the fault is in one sequence. A picture that cannot be
   * shown takes no other question with it: a sequence of a tree may hold several, which are then asked one by one.
   */
  async #findFault(job: Job, lane: Lane, error: RowError): Promise<void> {
    if (this.#halve(job)) return;
    const left = takeUnanswered(job, this.#sheets);
    for (const one of left) {
      const apart = left.length > 1;
      this.refused.push(apart ? await this.#options.alone.answer(one, lane) : { place: one.place, scores: error });
    }
  }

  /** Puts the halves of a job's pass back; false when it cannot be halved. */
  #halve(job: Job): boolean {
    const parts = job.pass === null ? null : halves(job.pass);
    if (parts === null) return false;
    this.#work.again(parts.map((pass) => ({ ...job, pass })));
    return true;
  }
}
