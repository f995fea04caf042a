/** A lane's books: which caches its executor holds, for how long, and what is forgotten after an error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Draw, drawAt } from '../../../nanoeval/model/engine/decode.ts';
import { noStats, openLane } from '../../../nanoeval/model/engine/lane.ts';
import { plan } from '../../../nanoeval/model/engine/plan.ts';
import type { Group, Pass } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { Trie } from '../../../nanoeval/model/engine/trie.ts';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { openAlbum } from '../../../nanoeval/model/vision/album.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import {
  BYTES_PER_TOKEN,
  directAnswer,
  directScore,
  type Faults,
  type HashExecutor,
  hashExecutor,
} from '../hash_executor.ts';
import { draws, requestOf } from '../token_questions.ts';

const PLAIN = 60;
const HEADER = 320;
const BYTES = HEADER * BYTES_PER_TOKEN;

/** The only group of 40 questions under one header. */
function groupOf(seed: number): Group {
  const random = draws(seed);
  const header = random.tokens(HEADER, PLAIN);
  const trie = new Trie();
  for (let place = 0; place < 40; place += 1) {
    const ids = [...header, place, ...random.tokens(10, PLAIN)];
    trie.add({ place, requests: [requestOf(ids, 2)] });
  }
  const { children } = plan(trie, { form: 'batched', batchTokens: 100 });
  assert.equal(children.length, 1);
  assert.equal(children[0]!.depth, HEADER);
  return children[0]!;
}

function open(cacheBytes: number, faults: Faults = {}) {
  const executors: HashExecutor[] = [hashExecutor(faults)];
  const stats = noStats();
  const reopen = async () => {
    executors.push(hashExecutor(faults));
    return executors.at(-1)!;
  };
  const album = openAlbum((first) => lane.forget(first));
  const lane = openLane(executors[0]!, reopen, { cacheBytes, stats, album });
  const caches = async () => {
    const executor = executors.at(-1)!;
    while (executor.underWay > 0) await new Promise(setImmediate);
    return executor.caches.size;
  };
  return { lane, executors, stats, caches, album };
}

/** Has the lane compute a pass of the group, and holds what comes against each input by itself. */
async function check({ lane }: ReturnType<typeof open>, group: Group, pass: Pass = group.passes[0]!): Promise<void> {
  const parts = await lane.pass(group, pass);
  const part = parts.at(-1)!;
  assert.equal(part.pass, pass);
  const byRequest = new Map<string, number>();
  for (const [i, { request }] of pass.asks.entries()) {
    const name = `${request.question.place}`;
    byRequest.set(name, (byRequest.get(name) ?? 0) + part.logprobs[i]!);
  }
  for (const { request } of pass.asks) {
    const off = byRequest.get(`${request.question.place}`)! - directScore(request.request).logprob;
    assert.ok(Math.abs(off) < 1e-9);
  }
}

test('what leads to a group is computed once while the group is held', async () => {
  const opened = open(0);
  const { lane, stats, caches } = opened;
  const group = groupOf(1);
  assert.ok(!lane.holds(group) && lane.holds(group.parent!));
  await Promise.all(group.passes.map((pass) => check(opened, group, pass)));
  assert.ok(lane.holds(group));
  assert.equal(stats.passes, 1 + group.passes.length);
  assert.equal(stats.tokens_run, HEADER + 40 * 10);
  assert.ok(stats.tokens_padded >= stats.tokens_run);
  assert.equal(await caches(), 1, 'chunks above the last are given back');
  lane.release(group);
  lane.release(group);
  assert.ok(!lane.holds(group));
  assert.equal(await caches(), 0);
});

test('a released prefix is kept by name, within the bytes, the least recently used goes first', async () => {
  const opened = open(2 * BYTES + 100);
  const { lane, stats, caches } = opened;
  const tokens = async (seed: number) => {
    // Another plan of the same questions, as another window has it.
    const group = groupOf(seed);
    const before = stats.tokens_run;
    await check(opened, group);
    lane.release(group);
    return stats.tokens_run - before - group.passes[0]!.sequences.length * 10;
  };
  assert.deepEqual([await tokens(1), await tokens(2), await tokens(1), await caches()], [HEADER, HEADER, 0, 2]);
  assert.deepEqual([await tokens(3), await caches()], [HEADER, 2]);
  assert.deepEqual([await tokens(1), await tokens(2)], [0, HEADER], '2 had to go for 3');
  await lane.recover(new OutsideError('out of memory'));
  assert.equal(await caches(), 0, 'what nothing needs makes room');
  assert.equal(await tokens(1), HEADER);
});

