/**
 * Questions in, answers out, as they are known: cuts the stream into windows, plans each and keeps the executors busy.
 *
 * What is computed together follows from the questions alone (`prefix_tree.ts`); which executor computes it, when, and what
 * its caches still hold changes no digit. An out-of-memory retreat does: the run is halved, which the log says.
 */
import { type Log, OutsideError, RowError } from '../../types.ts';
import { type Album, openAlbum } from '../vision/album.ts';
import type { Executor, ExecutorInfo } from './executor.ts';
import { type EngineStats, type Lane, openLane, type Taker } from './lane.ts';
import type { TokenScore } from './naive.ts';
import { type Form, type Group, halves, planInSteps, prefixTree, type TokenQuestion } from './prefix_tree.ts';
import { type Answer, collect, finite, type Sheets, takeUnanswered } from './sheets.ts';
import { openWork, promptsUnder, type Task, type Work } from './work.ts';
import { WorkerGone } from './workers.ts';

export interface EngineOptions {
  /** Tokens of a run, padding included. */
  batchTokens: number;
  /** Bytes of cache that each executor keeps from window to window. */
  cacheBytes: number;
  log: Log;
}

/** The answer to a prompt has ended. */
export interface Ended {
  place: number;
  /** Why there is none. */
  error: RowError | null;
}

/** A prompt to go on from. */
export interface TokenPrompt extends Pick<TokenQuestion, 'place' | 'window' | 'done'> {
  ids: readonly number[];
  /** Begins the answer, anew when a first try fell over. */
  begin(): Taker;
}

export interface Engine {
  info: ExecutorInfo;
  stats: EngineStats;
  /** Where pictures get the ids that stand for them in inputs and prompts. */
  album: Album;
  /**
   * Scores, in the order in which they are known. When `signal` is aborted, what is under way is finished and given, and
   * then the signal's reason is thrown. Throws OutsideError when onnxruntime or the machine gives up.
   */
  score(questions: AsyncIterable<TokenQuestion>, signal: AbortSignal): AsyncGenerator<Answer>;
  /** The place of each prompt when its answer has ended; `error` when the row cannot be answered. */
  generate(prompts: AsyncIterable<TokenPrompt>, signal: AbortSignal): AsyncGenerator<Ended>;
  close(): Promise<void>;
}

/**
 * Questions of a window, where the asker does not say: many, so that a subject and its accidental likenesses are seen whole.
 * Only their ids are held.
 */
const WINDOW = 1024;
/** The first window is smaller: the executors begin, and the next one is tokenised meanwhile. */
const FIRST_WINDOW = 128;
/** Distinct tokens after which a window ends all the same. */
const WINDOW_TOKENS = 1_000_000;
/** Questions with pictures after which it ends: their files are held. */
const WINDOW_PICTURED = 16;

