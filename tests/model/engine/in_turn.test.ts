/** Items in turn: order, how many at once, and what is given when the stream ends early. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTurn } from '../../../nanoeval/model/engine/in_turn.ts';
import type { Lane } from '../../../nanoeval/model/engine/lane.ts';
import { each, never } from '../hash_engine.ts';

/** Lanes as far as they are looked at. */
const lanesOf = (count: number) => Array.from({ length: count }, () => ({ busy: 0, ahead: 2 }) as unknown as Lane);
const turns = async (count: number) => {
  for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
};
const items = (count: number) => Array.from({ length: count }, (_, place) => ({ place, done: place % 5 === 3 }));

/** What a stream gives, and what it throws. */
async function all<A>(stream: AsyncIterable<A>): Promise<{ given: A[]; error: unknown }> {
  const given: A[] = [];
  try {
    for await (const one of stream) given.push(one);
    return { given, error: null };
  } catch (error) {
    return { given, error };
  }
}

test('answers come in the order of the items, whichever is done first; what is known is passed over', async () => {
  for (const count of [1, 3]) {
    const lanes = lanesOf(count);
    let [underWay, most] = [0, 0];
    const work = async ({ place }: { place: number }) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await turns((place * 7) % 11);
      underWay -= 1;
      return place;
    };
    const { given, error } = await all(inTurn(each(items(40)), work, lanes, never));
    assert.equal(error, null);
    assert.deepEqual(
      given,
      items(40).flatMap(({ place, done }) => (done ? [] : [place])),
    );
    assert.ok(most > count && most <= 2 * count, `${most} at once`);
    assert.ok(lanes.every(({ busy }) => busy === 0));
  }
});

test('an item that fails, a source that fails, an abort: what is under way is given, and then the reason', async () => {
  for (const how of ['item', 'source', 'abort'] as const) {
    const lanes = lanesOf(2);
    const stop = new AbortController();
    const reason = new Error(how);
    const started: number[] = [];
    const work = async ({ place }: { place: number }) => {
      started.push(place);
      await turns(5);
      if (place === 10 && how === 'item') throw reason;
      if (place === 10) stop.abort(how === 'abort' ? reason : null);
      return place;
    };
    const source = async function* () {
      for (let place = 0; place < 40; place += 1) {
        if (place === 12 && how === 'source') throw reason;
        yield { place, done: false };
      }
    };
    const { given, error } = await all(inTurn(source(), work, lanes, how === 'abort' ? stop.signal : never));
    assert.equal(error, reason, how);
    assert.ok(started.length >= 11 && started.length <= 16, `${started}`);
    assert.deepEqual(
      given,
      started.filter((place) => how !== 'item' || place !== 10),
    );
    assert.ok(lanes.every(({ busy }) => busy === 0));
  }
});

test('items that give up because of an abort are not given; those beside them that are done are', async () => {
  const lanes = lanesOf(2);
  const stop = new AbortController();
  const reason = new Error('enough');
  const work = async ({ place }: { place: number }) => {
    await turns(3);
    if (place === 4) stop.abort(reason);
    // Every second one is long.
    if (place % 2 === 0) stop.signal.throwIfAborted();
    return place;
  };
  const { given, error } = await all(inTurn(each(items(20)), work, lanes, stop.signal));
  assert.equal(error, reason);
  assert.ok(given.includes(2) && given.includes(5), `${given}`);
  assert.ok(!given.includes(4));
  assert.ok(lanes.every(({ busy }) => busy === 0));
});

test('a consumer that goes away leaves nothing under way', async () => {
  const lanes = lanesOf(2);
  let underWay = 0;
  const work = async () => {
    underWay += 1;
    await turns(4);
    underWay -= 1;
  };
  for await (const _ of inTurn(each(items(30)), work, lanes, never)) break;
  assert.equal(underWay, 0);
  assert.ok(lanes.every(({ busy }) => busy === 0));
});
