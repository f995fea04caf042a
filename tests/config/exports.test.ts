/** The key `exports`: of a run, of a suite and of rescore.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXPORT_FORMATS, exportList } from '../../nanoeval/config/exports.ts';
import { rescoreSchema } from '../../nanoeval/config/keys.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { schema, toyConfig } from '../run/toy.ts';

test('nothing is exported unless it is asked for', () => {
  assert.deepEqual(toyConfig().report.exports, []);
  const tasks = [{ task: 'mmlu' }];
  assert.deepEqual(suiteSchema.parse({ model: { model_id: 'a/b' }, tasks }).suite.exports, []);
  assert.deepEqual(manyModelsSchema.parse({ models: [{ model_id: 'a/b' }], tasks }).suite.exports, []);
  // Here the runs' own configs say it.
  assert.equal(rescoreSchema.parse({ runs: 'x' }).report.exports, undefined);
  assert.deepEqual(rescoreSchema.parse({ runs: 'x', report: { exports: [] } }).report.exports, []);
});

test('formats that there are, in any number, and no others', () => {
  assert.deepEqual(exportList('').parse([...EXPORT_FORMATS]), ['lm_eval', 'eval_results', 'junit']);
  const asked = { task: 'toy', model: { model_id: 'a/b' }, report: { exports: ['junit', 'html'] } };
  const { error } = schema.safeParse(asked);
  assert.deepEqual(
    error?.issues.map(({ path }) => path.join('.')),
    ['report.exports.1'],
  );
});
