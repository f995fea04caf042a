/** The keys by which a suite is judged: those of compare.ts, and none of them judges unless it is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareSchema } from '../../nanoeval/config/compare.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { suiteGate } from '../../nanoeval/config/suite_gate.ts';

const suite = { models: [{ model_id: 'a/b' }], tasks: [{ task: 'mmlu' }] };

test('a suite over several checkpoints takes a gate, with the defaults of compare.ts', () => {
  const { gate, bootstrap, rows } = manyModelsSchema.parse({ ...suite, gate: {} });
  const own = compareSchema.parse({});
  assert.deepEqual({ gate, bootstrap, rows }, { gate: own.gate, bootstrap: own.bootstrap, rows: own.rows });
  assert.equal(manyModelsSchema.parse(suite).gate, undefined);
  assert.deepEqual(Object.keys(suiteGate), ['gate', 'bootstrap', 'rows']);
  assert.equal(manyModelsSchema.safeParse({ ...suite, gate: { max_drops: 1 } }).success, false);
});

test('a suite of one checkpoint has nothing to be compared with', () => {
  const one = { model: { model_id: 'a/b' }, tasks: suite.tasks };
  assert.equal(suiteSchema.safeParse(one).success, true);
  assert.equal(suiteSchema.safeParse({ ...one, gate: {} }).success, false);
});
