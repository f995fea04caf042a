/** Answers to prompts: planned in windows, so that a few-shot header is computed once; each goes on by itself. */
import type { RowError } from '../../types.ts';
import type { Taker } from './decode.ts';
import { rowError } from './faults.ts';
import type { Lane } from './lane.ts';
import { type Asked, chain, type Group, type Pass, type TokenQuestion } from './prefix_tree.ts';
import { type Board, SideBySide, type Turn } from './side_by_side.ts';
import { inWindows, type Window, type WindowOptions } from './windows.ts';
import { doJobs, type Job, openWork, type Work } from './work.ts';

/** A prompt to go on from. */
export interface TokenPrompt extends Pick<TokenQuestion, 'place' | 'window' | 'done'> {
  ids: readonly number[];
  /** Begins the answer, anew when a first try fell over. */
  begin(): Taker;
}

/** The answer to a prompt has ended. */
export interface Ended {
  place: number;
  /** Why there is none. */
  error: RowError | null;
}

export interface PromptOptions extends Omit<WindowOptions, 'form'> {
  lanes: readonly Lane[];
}

/** The place of each prompt when its answer has ended; see `Engine.generate`. */
export async function* answerShared(
  prompts: AsyncIterable<TokenPrompt>,
  options: PromptOptions,
  signal: AbortSignal,
): AsyncGenerator<Ended> {
  const open = new Map<number, TokenPrompt>();
  const { lanes } = options;
  const answerWindow = ({ root }: Window) => {
    const work = openWork(promptsUnder(root), lanes);
    const perform = async (job: Job, lane: Lane, ended: Ended[]): Promise<void> => {
      const { place } = job.pass!.asks[0]!.request.question;
      const error = await goOn(open.get(place)!, job, lane);
      if (error?.kind === 'memory' && !job.retried) return work.again([{ ...job, retried: true }]);
      ended.push({ place, error });
      open.delete(place);
    };
    return doJobs(work, lanes, perform, signal);
  };
  yield* inWindows(asQuestions(prompts, open), { ...options, form: 'single' }, answerWindow, signal);
}

/** The prompts as questions of a plan; those that want an answer stand in `open`. */
async function* asQuestions(
  prompts: AsyncIterable<TokenPrompt>,
  open: Map<number, TokenPrompt>,
): AsyncGenerator<TokenQuestion> {
  for await (const prompt of prompts) {
    const { ids, begin: _begin, ...question } = prompt;
    if (!prompt.done) open.set(prompt.place, prompt);
    // The target is not looked at: it makes the plan say where the last token is.
    yield { ...question, requests: [{ input: Int32Array.from(ids), targets: [0] }] };
  }
}

/**
 * The same, many answers side by side on each lane, which all have to be ready for it (`Lane.turnTo`). `budget`: bytes of keys
 * and values that the answers under way of one lane may take. When `signal` is aborted, answers under way are left, and its
 * reason is thrown.
 */
export async function* answerSideBySide(
  prompts: AsyncIterable<TokenPrompt>,
  { budget, ...options }: PromptOptions & { budget: number },
  signal: AbortSignal,
): AsyncGenerator<Ended> {
  const { lanes } = options;
  const open = new Map<number, TokenPrompt>();
  const answerWindow = async function* ({ root }: Window): AsyncGenerator<Ended> {
    const board = new PromptBoard(openWork(promptsUnder(root), lanes), lanes, open);
    const running = Promise.all(lanes.map((lane) => new SideBySide(lane, board, budget).run(signal)));
    try {
      yield* board.ended(running);
      await running;
      signal.throwIfAborted();
    } finally {
      await Promise.allSettled([running]);
      await Promise.all(lanes.map((lane) => lane.clear()));
      board.release();
    }
  };
  yield* inWindows(asQuestions(prompts, open), { ...options, form: 'single' }, answerWindow, signal);
}

/** The prompts of a window that wait, and the answers that have ended. */
class PromptBoard implements Board {
  readonly #work: Work;
  readonly #lanes: readonly Lane[];
  readonly #open: Map<number, TokenPrompt>;
  readonly #jobs = new Map<number, Job>();
  readonly #waiting: Turn[] = [];
  readonly #ended: Ended[] = [];
  #wake: (() => void) | null = null;

  constructor(work: Work, lanes: readonly Lane[], open: Map<number, TokenPrompt>) {
    this.#work = work;
    this.#lanes = lanes;
    this.#open = open;
  }

  take(lane: Lane): Turn | null {
    const put = this.#waiting.pop();
    if (put !== undefined) return put;
    const job = this.#work.take(lane);
    if (job === null) return null;
    const { place } = job.pass!.asks[0]!.request.question;
    this.#jobs.set(place, job);
    const { begin } = this.#open.get(place)!;
    return { place, group: job.group, ids: job.pass!.sequences[0]!.ids, begin, retried: false };
  }

  again(turn: Turn): void {
    this.#waiting.push(turn);
  }

  end({ place }: Turn, error: RowError | null): void {
    this.#ended.push({ place, error });
    this.#open.delete(place);
    for (const group of this.#work.finish(this.#jobs.get(place)!)) for (const lane of this.#lanes) lane.release(group);
    this.#wake?.();
  }

  /** What has ended, as it does, until `running` is settled. */
  async *ended(running: Promise<unknown>): AsyncGenerator<Ended> {
    let over = false;
    const stop = () => {
      over = true;
      this.#wake?.();
    };
    running.then(stop, stop);
    for (;;) {
      yield* this.#ended.splice(0);
      if (this.#ended.length > 0) continue;
      if (over) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Lets go of every prefix: a window that ended early leaves none that nobody will ask for. */
  release(): void {
    for (const group of this.#work.groups()) for (const lane of this.#lanes) lane.release(group);
  }
}

/** Goes on from a prompt until its taker has enough; the error when the row cannot be answered. */
async function goOn({ begin }: TokenPrompt, { group, pass }: Job, lane: Lane): Promise<RowError | null> {
  try {
    await lane.decode(group, pass!.sequences[0]!.ids, begin());
    return null;
  } catch (error) {
    return rowError(error, lane);
  }
}

/**
 * A plan of prompts as one pass a prompt: the tokens that no group has, to go on from. A prompt that ends inside a
 * group goes on from the group above it. Changes the plan.
 */
export function promptsUnder(root: Group): Group {
  const askedOf = (passes: readonly Pass[]): Asked[] =>
    passes.flatMap((pass) => pass.asks.map(({ request }) => request));
  const visit = (group: Group): void => {
    const own = [...askedOf(group.passes), ...group.children.flatMap((child) => askedOf(child.chunks))];
    group.passes = own.map((request) => {
      const sequence = chain(request.request.input.subarray(group.depth));
      return { group, sequences: [sequence], select: [], pairs: [], asks: [{ request, target: 0 }] };
    });
    for (const child of group.children) {
      for (const chunk of child.chunks) Object.assign(chunk, { select: [], pairs: [], asks: [] });
      visit(child);
    }
  };
  visit(root);
  return root;
}
