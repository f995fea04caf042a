/** Verdicts and exit codes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitOf, exitOfAll, GATE_EXIT, worst } from '../../nanoeval/compare/result.ts';
import { EXIT } from '../../nanoeval/program.ts';
import type { Outcome } from '../../nanoeval/score/gate.ts';

const interval = { rule: 'interval', strict: false } as const;

test('the worst verdict counts', () => {
  const order: Outcome[] = ['IMPROVED', 'HELD', 'UNDERPOWERED', 'SUSPECT', 'REGRESSED'];
  for (const [i, outcome] of order.entries()) assert.equal(worst(order.slice(0, i + 1)), outcome);
  assert.throws(() => worst([]), /without a metric/);
});

test('exit codes by verdict', () => {
  const code = (verdict: Outcome, point: 'PASS' | 'FAIL', strict = false) =>
    exitOf({ verdict, point }, { rule: 'interval', strict });
  assert.equal(code('REGRESSED', 'FAIL'), 1);
  assert.equal(code('SUSPECT', 'PASS'), 4);
  assert.equal(code('UNDERPOWERED', 'PASS'), 0);
  assert.equal(code('UNDERPOWERED', 'FAIL'), 4);
  assert.equal(code('UNDERPOWERED', 'PASS', true), 4);
  assert.equal(code('HELD', 'PASS', true), 0);
  assert.equal(code('IMPROVED', 'PASS', true), 0);
});

test('the point rule looks at the difference alone', () => {
  const point = { rule: 'point', strict: true } as const;
  assert.equal(exitOf({ verdict: 'UNDERPOWERED', point: 'FAIL' }, point), 1);
  assert.equal(exitOf({ verdict: 'SUSPECT', point: 'PASS' }, point), 0);
  assert.equal(exitOf({ verdict: 'UNDERPOWERED', point: 'FAIL' }, interval), 4);
});

test('a regression counts before a doubt, and the codes are those of the programs', () => {
  assert.equal(exitOfAll([4, 1, 0]), 1);
  assert.equal(exitOfAll([0, 4]), 4);
  assert.equal(exitOfAll([0]), 0);
  assert.deepEqual(GATE_EXIT, { passed: EXIT.done, regressed: EXIT.invalid, unsure: EXIT.unsure });
});
