/**
 * Questions in, answers out, as they are known: cuts the stream into windows, plans each and keeps the executors busy.
 *
 * What is computed together follows from the questions alone (`plan.ts`); which executor computes it, when, and what
 * its caches still hold changes no digit. An out-of-memory retreat does: the pass is halved, which the log says.
 */
import type { Log } from '../../types.ts';
import { type Album, openAlbum } from '../vision/album.ts';
import { Alone } from './alone.ts';
import type { Executor, ExecutorInfo, Way } from './executor.ts';
import { inTurn } from './in_turn.ts';
import { type EngineStats, noStats, openLane } from './lane.ts';
import type { TokenQuestion } from './prefix_tree.ts';
import { answerShared, answerSideBySide, type Ended, type TokenPrompt } from './prompts.ts';
import { scoreWindow } from './scoring.ts';
import type { Answer } from './sheets.ts';
import { inWindows } from './windows.ts';

export type { Ended, TokenPrompt } from './prompts.ts';

export interface EngineOptions {
  /** Tokens of a pass, padding included. */
  batchTokens: number;
  /** Bytes of cache that each executor keeps from window to window. */
  cacheBytes: number;
  /** Bytes of keys and values that the answers under way on each executor may take; 1 GB without it. */
  decodeBytes?: number;
  log: Log;
}

export interface Engine {
  info: ExecutorInfo;
  stats: EngineStats;
  /** Where pictures get the ids that stand for them in inputs and prompts. */
  album: Album;
  /**
   * Scores, in the order in which they are known. When `signal` is aborted, what is under way is finished and given,
   * and then the signal's reason is thrown; a question of many requests that are computed one by one is left
   * unanswered. Throws OutsideError when onnxruntime or the machine gives up.
   */
  score(questions: AsyncIterable<TokenQuestion>, signal: AbortSignal): AsyncGenerator<Answer>;
  /** The place of each prompt when its answer has ended; `error` when the row cannot be answered. */
  generate(prompts: AsyncIterable<TokenPrompt>, signal: AbortSignal): AsyncGenerator<Ended>;
  close(): Promise<void>;
}

/** An engine over executors that are all alike; `reopen` makes another in place of one whose process ended. */
export function openEngine(
  executors: readonly Executor[],
  reopen: () => Promise<Executor>,
  { batchTokens, cacheBytes, decodeBytes = 1e9, log }: EngineOptions,
): Engine {
  const { info } = executors[0]!;
  const { form, vocab } = info;
  const unplanned = form === 'naive' || form === 'alone';
  const stats = noStats();
  const album = openAlbum((first) => {
    for (const lane of lanes) lane.forget(first);
  });
  const lanes = executors.map((executor) => openLane(executor, reopen, { cacheBytes, stats, album }));
  const alone = new Alone(stats, vocab);
  const windows = { batchTokens, vocab, album, stats };
  /** How answers are decoded; said once. */
  let said: string | null = null;
  const turnTo = async (way: Way): Promise<string | null> => {
    const remarks = await Promise.all(lanes.map((lane) => lane.turnTo(way)));
    const remark = remarks.find((one) => one !== null) ?? null;
    if (way !== 'scores' && said === null) {
      said = remark === null ? 'answers are decoded side by side' : `answers are decoded one by one: ${remark}`;
      log.info(said);
    }
    return remark;
  };

  return {
    info,
    stats,
    album,
    async *score(questions, signal) {
      await turnTo('scores');
      if (unplanned)
        return yield* inTurn(questions, (question, lane) => alone.score(question, lane, signal), lanes, signal);
      const options = { lanes, stats, alone, log };
      yield* inWindows(questions, { ...windows, form }, (window) => scoreWindow(window, options, signal), signal);
    },
    async *generate(prompts, signal) {
      // Without a cache no prompt goes on from another.
      if (unplanned || form === 'whole')
        return yield* inTurn(prompts, (prompt, lane) => alone.decode(prompt, lane), lanes, signal);
      const many = MANY * lanes.length;
      const { first, all, end } = await lookAhead(prompts, many);
      const remark = await turnTo(first.length < many ? 'few answers' : 'answers').catch(async (error) => {
        await end();
        throw error;
      });
      if (remark === null) yield* answerSideBySide(all, { ...windows, lanes, budget: decodeBytes }, signal);
      else yield* answerShared(all, { ...windows, lanes }, signal);
    },
    async close() {
      for (const lane of lanes) await lane.close();
    },
  };
}

/** Prompts of a lane from which on they are many: a step of so many answers is faster in the form that is made for it. */
const MANY = 8;

/** The first items of a source, `count` at most, and all of them; `end` is for who does not read these. */
async function lookAhead<T>(source: AsyncIterable<T>, count: number) {
  const iterator = source[Symbol.asyncIterator]();
  const first: T[] = [];
  while (first.length < count) {
    const next = await iterator.next();
    if (next.done) break;
    first.push(next.value);
  }
  const all = async function* () {
    try {
      yield* first;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  };
  return { first, all: all(), end: async () => void (await iterator.return?.()) };
}
