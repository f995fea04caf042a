/** What each verb makes of a question, on the plain path: over the toy decoder (answers known by hand) and a scripted one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Decoder } from '../../nanoeval/model/graph/onnx.ts';
import { rollingWindows } from '../../nanoeval/model/prepare.ts';
import type { GenerateAsk, LoglikelihoodAsk, RollingAsk } from '../../nanoeval/questions.ts';
import { askAll, askEach, askOne, choice, generate, scoreOne } from './ask_one.ts';
import { fixture, folderWith } from './fixtures.ts';
import { favourites, TOY_CONFIG, toyAnswer, toyDecoder, toyLogprob } from './toy_decoder.ts';
import {
  byHand,
  close,
  naiveVerbs,
  numbered,
  openGraph,
  rowError,
  scriptedDecoder,
  seeing,
  shown,
  tokenizer,
  toyVerbs,
  VOCAB,
} from './toy_verbs.ts';
import { type Colour, IMAGE, IMAGE_ID, picture, TOKENS } from './toy_vlm.ts';

// ---------------------------------------------------------------- loglikelihood

const FRANCE = 'The capital of France is';

test('loglikelihood: the sum over the continuation, as computed by hand', async (t) => {
  for (const options of [{}, { cache: null }, { cache: 'float16', logits: 'float16' }] as const) {
    const model = await toyVerbs(t, 64, options);
    for (const continuation of [' Paris', ' London is that', ' A']) {
      const { context: head, continuation: tail } = tokenizer.encodePair(FRANCE, continuation);
      const found = await scoreOne(model, FRANCE, continuation);
      const expected = byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length);
      close(found.logprob, expected.logprob);
      assert.deepEqual(
        { ...found, logprob: 0 },
        {
          logprob: 0,
          num_tokens: tail.length,
          is_greedy: expected.is_greedy,
          prompts: [FRANCE],
          num_context_tokens: head.length,
          truncated: false,
        },
      );
    }
  }
});

test('loglikelihood: is_greedy when every token is the favourite', async (t) => {
  const model = await toyVerbs(t, 64);
  // Only a token that the tokenizer gives back as one can be asked for as text: look for such a context.
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+?:.'];
  let tried = 0;
  for (const letter of letters) {
    const ids = tokenizer.encode(letter);
    const best = favourites(ids, VOCAB).at(-1)!;
    const continuation = tokenizer.decode([best], true);
    const pair = tokenizer.encodePair(letter, continuation);
    if (continuation === '' || pair.continuation.join() !== `${best}`) continue;
    const found = await scoreOne(model, letter, continuation);
    assert.equal(found.is_greedy, true);
    close(found.logprob, toyLogprob(best, best, VOCAB));
    tried += 1;
  }
  assert.ok(tried >= 3, `${tried} contexts`);
});

test('loglikelihood: one token that is not the favourite is enough for is_greedy to be false', async () => {
  const always: Decoder = {
    ...scriptedDecoder([]),
    async forward(ids) {
      const logits = Float32Array.from({ length: ids.length * 10 }, (_, i) => (i % 10 === 7 ? 1 : 0));
      return { logits, rows: ids.length, vocab: 10, cache: null };
    },
  };
  const model = naiveVerbs(always, numbered, 100);
  for (const continuation of ['7', '7 7', '7 7 9', '9 7', '7 9 7']) {
    const found = await scoreOne(model, '1 2', continuation);
    assert.equal(found.is_greedy, !continuation.includes('9'), continuation);
  }
});

test('loglikelihood: greedy tokens are counted where they are asked for', async () => {
  const always: Decoder = {
    ...scriptedDecoder([]),
    async forward(ids) {
      const logits = Float32Array.from({ length: ids.length * 10 }, (_, i) => (i % 10 === 7 ? 1 : 0));
      return { logits, rows: ids.length, vocab: 10, cache: null };
    },
  };
  const model = naiveVerbs(always, numbered, 100);
  const choices = ['7 9 7 7', '9'].map((continuation) => ({ continuation, text: continuation }));
  const ask = { verb: 'loglikelihood' as const, prompt: '1 2', choices };
  const counts = async (asked: LoglikelihoodAsk) =>
    (await askOne(model, asked)).choices.map(({ num_greedy }) => num_greedy);
  assert.deepEqual(await counts({ ...ask, count_greedy: true }), [3, 0]);
  assert.deepEqual(await counts(ask), [undefined, undefined]);
});

test('loglikelihood: separate tokenisation scores the tokens of the continuation alone', async (t) => {
  const model = await toyVerbs(t, 64);
  const [head, tail] = [tokenizer.encode('The ca '), tokenizer.encodePlain('pital')];
  const found = await scoreOne(model, 'The ca ', 'pital', { tokenization: 'separate' });
  close(found.logprob, byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.equal(found.num_context_tokens, head.length);
});

test('loglikelihood: diverging tokenisation scores from the first token in which the choices differ', async (t) => {
  const model = await toyVerbs(t, 64);
  const texts = [' London is that', ' London is the thing'];
  const { choices } = await askOne(model, {
    verb: 'loglikelihood',
    prompt: FRANCE,
    choices: texts.map((text) => choice(text)),
    tokenization: 'diverging',
  });
  for (const [i, text] of texts.entries()) {
    const { context, continuation } = tokenizer.encodePair(FRANCE, text, 'diverging', texts);
    assert.ok(continuation.length < tokenizer.encodePair(FRANCE, text).continuation.length);
    const expected = byHand([...context, ...continuation].slice(0, -1), continuation.at(-1)!, continuation.length);
    close(choices[i]!.logprob, expected.logprob);
    assert.equal(choices[i]!.num_tokens, continuation.length);
  }
});

test('loglikelihood: an empty context is the prefix token', async (t) => {
  const model = await toyVerbs(t, 64);
  const ids = tokenizer.encodePlain(' Paris is');
  const found = await scoreOne(model, '', ' Paris is');
  close(found.logprob, byHand([1, ...ids.slice(0, -1)], ids.at(-1)!, ids.length).logprob);
  assert.deepEqual([found.num_context_tokens, found.num_tokens], [1, ids.length]);
});

test('loglikelihood: too long an input keeps its last max_length tokens and says so', async (t) => {
  const context = 'The answer is A. Question: what is 12 + 30? Answer:';
  const { context: head, continuation: tail } = tokenizer.encodePair(context, ' 42');
  const input = [...head, ...tail].slice(0, -1);
  for (const maxLength of [input.length + 1, input.length, input.length - 1, 5, tail.length]) {
    const model = await toyVerbs(t, maxLength);
    const found = await scoreOne(model, context, ' 42');
    close(found.logprob, byHand(input.slice(-maxLength), tail.at(-1)!, tail.length).logprob);
    assert.deepEqual([found.truncated, found.num_context_tokens], [maxLength < input.length, head.length]);
  }
});

test('loglikelihood: one choice that is cut makes the row a truncated one', async (t) => {
  const { context, continuation } = tokenizer.encodePair(FRANCE, ' Paris');
  const model = await toyVerbs(t, context.length + continuation.length - 1);
  const of = async (...texts: string[]) =>
    (await askOne(model, { verb: 'loglikelihood', prompt: FRANCE, choices: texts.map((text) => choice(text)) }))
      .truncated;
  assert.deepEqual(
    [await of(' Paris'), await of(' Paris', ' London is that'), await of(' London is that', ' Paris')],
    [false, true, true],
  );
});

test('loglikelihood: a continuation without tokens, or longer than the window, is a row error', async (t) => {
  const model = await toyVerbs(t, 4);
  await assert.rejects(scoreOne(model, 'A.', ''), rowError('tokens', /continuation ""/));
  await assert.rejects(scoreOne(model, ' ', 'A'), rowError('tokens', /context/));
  await assert.rejects(scoreOne(model, 'A.', ' x y z x y'), rowError('length', /window 4/));
});

test('loglikelihood: NaN logits are a row error, where they are scored', async (t) => {
  const [x] = tokenizer.encodePlain('x');
  const model = await toyVerbs(t, 64, { nanToken: x! });
  await assert.rejects(scoreOne(model, 'x', ' A'), rowError('nan', /not a number/));
  await assert.rejects(generate(model, 'x', 2), rowError('nan', /not a number/));
  assert.ok((await scoreOne(model, 'x:', ' A')).logprob < 0, 'not scored there');
});

test('loglikelihood: inputs of more than 2,048 tokens run through the cache in pieces', async (t) => {
  const context = 'the thing '.repeat(1400);
  const { context: head, continuation: tail } = tokenizer.encodePair(context, ' Paris');
  const input = [...head, ...tail].slice(0, -1);
  assert.ok(input.length > 4100, `${input.length} tokens`);
  const lengths: number[] = [];
  const scripted = scriptedDecoder([], (ids) => lengths.push(ids.length));
  await scoreOne(naiveVerbs(scripted, tokenizer, 8192), context, ' Paris');
  assert.deepEqual(lengths, [2048, 2048, input.length - 4096]);

  const model = await toyVerbs(t, 8192, { vocab: VOCAB });
  const uncached = await toyVerbs(t, 8192, { vocab: VOCAB, cache: null });
  const [found, whole] = [
    await scoreOne(model, context, ' Paris is that'),
    await scoreOne(uncached, context, ' Paris is that'),
  ];
  close(found.logprob, whole.logprob);
});

test('loglikelihood: logits are let go of, so memory stays flat', async (t) => {
  const vocab = 49_152;
  const model = await toyVerbs(t, 512, { vocab });
  const context = 'the thing '.repeat(80);
  const megabytes = (tokenizer.encode(context).length * vocab * 4) / 1e6;
  await scoreOne(model, context, ' Paris');
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 25; i += 1) await scoreOne(model, context, ' Paris');
  const grown = (process.memoryUsage().rss - before) / 1e6;
  t.diagnostic(`grown by ${grown.toFixed(0)} MB after 25 times ${megabytes.toFixed(0)} MB of logits`);
  assert.ok(grown < 12 * megabytes, `${grown} MB`);
});

test('loglikelihood: choices with contexts of their own are what separate questions say', async (t) => {
  const model = await toyVerbs(t, 24);
  const contexts = [FRANCE, '', 'The answer is A. Question: what is 12 + 30? The capital is'];
  const reply = await askOne(model, {
    verb: 'loglikelihood',
    prompt: 'The capital is',
    choices: [...contexts.map((prompt) => choice(' Paris', { prompt })), choice(' London')],
  });
  const alone = [
    ...(await Promise.all(contexts.map((context) => scoreOne(model, context, ' Paris')))),
    await scoreOne(model, 'The capital is', ' London'),
  ];
  assert.deepEqual(
    reply.choices,
    alone.map(({ logprob, num_tokens, is_greedy }) => ({ logprob, num_tokens, is_greedy })),
  );
  assert.notEqual(alone[0]!.logprob, alone[1]!.logprob);
  // A choice that brings none has the question's; what is said of tokens is said of the first one.
  assert.deepEqual(reply.prompts, [...contexts, 'The capital is']);
  assert.equal(reply.num_context_tokens, alone[0]!.num_context_tokens);
  assert.deepEqual(
    alone.map(({ truncated }) => truncated),
    [false, false, true, false],
  );
  assert.equal(reply.truncated, true);
});

test('loglikelihood: of contexts with pictures each choice has its own, and all are let go', async (t) => {
  const model = await seeing(t);
  const [RED, GREEN]: Colour[] = [
    [200, 10, 3],
    [9, 180, 77],
  ];
  const [red, green] = [await picture(RED!), await picture(GREEN!)];
  const text = `What is ${IMAGE}?`;
  const reply = await askOne(model, {
    verb: 'loglikelihood',
    prompt: shown(text, red),
    choices: [choice(' A'), choice(' A', { prompt: shown(text, green) }), choice(' A', { prompt: 'What is that?' })],
  });
  const tail = model.own.encodePlain(' A');
  for (const [i, head] of [
    model.known(text, RED!),
    model.known(text, GREEN!),
    model.own.encode('What is that?'),
  ].entries())
    close(reply.choices[i]!.logprob, byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.deepEqual(reply.prompts, [text, text, 'What is that?']);
  assert.deepEqual([model.held(), model.engine.stats.images], [0, 2]);
  const broken = [choice(' A'), choice(' A', { prompt: shown(text, Uint8Array.of(1, 2)) })];
  await assert.rejects(
    askOne(model, { verb: 'loglikelihood', prompt: shown(text, red), choices: broken }),
    rowError('image', /of no known format/),
  );
  assert.equal(model.held(), 0);
});

test('loglikelihood: no choices are answered without the engine', async () => {
  const model = naiveVerbs(
    scriptedDecoder([], () => assert.fail('it ran')),
    tokenizer,
    64,
  );
  assert.deepEqual(await askOne(model, { verb: 'loglikelihood', prompt: FRANCE, choices: [] }), {
    choices: [],
    prompts: [FRANCE],
    num_context_tokens: 0,
    truncated: false,
  });
});

// ---------------------------------------------------------------- loglikelihood_rolling

interface WindowRow {
  max_length: number;
  num_tokens: number;
  windows: { input: number[]; targets: number[] }[];
}
const vectors = fixture<{ prefix: number; first_token: number; rows: WindowRow[] }>('rolling_windows.json');

test("rolling windows equal lm-eval's", () => {
  for (const { max_length, num_tokens, windows } of vectors.rows) {
    const tokens = Array.from({ length: num_tokens }, (_, i) => vectors.first_token + i);
    for (const stride of [undefined, max_length])
      assert.deepEqual(
        [...rollingWindows(tokens, vectors.prefix, max_length, stride)],
        windows,
        `${num_tokens} in ${max_length}`,
      );
  }
});

test('sliding windows: every token once, none longer than the window, and so much context', () => {
  for (const [length, stride] of [
    [4, 1],
    [4, 3],
    [10, 5],
    [7, 2],
  ] as const) {
    for (let count = 1; count < 40; count += 1) {
      const tokens = Array.from({ length: count }, (_, i) => 100 + i);
      const windows = [...rollingWindows(tokens, 1, length, stride)];
      assert.deepEqual(
        windows.flatMap(({ targets }) => targets),
        tokens,
      );
      assert.equal(windows.length, 1 + Math.ceil(Math.max(0, count - length) / stride));
      for (const [w, { input, targets }] of windows.entries()) {
        assert.ok(input.length <= length && targets.length <= input.length);
        assert.deepEqual(input.slice(1 - targets.length || input.length), targets.slice(0, -1));
        if (w > 0) {
          assert.ok(targets.length <= stride);
          assert.equal(input.length, length, 'full');
          assert.ok(input.length - targets.length >= length - stride);
        }
      }
    }
  }
  // By hand: the window after the first looks back over what is scored already.
  assert.deepEqual(
    [...rollingWindows([10, 11, 12, 13, 14, 15, 16], 1, 4, 2)],
    [
      { input: [1, 10, 11, 12], targets: [10, 11, 12, 13] },
      { input: [11, 12, 13, 14], targets: [14, 15] },
      { input: [12, 13, 14, 15], targets: [16] },
    ],
  );
});

const rolling = (text: string, more: Partial<RollingAsk> = {}): RollingAsk => ({
  verb: 'loglikelihood_rolling',
  text,
  ...more,
});

test('loglikelihood_rolling: the sum over windows, every token once', async (t) => {
  const text = 'The capital of France is Paris. The answer is A.';
  const ids = tokenizer.encode(text);
  for (const maxLength of [4, 5, ids.length - 1, ids.length, 64]) {
    const model = await toyVerbs(t, maxLength);
    const windows = [...rollingWindows(ids, 1, maxLength)];
    const expected = windows.map(({ input, targets }) => byHand(input, targets.at(-1)!, targets.length));
    const found = await askOne(model, rolling(text));
    close(
      found.logprob,
      expected.map(({ logprob }) => logprob).reduce((a, b) => a + b),
    );
    assert.deepEqual(
      { ...found, logprob: 0 },
      {
        logprob: 0,
        num_tokens: ids.length,
        num_greedy: expected.map(({ greedy }) => greedy).reduce((a, b) => a + b),
        num_windows: windows.length,
        prompts: [text],
        num_context_tokens: 0,
        truncated: false,
      },
    );
  }
});

/** A decoder of so few tokens that some are favourites by chance, and 61 of its tokens as a text. */
async function few(t: TestContext, maxLength: number) {
  const vocab = 7;
  const folder = folderWith(t, { 'model.onnx': toyDecoder({ vocab }) });
  const decoder = await openGraph(t, join(folder, 'model.onnx'), TOY_CONFIG);
  const tokens = Array.from({ length: 61 }, (_, i) => (i * i + 3 * (i >> 2)) % vocab);
  return { model: naiveVerbs(decoder, numbered, maxLength), tokens, text: tokens.join(' ') };
}

