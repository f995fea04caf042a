/**
 * What the engine computes for a window, as data: a tree of prefixes that questions share, and forward passes.
 *
 * A prefix that many questions share is a group: its tokens are computed first, in chunks, and their keys and values
 * serve all that hangs under it. What is left of a question, its choices included, is one sequence of a pass: a tree,
 * in which a token sees the tokens above it and no others. Sequences of like length under one group make a batch: one
 * pass.
 *
 * `trie.ts` finds what is shared, `plan.ts` cuts it into passes.
 */
import type { Question } from '../../types.ts';

/** A model input and the tokens scored: those after its last `targets.length` tokens. */
export interface TokenRequest {
  input: Int32Array;
  targets: readonly number[];
}

/** One question of a window: requests that are answered together. */
export interface TokenQuestion extends Pick<Question<never>, 'place' | 'window' | 'done'> {
  requests: readonly TokenRequest[];
}

/**
 * What a session can compute. `tree`: sequences with branches, many at once. `batched`: sequences without. `single`:
 * one such sequence. `whole`: one such sequence from the start, for a graph without a cache: no pass goes on from another.
 */
export type Form = 'tree' | 'batched' | 'single' | 'whole';

/** One forward pass: sequences after the same past. */
export interface Pass {
  group: Group;
  sequences: Sequence[];
  /** Pairs of numbers: sequence and position of each state that is projected. */
  select: number[];
  /** Pairs of numbers: place in `select`, and the token whose log-probability is wanted. */
  pairs: number[];
  /** Whose token each pair is: the request, and which of its targets. */
  asks: { request: Asked; target: number }[];
}

/** Tokens of a pass that stand beside others in its batch. */
export interface Sequence {
  ids: number[];
  /** The token before each one: a place in the sequence, or -1 for the past. */
  parents: number[];
}

/** What an executor needs to be told of a pass: plain data. */
export interface PassOrder {
  /** The cache that it goes on from; null: from the start. */
  past: number | null;
  sequences: Sequence[];
  select: number[];
  pairs: number[];
  /** The number under which the cache of its only sequence is kept; null: it is not. */
  keep: number | null;
  /**
   * Sequences of the widest pass that goes on from the same cache: it is repeated once for all of them. This pass's by
   * default.
   */
  widest?: number;
}

export interface PassAnswer {
  /** For each pair, the log-probability of its target. */
  logprobs: number[];
  /** For each selected state, the most likely token. */
  best: number[];
}

/** A prefix whose keys and values are kept while what hangs under it is computed. The root has no tokens. */
export interface Group {
  parent: Group | null;
  /** Tokens up to its end. */
  depth: number;
  /** Its own tokens, in chunks: each pass has one sequence and its keys and values are kept. */
  chunks: Pass[];
  /** What is computed after it. */
  passes: Pass[];
  children: Group[];
  /** Names the prefix and its cuts in any window; null where it is not worth keeping beyond this one. */
  key: string | null;
}

/** A request on its way through the plan. */
export interface Asked {
  question: TokenQuestion;
  place: number;
  request: TokenRequest;
}

/** A sequence without branches. */
export function chain(ids: Iterable<number>): Sequence {
  const own = [...ids];
  return { ids: own, parents: own.map((_, i) => i - 1) };
}

/** A pass's halves, or null when it has one sequence. For when the memory does not do for the whole. */
export function halves(pass: Pass): [Pass, Pass] | null {
  if (pass.sequences.length < 2) return null;
  const middle = Math.ceil(pass.sequences.length / 2);
  return [part(pass, 0, middle), part(pass, middle, pass.sequences.length)];
}

/** The sequences `from` to `to` of a pass, and what is asked of them. */
function part(pass: Pass, from: number, to: number): Pass {
  const found: Pass = {
    group: pass.group,
    sequences: pass.sequences.slice(from, to),
    select: [],
    pairs: [],
    asks: [],
  };
  const places = new Map<number, number>();
  for (let i = 0; i < pass.select.length; i += 2) {
    if (pass.select[i]! < from || pass.select[i]! >= to) continue;
    places.set(i / 2, found.select.push(pass.select[i]! - from, pass.select[i + 1]!) / 2 - 1);
  }
  for (const [i, ask] of pass.asks.entries()) {
    const selected = places.get(pass.pairs[2 * i]!);
    if (selected === undefined) continue;
    found.pairs.push(selected, pass.pairs[2 * i + 1]!);
    found.asks.push(ask);
  }
  return found;
}
