/** The book of pictures: each is shown once, before what needs it, and to a new process anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { RowError } from '../../../nanoeval/types.ts';
import {
  answersTo,
  CORRUPT,
  direct,
  each,
  FORMS,
  gather,
  look,
  manyQuestions,
  never,
  open,
  pictured,
} from '../hash_engine.ts';
import { directAnswer, directScore } from '../hash_executor.ts';
import { requestOf } from '../token_questions.ts';

for (const form of FORMS) {
  test(`${form}: a picture that cannot be shown fails for its question alone, and is shown once`, async () => {
    for (const lanes of [1, 2]) {
      for (const [tokens, batchTokens] of [
        [5, 768],
        [5, 30],
        [100, 768],
      ] as const) {
        const { engine, rest } = open({ form, lanes, look, batchTokens });
        const pictures = [1, 2, CORRUPT, 3, 1, CORRUPT, 4, 2, 1];
        const questions = [...pictured(engine, pictures, tokens), ...manyQuestions(24, 20)].map((q, place) => ({
          ...q,
          place,
        }));
        const found = await gather(engine.score(each(questions), never));
        assert.equal(found.size, questions.length);
        for (const question of questions) {
          const scores = found.get(question.place)!;
          if (pictures[question.place] === CORRUPT) assert.ok(scores instanceof RowError && scores.kind === 'image');
          else assert.deepEqual(scores, question.requests.map(directScore), `${question.place}`);
        }
        assert.equal(engine.stats.halved_passes, 0, 'that is for memory');
        assert.ok(engine.stats.images >= 4 && engine.stats.images <= 4 * lanes, `${engine.stats.images}`);
        assert.equal(engine.stats.image_tiles, 2 * engine.stats.images);

        const prompts = questions.map(({ requests }) => [...requests[0]!.input]);
        const { found: answers } = await answersTo(engine, prompts);
        for (const [place, ids] of prompts.entries()) {
          const answer = answers.get(place)!;
          if (pictures[place] === CORRUPT) assert.ok(answer instanceof RowError && answer.kind === 'image');
          else assert.deepEqual(answer, directAnswer(ids, 3));
        }
        await rest();
      }
    }
  });
}

test('the second question about a picture computes no features again, nor does a later stream', async () => {
  for (const form of FORMS) {
    const { engine, executors, rest } = open({ form });
    const questions = pictured(engine, [1, 2, 1, 2, 1]);
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    assert.equal(engine.stats.images, 2);
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    assert.equal(engine.stats.images, 2);
    await answersTo(
      engine,
      questions.map(({ requests }) => [...requests[0]!.input]),
    );
    assert.equal(engine.stats.images, 2);
    // Dropped from the album: the executors let go of it too.
    for (let value = 10; value < 15; value += 1) engine.album.leave(engine.album.enter(Uint8Array.of(value), 1));
    for (const value of [1, 1, 1, 2, 2]) {
      const shown = engine.album.enter(Uint8Array.of(value), 5);
      engine.album.leave(shown);
      engine.album.leave(shown);
    }
    for (let value = 10; value < 15; value += 1) engine.album.leave(engine.album.enter(Uint8Array.of(value), 1));
    await rest();
    assert.equal(executors[0]!.pictures.size, 0);
  }
});

test('prompts share a prefix up to their pictures, and beyond where they show the same one', async () => {
  const score = async (pictures: readonly number[]) => {
    const { engine } = open();
    const tokens = 200;
    const questions = pictures.map((value, place) => {
      const { first } = engine.album.enter(Uint8Array.of(value), tokens);
      const shown = Array.from({ length: tokens }, (_, i) => first + i);
      return { place, requests: [requestOf([1, 2, 3, ...shown, 20 + place, 5], 1)] };
    });
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    return [engine.stats.tokens_distinct, engine.stats.tokens_run, engine.stats.tokens_asked];
  };
  const asked = 4 * (3 + 200 + 1);
  assert.deepEqual(await score([1, 1, 1, 1]), [3 + 200 + 4, 3 + 200 + 4, asked]);
  const [distinct, tokens] = await score([1, 2, 3, 4]);
  assert.equal(distinct, 3 + 4 * 201);
  assert.ok(tokens! >= distinct! && tokens! <= asked, `${tokens} tokens`);
  assert.equal((await score([1, 2, 1, 2]))[0], 3 + 2 * 200 + 4);
});

test('a process that ends is shown the pictures again, and the answers are complete', async () => {
  for (const form of FORMS) {
    for (const lanes of [1, 2]) {
      let passes = 0;
      let deaths = 0;
      const before = () => {
        passes += 1;
        if (passes !== 2) return;
        deaths += 1;
        throw new WorkerGone('SIGKILL');
      };
      const { engine, executors } = open({ form, lanes, before, batchTokens: 60 });
      const questions = pictured(engine, [1, 2, 1, 3, 2, 1, 1, 3, 4, 5, 1, 2], 100);
      assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions), form);
      assert.ok(deaths > 0 && executors.length === lanes + deaths, `${form}, ${lanes} lanes: ${deaths} deaths`);
      // What the other lane was showing when the window began may come after the death.
      assert.ok(engine.stats.images >= 7 - lanes, `${form}: ${engine.stats.images} pictures`);
    }
  }
});
