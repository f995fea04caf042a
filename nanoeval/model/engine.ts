/**
 * Questions in, answers out, as they are known: cuts the stream into windows, plans each and keeps the executors busy.
 *
 * What is computed together follows from the questions alone (`prefix_tree.ts`); which executor computes it, when, and what
 * its caches still hold changes no digit. An out-of-memory retreat does: the run is halved, which the log says.
 */
import { type Log, OutsideError, RowError } from '../types.ts';
import type { Executor, ExecutorInfo } from './executor.ts';
import { type EngineStats, type Lane, openLane, type Part } from './lane.ts';
import type { TokenScore } from './naive.ts';
import {
  type Asked,
  type Form,
  type Group,
  halves,
  planInSteps,
  prefixTree,
  type Run,
  type TokenQuestion,
} from './prefix_tree.ts';
import { WorkerGone } from './workers.ts';

export interface EngineOptions {
  /** Tokens of a run, padding included. */
  batchTokens: number;
  /** Bytes of cache that each executor keeps from window to window. */
  cacheBytes: number;
  log: Log;
}

/** The answer to a question: a score for each request, or why there is none. */
export interface Answer {
  place: number;
  scores: TokenScore[] | RowError;
}

/** A prompt to go on from, greedily. */
export interface TokenPrompt {
  place: number;
  ids: readonly number[];
  /** Takes the next token; true ends the answer. */
  take(token: number): boolean;
}

export interface Engine {
  info: ExecutorInfo;
  stats: EngineStats;
  /**
   * Scores, in the order in which they are known. When `signal` is aborted, what is under way is finished and given, and
   * then the signal's reason is thrown. Throws OutsideError when onnxruntime or the machine gives up.
   */
  score(questions: AsyncIterable<TokenQuestion>, signal: AbortSignal): AsyncGenerator<Answer>;
  /** The place of each prompt when its answer has ended; `error` when the row cannot be answered. */
  generate(
    prompts: AsyncIterable<TokenPrompt>,
    signal: AbortSignal,
  ): AsyncGenerator<{ place: number; error: RowError | null }>;
  close(): Promise<void>;
}

