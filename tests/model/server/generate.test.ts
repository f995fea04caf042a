/** Answers over completions and chat completions: what is sent, and what is read from what real servers said. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import { generateBy } from '../../../nanoeval/model/server/generate.ts';
import type { ServerIdentity } from '../../../nanoeval/model/server/identity.ts';
import { Pace } from '../../../nanoeval/model/server/pace.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import { generated, stub } from './asking.ts';

const recorded = (name: string) => {
  const file = new URL(`../../fixtures/servers/llama_server/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).pairs[0].response.body;
};
const identity = (more: Partial<ServerIdentity> = {}): ServerIdentity => ({
  kind: 'unknown',
  version: null,
  model: 'm',
  about: {},
  context: null,
  slots: null,
  template: null,
  ...more,
});
const LLAMA = identity({ kind: 'llama.cpp', model: 'smollm2-135m-instruct', context: 2048 });
const text = (said: string, more: object = {}) => ({
  model: 'm',
  choices: [{ text: said, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 2 },
  ...more,
});
const rowError = (kind: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RowError && error.kind === kind, String(error));
  assert.match(error.message, words);
  return true;
};

test('what llama-server really said: a text, a stop, a chat, the end of a budget', async () => {
  const reply = (name: string, ask: Parameters<typeof generated>) =>
    generateBy(LLAMA, null)(stub(() => recorded(name)).send, generated(...ask));
  assert.deepEqual(await reply('cmpl_greedy', ['The capital of France is', { max_new_tokens: 12 }]), {
    output: ' Paris.\n\nThe United States has a population of approximately',
    finish_reason: 'length',
    num_output_tokens: 12,
    prompts: ['The capital of France is'],
    num_context_tokens: 5,
    truncated: false,
  });
  const stopped = await reply('cmpl_stop', ['Count: 1, 2, 3, 4,', { until: [' 7', '\n\n'], max_new_tokens: 32 }]);
  assert.deepEqual([stopped.output, stopped.finish_reason], [' 5, 6,', 'stop']);
  const chat = [{ role: 'user', content: 'What is 2+2?' }] as const;
  const said = await reply('chat_plain', [chat, { max_new_tokens: 16 }]);
  assert.deepEqual([said.output, said.finish_reason, said.prompts], ['A. 3', 'stop', null]);
  const cut = await reply('chat_length', [chat, { max_new_tokens: 3 }]);
  assert.deepEqual([cut.output, cut.finish_reason, cut.num_output_tokens], ['A. ', 'length', 3]);
  // The context was full: 8 tokens of 64.
  await assert.rejects(
    reply('cmpl_ctx_edge', ['x', { max_new_tokens: 64 }]),
    rowError('length', /2040 tokens and leaves room for 8 of 64 new ones in the server's context of 2048/),
  );
});

test('nothing is left to the server’s defaults, and no server is sent what it does not know', async () => {
  const sentTo = async (server: ServerIdentity, ask = generated('a')) => {
    const { send, sent } = stub(() => text('b', { model: server.model }));
    await generateBy(server, null)(send, ask);
    return sent[0]!.body;
  };
  const common = { max_tokens: 16, temperature: 0, top_p: 1, seed: 0, prompt: 'a' };
  assert.deepEqual(await sentTo(identity()), { model: 'm', ...common });
  assert.deepEqual(await sentTo(identity({ kind: 'vllm' })), {
    model: 'm',
    ...common,
    presence_penalty: 0,
    frequency_penalty: 0,
    top_k: 0,
    min_p: 0,
    repetition_penalty: 1,
    skip_special_tokens: true,
  });
  const { top_k } = (await sentTo(identity({ kind: 'sglang' }))) as { top_k: number };
  assert.equal(top_k, -1);
  assert.deepEqual(await sentTo(LLAMA), {
    model: LLAMA.model,
    ...common,
    samplers: ['temperature', 'top_p'],
    dynatemp_range: 0,
    mirostat: 0,
  });
});

test('a long answer is streamed where the server can, a short one is not; how long it may take follows from the pace', async () => {
  const options: unknown[] = [];
  const { send, sent } = stub((_path, _body, given) => {
    options.push(given);
    return text('b');
  });
  const pace = new Pace(1_000, false);
  const generate = generateBy(identity(), null, { idleMs: 70, pace });
  await generate(send, generated('a', { max_new_tokens: 127 }));
  await generate(send, generated('a', { max_new_tokens: 128 }));
  await generate(send, generated([{ role: 'user', content: 'x' }], { max_new_tokens: 128 })).catch(() => undefined);
  const wishes = sent.map(({ body }) => (body as { stream?: boolean }).stream);
  assert.deepEqual(wishes, [undefined, true, true]);
  assert.deepEqual((sent[1]!.body as { stream_options: unknown }).stream_options, { include_usage: true });
  assert.deepEqual(options[0], { timeoutMs: 1_000 });
  assert.deepEqual(Object.keys(options[1] as object).sort(), ['idleMs', 'timeoutMs']);
  const plain = stub(() => text('b'));
  await generateBy(identity(), null)(plain.send, generated('a', { max_new_tokens: 500 }));
  assert.equal('stream' in (plain.sent[0]!.body as object), false);
});

test('token ids are asked for where they are kept, and read; of llama-server without a stream', async () => {
  const ids = { prompt_token_ids: [1, 2, 9], token_ids: [3, 4] };
  const vllm = stub(() => text('b', { choices: [{ text: 'b', finish_reason: 'stop', ...ids }] }));
  const ask = generated('a', { keep_tokens: true, max_new_tokens: 200 });
  const kept = await generateBy(identity({ kind: 'vllm' }), null, { idleMs: 50 })(vllm.send, ask);
  assert.deepEqual(kept.tokens, { prompt: [1, 2, 9], output: [3, 4] });
  const [wish] = vllm.sent.map(({ body }) => body as Record<string, unknown>);
  assert.deepEqual([wish!.return_token_ids, wish!.stream], [true, true]);
  const llama = stub(() => text('b', { model: LLAMA.model, __verbose: { tokens: [3, 4] } }));
  const encode = async (_: unknown, prompt: string) => [...prompt].map((one) => one.charCodeAt(0));
  const told = await generateBy(LLAMA, null, { idleMs: 50, encode })(llama.send, { ...ask, prompt: 'xyz' });
  assert.deepEqual(told.tokens, { prompt: [120, 121, 122], output: [3, 4] });
  const [other] = llama.sent.map(({ body }) => body as Record<string, unknown>);
  assert.deepEqual([other!.verbose, other!.return_tokens, 'stream' in other!], [true, true, false]);
  const plain = stub(() => text('b'));
  assert.equal((await generateBy(identity(), null)(plain.send, generated('a'))).tokens, undefined);
});

test('a conversation is kept as the server’s template has it, where it says; one with pictures is not', async () => {
  const { send } = stub(() => ({ choices: [{ message: { content: 'b' }, finish_reason: 'stop' }] }));
  const render = async (_: unknown, messages: readonly { role: string }[]) =>
    messages.map(({ role }) => `<${role}>`).join('');
  const generate = generateBy(identity(), null, { render });
  const reply = await generate(send, generated([{ role: 'user', content: 'x' }]));
  assert.deepEqual(reply.prompts, ['<user>']);
  const image = { type: 'image', bytes: Uint8Array.from([0x89, 0x50, 0x4e, 0x47]) } as const;
  const pictured = await generate(send, generated([{ role: 'user', content: [image] }]));
  assert.equal(pictured.prompts, null);
});

test('first tokens are one more request, of one token', async () => {
  const { send, sent } = stub((_, body: { max_tokens: number }) =>
    body.max_tokens === 1 ? { choices: [{ logprobs: { top_logprobs: [{ A: -1 }] } }] } : text('b'),
  );
  const ask = generated('a', { first_tokens: ['A', 'B'], max_new_tokens: 200, until: ['\n'] });
  const reply = await generateBy(identity(), null, { idleMs: 50 })(send, ask);
  assert.deepEqual(reply.first_logprobs, { A: -1, B: null });
  assert.deepEqual(
    sent.map(({ body }) => 'stream' in (body as object)),
    [true, false],
  );
  // A first token that ends an answer has its likeliest ones too, which servers leave out with the text of a stop.
  assert.deepEqual(
    sent.map(({ body }) => (body as { stop?: string[] }).stop),
    [['\n'], undefined],
  );
  const none = await generateBy(identity(), null)(stub(() => text('b')).send, ask);
  assert.equal('first_logprobs' in none, false);
});

test('drawn answers have a seed of their own, always the same', async () => {
  const seeds = [];
  for (const stream of ['1:a:0', '1:a:1', '1:a:0']) {
    const { send, sent } = stub(() => text('b'));
    await generateBy(identity(), null)(send, generated('a', { sampling: { temperature: 0.7, top_p: 0.9, stream } }));
    const { temperature, top_p, seed } = sent[0]!.body as { temperature: number; top_p: number; seed: number };
    assert.deepEqual([temperature, top_p], [0.7, 0.9]);
    assert.ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31);
    seeds.push(seed);
  }
  assert.equal(seeds[0], seeds[2]);
  assert.notEqual(seeds[0], seeds[1]);
});

test('more stops than a server takes: some are sent, all are cut', async () => {
  const until = ['\nclass', '\ndef', '\n#', '\nif', '\nprint'];
  const { send, sent } = stub(() =>
    text(' return 1\nprint(2)\nclass A', { choices: [{ text: ' return 1\nprint(2)', finish_reason: 'length' }] }),
  );
  const reply = await generateBy(identity(), null)(send, generated('a', { until }));
  assert.deepEqual((sent[0]!.body as { stop: string[] }).stop, until.slice(0, 4));
  assert.deepEqual([reply.output, reply.finish_reason], [' return 1', 'stop']);
  const llama = stub(() => text('b', { model: LLAMA.model }));
  await generateBy(LLAMA, null)(llama.send, generated('a', { until }));
  assert.deepEqual((llama.sent[0]!.body as { stop: string[] }).stop, until);
});

test('pictures go as content parts of a chat, with the type that their bytes say', async () => {
  const { send, sent } = stub(() => ({ choices: [{ message: { content: 'a cat' }, finish_reason: 'stop' }] }));
  const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 1]);
  const prompt = [
    { role: 'user', content: [{ type: 'text', text: 'What?' } as const, { type: 'image', bytes: png } as const] },
  ] as const;
  const reply = await generateBy(identity(), null)(send, generated(prompt));
  assert.deepEqual((sent[0]!.body as { messages: unknown }).messages, [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${Buffer.from(png).toString('base64')}` } },
      ],
    },
  ]);
  assert.deepEqual([reply.num_output_tokens, reply.num_context_tokens], [null, null]);
  const odd = [{ role: 'user', content: [{ type: 'image', bytes: Uint8Array.from([1, 2]) } as const] }] as const;
  await assert.rejects(generateBy(identity(), null)(send, generated(odd)), rowError('pictures', /neither PNG/));
});

test('an answer that is none: no choices, no text, ended by something else, lost in thought', async () => {
  const reply = (body: object, prompt: Parameters<typeof generated>[0] = [{ role: 'user', content: 'x' }]) =>
    generateBy(identity(), null)(stub(() => body).send, generated(prompt));
  const garbled = (error: unknown) => error instanceof Passing && error.kind === 'garbled';
  for (const wrong of [{}, { choices: [] }, { choices: [{ finish_reason: 'stop' }] }])
    await assert.rejects(reply(wrong), garbled);
  await assert.rejects(reply({ choices: [{ finish_reason: 'stop' }] }, 'x'), garbled);
  await assert.rejects(
    reply({ choices: [{ message: { content: 'x' }, finish_reason: 'content_filter' }] }),
    rowError('server', /"content_filter"/),
  );
  for (const thought of [{ reasoning_content: 'hm' }, { reasoning: 'hm' }])
    await assert.rejects(
      reply({
        choices: [{ message: { content: '', ...thought }, finish_reason: 'length' }],
        usage: { completion_tokens: 16 },
      }),
      rowError('length', /inside the model's reasoning after 16 tokens\. Raise scoring\.max_new_tokens/),
    );
  const empty = await reply({ choices: [{ message: { content: null }, finish_reason: 'stop' }] });
  assert.equal(empty.output, '');
});

test('an answer that had less room than was asked for is not scored: a full context, a limit of the config', async () => {
  const reply = (tokens: [number, number], limit: number | null, more: object = {}, until: string[] = []) => {
    const [prompt_tokens, completion_tokens] = tokens;
    const choice = { text: 'b;c', finish_reason: 'length', ...more };
    const body = text('', { choices: [choice], usage: { prompt_tokens, completion_tokens } });
    const ask = generated('a', { max_new_tokens: 20, until });
    return generateBy(identity({ context: 100 }), limit)(stub(() => body).send, ask);
  };
  const stopped = { finish_reason: 'stop' };
  await assert.rejects(reply([90, 10], null), rowError('length', /90 tokens .* room for 10 of 20 .* context of 100/));
  assert.equal((await reply([80, 20], null)).finish_reason, 'length');
  assert.equal((await reply([90, 10], null, stopped)).finish_reason, 'stop');
  // What a stop cuts off, which the server was not told of, needs no room.
  assert.equal((await reply([90, 10], null, {}, ['w', 'x', 'y', 'z', ';'])).output, 'b');
  // The server has room for more than the config allows.
  await assert.rejects(reply([50, 20], 64), rowError('length', /50 tokens .* room for 14 of 20 .* a context of 64/));
  await assert.rejects(reply([70, 1], 64, stopped), rowError('length', /70 tokens .* room for 0 of 20/));
  assert.equal((await reply([50, 14], 64, stopped)).finish_reason, 'stop');
  assert.equal((await reply([44, 20], 64)).finish_reason, 'length');
});

test('a conversation that ends with the model’s words is answered or refused, never continued', async () => {
  const messages = [
    { role: 'user', content: 'Count.' },
    { role: 'assistant', content: 'One, ' },
  ] as const;
  const body = { choices: [{ message: { content: 'two' }, finish_reason: 'stop' }] };
  const reply = (server: ServerIdentity, rendered: string | null) => {
    const options = rendered === null ? {} : { render: async () => rendered };
    return generateBy(server, null, options)(stub(() => body).send, generated(messages));
  };
  const refused = rowError('chat', /continues a conversation that ends with the words of the assistant/);
  await assert.rejects(reply(LLAMA, '<user>Count.<assistant>One, '), refused);
  await assert.rejects(reply(LLAMA, null), refused);
  assert.equal((await reply(LLAMA, '<user>Count.<assistant>One, <end><assistant>')).output, 'two');
  assert.equal((await reply(identity({ kind: 'vllm' }), null)).output, 'two');
});

test('another model’s answer ends the run; a name for the newest version, or for one of several, is learnt', async () => {
  const names = ['m', 'm', 'n'];
  const { send } = stub(() => text('b', { model: names.shift() }));
  const strict = generateBy(identity({ kind: 'llama.cpp' }), null);
  const alias = generateBy(identity({ kind: 'vllm' }), null);
  await alias(stub(() => text('b', { model: 'first-name' })).send, generated('a'));
  await strict(send, generated('a'));
  await strict(send, generated('a'));
  await assert.rejects(
    strict(send, generated('a')),
    (error) => error instanceof OutsideError && /"m", and one is of "n"/.test(error.message),
  );
  const dated = ['m-2026-01-01', 'm-2026-01-01', 'm-2026-02-02'];
  const hosted = stub(() => text('b', { model: dated.shift() }));
  const lenient = generateBy(identity(), null);
  await lenient(hosted.send, generated('a'));
  await lenient(hosted.send, generated('a'));
  await assert.rejects(lenient(hosted.send, generated('a')), OutsideError);
});
