/** One executor with its books: passes, plain scores and answers in their turn, and what to do when it falls over. */
import { OutsideError } from '../../types.ts';
import type { Album } from '../vision/album.ts';
import { CacheBook, type Held } from './caches.ts';
import { drawAt, type Taker } from './decode.ts';
import type { Executor, Next, Room, Way } from './executor.ts';
import type { TokenScore } from './naive.ts';
import { PictureBook } from './pictures.ts';
import { chain, type Group, type Pass, type PassAnswer } from './prefix_tree.ts';
import { WorkerGone } from './workers.ts';

/** Counted since the engine was opened. */
export interface EngineStats {
  /** Tokens of all inputs, as if each was computed alone. */
  tokens_asked: number;
  /** Distinct prefixes, window by window. */
  tokens_distinct: number;
  /** Tokens that were computed; with padding. */
  tokens_run: number;
  tokens_padded: number;
  /** Forward passes. */
  passes: number;
  /** Passes that were halved because the memory did not do. */
  halved_passes: number;
  /** Pictures whose features were computed, and their tiles. */
  images: number;
  image_tiles: number;
}

/** All zeros. */
export function noStats(): EngineStats {
  return {
    tokens_asked: 0,
    tokens_distinct: 0,
    tokens_run: 0,
    tokens_padded: 0,
    passes: 0,
    halved_passes: 0,
    images: 0,
    image_tiles: 0,
  };
}

/** What a pass came to: for each of its pairs. */
export interface Part {
  pass: Pass;
  logprobs: number[];
  greedy: boolean[];
}

export interface Lane {
  /** Calls under way. */
  busy: number;
  /** Calls that may wait here, so that the executor goes on while an answer travels. */
  ahead: number;
  /** The cache of a group is here. */
  holds(group: Group): boolean;
  /** Computes what leads to the group, where it is not there yet, and then the pass. */
  pass(group: Group, pass: Pass | null): Promise<Part[]>;
  /** Nothing under the group is left to do. */
  release(group: Group): void;
  /** After an error: a new process in place of one that ended, and no cache but what is in use. */
  recover(error: unknown): Promise<void>;
  /**
   * One input by itself: a score for each list of targets, which follow its last tokens. All of them by one pass, or by the
   * plain path, which takes a pass for each.
   */
  scoreAlone(input: Int32Array, lists: readonly (readonly number[])[]): Promise<TokenScore[]>;
  /** Tokens after `ids`, which go on from a group (null: from the start), until `take` says that it is enough. */
  decode(group: Group | null, ids: readonly number[], taker: Taker): Promise<void>;
  /** Bytes that a token of an answer takes; 0 before answers run side by side here. */
  bytesPerToken: number;
  /** Makes the executor ready for scores or for answers side by side; why it cannot be, or null. */
  turnTo(way: Way): Promise<string | null>;
  /**
   * Computes a part of a prompt and keeps its cache: the number to go on from, in place of that of the part before it. After
   * `turnTo('answers')`.
   */
  prefill(part: Before, ids: readonly number[]): Promise<number>;
  /** Lets go of a part that nothing goes on from. */
  drop(cache: number): void;
  /** Begins an answer after `ids`, which go on from `part`, in the slot behind the last one. */
  begin(part: Before, ids: readonly number[], taker: Taker, room: Room): Promise<Next>;
  /** Takes the answers of all slots a token further; null where the logits are not numbers. */
  step(answers: readonly { token: number; taker: Taker; count: number }[]): Promise<(Next | null)[]>;
  /** Ends the answers of these slots, one after the other: the last one moves to each. */
  leave(slots: readonly number[]): Promise<void>;
  /** Ends all answers under way. */
  clear(): Promise<void>;
  /** The picture that begins with this id is no more. */
  forget(first: number): void;
  close(): Promise<void>;
}

/** What stands before tokens of a prompt: a group, and a part of the prompt itself (`Lane.prefill`). */
export interface Before {
  group: Group;
  cache: number | null;
}

export interface LaneOptions {
  /** Bounds the caches that nothing under way needs. */
  cacheBytes: number;
  stats: EngineStats;
  album: Album;
}

/** Opens the books of an executor; `reopen` makes another in its place when its process ended. */
export function openLane(first: Executor, reopen: () => Promise<Executor>, options: LaneOptions): Lane {
  return new ExecutorLane(first, reopen, options);
}

/** One that waits, behind the one that is computed. */
const AHEAD = 2;

/** For what is no answer. */
const NO_ROOM: Room = { tokens: 0, slots: 0 };

/** Times that a process may be started anew before the machine is believed to be too small. */
const REVIVALS = 20;

/** What is wanted of an answer's token `step`. */
function orderOf({ sampling, margins }: Partial<Pick<Taker, 'sampling' | 'margins'>>, step: number) {
  return {
    ...(sampling === undefined ? {} : { draw: drawAt(sampling, step) }),
    ...(margins ? { margin: true } : {}),
  };
}

