/** openHttp against small servers of its own: what the hub server does not do. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openHttp, Refused, retryAfterMs, Transient, withoutQuery } from '../../nanoeval/data/http.ts';
import { Interrupted, OutsideError } from '../../nanoeval/types.ts';
import { collect } from './hub_server.ts';

const SECRET = 'hf_secret_token';

async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function open(endpoint: string, limits = {}, signal?: AbortSignal) {
  const lines: string[] = [];
  const log = { info: (line: string) => void lines.push(line), progress() {} };
  const http = openHttp({ endpoint, token: SECRET, log, signal, limits: { backoffMs: 5, ...limits } });
  return { http, lines };
}

const text = async (http: ReturnType<typeof openHttp>, url: string) =>
  Buffer.concat(await collect((await http.get(url)).body())).toString();

test('Retry-After: seconds, a date, neither', () => {
  assert.equal(retryAfterMs('3'), 3000);
  assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT', Date.parse('2015-10-21T07:28:00Z')), 10_000);
  assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT'), 0);
  assert.deepEqual([retryAfterMs(null), retryAfterMs(''), retryAfterMs('soon')], [null, null, null]);
});

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
  const { http } = open(hub);
  assert.equal(await text(http, `${hub}/start`), 'done');
  assert.deepEqual(seen, [
    ['hub', `Bearer ${SECRET}`],
    ['other', undefined],
    ['hub', `Bearer ${SECRET}`],
  ]);
  assert.equal(await text(http, `${hub}/relative`), 'done');
  seen.length = 0;
  await http.apiFetch(`${other}/api`, { headers: { Authorization: `Bearer ${SECRET}` } }).catch(() => undefined);
  assert.equal(seen[0]?.[1], undefined);
});

test('retries: what the server says, how long, how often', async (t) => {
  let asked = 0;
  const hub = await serve(t, (_, response) => {
    asked++;
    if (asked < 3) response.writeHead(503, { 'retry-after': '0' }).end();
    else response.end('{"a":1}');
  });
  const { http, lines } = open(hub);
  assert.deepEqual(await (await http.apiFetch(`${hub}/api/x`)).json(), { a: 1 });
  assert.match(lines.join('\n'), /api\/x: .*: 503; try 2 of 5 in .*\n.*try 3 of 5/);
  let tried = 0;
  const failing = () => {
    tried++;
    return Promise.reject(new Transient('cut'));
  };
  await assert.rejects(
    http.retry('it', failing),
    (error) => error instanceof OutsideError && error.message === 'it: cut (5 tries)',
  );
  assert.equal(tried, 5);
  await assert.rejects(
    http.retry('it', () => Promise.reject(new Transient('busy', { retryAfterMs: 121_000 }))),
    /asks to wait 121 s/,
  );
  await assert.rejects(
    http.retry('it', () => Promise.reject(new TypeError('bug'))),
    TypeError,
  );
});

test('a 429 without Retry-After: the time of the RateLimit header', async (t) => {
  const hub = await serve(t, (_, response) => response.writeHead(429, { ratelimit: '"api";r=0;t=300' }).end());
  const { http } = open(hub);
  await assert.rejects(
    http.apiFetch(`${hub}/api/x`),
    (error) => error instanceof OutsideError && /asks to wait 300 s/.test(error.message),
  );
});

test('progress starts the count of tries again', async () => {
  const { http } = open('http://127.0.0.1:2', { progressBytes: 100 });
  let tried = 0;
  const work = async (progressed: (bytes: number) => void) => {
    if (++tried <= 20) progressed(100);
    throw new Transient('cut');
  };
  await assert.rejects(http.retry('it', work), OutsideError);
  assert.equal(tried, 24);
});

test('refusals carry status and code, and no query', async (t) => {
  const hub = await serve(t, (_, response) => response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end('no'));
  const { http } = open(hub);
  await assert.rejects(
    http.get(`${hub}/a?Signature=1`),
    (error) =>
      error instanceof Refused &&
      error.status === 404 &&
      error.code === 'EntryNotFound' &&
      !error.message.includes('Signature'),
  );
  assert.equal(withoutQuery('http://x/y?z#a'), 'http://x/y');
});

test('no answer at all, and an abort while waiting', async (t) => {
  const hub = await serve(t, () => {});
  await assert.rejects(
    open(hub, { headersTimeoutMs: 100 }).http.get(hub),
    (error) => error instanceof Transient && /no answer in 0.1 s/.test(error.message),
  );
  const abort = new AbortController();
  const { http } = open(hub, {}, abort.signal);
  setTimeout(() => abort.abort(), 50);
  await assert.rejects(http.get(hub), Interrupted);
  await assert.rejects(http.get(hub), Interrupted);
  const waiting = new AbortController();
  const slow = open(hub, { backoffMs: 60_000, longestBackoffMs: 60_000 }, waiting.signal);
  setTimeout(() => waiting.abort(), 50);
  await assert.rejects(
    slow.http.retry('it', () => Promise.reject(new Transient('x'))),
    Interrupted,
  );
});

test('a consumer that takes its time is not a slow server', async (t) => {
  const hub = await serve(t, (_, response) => {
    response.write('a');
    setTimeout(() => response.end('b'), 50);
  });
  const { http } = open(hub, { stallTimeoutMs: 150, speedWindowMs: 150 });
  const answer = await http.get(hub);
  let got = '';
  for await (const piece of answer.body()) {
    got += Buffer.from(piece).toString();
    await new Promise((resolve) => setTimeout(resolve, 300));
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
  const answer = await open(hub).http.get(hub);
  for await (const _ of answer.body()) break;
  await gone;
});
