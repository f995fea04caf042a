import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binomialMass } from '../../nanoeval/score/distributions.ts';
import { Random } from '../../nanoeval/score/random.ts';

test('a seed gives the same numbers everywhere, another seed others', () => {
  const bits = (seed: number) =>
    Array.from(
      { length: 3 },
      (
        (random) => () =>
          random.bits() >>> 0
      )(new Random(seed)),
    );
  assert.deepEqual(bits(1), bits(-1));
  assert.notDeepEqual(bits(1), bits(2));
  assert.notDeepEqual(bits(1), bits(2 ** 32 + 1));
  const random = new Random(2026);
  const drawn = [
    random.binomial(1_000_000, 0.3),
    random.binomial(40, 0.1),
    random.binomial(500, 0.99),
    random.below(1000),
  ];
  assert.deepEqual(drawn, [300374, 6, 495, 295]);
  assert.throws(() => new Random(0.5), /not a whole number/);
});

/** Chi squared of counts against masses, classes of little mass together; about normal with the returned freedom. */
function excess(draws: number[], n: number, p: number): number {
  const counts = new Map<number, number>();
  for (const k of draws) counts.set(k, (counts.get(k) ?? 0) + 1);
  let [sum, classes, restCount, restMass] = [0, 0, draws.length, 1];
  for (let k = 0; k <= n; k += 1) {
    const expected = binomialMass(k, n, p) * draws.length;
    if (expected < 20) continue;
    sum += ((counts.get(k) ?? 0) - expected) ** 2 / expected;
    classes += 1;
    restCount -= counts.get(k) ?? 0;
    restMass -= expected / draws.length;
  }
  const rest = restMass * draws.length;
  if (rest > 5) {
    sum += (restCount - rest) ** 2 / rest;
    classes += 1;
  }
  return (sum - (classes - 1)) / Math.sqrt(2 * (classes - 1));
}

test('binomial draws follow the masses, by inversion and by rejection, small and large probabilities', () => {
  const random = new Random(5);
  for (const [n, p] of [
    [3, 0.5],
    [1000, 0.004],
    [40, 0.3],
    [25, 0.8],
    [5000, 0.1],
    [100_000, 0.4],
  ] as const) {
    const found = excess(
      Array.from({ length: 40_000 }, () => random.binomial(n, p)),
      n,
      p,
    );
    assert.ok(Math.abs(found) < 4, `binomial(${n}, ${p}): ${found} standard deviations off`);
  }
  assert.deepEqual([random.binomial(7, 0), random.binomial(7, 1), random.binomial(0, 0.5)], [0, 7, 0]);
});

test('uniforms stay inside (0, 1), whole numbers below n, rough normals have mean 0 and variance 1', () => {
  const random = new Random(9);
  const n = 50_000;
  let [sum, squares, least, most] = [0, 0, 1, 0];
  const hits = new Float64Array(7);
  for (let i = 0; i < n; i += 1) {
    const u = random.uniform();
    [least, most] = [Math.min(least, u), Math.max(most, u)];
    hits[random.below(7)]! += 1;
    const z = random.roughNormal();
    sum += z;
    squares += z * z;
  }
  assert.ok(least > 0 && least < 1e-3 && most < 1 && most > 0.999);
  assert.ok(hits.every((count) => Math.abs(count - n / 7) < 4 * Math.sqrt(n / 7)));
  assert.ok(Math.abs(sum / n) < 4 / Math.sqrt(n) && Math.abs(squares / n - 1) < 4 * Math.sqrt(2 / n));
});
