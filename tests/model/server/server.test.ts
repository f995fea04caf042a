/** A model behind servers, from its config to its replies: who it is, what it can do, what happens to its rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findServer } from '../../../nanoeval/model/server/server.ts';
import type { Ask, ChoicesReply, GenerationReply, RollingReply } from '../../../nanoeval/questions.ts';
import { OutsideError, type Question } from '../../../nanoeval/types.ts';
import { userError } from '../fixtures.ts';
import { FAST, generated, keptLog, openFakes, questionsOf, ranked, replies, settingsFor } from './asking.ts';
import {
  answer,
  answerTo,
  type Fault,
  fakeServer,
  idsOf,
  logprobOf,
  type StreamFault,
  streamFault,
  sumOf,
} from './fake_server.ts';

const find = (settings: Parameters<typeof findServer>[0], env: NodeJS.ProcessEnv = {}) =>
  findServer(settings, { ...keptLog(), signal: new AbortController().signal, env, limits: FAST, loadMs: 3_000 });
const outputs = (found: readonly unknown[]) => found.map((one) => (one as GenerationReply).output);
const rows = (count: number) => Array.from({ length: count }, (_, i) => generated(`row ${i}`));
const answers = (count: number) => Array.from({ length: count }, (_, i) => answerTo(`row ${i}`));

test('what is found out before the first row: the model, what it can do, and all of it for run.json', async (t) => {
  const fakes = [
    await fakeServer(t, { kind: 'llama.cpp', slots: 2 }),
    await fakeServer(t, { kind: 'llama.cpp', slots: 2 }),
  ];
  const { found, said } = await openFakes(t, fakes);
  const { sha256, chat_template_sha256, ...identity } = found.identity;
  assert.deepEqual(identity, {
    label: 'toy',
    variant: 'Q4_1',
    backend: 'llama_cpp',
    max_length: 2048,
    is_vlm: false,
    source: { server: 'llama.cpp', model_id: 'toy', n_vocab: 100, ftype: 'Q4_1', file: 'toy.gguf' },
  });
  assert.match(`${sha256}${chat_template_sha256}`, /^[0-9a-f]{128}$/);
  assert.deepEqual(found.can.verbs, ['generate_until', 'loglikelihood']);
  assert.deepEqual(found.engine, { api: 'http', scoring: 'forced by grammar, primed' });
  const findings = found.findings as Record<string, unknown>;
  assert.deepEqual(
    findings.base_urls,
    fakes.map(({ url }) => url),
  );
  assert.deepEqual([findings.kind, findings.version, findings.context, findings.slots], ['llama.cpp', '1', 2048, 2]);
  assert.deepEqual([findings.scoring, findings.repeatable, findings.bos], ['forced by grammar', true, null]);
  assert.match(said.join('\n'), /^model toy at http.*: llama.cpp 1, window 2048, up to 2 at a time each$/m);
});

test('answers and scores over two servers of each kind: every row its own', async (t) => {
  for (const kind of ['vllm', 'llama.cpp', 'openai'] as const) {
    const fakes = [await fakeServer(t, { kind }), await fakeServer(t, { kind })];
    const { model } = await openFakes(t, fakes);
    assert.deepEqual(outputs(await replies(model, rows(60))), answers(60), kind);
    for (const fake of fakes) assert.ok(fake.of('/v1/completions').length > 5, kind);
    const asks = Array.from({ length: 12 }, (_, i) => ranked(`row ${i} is`, [' good', ' very bad']));
    const scored = (await replies(model, asks)) as ChoicesReply[];
    for (const [i, { choices }] of scored.entries()) {
      const wanted = [' good', ' very bad'].map((text) => sumOf(idsOf(`row ${i} is`), idsOf(text)));
      for (const [j, { logprob }] of choices.entries()) assert.ok(Math.abs(logprob - wanted[j]!) < 1e-9, kind);
    }
    const { requests, replicas } = model.stats();
    assert.ok(requests! > 70 && replicas === 2);
  }
});

test('llama-server scores one question at a time, whatever the answers may do', async (t) => {
  const fake = await fakeServer(t, { kind: 'llama.cpp', slots: 4, latencyMs: 3 });
  const { model } = await openFakes(t, [fake]);
  fake.peak = 0;
  await replies(
    model,
    Array.from({ length: 10 }, (_, i) => ranked(`row ${i} is`, [' good', ' bad'])),
  );
  assert.equal(fake.peak, 1);
});

test('llama-server is given one request at first, or as many as the config says, up to its slots', async (t) => {
  for (const [most, wanted] of [
    [undefined, 1],
    [3, 3],
    [9, 4],
  ] as const) {
    const fake = await fakeServer(t, { kind: 'llama.cpp', slots: 4, latencyMs: 20 });
    const { model } = await openFakes(t, [fake], most === undefined ? {} : { max_concurrency: most });
    fake.peak = 0;
    // Fewer than a first measurement takes.
    assert.deepEqual(outputs(await replies(model, rows(4))), answers(4));
    assert.equal(fake.peak, Math.min(wanted, 4));
  }
});

test('a token of a part of a character is scored too', async (t) => {
  const fake = await fakeServer(t, { kind: 'llama.cpp' });
  const { model } = await openFakes(t, [fake]);
  const [reply] = (await replies(model, [ranked('one', [' two \u25cc three', ' four'])])) as ChoicesReply[];
  assert.ok(Math.abs(reply!.choices[0]!.logprob - sumOf(idsOf('one'), idsOf(' two \u25cc three'))) < 1e-9);
  assert.ok(logprobOf([], 1) < 0);
});

test('conversations: a chat for answers, the template’s text for scores, tokens counted', async (t) => {
  const fake = await fakeServer(t, { kind: 'vllm' });
  const { model } = await openFakes(t, [fake]);
  const chat = [{ role: 'user', content: 'Hi there' }] as const;
  const [said] = (await replies(model, [generated(chat)])) as GenerationReply[];
  assert.deepEqual([said!.output, said!.prompts], [answerTo('"Hi there"'), ['<user> Hi there <assistant>']]);
  const [scored] = (await replies(model, [ranked(chat, [' A'])])) as ChoicesReply[];
  assert.deepEqual(scored!.prompts, ['<user> Hi there <assistant>']);
  assert.equal(await model.renderChat(chat), '<user> Hi there <assistant>');
  assert.equal(await model.countTokens('one two three'), 3);
  const { model: other } = await openFakes(t, [await fakeServer(t, { kind: 'openai' })]);
  await assert.rejects(other.countTokens('x'), userError('model.backend', 'no tokenizer route'));
});

test('a server that cannot score says so with the way out, and answers all the same', async (t) => {
  const fake = await fakeServer(t, { kind: 'openai', scoring: 'ignored' });
  const { found, model } = await openFakes(t, [fake]);
  assert.deepEqual(found.can.verbs, ['generate_until']);
  assert.match(
    found.can.cannot?.loglikelihood ?? '',
    /^toy \(unknown\) cannot return the log-likelihood of a given text \(echo is ignored: .*\)\. Use llama-server \(llama_cpp\), vLLM/,
  );
  assert.deepEqual(outputs(await replies(model, rows(3))), answers(3));
});

test('what is wrong with the config is one line: nobody there, another server, another model, no key, too long a limit', async (t) => {
  const vllm = await fakeServer(t, { kind: 'vllm' });
  const secret = await fakeServer(t, { kind: 'vllm', key: 'sk-secret' });
  const settings = settingsFor([vllm]);
  const nobody = { ...settings, base_url: 'http://127.0.0.1:9' };
  await assert.rejects(
    find(nobody),
    (error) => error instanceof OutsideError && /127\.0\.0\.1:9\/v1\/models: ECONNREFUSED/.test(error.message),
  );
  await assert.rejects(
    find({ ...settings, backend: 'llama_cpp' }),
    userError('model.backend', '"llama_cpp", but', 'is vllm. Set it to vllm.'),
  );
  await assert.rejects(
    find({ ...settings, model_id: 'toi' }),
    userError('model.model_id', '"toi" is not served', '"toy"'),
  );
  await assert.rejects(
    find({ ...settings, max_length: 9999 }),
    userError('model.max_length', "the server's context has 2048"),
  );
  await assert.rejects(
    find({ ...settings, base_url: secret.url }),
    userError('model.api_key_env', '401', 'Unauthorized'),
  );
  const named = { ...settings, base_url: secret.url, api_key_env: 'TOY_KEY' };
  await assert.rejects(find(named), userError('model.api_key_env', 'TOY_KEY is not set'));
  const found = await find(named, { TOY_KEY: 'sk-secret' });
  assert.doesNotMatch(JSON.stringify(found), /sk-secret/);
  const redirecting = await fakeServer(t, {
    fault: (_, response) => {
      answer(response, 302, '', { location: vllm.url });
      return true;
    },
  });
  await assert.rejects(find({ ...settings, base_url: redirecting.url }), userError('model.base_url', '302', vllm.url));
});

test('servers of one list have to be one model; one that is down is left out until it answers', async (t) => {
  const first = await fakeServer(t, { kind: 'vllm' });
  const longer = await fakeServer(t, { kind: 'vllm', context: 4096 });
  await assert.rejects(
    find(settingsFor([first, longer])),
    userError('model.base_url', `${longer.url} is not the same server as ${first.url}: context was 2048 and is 4096`),
  );
  const down = await fakeServer(null, { kind: 'vllm' });
  await down.close();
  const { model, said } = await openFakes(t, [down, first]);
  assert.match(said.join('\n'), /ECONNREFUSED.*It is left out until it answers/);
  assert.deepEqual(outputs(await replies(model, rows(20))), answers(20));
  const back = await fakeServer(t, { kind: 'vllm', latencyMs: 5 }, Number(new URL(down.url).port));
  first.options.latencyMs = 5;
  await sleep(50);
  assert.deepEqual(outputs(await replies(model, rows(60))), answers(60));
  assert.ok(back.of('/v1/completions').length > 0);
});

test('a server that is busy while it is probed is asked again', async (t) => {
  const seen = new Map<string, number>();
  const fake = await fakeServer(t, {
    kind: 'vllm',
    fault: ({ path, body }, response) => {
      if (path !== '/v1/completions') return undefined;
      const request = JSON.stringify(body);
      seen.set(request, (seen.get(request) ?? 0) + 1);
      if (seen.get(request)! > 1) return undefined;
      answer(response, 429, {}, { 'retry-after': '0.01' });
      return true;
    },
  });
  const { found } = await openFakes(t, [fake]);
  const { scoring, streams } = found.findings as { scoring: string; streams: boolean };
  assert.deepEqual([scoring, streams], ['prompt_logprobs', true]);
  assert.ok(seen.size > 4, `${seen.size} requests`);
});

test('a server that loads its model is waited for', async (t) => {
  let looks = 0;
  const fake = await fakeServer(t, {
    kind: 'llama.cpp',
    fault: (_, response) => {
      looks += 1;
      if (looks > 2) return undefined;
      answer(response, 503, { error: { message: 'Loading model', type: 'unavailable_error', code: 503 } });
      return true;
    },
  });
  const { said } = await openFakes(t, [fake]);
  assert.equal(said.filter((line) => /is not ready yet.*Loading model/.test(line)).length, 1);
});

test('another model in the middle of a run ends it, and no row of that model is given', async (t) => {
  const fake = await fakeServer(t, { kind: 'vllm' });
  const { model } = await openFakes(t, [fake]);
  const questions = async function* (): AsyncGenerator<Question<Ask>> {
    for await (const question of questionsOf(rows(40))) {
      if (question.place === 20) {
        await sleep(1_300);
        fake.options.context = 1024;
      }
      yield question;
    }
  };
  const given: number[] = [];
  await assert.rejects(
    async () => {
      for await (const { place } of model.answer(questions(), new AbortController().signal)) given.push(place);
    },
    (error) => error instanceof OutsideError && /changed its model.*context was 2048 and is 1024/.test(error.message),
  );
  assert.deepEqual(
    given.sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test('a row that is too long is that row’s failure', async (t) => {
  const fake = await fakeServer(t, { kind: 'vllm', context: 64 });
  const { model } = await openFakes(t, [fake]);
  const asks = [...rows(2), generated(Array.from({ length: 80 }, (_, i) => ` w${i}`).join(''))];
  const found = await replies(model, asks);
  assert.deepEqual(outputs(found.slice(0, 2)), answers(2));
  assert.match(String(found[2]), /maximum context length is 64 tokens/);
});

test('256 at a time over 10,000 rows: memory stays flat, nothing is lost, a request costs little', async (t) => {
  let faults = 0;
  const chaos: Fault = (request, response, fake) => {
    // What a server has seen is no part of what is measured.
    if (fake.seen.length > 1_000) fake.seen.length = 0;
    if (request.path !== '/v1/completions') return undefined;
    faults += 1;
    if (faults % 997 === 0) {
      answer(response, 429, {}, { 'retry-after': '0.01' });
      return true;
    }
    if (faults % 1009 !== 0) return undefined;
    response.destroy();
    return true;
  };
  const fake = await fakeServer(t, { kind: 'vllm', slots: 256, latencyMs: 2 });
  const { model } = await openFakes(t, [fake], { max_concurrency: 256 });
  await replies(model, rows(500));
  fake.options.fault = chaos;
  const before = process.memoryUsage().rss;
  let given = 0;
  const seen = new Uint8Array(10_000);
  for await (const { place, content } of model.answer(questionsOf(rows(10_000)), new AbortController().signal)) {
    assert.equal((content as GenerationReply).output, answerTo(`row ${place}`));
    assert.equal(seen[place], 0);
    seen[place] = 1;
    given += 1;
  }
  assert.equal(given, 10_000);
  const growth = (process.memoryUsage().rss - before) / 1e6;
  assert.ok(growth < 150, `${growth.toFixed(0)} MB`);
  assert.ok(model.stats().requests_retried! > 5);
});

test('whatever goes wrong in the middle of a stream, every row is answered in the end, by its own answer', async (t) => {
  const kinds: StreamFault[] = ['stall', 'cut', 'ended', 'error', 'no JSON', 'pings', 'trickle', 'reset'];
  const asked = new Map<string, number>();
  const fake = await fakeServer(t, { kind: 'vllm', slots: 4 });
  const { model, found } = await openFakes(t, [fake], {}, { idleMs: 700 });
  assert.equal((found.findings as { streams: boolean }).streams, true);
  fake.options.fault = ({ path, body }, response) => {
    if (path !== '/v1/completions') return undefined;
    assert.equal(body.stream, true);
    const times = asked.get(body.prompt) ?? 0;
    asked.set(body.prompt, times + 1);
    if (times > 0) return undefined;
    streamFault(response, kinds[Number(/\d+/.exec(body.prompt)![0]) % kinds.length]!, body.prompt);
    return true;
  };
  const long = Array.from({ length: 24 }, (_, i) => generated(`row ${i}`, { max_new_tokens: 300 }));
  assert.deepEqual(outputs(await replies(model, long)), answers(24));
  // The trickle was right the first time.
  assert.equal(model.stats().requests_retried, 21);
});

test('a server that streams nothing, or without the counts of its tokens, is asked for whole answers', async (t) => {
  for (const streaming of ['ignored', 'refused', 'without usage'] as const) {
    const fake = await fakeServer(t, { kind: 'openai', streaming });
    const { model, found } = await openFakes(t, [fake]);
    assert.equal((found.findings as { streams: boolean }).streams, false, streaming);
    const long = Array.from({ length: 3 }, (_, i) => generated(`row ${i}`, { max_new_tokens: 300 }));
    assert.deepEqual(outputs(await replies(model, long)), answers(3), streaming);
  }
});

test('vLLM: letters at once, the same numbers as one by one; texts in windows; the ids of answers', async (t) => {
  const info = { bos_token: null, eos_token: '</s>' };
  const letters = ranked('row is', [' A', ' B', ' C']);
  const scores: number[][] = [];
  for (const knows of [true, false]) {
    const fake = await fakeServer(t, { kind: 'vllm', letters: knows, tokenizerInfo: info, context: 64 });
    const { found, model } = await openFakes(t, [fake]);
    assert.equal(found.engine.scoring, knows ? 'prompt_logprobs, letters at once' : 'prompt_logprobs');
    assert.deepEqual(found.can.verbs, ['generate_until', 'loglikelihood', 'loglikelihood_rolling']);
    const before = fake.of('/v1/completions').length;
    const text = ' a b c d e f';
    const [ranking, rolling, said] = (await replies(model, [
      letters,
      { verb: 'loglikelihood_rolling', text, window: 4 },
      generated('row 1', { keep_tokens: true, max_new_tokens: 32 }),
    ])) as [ChoicesReply, RollingReply, GenerationReply];
    // One for the letters, two windows, one answer.
    assert.equal(fake.of('/v1/completions').length - before, 4);
    scores.push(ranking.choices.map(({ logprob }) => logprob));
    const ids = idsOf(text);
    assert.ok(Math.abs(rolling.logprob - sumOf([2], ids.slice(0, 4)) - sumOf(ids.slice(1, 4), ids.slice(4))) < 1e-9);
    assert.deepEqual([rolling.num_tokens, rolling.num_windows], [6, 2]);
    assert.deepEqual(said.tokens, { prompt: idsOf('row 1'), output: idsOf(answerTo('row 1')) });
  }
  assert.deepEqual(scores[0], scores[1]);
  assert.deepEqual(
    scores[0],
    [' A', ' B', ' C'].map((word) => sumOf(idsOf('row is'), idsOf(word))),
  );
  const { model } = await openFakes(t, [await fakeServer(t, { kind: 'llama.cpp' })]);
  const [said] = (await replies(model, [generated('row 1', { keep_tokens: true, max_new_tokens: 300 })])) as [
    GenerationReply,
  ];
  assert.deepEqual(said.tokens, { prompt: idsOf('row 1'), output: idsOf(answerTo('row 1')) });
  const { found } = await openFakes(t, [await fakeServer(t, { kind: 'vllm' })]);
  assert.match(found.can.cannot!.loglikelihood_rolling!, /--enable-tokenizer-info-endpoint, or use an ONNX export/);
});

test('an interruption keeps what is known and leaves no request behind', async (t) => {
  const fake = await fakeServer(t, { kind: 'vllm', slots: 4, latencyMs: 20 });
  const { model } = await openFakes(t, [fake]);
  const stop = new AbortController();
  const timer = setInterval(() => {
    if (fake.seen.length > 60) stop.abort(new Error('enough'));
  }, 5);
  t.after(() => clearInterval(timer));
  const given: number[] = [];
  await assert.rejects(async () => {
    for await (const { place, content } of model.answer(questionsOf(rows(1_000)), stop.signal)) {
      assert.equal((content as GenerationReply).output, answerTo(`row ${place}`));
      given.push(place);
    }
  }, /enough/);
  assert.ok(given.length > 4 && given.length < 900, `${given.length}`);
  assert.equal(new Set(given).size, given.length);
});