test('loglikelihood_rolling: window and stride say which context each token has; the sum is that of single questions', async (t) => {
  const { model, tokens, text } = await few(t, 20);
  const settings: [window: number | undefined, stride: number | undefined][] = [
    [undefined, undefined],
    [20, 20],
    [20, 5],
    [undefined, 1],
    [8, undefined],
    [8, 3],
  ];
  const sums = new Set<string>();
  for (const [window, stride] of settings) {
    const [length, step] = [window ?? 20, stride ?? window ?? 20];
    // The context of each token, from the definition and not from the windows.
    const contexts = tokens.map((_, i) => {
      if (i < length) return [1, ...tokens.slice(0, i)];
      const end = Math.min(length + (Math.floor((i - length) / step) + 1) * step, tokens.length);
      return tokens.slice(end - length - 1, i);
    });
    const single = await Promise.all(contexts.map((context, i) => scoreOne(model, context.join(' '), `${tokens[i]}`)));
    const found = await askOne(model, rolling(text, { ...(window && { window }), ...(stride && { stride }) }));
    close(
      found.logprob,
      single.reduce((sum, { logprob }) => sum + logprob, 0),
    );
    assert.equal(found.num_greedy, single.filter(({ is_greedy }) => is_greedy).length);
    assert.ok(found.num_greedy > 0 && found.num_greedy < tokens.length, `${found.num_greedy} favourites`);
    assert.equal(found.num_tokens, tokens.length);
    assert.equal(found.num_windows, 1 + Math.ceil((tokens.length - length) / step));
    sums.add(found.logprob.toFixed(6));
  }
  // The first two are the same question.
  assert.equal(sums.size, settings.length - 1);
});

