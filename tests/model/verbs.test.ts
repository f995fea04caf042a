/** The three verbs on the plain path: over the toy decoder (answers known by hand), a scripted one, and real checkpoints. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Checkpoint } from '../../nanoeval/model/checkpoint.ts';
import { openEngine } from '../../nanoeval/model/engine/engine.ts';
import { openExecutor, plainExecutor } from '../../nanoeval/model/engine/executor.ts';
import { type Decoder, openDecoder } from '../../nanoeval/model/graph/onnx.ts';
import { openTokenizer, type Tokenizer } from '../../nanoeval/model/tokenizer.ts';
import { openVerbs, rollingWindows } from '../../nanoeval/model/verbs.ts';
import { familyOf } from '../../nanoeval/model/vision/family.ts';
import { type Generation, type GenerationRequest, type LoglikelihoodRequest, RowError } from '../../nanoeval/types.ts';
import { byteLevelTokenizer, fixture, folderWith, readJson, SHARED, settings } from './fixtures.ts';
import { favourites, TOY_CONFIG, type ToyOptions, toyAnswer, toyDecoder, toyLogprob } from './toy_decoder.ts';
import { type Colour, cutOff, IMAGE, IMAGE_ID, picture, TOKENS, toyVlm, toyVlmFolder } from './toy_vlm.ts';

const VOCAB = 320;
const rowError = (kind: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RowError, String(error));
  assert.match(error.message, words);
  return error.kind === kind;
};
const close = (found: number, expected: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found}, expected ${expected}`);

async function openGraph(t: TestContext, decoder: string, config: object): Promise<Decoder> {
  const graphs = { decoder, embed: null, vision: null };
  const checkpoint = { graphs, config, textConfig: config } as unknown as Checkpoint;
  const opened = await openDecoder(checkpoint, settings(), 1);
  t.after(() => opened.close());
  return opened;
}

function naiveEngine(decoder: Decoder, own: Tokenizer, maxLength: number, ends: readonly number[]) {
  const log = { info: () => {}, progress: () => {} };
  const executor = plainExecutor(decoder);
  const engine = openEngine([executor], async () => executor, { batchTokens: 512, cacheBytes: 0, log });
  const verbs = openVerbs(engine, own, {
    eosTokens: ends,
    maxLength,
    vision: () => assert.fail('no picture was shown'),
  });
  return {
    loglikelihood: async (request: LoglikelihoodRequest) => (await verbs.loglikelihood([request]))[0]!,
    loglikelihoodRolling: async (text: string) => (await verbs.loglikelihoodRolling([text]))[0]!,
    generate: async (request: GenerationRequest) => (await verbs.generateUntil([request]))[0]!,
  };
}

async function toyEngine(t: TestContext, maxLength: number, options: ToyOptions = {}) {
  const folder = folderWith(t, { 'model.onnx': toyDecoder({ vocab: VOCAB, ...options }) });
  const decoder = await openGraph(t, join(folder, 'model.onnx'), TOY_CONFIG);
  return naiveEngine(decoder, byteLevelTokenizer(), maxLength, []);
}

/** Sum of the toy's log-probabilities of the last `scored` tokens of `input` + `last`, and whether all are favourites. */
function byHand(input: readonly number[], last: number, scored: number) {
  const next = [...input.slice(1), last];
  const best = favourites(input, VOCAB);
  let logprob = 0;
  let is_greedy = true;
  for (let i = input.length - scored; i < input.length; i += 1) {
    logprob += toyLogprob(best[i]!, next[i]!, VOCAB);
    is_greedy &&= best[i] === next[i];
  }
  return { logprob, is_greedy };
}

const tokenizer = byteLevelTokenizer();

