/** One GET against small servers: where the token goes, what each status means, and every wait with its end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refused, Transient } from '../../nanoeval/data/http_errors.ts';
import { HTTP_LIMITS } from '../../nanoeval/data/http_limits.ts';
import { type HubClient, request } from '../../nanoeval/data/http_request.ts';
import { Interrupted, OutsideError } from '../../nanoeval/types.ts';
import { collect } from './hub_server.ts';
import { serve } from './small_server.ts';

const SECRET = 'hf_secret_token';
const WAIT_MS = 5000;

function clientOf(endpoint: string, limits = {}, signal?: AbortSignal): HubClient {
  return { origin: new URL(endpoint).origin, token: SECRET, limits: { ...HTTP_LIMITS, ...limits }, signal };
}

const text = async (client: HubClient, url: string) =>
  Buffer.concat(await collect((await request(client, url, {}, WAIT_MS)).body())).toString();

test('the token goes to the hub and to nobody else, also on a redirect back', async (t) => {
  const seen: [string, string | undefined][] = [];
  let hub = '';
  const other = await serve(t, (request, response) => {
    seen.push(['other', request.headers.authorization]);
    response.writeHead(302, { location: `${hub}/end` }).end();
  });
  hub = await serve(t, (request, response) => {
    seen.push(['hub', request.headers.authorization]);
    if (request.url === '/start') response.writeHead(302, { location: `${other}/x?sig=1` }).end('moved');
    else if (request.url === '/relative') response.writeHead(307, { location: 'end' }).end();
    else response.end('done');
  });
  const client = clientOf(hub);
  assert.equal(await text(client, `${hub}/start`), 'done');
  assert.deepEqual(seen, [
    ['hub', `Bearer ${SECRET}`],
    ['other', undefined],
    ['hub', `Bearer ${SECRET}`],
  ]);
  assert.equal(await text(client, `${hub}/relative`), 'done');
});

test('refusals carry status and code, and no query', async (t) => {
  const hub = await serve(t, (_, response) => response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end('no'));
  await assert.rejects(
    request(clientOf(hub), `${hub}/a?Signature=1`, {}, WAIT_MS),
    (error) =>
      error instanceof Refused &&
      error.status === 404 &&
      error.code === 'EntryNotFound' &&
      !error.message.includes('Signature'),
  );
});

test('which statuses are answers, which are worth another try', async (t) => {
  const hub = await serve(t, (request, response) => {
    const status = Number(request.url?.slice(1));
    response.writeHead(status, { 'retry-after': '3' }).end(status === 304 ? undefined : 'body');
  });
  const client = clientOf(hub);
  const outcome = (status: number, from = client) =>
    request(from, `${hub}/${status}`, {}, WAIT_MS).then(
      async (answer) => {
        await answer.discard();
        return answer.status;
      },
      (error: Error) => error,
    );
  for (const status of [200, 206, 304, 412, 416]) assert.equal(await outcome(status), status);
  for (const status of [408, 429, 500, 503]) {
    const error = await outcome(status);
    assert.ok(error instanceof Transient && error.retryAfterMs === 3000, `${status}: ${error}`);
  }
  for (const status of [400, 401, 403, 404]) assert.ok((await outcome(status)) instanceof Refused, `${status}`);
  // Not from the hub: a signed address that ran out.
  const elsewhere = await outcome(403, clientOf('http://hub.example'));
  assert.ok(elsewhere instanceof Transient && /403 from the signed address/.test(elsewhere.message));
});

test('redirects without end, and to what is no address', async (t) => {
  const hub = await serve(t, (request, response) => {
    response.writeHead(302, { location: request.url === '/bad' ? 'http://[' : '/again?Signature=1' }).end();
  });
  const client = clientOf(hub, { redirects: 3 });
  await assert.rejects(
    request(client, `${hub}/loop`, {}, WAIT_MS),
    (error) => error instanceof OutsideError && /\/loop: 4 redirects and no end/.test(error.message),
  );
  await assert.rejects(
    request(client, `${hub}/bad`, {}, WAIT_MS),
    (error) => error instanceof OutsideError && /redirected to "http:\/\/\[", which is no address/.test(error.message),
  );
});

test('no answer at all, and an abort while waiting', async (t) => {
  const hub = await serve(t, () => {});
  await assert.rejects(
    request(clientOf(hub), hub, {}, 100),
    (error) => error instanceof Transient && /no answer in 0.1 s/.test(error.message),
  );
  const abort = new AbortController();
  const client = clientOf(hub, {}, abort.signal);
  setTimeout(() => abort.abort(), 50);
  await assert.rejects(request(client, hub, {}, WAIT_MS), Interrupted);
  await assert.rejects(request(client, hub, {}, WAIT_MS), Interrupted);
});

test('a body that stops, and one that trickles', async (t) => {
  const hub = await serve(t, (request, response) => {
    response.write('a');
    if (request.url === '/trickle') {
      const timer = setInterval(() => response.write('b'), 20);
      response.on('close', () => clearInterval(timer));
    }
  });
  const read = (path: string, limits: object) => text(clientOf(hub, limits), `${hub}${path}`);
  await assert.rejects(
    read('/stop', { stallTimeoutMs: 100 }),
    (error) => error instanceof Transient && /no bytes for 0.1 s/.test(error.message),
  );
  await assert.rejects(
    read('/trickle', { speedWindowMs: 200 }),
    (error) => error instanceof Transient && /bytes a second over .* is too slow/.test(error.message),
  );
});

test('a consumer that takes its time is not a slow server', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let passed = 0;
  const now = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => now() + passed);
  let rest: (() => void) | undefined;
  const hub = await serve(t, (_, response) => {
    response.write('a');
    rest = () => response.end('b');
  });
  const client = clientOf(hub, { stallTimeoutMs: 150, speedWindowMs: 150 });
  const answer = await request(client, hub, {}, WAIT_MS);
  let got = '';
  for await (const piece of answer.body()) {
    got += Buffer.from(piece).toString();
    // An hour in which the consumer holds the piece: every wait that still counted would end.
    passed += 3_600_000;
    t.mock.timers.tick(3_600_000);
    rest?.();
  }
  assert.equal(got, 'ab');
});

test('a body left early closes the connection', async (t) => {
  let closed: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const hub = await serve(t, (_, response) => {
    response.on('close', () => closed?.());
    response.write(Buffer.alloc(1000));
  });
  const answer = await request(clientOf(hub), hub, {}, WAIT_MS);
  for await (const _ of answer.body()) break;
  await gone;
});
