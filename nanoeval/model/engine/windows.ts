/** Questions in windows, each planned as a whole: the next one is read and planned while the one before is computed. */
import { RowError } from '../../types.ts';
import type { Album } from '../vision/album.ts';
import { checkTargets } from './faults.ts';
import type { EngineStats } from './lane.ts';
import { planInSteps } from './plan.ts';
import type { Form, Group, TokenQuestion } from './prefix_tree.ts';
import type { Answer } from './sheets.ts';
import { Trie } from './trie.ts';

/**
 * Questions of a window, where the asker does not say: many, so that a subject and its accidental likenesses are seen
 * whole. Only their ids are held.
 */
const WINDOW = 1024;
/** The first window is smaller: the executors begin, and the next one is tokenised meanwhile. */
const FIRST_WINDOW = 128;
/** Distinct tokens after which a window ends all the same. */
const WINDOW_TOKENS = 1_000_000;
/** Questions with pictures after which it ends: their files are held. */
const WINDOW_PICTURED = 16;

/** A window that was planned. */
export interface Window {
  root: Group;
  /** Questions that cannot be asked of this graph. */
  refused: Answer[];
}

export interface WindowOptions {
  form: Form;
  /** Tokens of a pass, padding included. */
  batchTokens: number;
  /** Width of the logits; null where it is not known. */
  vocab: number | null;
  album: Album;
  stats: EngineStats;
}

/**
 * What `answer` gives for window after window. When `signal` is aborted, the window that is under way comes to its end
 * as `answer` sees fit, and then the signal's reason is thrown; an error of the source comes after the windows before
 * it.
 */
export async function* inWindows<A>(
  questions: AsyncIterable<TokenQuestion>,
  options: WindowOptions,
  answer: (window: Window) => AsyncGenerator<A>,
  signal: AbortSignal,
): AsyncGenerator<A> {
  let open = true;
  const wanted = async function* () {
    for await (const question of questions) {
      if (!open) return;
      yield question;
    }
  };
  const windows = planWindows(wanted(), options);
  let next = windows.next();
  try {
    for (;;) {
      const { value: window, done } = await next;
      if (done) return;
      next = windows.next();
      next.catch(() => undefined);
      yield* answer(window);
      signal.throwIfAborted();
    }
  } finally {
    // Closes the source with its next question, which nobody waits for.
    open = false;
    windows.return(undefined).catch(() => undefined);
  }
}

/** Windows as the questions name them; where they name none, by their number, tokens and pictures. */
async function* planWindows(questions: AsyncIterable<TokenQuestion>, options: WindowOptions): AsyncGenerator<Window> {
  let open = new OpenWindow(options);
  let limit = FIRST_WINDOW;
  const close = async (): Promise<Window> => {
    const closed = await open.plan();
    open = new OpenWindow(options);
    limit = WINDOW;
    return closed;
  };
  let name: number | undefined;
  for await (const question of questions) {
    if (question.window !== name && !open.isEmpty()) yield await close();
    name = question.window;
    open.add(question);
    await new Promise(setImmediate);
    if (name === undefined && open.isFull(limit)) yield await close();
  }
  if (!open.isEmpty()) yield await close();
}

/** A window that still takes questions. */
class OpenWindow {
  readonly #options: WindowOptions;
  readonly #trie = new Trie();
  readonly #refused: Answer[] = [];
  /** Questions with pictures. */
  #pictured = 0;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  isEmpty(): boolean {
    return this.#trie.count + this.#refused.length === 0;
  }

  /** `limit`: questions. */
  isFull(limit: number): boolean {
    const { count, distinct } = this.#trie;
    return count === limit || distinct >= WINDOW_TOKENS || this.#pictured === WINDOW_PICTURED;
  }

  add(question: TokenQuestion): void {
    const { vocab, album } = this.#options;
    try {
      for (const { targets } of question.requests) checkTargets(targets, vocab);
      this.#trie.add(question);
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      if (!question.done) this.#refused.push({ place: question.place, scores: error });
    }
    if (question.requests.some(({ input }) => album.among(input).length > 0)) this.#pictured += 1;
  }

  /** The passes of the window; gives way to whatever else the thread has to do. */
  async plan(): Promise<Window> {
    const { stats, form, batchTokens } = this.#options;
    stats.tokens_asked += this.#trie.asked;
    stats.tokens_distinct += this.#trie.distinct;
    const steps = planInSteps(this.#trie, { form, batchTokens });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) return { root: step.value, refused: this.#refused };
      await new Promise(setImmediate);
    }
  }
}