test('loglikelihood_rolling: an empty text has no tokens, and is answered without the engine, also alone', async () => {
  const model = naiveVerbs(
    scriptedDecoder([], () => assert.fail('it ran')),
    tokenizer,
    8,
  );
  const none = { logprob: 0, num_tokens: 0, num_greedy: 0, num_windows: 0, num_context_tokens: 0, truncated: false };
  assert.deepEqual(await askOne(model, rolling('')), { ...none, prompts: [''] });
  assert.deepEqual(await askOne(model, rolling('', { keep_tokens: true })), {
    ...none,
    prompts: [''],
    tokens: { prompt: [], output: [] },
  });
});

test('loglikelihood_rolling: among others an empty text is answered too', async (t) => {
  const model = await toyVerbs(t, 8);
  const texts = ['', 'The capital', '', 'Paris', ''];
  const found = await askAll(
    model,
    texts.map((text) => rolling(text)),
  );
  assert.deepEqual(
    found.map(({ num_tokens }) => num_tokens),
    texts.map((text) => tokenizer.encode(text).length),
  );
});

test('loglikelihood_rolling: a window that the model does not have fails its row alone', async (t) => {
  const model = await toyVerbs(t, 8);
  await assert.rejects(
    askOne(model, rolling('Paris', { window: 9 })),
    rowError('length', /a window of 9 tokens, and the model has 8/),
  );
  const [wide, fits] = await askEach(model, [rolling('Paris', { window: 9 }), rolling('Paris', { window: 8 })]);
  assert.ok(rowError('length', /window of 9/)(wide));
  assert.deepEqual(fits, await askOne(model, rolling('Paris')));
});

