/** Jobs over servers that fail in every way: none lost, none double, none answered wrongly. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openExchange } from '../../../nanoeval/model/server/exchange.ts';
import { garbled } from '../../../nanoeval/model/server/fields.ts';
import { Pool, type PoolOptions, type Send } from '../../../nanoeval/model/server/pool.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import { FAST, keptLog } from './asking.ts';
import { answer, answerTo, type Fake, type Fault, fakeServer } from './fake_server.ts';

const never = new AbortController().signal;

function poolOf(t: TestContext, fakes: readonly Fake[], more: Partial<PoolOptions> & { timeoutMs?: number } = {}) {
  const { said, log } = keptLog();
  const { timeoutMs = 5_000, ...options } = more;
  const pool = new Pool(
    fakes.map(({ url }) => openExchange(url, { key: 'sk-secret', timeoutMs })),
    { concurrency: { start: 4, most: 16 }, log, limits: FAST, ...options },
  );
  t.after(() => pool.close());
  return { pool, said };
}

const textFrom = async (send: Send, prompt: string) => {
  const answered = (await send('POST', '/v1/completions', { model: 'toy', prompt })) as {
    choices?: { text: string }[];
  };
  const text = answered.choices?.[0]?.text;
  if (text === undefined) throw garbled('choices has an answer', answered);
  return text;
};

/** Asks `count` prompts at once; each has to get its own answer. */
async function askAll(pool: Pool, count: number) {
  const asked = Array.from({ length: count }, (_, i) => `row ${i}`);
  const found = await Promise.all(asked.map((prompt) => pool.run((send) => textFrom(send, prompt), never)));
  assert.deepEqual(found, asked.map(answerTo));
}

/** The first `times` requests for a row meet with a fault. */
function firstOfEach(times: number, fault: Fault): Fault {
  const seen = new Map<string, number>();
  return (request, response, fake) => {
    if (request.path !== '/v1/completions') return undefined;
    const count = (seen.get(request.body.prompt) ?? 0) + 1;
    seen.set(request.body.prompt, count);
    return count <= times ? fault(request, response, fake) : undefined;
  };
}

const FAULTS: Record<string, { times: number; fault: Fault; timeoutMs?: number }> = {
  '429 with Retry-After': { times: 2, fault: says(429, '{}', { 'retry-after': '0.02' }) },
  '429 without': { times: 3, fault: says(429, '{}') },
  '500': { times: 1, fault: says(500, '{"error":{"message":"x"}}') },
  '502 with a page': { times: 3, fault: says(502, '<html><title>Bad Gateway</title></html>') },
  '503': { times: 3, fault: says(503, '{"error":{"type":"unavailable_error"}}') },
  '504': { times: 2, fault: says(504, '') },
  'no JSON': { times: 1, fault: says(200, '{"choices": [') },
  'a page in place of an answer': { times: 1, fault: says(200, '<html>login</html>') },
  'no choices': { times: 1, fault: says(200, '{"choices": []}') },
  'a connection that is reset': {
    times: 2,
    fault: (_, response) => {
      response.destroy();
      return true;
    },
  },
  'a reset in the middle of the body': {
    times: 2,
    fault: (_, response) => {
      response.writeHead(200, { 'content-length': '999' });
      response.write('{"choices": [{"text": "half');
      setImmediate(() => response.destroy());
      return true;
    },
  },
  'a stall': { times: 1, timeoutMs: 150, fault: () => true },
  'a trickle': {
    times: 1,
    timeoutMs: 150,
    fault: (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
      return true;
    },
  },
};

function says(status: number, body: string, headers: Record<string, string> = {}): Fault {
  return (_, response) => {
    answer(response, status, body, headers);
    return true;
  };
}

for (const [name, { times, fault, timeoutMs }] of Object.entries(FAULTS)) {
  test(`${name}: every row is answered in the end, by its own answer`, async (t) => {
    const fake = await fakeServer(t, { fault: firstOfEach(times, fault) });
    const { pool } = poolOf(t, [fake], timeoutMs === undefined ? {} : { timeoutMs });
    await askAll(pool, 30);
    const { requests, requests_retried } = pool.stats();
    // A reset connection that was kept is sent again below the pool, and is no retry of its own.
    assert.ok(requests_retried! <= 30 * times && requests! === 30 + requests_retried!, `${requests}`);
    assert.equal(fake.of('/v1/completions').length, 30 * (times + 1));
  });
}

test('Retry-After is waited for by all, and a very long one is not', async (t) => {
  let first: number | null = null;
  const fake = await fakeServer(t, {
    fault: (request, response) => {
      if (first !== null) return undefined;
      first = request.at;
      return says(429, '{}', { 'retry-after': '0.3' })(request, response, fake);
    },
  });
  const { pool } = poolOf(t, [fake], { concurrency: { start: 1, most: 1 } });
  await askAll(pool, 3);
  assert.ok(fake.seen[1]!.at - first! >= 290, `${fake.seen[1]!.at - first!} ms`);
  const long = await fakeServer(t, { fault: firstOfEach(1, says(429, '{}', { 'retry-after': '9999' })) });
  await askAll(poolOf(t, [long], { limits: { ...FAST, longestRetryAfterMs: 50 } }).pool, 1);
});

