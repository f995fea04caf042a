import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binomialMass } from '../../nanoeval/score/distributions.ts';
import { gateOutcome } from '../../nanoeval/score/gate.ts';
import { differenceInterval } from '../../nanoeval/score/paired.ts';
import { discordanceOf, powerOf, rowsNeeded, smallestDrop, smallestMeanDrop } from '../../nanoeval/score/power.ts';
import { Random } from '../../nanoeval/score/random.ts';

const model = (discordance: number, allowed = 0) => ({ discordance, allowed, level: 0.95 });
const GRID = [200, 1000, 10_000].flatMap((n) => [0.02, 0.1, 0.3].map((discordance) => [n, discordance] as const));

/** P(REGRESSED) from every pair of counts, each with its interval and the rule of the gate. */
function enumerated(n: number, drop: number, discordance: number, allowed: number): number {
  const [win, loss] = [discordance / 2, discordance / 2 + drop];
  let sum = 0;
  for (let wins = 0; wins <= n; wins += 1)
    for (let losses = 0; wins + losses <= n; losses += 1)
      if (gateOutcome(differenceInterval(wins, losses, n, 0.95), allowed, wins + losses) === 'REGRESSED')
        sum += binomialMass(wins, n, win) * binomialMass(losses, n - wins, loss / (1 - win));
  return sum;
}

test('the probability of finding a drop is that of all counts that the gate calls REGRESSED', () => {
  for (const [n, drop, discordance, allowed] of [
    [30, 0.2, 0.1, 0],
    [30, 0.3, 0.3, 0.05],
    [45, 0.1, 0, 0.01],
    [45, 0, 0.2, 0],
  ] as const) {
    const [found, wanted] = [powerOf(n, drop, model(discordance, allowed)), enumerated(n, drop, discordance, allowed)];
    assert.ok(Math.abs(found - wanted) < 1e-10, `${n}, ${drop}: ${found} is not ${wanted}`);
  }
});

test('the named drop is found in 80 % of simulated runs, within 3 %', () => {
  const random = new Random(17);
  for (const [n, discordance] of GRID)
    for (const allowed of [0, 0.01]) {
      const drop = smallestDrop(n, model(discordance, allowed))!;
      assert.ok(Math.abs(powerOf(n, drop, model(discordance, allowed)) - 0.8) < 1e-3);
      let found = 0;
      for (let run = 0; run < 4000; run += 1) {
        const wins = random.binomial(n, discordance / 2);
        const losses = random.binomial(n - wins, (discordance / 2 + drop) / (1 - discordance / 2));
        if (differenceInterval(wins, losses, n, 0.95).high < -allowed) found += 1;
      }
      assert.ok(Math.abs(found / 4000 - 0.8) < 0.03, `${n}, ${discordance}: ${found / 4000}`);
    }
});

test('the normal approximation takes over where it is within 0.003 of the sum', () => {
  for (const discordance of [0.02, 0.1, 0.3])
    for (const drop of [0.0005, 0.002, 0.004]) {
      const n = Math.floor(10_000 / (discordance + drop));
      for (const allowed of [0, 0.0005]) {
        const [sum, normal] = [n - 1, n + 2].map((rows) => powerOf(rows, drop, model(discordance, allowed)));
        assert.ok(Math.abs(sum! - normal!) < 0.003, `${discordance}, ${drop}: ${sum}, ${normal}`);
      }
    }
});

test('rows and drops: each gives the other back, more rows find smaller drops, a higher level larger ones', () => {
  for (const discordance of [0.02, 0.1, 0.3]) {
    const rows = rowsNeeded(0.03, model(discordance))!;
    assert.ok(powerOf(rows, 0.03, model(discordance)) >= 0.8);
    assert.ok(powerOf(rows - 1, 0.03, model(discordance)) < 0.8);
    assert.ok(smallestDrop(rows, model(discordance))! <= 0.03);
    const drops = [200, 1000, 10_000, 1_000_000].map((n) => smallestDrop(n, model(discordance))!);
    assert.deepEqual(
      drops.toSorted((a, b) => b - a),
      drops,
    );
    assert.ok(smallestDrop(1000, { ...model(discordance), level: 1 - 0.05 / 6 })! > drops[1]!);
    assert.ok(smallestDrop(1000, model(discordance, 0.01))! > drops[1]! + 0.01);
    assert.ok(smallestDrop(1000, { ...model(discordance), power: 0.9 })! > drops[1]!);
  }
});

test('null where no drop is found often enough', () => {
  // Three rows, all lost: the interval of 0 and 3 of 3 still reaches above 0.
  assert.equal(smallestDrop(3, model(0)), null);
  assert.notEqual(smallestDrop(4, model(0)), null);
  // A baseline that has 2 % right can lose no more than those.
  assert.equal(smallestDrop(200, { ...model(0.02), accuracy: 0.02 }), null);
  assert.equal(smallestDrop(200, model(0.1, 0.95)), null);
  assert.equal(rowsNeeded(0.01, model(0.1, 0.01)), null);
  assert.equal(rowsNeeded(0.010001, model(0.1, 0.01)), null);
});

test('means of other metrics; the discordance of an accuracy; values out of range', () => {
  // 0.01 + (1.959964 + 0.841621) * 0.005
  assert.ok(Math.abs(smallestMeanDrop(0.005, { allowed: 0.01, level: 0.95 }) - 0.0240079) < 1e-7);
  // 0.01 + 0.012 + 0.841621 * 0.005 * sqrt(1 + 1.959964 * 3 * 0.003 / (0.005 * 2.841459))
  const arms = { above: 0.012, below: 0.009 };
  assert.ok(Math.abs(smallestMeanDrop(0.005, { allowed: 0.01, level: 0.95, arms }) - 0.0283006) < 1e-6);
  assert.equal(discordanceOf(0.5, 0), 0.5);
  assert.equal(discordanceOf(0.5), 0.25);
  assert.equal(discordanceOf(1), 0);
  assert.throws(() => discordanceOf(1.2), /accuracy 1.2/);
  assert.throws(() => powerOf(0, 0.1, model(0.1)), /0 rows/);
  assert.throws(() => powerOf(10, 0.95, model(0.1)), /a drop of 0.95/);
  assert.throws(() => smallestDrop(10, model(1)), /discordance 1/);
  assert.throws(() => smallestDrop(10, model(0.1, -1)), /an allowed drop of -1/);
});