test('loglikelihood_rolling: a stride that would leave tokens out, or never come to an end, fails its row', async (t) => {
  const model = await toyVerbs(t, 8);
  for (const [more, words] of [
    [{ window: 4, stride: 5 }, /stride of 5 in windows of 4/],
    [{ stride: 9 }, /stride of 9 in windows of 8/],
    [{ stride: 0 }, /stride of 0/],
    [{ window: 0 }, /stride of 0 in windows of 0/],
  ] as const)
    await assert.rejects(askOne(model, rolling(`${FRANCE} Paris.`, more)), rowError('length', words));
});

test('loglikelihood_rolling: without a prefix token a text fails its row, an empty one does not', async () => {
  const bare = { ...numbered, prefixToken: undefined, encode: (text: string) => (text === '' ? [] : [1]) };
  const model = naiveVerbs(scriptedDecoder([]), bare, 8);
  await assert.rejects(askOne(model, rolling('1')), rowError('tokens', /neither a BOS nor an EOS/));
  assert.equal((await askOne(model, rolling(''))).num_tokens, 0);
});

// ---------------------------------------------------------------- generate_until

test('generate_until: what the toy must say, with and without a cache', async (t) => {
  const prompt = tokenizer.encode(FRANCE);
  const expected = toyAnswer(prompt, 6, VOCAB);
  for (const options of [
    {},
    { cache: null },
    { cache: 'float16', logits: 'float16' },
    { useCacheBranch: true },
  ] as const) {
    const model = await toyVerbs(t, 64, options);
    assert.deepEqual(await generate(model, FRANCE, 6), {
      output: tokenizer.decode(expected),
      finish_reason: 'length',
      num_output_tokens: 6,
      prompts: [FRANCE],
      num_context_tokens: prompt.length,
      truncated: false,
    });
  }
});

