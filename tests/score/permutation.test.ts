import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { mcNemar } from '../../nanoeval/score/paired.ts';
import { signFlipTest } from '../../nanoeval/score/permutation.ts';
import { Random } from '../../nanoeval/score/random.ts';

/** Made by tests/fixtures/statistics/make.py. */
const { sign_flip: reference } = JSON.parse(
  readFileSync(new URL('../fixtures/statistics/reference.json', import.meta.url), 'utf8'),
) as { sign_flip: { exact: [number[], number][]; many: [number[], number] } };

/** Within four standard errors of a share of `draws`. */
function drawn(found: number, wanted: number, draws: number): void {
  assert.ok(
    Math.abs(found - wanted) < 4 * Math.sqrt((wanted * (1 - wanted)) / draws) + 1 / draws,
    `${found}, ${wanted}`,
  );
}

test('few rows: every choice of signs, as scipy.stats.permutation_test', () => {
  for (const [values, p] of reference.exact) assert.ok(Math.abs(signFlipTest(values, { seed: 1 }) - p) < 1e-12);
  assert.equal(signFlipTest([], { seed: 1 }), 1);
  assert.equal(signFlipTest([0, 0], { seed: 1 }), 1);
  assert.equal(signFlipTest([0.1, 0.2, 0.3], { seed: 1 }), 0.25);
  // Rounding: 0.1 + 0.2 - 0.3 is not 0 in floating point, and all of these sums are.
  assert.equal(signFlipTest([0.1, 0.2, -0.3], { seed: 1 }), 1);
});

test('more rows: seeded draws, near the reference and repeatable', () => {
  const [values, p] = reference.many;
  const found = signFlipTest(values, { seed: 3 });
  drawn(found, p, 10_000);
  assert.equal(signFlipTest(values, { seed: 3 }), found);
  assert.equal(
    signFlipTest(
      values.map((value) => -value),
      { seed: 3 },
    ),
    found,
  );
});

test('differences of -1, 0 and 1 give what McNemar gives', () => {
  const rows = (wins: number, losses: number) => [...Array(wins).fill(1), ...Array(losses).fill(-1), 0, 0];
  assert.ok(Math.abs(signFlipTest(rows(4, 11), { seed: 1 }) - mcNemar(4, 11)) < 1e-12);
  drawn(signFlipTest(rows(40, 60), { seed: 1 }), mcNemar(40, 60), 10_000);
  drawn(signFlipTest(rows(4900, 5100), { seed: 1 }), mcNemar(4900, 5100), 10_000);
});

test('very many different values, in bins: the normal limit', () => {
  const random = new Random(4);
  const values = Float64Array.from({ length: 50_000 }, () => random.roughNormal() ** 3);
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  const shift = (1.2 * Math.sqrt(squares) - values.reduce((sum, value) => sum + value, 0)) / values.length;
  // The sum is now 1.2 of its standard deviations under random signs: P(|Z| >= 1.2) = 0.2301.
  drawn(
    signFlipTest(
      values.map((value) => value + shift),
      { seed: 2 },
    ),
    0.2301393,
    10_000,
  );
  assert.throws(() => signFlipTest([1, Number.NaN], { seed: 1 }), /not a finite number/);
});
