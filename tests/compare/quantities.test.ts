/** The metrics of two paired runs, against values worked out by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ComparedRow, readColumns } from '../../nanoeval/compare/columns.ts';
import { metricValue } from '../../nanoeval/compare/difference.ts';
import type { Pairs } from '../../nanoeval/compare/pair.ts';
import { divergence, driftOf, GOLD, quantitiesOf } from '../../nanoeval/compare/quantities.ts';
import type { Summary } from '../../nanoeval/run/outcome.ts';

async function* each(rows: readonly ComparedRow[]) {
  yield rows;
}

async function pairs(before: readonly ComparedRow[], now: readonly ComparedRow[]): Promise<Pairs> {
  const places = Int32Array.from(before, (_, i) => i);
  return {
    baseline: await readColumns(each(before)),
    current: await readColumns(each(now)),
    places: { baseline: places, current: places },
    left: { baseline: 0, current: 0, other_prompt: 0 },
  };
}

const summary = (name: string, unit = 'share', better = 'higher') =>
  ({ primary: { name, unit, better, chance: null } }) as unknown as Summary;
const row = (index: number, more: Partial<ComparedRow>): ComparedRow => ({
  index,
  id: String(index),
  prompt: 'a',
  metrics: {},
  ...more,
});
const values = (found: ReturnType<typeof quantitiesOf>) =>
  Object.fromEntries(
    found.map(({ name, baseline, current, of }) => [name, [metricValue(baseline, of), metricValue(current, of)]]),
  );

test('the primary metric comes first; those of 0 and 1 are shares', async () => {
  const metrics = (acc: number, acc_norm: number) => ({ metrics: { acc, acc_norm } });
  const found = quantitiesOf(
    await pairs([row(0, metrics(1, 0)), row(1, metrics(1, 1))], [row(0, metrics(0, 1)), row(1, metrics(1, 1))]),
    summary('acc_norm'),
  );
  assert.deepEqual(
    found.map(({ name, unit, better, binary }) => [name, unit, better, binary]),
    [
      ['acc_norm', 'share', 'higher', true],
      ['acc', 'share', 'higher', true],
    ],
  );
  assert.deepEqual(values(found), { acc_norm: [0.5, 1], acc: [1, 0.5] });
});

test('the plain mean over subjects stands beside the mean over rows', async () => {
  const rows = (scores: number[]) =>
    scores.map((acc, i) => row(i, { subject: i < 3 ? 'law' : 'art', metrics: { acc } }));
  const found = values(quantitiesOf(await pairs(rows([1, 1, 0, 0]), rows([1, 0, 0, 1])), summary('acc')));
  assert.deepEqual(found.acc, [0.5, 0.5]);
  assert.ok(Math.abs(found.acc_macro![0]! - (2 / 3 + 0) / 2) < 1e-12);
  assert.ok(Math.abs(found.acc_macro![1]! - (1 / 3 + 1) / 2) < 1e-12);
});

test('perplexities are ratios of sums over all texts, and lower is better', async () => {
  const text = (logprob: number, words: number) => ({
    metrics: { word_perplexity: 1, byte_perplexity: 1, bits_per_byte: 1 },
    text: { logprob, num_tokens: 2 * words, num_greedy: words, words, bytes: 6 * words },
  });
  const found = quantitiesOf(
    await pairs([row(0, text(-40, 10)), row(1, text(-100, 20))], [row(0, text(-41, 10)), row(1, text(-103, 20))]),
    {
      ...summary('word_perplexity', 'number', 'lower'),
      pooled: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
    },
  );
  assert.deepEqual(
    found.map(({ name, better }) => [name, better]),
    [
      ['word_perplexity', 'lower'],
      ['byte_perplexity', 'lower'],
      ['bits_per_byte', 'lower'],
      ['token_acc', 'higher'],
    ],
  );
  const { word_perplexity, bits_per_byte, token_acc } = values(found);
  assert.deepEqual(word_perplexity, [Math.exp(140 / 30), Math.exp(144 / 30)]);
  assert.deepEqual(bits_per_byte, [140 / 180 / Math.LN2, 144 / 180 / Math.LN2]);
  assert.deepEqual(token_acc, [0.5, 0.5]);
});

test('the perplexity of words behind a context is over all of them, and lower is better', async () => {
  const word = (logprob: number) => ({
    metrics: { acc: 0, perplexity: Math.exp(-logprob) },
    text: { logprob, num_tokens: 2, num_greedy: 1, words: 1, bytes: 5 },
  });
  const found = quantitiesOf(await pairs([row(0, word(-1)), row(1, word(-4))], [row(0, word(-2)), row(1, word(-5))]), {
    ...summary('acc'),
    pooled: ['perplexity', 'token_acc'],
  });
  assert.deepEqual(
    found.map(({ name, better }) => [name, better]),
    [
      ['acc', 'higher'],
      ['perplexity', 'lower'],
      ['token_acc', 'higher'],
    ],
  );
  assert.deepEqual(values(found).perplexity, [Math.exp(5 / 2), Math.exp(7 / 2)]);
});

test('a share of greedy tokens is of all tokens, behind a prompt too, and no mean of its rows', async () => {
  const behind = (num_greedy: number, num_tokens: number) => ({
    metrics: { token_acc: num_greedy / num_tokens },
    text: { logprob: -1, num_tokens, num_greedy, words: 0, bytes: 0 },
  });
  const found = quantitiesOf(
    await pairs([row(0, behind(1, 1)), row(1, behind(0, 9))], [row(0, behind(0, 1)), row(1, behind(9, 9))]),
    { ...summary('token_acc'), pooled: ['token_acc'] },
  );
  assert.deepEqual(values(found), { token_acc: [1 / 10, 9 / 10] });
});

test('parts are averaged over all parts of all rows', async () => {
  const parts = (...all: [number, number][]) =>
    all.map((strict, i) => row(i, { metrics: { p: 0 }, parts: { strict } }));
  const found = values(quantitiesOf(await pairs(parts([1, 3], [1, 1]), parts([2, 3], [1, 1])), summary('p')));
  assert.deepEqual(found.strict, [2 / 4, 3 / 4]);
});

test('the log-likelihood of the right choice is compared where each row has one', async () => {
  const rows = (shift: number) => [
    row(0, { gold: 1, choices: [-5, -3 + shift, -9], metrics: { acc: 1 } }),
    row(1, { gold: 0, choices: [-2 + shift, -8], metrics: { acc: 1 } }),
  ];
  const found = values(quantitiesOf(await pairs(rows(0), rows(-0.5)), summary('acc')));
  assert.deepEqual(found[GOLD], [-2.5, -3]);
  const without = rows(0).map(({ gold: _gold, ...rest }) => rest);
  assert.equal(values(quantitiesOf(await pairs(without, without), summary('acc')))[GOLD], undefined);
});

test('a metric that some rows lack is left out', async () => {
  const rows = [row(0, { metrics: { acc: 1, some: 1 } }), row(1, { metrics: { acc: 0 } })];
  assert.deepEqual(Object.keys(values(quantitiesOf(await pairs(rows, rows), summary('acc')))), ['acc']);
});

test('divergence of two distributions, and none of one from itself', () => {
  const p = Float64Array.from([0.5, 0.3, 0.2], Math.log);
  const q = Float64Array.from([0.2, 0.3, 0.5], Math.log);
  const byHand = 0.5 * Math.log(0.5 / 0.2) + 0.2 * Math.log(0.2 / 0.5);
  assert.ok(Math.abs(divergence(p, q) - byHand) < 1e-12);
  // Log-likelihoods are no distribution yet: a shift of all of them changes nothing.
  assert.ok(
    Math.abs(
      divergence(
        p.map((x) => x - 700),
        q.map((x) => x + 3),
      ) - byHand,
    ) < 1e-12,
  );
  assert.equal(divergence(p, p), 0);
});

test('drift: divergence, change of a log-likelihood, answers that stayed', async () => {
  const rows = (shift: number, prediction: number | null) => [
    row(0, { choices: [-1, -2], prediction: 0, metrics: { acc: 1 } }),
    row(1, { choices: [-1 - shift, -2], prediction, metrics: { acc: 1 } }),
  ];
  const drift = driftOf(await pairs(rows(0, 0), rows(2, 1)));
  const kl = divergence(Float64Array.of(-1, -2), Float64Array.of(-3, -2));
  assert.deepEqual(drift, { kl: { mean: kl / 2, p99: kl, largest: kl }, mean_abs_change: 0.5, same_prediction: 0.5 });
  assert.deepEqual(driftOf(await pairs([row(0, {})], [row(0, {})])), {
    kl: null,
    mean_abs_change: null,
    same_prediction: null,
  });
});
