/** The server of a run under way; what its page does with it is in tests/page/live.test.ts. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Live, openLive } from '../../nanoeval/run/live.ts';
import { rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('live');
after(folder.remove);
const path = join(folder.path, 'rows.jsonl');
const primary = { name: 'acc', unit: 'share', better: 'higher', chance: null } as const;

async function served(body: (live: Live) => Promise<void>): Promise<void> {
  const live = await openLive({
    task: 'toy',
    model: 'm',
    facts: [],
    primary,
    folder: folder.path,
    predictions: 'rows.jsonl',
    total: 3,
  });
  try {
    await body(live);
  } finally {
    live.close();
  }
}

/** Status and body, with headers of one's own, as another program of the machine may send them. */
function ask(
  address: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; body: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    get(address, { headers, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }));
    }).on('error', reject);
  });
}

test('rows so far, then those that came; a row and a search', async () => {
  appendFileSync(path, `${JSON.stringify(rankedRow(0, 1, 1))}\n`);
  await served(async ({ address }) => {
    const json = async (what: string) => JSON.parse((await ask(address + what)).body);
    assert.deepEqual(await json('rows?from=0').then(({ index, done, total, status }) => [index, done, total, status]), [
      [0],
      false,
      3,
      'r',
    ]);
    appendFileSync(path, `${JSON.stringify(rankedRow(1, 1, 0, { output: 'Some "Words"' }))}\n{"half`);
    assert.deepEqual((await json('rows?from=1')).index, [1]);
    assert.deepEqual((await json('rows?from=2')).index, []);
    assert.equal((await json('row?place=1')).detail.output, 'Some "Words"');
    assert.equal((await json('row?place=1')).prompt, null);
    assert.deepEqual(await json('search?block=0&text=some%20%22w'), [1]);
    assert.deepEqual(await json('search?block=7&text=some'), []);
    assert.equal((await ask(`${address}row?place=5`)).status, 404);
  });
});

test('the page comes with the token alone; nothing else of the folder or the disk does', async () => {
  await served(async ({ address }) => {
    const { origin, host } = new URL(address);
    const page = await ask(address);
    assert.equal(page.status, 200);
    assert.match(page.body, /connect-src 'self'/);
    assert.deepEqual([page.headers['cache-control'], page.headers['x-frame-options']], ['no-store', 'DENY']);
    assert.match(new URL(address).pathname, /^\/[\w-]{24}\/$/);
    const others = ['/', '/rows?from=0', `/${'x'.repeat(24)}/`, new URL(address).pathname.slice(0, -1), '//'];
    for (const other of others) assert.equal((await ask(origin + other)).status, 404, other);
    for (const name of [
      'rows.jsonl',
      'run.json',
      '../rows.jsonl',
      '%2e%2e/rows.jsonl',
      'rows/../../x',
      'row',
      'rows?from=-1',
      'rows',
    ])
      assert.equal((await ask(address + name)).status, 404, name);
    assert.equal((await ask(address, { host: `evil.example:${new URL(address).port}` })).status, 403);
    assert.equal((await ask(address, { host: host.replace('127.0.0.1', 'localhost') })).status, 200);
    assert.equal((await ask(address, {}, 'POST')).status, 405);
  });
});

test('two runs have other tokens, and nothing answers when the run is over', async () => {
  const addresses: string[] = [];
  for (let i = 0; i < 2; i += 1) await served(async ({ address }) => void addresses.push(address));
  assert.notEqual(new URL(addresses[0]!).pathname, new URL(addresses[1]!).pathname);
  await assert.rejects(ask(addresses[1]!), /ECONNREFUSED/);
});

test('what goes wrong is told to who asked, and the next question is answered', async () => {
  appendFileSync(path, 'no JSON\n');
  await served(async ({ address }) => {
    const { status, body } = await ask(`${address}rows?from=0`);
    assert.equal(status, 500);
    assert.match(body, /JSON/);
    assert.equal((await ask(address)).status, 200);
  });
});
