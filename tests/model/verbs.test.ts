/** Streams of questions: everything is answered once, whatever is asked beside it, and pictures are let go. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openRenderer } from '../../nanoeval/model/render.ts';
import { openTokenizer, type Tokenizer } from '../../nanoeval/model/tokenizer.ts';
import { openVerbs } from '../../nanoeval/model/verbs.ts';
import type { Ask, GenerationReply, Model, Reply, Verb } from '../../nanoeval/questions.ts';
import { type Question, RowError } from '../../nanoeval/types.ts';
import { askEach, askOne, choice, each, gather, generate, scoreOne, unending } from './ask_one.ts';
import { readJson, SHARED } from './fixtures.ts';
import { FORMS, open, type Setting } from './hash_engine.ts';
import { directAnswer, directScore, NAN_TOKEN } from './hash_executor.ts';
import { toyAnswer } from './toy_decoder.ts';
import {
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
import { type Colour, cutOff, IMAGE, picture } from './toy_vlm.ts';

// ---------------------------------------------------------------- kinds of questions in one stream

/** The verbs over an engine without a graph; ids stand for themselves. */
function hashed(setting: Setting, maxLength = 40) {
  const { engine, executors, rest } = open(setting);
  const { render, vision } = openRenderer('hash', null, () => assert.fail('no picture was shown'));
  const own: Tokenizer = { ...numbered, encode: (text) => (text === '' ? [] : numbered.encode(text)) };
  const desk = { tokenizer: own, album: engine.album, eosTokens: [], maxLength, vision, render };
  return { answer: openVerbs(engine, desk), engine, executors, rest };
}

/** The question of a kind at a place, and what it must come to. */
function asked(verb: Verb, place: number): { ask: Ask; check(reply: Reply | RowError): void } {
  const ids = [1, 2, 3, 4 + (place % 50), 7];
  const prompt = ids.join(' ');
  if (verb === 'generate_until') {
    const output = directAnswer(ids, 3).join(' ');
    return {
      ask: { verb, prompt, until: [], max_new_tokens: 3 },
      check: (reply) => assert.equal((reply as GenerationReply).output, output),
    };
  }
  if (verb === 'loglikelihood') {
    const expected = [8, 9].map((id) => directScore({ input: Int32Array.from(ids), targets: [id] }).logprob);
    return {
      ask: { verb, prompt, choices: [choice('8'), choice('9')] },
      check: (reply) => {
        assert.ok('choices' in reply);
        for (const [i, { logprob }] of reply.choices.entries()) close(logprob, expected[i]!);
      },
    };
  }
  const { logprob, numGreedy } = directScore({ input: Int32Array.from([1, ...ids.slice(0, -1)]), targets: ids });
  return {
    ask: { verb, text: prompt },
    check: (reply) => {
      assert.ok('num_windows' in reply);
      close(reply.logprob, logprob);
      assert.deepEqual([reply.num_greedy, reply.num_tokens, reply.num_windows], [numGreedy, 5, 1]);
    },
  };
}

const ORDERS: Record<string, (place: number) => Verb> = {
  alternating: (place) => (['loglikelihood', 'generate_until', 'loglikelihood_rolling'] as const)[place % 3]!,
  'two ways in turn': (place) => (['generate_until', 'loglikelihood'] as const)[place % 2]!,
  'in runs': (place) =>
    (['loglikelihood_rolling', 'generate_until', 'loglikelihood'] as const)[Math.floor(place / 7) % 3]!,
  'one at the end': (place) => (place < 29 ? 'loglikelihood' : 'generate_until'),
};

for (const form of FORMS) {
  test(`verbs mixed in one stream, ${form} form: everything is answered once, as it is alone`, async () => {
    for (const [order, kindAt] of Object.entries(ORDERS)) {
      for (const windows of [false, true]) {
        const { answer, engine, rest } = hashed({ form, lanes: 2 });
        const all = Array.from({ length: 30 }, (_, place) => asked(kindAt(place), place));
        const questions = all.map(({ ask }, place) => ({
          place,
          content: ask,
          ...(windows ? { window: place >> 3 } : {}),
        }));
        const found = await gather(answer(each(questions), unending));
        assert.equal(found.size, 30, order);
        for (const [place, { check }] of all.entries()) check(found.get(place)!);
        await rest();
        await engine.close();
      }
    }
  });
}

