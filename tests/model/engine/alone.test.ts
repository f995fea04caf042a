/** Questions request by request: second tries, faults of one row, and a stop in the middle of a long text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Alone } from '../../../nanoeval/model/engine/alone.ts';
import { noStats, openLane } from '../../../nanoeval/model/engine/lane.ts';
import type { Answer } from '../../../nanoeval/model/engine/sheets.ts';
import { openAlbum } from '../../../nanoeval/model/vision/album.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import { each, gather, MEMORY, manyQuestions, never, open as openEngineOf, PLAIN } from '../hash_engine.ts';
import { directAnswer, directScore, type Faults, hashExecutor, NAN_TOKEN, VOCAB } from '../hash_executor.ts';
import { draws, requestOf } from '../token_questions.ts';

function open(faults: Faults) {
  const stats = noStats();
  const lane = openLane(hashExecutor(faults), async () => hashExecutor(faults), {
    cacheBytes: 0,
    stats,
    album: openAlbum(() => undefined),
  });
  return { lane, stats, alone: new Alone(stats, VOCAB) };
}

const FORMS = ['alone', 'naive'] as const;

test('a score for each request; tokens are counted where the question was not counted before', async () => {
  for (const form of FORMS) {
    const { lane, stats, alone } = open({ form });
    const [question] = manyQuestions(2, 1);
    const tokens = question!.requests.reduce((sum, { input }) => sum + input.length, 0);
    const expected = { place: 0, scores: question!.requests.map(directScore) };
    assert.deepEqual(await alone.score(question!, lane, never), expected);
    assert.deepEqual([stats.tokens_asked, stats.tokens_run, stats.passes], [tokens, tokens, question!.requests.length]);
    assert.deepEqual(await alone.answer(question!, lane), expected);
    assert.equal(stats.tokens_asked, tokens);
  }
});

test('requests of one input are computed together, on the plain path each by itself', async () => {
  const [context, other] = [draws(12).tokens(30, PLAIN), draws(13).tokens(30, PLAIN)];
  const letter = (of: number[], target: number) => ({ input: Int32Array.from(of), targets: [target] });
  const requests = [letter(context, 1), letter(other, 1), letter(context, 2), requestOf([...context, 3], 4)];
  for (const [form, passes] of [
    ['alone', 2],
    ['naive', 4],
  ] as const) {
    const { lane, stats, alone } = open({ form });
    assert.deepEqual(await alone.score({ place: 5, requests }, lane, never), {
      place: 5,
      scores: requests.map(directScore),
    });
    assert.deepEqual([stats.passes, stats.tokens_run, stats.tokens_asked], [passes, 30 * passes, 120]);
  }
});

test('what is wrong with a row is its answer; any other error is thrown', async () => {
  for (const form of FORMS) {
    const { lane, alone } = open({ form });
    const kindOf = async (input: number[], target: number) => {
      const requests = [{ input: Int32Array.from(input), targets: [target] }];
      const { scores } = await alone.answer({ place: 3, requests }, lane);
      return scores instanceof RowError ? scores.kind : null;
    };
    assert.equal(await kindOf([1, 2], VOCAB), 'tokens');
    assert.equal(await kindOf([1, NAN_TOKEN], 4), 'nan');
    assert.equal(await kindOf([1, 2], 4), null);
    const broken = new Error('broken');
    const other = open({
      form,
      before() {
        throw broken;
      },
    });
    const [question] = manyQuestions(2, 1);
    await assert.rejects(other.alone.answer(question!, other.lane), (error) => error === broken);
  }
});

test('what does not fit is tried a second time, a prompt begun anew; twice is no memory for the row', async () => {
  for (const fails of [1, 2]) {
    for (const form of FORMS) {
      let left = fails;
      const faults: Faults = {
        form,
        before() {
          left -= 1;
          if (left >= 0) throw new OutsideError(MEMORY);
        },
      };
      const { lane, alone } = open(faults);
      const [question] = manyQuestions(2, 1);
      const { scores } = await alone.answer(question!, lane);
      if (fails === 1) assert.deepEqual(scores, question!.requests.map(directScore));
      else assert.ok(scores instanceof RowError && scores.kind === 'memory');
    }
  }
  let left = 1;
  const { lane, alone } = open({
    form: 'alone',
    before() {
      left -= 1;
      if (left === 0) throw new OutsideError(MEMORY);
    },
  });
  const answers: number[][] = [];
  const begin = () => {
    const answer: number[] = [];
    answers.push(answer);
    return { take: (token: number) => answer.push(token) === 3, watched: [] };
  };
  left = 2;
  assert.deepEqual(await alone.decode({ place: 1, ids: [4, 9], begin }, lane), { place: 1, error: null });
  assert.deepEqual(answers, [directAnswer([4, 9], 1), directAnswer([4, 9], 3)]);
});

test('an abort ends a text of hundreds of requests soon, without an answer; what is done is given', async () => {
  const random = draws(6);
  const long = (place: number) => ({
    place,
    requests: Array.from({ length: 300 }, () => requestOf(random.tokens(20, PLAIN), 5)),
  });
  const short = { place: 0, requests: [requestOf(random.tokens(20, PLAIN), 5)] };
  for (const form of FORMS) {
    for (const lanes of [1, 2]) {
      const stop = new AbortController();
      const reason = new Error('enough');
      let started = 0;
      const before = () => {
        started += 1;
        if (started === 50) stop.abort(reason);
      };
      const { engine, rest } = openEngineOf({ form, lanes, before });
      const answers: Answer[] = [];
      const questions = [short, long(1), long(2), long(3), long(4)];
      await assert.rejects(gather(engine.score(each(questions), stop.signal), answers), (error) => error === reason);
      await rest();
      assert.ok(started <= 50 + 2 * lanes, `${started} requests`);
      assert.deepEqual(answers, [{ place: 0, scores: short.requests.map(directScore) }]);
      // The engine goes on.
      assert.deepEqual((await gather(engine.score(each([short]), never))).size, 1);
    }
  }
});
