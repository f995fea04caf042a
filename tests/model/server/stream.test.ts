/** Answers in pieces: put together as the whole ones, however the bytes are cut. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EventReader, StreamedError } from '../../../nanoeval/model/server/stream.ts';
import { eventsOf } from './fake_server.ts';

const recorded = (name: string): string[] => {
  const file = new URL(`../../fixtures/servers/llama_server/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).pairs[0].response.sse;
};
/** As `text` comes in parts of `length` characters. */
function read(text: string, length = text.length) {
  const reader = new EventReader();
  let pieces = 0;
  for (let at = 0; at < text.length; at += length) if (reader.push(text.slice(at, at + length))) pieces += 1;
  return { answer: reader.answer.whole(), isWhole: reader.isWhole, pieces };
}
const sent = (events: readonly string[]) => events.map((event) => `data: ${event}\n\n`).join('');

test('what llama-server really sent: a text and a chat, with their counts', () => {
  const text = read(`${recorded('cmpl_stream').join('\n\n')}\n\n`);
  assert.equal(text.isWhole, true);
  assert.deepEqual(text.answer, {
    model: 'smollm2-135m-instruct',
    usage: { completion_tokens: 4, prompt_tokens: 5, total_tokens: 9, prompt_tokens_details: { cached_tokens: 4 } },
    choices: [{ text: ' Paris.\n\n', finish_reason: 'length' }],
  });
  const { answer } = read(`${recorded('chat_stream').join('\n\n')}\n\n`);
  assert.deepEqual(answer.choices, [{ message: { content: 'A. 3' }, finish_reason: 'stop' }]);
  assert.deepEqual((answer.usage as { completion_tokens: number }).completion_tokens, 5);
});

test('the same, wherever the bytes are cut and however lines end', () => {
  // JSON may hold U+2028 and U+2029 as they are.
  const choices = [
    { index: 0, text: ' a\nb ½\u2028c\u2029d\u0085', finish_reason: 'stop', token_ids: [7, 8], prompt_token_ids: [1] },
  ];
  const usage = { prompt_tokens: 1, completion_tokens: 2 };
  const text = sent(eventsOf({ model: 'm', choices, usage }));
  const { index: _, ...choice } = choices[0]!;
  const whole = { model: 'm', usage, choices: [choice] };
  for (const length of [1, 2, 3, 7, 50, 10_000]) {
    assert.deepEqual(read(text, length).answer, whole, `${length}`);
    assert.deepEqual(read(text.replaceAll('\n', '\r\n'), length).answer, whole, `${length}`);
  }
});

test('thoughts and token ids grow too; a message without a text has none', () => {
  const chunk = (more: object) => JSON.stringify({ choices: [{ index: 0, ...more }] });
  const events = [
    chunk({ delta: { role: 'assistant' }, token_ids: [1], prompt_token_ids: [9] }),
    chunk({ delta: { reasoning: 'so' }, token_ids: [2, 3] }),
    chunk({ delta: { reasoning: ' it' }, token_ids: [] }),
    chunk({ delta: {}, finish_reason: 'length' }),
    '[DONE]',
  ];
  assert.deepEqual(read(sent(events)).answer.choices, [
    {
      message: { reasoning: 'so it', content: null },
      finish_reason: 'length',
      token_ids: [1, 2, 3],
      prompt_token_ids: [9],
    },
  ]);
  assert.deepEqual(read(sent(['[DONE]'])).answer, { choices: [] });
});

test('signs of life are no pieces; several lines are one event; without [DONE] it is not whole', () => {
  assert.deepEqual(read(': ping\n\n: ping\n\nevent: x\nid: 3\n\n').pieces, 0);
  const two = read('data: {"choices":\ndata: [{"text": "a"}]}\n\n');
  assert.deepEqual([two.answer.choices, two.isWhole], [[{ text: 'a' }], false]);
});

test('an error in the middle, in each way in which servers say it; what is no JSON', () => {
  const error = { message: 'm', type: 'InternalServerError', code: 500 };
  for (const line of [`data: ${JSON.stringify({ error })}`, `error: ${JSON.stringify(error)}`])
    assert.throws(
      () => read(`data: {"choices":[{"text":"a"}]}\n\n${line}\n\n`),
      (thrown) => {
        assert.ok(thrown instanceof StreamedError, String(thrown));
        assert.deepEqual(thrown.said.error, error);
        return true;
      },
    );
  assert.throws(() => read('data: {"error": "out of memory"}\n\n'), StreamedError);
  assert.deepEqual(read('data: {"error": null, "choices": [{"text": "a"}]}\n\n').answer.choices, [{ text: 'a' }]);
  assert.throws(() => read('data: <html>\n\n'), SyntaxError);
});
