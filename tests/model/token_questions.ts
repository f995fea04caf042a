/** Questions as a benchmark asks them, drawn with a seed: shared headers, shared stems, choices with shared starts. */
import type { TokenQuestion, TokenRequest } from '../../nanoeval/model/engine/prefix_tree.ts';

export interface Draws {
  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number;
  chance(share: number): boolean;
  pick<T>(items: readonly T[]): T;
  tokens(count: number, vocab: number): number[];
}

/** The same draws for the same seed (mulberry32). */
export function draws(seed: number): Draws {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  return {
    between,
    chance: (share) => next() < share,
    pick: (items) => items[between(0, items.length - 1)]!,
    tokens: (count, vocab) => Array.from({ length: count }, () => between(0, vocab - 1)),
  };
}

/** A request for the last `scored` tokens of `ids`. */
export function requestOf(ids: readonly number[], scored: number): TokenRequest {
  return { input: Int32Array.from(ids.slice(0, -1)), targets: ids.slice(-scored) };
}

/**
 * `count` questions of every kind that there is. Headers have up to `longest` tokens; long questions are half as long
 * again. Few distinct tokens, so that texts often begin alike by accident.
 */
export function randomQuestions(random: Draws, count: number, longest: number, vocab: number): TokenQuestion[] {
  const headers = Array.from({ length: random.between(1, 3) }, () =>
    random.tokens(random.pick([0, 0, random.between(1, 60), random.between(1, longest), longest]), vocab),
  );
  const stems: number[][] = [[]];
  const asked: number[][] = [];
  return Array.from({ length: count }, (_, place) => {
    const whole: number[][] = [];
    const kind = random.between(0, 19);
    if (kind === 0) whole.push(random.tokens(2, vocab));
    else if (kind === 1) whole.push(random.tokens(random.between(2, Math.ceil(longest * 1.5)), vocab));
    else if (kind === 2 && asked.length > 0) {
      const other = random.pick(asked);
      whole.push(other.slice(0, random.between(Math.min(2, other.length), other.length)), other);
    } else {
      const known = random.pick(stems);
      const stem = [...known.slice(0, random.between(0, known.length)), ...random.tokens(random.between(0, 70), vocab)];
      stems.push(stem);
      const context = [...random.pick(headers), ...stem, ...random.tokens(1, vocab)];
      const start = random.tokens(random.between(0, 5), vocab);
      const long = random.chance(0.1) ? random.between(1, 150) : 20;
      for (let c = random.between(1, 5); c > 0; c -= 1)
        whole.push([...context, ...start, ...random.tokens(random.between(1, long), vocab)]);
      if (random.chance(0.2)) whole.push(whole[0]!);
    }
    asked.push(...whole);
    const requests = whole.map((ids) => requestOf(ids, Math.min(ids.length - 1, random.between(1, 25))));
    return { place, requests };
  });
}
