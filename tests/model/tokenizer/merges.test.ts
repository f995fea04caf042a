/** Merging symbols by rank. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Merges, mergeAll } from '../../../nanoeval/model/tokenizer/merges.ts';

/** Numbers below `n` that depend on the seed alone. */
function draws(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** Looks for the pair of the lowest rank from the left, again and again. */
function naive(ids: number[], table: Map<string, [number, number]>): number[] {
  const word = [...ids];
  for (;;) {
    let best = -1;
    let [rank, merged] = [Number.POSITIVE_INFINITY, 0];
    for (let i = 0; i + 1 < word.length; i += 1) {
      const entry = table.get(`${word[i]} ${word[i + 1]}`);
      if (entry !== undefined && entry[0] < rank) [best, rank, merged] = [i, ...entry];
    }
    if (best < 0) return word;
    word.splice(best, 2, merged);
  }
}

test('words of every length are merged as by looking for the best pair again and again', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const draw = draws(seed);
    // Tokens as texts, so that a pair always merges to the id of its text.
    const texts = ['a', 'b', 'c', 'd'];
    const table = new Map<string, [number, number]>();
    const merges = new Merges(80);
    for (let rank = 0; rank < 80; rank += 1) {
      const [left, right] = [draw(texts.length), draw(texts.length)];
      const text = texts[left]! + texts[right]!;
      if (text.length > 12 || table.has(`${left} ${right}`)) continue;
      if (!texts.includes(text)) texts.push(text);
      table.set(`${left} ${right}`, [rank, texts.indexOf(text)]);
      merges.set(left, right, rank, texts.indexOf(text));
    }
    for (const length of [1, 2, 7, 24, 25, 60, 200]) {
      const ids = Array.from({ length }, () => draw(4));
      const wanted = naive(ids, table);
      assert.deepEqual(mergeAll([...ids], merges), wanted, `seed ${seed}, ${ids}`);
      assert.equal(wanted.map((id) => texts[id]).join(''), ids.map((id) => texts[id]).join(''));
    }
  }
});

test('of two entries for one pair the later one holds', () => {
  const merges = new Merges(2);
  merges.set(1, 2, 0, 7);
  merges.set(1, 2, 1, 8);
  assert.deepEqual(mergeAll([1, 2], merges), [8]);
  assert.equal(merges.find(2, 1), -1);
});
