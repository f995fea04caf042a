/** One executor with its books: which caches it holds, what they take, and what to do when it falls over. */
import { OutsideError, RowError, type Sampling } from '../../types.ts';
import type { Album } from '../vision/album.ts';
import { drawAt } from './decode.ts';
import type { Executor, Next } from './executor.ts';
import type { TokenScore } from './naive.ts';
import type { Group, Run, RunAnswer } from './prefix_tree.ts';
import { WorkerGone } from './workers.ts';

/** Counted since the engine was opened. */
export interface EngineStats {
  /** Tokens of all inputs, as if each ran alone. */
  tokens_asked: number;
  /** Distinct prefixes, window by window. */
  tokens_distinct: number;
  /** Tokens that were run; with padding. */
  tokens_run: number;
  tokens_padded: number;
  /** Forward passes. */
  runs: number;
  /** Runs that were halved because the memory did not do. */
  halved_runs: number;
  /** Pictures whose features were computed, and their tiles. */
  images: number;
  image_tiles: number;
}

/** What a run came to: for each of its pairs. */
export interface Part {
  run: Run;
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
  /** Runs what leads to the group, where it is not there yet, and then the run. */
  run(group: Group, run: Run | null): Promise<Part[]>;
  /** Nothing under the group is left to do. */
  release(group: Group): void;
  /** After an error: a new process in place of one that ended, and no cache but what is in use. */
  recover(error: unknown): Promise<void>;
  /** One input by itself, by the plain pass or by a run that shares nothing. */
  scoreAlone(input: Int32Array, targets: readonly number[]): Promise<TokenScore>;
  /** Greedy tokens after `ids`, which go on from a group (null: from the start), until `take` says that it is enough. */
  decode(group: Group | null, ids: readonly number[], { take, watched }: Taker): Promise<void>;
  /** The picture that begins with this id is no more. */
  forget(first: number): void;
  close(): Promise<void>;
}

/** Takes an answer token by token. */
export interface Taker {
  /** The next token; with the first one the log-probabilities of `watched` at its place. True ends the answer. */
  take(token: number, logprobs: readonly number[]): boolean;
  watched: readonly number[];
  /** How tokens are drawn; greedy without it. */
  sampling?: Sampling;
}

/** One that waits, behind the one that is computed. */
const AHEAD = 2;

/** Times that a process may be started anew before the machine is believed to be too small. */
const REVIVALS = 20;

export interface LaneOptions {
  /** Bounds the caches that nothing under way needs. */
  cacheBytes: number;
  stats: EngineStats;
  album: Album;
}

