/** openHttp against small servers of its own: what the hub server does not do. One GET alone: http_request.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHttp } from '../../nanoeval/data/http.ts';
import { Transient } from '../../nanoeval/data/http_errors.ts';
import { Interrupted, OutsideError } from '../../nanoeval/types.ts';
import { collect } from './hub_server.ts';
import { serve } from './small_server.ts';

const SECRET = 'hf_secret_token';

function open(endpoint: string, limits = {}, signal?: AbortSignal) {
  const lines: string[] = [];
  const log = { info: (line: string) => void lines.push(line), progress() {} };
  const http = openHttp({ endpoint, token: SECRET, log, signal, limits: { backoffMs: 5, ...limits } });
  return { http, lines };
}

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

test('an abort while waiting for the next try', async () => {
  const waiting = new AbortController();
  const { http } = open('http://127.0.0.1:2', { backoffMs: 60_000, longestBackoffMs: 60_000 }, waiting.signal);
  setTimeout(() => waiting.abort(), 50);
  await assert.rejects(
    http.retry('it', () => Promise.reject(new Transient('x'))),
    Interrupted,
  );
  await assert.rejects(
    http.retry('it', async () => 1),
    Interrupted,
  );
});

test('files come as they are stored, and with the token; the library cannot send its own', async (t) => {
  const seen: (string | undefined)[][] = [];
  const hub = await serve(t, (request, response) => {
    seen.push([request.headers['accept-encoding'], request.headers.range, request.headers.authorization]);
    response.end('{}');
  });
  const { http } = open(hub);
  assert.equal(http.endpoint, hub);
  await collect((await http.get(`${hub}/file`, { range: 'bytes=1-' })).body());
  assert.match(seen[0]?.[0] ?? '', /^identity/); // fetch adds one more of its own to a range
  assert.deepEqual(seen[0]?.slice(1), ['bytes=1-', `Bearer ${SECRET}`]);
  const other = await serve(t, (request, response) => {
    seen.push([request.headers.authorization]);
    response.end('{}');
  });
  await http.apiFetch(`${other}/api`, { headers: { Authorization: `Bearer ${SECRET}` } });
  assert.deepEqual(seen[1], [undefined]);
  await assert.rejects(http.apiFetch(hub, { method: 'POST' }), /only GET can be repeated safely/);
});

test('an API answer that is not whole JSON is asked for again', async (t) => {
  let asked = 0;
  const hub = await serve(t, (_, response) => response.end(++asked === 1 ? '{"a":' : '{"a":1}'));
  const { http, lines } = open(hub);
  assert.deepEqual(await (await http.apiFetch(`${hub}/api`)).json(), { a: 1 });
  assert.match(lines.join(), /the answer is not whole JSON; try 2 of 5/);
});
