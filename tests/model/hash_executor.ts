/**
 * An executor without a graph: the log-probability of a token is a hash of the tokens above it and of the token. It
 * keeps caches as the real one does, takes calls in their order, and falls over when it is told to.
 */
import assert from 'node:assert/strict';
import type { Executor, ExecutorInfo, Way } from '../../nanoeval/model/engine/executor.ts';
import type { TokenScore } from '../../nanoeval/model/engine/naive.ts';
import { chain, type PassOrder, type TokenRequest } from '../../nanoeval/model/engine/prefix_tree.ts';
import { WorkerGone } from '../../nanoeval/model/engine/workers.ts';
import { FIRST_IMAGE_ID, type Shown } from '../../nanoeval/model/vision/album.ts';
import { OutsideError, RowError } from '../../nanoeval/types.ts';

export const BYTES_PER_TOKEN = 10;
export const VOCAB = 64;
/** Behind this token every log-probability is NaN. */
export const NAN_TOKEN = 63;

const START = 0x811c9dc5;
const step = (hash: number, id: number) => Math.imul(hash ^ (id + 1), 0x01000193) ^ (hash >>> 15);

const logprobOf = (hash: number, target: number) => -(step(hash, target + 1000) >>> 0) / 2 ** 30;
const bestOf = (hash: number) => ((hash >>> 4) % 3 === 0 ? 5 : (hash >>> 3) % VOCAB);

/** The score of a request, computed from its tokens alone. */
export function directScore({ input, targets }: TokenRequest): TokenScore {
  let hash = START;
  let numGreedy = 0;
  const logprobs: number[] = [];
  const first = input.length - targets.length;
  for (const [i, id] of input.entries()) {
    hash = step(hash, id);
    if (i < first) continue;
    logprobs.push(id === NAN_TOKEN ? Number.NaN : logprobOf(hash, targets[i - first]!));
    if (bestOf(hash) === targets[i - first]) numGreedy += 1;
  }
  return { logprob: logprobs.reduce((sum, value) => sum + value, 0), numGreedy };
}

/** The greedy answer to a prompt. */
export function directAnswer(ids: readonly number[], count: number): number[] {
  const answer: number[] = [];
  for (let i = 0; i < count; i += 1) answer.push(bestOf([...ids, ...answer].reduce(step, START)));
  return answer;
}

export interface HashExecutor extends Executor {
  /** First ids of the pictures whose features it holds. */
  pictures: Map<number, Shown>;
  /** Cache id -> its tokens. */
  caches: Map<number, { hash: number; length: number }>;
  /** The most bytes of caches at any time. */
  peak: number;
  /** The most answers side by side at any time. */
  most: number;
  /** Calls that are not answered yet. */
  underWay: number;
  closed: boolean;
  /** What it was made ready for, in order. */
  ways: Way[];
}

export interface Faults {
  form?: ExecutorInfo['form'];
  /** Called before each pass; what it throws is the pass's answer. A WorkerGone ends the executor. */
  before?(order: PassOrder): void;
  /** Called before a picture is looked at. */
  look?(picture: Shown): void;
  /** It runs answers side by side. */
  sideBySide?: boolean;
}

