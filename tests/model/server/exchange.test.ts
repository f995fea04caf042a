/** One request to one server: what comes back, what goes wrong, and where the key goes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer as createSecure } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openExchange, whenAborted } from '../../../nanoeval/model/server/exchange.ts';
import { Passing, type PassingKind, Refusal, Unusable } from '../../../nanoeval/model/server/faults.ts';
import { temporaryFolder } from '../../spawn.ts';
import { answer, answerTo, type Fault, fakeServer, type StreamFault, streamFault } from './fake_server.ts';

async function opened(t: TestContext, fault: Fault, options: { key?: string; timeoutMs?: number } = {}) {
  const fake = await fakeServer(t, { fault });
  const exchange = openExchange(fake.url, { key: options.key ?? null, timeoutMs: options.timeoutMs ?? 5_000 });
  t.after(() => exchange.close());
  return { fake, exchange, post: (body: unknown = {}) => exchange.send('POST', '/v1/completions', body) };
}

const passing = (kind: PassingKind, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Passing, String(error));
  assert.equal(error.kind, kind);
  assert.match(error.message, words);
  return true;
};

test('a JSON answer is parsed, connections are kept, and the body arrives as it was sent', async (t) => {
  const ports = new Set<number | undefined>();
  const { exchange, fake } = await opened(t, (_, response) => {
    ports.add(response.socket?.remotePort);
    return undefined;
  });
  for (let i = 0; i < 5; i += 1) {
    const body = { model: 'toy', prompt: `日本 "${i}"`, max_tokens: 1 };
    const found = (await exchange.send('POST', '/v1/completions', body)) as { choices: unknown[] };
    assert.equal(found.choices.length, 1);
    assert.deepEqual(fake.seen.at(-1)?.body, body);
  }
  assert.equal(ports.size, 1, 'one connection for all');
  assert.deepEqual(await exchange.send('GET', '/version'), { version: '1' });
});

test('each status means what it says', async (t) => {
  let next = { status: 200, body: '', headers: {} as Record<string, string> };
  const { post } = await opened(t, (_, response) => {
    answer(response, next.status, next.body, next.headers);
    return true;
  });
  const cases: [number, PassingKind][] = [
    [408, 'timeout'],
    [429, 'busy'],
    [500, 'error'],
    [502, 'gateway'],
    [503, 'busy'],
    [504, 'gateway'],
  ];
  for (const [status, kind] of cases) {
    next = { status, body: '{"error":{"message":"so it is","type":"some_error"}}', headers: {} };
    await assert.rejects(post(), passing(kind, new RegExp(`/v1/completions: ${status} some_error: so it is$`)));
  }
  for (const status of [400, 404, 413, 422, 501]) {
    next = { status, body: '{"error":{"message":"no","type":"bad"}}', headers: {} };
    await assert.rejects(
      post(),
      (error) => error instanceof Refusal && error.status === status && error.type === 'bad',
    );
  }
  for (const status of [401, 403]) {
    next = { status, body: '{"error":"Unauthorized"}', headers: {} };
    await assert.rejects(post(), (error) => error instanceof Unusable && error.key === 'model.api_key_env');
  }
  next = { status: 429, body: '', headers: { 'retry-after': '7' } };
  await assert.rejects(post(), (error) => error instanceof Passing && error.retryAfterMs === 7000);
  next = { status: 502, body: '<html><head><title>502 Bad Gateway</title></head></html>', headers: {} };
  await assert.rejects(post(), passing('gateway', /502 Bad Gateway$/));
});

test('a 200 that is no JSON is a garbled answer; an empty one is a server that is well', async (t) => {
  let text = '<html>it works</html>';
  const { post, exchange } = await opened(t, (_, response) => {
    answer(response, 200, text);
    return true;
  });
  await assert.rejects(post(), passing('garbled', /not JSON: "it works"/));
  text = '{"choices": [';
  await assert.rejects(post(), passing('garbled', /not JSON/));
  text = '';
  assert.equal(await exchange.send('GET', '/health'), null);
});

test('statuses that a caller knows are given back with their answer', async (t) => {
  const { exchange } = await opened(t, (_, response) => {
    answer(response, 500, { error: { message: 'grammar' } });
    return true;
  });
  assert.deepEqual(await exchange.send('POST', '/completion', {}, { accept: [500] }), {
    error: { message: 'grammar' },
  });
});

test('a stall, a trickle without end and a body that stops end at the deadline; a lost connection at once', async (t) => {
  let fault: Fault = () => true;
  const { post } = await opened(t, (...given) => fault(...given), { timeoutMs: 300 });
  const began = performance.now();
  await assert.rejects(post(), passing('timeout', /no whole answer in 0.3 s/));
  assert.ok(performance.now() - began < 2_000);
  fault = (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
    return true;
  };
  await assert.rejects(post(), passing('timeout', /0.3 s/));
  fault = (_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"choices": [');
    setTimeout(() => response.destroy(), 20);
    return true;
  };
  await assert.rejects(post(), passing('cut', /ECONNRESET|aborted/));
  fault = (_, response) => {
    response.destroy();
    return true;
  };
  await assert.rejects(post(), passing('cut', /ECONNRESET/));
});

test('a stream is put together, as slow as it may be; what goes wrong in its middle is told at once', async (t) => {
  let kind: StreamFault = 'trickle';
  const { exchange } = await opened(t, (_, response) => {
    streamFault(response, kind, 'x');
    return true;
  });
  const post = (options: object = {}) =>
    exchange.send('POST', '/v1/completions', { stream: true }, { idleMs: 1_000, ...options });
  assert.deepEqual(await post(), {
    model: 'toy',
    usage: { prompt_tokens: 1, completion_tokens: 1 },
    choices: [{ text: answerTo('x'), finish_reason: 'stop' }],
  });
  assert.equal(exchange.losses, 0);
  for (const [fault, wanted, words] of [
    ['ended', 'cut', /the stream ended in the middle of the answer$/],
    ['cut', 'cut', /the stream ended in the middle of the answer$/],
    ['reset', 'cut', /ECONNRESET|aborted/],
    ['error', 'error', /\/v1\/completions: 500 InternalServerError: so it is$/],
    ['no JSON', 'garbled', /not JSON in a stream$/],
  ] as const) {
    kind = fault;
    await assert.rejects(post(), passing(wanted, words), fault);
  }
  kind = 'too long';
  await assert.rejects(post(), (error) => error instanceof Refusal && error.type === 'exceed_context_size_error');
  // A server that still says that it lives has stopped to answer all the same.
  for (const fault of ['stall', 'pings'] as const) {
    kind = fault;
    await assert.rejects(
      post({ idleMs: 200 }),
      passing('timeout', /the answer stopped for 0.2 s in its middle$/),
      fault,
    );
  }
  kind = 'trickle';
  await assert.rejects(post({ timeoutMs: 150 }), passing('timeout', /no whole answer in 0.15 s/));
});

test('an answer that is no stream is taken as it is, unless a stream is what is looked for', async (t) => {
  const { exchange } = await opened(t, () => undefined);
  const body = { model: 'toy', prompt: 'x' };
  const answered = (await exchange.send('POST', '/v1/completions', body, { idleMs: 500 })) as { model: string };
  assert.equal(answered.model, 'toy');
  await assert.rejects(
    exchange.send('POST', '/v1/completions', body, { idleMs: 500, streamed: true }),
    passing('garbled', /no stream, which was asked for$/),
  );
});

test('nobody listens there: out of reach', async () => {
  const exchange = openExchange('http://127.0.0.1:9', { key: null, timeoutMs: 2_000 });
  await assert.rejects(exchange.send('GET', '/v1/models'), passing('unreachable', /ECONNREFUSED/));
  assert.equal(exchange.losses, 1);
});

test('a kept connection that was closed on the other side is no failure: the request is sent again on a new one', async (t) => {
  const { fake, exchange, post } = await opened(t, () => undefined);
  await post({ model: 'toy', prompt: 'a' });
  // The server closes it without the client having looked.
  let closed = false;
  fake.options.fault = (_, response) => {
    if (closed) return undefined;
    closed = true;
    response.socket?.destroy();
    return true;
  };
  await post({ model: 'toy', prompt: 'b' });
  assert.equal(exchange.losses, 1, 'it is remembered that one was lost');
  assert.equal(fake.of('/v1/completions').length, 3);
});

test('an aborted signal ends a request with its reason, before and under way', async (t) => {
  const { exchange } = await opened(t, () => true);
  const stop = new AbortController();
  const asked = exchange.send('POST', '/v1/completions', {}, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 30);
  await assert.rejects(asked, /^Error: enough$/);
  await assert.rejects(exchange.send('POST', '/x', {}, { signal: stop.signal }), /^Error: enough$/);
});

test('one listener for all that wait for a signal; who has left is not called', () => {
  const stop = new AbortController();
  const called: number[] = [];
  const leave = [1, 2, 3].map((i) => whenAborted(stop.signal, () => called.push(i)));
  leave[1]!();
  stop.abort();
  assert.deepEqual(called, [1, 3]);
});

test('the key goes to the server alone: a redirect is not followed, whoever it leads to', async (t) => {
  const other = await fakeServer(t);
  for (const [status, to] of [
    [301, other.url],
    [302, `${other.url}/v1/completions?x=sk-secret`],
    [307, other.url],
    [308, '/v2/completions'],
  ] as const) {
    const { post, fake } = await opened(
      t,
      (_, response) => {
        answer(response, status, '', { location: to });
        return true;
      },
      { key: 'sk-secret' },
    );
    await assert.rejects(post(), (error) => {
      assert.ok(error instanceof Unusable && error.key === 'model.base_url');
      assert.doesNotMatch(error.message, /sk-secret/);
      return true;
    });
    assert.equal(fake.seen.length, 1);
    assert.equal(fake.seen[0]!.headers.authorization, 'Bearer sk-secret');
  }
  assert.deepEqual(other.seen, [], 'nothing was asked there');
});

test('a server that repeats the key in its words has it taken out', async (t) => {
  let status = 400;
  const { post } = await opened(
    t,
    ({ headers }, response) => {
      answer(response, status, {
        error: { message: `bad: ${headers.authorization}`, type: `t ${headers.authorization}` },
      });
      return true;
    },
    { key: 'sk-secret' },
  );
  for (status of [400, 401, 429, 500, 502]) {
    await assert.rejects(post(), (error) => {
      assert.match((error as Error).message, /bad: Bearer \*\*\*/);
      assert.doesNotMatch(JSON.stringify([error, (error as Error).message, (error as Error).stack]), /sk-secret/);
      return true;
    });
  }
  status = 200;
  const garbledOne = await opened(
    t,
    ({ headers }, response) => {
      answer(response, 200, `<p>${headers.authorization}</p>`);
      return true;
    },
    { key: 'sk-secret' },
  );
  await assert.rejects(garbledOne.post(), (error) => !/sk-secret/.test((error as Error).message));
});

