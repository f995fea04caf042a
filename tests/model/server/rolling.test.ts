/** Texts token by token over a server: the windows of an ONNX export, the token that stands before them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Passing, Refusal, Unusable } from '../../../nanoeval/model/server/faults.ts';
import { prefixOf, scoreByWindows } from '../../../nanoeval/model/server/rolling.ts';
import type { Target } from '../../../nanoeval/model/server/score.ts';
import type { TokenRoutes } from '../../../nanoeval/model/server/tokens.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { userError } from '../fixtures.ts';
import { stub } from './asking.ts';

function thrownOr(info: unknown): unknown {
  if (info instanceof Error) throw info;
  return info;
}

/** Each character is a token, a name in `<>` is one. */
const routes: TokenRoutes = {
  encode: async (_, text, special) =>
    (special ? (text.match(/<[^>]+>|./gs) ?? []) : [...text]).map((one) =>
      one.length > 1 ? 1000 : one.codePointAt(0)!,
    ),
  encodeFramed: async () => [],
  render: async () => '',
};

function opened(window: number) {
  const asked: Target[] = [];
  const score = scoreByWindows(
    {
      routes,
      window,
      score: async (_, targets) => {
        asked.push(...targets);
        return targets.map(({ continuation }) => ({ logprob: -continuation.length, numGreedy: 1 }));
      },
    },
    7,
  );
  const { send } = stub(() => null);
  return {
    asked,
    ask: (text: string, more: object = {}) => score(send, { verb: 'loglikelihood_rolling', text, ...more }),
  };
}

test('a text in windows that do not overlap, each behind one token: every token once', async () => {
  const { asked, ask } = opened(5);
  assert.deepEqual(await ask('abcdefghij', { keep_tokens: true }), {
    logprob: -10,
    num_tokens: 10,
    num_greedy: 3,
    num_windows: 3,
    prompts: ['abcdefghij'],
    num_context_tokens: 0,
    truncated: false,
    tokens: { prompt: [], output: [...'abcdefghij'].map((one) => one.charCodeAt(0)) },
  });
  const shown = ({ context, continuation }: Target) =>
    [context, continuation].map((ids) => ids.map((id) => (id === 7 ? '^' : String.fromCharCode(id))).join(''));
  // The last window is filled up with context from the left.
  assert.deepEqual(asked.map(shown), [
    ['^', 'abcd'],
    ['d', 'efgh'],
    ['fgh', 'ij'],
  ]);
});

test('sliding windows, an empty text, and what does not fit', async () => {
  const { asked, ask } = opened(9);
  await ask('abcdef', { window: 4, stride: 1 });
  assert.deepEqual(
    asked.map(({ context, continuation }) => [context.length, continuation.length]),
    [
      [1, 4],
      [4, 1],
      [4, 1],
    ],
  );
  const empty = await ask('');
  assert.deepEqual([empty.logprob, empty.num_tokens, empty.num_windows], [0, 0, 0]);
  await assert.rejects(ask('a', { window: 9 }), userError('scoring.window', '9 tokens, and the server takes 8 behind'));
  await assert.rejects(
    ask('a', { window: 4, stride: 5 }),
    (error) => error instanceof RowError && error.kind === 'length',
  );
});

test('the token before a text: what the tokenizer puts there, else what the server tells of it, else nobody knows', async () => {
  const told = (info: unknown) => prefixOf(stub(() => thrownOr(info)).send, routes, null);
  assert.equal(await prefixOf(stub(() => assert.fail('asked')).send, routes, 3), 3);
  assert.equal(await told({ bos_token: '<s>', eos_token: '</s>' }), 1000);
  assert.equal(await told({ bos_token: null, eos_token: { content: '<|end|>' } }), 1000);
  for (const info of [{}, { bos_token: null }, { bos_token: 'ab' }, null]) assert.equal(await told(info), null);
  for (const absent of [new Refusal(404, '', 'x'), new Unusable('403', 'model.api_key_env'), new Passing('error', 'x')])
    assert.equal(await told(absent), null);
  // One that is busy has not said that it does not know.
  for (const kind of ['unreachable', 'busy', 'gateway', 'timeout', 'cut'] as const)
    await assert.rejects(told(new Passing(kind, 'gone')), /gone/);
});
