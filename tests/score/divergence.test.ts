/** The divergence of two models against NumPy's float64, and what counts as no number. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { comparePosition, DivergenceTally, percentile } from '../../nanoeval/score/divergence.ts';

interface Expected {
  kl: number[];
  top: [number, number][];
  logprob: [number, number][];
  mean: number;
  p99: number;
  top1: number;
  perplexity: [number, number];
}
const file = new URL('../fixtures/variants/divergence.json', import.meta.url);
const { made } = JSON.parse(readFileSync(file, 'utf8')) as {
  made: Expected & { reference: (number | null)[][]; variant: (number | null)[][]; targets: number[] };
};
// JSON has no infinity.
const logits = (row: readonly (number | null)[]) =>
  Float32Array.from(row, (value) => value ?? Number.NEGATIVE_INFINITY);
const near = (a: number, b: number, what: string) =>
  assert.ok(Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(b)), `${what}: ${a} ${b}`);

test('divergence, most likely tokens and log-probabilities are those of NumPy in float64', () => {
  const tally = new DivergenceTally();
  for (const [i, target] of made.targets.entries()) {
    const found = comparePosition(logits(made.reference[i]!), logits(made.variant[i]!), target);
    assert.ok(found !== null, `row ${i}`);
    near(found.kl, made.kl[i]!, `KL ${i}`);
    assert.deepEqual([found.top.reference, found.top.variant], made.top[i]);
    near(found.logprob.reference, made.logprob[i]![0], `log P ${i}`);
    near(found.logprob.variant, made.logprob[i]![1], `log Q ${i}`);
    tally.add(found);
  }
  const { tokens, nonfinite, kl, top1, perplexity } = tally.result();
  assert.deepEqual([tokens, nonfinite, top1], [made.kl.length, 0, made.top1]);
  near(kl!.mean, made.mean, 'mean');
  near(kl!.p99, made.p99, 'p99');
  near(perplexity!.reference, made.perplexity[0], 'perplexity of the reference');
  near(perplexity!.variant, made.perplexity[1], 'perplexity of the variant');
});

test('the divergence of a distribution from itself is exactly 0, a constant added to all logits included', () => {
  const row = Float32Array.from({ length: 1000 }, (_, i) => Math.fround(8 * Math.sin(i)));
  assert.equal(comparePosition(row, row, 3)!.kl, 0);
  const moved = comparePosition(
    row,
    row.map((value) => value + 2),
    3,
  );
  assert.ok(moved!.kl < 1e-6 && moved!.kl >= 0, String(moved!.kl));
});

test('it is of the variant from the reference, not the other way round', () => {
  const [p, q] = [Float32Array.of(Math.log(0.9), Math.log(0.1)), Float32Array.of(Math.log(0.5), Math.log(0.5))];
  const expected = 0.9 * Math.log(0.9 / 0.5) + 0.1 * Math.log(0.1 / 0.5);
  assert.ok(Math.abs(comparePosition(p, q, 0)!.kl - expected) < 1e-7);
  assert.ok(Math.abs(comparePosition(q, p, 0)!.kl - 0.5 * Math.log(0.5 / 0.9) - 0.5 * Math.log(0.5 / 0.1)) < 1e-7);
});

test('what is not finite is null, and counts apart', () => {
  const row = Float32Array.of(1, 2, 3);
  const none = Number.NEGATIVE_INFINITY;
  const cases: [Float32Array, Float32Array, number][] = [
    [row, Float32Array.of(1, Number.NaN, 3), 0],
    [row, Float32Array.of(Number.NaN, 2, 3), 0],
    [row, Float32Array.of(1, 2, Number.NaN), 0],
    [row, Float32Array.of(Number.NaN, Number.NaN, Number.NaN), 0],
    [Float32Array.of(1, Number.NaN, 3), row, 0],
    [row, Float32Array.of(1, Number.POSITIVE_INFINITY, 3), 0],
    [row, Float32Array.of(none, none, none), 0],
    // The variant rules out what the reference does not; and the text has what the reference rules out.
    [row, Float32Array.of(1, none, 3), 0],
    [Float32Array.of(1, none, 3), row, 1],
  ];
  const tally = new DivergenceTally();
  for (const [i, [p, q, target]] of cases.entries()) {
    const found = comparePosition(p, q, target);
    assert.equal(found, null, `case ${i}`);
    tally.add(found);
  }
  assert.deepEqual(tally.result(), { tokens: 0, nonfinite: cases.length, kl: null, top1: null, perplexity: null });
  tally.add(comparePosition(row, row, 2));
  assert.deepEqual([tally.result().tokens, tally.result().kl!.mean, tally.result().top1], [1, 0, 1]);
});

test('rows of different lengths, and a token beyond them, are errors', () => {
  assert.throws(() => comparePosition(new Float32Array(3), new Float32Array(4), 0), /rows of 3 and of 4 logits/);
  assert.throws(() => comparePosition(new Float32Array(3), new Float32Array(3), 3), /token 3 of 3 logits/);
});

test('the percentile is the nearest rank, as NumPy has it under inverted_cdf', () => {
  const values = Float64Array.from({ length: 200 }, (_, i) => 200 - i);
  assert.deepEqual(
    [percentile(values, 0.99), percentile(values, 0.5), percentile(values, 0), percentile(values, 1)],
    [198, 100, 1, 200],
  );
  assert.equal(values[0], 200);
  assert.equal(percentile(Float64Array.of(7), 0.99), 7);
  assert.ok(Number.isNaN(percentile(new Float64Array(0), 0.99)));
});