test('a certificate that nobody vouches for is refused; one that is trusted is taken', async (t) => {
  const folder = temporaryFolder('tls');
  t.after(() => folder.remove());
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder.path, name)) as [string, string];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],
  ]);
  if (made.error !== undefined || made.status !== 0) return t.skip('openssl makes no certificate here');
  const server = createSecure({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
    answer(response, 200, { ok: true });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const base = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const wary = openExchange(base, { key: 'sk-secret', timeoutMs: 5_000 });
  await assert.rejects(wary.send('GET', '/v1/models'), (error) => {
    assert.ok(error instanceof Unusable && error.key === 'model.base_url');
    assert.match(error.message, /no secure connection \(DEPTH_ZERO_SELF_SIGNED_CERT\)/);
    return true;
  });
  const trusting = openExchange(base, { key: null, timeoutMs: 5_000, ca: readFileSync(cert, 'utf8') });
  assert.deepEqual(await trusting.send('GET', '/v1/models'), { ok: true });
  trusting.close();
});

test('what speaks no HTTP or no TLS is told', async (t) => {
  const server = createTcp((socket: Socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('SSH-2.0-x\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const plain = openExchange(`http://127.0.0.1:${port}`, { key: null, timeoutMs: 2_000 });
  await assert.rejects(plain.send('GET', '/v1/models'), passing('cut', /HPE_/));
  const secure = openExchange(`https://127.0.0.1:${port}`, { key: null, timeoutMs: 2_000 });
  await assert.rejects(secure.send('GET', '/v1/models'), (error) => error instanceof Unusable);
});