/** An engine over executors that are all alike; `reopen` makes another in place of one whose process ended. */
export function openEngine(
  executors: readonly Executor[],
  reopen: () => Promise<Executor>,
  options: EngineOptions,
): Engine {
  const { info } = executors[0]!;
  const stats: EngineStats = {
    tokens_asked: 0,
    tokens_distinct: 0,
    tokens_run: 0,
    tokens_padded: 0,
    runs: 0,
    halved_runs: 0,
    images: 0,
    image_tiles: 0,
  };
  const album = openAlbum((first) => {
    for (const lane of lanes) lane.forget(first);
  });
  const { cacheBytes } = options;
  const lanes = executors.map((executor) => openLane(executor, reopen, { cacheBytes, stats, album }));
  const again = new Map<Lane, Promise<unknown>>();

  return {
    info,
    stats,
    album,
    score(questions, signal) {
      if (info.form === 'naive' || info.form === 'alone') return inTurn(questions, scoreAlone, signal);
      return scoreShared(questions, info.form, signal);
    },
    generate(prompts, signal) {
      if (info.form === 'naive' || info.form === 'alone') return inTurn(prompts, decodeAlone, signal);
      return generateShared(prompts, signal);
    },
    async close() {
      for (const lane of lanes) await lane.close();
    },
  };

  /** Each item by itself on whichever lane is free, answers in the order of the items. */
  async function* inTurn<I extends { done?: boolean }, A>(
    items: AsyncIterable<I>,
    work: (item: I, lane: Lane) => Promise<A>,
    signal: AbortSignal,
  ): AsyncGenerator<A> {
    const underWay: { lane: Lane; answer: Promise<A> }[] = [];
    const settle = async () => {
      const { lane, answer } = underWay.shift()!;
      lane.busy -= 1;
      return answer;
    };
    try {
      for await (const item of items) {
        if (item.done) continue;
        while (underWay.length >= lanes.reduce((sum, lane) => sum + lane.ahead, 0)) yield await settle();
        signal.throwIfAborted();
        const lane = lanes.reduce((least, other) => (other.busy < least.busy ? other : least));
        lane.busy += 1;
        const answer = work(item, lane);
        answer.catch(() => undefined);
        underWay.push({ lane, answer });
        await new Promise(setImmediate);
      }
      while (underWay.length > 0) yield await settle();
    } catch (error) {
      // What is under way is finished and given, whatever ended the stream.
      while (underWay.length > 0) yield await settle();
      throw error;
    } finally {
      await Promise.allSettled(underWay.map(({ answer }) => answer));
      for (const { lane } of underWay) lane.busy -= 1;
    }
  }

  function scoreAlone(question: TokenQuestion, lane: Lane): Promise<Answer> {
    stats.tokens_asked += question.requests.reduce((sum, { input }) => sum + input.length, 0);
    return answerAlone(question, lane);
  }

  async function answerAlone({ place, requests }: TokenQuestion, lane: Lane): Promise<Answer> {
    const scores = await twice(lane, async () => {
      const found: TokenScore[] = [];
      for (const { input, targets } of requests) {
        checkTargets(targets, info.vocab);
        found.push(finite(await lane.scoreAlone(input, targets)));
      }
      return found;
    });
    return { place, scores };
  }

  async function decodeAlone({ place, ids, begin }: TokenPrompt, lane: Lane): Promise<Ended> {
    stats.tokens_asked += ids.length;
    const error = await twice(lane, async () => {
      await lane.decode(null, ids, begin());
      return null;
    });
    return { place, error };
  }

  /** What does not fit, or whose process went, is tried again: one item of a lane at a time, so that none fails for another. */
  async function twice<A>(lane: Lane, work: () => Promise<A>): Promise<A | RowError> {
    const once = () => work().catch((error: unknown) => rowError(error, lane));
    const first = await once();
    if (!(first instanceof RowError) || first.kind !== 'memory') return first;
    const second = (again.get(lane) ?? Promise.resolve()).then(once);
    again.set(
      lane,
      second.catch(() => undefined),
    );
    return second;
  }

  /** Prompts in windows, so that a few-shot header runs once; each answer by itself. */
  async function* generateShared(prompts: AsyncIterable<TokenPrompt>, signal: AbortSignal): AsyncGenerator<Ended> {
    const open = new Map<number, TokenPrompt>();
    const questions = async function* (): AsyncGenerator<TokenQuestion> {
      for await (const prompt of prompts) {
        const { ids, begin: _begin, ...question } = prompt;
        if (!prompt.done) open.set(prompt.place, prompt);
        // The target is not looked at: it makes the plan say where the last token is.
        yield { ...question, requests: [{ input: Int32Array.from(ids), targets: [0] }] };
      }
    };
    const answerWindow = ({ root }: Window) => {
      const work = openWork(promptsUnder(root), lanes);
      const perform = async (task: Task, lane: Lane, ended: Ended[]): Promise<void> => {
        const { place } = task.run!.asks[0]!.request.question;
        try {
          await lane.decode(task.group, task.run!.rows[0]!.ids, open.get(place)!.begin());
          ended.push({ place, error: null });
        } catch (error) {
          const reason = await rowError(error, lane);
          if (reason.kind === 'memory' && !task.retried) return work.again([{ ...task, retried: true }]);
          ended.push({ place, error: reason });
        }
        open.delete(place);
      };
      return perWindow(work, perform, signal);
    };
    yield* inWindows(questions(), 'single', answerWindow, signal);
  }

  async function* scoreShared(
    questions: AsyncIterable<TokenQuestion>,
    form: Form,
    signal: AbortSignal,
  ): AsyncGenerator<Answer> {
    const answerWindow = async function* (window: Window) {
      yield* window.refused;
      yield* scoreWindow(window, signal);
    };
    yield* inWindows(questions, form, answerWindow, signal);
  }

  /** Window by window; the next one is read, tokenised and planned while this one runs. */
  async function* inWindows<A>(
    questions: AsyncIterable<TokenQuestion>,
    form: Form,
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
    const windows = planWindows(wanted(), form);
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

  async function* planWindows(questions: AsyncIterable<TokenQuestion>, form: Form): AsyncGenerator<Window> {
    let tree = prefixTree();
    let refused: Answer[] = [];
    let limit = FIRST_WINDOW;
    let pictured = 0;
    const close = async (): Promise<Window> => {
      stats.tokens_asked += tree.asked;
      stats.tokens_distinct += tree.distinct;
      const steps = planInSteps(tree, { form, batchTokens: options.batchTokens });
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done) {
          const window = { root: step.value, refused };
          tree = prefixTree();
          refused = [];
          pictured = 0;
          limit = WINDOW;
          return window;
        }
        await new Promise(setImmediate);
      }
    };
    let window: number | undefined;
    for await (const question of questions) {
      if (question.window !== window && tree.count + refused.length > 0) yield await close();
      window = question.window;
      try {
        for (const { targets } of question.requests) checkTargets(targets, info.vocab);
        tree.add(question);
      } catch (error) {
        if (!(error instanceof RowError)) throw error;
        if (!question.done) refused.push({ place: question.place, scores: error });
      }
      await new Promise(setImmediate);
      if (window !== undefined) continue;
      if (album.among(question.requests[0]?.input ?? []).length > 0) pictured += 1;
      if (tree.count === limit || tree.distinct >= WINDOW_TOKENS || pictured === WINDOW_PICTURED) yield await close();
    }
    if (tree.count + refused.length > 0) yield await close();
  }

  async function* scoreWindow({ root }: Window, signal: AbortSignal): AsyncGenerator<Answer> {
    const work = openWork(root, lanes);
    const sheets: Sheets = new Map();
    /** Given last: other tasks may still hold something of theirs, pictures too, which are let go with the answer. */
    const refused: Answer[] = [];
    const perform = async (task: Task, lane: Lane, answers: Answer[]): Promise<void> => {
      try {
        for (const part of await lane.run(task.group, task.run)) collect(part, sheets, answers);
      } catch (error) {
        const own = error instanceof RowError;
        if (!own && !isMemory(error)) throw error;
        if (!own) await lane.recover(error);
        const parts = task.run === null ? null : halves(task.run);
        if (parts !== null) {
          if (!own) {
            stats.halved_runs += 1;
            options.log.info(`out of memory: a run of ${task.run!.rows.length} rows is halved (${error.message})`);
          }
          return work.again(parts.map((run) => ({ ...task, run })));
        }
        if (!own && !task.retried) return work.again([{ ...task, retried: true }]);
        const left = takeUnanswered(task, sheets);
        const scores = own ? error : new RowError('memory', `out of memory: ${error.message}`);
        // A picture that cannot be shown takes no other question with it: a row of a tree may hold several.
        const apart = own && left.length > 1;
        for (const one of left) refused.push(apart ? await answerAlone(one, lane) : { place: one.place, scores });
      }
    };
    yield* perWindow(work, perform, signal);
    yield* refused;
  }

  /** Does the tasks of a window on whichever lane is free; gives what they come to as it is known. */
  async function* perWindow<A>(
    work: Work,
    perform: (task: Task, lane: Lane, answers: A[]) => Promise<void>,
    signal: AbortSignal,
  ): AsyncGenerator<A> {
    const answers: A[] = [];
    const underWay = new Set<Promise<void>>();
    let fault: unknown = null;
    const begin = async (task: Task, lane: Lane): Promise<void> => {
      await perform(task, lane, answers);
      for (const group of work.finish(task)) for (const each of lanes) each.release(group);
    };
    try {
      for (;;) {
        for (const lane of lanes) {
          while (lane.busy < lane.ahead && fault === null && !signal.aborted) {
            const task = work.take(lane);
            if (task === null) break;
            lane.busy += 1;
            const running: Promise<void> = begin(task, lane)
              .catch((error: unknown) => {
                fault ??= error;
              })
              .finally(() => {
                lane.busy -= 1;
                underWay.delete(running);
              });
            underWay.add(running);
          }
        }
        if (answers.length > 0) {
          // While this stands at its yield, tasks may come to an end or be put back: all is looked at again.
          yield* answers.splice(0);
          continue;
        }
        if (underWay.size === 0) break;
        await Promise.race(underWay);
      }
      if (fault !== null) throw fault;
    } finally {
      await Promise.allSettled(underWay);
      // A window that ended early leaves no caches that nobody will ask for.
      for (const group of work.groups()) for (const lane of lanes) lane.release(group);
    }
  }
}

interface Window {
  root: Group;
  /** Questions that cannot be asked of this graph. */
  refused: Answer[];
}

function checkTargets(targets: readonly number[], vocab: number | null): void {
  const beyond = vocab === null ? undefined : targets.find((target) => target >= vocab);
  if (beyond !== undefined) throw new RowError('tokens', `token ${beyond} is beyond the ${vocab} logits of the graph.`);
}

/** The process was killed or crashed, or an allocation failed; onnxruntime's words for it differ by allocator. */
function isMemory(error: unknown): error is Error {
  if (error instanceof WorkerGone) return true;
  return error instanceof OutsideError && /alloc|out of memory/i.test(error.message);
}

/** The error of a row, where it is one: its own, or no memory for it even alone. Any other is thrown. */
async function rowError(error: unknown, lane: Lane): Promise<RowError> {
  if (error instanceof RowError) return error;
  if (!isMemory(error)) throw error;
  await lane.recover(error);
  return new RowError('memory', `out of memory: ${error.message}`, { cause: error });
}