test('a prefix beyond the bytes is not kept at all', async () => {
  const opened = open(BYTES - 1);
  const group = groupOf(1);
  await check(opened, group);
  opened.lane.release(group);
  assert.equal(await opened.caches(), 0);
});

test('after an error nothing of the group is there; calls that waited for it fail for the same reason', async () => {
  let falls = true;
  const opened = open(0, {
    before() {
      if (falls) throw new OutsideError('Failed to allocate memory');
    },
  });
  const { lane, caches } = opened;
  const group = groupOf(1);
  const [first, second] = group.passes;
  const both = await Promise.allSettled([lane.pass(group, first!), lane.pass(group, second!)]);
  for (const one of both) assert.match((one as PromiseRejectedResult).reason.message, /Failed to allocate/);
  assert.ok(!lane.holds(group));
  assert.equal(await caches(), 0);
  falls = false;
  await check(opened, group);
  lane.release(group);
  assert.equal(await caches(), 0);
});

test('calls that lose one process start one new process, and go one at a time from then on', async () => {
  let dies = false;
  const opened = open(1e6, {
    before() {
      if (dies) throw new WorkerGone('SIGKILL');
    },
  });
  const { lane, executors } = opened;
  const [kept, group] = [groupOf(1), groupOf(2)];
  await check(opened, kept);
  lane.release(kept);
  await check(opened, group);
  assert.equal(lane.ahead, 2);
  dies = true;
  const both = await Promise.allSettled(group.passes.slice(0, 2).map((pass) => lane.pass(group, pass)));
  dies = false;
  const reasons = both.map((one) => (one as PromiseRejectedResult).reason);
  assert.ok(reasons.every((reason) => reason instanceof WorkerGone));
  await Promise.all(reasons.map((reason) => lane.recover(reason)));
  assert.equal(executors.length, 2);
  assert.equal(lane.ahead, 1);
  for (const again of [group, kept]) {
    assert.ok(!lane.holds(again));
    await check(opened, again);
  }
  await lane.close();
  assert.deepEqual(
    executors.map(({ closed }) => closed),
    [false, true],
  );
});

test('greedy tokens go on from a group or from the start, and leave no cache but the group', async () => {
  const { lane, caches } = open(0);
  const group = groupOf(1);
  const { input } = group.passes[0]!.asks[0]!.request.request;
  for (const [from, ids] of [
    [group, input.subarray(HEADER)],
    [null, input],
  ] as const) {
    const answer: number[] = [];
    await lane.decode(from, [...ids], { take: (token) => answer.push(token) === 6, watched: [] });
    assert.deepEqual(answer, directAnswer([...input], 6));
    assert.equal(await caches(), 1);
  }
  lane.release(group);
  assert.equal(await caches(), 0);
});

test('one input by itself', async () => {
  for (const form of ['alone', 'naive'] as const) {
    const { lane, stats } = open(0, { form });
    const request = requestOf(draws(3).tokens(12, PLAIN), 4);
    assert.deepEqual(await lane.scoreAlone(request.input, [request.targets]), [directScore(request)]);
    assert.deepEqual([stats.passes, stats.tokens_run, stats.tokens_padded], [1, 11, 11]);
  }
});

test('one input with several lists of targets: one pass, by the plain path one for each', async () => {
  for (const [form, passes] of [
    ['alone', 1],
    ['naive', 3],
  ] as const) {
    const { lane, stats } = open(0, { form });
    const { input, targets } = requestOf(draws(4).tokens(9, PLAIN), 4);
    const lists = [targets, [5], [7, targets.at(-1)!]];
    const wanted = lists.map((list) => directScore({ input, targets: list }));
    assert.deepEqual(await lane.scoreAlone(input, lists), wanted);
    assert.deepEqual([stats.passes, stats.tokens_run], [passes, 8 * passes]);
  }
});

// ---------------------------------------------------------------- pictures

const bytes = (value: number) => Uint8Array.of(value);

/** A group whose prefix shows a picture, with questions about it. */
function picturedGroup(first: number, tokens: number): Group {
  const random = draws(7);
  const header = [
    1,
    2,
    ...Array.from({ length: tokens }, (_, i) => first + i),
    ...random.tokens(HEADER - tokens - 2, PLAIN),
  ];
  const trie = new Trie();
  for (let place = 0; place < 40; place += 1)
    trie.add({ place, requests: [requestOf([...header, place, ...random.tokens(10, PLAIN)], 2)] });
  const { children } = plan(trie, { form: 'batched', batchTokens: 100 });
  assert.ok(children[0]!.passes.length > 1);
  return children[0]!;
}