test('in a mixed stream a row that fails, an empty text and a known answer hold up nobody', async () => {
  const { answer } = hashed({ form: 'tree' }, 8);
  const good = (['loglikelihood', 'generate_until', 'loglikelihood_rolling'] as const).map((verb) => asked(verb, 5));
  const long = Array.from({ length: 9 }, () => 2).join(' ');
  const failing: [Ask, string, RegExp][] = [
    [{ verb: 'loglikelihood', prompt: '1', choices: [choice(long)] }, 'length', /continuation has 9 tokens/],
    [{ verb: 'generate_until', prompt: '1', until: [], max_new_tokens: 8 }, 'length', /no room/],
    [{ verb: 'loglikelihood_rolling', text: '1', window: 9 }, 'length', /window of 9/],
    [{ verb: 'loglikelihood', prompt: `${NAN_TOKEN}`, choices: [choice('5')] }, 'nan', /NaN/],
    [{ verb: 'classify', text: '1' }, 'verb', /no classification head/],
  ];
  const empty: Ask = { verb: 'loglikelihood_rolling', text: '' };
  const asks = [...failing.map(([ask]) => ask), empty].flatMap((ask) => [ask, ...good.map((one) => one.ask)]);
  const found = await askEach({ answer }, asks);
  for (const [i, reply] of found.entries()) {
    const [group, which] = [i >> 2, i % 4];
    if (which > 0) good[which - 1]!.check(reply);
    else if (group === failing.length) assert.equal('num_tokens' in reply && reply.num_tokens, 0);
    else assert.ok(rowError(failing[group]![1], failing[group]![2])(reply));
  }
  // Known ones are planned with the others and not answered, whatever they are.
  const questions = asks.map((content, place) => ({ place, content, ...(place % 2 === 0 ? { done: true } : {}) }));
  const rest = await gather(answer(each(questions), unending));
  assert.deepEqual(
    [...rest.keys()].sort((a, b) => a - b),
    asks.map((_, i) => i).filter((i) => i % 2 === 1),
  );
  for (const [place, reply] of rest) assert.deepEqual(reply, found[place]);
});

test('a stream of nothing, of known answers alone, and of rows that cannot be asked ends', async () => {
  for (const form of FORMS) {
    const { answer } = hashed({ form }, 8);
    const ask: Ask = { verb: 'generate_until', prompt: '1', until: [], max_new_tokens: 3 };
    const broken: Ask = { ...ask, max_new_tokens: 8 };
    assert.equal((await gather(answer(each([]), unending))).size, 0);
    const known = [0, 1].map((place) => ({ place, content: place === 0 ? ask : broken, done: true }));
    assert.equal((await gather(answer(each(known), unending))).size, 0);
    const found = await askEach({ answer }, [broken, broken]);
    for (const reply of found) assert.ok(rowError('length', /no room/)(reply));
  }
});

test('an error of the source ends a mixed stream, after what was asked before it', async () => {
  const { answer } = hashed({ form: 'tree' });
  const source = async function* (): AsyncGenerator<Question<Ask>> {
    for (let place = 0; place < 6; place += 1)
      yield { place, content: asked(ORDERS['two ways in turn']!(place), place).ask };
    throw new Error('no more rows');
  };
  const found = new Map();
  await assert.rejects(gather(answer(source(), unending), found), /no more rows/);
  assert.ok(found.size >= 5, `${found.size} answers`);
});

test('who leaves a stream closes its source', async () => {
  for (const form of FORMS) {
    const { answer, rest } = hashed({ form });
    let closed = false;
    const source = async function* (): AsyncGenerator<Question<Ask>> {
      try {
        for (let place = 0; ; place += 1) yield { place, content: asked(ORDERS.alternating!(place), place).ask };
      } finally {
        closed = true;
      }
    };
    for await (const _ of answer(source(), unending)) break;
    for (let i = 0; i < 2000 && !closed; i += 1) await new Promise(setImmediate);
    assert.ok(closed, form);
    await rest();
  }
});

// ---------------------------------------------------------------- long texts

test('an aborted stream of long texts stops in the middle of one', async () => {
  const stop = new AbortController();
  let passes = 0;
  const decoder = scriptedDecoder([], () => {
    passes += 1;
    if (passes === 30) stop.abort(new Error('enough'));
  });
  const { answer } = naiveVerbs(decoder, tokenizer, 16);
  const text = 'the thing that is '.repeat(200);
  const windows = Math.ceil(tokenizer.encode(text).length / 16);
  assert.ok(windows > 40, `${windows} windows`);
  const asks = [text.slice(0, 300), text, text].map((one): Ask => ({ verb: 'loglikelihood_rolling', text: one }));
  const found = new Map<number, Reply | RowError>();
  const questions = each(asks.map((content, place) => ({ place, content })));
  await assert.rejects(gather(answer(questions, stop.signal), found), /enough/);
  // The short one was answered; of the others no half is given.
  assert.deepEqual([...found.keys()], [0]);
  assert.ok(passes >= 30 && passes < 34, `${passes} passes`);
});

