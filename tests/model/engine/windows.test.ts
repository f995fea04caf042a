/** Windows: where the stream is cut, and what is refused before anything is computed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../../nanoeval/model/engine/sheets.ts';
import type { RowError } from '../../../nanoeval/types.ts';
import { direct, each, gather, manyQuestions, never, open, pictured, recorded } from '../hash_engine.ts';
import { NAN_TOKEN, VOCAB } from '../hash_executor.ts';

test('an error of the source comes through after the windows that were complete', async () => {
  const questions = manyQuestions(18, 1300, 20);
  const broken = new Error('no more rows');
  const source = async function* () {
    yield* questions;
    throw broken;
  };
  const { engine } = open();
  const answers: Answer[] = [];
  await assert.rejects(gather(engine.score(source(), never), answers), (error) => error === broken);
  assert.ok(answers.length >= 1024, `${answers.length} answers`);
  const naive = open({ form: 'naive' });
  const all: Answer[] = [];
  await assert.rejects(gather(naive.engine.score(source(), never), all), (error) => error === broken);
  assert.equal(all.length, questions.length);
});

test('a token beyond the vocabulary, and a NaN, fail for their question alone', async () => {
  for (const form of ['tree', 'whole', 'naive'] as const) {
    const clean = manyQuestions(19, 60);
    const beyond = { place: 60, requests: [{ input: Int32Array.of(1, 2), targets: [3, VOCAB] }] };
    const nan = { place: 61, requests: [{ input: Int32Array.of(1, NAN_TOKEN), targets: [3, 4] }] };
    const behind = { place: 62, requests: [{ input: Int32Array.of(1, NAN_TOKEN, 5), targets: [3] }] };
    const { engine } = open({ form });
    const found = await gather(engine.score(each([beyond, nan, ...clean, behind]), never));
    const kinds = [60, 61].map((place) => (found.get(place) as RowError).kind);
    assert.deepEqual(kinds, ['tokens', 'nan']);
    found.delete(60);
    found.delete(61);
    assert.deepEqual(found, direct([...clean, behind]));
    const alone = await gather(engine.score(each([beyond]), never));
    assert.equal((alone.get(60) as RowError).kind, 'tokens', 'a window of nothing else');
  }
});

test('a window ends after some questions with pictures: their files are held', async () => {
  const { engine } = open();
  let read = 0;
  const source = async function* () {
    for (const question of pictured(
      engine,
      Array.from({ length: 100 }, (_, i) => i),
    )) {
      read += 1;
      yield question;
    }
  };
  for await (const _answer of engine.score(source(), never)) break;
  assert.ok(read <= 2 * 16 + 2, `${read} questions`);
});

test('questions of one window are planned together and apart from others, however few', async () => {
  const once = manyQuestions(4, 30, 200);
  const both = [...once, ...once].map((one, place) => ({ ...one, place }));
  const distinct = async (windowOf: (place: number) => number | undefined) => {
    const questions = both.map((one) => {
      const window = windowOf(one.place);
      return window === undefined ? one : { ...one, window };
    });
    return (await recorded(questions, 'tree')).stats.tokens_distinct;
  };
  const together = await distinct(() => 0);
  assert.equal(await distinct((place) => Math.floor(place / 30)), 2 * together);
  assert.equal(await distinct((place) => (place < 30 ? 7 : 3)), 2 * together, 'any numbers');
  assert.equal(await distinct(() => undefined), together);
});
