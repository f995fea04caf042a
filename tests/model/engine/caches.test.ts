/** The book of caches: what is kept, what is found again, and what has to go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CacheBook } from '../../../nanoeval/model/engine/caches.ts';
import type { Executor } from '../../../nanoeval/model/engine/executor.ts';
import type { Group } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { direct, each, gather, never, open, PLAIN, underHeader } from '../hash_engine.ts';
import { heldBytes } from '../hash_executor.ts';
import { draws, requestOf } from '../token_questions.ts';

test('a header that windows share is computed once where there is room to keep it', async () => {
  const shared = underHeader(1400);
  // The last one ends where the header does: what is kept gives no answers.
  const header = shared[0]!.requests[0]!.input.slice(0, 320);
  const questions = [...shared, { place: 1400, requests: [{ input: header, targets: [7] }] }];
  const computed: number[] = [];
  for (const cacheBytes of [0, 1e6]) {
    const { engine, executors, rest } = open({ cacheBytes });
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    computed.push(engine.stats.tokens_run);
    await rest();
    assert.equal(executors[0]!.caches.size, cacheBytes === 0 ? 0 : 1);
    // The same questions once more: the header is still there.
    const before = engine.stats.tokens_run;
    await gather(engine.score(each(questions.slice(0, 100)), never));
    const again = engine.stats.tokens_run - before;
    if (cacheBytes === 0) assert.ok(again >= 320 + 100 * 9);
    else assert.ok(again <= 16 + 100 * 13, `${again} tokens`);
  }
  const saved = computed[0]! - computed[1]!;
  assert.ok(saved >= 304 && saved % 304 <= 16 * 3, `${saved} tokens saved`);
});

test('kept caches stay within their bytes; the least recently used goes first', async () => {
  const random = draws(4);
  const headers = Array.from({ length: 6 }, () => random.tokens(160, PLAIN));
  const questions = headers.map((header, h) =>
    Array.from({ length: 60 }, (_, i) => ({
      place: h * 60 + i,
      requests: [requestOf([...header, i, ...random.tokens(6, PLAIN)], 2)],
    })),
  );
  const { engine, executors, rest } = open({ cacheBytes: 3500 });
  const tokens = async (h: number) => {
    const before = engine.stats.tokens_run;
    await gather(engine.score(each(questions[h]!), never));
    await rest();
    assert.ok(heldBytes(executors[0]!) <= 3500);
    return engine.stats.tokens_run - before;
  };
  const first = await tokens(0);
  await tokens(1);
  assert.equal(await tokens(0), first - 160, 'two headers have room');
  await tokens(2);
  assert.equal(await tokens(0), first - 160, '0 was used after 1');
  assert.equal(await tokens(1), first, 'and 1 had to go');
});

// ---------------------------------------------------------------- the book by itself

const groupOf = (key: string | null, depth: number, parent: Group): Group => ({
  parent,
  depth,
  chunks: [],
  passes: [],
  children: [],
  key,
});
const ROOT: Group = { parent: null, depth: 0, chunks: [], passes: [], children: [], key: null };
const made = Promise.resolve();

function openBook(limit: number) {
  const freed: number[] = [];
  const executor = {
    info: { bytesPerToken: 10 },
    free: async (ids: readonly number[]) => void freed.push(...ids),
  } as unknown as Executor;
  const book = new CacheBook(() => executor, limit);
  const enter = (group: Group) => {
    const id = book.fresh();
    book.enter(group, { id, made });
    return id;
  };
  return { book, freed, enter };
}

test('the root is always there and empty; a group from when it is entered until it is released or lost', () => {
  const { book, freed, enter } = openBook(0);
  assert.equal(book.find(ROOT)!.id, null);
  const group = groupOf('a', 100, ROOT);
  const below = groupOf(null, 150, group);
  assert.ok(!book.holds(group) && book.find(group) === null);
  const [one, two] = [enter(group), enter(below)];
  assert.deepEqual([one, two], [1, 2]);
  assert.equal(book.find(below)!.id, two);
  book.lose(below);
  assert.deepEqual(freed, [two, one], 'what leads to it may be incomplete, too');
  assert.ok(!book.holds(group) && !book.holds(below));
  enter(group);
  book.release(group);
  book.release(group);
  assert.deepEqual(freed, [2, 1, 3], 'there is no room to keep it');
});

test('a kept cache is found by its key, unless numbers of its own tokens are asked for', () => {
  const { book, freed, enter } = openBook(1000);
  const first = groupOf('a', 100, ROOT);
  enter(first);
  book.release(first);
  const asking = groupOf('a', 100, ROOT);
  asking.chunks.push({
    group: asking,
    sequences: [],
    select: [],
    pairs: [],
    asks: [{ request: {} as never, target: 0 }],
  });
  assert.equal(book.find(asking), null);
  const same = groupOf('a', 100, ROOT);
  assert.equal(book.find(same)!.id, 1);
  enter(asking);
  book.release(same);
  book.release(asking);
  assert.deepEqual(freed, [2], 'one of a key is enough');
  book.makeRoom();
  assert.deepEqual(freed, [2, 1]);
  enter(first);
  book.forget();
  assert.ok(!book.holds(first));
  assert.deepEqual(freed, [2, 1], 'a process that has gone holds nothing');
});