for (const form of FORMS) {
  test(`an aborted stream of long texts, ${form} form: what is given is whole, and little more is computed`, async () => {
    const stop = new AbortController();
    let passes = 0;
    const before = () => {
      passes += 1;
      if (passes === 3) stop.abort(new Error('enough'));
    };
    const { answer, rest } = hashed({ form, before, lanes: 2, batchTokens: 64 }, 16);
    const texts = Array.from({ length: 6 }, (_, n) =>
      Array.from({ length: 800 }, (_, i) => 2 + ((i * i + n) % 60)).join(' '),
    );
    const asks = texts.map((text): Ask => ({ verb: 'loglikelihood_rolling', text }));
    const found = new Map<number, Reply | RowError>();
    const questions = each(asks.map((content, place) => ({ place, content, window: 0 })));
    await assert.rejects(gather(answer(questions, stop.signal), found), /enough/);
    await rest();
    assert.ok(passes < 20, `${passes} passes`);
    for (const reply of found.values()) assert.ok('num_tokens' in reply && reply.num_tokens === 800);
  });
}

test('an aborted stream of long texts lets go of the pictures beside them', async (t) => {
  const { answer, held, engine } = await seeing(t, 16);
  const stop = new AbortController();
  const red = await picture([200, 10, 3]);
  const text = 'the thing that is '.repeat(100);
  const source = async function* (): AsyncGenerator<Question<Ask>> {
    for (let place = 0; ; place += 2) {
      yield {
        place,
        content: { verb: 'loglikelihood', prompt: shown(`What is ${IMAGE}?`, red), choices: [choice(' A')] },
      };
      yield { place: place + 1, content: { verb: 'loglikelihood_rolling', text } };
    }
  };
  let most = 0;
  const take = async () => {
    for await (const { place } of answer(source(), stop.signal)) {
      most = Math.max(most, held());
      if (place >= 2) stop.abort(new Error('enough'));
    }
  };
  await assert.rejects(take(), /enough/);
  for (let i = 0; i < 2000 && held() > 0; i += 1) await new Promise(setImmediate);
  assert.equal(held(), 0);
  assert.ok(most > 0 && engine.stats.images > 0);
});

// ---------------------------------------------------------------- pictures

const [RED, GREEN]: [Colour, Colour] = [
  [200, 10, 3],
  [9, 180, 77],
];
const WHAT = `What is ${IMAGE}?`;
/** Both ways in which a picture can be asked about. */
const about = (bytes: Uint8Array): Record<'scores' | 'answers', Ask> => ({
  scores: { verb: 'loglikelihood', prompt: shown(WHAT, bytes), choices: [choice(' A')] },
  answers: { verb: 'generate_until', prompt: shown(WHAT, bytes), until: [], max_new_tokens: 2 },
});
const WAYS = ['scores', 'answers'] as const;

test('a corrupt picture fails its row and no other; the pictures of all leave the album', async (t) => {
  const { answer, known, own, held, engine } = await seeing(t);
  const [red, green, cut] = [await picture(RED), await picture(GREEN), await cutOff()];
  const rows: [Uint8Array, Colour | null][] = [
    [red, RED],
    [cut, null],
    [green, GREEN],
    [red, RED],
    [cut, null],
    [green, GREEN],
  ];
  for (const way of WAYS) {
    const found = await askEach(
      { answer },
      rows.map(([bytes]) => about(bytes)[way]),
    );
    for (const [place, reply] of found.entries()) {
      const [, colour] = rows[place]!;
      if (colour === null) assert.ok(reply instanceof RowError && reply.kind === 'image');
      else if (way === 'answers')
        assert.equal((reply as GenerationReply).output, own.decode(toyAnswer(known(WHAT, colour), 2, VOCAB)));
      else assert.ok('choices' in reply);
    }
  }
  assert.deepEqual([held(), engine.stats.images], [0, 2]);
});

test('a stream that is aborted, left or broken lets go of its pictures', async (t) => {
  const { answer, held } = await seeing(t);
  const red = await picture(RED);
  const source = async function* (kindAt: (place: number) => 'scores' | 'answers', breaks = false) {
    for (let place = 0; place < 40; place += 1) {
      if (breaks && place === 9) throw new Error('no more rows');
      yield { place, content: about(red)[kindAt(place)] };
    }
  };
  const settled = async () => {
    for (let i = 0; i < 2000 && held() > 0; i += 1) await new Promise(setImmediate);
    assert.equal(held(), 0);
  };
  const kinds: ((place: number) => 'scores' | 'answers')[] = [
    () => 'scores',
    () => 'answers',
    (place) => WAYS[place % 2]!,
  ];
  for (const kindAt of kinds) {
    const stop = new AbortController();
    const take = async () => {
      for await (const _ of answer(source(kindAt), stop.signal)) stop.abort(new Error('enough'));
    };
    await assert.rejects(take(), /enough/);
    await settled();
    for await (const _ of answer(source(kindAt), unending)) break;
    await settled();
    await assert.rejects(gather(answer(source(kindAt, true), unending)), /no more rows/);
    await settled();
  }
});