test('a picture is shown before what needs it, once, and let go of when it is forgotten', async () => {
  const opened = open(1e6);
  const { lane, stats, album, executors, caches } = opened;
  const shown = album.enter(bytes(1), 300);
  const group = picturedGroup(shown.first, 300);
  await Promise.all(group.passes.map((pass) => check(opened, group, pass)));
  const input = [5, shown.first, shown.first + 1];
  await lane.scoreAlone(Int32Array.from(input), [[3]]);
  await lane.decode(null, input, { take: () => true, watched: [] });
  assert.deepEqual([stats.images, stats.image_tiles], [1, 2]);
  assert.deepEqual([...executors[0]!.pictures.values()], [shown]);
  lane.release(group);
  lane.forget(shown.first);
  lane.forget(shown.first);
  lane.forget(shown.first + 300);
  await caches();
  assert.equal(executors[0]!.pictures.size, 0);
  await lane.scoreAlone(Int32Array.from(input), [[3]]);
  assert.equal(stats.images, 2, 'shown again when it is wanted again');
});

test('a picture that cannot be shown is the reason of every call that needs it; it is looked at once', async () => {
  let looks = 0;
  const opened = open(0, {
    look() {
      looks += 1;
      throw new RowError('image', 'no picture');
    },
  });
  const { lane, album, stats, caches } = opened;
  const shown = album.enter(bytes(1), 300);
  const group = picturedGroup(shown.first, 300);
  const input = [5, shown.first];
  const calls = [
    lane.pass(group, group.passes[0]!),
    lane.pass(group, group.passes[1]!),
    lane.scoreAlone(Int32Array.from(input), [[3]]),
    lane.decode(null, input, { take: () => true, watched: [] }),
    lane.decode(group, [3], { take: () => true, watched: [] }),
  ];
  for (const one of await Promise.allSettled(calls)) {
    const { reason } = one as PromiseRejectedResult;
    assert.ok(reason instanceof RowError && reason.kind === 'image', String(reason));
  }
  assert.deepEqual([looks, stats.images], [1, 0]);
  assert.ok(!lane.holds(group));
  assert.equal(await caches(), 0);
});

test('a picture for which there was no memory is looked at again', async () => {
  let fails = true;
  const { lane, album, stats } = open(0, {
    look() {
      if (fails) throw new OutsideError('Failed to allocate memory');
    },
  });
  const shown = album.enter(bytes(1), 3);
  const request = requestOf([5, shown.first, shown.first + 1, 7, 8], 1);
  await assert.rejects(lane.scoreAlone(request.input, [request.targets]), /Failed to allocate/);
  fails = false;
  assert.deepEqual(await lane.scoreAlone(request.input, [request.targets]), [directScore(request)]);
  assert.equal(stats.images, 1);
});

test('a new process is shown the pictures anew', async () => {
  let dies = false;
  const opened = open(0, {
    before() {
      if (dies) throw new WorkerGone('SIGKILL');
    },
  });
  const { lane, album, stats, executors } = opened;
  const shown = album.enter(bytes(1), 300);
  const group = picturedGroup(shown.first, 300);
  await check(opened, group);
  dies = true;
  await assert.rejects(lane.pass(group, group.passes[1]!), (error) => {
    assert.ok(error instanceof WorkerGone);
    return true;
  });
  dies = false;
  await lane.recover(new WorkerGone('SIGKILL'));
  await check(opened, group, group.passes[1]);
  assert.equal(executors.length, 2);
  assert.deepEqual([...executors[1]!.pictures.values()], [shown]);
  assert.equal(stats.images, 2);
});

test('watched tokens are told with the first token alone', async () => {
  const { lane } = open(0);
  const heard: (readonly number[])[] = [];
  const take = (_token: number, logprobs: readonly number[]) => heard.push(logprobs) === 3;
  await lane.decode(null, [4, 9, 2], { take, watched: [7, 11] });
  const wanted = [7, 11].map((target) => directScore({ input: Int32Array.of(4, 9, 2), targets: [target] }).logprob);
  assert.deepEqual(heard, [wanted, [], []]);
});

test('a sampled answer brings the draw of each step, a greedy one none', async () => {
  const { lane, executors } = open(0);
  const draws: (Draw | undefined)[] = [];
  const { next } = executors[0]!;
  executors[0]!.next = (ids, past, keep, options) => {
    draws.push(options?.draw);
    return next(ids, past, keep, options);
  };
  const sampling = { temperature: 0.5, top_p: 0.9, stream: '1:id:0' };
  let taken = 0;
  const take = () => {
    taken += 1;
    return taken % 3 === 0;
  };
  await lane.decode(null, [4, 9], { take, watched: [], sampling });
  await lane.decode(null, [4, 9], { take, watched: [] });
  assert.deepEqual(draws, [...[0, 1, 2].map((step) => drawAt(sampling, step)), undefined, undefined, undefined]);
});
