/** Answers side by side over small graphs: the tokens of full forward passes, whatever runs beside them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type DecodeForm, openDecodeSession, type Wish } from '../../../nanoeval/model/graph/decode_session.ts';
import { NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { type DecoderOptions, decoderFiles, openPlain, VOCAB } from '../attention_decoder.ts';
import { settings } from '../fixtures.ts';

async function open(t: TestContext, options: DecoderOptions = {}, form: DecodeForm = {}) {
  const files = decoderFiles(t, options);
  const session = await openDecodeSession(files, settings(), 1, { embedder: null, vocab: VOCAB, ...form });
  t.after(() => session.close());
  return { session, plain: await openPlain(t, files) };
}

const PROMPTS = [[3, 17, 42, 8, 55], [60], [9, 9, 9, 9, 9, 9, 9, 9], [3, 17, 42, 1]];
const room = { tokens: 90, slots: 2 };
const begin = (ids: number[], more: { past?: number | null; keep?: number | null; wish?: Wish } = {}) => ({
  past: null,
  keep: null,
  wish: { watched: [] },
  room,
  ids,
  ...more,
});

const GRAPHS: Record<string, DecoderOptions & DecodeForm> = {
  'plain attention': {},
  'heads that are not set apart': { flat: true },
  'heads that are not set apart, queries and keys scaled': { flat: true, scale: 'sides' },
  'a mask by Where': { mask: 'where' },
  'queries and keys scaled': { scale: 'sides' },
  'four bits': { weights: 'int4' },
  GroupQueryAttention: { attention: 'gqa' },
  'products that read rows of weights': { turned: 1 },
  'those and heads that are not set apart': { flat: true, turned: 1 },
  'those and GroupQueryAttention': { attention: 'gqa', turned: 1 },
};

for (const [name, { flat, turned, ...options }] of Object.entries(GRAPHS)) {
  test(`${name}: answers that begin and end at different times have the tokens of full passes`, async (t) => {
    const { session, plain } = await open(t, options, { flat, turned });
    const texts: number[][] = [];
    const places: number[] = [];
    for (const [i, prompt] of PROMPTS.entries()) {
      const { token, logprobs } = await session.begin(begin(prompt, { wish: { watched: [7] } }));
      const expected = await plain.after(prompt, 7);
      assert.equal(token, expected.best);
      assert.ok(Math.abs(logprobs[0]! - expected.logprob) < 1e-4, `${logprobs[0]} ${expected.logprob}`);
      texts.push([...prompt, token]);
      places.push(i);
      // Those that are there go on while others begin.
      if (i === 1) await step();
    }
    async function step(): Promise<void> {
      const said = await session.step(
        places.map((place) => texts[place]!.at(-1)!),
        places.map(() => ({ watched: [7] })),
      );
      for (const [slot, { token, logprobs }] of said.entries()) {
        const text = texts[places[slot]!]!;
        const expected = await plain.after(text, 7);
        assert.equal(token, expected.best);
        assert.ok(Math.abs(logprobs[0]! - expected.logprob) < 1e-4);
        text.push(token);
      }
    }
    await step();
    session.leave(1);
    places[1] = places.pop()!;
    for (let i = 0; i < 3; i += 1) await step();
    session.leave(0);
    places[0] = places.pop()!;
    await step();
    assert.deepEqual(
      session.lengths,
      places.map((place) => texts[place]!.length - 1),
    );
  });
}

test('answers go on from a kept prefix, and from two that follow each other', async (t) => {
  const { session, plain } = await open(t);
  await session.begin(begin([3, 17], { keep: 1 }));
  await session.begin(begin([42, 8], { past: 1, keep: 2 }));
  assert.deepEqual(session.lengths, []);
  for (const [past, ids, all] of [
    [1, [5], [3, 17, 5]],
    [2, [55, 4], [3, 17, 42, 8, 55, 4]],
  ] as const)
    assert.equal((await session.begin(begin([...ids], { past }))).token, (await plain.after([...all], 0)).best);
  session.free([1]);
  await assert.rejects(session.begin(begin([5], { past: 1 })), /no cache 1/);
});

test('what runs beside an answer does not move a digit of it', async (t) => {
  const { session } = await open(t);
  const alone: number[] = [];
  const beside: number[] = [];
  for (const [others, found] of [
    [[], alone],
    [PROMPTS, beside],
  ] as const) {
    await session.begin(begin([11, 5, 8]));
    for (const prompt of others) await session.begin(begin(prompt));
    let tokens = session.lengths.map(() => 6);
    for (let i = 0; i < 4; i += 1) {
      const said = await session.step(
        tokens,
        tokens.map(() => ({ watched: [7, 21] })),
      );
      found.push(...said[0]!.logprobs);
      tokens = said.map(({ token }) => token);
    }
    while (session.lengths.length > 0) session.leave(session.lengths.length - 1);
  }
  assert.deepEqual(beside, alone);
});

const HEADS: [what: string, options: DecoderOptions, tolerance: number][] = [
  ['a plain head', {}, 1e-4],
  ['logits with a soft cap', { capped: true }, 1e-4],
  ['float16', { weights: 'float16', cache: 'float16' }, 2e-2],
];

for (const [what, options, tolerance] of HEADS) {
  test(`${what}: each answer has a temperature of its own, its likeliest tokens and the whole vocabulary`, async (t) => {
    const { session, plain } = await open(t, options);
    const texts = [[3, 17, 42], [60]];
    for (const text of texts) text.push((await session.begin(begin(text))).token);
    const temperatures = [1, 0.5];
    const said = await session.step(
      texts.map((text) => text.at(-1)!),
      temperatures.map((temperature) => ({ watched: [7], temperature, count: 3, all: true })),
    );
    for (const [slot, { token, logprobs, likeliest, all }] of said.entries()) {
      const logits = await plain.last(texts[slot]!);
      const weights = Array.from(logits, (logit) => Math.exp(logit / temperatures[slot]!));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      const expected = weights.map((weight) => Math.log(weight / sum));
      const order = expected.map((_, id) => id).sort((a, b) => expected[b]! - expected[a]!);
      assert.equal(token, order[0]);
      assert.deepEqual(likeliest!.tokens, order.slice(0, 3));
      assert.equal(all!.length, expected.length);
      const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < tolerance, `${a} ${b}`);
      for (const [i, id] of order.slice(0, 3).entries()) near(likeliest!.logprobs[i]!, expected[id]!);
      for (const [id, logprob] of expected.entries()) near(all![id]!, logprob);
      near(logprobs[0]!, expected[7]!);
    }
    const [plainly] = await session.step([1, 1], [{ watched: [] }, { watched: [] }]);
    assert.deepEqual([plainly!.likeliest, plainly!.all], [null, null]);
  });
}

test('more answers than a group of rows holds, whose number it does not divide', async (t) => {
  const { session, plain } = await open(t, {}, { flat: true, turned: 1 });
  const texts = Array.from({ length: 35 }, (_, i) => [3, 1 + i]);
  for (const text of texts) text.push((await session.begin(begin(text))).token);
  for (let round = 0; round < 3; round += 1) {
    const wishes = texts.map(() => ({ watched: [7] }));
    const said = await session.step(
      texts.map((text) => text.at(-1)!),
      wishes,
    );
    assert.equal(said.length, texts.length);
    for (const [slot, { token, logprobs }] of said.entries()) {
      const expected = await plain.after(texts[slot]!, 7);
      assert.equal(token, expected.best);
      assert.ok(Math.abs(logprobs[0]! - expected.logprob) < 1e-4, `${logprobs[0]} ${expected.logprob}`);
      texts[slot]!.push(token);
    }
    // Now 34, then 33: whole groups, and one that is filled up.
    session.leave(session.lengths.length - 1);
    texts.pop();
  }
});

test('answers grow beyond the room that was made for them', async (t) => {
  const { session, plain } = await open(t);
  const text = [3, 17, 42];
  text.push((await session.begin({ ...begin([3, 17, 42]), room: { tokens: 4, slots: 1 } })).token);
  for (let i = 0; i < 70; i += 1) text.push((await session.step([text.at(-1)!], [{ watched: [] }]))[0]!.token);
  assert.equal(text.at(-1), (await plain.after(text.slice(0, -1), 0)).best);
});

const REFUSED: [what: string, options: DecoderOptions, message: RegExp][] = [
  ['no cache', { cache: null }, /no cache/],
  ['positions that are counted', { positions: 'counted' }, /position_ids is not an input/],
  ['positions of three sections', { positions: 'three' }, /position_ids of three sections/],
];

for (const [what, options, message] of REFUSED) {
  test(`a graph with ${what} is not taken`, async (t) => {
    const files = decoderFiles(t, options);
    await assert.rejects(openDecodeSession(files, settings(), 1, { embedder: null, vocab: VOCAB }), (error) => {
      assert.ok(error instanceof NoEdit, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

test('the way of the attention is asked for in the environment while a session is opened, and left to the user', async (t) => {
  const name = 'ORT_GQA_DISABLE_FLASH_ATTENTION';
  const given = process.env[name];
  t.after(() => {
    if (given === undefined) delete process.env[name];
    else process.env[name] = given;
  });
  const said: number[] = [];
  for (const value of [undefined, '0']) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
    const { session } = await open(t);
    assert.equal(process.env[name], value);
    const first = await session.begin(begin(PROMPTS[0]!, { wish: { watched: [7] } }));
    const [next] = await session.step([first.token], [{ watched: [7] }]);
    said.push(next!.logprobs[0]!);
  }
  // Both are the same sums in another order.
  assert.ok(Math.abs(said[0]! - said[1]!) < 1e-5, said.join(' '));
});