test('a server that asks for no pause is not asked in a loop', async (t) => {
  const fake = await fakeServer(t, { fault: says(429, '{}', { 'retry-after': '0' }) });
  const { pool } = poolOf(t, [fake], {
    concurrency: { start: 1, most: 1 },
    limits: { ...FAST, backoffMs: 40, patienceMs: 400 },
  });
  await assert.rejects(
    pool.run((send) => textFrom(send, 'x'), never),
    /Nothing was answered for/,
  );
  // Between two requests there are 20 ms at least.
  assert.ok(fake.seen.length <= 22, `${fake.seen.length} requests in 400 ms`);
});

test('a row that is refused is an answer: the run has not been without one', async (t) => {
  const fake = await fakeServer(t, {
    fault: (request, response) =>
      says(request.body.prompt === 'busy' ? 503 : 400, '{"error":{"type":"exceed_context_size_error"}}')(
        request,
        response,
        fake,
      ),
  });
  const { pool } = poolOf(t, [fake], { limits: { ...FAST, patienceMs: 300 } });
  let isOver = false;
  const busy = pool
    .run((send) => textFrom(send, 'busy'), never)
    .finally(() => {
      isOver = true;
    });
  busy.catch(() => undefined);
  for (let i = 0; i < 30; i += 1) {
    await assert.rejects(
      pool.run((send) => textFrom(send, 'long'), never),
      RowError,
    );
    await sleep(20);
  }
  assert.equal(isOver, false);
  await assert.rejects(busy, /Nothing was answered for/);
});

test('those who wait for a server when the last one is lost wait for nothing', { timeout: 20_000 }, async (t) => {
  const fake = await fakeServer(t, { latencyMs: 20, fault: says(401, '{}') });
  const { pool } = poolOf(t, [fake], { concurrency: { start: 1, most: 1 } });
  const asked = Array.from({ length: 5 }, () => pool.run((send) => textFrom(send, 'x'), never));
  for (const one of await Promise.allSettled(asked))
    assert.match(String((one as PromiseRejectedResult).reason), /401.*No server is left/);
  assert.equal(fake.seen.length, 1);
});

test('a pause that ends while it is looked at wakes those who wait', { timeout: 20_000 }, async (t) => {
  const fake = await fakeServer(t, { fault: firstOfEach(1, says(429, '{}', { 'retry-after': '0.05' })) });
  const { pool } = poolOf(t, [fake], { concurrency: { start: 1, most: 1 } });
  // A clock on which much time passes between two looks.
  let ahead = 0;
  const clock = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => {
    ahead += 20;
    return clock() + ahead;
  });
  await askAll(pool, 10);
});

test('what cannot pass is asked once and is the row’s own failure', async (t) => {
  for (const [status, body, kind] of [
    [400, '{"error":{"message":"m","type":"exceed_context_size_error"}}', 'length'],
    [400, '{"error":{"message":"m","type":"invalid_request_error"}}', 'server'],
    [404, '{}', 'server'],
    [422, '{}', 'server'],
  ] as const) {
    const fake = await fakeServer(t, {
      fault: (request, response) =>
        request.body.prompt === 'row 1' ? says(status, body)(request, response, fake) : undefined,
    });
    const { pool } = poolOf(t, [fake]);
    const found = await Promise.allSettled([0, 1, 2].map((i) => pool.run((send) => textFrom(send, `row ${i}`), never)));
    assert.deepEqual(
      found.map(({ status: how }) => how),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    const { reason } = found[1] as PromiseRejectedResult;
    assert.ok(reason instanceof RowError && reason.kind === kind, String(reason));
    assert.equal(fake.of('/v1/completions').length, 3);
  }
});

test('a row on which the server always fails is that row’s failure after its tries, and the others go on', async (t) => {
  const fake = await fakeServer(t, {
    fault: (request, response) =>
      request.body.prompt === 'row 3' ? says(500, '{"error":{"message":"boom"}}')(request, response, fake) : undefined,
  });
  const { pool } = poolOf(t, [fake]);
  const found = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) => pool.run((send) => textFrom(send, `row ${i}`), never)),
  );
  assert.equal(found.filter(({ status }) => status === 'fulfilled').length, 7);
  const { reason } = found[3] as PromiseRejectedResult;
  assert.ok(reason instanceof RowError && /boom.*2 tries/.test(reason.message), String(reason));
});

