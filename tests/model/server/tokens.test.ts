/** Texts to ids over HTTP: lm-eval's split, BOS once, special tokens where they are meant. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import {
  bosOf,
  Coder,
  contextOf,
  LLAMA_ROUTES,
  plainText,
  type TokenRoutes,
  vllmRoutes,
} from '../../../nanoeval/model/server/tokens.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { byteLevelTokenizer } from '../fixtures.ts';
import { stub } from './asking.ts';

const recorded = (name: string) => {
  const file = new URL(`../../fixtures/servers/llama_server/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).pairs as {
    request: { path: string; body: Record<string, unknown> };
    response: { body: unknown };
  }[];
};
const none = stub(() => null).send;

/** A tokenizer of the checkpoints behind routes. */
const local = byteLevelTokenizer();
const routesOf = (framed: (ids: number[]) => number[] = (ids) => ids): TokenRoutes => ({
  encode: async (_, text) => local.encodePlain(text),
  encodeFramed: async (_, text) => framed(local.encodePlain(text)),
  render: async (_, messages) => messages.map(({ content }) => content).join('\n'),
});
const rowError = (kind: string, words: RegExp) => (error: unknown) =>
  error instanceof RowError && error.kind === kind && words.test(error.message);

test('llama-server: what is sent is what a real one was sent, and its answers are read', async () => {
  const pairs = [...recorded('tokenize'), ...recorded('apply_template')];
  const { send } = stub((path, body) => {
    const { content, messages, parse_special = true } = body as Record<string, unknown>;
    const found = pairs.find(({ request }) => {
      if (request.path !== path) return false;
      if (path === '/apply-template') return JSON.stringify(request.body.messages) === JSON.stringify(messages);
      return request.body.content === content && (request.body.parse_special ?? true) === parse_special;
    });
    return found?.response.body ?? assert.fail(`${path} ${JSON.stringify(body)} was not recorded`);
  });
  const turn = '<|im_start|>user\nHi<|im_end|>';
  assert.deepEqual(await LLAMA_ROUTES.encode(send, turn, true), [1, 4093, 198, 26843, 2]);
  assert.equal((await LLAMA_ROUTES.encode(send, turn, false)).length, 17);
  assert.match(
    await LLAMA_ROUTES.render(send, [{ role: 'user', content: 'Say A.' }]),
    /^<\|im_start\|>system\nYou are/,
  );
  // A server that did not understand the body answers with no tokens.
  const misread = stub(() => ({ tokens: [] })).send;
  await assert.rejects(LLAMA_ROUTES.encode(misread, 'a', false), Passing);
  assert.deepEqual(await LLAMA_ROUTES.encode(misread, '', false), []);
});

test('vLLM: the routes as its schemas have them', async () => {
  const { send, sent } = stub((path) => (path === '/tokenize' ? { tokens: [5, 6] } : { prompt: 'rendered' }));
  const routes = vllmRoutes('m');
  assert.deepEqual(await routes.encode(send, 'a', false), [5, 6]);
  await routes.encodeFramed(send, 'a');
  assert.equal(await routes.render(send, [{ role: 'user', content: [{ type: 'text', text: 'x' }] }]), 'rendered');
  assert.deepEqual(sent, [
    { path: '/tokenize', body: { model: 'm', prompt: 'a', add_special_tokens: false } },
    { path: '/tokenize', body: { model: 'm', prompt: 'a', add_special_tokens: true } },
    {
      path: '/tokenize',
      body: { model: 'm', messages: [{ role: 'user', content: 'x' }], add_generation_prompt: true },
    },
    { path: '/detokenize', body: { model: 'm', tokens: [5, 6] } },
  ]);
});

test('BOS is what stands before a text and not without it', async () => {
  assert.equal(await bosOf(routesOf(), none), null);
  assert.equal(
    await bosOf(
      routesOf((ids) => [1, ...ids]),
      none,
    ),
    1,
  );
  // What is put behind a text, or on both sides, is no BOS.
  assert.equal(
    await bosOf(
      routesOf((ids) => [...ids, 2]),
      none,
    ),
    null,
  );
  assert.equal(
    await bosOf(
      routesOf((ids) => [1, ...ids, 2]),
      none,
    ),
    null,
  );
});

test('pairs are those of the checkpoint’s own tokenizer, however they are cut', async () => {
  const cases: [string, string, string[]][] = [
    ['The cat', ' sat down', [' sat down', ' stood up']],
    ['The cat ', 'sat', ['sat']],
    ['a  ', ' b', [' b']],
    ['x', 'yz', ['yz', 'yw']],
  ];
  for (const tokenization of ['joint', 'separate', 'diverging'] as const) {
    for (const [context, continuation, siblings] of cases) {
      if (tokenization === 'diverging' && siblings.length < 2) continue;
      const coder = new Coder(routesOf(), none, null);
      const found = await coder.pair({ text: context, special: false }, continuation, tokenization, siblings);
      assert.deepEqual(
        found,
        local.encodePair(context, continuation, tokenization, siblings),
        `${tokenization} ${context}`,
      );
    }
  }
});

test('BOS once: before a text, not before one that brings it, alone before an empty one', async () => {
  const bos = local.encodePlain('!')[0]!;
  const coder = new Coder(routesOf(), none, bos);
  assert.deepEqual(await coder.encode('a', false), [bos, ...local.encodePlain('a')]);
  assert.deepEqual(await coder.encode('!a', true), local.encodePlain('!a'));
  const empty = { text: '', special: false };
  assert.deepEqual(await coder.pair(empty, ' b'), { context: [bos], continuation: local.encodePlain(' b') });
  await assert.rejects(new Coder(routesOf(), none, null).pair(empty, ' b'), rowError('tokens', /context is empty/));
  await assert.rejects(coder.pair({ text: 'a', special: false }, ''), rowError('tokens', /no tokens of its own/));
});

test('a text that several choices share is asked for once', async () => {
  let asked = 0;
  const encode = async (_: unknown, text: string) => {
    asked += 1;
    return local.encodePlain(text);
  };
  const routes = { ...routesOf(), encode };
  const coder = new Coder(routes, none, null);
  for (const continuation of [' a', ' b', ' c']) await coder.pair({ text: 'The', special: false }, continuation);
  assert.equal(asked, 4);
});

test('prompts as texts: conversations through the template, parts in a row, pictures refused', async () => {
  const routes = routesOf();
  assert.deepEqual(await contextOf(routes, none, 'a'), { text: 'a', special: false });
  const chat = [{ role: 'user', content: 'x' }] as const;
  assert.deepEqual(await contextOf(routes, none, chat), { text: 'x', special: true });
  const parts = [{ type: 'text', text: 'a' } as const, { type: 'text', text: 'b' } as const];
  assert.equal(plainText(parts), 'ab');
  assert.throws(() => plainText([{ type: 'image', bytes: new Uint8Array() }]), rowError('pictures', /in a chat alone/));
});