/** Books for an executor. */
export function openLane(
  first: Executor,
  reopen: () => Promise<Executor>,
  { cacheBytes, stats, album }: LaneOptions,
): Lane {
  let executor = first;
  let ids = 0;
  let revivals = 0;
  let reviving: Promise<void> | null = null;
  /** `made` is settled when the cache is there, or will never be. */
  const resident = new Map<Group, { id: number; made: Promise<unknown> }>();
  /** Least recently used first. */
  const kept = new Map<string, { id: number; bytes: number }>();
  let keptBytes = 0;
  /** First ids of the pictures that the executor was shown; settled when it has seen them. */
  const shown = new Map<number, Promise<unknown>>();

  /** Shows the executor the pictures among the ids, before what needs them: it takes its calls in order. */
  const show = (ids: readonly number[]): Promise<unknown> => {
    const pictures = album.among(ids).map((picture) => {
      const known = shown.get(picture.first);
      if (known !== undefined) return known;
      const seen = executor.see(picture).then(({ tiles }) => {
        stats.images += 1;
        stats.image_tiles += tiles;
      });
      // What a picture lacks it will lack again; what the machine lacked may be there another time.
      seen.catch((error: unknown) => {
        if (!(error instanceof RowError) && shown.get(picture.first) === seen) shown.delete(picture.first);
      });
      shown.set(picture.first, seen);
      return seen;
    });
    const all = Promise.all(pictures);
    all.catch(() => undefined);
    return all;
  };

  const fresh = () => {
    ids += 1;
    return ids;
  };
  const free = (caches: readonly number[]) => {
    // A process that has gone holds nothing any more; the run that meets it says so.
    if (caches.length > 0) executor.free(caches).catch(() => undefined);
  };
  const drop = (bytes: number) => {
    for (const [key, entry] of kept) {
      if (keptBytes <= bytes) return;
      kept.delete(key);
      keptBytes -= entry.bytes;
      free([entry.id]);
    }
  };

  const send = async (run: Run, past: number | null, keep: number | null): Promise<Part> => {
    const { rows, select, pairs } = run;
    const widest = keep === null ? Math.max(...run.group.runs.map((one) => one.rows.length)) : 1;
    const seen = show(rows.flatMap((row) => row.ids));
    const asked = executor.run({ past, rows, select, pairs, keep, widest });
    asked.catch(() => undefined);
    // A picture that cannot be shown is the cause; that the run misses it only follows.
    await seen;
    const answer: RunAnswer = await asked;
    const lengths = rows.map((row) => row.ids.length);
    stats.runs += 1;
    stats.tokens_run += lengths.reduce((sum, length) => sum + length, 0);
    stats.tokens_padded += Math.max(...lengths) * rows.length;
    const greedy = answer.logprobs.map((_, i) => answer.best[pairs[2 * i]!] === pairs[2 * i + 1]);
    return { run, logprobs: answer.logprobs, greedy };
  };

  /** The cache at the end of a group; runs are sent without waiting, for the executor takes them in order. */
  const lead = (group: Group): { id: number | null; made: Promise<unknown>; parts: Promise<Part>[] } => {
    const made = Promise.resolve();
    if (group.parent === null) return { id: null, made, parts: [] };
    const here = resident.get(group);
    if (here !== undefined) return { ...here, parts: [] };
    const known = group.key === null ? undefined : kept.get(group.key);
    if (known !== undefined && group.chunks.every((chunk) => chunk.asks.length === 0)) {
      kept.delete(group.key!);
      keptBytes -= known.bytes;
      const entry = { id: known.id, made };
      resident.set(group, entry);
      return { ...entry, parts: [] };
    }
    const above = lead(group.parent);
    const parts = [...above.parts];
    let past = above.id;
    for (const [i, chunk] of group.chunks.entries()) {
      const id = fresh();
      parts.push(send(chunk, past, id));
      if (i > 0) free([past!]);
      past = id;
    }
    const entry = { id: past!, made: Promise.all([above.made, ...parts]) };
    entry.made.catch(() => undefined);
    resident.set(group, entry);
    return { ...entry, parts };
  };

  const forget = () => {
    resident.clear();
    kept.clear();
    keptBytes = 0;
    shown.clear();
  };

  /** What leads to a group may be incomplete after an error: it is made again when it is wanted again. */
  const lose = (group: Group) => {
    for (let at: Group | null = group; at !== null; at = at.parent) {
      const entry = resident.get(at);
      if (entry !== undefined) free([entry.id]);
      resident.delete(at);
    }
  };

  const revive = async () => {
    revivals += 1;
    if (revivals > REVIVALS)
      throw new OutsideError(`a worker process ended ${revivals} times; the last: out of memory?`);
    forget();
    executor = await reopen();
  };

  const lane: Lane = {
    busy: 0,
    ahead: AHEAD,
    holds: (group) => group.parent === null || resident.has(group),
    async run(group, run) {
      const { id, made, parts } = lead(group);
      const all = run === null ? parts : [...parts, send(run, id, null)];
      // The first failure is the cause, be it another call's; those after it only miss its cache.
      for (const part of all) part.catch(() => undefined);
      try {
        await made;
        const done: Part[] = [];
        for (const part of all) done.push(await part);
        return done;
      } catch (error) {
        lose(group);
        throw error;
      }
    },
    release(group) {
      const entry = resident.get(group);
      if (entry === undefined) return;
      const { id } = entry;
      resident.delete(group);
      const bytes = group.depth * executor.info.bytesPerToken;
      if (group.key === null || bytes > cacheBytes || kept.has(group.key)) return free([id]);
      kept.set(group.key, { id, bytes });
      keptBytes += bytes;
      drop(cacheBytes);
    },
    async recover(error) {
      if (!(error instanceof WorkerGone)) return drop(0);
      // From now on one call at a time: what kills the process takes no other with it.
      lane.ahead = 1;
      reviving ??= revive().finally(() => {
        reviving = null;
      });
      await reviving;
    },
    async scoreAlone(input, targets) {
      stats.runs += 1;
      stats.tokens_run += input.length;
      stats.tokens_padded += input.length;
      await show([...input]);
      if (executor.info.form === 'naive') return executor.score(input, targets);
      const row = { ids: [...input], parents: Array.from(input, (_, i) => i - 1) };
      const first = input.length - targets.length;
      const select = targets.flatMap((_, i) => [0, first + i]);
      const pairs = targets.flatMap((target, i) => [i, target]);
      const { logprobs, best } = await executor.run({ past: null, rows: [row], select, pairs, keep: null });
      const logprob = logprobs.reduce((sum, value) => sum + value, 0);
      return { logprob, isGreedy: targets.every((target, i) => best[i] === target) };
    },
    async decode(group, prompt, { take, watched, sampling }) {
      const { hasCache } = executor.info;
      const { id, made } = group === null ? { id: null, made: null } : lead(group);
      let past = id;
      let input = [...prompt];
      try {
        await made;
        await show(prompt);
        for (let step = 0; ; step += 1) {
          const keep = hasCache ? fresh() : null;
          const { token, logprobs }: Next = await executor.next(input, past, keep, {
            watched: step === 0 ? watched : [],
            ...(sampling === undefined ? {} : { draw: drawAt(sampling, step) }),
          });
          if (past !== null && past !== id) free([past]);
          past = keep;
          stats.runs += 1;
          stats.tokens_run += input.length;
          stats.tokens_padded += input.length;
          if (take(token, logprobs)) return;
          input = hasCache ? [token] : [...input, token];
        }
      } catch (error) {
        if (group !== null) lose(group);
        throw error;
      } finally {
        if (past !== null && past !== id) free([past]);
      }
    },
    forget(first) {
      if (!shown.delete(first)) return;
      executor.unsee([first]).catch(() => undefined);
    },
    close: () => executor.close(),
  };
  return lane;
}
