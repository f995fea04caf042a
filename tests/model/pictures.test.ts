/** Prompts with pictures: their text, their ids, and the rows that fail for one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expandPictures, withPictures } from '../../nanoeval/model/pictures.ts';
import { FIRST_IMAGE_ID, openAlbum } from '../../nanoeval/model/vision/album.ts';
import { familyOf } from '../../nanoeval/model/vision/family.ts';
import { generate, scoreOne } from './ask_one.ts';
import { toyAnswer } from './toy_decoder.ts';
import { byHand, close, rowError, saying, seeing, shown, VOCAB } from './toy_verbs.ts';
import { type Colour, cutOff, IMAGE, IMAGE_ID, picture, TOKENS, toyVlm } from './toy_vlm.ts';

const [RED, GREEN]: [Colour, Colour] = [
  [200, 10, 3],
  [9, 180, 77],
];

test('scores and answers are those of a prompt with the tokens of its pictures; texts ask for no vision', async (t) => {
  const model = await seeing(t);
  const { own, known, held, asked, engine } = model;
  const [red, green] = [await picture(RED), await picture(GREEN, 9, 2)];
  const plain = await scoreOne(model, 'The capital is', ' Paris');
  assert.deepEqual([plain.num_tokens > 0, asked()], [true, 0]);
  const context = `A ${IMAGE} and ${IMAGE} is`;
  const found = await scoreOne(model, shown(context, red, green), ' Paris');
  const [head, tail] = [known(context, RED, GREEN), own.encodePlain(' Paris')];
  close(found.logprob, byHand([...head, ...tail].slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.deepEqual([found.num_context_tokens, found.truncated], [head.length, false]);
  assert.deepEqual(found.prompts, [context]);
  assert.deepEqual(await generate(model, shown(context, red, green), 5), {
    output: own.decode(toyAnswer(head, 5, VOCAB)),
    finish_reason: 'length',
    num_output_tokens: 5,
    prompts: [context],
    num_context_tokens: head.length,
    truncated: false,
  });
  const turned = await scoreOne(model, shown(context, green, red), ' Paris');
  const other = [...known(context, GREEN, RED), ...tail];
  close(turned.logprob, byHand(other.slice(0, -1), tail.at(-1)!, tail.length).logprob);
  assert.deepEqual([held(), engine.stats.images], [0, 2]);
});

test('a conversation and its parts as they are ask the same', async (t) => {
  const model = await seeing(t);
  const red = await picture(RED);
  const context = `What is ${IMAGE}?`;
  const [parts, conversation] = [shown(context, red), saying(context, [red])];
  assert.deepEqual(await scoreOne(model, conversation, ' A'), await scoreOne(model, parts, ' A'));
  assert.deepEqual(await generate(model, conversation, 3), await generate(model, parts, 3));
});

test('more or fewer placeholders than pictures, and files that are none, fail for their row', async (t) => {
  const model = await seeing(t);
  const { held, engine } = model;
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
    const prompt = saying(context, images);
    await assert.rejects(scoreOne(model, prompt, ' A'), rowError('image', words));
    await assert.rejects(generate(model, prompt, 2), rowError('image', words));
    assert.equal(held(), 0, context);
  }
  const literal = [...shown(IMAGE, red), { type: 'text', text: ` and ${IMAGE}` } as const];
  await assert.rejects(scoreOne(model, literal, ' A'), rowError('image', /says <image> 2 times and has 1 pictures/));
  const twice = shown(IMAGE, red);
  await assert.rejects(scoreOne(model, twice, ` ${IMAGE}`), rowError('image', /4 picture tokens, its pictures take 3/));
  // Of two choices the second fails: the first one's picture is let go of.
  const good = { continuation: ' A', text: ' A' };
  const choices = [good, { ...good, prompt: saying('none', [red]) }];
  await assert.rejects(scoreOne(model, twice, ' A', { choices }), rowError('image', /0 times/));
  assert.deepEqual([held(), engine.stats.images], [0, 0]);
});

test('expandPictures: what stands for each picture, and how many tokens it takes', async (t) => {
  const family = familyOf(toyVlm(t));
  const images = [await picture(RED), await picture(GREEN, 9, 2)];
  assert.deepEqual(await expandPictures(`A ${IMAGE} and ${IMAGE}.`, images, family), {
    text: `A ${IMAGE.repeat(TOKENS)} and ${IMAGE.repeat(TOKENS)}.`,
    tokens: [TOKENS, TOKENS],
  });
  assert.deepEqual(await expandPictures('A text.', [], family), { text: 'A text.', tokens: [] });
});

test('withPictures: each picture has ids of its own, the same picture the same ones; texts enter nothing', async (t) => {
  const family = familyOf(toyVlm(t));
  const album = openAlbum(() => {});
  const [red, green] = [await picture(RED), await picture(GREEN)];
  const text = `${IMAGE} ${IMAGE} ${IMAGE}`;
  const { shown: pictures, place } = await withPictures(text, [red, green, red], album, () => family);
  const three = (first: number) => [first, first + 1, first + 2];
  const [a, b] = [three(FIRST_IMAGE_ID), three(FIRST_IMAGE_ID + TOKENS)];
  const row = Array.from({ length: TOKENS }, () => IMAGE_ID);
  assert.deepEqual(place([1, ...row, 2, ...row, 3, ...row]), [1, ...a, 2, ...b, 3, ...a]);
  assert.equal(pictures.length, 3);
  assert.equal(pictures[0], pictures[2]);
  assert.throws(() => place([...row, ...row]), rowError('image', /has 6 picture tokens, its pictures take 9/));
  const none = await withPictures(`a text that says ${IMAGE}`, [], album, () => assert.fail('no picture was shown'));
  assert.deepEqual(none.shown, []);
  assert.deepEqual(none.place([5, IMAGE_ID]), [5, IMAGE_ID]);
  assert.equal(none.text, `a text that says ${IMAGE}`);
});
