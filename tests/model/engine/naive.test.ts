/** naiveScore over a scripted decoder and over toy graphs whose numbers are known beforehand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { naiveScore } from '../../../nanoeval/model/engine/naive.ts';
import type { Decoder } from '../../../nanoeval/model/graph/onnx.ts';
import { RowError } from '../../../nanoeval/types.ts';

/** Logit 1 for token 7, 0 for the other nine; NaN behind token 3. */
const always: Decoder = {
  hasCache: true,
  async forward(ids, cache) {
    const logits = Float32Array.from({ length: ids.length * 10 }, (_, i) =>
      ids[Math.floor(i / 10)] === 3 ? Number.NaN : i % 10 === 7 ? 1 : 0,
    );
    return { logits, rows: ids.length, vocab: 10, cache: { length: (cache?.length ?? 0) + ids.length, tensors: {} } };
  },
  async close() {},
};
const sum = Math.log(9 + Math.E);

test('the sum over the targets, and how many are the arg-max', async () => {
  const both = await naiveScore(always, [1, 2, 5], [7, 7]);
  const one = await naiveScore(always, [1, 2, 5], [7, 8]);
  assert.deepEqual([both.numGreedy, one.numGreedy], [2, 1]);
  assert.ok(Math.abs(both.logprob - 2 * (1 - sum)) < 1e-12 && Math.abs(one.logprob - (1 - 2 * sum)) < 1e-12);
});

test('only what stands before a target is looked at: a NaN elsewhere is none, one there is an error', async () => {
  assert.equal((await naiveScore(always, [3, 1], [7])).numGreedy, 1);
  await assert.rejects(naiveScore(always, [1, 3], [7]), (error) => error instanceof RowError && error.kind === 'nan');
});

test('long inputs go through the cache in pieces, and score the same', async () => {
  const lengths: number[] = [];
  const counted: Decoder = {
    ...always,
    forward: (ids, cache, keep) => {
      lengths.push(ids.length);
      return always.forward(ids, cache, keep);
    },
  };
  const input = new Array(5000).fill(1);
  const targets = new Array(3000).fill(7);
  const { logprob, numGreedy } = await naiveScore(counted, input, targets);
  assert.deepEqual(lengths, [2048, 2048, 904]);
  assert.equal(numGreedy, 3000);
  assert.ok(Math.abs(logprob - 3000 * (1 - sum)) < 1e-6);
});
