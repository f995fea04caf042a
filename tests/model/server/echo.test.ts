/** Texts echoed with log-probabilities: where the continuation begins, and what is no echo. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { echo, scoreByEcho } from '../../../nanoeval/model/server/echo.ts';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { ranked, stub } from './asking.ts';

/** Tokens are single characters; the character's place is minus its log-probability. */
const server = (change: (logprobs: Record<string, unknown>) => object = (logprobs) => logprobs, usage: object = {}) =>
  stub((_, body) => {
    const { prompt } = body as { prompt: string };
    const tokens = [...prompt, '.'];
    const logprobs = {
      tokens,
      token_logprobs: tokens.map((_, i) => (i === 0 ? null : -i)),
      top_logprobs: tokens.map((token, i) => (i === 0 ? null : { [token]: -i, '#': i % 2 === 0 ? -0.5 : -99 })),
    };
    return { choices: [{ text: `${prompt}.`, logprobs: change(logprobs) }], usage: { completion_tokens: 1, ...usage } };
  });

test('the continuation is what stands behind the context’s own tokens; the generated token is none of it', async () => {
  const { send, sent } = server();
  const reply = await scoreByEcho('m')(send, { ...ranked('ab', ['cd', 'e']), count_greedy: true });
  assert.deepEqual(reply, {
    choices: [
      // Places 2 and 3; at even ones another token is likelier.
      { logprob: -5, num_tokens: 2, is_greedy: false, num_greedy: 1 },
      { logprob: -2, num_tokens: 1, is_greedy: false, num_greedy: 0 },
    ],
    prompts: ['ab'],
    num_context_tokens: 2,
    truncated: false,
  });
  assert.deepEqual(
    sent.map(({ body }) => (body as { prompt: string }).prompt),
    ['ab', 'abcd', 'abe'],
  );
  assert.deepEqual(sent[1]?.body, {
    model: 'm',
    prompt: 'abcd',
    max_tokens: 1,
    temperature: 0,
    seed: 0,
    logprobs: 1,
    echo: true,
  });
});

test('a blank at the end of the context goes to the continuation', async () => {
  const { send, sent } = server();
  const reply = await scoreByEcho('m')(send, ranked('ab ', ['c']));
  assert.equal(reply.choices[0]?.num_tokens, 2);
  assert.deepEqual(
    sent.map(({ body }) => (body as { prompt: string }).prompt),
    ['ab', 'ab c'],
  );
});

test('what is no echo is garbled; a NaN, an empty context and a conversation fail their row', async () => {
  const wrong: ReturnType<typeof server>[] = [
    server(() => ({ content: [{ id: 1 }] })),
    server((all) => ({ ...all, token_logprobs: [-1] })),
    server((all) => ({ ...all, tokens: ['.'], token_logprobs: [-1] })),
    server((all) => all, { completion_tokens: null }),
  ];
  for (const { send } of wrong)
    await assert.rejects(echo(send, 'm', 'abc'), (error) => error instanceof Passing && error.kind === 'garbled');
  const nan = server((all) => ({ ...all, token_logprobs: (all.token_logprobs as number[]).map(() => null) }));
  const fails = (kind: string) => (error: unknown) => error instanceof RowError && error.kind === kind;
  await assert.rejects(scoreByEcho('m')(nan.send, ranked('ab', ['c'])), fails('nan'));
  await assert.rejects(scoreByEcho('m')(server().send, ranked('', ['c'])), fails('tokens'));
  await assert.rejects(scoreByEcho('m')(server().send, ranked('ab', [''])), fails('tokens'));
  await assert.rejects(scoreByEcho('m')(server().send, ranked([{ role: 'user', content: 'x' }], ['c'])), fails('chat'));
});