test('generate_until: the context loses tokens on the left until the answer has room', async (t) => {
  const context = 'The answer is A. Question: what is 12 + 30? Answer:';
  const prompt = tokenizer.encode(context);
  const model = await toyVerbs(t, 12);
  const found = await generate(model, context, 5, { keep_tokens: true });
  const answer = toyAnswer(prompt.slice(-7), 5, VOCAB);
  assert.equal(found.output, tokenizer.decode(answer));
  assert.deepEqual([found.truncated, found.num_context_tokens], [true, prompt.length]);
  assert.deepEqual(found.tokens, { prompt: prompt.slice(-7), output: answer }, 'the tokens that it had');
  const justFits = await toyVerbs(t, prompt.length + 5);
  assert.equal((await generate(justFits, context, 5)).truncated, false);
  await assert.rejects(generate(model, context, 12), rowError('length', /no room/));
  await assert.rejects(generate(model, '', 5), rowError('tokens', /no tokens/));
});

async function says(answer: string, until: string[], ends: number[] = [], max_new_tokens = 40) {
  const model = naiveVerbs(scriptedDecoder(tokenizer.encodePlain(answer)), tokenizer, 100, ends);
  const found = await generate(model, 'Q', max_new_tokens, { until });
  return [found.output, found.finish_reason, found.num_output_tokens];
}
const count = (text: string) => tokenizer.encodePlain(text).length;

