/** Token ids of prompts and answers: what llama-server really said, what vLLM's schema has, and where there are none. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import { fieldsOf, listOf } from '../../../nanoeval/model/server/fields.ts';
import { hasTokens, streamsTokens, tokensOf, tokenWish } from '../../../nanoeval/model/server/kept_tokens.ts';
import { RowError } from '../../../nanoeval/types.ts';

interface Pair {
  request: { path: string; body: Record<string, unknown> };
  // biome-ignore lint/suspicious/noExplicitAny: whatever a server says
  response: { body: any };
}
const file = new URL('../../fixtures/servers/llama_server/answer_tokens.json', import.meta.url);
const [inText, promptTokens, inChat, , chatTokens] = JSON.parse(readFileSync(file, 'utf8')).pairs as Pair[];
const choiceOf = (answer: object) => fieldsOf(listOf(fieldsOf(answer).choices)[0]);
const rowError = (words: RegExp) => (error: unknown) =>
  error instanceof RowError && error.kind === 'tokens' && words.test(error.message);

test('llama-server: a text with characters of several tokens, and a chat; the prompt as its tokenizer has it', () => {
  for (const [answered, prompt, output] of [
    [inText!, promptTokens!, [216, 28589, 23022, 138, 30, 198, 198, 504, 2120, 314, 915, 253]],
    [inChat!, chatTokens!, [504, 2988, 288, 451, 8170, 4119, 1732, 314, 216, 36, 30, 2]],
  ] as const) {
    const { body } = answered.response;
    for (const [name, value] of Object.entries(tokenWish('llama.cpp')!))
      assert.equal(answered.request.body[name], value);
    const encoded = prompt.response.body.tokens as number[];
    assert.deepEqual(tokensOf(body, choiceOf(body), 'llama.cpp', encoded), { prompt: encoded, output });
    assert.equal(hasTokens(body, choiceOf(body), 'llama.cpp'), true);
  }
  assert.equal(streamsTokens('llama.cpp'), false);
});

test('what does not add up is no answer: other counts, pictures, a server that tells none', () => {
  const { body } = inText!.response;
  const encoded = promptTokens!.response.body.tokens as number[];
  assert.throws(
    () => tokensOf(body, choiceOf(body), 'llama.cpp', [1, ...encoded]),
    rowError(/^the prompt has 25 token ids, and the server counted 24\.$/),
  );
  const shorter = { ...body, __verbose: { tokens: [1] } };
  assert.throws(
    () => tokensOf(shorter, choiceOf(shorter), 'llama.cpp', encoded),
    rowError(/^the answer has 1 token ids, and the server counted 12\.$/),
  );
  assert.throws(() => tokensOf(body, choiceOf(body), 'llama.cpp', null), rowError(/pictures/));
  const { __verbose: _, ...silent } = body;
  assert.throws(() => tokensOf(silent, choiceOf(silent), 'llama.cpp', encoded), Passing);
  assert.equal(hasTokens(silent, choiceOf(silent), 'llama.cpp'), false);
  assert.equal(tokenWish('unknown'), null);
});

test('vLLM: of a text with the choice, of a chat the prompt at the top; streamed too', () => {
  const text = { choices: [{ prompt_token_ids: [1, 2], token_ids: [3] }] };
  assert.deepEqual(tokensOf(text, choiceOf(text), 'vllm', null), { prompt: [1, 2], output: [3] });
  const chat = { prompt_token_ids: [1, 2], choices: [{ token_ids: [3] }] };
  assert.deepEqual(tokensOf(chat, choiceOf(chat), 'vllm', null), { prompt: [1, 2], output: [3] });
  assert.deepEqual([hasTokens(chat, choiceOf(chat), 'vllm'), hasTokens({}, {}, 'vllm')], [true, false]);
  assert.equal(streamsTokens('vllm'), true);
  assert.throws(() => tokensOf({}, {}, 'vllm', null), Passing);
});
