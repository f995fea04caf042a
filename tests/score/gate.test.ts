import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gateOutcome, type Outcome } from '../../nanoeval/score/gate.ts';

const outcome = (low: number, high: number, allowed = 0.01, differing = 5) =>
  gateOutcome({ low, high }, allowed, differing);

test('each line of the rule, with its edges', () => {
  assert.equal(outcome(-0.05, -0.02), 'REGRESSED');
  assert.equal(outcome(-0.05, -0.01), 'SUSPECT'); // high = -allowed is not beyond it
  assert.equal(outcome(-0.05, -0.001), 'SUSPECT');
  assert.equal(outcome(-0.05, 0), 'UNDERPOWERED');
  assert.equal(outcome(-0.05, 0.05), 'UNDERPOWERED');
  assert.equal(outcome(0.001, 0.05), 'IMPROVED');
  assert.equal(outcome(0, 0.05), 'HELD');
  assert.equal(outcome(-0.01, 0.05), 'HELD');
  assert.equal(outcome(-0.01, -0.005), 'HELD'); // surely a drop, surely an allowed one
  assert.equal(outcome(-0.05, 0.05, 0.01, 0), 'HELD');
  assert.equal(outcome(-0.05, -0.001, 0), 'REGRESSED');
  assert.equal(outcome(0, 0, 0, 0), 'HELD');
  assert.throws(() => outcome(0.1, 0), /the lower end first/);
  assert.throws(() => outcome(Number.NaN, 0), /the lower end first/);
  assert.throws(() => outcome(0, 0, -0.1), /an allowed drop of -0.1/);
});

test('monotone: a higher interval or a larger allowed drop is never a worse outcome', () => {
  const ends = [-0.06, -0.04, -0.02, -0.01, -0.005, 0, 0.01, 0.03];
  const bad: Outcome[] = ['REGRESSED'];
  const good: Outcome[] = ['HELD', 'IMPROVED'];
  for (const low of ends)
    for (const high of ends.filter((end) => end >= low))
      for (const allowed of [0, 0.01, 0.03]) {
        const now = outcome(low, high, allowed);
        for (const next of [outcome(low + 0.01, high + 0.01, allowed), outcome(low, high, allowed + 0.01)]) {
          assert.ok(!bad.includes(next) || bad.includes(now), `${now} became ${next}`);
          assert.ok(!good.includes(now) || good.includes(next), `${now} became ${next}`);
        }
      }
});

test('a narrower interval inside never turns one certain outcome into the opposite one', () => {
  const ends = [-0.06, -0.03, -0.01, -0.002, 0.002, 0.02];
  for (const low of ends)
    for (const high of ends.filter((end) => end > low)) {
      const [wide, narrow] = [outcome(low, high), outcome(low + (high - low) / 4, high - (high - low) / 4)];
      if (wide === 'REGRESSED' || wide === 'IMPROVED') assert.equal(narrow, wide);
      if (wide === 'HELD') assert.ok(narrow === 'HELD' || narrow === 'IMPROVED');
      if (wide === 'SUSPECT') assert.ok(['SUSPECT', 'REGRESSED', 'HELD'].includes(narrow));
    }
});
