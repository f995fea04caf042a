/** Slow work on a stream, several at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inParallel } from '../../nanoeval/run/in_parallel.ts';

async function* numbers(n: number, fails?: Error) {
  for (let i = 0; i < n; i += 1) yield i;
  if (fails !== undefined) throw fails;
}

/** Work that ends when it is told to. */
function gates() {
  const open = new Map<number, () => void>();
  const begun: number[] = [];
  const work = (item: number) => {
    begun.push(item);
    return new Promise<number>((resolve) => open.set(item, () => resolve(item)));
  };
  return { begun, work, open: (item: number) => open.get(item)!() };
}
const turns = async () => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
};

test('as many as allowed are under way, results come as they are known', async () => {
  const { begun, work, open } = gates();
  const found = inParallel(numbers(3), 2, work);
  const first = found.next();
  await turns();
  assert.deepEqual(begun, [0, 1]);
  open(1);
  assert.equal((await first).value, 1);
  const second = found.next();
  await turns();
  assert.deepEqual(begun, [0, 1, 2]);
  open(2);
  assert.equal((await second).value, 2);
  open(0);
  assert.equal((await found.next()).value, 0);
  assert.equal((await found.next()).done, true);
});

test('in order where that is asked for', async () => {
  const { work, open } = gates();
  const found = inParallel(numbers(2), 2, work, true);
  const first = found.next();
  await turns();
  open(1);
  open(0);
  assert.deepEqual([(await first).value, (await found.next()).value], [0, 1]);
});

test('with one at a time nothing is asked for before the last one is taken', async () => {
  let asked = 0;
  async function* counted() {
    for (let i = 0; i < 3; i += 1) {
      asked += 1;
      yield i;
    }
  }
  const found = inParallel(counted(), 1, async (item) => item);
  await found.next();
  await turns();
  assert.equal(asked, 1);
});

test('what is under way is given before an error of the stream; an error of the work ends it at once', async () => {
  const got: number[] = [];
  await assert.rejects(async () => {
    for await (const one of inParallel(numbers(2, new Error('stop')), 4, async (item) => item)) got.push(one);
  }, /stop/);
  assert.deepEqual(got.toSorted(), [0, 1]);
  const broken = inParallel(numbers(9), 2, async () => {
    throw new Error('broken');
  });
  await assert.rejects(broken.next(), /broken/);
});

test('a reader who leaves ends the stream', async () => {
  let left = false;
  async function* source() {
    try {
      yield* numbers(9);
    } finally {
      left = true;
    }
  }
  for await (const _ of inParallel(source(), 2, async (item) => item)) break;
  assert.equal(left, true);
});
