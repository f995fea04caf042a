/** How many requests at a time: found against servers that are simulated with a clock of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Limiter, type Ticket } from '../../../nanoeval/model/server/limiter.ts';

/** Runs `count` requests; `serve` says when one that is sent at `now` is answered, and whether it is too much. */
function simulate(
  limiter: Limiter,
  clock: { now: number },
  count: number,
  serve: (now: number, inFlight: number) => { at: number; good: boolean },
) {
  const open: { at: number; good: boolean; ticket: Ticket }[] = [];
  const limits: number[] = [];
  let done = 0;
  let refused = 0;
  while (done < count) {
    while (limiter.hasRoom && open.length + done < count + 10_000) {
      const inFlight = open.length;
      open.push({ ...serve(clock.now, inFlight), ticket: limiter.begin() });
    }
    open.sort((a, b) => a.at - b.at);
    const { at, good, ticket } = open.shift()!;
    clock.now = Math.max(clock.now, at);
    if (good) {
      limiter.end(true);
      done += 1;
    } else {
      limiter.tooMuch(ticket);
      refused += 1;
    }
    limits.push(limiter.limit);
  }
  for (const _ of open) limiter.end(false);
  return { limits, refused, last: limiter.limit };
}

/** A server of so many slots; what does not fit waits in its queue. */
function queueing(slots: number, latency: number) {
  const free = Array.from({ length: slots }, () => 0);
  return (now: number) => {
    const at = Math.max(now, Math.min(...free)) + latency;
    free[free.indexOf(Math.min(...free))] = at;
    return { at, good: true };
  };
}

const opened = (start: number, most: number, factor = 2) => {
  const clock = { now: 0 };
  return { clock, limiter: new Limiter({ start, most, factor, now: () => clock.now }) };
};

for (const slots of [1, 3, 16, 64, 100]) {
  test(`a server of ${slots} slots that queues: it is kept busy, and its queue short`, () => {
    const { clock, limiter } = opened(8, 256);
    const { last } = simulate(limiter, clock, 2000, queueing(slots, 100));
    assert.ok(last >= Math.min(slots, 8) && last <= Math.max(24, slots * 2.6), `${last}`);
    const ideal = (2000 / slots) * 100;
    // From 8 to 100 the way is longer.
    assert.ok(clock.now <= ideal / (slots > 64 ? 0.8 : 0.85), `${clock.now} ms, ideal ${ideal}`);
  });
}

test('64 slots: as good as all of them once it has settled', () => {
  const { clock, limiter } = opened(8, 256);
  const serve = queueing(64, 100);
  simulate(limiter, clock, 1000, serve);
  const began = clock.now;
  simulate(limiter, clock, 4000, serve);
  const share = ((4000 / 64) * 100) / (clock.now - began);
  assert.ok(share >= 0.95, `${share}`);
});

test('a server that refuses what is too much: halved once for all that it refused together, and back below', () => {
  const { clock, limiter } = opened(8, 256);
  const serve = (now: number, inFlight: number) =>
    inFlight < 40 ? { at: now + 100, good: true } : { at: now + 1, good: false };
  const { limits, refused, last } = simulate(limiter, clock, 4000, serve);
  assert.ok(Math.max(...limits) <= 80, `${Math.max(...limits)}`);
  assert.ok(last >= 20 && last <= 44, `${last}`);
  assert.ok(refused < 200, `${refused} of 4000`);
  const tail = limits.slice(-1000);
  assert.ok(tail.reduce((sum, one) => sum + one, 0) / tail.length > 24, 'it comes back');
});

test('a small machine on which side by side is slower stays at one', () => {
  const { clock, limiter } = opened(1, 4);
  // The more run, the longer each takes, and a little more.
  const serve = (now: number, inFlight: number) => ({ at: now + 100 * (inFlight + 1) * 1.1 ** inFlight, good: true });
  const { last } = simulate(limiter, clock, 400, serve);
  assert.equal(last, 1);
});

test('a server of four slots is found within some answers, however long they are, and stays there', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const { clock, limiter } = opened(1, 4);
    // Tokens of an answer: 4 to 160, by a small generator; a token takes longer beside others, but all of them less.
    let state = seed;
    const draw = () => {
      state = (state * 48271) % 2147483647;
      return 4 + (state % 157);
    };
    const open: { at: number; tokens: number }[] = [];
    let [answers, found] = [0, 0];
    while (answers < 400) {
      while (limiter.hasRoom) {
        limiter.begin();
        const tokens = draw();
        open.push({ at: clock.now + tokens * 10 * (1 + 0.4 * open.length), tokens });
      }
      open.sort((a, b) => a.at - b.at);
      const { at, tokens } = open.shift()!;
      clock.now = Math.max(clock.now, at);
      limiter.end(true, tokens);
      answers += 1;
      if (limiter.limit === 4 && found === 0) found = answers;
    }
    assert.ok(found > 0 && found <= 24, `seed ${seed}: after ${found} answers`);
    assert.equal(limiter.limit, 4, `seed ${seed}`);
  }
});

test('slots of which two are slower than one and four faster: four are tried, and kept; where they are slower, one', () => {
  for (const [all, wanted] of [
    [2.4, 4],
    [4.6, 1],
  ] as const) {
    const { clock, limiter } = opened(1, 4, 4);
    // Times that an answer takes beside others, by how many are under way.
    const times = [1, 2.2, 3, all];
    const serve = (now: number, inFlight: number) => ({ at: now + 100 * times[inFlight]!, good: true });
    const { limits, last } = simulate(limiter, clock, 200, serve);
    assert.equal(last, wanted);
    assert.deepEqual([...new Set(limits)].sort(), [1, 4]);
  }
});

test('a stall while a larger number is tried costs some seconds of its rate, not the run', () => {
  const { clock, limiter } = opened(8, 256);
  const free = Array.from({ length: 64 }, () => 0);
  // The machine stands still for 3 s while the limiter looks at 64.
  let isStalled = false;
  const serve = (now: number) => {
    const at = Math.max(now, Math.min(...free)) + 500;
    free[free.indexOf(Math.min(...free))] = at;
    if (!isStalled && limiter.limit === 64) {
      isStalled = true;
      for (let i = 0; i < free.length; i += 1) free[i]! += 3_000;
      return { at: at + 3_000, good: true };
    }
    return { at, good: true };
  };
  simulate(limiter, clock, 2000, serve);
  assert.equal(isStalled, true);
  const ideal = (2000 / 64) * 500 + 3_000;
  assert.ok(clock.now <= ideal / 0.85, `${clock.now} ms, ideal ${ideal}`);
});

test('never more than may be, nor fewer than one', () => {
  const { clock, limiter } = opened(8, 5);
  assert.equal(limiter.limit, 5);
  simulate(limiter, clock, 500, queueing(1000, 10));
  assert.equal(limiter.limit, 5);
  assert.equal(limiter.peak, 5);
  for (let i = 0; i < 10; i += 1) limiter.tooMuch(limiter.begin());
  assert.equal(limiter.limit, 1);
  assert.equal(limiter.inFlight, 0);
});

test('a number that is never reached does not grow, however fast the answers', () => {
  const { clock, limiter } = opened(8, 256);
  for (let i = 0; i < 500; i += 1) {
    limiter.begin();
    clock.now += 1;
    limiter.end(true);
  }
  assert.equal(limiter.limit, 8);
});

test('an answer of no use says nothing', () => {
  const { limiter } = opened(8, 256);
  for (let i = 0; i < 500; i += 1) {
    limiter.begin();
    limiter.end(false);
  }
  assert.deepEqual([limiter.limit, limiter.inFlight], [8, 0]);
});