export function hashExecutor({ form = 'tree', before, look, sideBySide = false }: Faults = {}): HashExecutor {
  const caches: HashExecutor['caches'] = new Map();
  const pictures: HashExecutor['pictures'] = new Map();
  let last: Promise<unknown> = Promise.resolve();
  let gone: WorkerGone | null = null;
  let turned: Way = 'scores';
  /** Hashes of the answers under way. */
  const slots: number[] = [];
  /** Calls are taken in their order; an answer takes a turn or two. */
  const inOrder = <T>(work: () => T): Promise<T> => {
    if (gone !== null) return Promise.reject(gone);
    executor.underWay += 1;
    const answer = last.then(async () => {
      await new Promise(setImmediate);
      if (gone !== null) throw gone;
      return work();
    });
    last = answer.catch(() => undefined).finally(() => (executor.underWay -= 1));
    return answer;
  };
  /** As an embedder that finds no features. */
  const mustHold = (ids: Iterable<number>) => {
    for (const id of ids) {
      if (id < FIRST_IMAGE_ID) continue;
      const held = [...pictures.values()].some(({ first, tokens }) => id >= first && id < first + tokens);
      if (!held) throw new OutsideError(`no features for the picture token ${id}.`);
    }
  };
  const meet = (order: PassOrder) => {
    try {
      before?.(order);
    } catch (error) {
      if (error instanceof WorkerGone) {
        gone = error;
        caches.clear();
        pictures.clear();
      }
      throw error;
    }
  };
  const compute = ({ past, sequences, select, pairs, keep }: PassOrder) => {
    assert.ok(executor.info.form !== 'whole' || (past === null && keep === null && sequences.length === 1));
    const from = past === null ? { hash: START, length: 0 } : caches.get(past);
    for (const { ids } of sequences) mustHold(ids);
    assert.ok(from !== undefined, `no cache ${past}`);
    meet({ past, sequences, select, pairs, keep });
    const hashes = sequences.map(({ ids, parents }) => {
      const own: number[] = [];
      for (const [i, id] of ids.entries()) own.push(step(parents[i]! < 0 ? from.hash : own[parents[i]!]!, id));
      return own;
    });
    const states: { hash: number; id: number }[] = [];
    for (let i = 0; i < select.length; i += 2) {
      const [s, position] = [select[i]!, select[i + 1]!];
      states.push({ hash: hashes[s]![position]!, id: sequences[s]!.ids[position]! });
    }
    if (keep !== null) {
      assert.ok(sequences.length === 1 && !caches.has(keep));
      caches.set(keep, { hash: hashes[0]!.at(-1)!, length: from.length + sequences[0]!.ids.length });
      executor.peak = Math.max(executor.peak, heldBytes(executor));
    }
    const logprobs: number[] = [];
    for (let i = 0; i < pairs.length; i += 2) {
      const { hash, id } = states[pairs[i]!]!;
      logprobs.push(id === NAN_TOKEN ? Number.NaN : logprobOf(hash, pairs[i + 1]!));
    }
    return { logprobs, best: states.map(({ hash }) => bestOf(hash)) };
  };
  const executor: HashExecutor = {
    info: {
      form,
      bytesPerToken: BYTES_PER_TOKEN,
      remarks: [],
      dynamic: false,
      half: false,
      hasCache: form !== 'naive' && form !== 'whole',
      vocab: VOCAB,
    },
    caches,
    pictures,
    peak: 0,
    most: 0,
    underWay: 0,
    ways: [],
    closed: false,
    pass: (order) => inOrder(() => compute(order)),
    score: (input, targets) =>
      inOrder(() => {
        meet({ past: null, sequences: [chain(input)], select: [], pairs: [], keep: null });
        mustHold(input);
        return directScore({ input, targets });
      }),
    next: (ids, past, keep, { watched = [] } = {}) =>
      inOrder(() => {
        const pairs = watched.flatMap((token) => [0, token]);
        const { best, logprobs } = compute({ past, sequences: [chain(ids)], select: [0, ids.length - 1], pairs, keep });
        return { token: best[0]!, logprobs };
      }),
    free: (ids) =>
      inOrder(() => {
        for (const id of ids) caches.delete(id);
      }),
    turnTo: (way) =>
      inOrder(() => {
        if (way !== 'scores' && !sideBySide) return { remark: 'a hash answers one prompt at a time' };
        if (turned !== way) caches.clear();
        turned = way;
        executor.ways.push(way);
        return { bytesPerToken: BYTES_PER_TOKEN };
      }),
    begin: ({ past, ids, keep, watched }) =>
      inOrder(() => {
        const own = keep ?? -1 - slots.length;
        const pairs = watched.flatMap((token) => [0, token]);
        const order = { past, sequences: [chain(ids)], select: [0, ids.length - 1], pairs, keep: own };
        const { best, logprobs } = compute(order);
        if (keep === null) {
          const { hash } = caches.get(own)!;
          caches.delete(own);
          if (ids.at(-1) === NAN_TOKEN) throw new RowError('nan', 'no number');
          slots.push(hash);
          executor.most = Math.max(executor.most, slots.length);
        }
        return { token: best[0]!, logprobs };
      }),
    step: (rows) =>
      inOrder(() => {
        assert.equal(rows.length, slots.length, 'a token for each slot');
        meet({ past: null, sequences: rows.map(({ token }) => chain([token])), select: [], pairs: [], keep: null });
        return rows.map(({ token }, slot) => {
          slots[slot] = step(slots[slot]!, token);
          return token === NAN_TOKEN ? null : { token: bestOf(slots[slot]!), logprobs: [] };
        });
      }),
    leave: (gone) =>
      inOrder(() => {
        for (const slot of gone) {
          const last = slots.pop();
          assert.ok(last !== undefined, 'a slot to leave');
          if (slot < slots.length) slots[slot] = last;
        }
      }),
    see: (picture) =>
      inOrder(() => {
        look?.(picture);
        assert.ok(!pictures.has(picture.first), 'shown once');
        pictures.set(picture.first, picture);
        return { tiles: 2, decode_ms: 0, tiles_ms: 0, encode_ms: 0 };
      }),
    unsee: (firsts) =>
      inOrder(() => {
        for (const first of firsts) pictures.delete(first);
      }),
    async close() {
      executor.closed = true;
    },
  };
  return executor;
}

export function heldBytes({ caches }: HashExecutor): number {
  return [...caches.values()].reduce((sum, { length }) => sum + length * BYTES_PER_TOKEN, 0);
}