/** Questions of a window: many, so that a subject and its accidental likenesses are seen whole. Only their ids are held. */
const WINDOW = 1024;
/** Distinct tokens after which a window ends all the same. */
const WINDOW_TOKENS = 1_000_000;
/** Calls that wait at an executor, so that it goes on while an answer travels. */
const AHEAD = 2;

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
  };
  const lanes = executors.map((executor) => openLane(executor, reopen, options.cacheBytes, stats));

  return {
    info,
    stats,
    score(questions, signal) {
      if (info.form === 'naive' || info.form === 'alone') return inTurn(questions, scoreAlone, signal);
      return scoreShared(questions, info.form, signal);
    },
    generate: (prompts, signal) => inTurn(prompts, decode, signal),
    async close() {
      for (const lane of lanes) await lane.close();
    },
  };

  /** Each item by itself on whichever lane is free, answers in the order of the items. */
  async function* inTurn<I, A>(
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
        if (underWay.length === lanes.length * AHEAD) yield await settle();
        signal.throwIfAborted();
        const lane = lanes.reduce((least, other) => (other.busy < least.busy ? other : least));
        lane.busy += 1;
        const answer = work(item, lane);
        answer.catch(() => undefined);
        underWay.push({ lane, answer });
        await new Promise(setImmediate);
      }
    } catch (error) {
      // What is under way is finished and given, whatever ended the stream.
      while (underWay.length > 0) yield await settle();
      throw error;
    } finally {
      await Promise.allSettled(underWay.map(({ answer }) => answer));
      for (const { lane } of underWay) lane.busy -= 1;
    }
    while (underWay.length > 0) yield await settle();
  }

  async function scoreAlone({ place, requests }: TokenQuestion, lane: Lane): Promise<Answer> {
    try {
      const scores: TokenScore[] = [];
      for (const { input, targets } of requests) {
        checkTargets(targets, info.vocab);
        stats.tokens_asked += input.length;
        scores.push(finite(await lane.scoreAlone(input, targets)));
      }
      return { place, scores };
    } catch (error) {
      return { place, scores: await rowError(error, lane) };
    }
  }

  async function decode(
    { place, ids, take }: TokenPrompt,
    lane: Lane,
  ): Promise<{ place: number; error: RowError | null }> {
    try {
      await lane.decode(ids, take);
      return { place, error: null };
    } catch (error) {
      return { place, error: await rowError(error, lane) };
    }
  }

  async function* scoreShared(
    questions: AsyncIterable<TokenQuestion>,
    form: Form,
    signal: AbortSignal,
  ): AsyncGenerator<Answer> {
    const windows = planWindows(questions, form);
    let next = windows.next();
    for (;;) {
      const { value: window, done } = await next;
      if (done) return;
      // The next window is read, tokenised and planned while this one runs.
      next = windows.next();
      next.catch(() => undefined);
      yield* window.refused;
      yield* runWindow(window, signal);
      signal.throwIfAborted();
    }
  }

  async function* planWindows(questions: AsyncIterable<TokenQuestion>, form: Form): AsyncGenerator<Window> {
    let tree = prefixTree();
    let refused: Answer[] = [];
    const close = async (): Promise<Window> => {
      stats.tokens_asked += tree.asked;
      stats.tokens_distinct += tree.distinct;
      const steps = planInSteps(tree, { form, batchTokens: options.batchTokens });
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done) {
          const window = { root: step.value, refused };
          tree = prefixTree();
          refused = [];
          return window;
        }
        await new Promise(setImmediate);
      }
    };
    for await (const question of questions) {
      try {
        for (const { targets } of question.requests) checkTargets(targets, info.vocab);
        tree.add(question);
      } catch (error) {
        if (!(error instanceof RowError)) throw error;
        refused.push({ place: question.place, scores: error });
      }
      if (tree.count === WINDOW || tree.distinct >= WINDOW_TOKENS) yield await close();
      await new Promise(setImmediate);
    }
    if (tree.count + refused.length > 0) yield await close();
  }

  async function* runWindow({ root }: Window, signal: AbortSignal): AsyncGenerator<Answer> {
    const work = openWork(root);
    const answers: Answer[] = [];
    const underWay = new Set<Promise<void>>();
    let fault: unknown = null;

    const perform = async (task: Task, lane: Lane): Promise<void> => {
      try {
        for (const part of await lane.run(task.group, task.run)) collect(part, answers);
      } catch (error) {
        if (!isMemory(error)) throw error;
        await lane.recover(error);
        const parts = task.run === null ? null : halves(task.run);
        if (parts !== null) {
          stats.halved_runs += 1;
          options.log.info(`out of memory: a run of ${task.run!.rows.length} rows is halved (${error.message})`);
          work.again(parts.map((run) => ({ ...task, run })));
        } else if (!task.retried) work.again([{ ...task, retried: true }]);
        else giveUp(task, error, answers);
      }
      for (const group of work.finish(task)) for (const each of lanes) each.release(group);
    };

    try {
      for (;;) {
        for (const lane of lanes) {
          while (lane.busy < AHEAD && fault === null && !signal.aborted) {
            const task = work.take(lane);
            if (task === null) break;
            lane.busy += 1;
            const running: Promise<void> = perform(task, lane)
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
        yield* answers.splice(0);
        if (underWay.size === 0) break;
        await Promise.race(underWay);
      }
      if (fault !== null) throw fault;
    } finally {
      await Promise.allSettled(underWay);
    }
  }
}

interface Window {
  root: Group;
  /** Questions that cannot be asked of this graph. */
  refused: Answer[];
}

/** A run of a group, or what leads to it when that is all (a question that ends there). */
interface Task {
  group: Group;
  run: Run | null;
  retried: boolean;
}

/** The runs of a window in the order of the tree, and who takes which. */
function openWork(root: Group) {
  const order: { group: Group; tasks: Task[]; taken: Set<Lane> }[] = [];
  /** Tasks at or below each group that are not finished. */
  const left = new Map<Group, number>();
  const visit = (group: Group): number => {
    const tasks: Task[] = group.runs.map((run) => ({ group, run, retried: false }));
    if (tasks.length === 0 && group.chunks.some((chunk) => chunk.asks.length > 0))
      tasks.push({ group, run: null, retried: false });
    if (tasks.length > 0) order.push({ group, tasks, taken: new Set() });
    const count = group.children.reduce((sum, child) => sum + visit(child), tasks.length);
    left.set(group, count);
    return count;
  };
  visit(root);
  return {
    /**
     * The next task of a lane: of a group whose cache it has, else of one that nobody has begun, else it helps where most is
     * left, for the price of computing that group's prefix once more.
     */
    take(lane: Lane): Task | null {
      const open = order.filter(({ tasks }) => tasks.length > 0);
      const own =
        open.find(({ group }) => lane.holds(group)) ??
        open.find(({ taken }) => taken.size === 0) ??
        open.reduce<(typeof open)[number] | null>(
          (most, one) => (one.tasks.length > (most?.tasks.length ?? 2) ? one : most),
          null,
        );
      own?.taken.add(lane);
      return own?.tasks.shift() ?? null;
    },
    again(tasks: Task[]): void {
      const entry = order.find(({ group }) => group === tasks[0]!.group)!;
      entry.tasks.unshift(...tasks);
      for (let at: Group | null = entry.group; at !== null; at = at.parent) left.set(at, left.get(at)! + tasks.length);
    },
    /** Groups under which nothing is left after this task. */
    finish({ group }: Task): Group[] {
      const finished: Group[] = [];
      for (let at: Group | null = group; at !== null; at = at.parent) {
        left.set(at, left.get(at)! - 1);
        if (left.get(at) === 0) finished.push(at);
      }
      return finished;
    },
  };
}

/** Log-probabilities of a question's targets, as they come in. */
interface Sheet {
  missing: number;
  logprobs: Float64Array[];
  greedy: boolean[][];
}
const sheets = new WeakMap<TokenQuestion, Sheet>();

function sheetOf({ question }: Asked): Sheet {
  const known = sheets.get(question);
  if (known !== undefined) return known;
  const sheet: Sheet = {
    missing: question.requests.reduce((sum, { targets }) => sum + targets.length, 0),
    logprobs: question.requests.map(({ targets }) => new Float64Array(targets.length)),
    greedy: question.requests.map(() => []),
  };
  sheets.set(question, sheet);
  return sheet;
}

/** Enters what a run gave; a question whose last number came is answered. Sums run in the order of the tokens. */
function collect({ run, logprobs, greedy }: Part, answers: Answer[]): void {
  for (const [i, { request, target }] of run.asks.entries()) {
    const sheet = sheetOf(request);
    // Two executors may both have computed a prefix: the same number twice.
    if (sheet.missing <= 0 || sheet.greedy[request.place]![target] !== undefined) continue;
    sheet.logprobs[request.place]![target] = logprobs[i]!;
    sheet.greedy[request.place]![target] = greedy[i]!;
    sheet.missing -= 1;
    if (sheet.missing > 0) continue;
    const { place } = request.question;
    try {
      const scores = sheet.logprobs.map((values, r) =>
        finite({ logprob: values.reduce((sum, value) => sum + value, 0), isGreedy: sheet.greedy[r]!.every(Boolean) }),
      );
      answers.push({ place, scores });
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      answers.push({ place, scores: error });
    }
  }
}

/** A task that even alone does not fit: its questions fail, each once. */
function giveUp(task: Task, error: Error, answers: Answer[]): void {
  const runs = [...task.group.chunks, ...(task.run === null ? [] : [task.run])];
  for (const { request } of runs.flatMap((run) => run.asks)) {
    const sheet = sheetOf(request);
    if (sheet.missing <= 0) continue;
    sheet.missing = 0;
    answers.push({ place: request.question.place, scores: new RowError('memory', `out of memory: ${error.message}`) });
  }
}

function checkTargets(targets: readonly number[], vocab: number | null): void {
  const beyond = vocab === null ? undefined : targets.find((target) => target >= vocab);
  if (beyond !== undefined) throw new RowError('tokens', `token ${beyond} is beyond the ${vocab} logits of the graph.`);
}

function finite(score: TokenScore): TokenScore {
  if (Number.isFinite(score.logprob)) return score;
  throw new RowError('nan', `a log-likelihood is ${score.logprob}: the model's logits are broken here.`);
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
