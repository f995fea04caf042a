/** The YAML keys of a suite: what one checkpoint's table may have, and several checkpoints' may not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manyModelsSchema, suiteSchema, TABLE_FILES } from '../../nanoeval/config/suite.ts';

const one = { model: { model_id: 'a/b' }, tasks: [{ task: 'mmlu' }] };
const many = { models: [{ model_id: 'a/b' }, { model_id: 'a/c' }], tasks: [{ task: 'mmlu' }] };
const taken = (suite: object) => suiteSchema.safeParse({ ...one, suite }).success;

test('a suite without a section has the plain table alone, and its chart where there are reported values', () => {
  assert.deepEqual(suiteSchema.parse(one).suite, { exports: [], tables: [], save_plot: true, means: [], missing: [] });
});

test('tables, means and missing lines are checked', () => {
  assert.ok(taken({ tables: ['latex', 'csv'] }));
  assert.ok(!taken({ tables: ['html'] }));
  assert.deepEqual(Object.keys(TABLE_FILES), ['latex', 'csv']);
  const reference = { value: 0.373, source: 'model card' };
  assert.ok(taken({ means: [{ name: 'ARC', of: ['a', { task: 'b', metric: 'acc' }], reference }] }));
  assert.ok(!taken({ means: [{ name: 'ARC', of: ['a'] }] }), 'a mean of one');
  assert.ok(!taken({ means: [{ name: 'ARC', of: ['a', 'b'], reference: { value: 0.373 } }] }), 'without a source');
  assert.ok(taken({ missing: [{ name: 'MT-Bench', reason: 'a judge decides' }] }));
  assert.ok(!taken({ missing: [{ name: 'MT-Bench' }] }), 'without a reason');
});

test('a suite over several checkpoints has none of them: its table is another', () => {
  assert.ok(manyModelsSchema.safeParse({ ...many, suite: { name: 'x' } }).success);
  for (const key of [{ tables: ['csv'] }, { means: [] }, { missing: [] }, { save_plot: false }])
    assert.ok(!manyModelsSchema.safeParse({ ...many, suite: key }).success, JSON.stringify(key));
});