test('generate_until: a stop text ends the answer and is cut off', async () => {
  assert.deepEqual(await says(' Paris\n\nQuestion: what', ['\n\n']), [' Paris', 'stop', count(' Paris\n\n')]);
  assert.deepEqual(await says(' Paris\n\nQuestion: what', ['Question:']), [
    ' Paris\n\n',
    'stop',
    count(' Paris\n\nQuestion:'),
  ]);
  assert.deepEqual(await says(' Paris. London', ['zzz', '. L', 'Par']), [' ', 'stop', count(' Paris')]);
});

test('generate_until: every stop is applied to what the one before it left', async () => {
  // One token completes both stops at once: the order of the list decides.
  assert.deepEqual(await says(' then', ['hen', 'th']), [' t', 'stop', 1]);
  assert.deepEqual(await says(' then', ['th', 'hen']), [' ', 'stop', 1]);
});

test('generate_until: any end-of-sequence token ends the answer and is not in it, though it counts as a token', async () => {
  assert.deepEqual(await says(' Paris</s> London', [], [2, 4]), [' Paris', 'stop', count(' Paris') + 1]);
  assert.deepEqual(await says(' Paris<|im_end|> London', [], [2, 4]), [' Paris', 'stop', count(' Paris') + 1]);
  assert.deepEqual(await says('</s>', [], [2, 4]), ['', 'stop', 1]);
  const [period] = tokenizer.encodePlain('.');
  assert.deepEqual(
    await says(' Paris. London', [], [period!]),
    [' Paris', 'stop', count(' Paris.')],
    'an ordinary token',
  );
});

