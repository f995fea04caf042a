/** The keys of servers: what they take, and that they are the keys which the backends claim. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { BACKENDS, isServer } from '../../nanoeval/config/backends.ts';
import { serverKeys, startedServer } from '../../nanoeval/config/server.ts';

const section = z.strictObject(serverKeys);

test('every backend that asks servers has all of them, and others none', () => {
  for (const [name, { model }] of Object.entries(BACKENDS)) {
    const own = Object.keys(serverKeys).filter((key) => (model as readonly string[]).includes(key));
    assert.deepEqual(own, isServer(name as keyof typeof BACKENDS) ? Object.keys(serverKeys) : [], name);
  }
  assert.deepEqual(
    ['onnx', 'vllm', 'llama_cpp', 'openai'].map((name) => isServer(name as keyof typeof BACKENDS)),
    [false, true, true, true],
  );
});

test('a server to start: whatever is not said has its default', () => {
  assert.deepEqual(section.parse({ server: {} }).server, {
    args: [],
    port: 'auto',
    ready_timeout: 900,
    autostart: true,
  });
  const given = {
    command: ['uv', 'run', 'vllm'],
    model: 'a/b',
    args: ['-c', 4096],
    port: 8000,
    ready_timeout: 1.5,
    autostart: false,
  };
  assert.deepEqual(section.parse({ server: given }).server, given);
  assert.equal(startedServer.parse({ command: 'x' }).command, 'x');
  for (const wrong of [
    { command: [] },
    { command: '' },
    { args: '-c 4096' },
    { port: 'any' },
    { port: 0 },
    { port: 70_000 },
    { ready_timeout: 0 },
    { autostart: 'no' },
    { modell: 'x' },
  ])
    assert.equal(section.safeParse({ server: wrong }).success, false, JSON.stringify(wrong));
});

test('one address or several, a name of a variable, whole numbers of requests, seconds', () => {
  const given = { base_url: ['http://a', 'http://b'], api_key_env: 'MY_KEY', max_concurrency: 4, request_timeout: 1.5 };
  assert.deepEqual(section.parse(given), given);
  assert.deepEqual(section.parse({}), {});
  for (const wrong of [
    { base_url: [] },
    { base_url: '' },
    { base_url: 8000 },
    { api_key_env: 'sk-1234' },
    { max_concurrency: 0 },
    { max_concurrency: 1.5 },
    { request_timeout: 0 },
  ])
    assert.equal(section.safeParse(wrong).success, false, JSON.stringify(wrong));
});