test('pictures of questions that are known are let go of with their window, not at the end', async (t) => {
  const { answer, held, known, own } = await seeing(t);
  const red = await picture(RED);
  const questions = Array.from({ length: 60 }, (_, place) => ({
    place,
    window: place >> 2,
    ...(place % 4 === 2 ? {} : { done: true }),
  }));
  for (const way of WAYS) {
    let most = 0;
    const places: number[] = [];
    const content = about(red)[way];
    for await (const { place, content: found } of answer(
      each(questions.map((one) => ({ ...one, content }))),
      unending,
    )) {
      places.push(place);
      most = Math.max(most, held());
      if (way === 'answers')
        assert.equal((found as GenerationReply).output, own.decode(toyAnswer(known(WHAT, RED), 2, VOCAB)));
    }
    assert.deepEqual(
      places,
      questions.filter((one) => !('done' in one)).map(({ place }) => place),
    );
    assert.equal(held(), 0);
    assert.ok(most > 0 && most <= 16, `${way}: ${most} pictures held`);
  }
});

test('what is no fault of a row ends the stream', async (t) => {
  const { answer } = await toyVerbs(t, 64);
  const red = await picture(RED);
  await assert.rejects(askOne({ answer }, about(red).scores), /no picture was shown/);
});

// ---------------------------------------------------------------- stories260K: real trained weights

const STORIES = join(SHARED, 'models/stories260K');
const noStories = existsSync(STORIES) ? false : 'needs ../shared/models/stories260K';
interface Golden {
  ids: number[];
  text: string;
  logprob_f64_teacher_forced: number[];
}

test('stories260K: 256 log-probabilities, and the story itself', { skip: noStories }, async (t) => {
  const golden = readJson<Golden>(join(STORIES, 'golden_greedy.json'));
  const decoder = await openGraph(t, join(STORIES, 'onnx/model.onnx'), readJson(join(STORIES, 'config.json')));
  // Ids stand for themselves: the checkpoint's own tokenizer would merge the story anew.
  const model: Pick<Model, 'answer'> = naiveVerbs(decoder, numbered, 512);
  const { ids } = golden;
  let largest = 0;
  let sum = 0;
  for (let i = 1; i < ids.length; i += 1) {
    const found = await scoreOne(model, ids.slice(0, i).join(' '), `${ids[i]}`);
    assert.equal(found.is_greedy, true, `token ${i}`);
    const expected = golden.logprob_f64_teacher_forced[i - 1]!;
    largest = Math.max(largest, Math.abs(found.logprob - expected));
    sum += expected;
  }
  t.diagnostic(`largest difference of a log-probability: ${largest.toExponential(2)}`);
  assert.ok(largest < 1e-4, `${largest}`);

  const rest = ids.slice(1).join(' ');
  close((await scoreOne(model, '1', rest)).logprob, sum, 1e-3);
  const rolled = await askOne(model, { verb: 'loglikelihood_rolling', text: rest });
  close(rolled.logprob, sum, 1e-3);
  assert.deepEqual([rolled.num_tokens, rolled.num_greedy], [ids.length - 1, ids.length - 1]);

  const story = await generate(model, '1', 256);
  assert.equal(story.output, rest);
});

test("stories260K: the checkpoint's own tokenizer tells the published story", { skip: noStories }, async (t) => {
  const golden = readJson<Golden>(join(STORIES, 'golden_greedy.json'));
  const decoder = await openGraph(t, join(STORIES, 'onnx/model.onnx'), readJson(join(STORIES, 'config.json')));
  const own = openTokenizer(readJson(join(STORIES, 'tokenizer.json')), {});
  const model = naiveVerbs(decoder, own, 512);
  // Its post-processor puts BOS in front of anything, of an empty context too.
  const found = await generate(model, '', 256);
  assert.deepEqual([found.output, found.num_context_tokens], [golden.text, 1]);
  const cut = await generate(model, '', 256, { until: ['. She', ' a big, red'] });
  assert.deepEqual([cut.output, cut.finish_reason], ['Once upon a time, there was a little girl named Lily', 'stop']);
});
