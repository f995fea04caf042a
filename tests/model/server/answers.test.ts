/** The stream of questions over servers: how many are under way, when replies are given, how it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AnswerOptions, openAnswers } from '../../../nanoeval/model/server/answers.ts';
import type { Ask, Reply } from '../../../nanoeval/questions.ts';
import { OutsideError, type Question, RowError } from '../../../nanoeval/types.ts';
import { generated, questionsOf, replies } from './asking.ts';

const said = (output: string): Reply => ({
  output,
  finish_reason: 'stop',
  num_output_tokens: 1,
  prompts: null,
  num_context_tokens: 1,
  truncated: false,
});
const promptOf = (ask: Ask) => String((ask as { prompt: unknown }).prompt);
const asks = (count: number) => Array.from({ length: count }, (_, i) => generated(`row ${i}`));
const never = new AbortController().signal;

function answering(answerOne: (ask: Ask, signal: AbortSignal) => Promise<Reply>, more: Partial<AnswerOptions> = {}) {
  return { answer: openAnswers(answerOne, { atOnce: 4, verify: async () => {}, verifyMs: 5, ...more }) };
}

test('every question is answered once, out of order, no more at a time than may be; known ones are not asked', async () => {
  let open = 0;
  let peak = 0;
  const model = answering(async (ask) => {
    open += 1;
    peak = Math.max(peak, open);
    await sleep((promptOf(ask).length % 3) * 3);
    open -= 1;
    return said(promptOf(ask));
  });
  const questions = async function* (): AsyncGenerator<Question<Ask>> {
    for await (const one of questionsOf(asks(50))) yield one.place % 5 === 0 ? { ...one, done: true } : one;
  };
  const found = (await replies(model, questions())) as { output: string }[];
  assert.equal(peak, 4);
  for (const place of Array.from({ length: 50 }, (_, i) => i))
    assert.equal(found[place]?.output, place % 5 === 0 ? undefined : `row ${place}`);
});

test('a row that cannot be answered has its error for a reply; anything else ends the stream, finished rows given', async () => {
  const model = answering(async (ask) => {
    if (promptOf(ask) === 'row 3') throw new RowError('length', 'too long');
    return said(promptOf(ask));
  });
  const found = await replies(model, asks(6));
  assert.ok(found[3] instanceof RowError);
  assert.equal(found.filter((one) => !(one instanceof RowError)).length, 5);
  const failing = answering(async (ask) => {
    if (promptOf(ask) !== 'row 5') return said(promptOf(ask));
    await sleep(20);
    throw new OutsideError('gone');
  });
  const given: number[] = [];
  await assert.rejects(async () => {
    for await (const { place } of failing.answer(questionsOf(asks(6)), never)) given.push(place);
  }, /gone/);
  assert.deepEqual(given.sort(), [0, 1, 2, 3, 4]);
});

test('replies are given behind a look at the servers; where that finds another model none of them is', async () => {
  let looks = 0;
  const model = answering(async (ask) => said(promptOf(ask)), {
    verify: async () => {
      looks += 1;
      if (looks > 1) throw new OutsideError('changed its model');
    },
    verifyMs: 50,
  });
  const questions = async function* () {
    for await (const one of questionsOf(asks(4))) {
      if (one.place === 2) await sleep(120);
      yield one;
    }
  };
  const given: number[] = [];
  await assert.rejects(async () => {
    for await (const { place } of model.answer(questions(), never)) given.push(place);
  }, /changed its model/);
  assert.deepEqual(given, [0, 1]);
  assert.equal(looks, 2);
});

test('many replies do not wait for the time of a look', async () => {
  let looks = 0;
  const model = answering(async (ask) => said(promptOf(ask)), {
    atOnce: 16,
    verifyMs: 60_000,
    verify: async () => {
      looks += 1;
    },
  });
  const found = await replies(model, asks(1000));
  assert.equal(found.length, 1000);
  assert.ok(looks >= 3 && looks <= 5, `${looks}`);
});

test('an abort gives what is known and throws its reason; what is under way is ended', async () => {
  const stop = new AbortController();
  let ended = 0;
  const model = answering(async (ask, signal) => {
    if (Number(promptOf(ask).slice(4)) < 3) return said(promptOf(ask));
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        ended += 1;
        reject(signal.reason);
      });
    });
  });
  const given: number[] = [];
  setTimeout(() => stop.abort(new Error('enough')), 60);
  await assert.rejects(async () => {
    for await (const { place } of model.answer(questionsOf(asks(100)), stop.signal)) given.push(place);
  }, /enough/);
  assert.deepEqual(given.sort(), [0, 1, 2]);
  assert.equal(ended, 4);
  await assert.rejects(replies(model, asks(3), AbortSignal.abort(new Error('before'))), /before/);
});

test('a stream that is left early ends its requests and lets go of its source', async () => {
  let returned = false;
  let ended = 0;
  const source = async function* () {
    try {
      yield* questionsOf(asks(100));
    } finally {
      returned = true;
    }
  };
  const model = answering(async (ask, signal) => {
    if (promptOf(ask) === 'row 0') return said('x');
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        ended += 1;
        reject(signal.reason);
      });
    });
  });
  for await (const _ of model.answer(source(), never)) break;
  await sleep(10);
  assert.deepEqual([returned, ended], [true, 4]);
});

test('an error of the source is thrown; no questions, no replies', async () => {
  const model = answering(async () => said('x'));
  const broken = async function* (): AsyncGenerator<Question<Ask>> {
    yield* questionsOf(asks(2));
    throw new Error('no such column');
  };
  await assert.rejects(replies(model, broken()), /no such column/);
  assert.deepEqual(await replies(model, []), []);
});