test('generate_until: a stop may be a special token that is no end-of-sequence token', async () => {
  assert.deepEqual(await says(' Paris<|im_end|> London', ['<|im_end|>']), [' Paris', 'stop', count(' Paris') + 1]);
  assert.deepEqual(await says(' A\n<|im_start|> B', ['\n<|im_start|>']), [' A\n', 'stop', count(' A\n') + 1]);
});

test('generate_until: the length limit, and special tokens that are only skipped', async () => {
  const text = ' Paris</s> is<|im_start|> the thing';
  assert.deepEqual(await says(text, [], [], 4), [' Paris is', 'length', 4]);
});

test('generate_until: after the prompt, one token goes in a step', async () => {
  const lengths: number[] = [];
  const decoder = scriptedDecoder(tokenizer.encodePlain(' Paris is that'), (ids) => lengths.push(ids.length));
  await generate(naiveVerbs(decoder, tokenizer, 100), 'Answer:', 3);
  assert.deepEqual(lengths, [count('Answer:'), 1, 1]);
});

const RED: Colour = [200, 10, 3];

test('first_tokens: log-probabilities of the first token by text, as scoring has them; null where the text is none or more', async (t) => {
  const model = await seeing(t);
  const text = `What is ${IMAGE}?`;
  const prompt = shown(text, await picture(RED));
  const first_tokens = ['A', ' A', 'not one token', '', 'B'];
  const { first_logprobs } = await generate(model, prompt, 3, { first_tokens });
  assert.deepEqual(Object.keys(first_logprobs!), first_tokens);
  const best = favourites(model.known(text, RED), VOCAB).at(-1)!;
  for (const first of first_tokens) {
    const ids = model.own.encodePlain(first);
    const value = first_logprobs![first]!;
    if (ids.length !== 1) assert.equal(value, null, first);
    else {
      close(value, toyLogprob(best, ids[0]!, VOCAB));
      close(value, (await scoreOne(model, prompt, first, { tokenization: 'separate' })).logprob);
    }
  }
  assert.ok(Object.values(first_logprobs!).filter((value) => value !== null).length >= 2);
  assert.ok(!('first_logprobs' in (await generate(model, 'A', 1))));
});

test('too long a prompt with pictures is refused, never cut; an answer has the room that is left', async (t) => {
  const model = await seeing(t, 20);
  const red = await picture(RED);
  const long = `${IMAGE} ${'what is that? '.repeat(8)}`;
  assert.ok(model.known(long, RED).length > 20);
  const words = /cannot be cut|the window/;
  await assert.rejects(scoreOne(model, shown(long, red), ' A'), rowError('length', words));
  await assert.rejects(generate(model, shown(long, red), 2), rowError('length', words));
  const fits = `${IMAGE}${'a'.repeat(3)}`;
  const ids = model.known(fits, RED);
  const answer = await generate(model, shown(fits, red), 100);
  const room = 20 - ids.length;
  assert.deepEqual([answer.num_output_tokens, answer.truncated, answer.finish_reason], [room, false, 'length']);
  assert.equal(answer.output, model.own.decode(toyAnswer(ids, room, VOCAB)));
  assert.equal(model.held(), 0);
});

// ---------------------------------------------------------------- tokens