test('rows that fail one after another end the run, and so does a server that answers nothing any more', async (t) => {
  const failing = await fakeServer(t, { fault: says(500, '{}') });
  const { pool } = poolOf(t, [failing]);
  const found = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) => pool.run((send) => textFrom(send, `row ${i}`), never)),
  );
  const reasons = found.map((one) => (one as PromiseRejectedResult).reason);
  assert.equal(reasons.filter((reason) => reason instanceof RowError).length, 4);
  assert.match(String(reasons.find((reason) => reason instanceof OutsideError)), /[5-8] rows in a row failed/);
  const busy = await fakeServer(t, { fault: says(503, '{}') });
  const patient = poolOf(t, [busy], { limits: { ...FAST, patienceMs: 200 } });
  await assert.rejects(
    patient.pool.run((send) => textFrom(send, 'x'), never),
    (error) => error instanceof OutsideError && /Nothing was answered for/.test(error.message),
  );
});

test('a server that dies is left out, its rows are asked elsewhere, and it is used again when it is back', async (t) => {
  const [dying, other] = [await fakeServer(t, { latencyMs: 10 }), await fakeServer(t, { latencyMs: 10 })];
  const { pool, said } = poolOf(t, [dying, other]);
  await askAll(pool, 40);
  assert.ok(dying.seen.length > 5 && other.seen.length > 5, `${dying.seen.length}, ${other.seen.length}`);
  const port = Number(new URL(dying.url).port);
  const asked = askAll(pool, 100);
  await sleep(30);
  await dying.close();
  await asked;
  assert.match(said.join('\n'), /is out of reach \(.*\): the others go on/);
  const back = await fakeServer(t, { latencyMs: 10 }, port);
  await sleep(60);
  await askAll(pool, 60);
  assert.ok(back.seen.length > 5, `${back.seen.length}`);
  assert.match(said.join('\n'), /answers again/);
});

test('one that is not usable is left out for good, and the last one that is so ends the run', async (t) => {
  const elsewhere = await fakeServer(t);
  const redirecting = await fakeServer(t, { fault: says(302, '', { location: elsewhere.url }) });
  const good = await fakeServer(t);
  const { pool, said } = poolOf(t, [redirecting, good]);
  await askAll(pool, 20);
  assert.match(said.join('\n'), /302.*it is left out/);
  assert.ok(redirecting.seen.length <= 4, `${redirecting.seen.length}`);
  const alone = poolOf(t, [redirecting]);
  await assert.rejects(
    alone.pool.run((send) => textFrom(send, 'x'), never),
    (error) => error instanceof OutsideError && /No server is left/.test(error.message),
  );
  assert.deepEqual(elsewhere.seen, []);
});

test('after a lost connection it is looked at before it is used; another model ends the run', async (t) => {
  const fake = await fakeServer(t, { fault: firstOfEach(1, says(200, 'x')) });
  let looks = 0;
  const { pool } = poolOf(t, [fake], {
    recheck: async () => {
      looks += 1;
    },
  });
  await pool.run((send) => textFrom(send, 'a'), never);
  assert.equal(looks, 0);
  const port = Number(new URL(fake.url).port);
  await fake.close();
  // Asked while nobody is there, and again when somebody is.
  const asked = pool.run((send) => textFrom(send, 'b'), never);
  await sleep(20);
  await fakeServer(t, {}, port);
  await asked;
  assert.ok(looks > 0);
  const before = looks;
  await pool.run((send) => textFrom(send, 'c'), never);
  assert.equal(looks, before);
  const other = await fakeServer(t, { fault: firstOfEach(1, FAULTS['a connection that is reset']!.fault) });
  const strict = poolOf(t, [other], {
    recheck: async () => {
      throw new OutsideError('another model');
    },
  });
  await assert.rejects(
    strict.pool.run((send) => textFrom(send, 'a'), never),
    /another model/,
  );
});

test('jobs that want a server to themselves have it, one at a time on each', async (t) => {
  const fakes = [await fakeServer(t, { latencyMs: 15 }), await fakeServer(t, { latencyMs: 15 })];
  const { pool } = poolOf(t, fakes);
  const two = async (send: Send) => [await textFrom(send, 'a'), await textFrom(send, 'b')];
  await Promise.all(Array.from({ length: 10 }, () => pool.run(two, never, { alone: true })));
  for (const { peak, seen } of fakes) {
    assert.equal(peak, 1);
    assert.ok(seen.length >= 6);
    // Both requests of a job go to one server.
    assert.deepEqual(seen.map(({ body }) => body.prompt).join(''), 'ab'.repeat(seen.length / 2));
  }
});

test('an abort ends what waits and what is under way, and leaves nothing behind', async (t) => {
  const fake = await fakeServer(t, { fault: () => true });
  const { pool } = poolOf(t, [fake]);
  const stop = new AbortController();
  const asked = Array.from({ length: 40 }, () => pool.run((send) => textFrom(send, 'x'), stop.signal));
  setTimeout(() => stop.abort(new Error('enough')), 50);
  for (const one of await Promise.allSettled(asked))
    assert.match(String((one as PromiseRejectedResult).reason), /enough/);
  assert.ok(fake.seen.length <= 8);
  fake.options.fault = () => undefined;
  await askAll(pool, 5);
});
