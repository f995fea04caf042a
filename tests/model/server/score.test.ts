/** Choices through a server's tokenizer: what is scored, and the reply that comes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finite, scoreByTokens, type Target } from '../../../nanoeval/model/server/score.ts';
import type { TokenRoutes } from '../../../nanoeval/model/server/tokens.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { byteLevelTokenizer } from '../fixtures.ts';
import { ranked, stub } from './asking.ts';

const local = byteLevelTokenizer();
const routes: TokenRoutes = {
  encode: async (_, text) => local.encodePlain(text),
  encodeFramed: async (_, text) => local.encodePlain(text),
  render: async (_, messages) => `${messages.map(({ content }) => content).join('\n')}\n`,
};
const { send } = stub(() => null);

function scoring(window = 100) {
  const asked: Target[] = [];
  const score = scoreByTokens({
    routes,
    bos: null,
    window,
    score: async (_, targets) => {
      asked.push(...targets);
      return targets.map(({ continuation }) => ({ logprob: -continuation.length, numGreedy: 1 }));
    },
  });
  return { asked, score };
}

test('context and continuation of each choice are scored, and the reply says what they were', async () => {
  const { asked, score } = scoring();
  const ask = { ...ranked('The cat', [' sat', ' ran away']), count_greedy: true, keep_tokens: true };
  const reply = await score(send, ask);
  const pairs = [' sat', ' ran away'].map((continuation) => local.encodePair('The cat', continuation));
  assert.deepEqual(asked, pairs);
  assert.deepEqual(
    reply.choices,
    pairs.map(({ context, continuation }) => ({
      logprob: -continuation.length,
      num_tokens: continuation.length,
      is_greedy: continuation.length === 1,
      num_greedy: 1,
      tokens: { prompt: context, output: continuation },
    })),
  );
  assert.deepEqual(
    [reply.prompts, reply.num_context_tokens, reply.truncated],
    [['The cat'], pairs[0]!.context.length, false],
  );
  const plain = await score(send, ranked('The cat', [' sat']));
  assert.deepEqual(Object.keys(plain.choices[0]!), ['logprob', 'num_tokens', 'is_greedy']);
});

test('contexts of the choices’ own, and conversations', async () => {
  const { asked, score } = scoring();
  const choices = ['A', 'B'].map((text) => ({ continuation: ' x', text, prompt: `${text} is` }));
  const reply = await score(send, { verb: 'loglikelihood', prompt: 'unused', choices });
  assert.deepEqual(reply.prompts, ['A is', 'B is']);
  assert.deepEqual(asked[1]?.context, local.encodePlain('B is'));
  const chat = await score(send, ranked([{ role: 'user', content: 'Hi' }], ['x']));
  assert.deepEqual(chat.prompts, ['Hi\n']);
});

test('a context that is too long loses tokens on the left and is counted; a continuation that is fails its row', async () => {
  const { asked, score } = scoring(8);
  const long = 'The cat sat on the mat and looked at the dog';
  const reply = await score(send, ranked(long, [' x']));
  const { context, continuation } = local.encodePair(long, ' x');
  assert.deepEqual(asked, [{ context: context.slice(-(8 - continuation.length)), continuation }]);
  assert.deepEqual([reply.truncated, reply.num_context_tokens], [true, context.length]);
  await assert.rejects(
    score(send, ranked('a', [` ${long}`])),
    (error) => error instanceof RowError && error.kind === 'length',
  );
});

test('a log-probability that no sum can hold fails its row', () => {
  assert.equal(finite(-3.5, 1), -3.5);
  for (const wrong of [Number.NaN, null, 'x', undefined, -9999, -3.4028234663852886e38, Number.NEGATIVE_INFINITY])
    assert.throws(
      () => finite(wrong, 7),
      (error) => error instanceof RowError && error.kind === 'nan' && /token 7/.test(error.message),
    );
});