test('keep_tokens: the ids of the prompt and of what is scored or said, of every verb; without it none', async (t) => {
  const model = await toyVerbs(t, 64);
  const texts = [' Paris', ' London is that'];
  const ranked = { verb: 'loglikelihood', prompt: FRANCE, choices: texts.map((text) => choice(text)) } as const;
  const pairs = texts.map((text) => tokenizer.encodePair(FRANCE, text));
  assert.deepEqual(
    (await askOne(model, { ...ranked, keep_tokens: true })).choices.map(({ tokens }) => tokens),
    pairs.map(({ context, continuation }) => ({ prompt: context, output: continuation })),
  );
  const prompt = tokenizer.encode(FRANCE);
  const kept = await generate(model, FRANCE, 6, { keep_tokens: true });
  assert.deepEqual(kept.tokens, { prompt, output: toyAnswer(prompt, 6, VOCAB) });
  const told = await askOne(model, rolling(FRANCE, { keep_tokens: true }));
  assert.deepEqual(told.tokens, { prompt: [], output: prompt });
  for (const one of [await generate(model, FRANCE, 6), await askOne(model, rolling(FRANCE))])
    assert.ok(!('tokens' in one));
  for (const one of (await askOne(model, ranked)).choices) assert.ok(!('tokens' in one));
});

test('keep_tokens: the token that ended an answer is among them; each choice keeps its own context', async (t) => {
  const said = tokenizer.encodePlain(' Paris</s> London');
  const model = naiveVerbs(scriptedDecoder(said), tokenizer, 100, [2]);
  const { tokens, num_output_tokens } = await generate(model, 'Q', 40, { keep_tokens: true });
  assert.deepEqual(tokens?.output, said.slice(0, num_output_tokens!));
  assert.equal(tokens?.output.at(-1), 2);
  const toy = await toyVerbs(t, 64);
  const contexts = ['The answer', 'Question: what'];
  const { choices } = await askOne(toy, {
    verb: 'loglikelihood',
    prompt: '',
    choices: contexts.map((prompt) => choice(' A', { prompt })),
    keep_tokens: true,
  });
  assert.deepEqual(
    choices.map(({ tokens }) => tokens?.prompt),
    contexts.map((context) => tokenizer.encode(context)),
  );
});

test("keep_tokens: a picture is the vocabulary's own token, as often as it counts", async (t) => {
  const model = await seeing(t);
  const prompt = shown(`What is ${IMAGE}?`, await picture(RED));
  const ids = model.own.encode(`What is ${IMAGE.repeat(TOKENS)}?`);
  assert.equal(ids.filter((id) => id === IMAGE_ID).length, TOKENS);
  const answer = await generate(model, prompt, 3, { keep_tokens: true });
  assert.deepEqual(answer.tokens?.prompt, ids);
  const scored = await scoreOne(model, prompt, ' A', { keep_tokens: true });
  assert.deepEqual(scored.tokens, { prompt: ids, output: model.own.encodePlain(' A') });
});

test('generate_until: where an answer leaves another one, and how near that choice was', async () => {
  const apart = async (text: string, compare_with: string) => {
    const decoder = scriptedDecoder([...tokenizer.encodePlain(text), 2]);
    const ask: GenerateAsk = { verb: 'generate_until', prompt: 'Answer:', until: [], max_new_tokens: 4, compare_with };
    return (await askOne(naiveVerbs(decoder, tokenizer, 100), ask)).apart;
  };
  const whole = count(' Paris is that') + 1;
  assert.equal(await apart(' Paris is that', ' Paris is that'), undefined);
  // A scripted token has a logit of 1, all others 0.
  assert.deepEqual(await apart(' Paris is that', ' Paris was that'), { tokens: whole - count(' Paris'), margin: 1 });
  assert.deepEqual(await apart(' Paris is that', ' London'), { tokens: whole, margin: 1 });
  // It ends where the other goes on: its last token is the one that is another.
  assert.deepEqual(await apart(' Paris is that', ' Paris is that thing'), { tokens: 1, margin: 1 });
  assert.deepEqual(await apart(' Paris is that', ' Paris'), { tokens: whole - count(' Paris'), margin: 1 });
});
