/** One metric of two paired runs: which method speaks for it, and in which direction. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differenceOf, isExact } from '../../nanoeval/compare/difference.ts';
import type { Quantity } from '../../nanoeval/compare/quantities.ts';
import { differenceInterval, mcNemar } from '../../nanoeval/score/paired.ts';

const options = { level: 0.95, draws: 2000, seed: 1 };
const quantity = (before: number[], now: number[], more: Partial<Quantity> = {}): Quantity => ({
  name: 'acc',
  unit: 'share',
  better: 'higher',
  baseline: { num: Float64Array.from(before), den: null },
  current: { num: Float64Array.from(now), den: null },
  binary: true,
  ...more,
});

test('rows that are right or wrong: the score interval and the exact test over wins and losses', () => {
  const found = differenceOf(quantity([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0]), null, options);
  const { low, high } = differenceInterval(1, 3, 6, 0.95);
  assert.deepEqual(found, {
    baseline: 4 / 6,
    current: 2 / 6,
    difference: 2 / 6 - 4 / 6,
    values_of: 'rows',
    wins: 1,
    losses: 3,
    ties: 2,
    differing: 4,
    interval: [low, high],
    method: "Tango's score interval, corrected for skewness",
    p_value: mcNemar(1, 3),
    test: 'McNemar, exact',
  });
});

test('samples of a question hang together: the bootstrap is over questions', () => {
  const clusters = Int32Array.of(0, 0, 0, 1, 1, 1, 2, 2, 2);
  const found = differenceOf(quantity([1, 1, 1, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1, 1]), clusters, options);
  assert.match(found.method, /over questions/);
  // Resamples of three questions of which one lost all: its share is 0 to 1.
  assert.deepEqual(found.interval, [-1, 0]);
  // One of three questions differs, and its sign may as well be the other.
  assert.equal(found.p_value, 1);
});

test('lower is better: the sign of difference and interval is turned', () => {
  const nats = [1, 2, 3, 4, 5, 6, 7, 8];
  const text = (shift: number) => ({
    num: Float64Array.from(nats, (n) => n + shift),
    den: Float64Array.from(nats, () => 2),
  });
  const perplexity: Partial<Quantity> = { unit: 'number', better: 'lower', of: Math.exp, binary: false };
  const worse = differenceOf({ ...quantity([], [], perplexity), baseline: text(0), current: text(0.5) }, null, options);
  assert.equal(worse.baseline, Math.exp(36 / 16));
  assert.equal(worse.difference, Math.exp(36 / 16) - Math.exp(40 / 16));
  assert.deepEqual([worse.wins, worse.losses, worse.ties], [0, 8, 0]);
  assert.ok(worse.interval![0] < worse.difference && worse.interval![1] > worse.difference && worse.interval![1] < 0);
  assert.ok(Math.abs(worse.p_value! - 2 / 2 ** 8) < 1e-12);
  const better = differenceOf(
    { ...quantity([], [], perplexity), baseline: text(0.5), current: text(0) },
    null,
    options,
  );
  assert.equal(better.difference, -worse.difference);
});

test('without a difference anywhere the interval of a mean is a point at 0', () => {
  const found = differenceOf(quantity([0.5, 0.25, 1], [0.5, 0.25, 1], { binary: false }), null, options);
  assert.deepEqual([found.interval, found.difference, found.p_value], [[0, 0], 0, 1]);
});

test('units that differ between the runs leave no test, only an interval', () => {
  const parts = (den: number[]) => ({ num: Float64Array.of(1, 2, 3), den: Float64Array.from(den) });
  const found = differenceOf(
    { ...quantity([], [], { binary: false }), baseline: parts([2, 4, 6]), current: parts([2, 4, 5]) },
    null,
    options,
  );
  assert.deepEqual([found.p_value, found.test], [null, null]);
  assert.ok(found.interval !== null);
});

test('a single row has no interval of a mean', () => {
  assert.equal(differenceOf(quantity([0.2], [0.4], { binary: false }), null, options).interval, null);
});

test('values of questions go by their own clusters, whatever the rows have', () => {
  const rows = Int32Array.of(0, 0, 1, 1);
  const alone = differenceOf(quantity([1, 0], [1, 1], { questions: { clusters: null } }), rows, options);
  assert.deepEqual(
    [alone.method, alone.values_of, alone.wins, alone.ties],
    ["Tango's score interval, corrected for skewness", 'questions', 1, 1],
  );
  const shares = { binary: false, questions: { clusters: null } };
  assert.match(differenceOf(quantity([0.5, 0], [1, 0.5], shares), rows, options).method, /over questions/);
  const seeds = quantity([1, 0, 1, 1], [1, 1, 1, 1], { questions: { clusters: rows } });
  assert.match(differenceOf(seeds, rows, options).method, /over questions/);
  assert.deepEqual(
    [
      isExact(quantity([], []), null),
      isExact(quantity([], []), rows),
      isExact(seeds, null),
      isExact(quantity([], [], shares), null),
    ],
    [true, false, false, false],
  );
});
