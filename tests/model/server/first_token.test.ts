/** How likely texts are as an answer's first token, from either shape in which servers give its likeliest ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Passing, Refusal } from '../../../nanoeval/model/server/faults.ts';
import { firstLogprobs } from '../../../nanoeval/model/server/first_token.ts';
import { stub } from './asking.ts';

const LETTERS = ['A', 'B', 'C'];
const inText = { first_tokens: LETTERS, prompt: 'x' };
const inChat = { first_tokens: LETTERS, prompt: [{ role: 'user', content: 'x' }] } as const;
const answered = (logprobs: unknown) => stub(() => ({ choices: [{ logprobs }] }));

test('a text’s and a chat’s: the likelier one of two tokens of one text, null for what is not among them', async () => {
  const text = answered({ tokens: ['B'], top_logprobs: [{ B: -0.5, A: -1.5, x: -3 }] });
  assert.deepEqual(
    await firstLogprobs(text.send, '/v1/completions', { model: 'm', prompt: 'x', max_tokens: 400 }, inText),
    {
      A: -1.5,
      B: -0.5,
      C: null,
    },
  );
  assert.deepEqual(text.sent, [
    { path: '/v1/completions', body: { model: 'm', prompt: 'x', max_tokens: 1, logprobs: 20 } },
  ]);
  const top_logprobs = [
    { token: 'A', logprob: -2 },
    { token: 'A', logprob: -1 },
    { token: 'C', logprob: -4 },
    { token: 'B', logprob: 'x' },
  ];
  const chat = answered({ content: [{ token: 'A', logprob: -1, top_logprobs }] });
  assert.deepEqual(await firstLogprobs(chat.send, '/c', {}, inChat), { A: -1, B: null, C: -4 });
  assert.deepEqual(chat.sent[0]!.body, { max_tokens: 1, logprobs: true, top_logprobs: 20 });
});

test('a server that gives none, or refuses the wish, has none; one that is down is told', async () => {
  for (const logprobs of [null, undefined, {}, { content: [] }, { top_logprobs: [null] }])
    assert.equal(await firstLogprobs(answered(logprobs).send, '/c', {}, inChat), null);
  const failing = (error: Error) => stub(() => Promise.reject(error)).send;
  assert.equal(await firstLogprobs(failing(new Refusal(400, '', 'no')), '/c', {}, inChat), null);
  assert.equal(await firstLogprobs(failing(new Passing('error', 'no')), '/c', {}, inChat), null);
  await assert.rejects(firstLogprobs(failing(new Passing('busy', 'later')), '/c', {}, inChat), /later/);
});
