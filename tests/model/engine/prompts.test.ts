/** Answers to prompts: shared prefixes, each answer by itself, and what is begun anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plan } from '../../../nanoeval/model/engine/plan.ts';
import type { Group } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { promptsUnder } from '../../../nanoeval/model/engine/prompts.ts';
import { Trie } from '../../../nanoeval/model/engine/trie.ts';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { RowError } from '../../../nanoeval/types.ts';
import {
  answersTo,
  each,
  FORMS,
  gather,
  manyQuestions,
  never,
  open,
  PLAIN,
  pictured,
  underHeader,
} from '../hash_engine.ts';
import { directAnswer } from '../hash_executor.ts';
import { draws } from '../token_questions.ts';

test('greedy answers, those that share a prompt and those that are one token long', async () => {
  const prompts = [...underHeader(20), ...manyQuestions(3, 20)].map(({ requests }, place) => ({
    place,
    ids: [...requests[0]!.input],
  }));
  for (const form of ['tree', 'single', 'whole', 'naive'] as const) {
    for (const lanes of [1, 2]) {
      const { engine, executors, rest } = open({ form, lanes });
      const answers = new Map<number, number[]>();
      const asked = prompts.map(({ place, ids }) => ({
        place,
        ids,
        begin() {
          const answer: number[] = [];
          answers.set(place, answer);
          return { take: (token: number) => answer.push(token) > place % 5, watched: [] };
        },
      }));
      const ended: number[] = [];
      for await (const { place, error } of engine.generate(each(asked), never)) {
        assert.equal(error, null);
        ended.push(place);
      }
      assert.deepEqual(
        ended.sort((a, b) => a - b),
        prompts.map(({ place }) => place),
      );
      for (const { place, ids } of prompts) assert.deepEqual(answers.get(place), directAnswer(ids, (place % 5) + 1));
      await rest();
      for (const { caches } of executors) assert.equal(caches.size, 0);
    }
  }
});

test('an answer whose process ends is begun anew on another', async () => {
  const prompts = underHeader(60).map(({ requests }, place) => ({ place, ids: [...requests[0]!.input] }));
  for (const form of ['tree', 'alone', 'naive'] as const) {
    for (const lanes of [1, 2]) {
      let passes = 0;
      let deaths = 0;
      const before = () => {
        passes += 1;
        // So seldom that nothing dies twice.
        if (passes % 80 !== 0) return;
        deaths += 1;
        throw new WorkerGone('SIGKILL');
      };
      const { engine, executors } = open({ form, lanes, before });
      const answers = new Map<number, number[]>();
      const asked = prompts.map(({ place, ids }) => ({
        place,
        ids,
        begin() {
          const answer: number[] = [];
          answers.set(place, answer);
          return { take: (token: number) => answer.push(token) === 4, watched: [] };
        },
      }));
      for await (const { place, error } of engine.generate(each(asked), never)) assert.equal(error, null, `${place}`);
      assert.deepEqual(answers, new Map(prompts.map(({ place, ids }) => [place, directAnswer(ids, 4)])));
      assert.ok(deaths >= 2);
      assert.equal(executors.length, lanes + deaths);
    }
  }
});

for (const form of ['tree', 'alone', 'naive'] as const) {
  test(`${form}: answers that are known are not written again`, async () => {
    const { engine } = open({ form, lanes: 2 });
    const random = draws(8);
    const written = new Map<number, number[]>();
    const header = random.tokens(300, PLAIN);
    const prompts = Array.from({ length: 40 }, (_, place) => {
      const ids = [...header, ...random.tokens(5, PLAIN)];
      const begin = () => {
        const answer: number[] = [];
        written.set(place, answer);
        return { take: (token: number) => answer.push(token) === 4, watched: [] };
      };
      return { place, ids, begin, window: place >> 4, ...(place % 3 === 0 ? { done: true } : {}) };
    });
    const ended: number[] = [];
    for await (const { place, error } of engine.generate(each(prompts), never)) {
      assert.equal(error, null);
      ended.push(place);
    }
    const open_ = prompts.filter((one) => !('done' in one));
    assert.deepEqual(
      ended.sort((a, b) => a - b),
      open_.map(({ place }) => place),
    );
    assert.equal(written.size, open_.length);
    for (const { place, ids } of open_) assert.deepEqual(written.get(place), directAnswer(ids, 4));
    await engine.close();
  });
}

test('watched tokens have the log-probability that scoring gives them', async () => {
  for (const form of FORMS) {
    const { engine } = open({ form });
    const prompts = pictured(engine, [1, 2, 1, 3]).map(({ requests }) => [...requests[0]!.input]);
    const watched = [4, 40, 0];
    const { heard } = await answersTo(engine, prompts, watched);
    const requests = prompts.map((ids) =>
      watched.map((target) => ({ input: Int32Array.from(ids), targets: [target] })),
    );
    const questions = requests.map((one, place) => ({ place, requests: one }));
    const scores = await gather(engine.score(each(questions), never));
    for (const [place, found] of scores) {
      assert.ok(!(found instanceof RowError));
      assert.deepEqual(
        heard.get(place),
        found.map(({ logprob }) => logprob),
      );
    }
  }
});

test('prompts: each is one pass, and the group and what is left make up its ids', () => {
  const trie = new Trie();
  // Two headers of 100 tokens, five questions of 40 under each.
  const inputs = [1, 2].flatMap((header) =>
    Array.from({ length: 5 }, (_, q) =>
      Int32Array.from({ length: 140 }, (_, i) => (i < 100 ? header : 10 + ((q * 31 + i) % 50))),
    ),
  );
  // One that ends inside the header, one that is the header, one that is there twice, one of one token.
  const all = [...inputs, inputs[0]!.subarray(0, 50), inputs[0]!.subarray(0, 96), inputs[1]!, Int32Array.of(7)];
  all.forEach((input, place) => {
    trie.add({ place, requests: [{ input, targets: [0] }] });
  });
  const root = promptsUnder(plan(trie, { form: 'single', batchTokens: 100 }));
  const found = new Map<number, number[]>();
  const path = (group: Group): number[] =>
    group.parent === null ? [] : [...path(group.parent), ...group.chunks.flatMap((chunk) => chunk.sequences[0]!.ids)];
  const visit = (group: Group): void => {
    for (const chunk of group.chunks) assert.deepEqual(chunk.asks, []);
    for (const pass of group.passes) {
      assert.ok(pass.sequences[0]!.ids.length > 0);
      const { place } = pass.asks[0]!.request.question;
      assert.ok(!found.has(place), `prompt ${place} twice`);
      found.set(place, [...path(group), ...pass.sequences[0]!.ids]);
    }
    group.children.forEach(visit);
  };
  visit(root);
  assert.equal(found.size, all.length);
  all.forEach((input, place) => {
    assert.deepEqual(found.get(place), [...input]);
  });
  assert.ok(root.children.length >= 2, 'the headers are shared');
});