class ExecutorLane implements Lane {
  busy = 0;
  ahead = AHEAD;
  bytesPerToken = 0;
  /** What the executor is ready for, why it cannot run answers side by side, and the slots of those that it runs. */
  #way: Way = 'scores';
  #remark: string | null = null;
  #slots = 0;
  #executor: Executor;
  readonly #reopen: () => Promise<Executor>;
  readonly #stats: EngineStats;
  readonly #caches: CacheBook;
  readonly #pictures: PictureBook;
  #revivals = 0;
  #reviving: Promise<void> | null = null;

  constructor(first: Executor, reopen: () => Promise<Executor>, { cacheBytes, stats, album }: LaneOptions) {
    this.#executor = first;
    this.#reopen = reopen;
    this.#stats = stats;
    this.#caches = new CacheBook(() => this.#executor, cacheBytes);
    this.#pictures = new PictureBook(() => this.#executor, album, stats);
  }

  holds(group: Group): boolean {
    return this.#caches.holds(group);
  }

  async pass(group: Group, pass: Pass | null): Promise<Part[]> {
    const { id, made, parts } = this.#lead(group);
    const all = pass === null ? parts : [...parts, this.#send(pass, id, null)];
    // The first failure is the cause, be it another call's; those after it only miss its cache.
    for (const part of all) part.catch(() => undefined);
    try {
      await made;
      const done: Part[] = [];
      for (const part of all) done.push(await part);
      return done;
    } catch (error) {
      this.#caches.lose(group);
      throw error;
    }
  }

  release(group: Group): void {
    this.#caches.release(group);
  }

  async recover(error: unknown): Promise<void> {
    if (!(error instanceof WorkerGone)) return this.#caches.makeRoom();
    // From now on one call at a time: what kills the process takes no other with it.
    this.ahead = 1;
    this.#reviving ??= this.#revive(error).finally(() => {
      this.#reviving = null;
    });
    await this.#reviving;
  }

  async scoreAlone(input: Int32Array, lists: readonly (readonly number[])[]): Promise<TokenScore[]> {
    await this.#pictures.show([...input]);
    if (this.#executor.info.form === 'naive') {
      const scores: TokenScore[] = [];
      for (const targets of lists) {
        this.#count(input.length);
        scores.push(await this.#executor.score(input, targets));
      }
      return scores;
    }
    this.#count(input.length);
    const most = Math.max(...lists.map((targets) => targets.length));
    const select = Array.from({ length: most }, (_, i) => [0, input.length - most + i]).flat();
    const pairs = lists.flatMap((targets) => targets.flatMap((target, i) => [most - targets.length + i, target]));
    const order = { past: null, sequences: [chain(input)], select, pairs, keep: null };
    const { logprobs, best } = await this.#executor.pass(order);
    let from = 0;
    return lists.map((targets) => {
      const own = logprobs.slice(from, from + targets.length);
      from += targets.length;
      const numGreedy = targets.filter((target, i) => best[most - targets.length + i] === target).length;
      return { logprob: own.reduce((sum, value) => sum + value, 0), numGreedy };
    });
  }

  async decode(
    group: Group | null,
    prompt: readonly number[],
    { take, watched, sampling, margins }: Taker,
  ): Promise<void> {
    const { hasCache } = this.#executor.info;
    const { id, made } = group === null ? { id: null, made: null } : this.#lead(group);
    let past = id;
    let input = [...prompt];
    try {
      await made;
      await this.#pictures.show(prompt);
      for (let step = 0; ; step += 1) {
        const keep = hasCache ? this.#caches.fresh() : null;
        const { token, logprobs, margin }: Next = await this.#executor.next(input, past, keep, {
          watched: step === 0 ? watched : [],
          ...orderOf({ sampling, margins }, step),
        });
        if (past !== null && past !== id) this.#caches.free([past]);
        past = keep;
        this.#count(input.length);
        if (take(token, logprobs, margin)) return;
        input = hasCache ? [token] : [...input, token];
      }
    } catch (error) {
      if (group !== null) this.#caches.lose(group);
      throw error;
    } finally {
      if (past !== null && past !== id) this.#caches.free([past]);
    }
  }

  async turnTo(way: Way): Promise<string | null> {
    if (this.#way === way || (this.#way === 'answers' && way === 'few answers')) return this.#remark;
    // A session in place of one of another form leaves 0.3 GB of holes in the process of a 135M model: a new one has none.
    if (this.#way === 'few answers' && way === 'answers') {
      await this.#executor.close();
      await this.#open();
    }
    const turned = await this.#executor.turnTo(way);
    // The caches were the other session's.
    this.#caches.forget();
    this.#way = way;
    this.#slots = 0;
    this.#remark = 'remark' in turned && way !== 'scores' ? turned.remark : null;
    this.bytesPerToken = 'bytesPerToken' in turned ? turned.bytesPerToken : 0;
    return this.#remark;
  }

  async prefill({ group, cache }: Before, ids: readonly number[]): Promise<number> {
    const keep = this.#caches.fresh();
    await this.#after(group, cache, ids, (past) =>
      this.#executor.begin({ past, ids, keep, room: NO_ROOM, watched: [] }),
    );
    return keep;
  }

  drop(cache: number): void {
    this.#caches.free([cache]);
  }

  async begin({ group, cache }: Before, ids: readonly number[], taker: Taker, room: Room): Promise<Next> {
    const { watched } = taker;
    const next = await this.#after(group, cache, ids, (past) =>
      this.#executor.begin({ past, ids, keep: null, room, watched, ...orderOf(taker, 0) }),
    );
    this.#slots += 1;
    return next;
  }

  /** Computes a part of a prompt after another one, which is let go, or after a group. */
  async #after<T>(
    group: Group,
    cache: number | null,
    ids: readonly number[],
    compute: (past: number | null) => Promise<T>,
  ): Promise<T> {
    const lead = cache === null ? this.#lead(group) : null;
    try {
      await lead?.made;
      await this.#pictures.show(ids);
      const found = await compute(lead === null ? cache : lead.id);
      this.#count(ids.length);
      return found;
    } catch (error) {
      if (lead !== null) this.#caches.lose(group);
      throw error;
    } finally {
      if (cache !== null) this.drop(cache);
    }
  }

  async step(answers: readonly { token: number; taker: Taker; count: number }[]): Promise<(Next | null)[]> {
    const rows = answers.map(({ token, taker, count }) => ({ token, ...orderOf(taker, count) }));
    const next = await this.#executor.step(rows);
    this.#count(rows.length);
    return next;
  }

  async leave(slots: readonly number[]): Promise<void> {
    this.#slots -= slots.length;
    await this.#executor.leave(slots);
  }

  async clear(): Promise<void> {
    const slots = Array.from({ length: this.#slots }, (_, i) => this.#slots - 1 - i);
    if (slots.length > 0) await this.leave(slots);
  }

  forget(first: number): void {
    this.#pictures.drop(first);
  }

  close(): Promise<void> {
    return this.#executor.close();
  }

  /** The cache at the end of a group; passes are sent without waiting, for the executor takes them in order. */
  #lead(group: Group): Held & { parts: Promise<Part>[] } {
    const here = this.#caches.find(group);
    if (here !== null) return { ...here, parts: [] };
    const above = this.#lead(group.parent!);
    const parts = [...above.parts];
    let past = above.id;
    for (const [i, chunk] of group.chunks.entries()) {
      const id = this.#caches.fresh();
      parts.push(this.#send(chunk, past, id));
      if (i > 0) this.#caches.free([past!]);
      past = id;
    }
    const entry = { id: past!, made: Promise.all([above.made, ...parts]) };
    entry.made.catch(() => undefined);
    this.#caches.enter(group, entry);
    return { ...entry, parts };
  }

  /** Has the executor compute a pass after the cache `past`; the new cache is kept as `keep`. */
  async #send(pass: Pass, past: number | null, keep: number | null): Promise<Part> {
    const { sequences, select, pairs } = pass;
    const widest = keep === null ? Math.max(...pass.group.passes.map((one) => one.sequences.length)) : 1;
    const seen = this.#pictures.show(sequences.flatMap(({ ids }) => ids));
    const asked = this.#executor.pass({ past, sequences, select, pairs, keep, widest });
    asked.catch(() => undefined);
    // A picture that cannot be shown is the cause; that the pass misses it only follows.
    await seen;
    const answer: PassAnswer = await asked;
    const lengths = sequences.map(({ ids }) => ids.length);
    this.#count(
      lengths.reduce((sum, length) => sum + length, 0),
      Math.max(...lengths) * sequences.length,
    );
    const greedy = answer.logprobs.map((_, i) => answer.best[pairs[2 * i]!] === pairs[2 * i + 1]);
    return { pass, logprobs: answer.logprobs, greedy };
  }

  #count(tokens: number, padded = tokens): void {
    this.#stats.passes += 1;
    this.#stats.tokens_run += tokens;
    this.#stats.tokens_padded += padded;
  }

  async #revive(error: WorkerGone): Promise<void> {
    this.#revivals += 1;
    if (this.#revivals > REVIVALS)
      throw new OutsideError(
        `a worker process ended ${this.#revivals} times, for want of memory or by a graph; the last: ${error.message}`,
      );
    const way = this.#way;
    await this.#open();
    if (way !== 'scores') await this.turnTo(way);
  }

  /** A new process: nothing that the last one held is there. */
  async #open(): Promise<void> {
    this.#caches.forget();
    this.#pictures.forget();
    this.#executor = await this.#reopen();
    this.#way = 'scores';
    this.#slots = 0;
  }
}
