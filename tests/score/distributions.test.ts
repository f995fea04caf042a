import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  binomialCdf,
  binomialMass,
  binomialUpper,
  criticalValue,
  normalCdf,
  normalQuantile,
  stirlingError,
} from '../../nanoeval/score/distributions.ts';

/** Made by tests/fixtures/statistics/make.py, with 40 digits. */
const reference = JSON.parse(
  readFileSync(new URL('../fixtures/statistics/reference.json', import.meta.url), 'utf8'),
) as {
  normal: { cdf: [number, number][]; quantile: [number, number][] };
  binomial: [k: number, n: number, p: number, mass: number, cdf: number, upper: number][];
};

function near(found: number, wanted: number, relative: number, of: string): void {
  assert.ok(Math.abs(found - wanted) <= relative * Math.abs(wanted), `${of}: ${found} is not ${wanted}`);
}

test('the normal distribution and its quantiles, far tails too', () => {
  for (const [x, share] of reference.normal.cdf) near(normalCdf(x), share, 3e-13, `normalCdf(${x})`);
  for (const [share, x] of reference.normal.quantile) {
    if (share === 0.5) assert.equal(Math.abs(normalQuantile(share)) < 1e-15, true);
    else near(normalQuantile(share), x, 1e-12, `normalQuantile(${share})`);
  }
  assert.equal(normalCdf(Number.NEGATIVE_INFINITY), 0);
  assert.equal(normalCdf(Number.POSITIVE_INFINITY), 1);
  near(criticalValue(0.95), 1.959963984540054, 1e-13, 'criticalValue');
  for (const bad of [0, 1, -1, 2, Number.NaN]) {
    assert.throws(() => normalQuantile(bad), /above 0 and below 1/);
    assert.throws(() => criticalValue(bad), /above 0 and below 1/);
  }
});

test('binomial masses and both tails, to a million trials', () => {
  for (const [k, n, p, mass, cdf, upper] of reference.binomial) {
    near(binomialMass(k, n, p), mass, 1e-11, `mass ${k} of ${n}, ${p}`);
    near(binomialCdf(k, n, p), cdf, 1e-11, `cdf ${k} of ${n}, ${p}`);
    near(binomialUpper(k, n, p), upper, 1e-11, `upper ${k} of ${n}, ${p}`);
  }
});

test('binomial: edges, sums, mirror images', () => {
  assert.deepEqual([binomialCdf(-1, 3, 0.5), binomialCdf(3, 3, 0.5), binomialUpper(0, 3, 0.5)], [0, 1, 1]);
  assert.deepEqual([binomialUpper(4, 3, 0.5), binomialMass(4, 3, 0.5), binomialCdf(0, 0, 0.2)], [0, 0, 1]);
  assert.deepEqual([binomialCdf(2, 3, 0), binomialCdf(2, 3, 1), binomialUpper(1, 3, 0)], [1, 0, 0]);
  assert.deepEqual([binomialMass(0, 3, 0), binomialMass(3, 3, 1), binomialMass(2, 3, 1)], [1, 1, 0]);
  for (const [n, p] of [
    [1, 0.5],
    [17, 0.03],
    [60, 0.9],
  ] as const) {
    let sum = 0;
    for (let k = 0; k <= n; k += 1) {
      sum += binomialMass(k, n, p);
      near(binomialCdf(k, n, p), sum, 1e-12, `${k} of ${n}`);
      near(binomialCdf(k, n, p) + binomialUpper(k + 1, n, p), 1, 1e-12, `${k} of ${n}`);
    }
  }
  assert.throws(() => binomialCdf(1, -1, 0.5), /trials: a whole number from 0/);
  assert.throws(() => binomialMass(1, 2, 1.5), /from 0 to 1/);
});

test("Stirling's error meets its series where the two hand over", () => {
  near(stirlingError(1), 1 - Math.log(2 * Math.PI) / 2, 1e-14, '1');
  near(stirlingError(15), 1 / 180 - 1 / (360 * 15 ** 3) + 1 / (1260 * 15 ** 5), 1e-8, '15');
  near(stirlingError(16), 1 / 192 - 1 / (360 * 16 ** 3) + 1 / (1260 * 16 ** 5), 1e-8, '16');
});