test('loglikelihood: the sum over the continuation, as computed by hand', async (t) => {
  for (const options of [{}, { cache: null }, { cache: 'float16', logits: 'float16' }] as const) {
    const engine = await toyEngine(t, 64, options);
    for (const continuation of [' Paris', ' London is that', ' A']) {
      const { context: head, continuation: tail } = tokenizer.encodePair('The capital of France is', continuation);
      const found = await engine.loglikelihood({ context: 'The capital of France is', continuation });
      const expected = byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length);
      close(found.logprob, expected.logprob);
      assert.deepEqual(
        { ...found, logprob: 0 },
        {
          logprob: 0,
          num_tokens: tail.length,
          is_greedy: expected.is_greedy,
          num_context_tokens: head.length,
          truncated: false,
        },
      );
    }
  }
});

test('loglikelihood: is_greedy when every token is the favourite', async (t) => {
  const engine = await toyEngine(t, 64);
  // Only a token that the tokenizer gives back as one can be asked for as text: look for such a context.
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+?:.'];
  let tried = 0;
  for (const letter of letters) {
    const ids = tokenizer.encode(letter);
    const best = favourites(ids, VOCAB).at(-1)!;
    const continuation = tokenizer.decode([best], true);
    const pair = tokenizer.encodePair(letter, continuation);
    if (continuation === '' || pair.continuation.join() !== `${best}`) continue;
    const found = await engine.loglikelihood({ context: letter, continuation });
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
  const engine = naiveEngine(always, numbered, 100, []);
  for (const continuation of ['7', '7 7', '7 7 9', '9 7', '7 9 7']) {
    const found = await engine.loglikelihood({ context: '1 2', continuation });
    assert.equal(found.is_greedy, !continuation.includes('9'), continuation);
  }
});

test('loglikelihood: separate tokenisation scores the tokens of the continuation alone', async (t) => {
  const engine = await toyEngine(t, 64);
  const [head, tail] = [tokenizer.encode('The ca '), tokenizer.encodePlain('pital')];
  const found = await engine.loglikelihood({ context: 'The ca ', continuation: 'pital', tokenization: 'separate' });
  close(found.logprob, byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.equal(found.num_context_tokens, head.length);
});

test('loglikelihood: an empty context is the prefix token', async (t) => {
  const engine = await toyEngine(t, 64);
  const ids = tokenizer.encodePlain(' Paris is');
  const found = await engine.loglikelihood({ context: '', continuation: ' Paris is' });
  close(found.logprob, byHand([1, ...ids.slice(0, -1)], ids.at(-1)!, ids.length).logprob);
  assert.deepEqual([found.num_context_tokens, found.num_tokens], [1, ids.length]);
});

test('loglikelihood: too long an input keeps its last max_length tokens and says so', async (t) => {
  const context = 'The answer is A. Question: what is 12 + 30? Answer:';
  const { context: head, continuation: tail } = tokenizer.encodePair(context, ' 42');
  const input = [...head, ...tail].slice(0, -1);
  for (const maxLength of [input.length + 1, input.length, input.length - 1, 5, tail.length]) {
    const engine = await toyEngine(t, maxLength);
    const found = await engine.loglikelihood({ context, continuation: ' 42' });
    close(found.logprob, byHand(input.slice(-maxLength), tail.at(-1)!, tail.length).logprob);
    assert.deepEqual([found.truncated, found.num_context_tokens], [maxLength < input.length, head.length]);
  }
});

test('loglikelihood: a continuation without tokens, or longer than the window, is a row error', async (t) => {
  const engine = await toyEngine(t, 4);
  await assert.rejects(
    engine.loglikelihood({ context: 'A.', continuation: '' }),
    rowError('tokens', /continuation ""/),
  );
  await assert.rejects(engine.loglikelihood({ context: ' ', continuation: 'A' }), rowError('tokens', /context/));
  const long = ' x y z x y';
  await assert.rejects(engine.loglikelihood({ context: 'A.', continuation: long }), rowError('length', /window 4/));
});

test('loglikelihood: NaN logits are a row error, where they are scored', async (t) => {
  const [x] = tokenizer.encodePlain('x');
  const engine = await toyEngine(t, 64, { nanToken: x! });
  await assert.rejects(engine.loglikelihood({ context: 'x', continuation: ' A' }), rowError('nan', /not a number/));
  await assert.rejects(
    engine.generate({ context: 'x', until: [], max_new_tokens: 2 }),
    rowError('nan', /not a number/),
  );
  assert.ok((await engine.loglikelihood({ context: 'x:', continuation: ' A' })).logprob < 0, 'not scored there');
});

test('loglikelihood: inputs of more than 2,048 tokens run through the cache in pieces', async (t) => {
  const context = 'the thing '.repeat(1400);
  const { context: head, continuation: tail } = tokenizer.encodePair(context, ' Paris');
  const input = [...head, ...tail].slice(0, -1);
  assert.ok(input.length > 4100, `${input.length} tokens`);
  const lengths: number[] = [];
  const scripted = scriptedDecoder([], (ids) => lengths.push(ids.length));
  await naiveEngine(scripted, tokenizer, 8192, []).loglikelihood({ context, continuation: ' Paris' });
  assert.deepEqual(lengths, [2048, 2048, input.length - 4096]);

  const engine = await toyEngine(t, 8192, { vocab: VOCAB });
  const uncached = await toyEngine(t, 8192, { vocab: VOCAB, cache: null });
  const request = { context, continuation: ' Paris is that' };
  const [found, whole] = [await engine.loglikelihood(request), await uncached.loglikelihood(request)];
  close(found.logprob, whole.logprob);
});

test('loglikelihood: logits are let go of, so memory stays flat', async (t) => {
  const vocab = 49_152;
  const engine = await toyEngine(t, 512, { vocab });
  const context = 'the thing '.repeat(80);
  const megabytes = (tokenizer.encode(context).length * vocab * 4) / 1e6;
  await engine.loglikelihood({ context, continuation: ' Paris' });
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 25; i += 1) await engine.loglikelihood({ context, continuation: ' Paris' });
  const grown = (process.memoryUsage().rss - before) / 1e6;
  t.diagnostic(`grown by ${grown.toFixed(0)} MB after 25 times ${megabytes.toFixed(0)} MB of logits`);
  assert.ok(grown < 12 * megabytes, `${grown} MB`);
});

interface WindowRow {
  max_length: number;
  num_tokens: number;
  windows: { input: number[]; targets: number[] }[];
}
const vectors = fixture<{ prefix: number; first_token: number; rows: WindowRow[] }>('rolling_windows.json');

test("rolling windows equal lm-eval's", () => {
  for (const { max_length, num_tokens, windows } of vectors.rows) {
    const tokens = Array.from({ length: num_tokens }, (_, i) => vectors.first_token + i);
    assert.deepEqual(
      [...rollingWindows(tokens, vectors.prefix, max_length)],
      windows,
      `${num_tokens} in ${max_length}`,
    );
  }
});

test('loglikelihoodRolling: the sum over windows, every token once', async (t) => {
  const text = 'The capital of France is Paris. The answer is A.';
  const ids = tokenizer.encode(text);
  for (const maxLength of [4, 5, ids.length - 1, ids.length, 64]) {
    const engine = await toyEngine(t, maxLength);
    const windows = [...rollingWindows(ids, 1, maxLength)];
    const expected = windows.map(({ input, targets }) => byHand(input, targets.at(-1)!, targets.length).logprob);
    const found = await engine.loglikelihoodRolling(text);
    close(
      found.logprob,
      expected.reduce((a, b) => a + b),
    );
    assert.equal(found.num_tokens, ids.length);
  }
  const engine = await toyEngine(t, 8);
  assert.deepEqual(await engine.loglikelihoodRolling(''), { logprob: 0, num_tokens: 0 });
});

test('generate: what the toy must say, with and without a cache', async (t) => {
  const prompt = tokenizer.encode('The capital of France is');
  const expected = toyAnswer(prompt, 6, VOCAB);
  for (const options of [
    {},
    { cache: null },
    { cache: 'float16', logits: 'float16' },
    { useCacheBranch: true },
  ] as const) {
    const engine = await toyEngine(t, 64, options);
    const found = await engine.generate({ context: 'The capital of France is', until: [], max_new_tokens: 6 });
    assert.deepEqual(found, {
      output: tokenizer.decode(expected),
      finish_reason: 'length',
      num_output_tokens: 6,
      num_context_tokens: prompt.length,
      truncated: false,
    });
  }
});

test('generate: the context loses tokens on the left until the answer has room', async (t) => {
  const context = 'The answer is A. Question: what is 12 + 30? Answer:';
  const prompt = tokenizer.encode(context);
  const engine = await toyEngine(t, 12);
  const found = await engine.generate({ context, until: [], max_new_tokens: 5 });
  assert.equal(found.output, tokenizer.decode(toyAnswer(prompt.slice(-7), 5, VOCAB)));
  assert.deepEqual([found.truncated, found.num_context_tokens], [true, prompt.length]);
  const justFits = await toyEngine(t, prompt.length + 5);
  assert.equal((await justFits.generate({ context, until: [], max_new_tokens: 5 })).truncated, false);
  await assert.rejects(engine.generate({ context, until: [], max_new_tokens: 12 }), rowError('length', /no room/));
  await assert.rejects(engine.generate({ context: '', until: [], max_new_tokens: 5 }), rowError('tokens', /no tokens/));
});

/** Says `answer`, token by token, whatever it is given; then the last token again and again. */
function scriptedDecoder(answer: readonly number[], seen: (ids: readonly number[]) => void = () => {}): Decoder {
  let said = 0;
  return {
    hasCache: true,
    async forward(ids, cache, keepCache) {
      seen(ids);
      if (cache === null) said = 0;
      const logits = new Float32Array(ids.length * VOCAB);
      logits[(ids.length - 1) * VOCAB + (answer[Math.min(said, answer.length - 1)] ?? 0)] = 1;
      said += 1;
      const length = (cache?.length ?? 0) + ids.length;
      return { logits, rows: ids.length, vocab: VOCAB, cache: keepCache ? { length, tensors: {} } : null };
    },
    async close() {},
  };
}

async function says(answer: string, until: string[], ends: number[] = [], max_new_tokens = 40) {
  const engine = naiveEngine(scriptedDecoder(tokenizer.encodePlain(answer)), tokenizer, 100, ends);
  const found = await engine.generate({ context: 'Q', until, max_new_tokens });
  return [found.output, found.finish_reason, found.num_output_tokens];
}
const count = (text: string) => tokenizer.encodePlain(text).length;

test('generate: a stop text ends the answer and is cut off', async () => {
  assert.deepEqual(await says(' Paris\n\nQuestion: what', ['\n\n']), [' Paris', 'stop', count(' Paris\n\n')]);
  assert.deepEqual(await says(' Paris\n\nQuestion: what', ['Question:']), [
    ' Paris\n\n',
    'stop',
    count(' Paris\n\nQuestion:'),
  ]);
  assert.deepEqual(await says(' Paris. London', ['zzz', '. L', 'Par']), [' ', 'stop', count(' Paris')]);
});

test('generate: every stop is applied to what the one before it left', async () => {
  // One token completes both stops at once: the order of the list decides.
  assert.deepEqual(await says(' then', ['hen', 'th']), [' t', 'stop', 1]);
  assert.deepEqual(await says(' then', ['th', 'hen']), [' ', 'stop', 1]);
});

test('generate: any end-of-sequence token ends the answer and is not in it, though it counts as a token', async () => {
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

test('generate: a stop may be a special token that is no end-of-sequence token', async () => {
  assert.deepEqual(await says(' Paris<|im_end|> London', ['<|im_end|>']), [' Paris', 'stop', count(' Paris') + 1]);
  assert.deepEqual(await says(' A\n<|im_start|> B', ['\n<|im_start|>']), [' A\n', 'stop', count(' A\n') + 1]);
});

test('generate: the length limit, and special tokens that are only skipped', async () => {
  const text = ' Paris</s> is<|im_start|> the thing';
  assert.deepEqual(await says(text, [], [], 4), [' Paris is', 'length', 4]);
});

test('generate: after the prompt, one token goes in a step', async () => {
  const lengths: number[] = [];
  const decoder = scriptedDecoder(tokenizer.encodePlain(' Paris is that'), (ids) => lengths.push(ids.length));
  await naiveEngine(decoder, tokenizer, 100, []).generate({ context: 'Answer:', until: [], max_new_tokens: 3 });
  assert.deepEqual(lengths, [count('Answer:'), 1, 1]);
});

// ---------------------------------------------------------------- pictures

const [RED, GREEN]: [Colour, Colour] = [
  [200, 10, 3],
  [9, 180, 77],
];

/** The toy checkpoint that sees: a picture counts as the tokens of its colour. */
async function seeing(t: TestContext, maxLength = 64) {
  const folder = folderWith(t, toyVlmFolder());
  const own = openTokenizer(readJson(join(folder, 'tokenizer.json')), { bos_token: '<s>', eos_token: '</s>' });
  const files = toyVlm(t);
  const executor = await openExecutor(files, settings(), { mode: 'naive', threads: 1 });
  const log = { info: () => {}, progress: () => {} };
  const engine = openEngine([executor], async () => executor, { batchTokens: 512, cacheBytes: 0, log });
  t.after(() => engine.close());
  // What entered the album and has not left it.
  let held = 0;
  const { enter, leave } = engine.album;
  engine.album.enter = (bytes, tokens) => {
    held += 1;
    return enter(bytes, tokens);
  };
  engine.album.leave = (shown) => {
    held -= 1;
    leave(shown);
  };
  let asked = 0;
  const vision = () => {
    asked += 1;
    return familyOf(files);
  };
  const verbs = openVerbs(engine, own, { eosTokens: [], maxLength, vision });
  /** Ids of a text in which each picture is its colour. */
  const known = (text: string, ...colours: Colour[]) => {
    const rest = [...colours];
    const expanded = text.replaceAll(IMAGE, IMAGE.repeat(TOKENS));
    const ids = own.encode(expanded);
    let at = 0;
    return ids.map((id) => {
      if (id !== IMAGE_ID) return id;
      at += 1;
      return rest[Math.floor((at - 1) / TOKENS)]![(at - 1) % TOKENS]!;
    });
  };
  return { engine, verbs, own, known, held: () => held, asked: () => asked };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
const unending = new AbortController().signal;

test('pictures: scores and answers are those of a prompt with their tokens; texts ask for no vision', async (t) => {
  const { verbs, own, known, held, asked, engine } = await seeing(t);
  const [red, green] = [await picture(RED), await picture(GREEN, 9, 2)];
  const plain = await verbs.loglikelihood([{ context: 'The capital is', continuation: ' Paris' }]);
  assert.deepEqual([plain[0]!.num_tokens > 0, asked()], [true, 0]);
  const context = `A ${IMAGE} and ${IMAGE} is`;
  const images = [red, green];
  const [found] = await verbs.loglikelihood([{ context, continuation: ' Paris', images }]);
  const [head, tail] = [known(context, RED, GREEN), own.encodePlain(' Paris')];
  close(found!.logprob, byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.deepEqual([found!.num_context_tokens, found!.truncated], [head.length, false]);
  const [answer] = await verbs.generateUntil([{ context, images, until: [], max_new_tokens: 5 }]);
  assert.deepEqual(answer, {
    output: own.decode(toyAnswer(head, 5, VOCAB)),
    finish_reason: 'length',
    num_output_tokens: 5,
    num_context_tokens: head.length,
    truncated: false,
  });
  const turned = await verbs.loglikelihood([{ context, continuation: ' Paris', images: [green, red] }]);
  const other = [...known(context, GREEN, RED), ...tail];
  close(turned[0]!.logprob, byHand(other.slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.deepEqual([held(), engine.stats.images], [0, 2]);
});

test('first_tokens: log-probabilities of the first token, as scoring has them; null where the text is none or more', async (t) => {
  const { verbs, own, known } = await seeing(t);
  const context = `What is ${IMAGE}?`;
  const images = [await picture(RED)];
  const first_tokens = ['A', ' A', 'not one token', '', 'B'];
  const [answer] = await verbs.generateUntil([{ context, images, until: [], max_new_tokens: 3, first_tokens }]);
  const best = favourites(known(context, RED), VOCAB).at(-1)!;
  for (const [i, text] of first_tokens.entries()) {
    const ids = own.encodePlain(text);
    const value = answer!.first_logprobs![i]!;
    if (ids.length !== 1) assert.equal(value, null, text);
    else {
      close(value, toyLogprob(best, ids[0]!, VOCAB));
      const request = { context, images, continuation: text, tokenization: 'separate' } as const;
      close(value, (await verbs.loglikelihood([request]))[0]!.logprob);
    }
  }
  assert.equal(answer!.first_logprobs!.filter((value) => value !== null).length >= 2, true);
  const [plain] = await verbs.generateUntil([{ context: 'A', until: [], max_new_tokens: 1 }]);
  assert.ok(!('first_logprobs' in plain!));
});

test('more or fewer placeholders than pictures, and files that are none, fail for their row', async (t) => {
  const { verbs, held, engine } = await seeing(t);
  const red = await picture(RED);
  const cases: [context: string, images: Uint8Array[], words: RegExp][] = [
    ['no place', [red], /says <image> 0 times and has 1 pictures/],
    [`${IMAGE} ${IMAGE}`, [red], /says <image> 2 times and has 1 pictures/],
    [`${IMAGE}`, [red, red], /says <image> 1 times and has 2 pictures/],
    [`${IMAGE}`, [Uint8Array.of(1, 2)], /of no known format/],
    [`${IMAGE} ${IMAGE}`, [red, new Uint8Array(0)], /empty/],
    [`${IMAGE}`, [await cutOff()], /cannot be decoded/],
  ];
  for (const [context, images, words] of cases) {
    await assert.rejects(verbs.loglikelihood([{ context, images, continuation: ' A' }]), rowError('image', words));
    const request = { context, images, until: [], max_new_tokens: 2 };
    await assert.rejects(verbs.generateUntil([request]), rowError('image', words));
    assert.equal(held(), 0, context);
  }
  const twice = { context: IMAGE, images: [red], continuation: ` ${IMAGE}` };
  await assert.rejects(verbs.loglikelihood([twice]), rowError('image', /4 picture tokens, its pictures take 3/));
  // Of two requests the second fails: the first one's picture is let go of.
  const good = { context: IMAGE, images: [red], continuation: ' A' };
  await assert.rejects(verbs.loglikelihood([good, { ...good, context: 'none' }]), rowError('image', /0 times/));
  assert.deepEqual([held(), engine.stats.images], [0, 0]);
});

test('too long a prompt with pictures is refused, never cut; an answer has the room that is left', async (t) => {
  const { verbs, known, own, held } = await seeing(t, 20);
  const images = [await picture(RED)];
  const long = `${IMAGE} ${'what is that? '.repeat(8)}`;
  const count = known(long, RED).length;
  assert.ok(count > 20);
  const words = /cannot be cut|the window/;
  await assert.rejects(verbs.loglikelihood([{ context: long, images, continuation: ' A' }]), rowError('length', words));
  await assert.rejects(
    verbs.generateUntil([{ context: long, images, until: [], max_new_tokens: 2 }]),
    rowError('length', words),
  );
  const fits = `${IMAGE}${'a'.repeat(3)}`;
  const ids = known(fits, RED);
  const [answer] = await verbs.generateUntil([{ context: fits, images, until: [], max_new_tokens: 100 }]);
  const room = 20 - ids.length;
  assert.deepEqual([answer!.num_output_tokens, answer!.truncated, answer!.finish_reason], [room, false, 'length']);
  assert.equal(answer!.output, own.decode(toyAnswer(ids, room, VOCAB)));
  assert.equal(held(), 0);
});

test('a corrupt picture fails its row and no other; the pictures of all leave the album', async (t) => {
  const { verbs, known, own, held, engine } = await seeing(t);
  const [red, green, cut] = [await picture(RED), await picture(GREEN), await cutOff()];
  const rows: [Uint8Array, Colour | null][] = [
    [red, RED],
    [cut, null],
    [green, GREEN],
    [red, RED],
    [cut, null],
    [green, GREEN],
  ];
  const context = `What is ${IMAGE}?`;
  const asked = rows.map(([bytes], place) => ({
    place,
    content: { context, images: [bytes], until: [], max_new_tokens: 2 },
  }));
  const seen: number[] = [];
  for await (const { place, content } of verbs.generations(each(asked), unending)) {
    seen.push(place);
    const [, colour] = rows[place]!;
    if (colour === null) assert.ok(content instanceof RowError && content.kind === 'image');
    else assert.equal((content as Generation).output, own.decode(toyAnswer(known(context, colour), 2, VOCAB)));
  }
  const scored = rows.map(([bytes], place) => ({ place, content: [{ context, images: [bytes], continuation: ' A' }] }));
  for await (const { place, content } of verbs.loglikelihoods(each(scored), unending)) {
    seen.push(place);
    assert.equal(content instanceof RowError, rows[place]![1] === null);
  }
  assert.deepEqual(seen.sort(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
  assert.deepEqual([held(), engine.stats.images], [0, 2]);
});

test('a stream that is aborted, left or broken lets go of its pictures', async (t) => {
  const { verbs, held } = await seeing(t);
  const red = await picture(RED);
  const context = `What is ${IMAGE}?`;
  const source = async function* (breaks = false) {
    for (let place = 0; place < 40; place += 1) {
      if (breaks && place === 9) throw new Error('no more rows');
      yield { place, content: { context, images: [red], continuation: ' A', until: [], max_new_tokens: 2 } };
    }
  };
  const scored = async function* (breaks = false) {
    for await (const { place, content } of source(breaks)) yield { place, content: [content] };
  };
  const settled = async () => {
    for (let i = 0; i < 2000 && held() > 0; i += 1) await new Promise(setImmediate);
    assert.equal(held(), 0);
  };
  for (const stream of [verbs.loglikelihoods.bind(null, scored()), verbs.generations.bind(null, source())] as const) {
    const stop = new AbortController();
    const take = async () => {
      for await (const _ of stream(stop.signal)) stop.abort(new Error('enough'));
    };
    await assert.rejects(take(), /enough/);
    await settled();
  }
  for await (const _ of verbs.loglikelihoods(scored(), unending)) break;
  await settled();
  for await (const _ of verbs.generations(source(), unending)) break;
  await settled();
  const all = async (stream: AsyncIterable<unknown>) => {
    for await (const _ of stream);
  };
  await assert.rejects(all(verbs.loglikelihoods(scored(true), unending)), /no more rows/);
  await assert.rejects(all(verbs.generations(source(true), unending)), /no more rows/);
  await settled();
});

test('pictures of questions that are known are let go of with their window, not at the end', async (t) => {
  const { verbs, held, known, own } = await seeing(t);
  const red = await picture(RED);
  const context = `What is ${IMAGE}?`;
  const content = { context, images: [red], continuation: ' A', until: [], max_new_tokens: 2 };
  const questions = Array.from({ length: 60 }, (_, place) => ({
    place,
    window: place >> 2,
    ...(place % 4 === 2 ? {} : { done: true }),
  }));
  for (const kind of ['scores', 'answers'] as const) {
    let most = 0;
    const places: number[] = [];
    const stream =
      kind === 'scores'
        ? verbs.loglikelihoods(each(questions.map((one) => ({ ...one, content: [content] }))), unending)
        : verbs.generations(each(questions.map((one) => ({ ...one, content }))), unending);
    for await (const { place, content: found } of stream) {
      places.push(place);
      most = Math.max(most, held());
      if (kind === 'answers')
        assert.equal((found as Generation).output, own.decode(toyAnswer(known(context, RED), 2, VOCAB)));
    }
    assert.deepEqual(
      places,
      questions.filter((one) => !('done' in one)).map(({ place }) => place),
    );
    assert.equal(held(), 0);
    assert.ok(most > 0 && most <= 16, `${kind}: ${most} pictures held`);
  }
});

// ---------------------------------------------------------------- stories260K: real trained weights

const STORIES = join(SHARED, 'models/stories260K');
const noStories = existsSync(STORIES) ? false : 'needs ../shared/models/stories260K';
interface Golden {
  ids: number[];
  text: string;
  logprob_f64_teacher_forced: number[];
}

/** Ids stand for themselves: `1 403 407`. The checkpoint's own tokenizer would merge the story anew. */
const numbered: Tokenizer = {
  special: {},
  prefixToken: 1,
  bosToken: 1,
  eosToken: undefined,
  encode: (text) => text.trim().split(' ').map(Number),
  encodePlain: (text) => text.trim().split(' ').map(Number),
  decode: (ids) => ids.join(' '),
  encodePair: (context, continuation) => ({
    context: numbered.encode(context),
    continuation: numbered.encode(continuation),
  }),
};

test('stories260K: 256 log-probabilities, and the story itself', { skip: noStories }, async (t) => {
  const golden = readJson<Golden>(join(STORIES, 'golden_greedy.json'));
  const decoder = await openGraph(t, join(STORIES, 'onnx/model.onnx'), readJson(join(STORIES, 'config.json')));
  const engine = naiveEngine(decoder, numbered, 512, []);
  const { ids } = golden;
  let largest = 0;
  let sum = 0;
  for (let i = 1; i < ids.length; i += 1) {
    const request = { context: ids.slice(0, i).join(' '), continuation: `${ids[i]}` };
    const found = await engine.loglikelihood(request);
    assert.equal(found.is_greedy, true, `token ${i}`);
    const expected = golden.logprob_f64_teacher_forced[i - 1]!;
    largest = Math.max(largest, Math.abs(found.logprob - expected));
    sum += expected;
  }
  t.diagnostic(`largest difference of a log-probability: ${largest.toExponential(2)}`);
  assert.ok(largest < 1e-4, `${largest}`);

  const whole = await engine.loglikelihood({ context: '1', continuation: ids.slice(1).join(' ') });
  close(whole.logprob, sum, 1e-3);
  close((await engine.loglikelihoodRolling(ids.slice(1).join(' '))).logprob, sum, 1e-3);

  const story = await engine.generate({ context: '1', until: [], max_new_tokens: 256 });
  assert.equal(story.output, ids.slice(1).join(' '));
});

test("stories260K: the checkpoint's own tokenizer tells the published story", { skip: noStories }, async (t) => {
  const golden = readJson<Golden>(join(STORIES, 'golden_greedy.json'));
  const decoder = await openGraph(t, join(STORIES, 'onnx/model.onnx'), readJson(join(STORIES, 'config.json')));
  const own = openTokenizer(readJson(join(STORIES, 'tokenizer.json')), {});
  const engine = naiveEngine(decoder, own, 512, []);
  // Its post-processor puts BOS in front of anything, of an empty context too.
  const found = await engine.generate({ context: '', until: [], max_new_tokens: 256 });
  assert.deepEqual([found.output, found.num_context_tokens], [golden.text, 1]);
  const cut = await engine.generate({ context: '', until: ['. She', ' a big, red'], max_new_tokens: 256 });
  assert.deepEqual([cut.output, cut.finish_reason], ['Once upon a time, there was a little girl named Lily', 'stop']);
});
