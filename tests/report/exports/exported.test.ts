/** Sums as means again, parts of the rows, and names of files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asFileName, asMean, partOfRows } from '../../../nanoeval/report/exports/exported.ts';
import { estimate, madeRun } from './made_up.ts';

test('a sum is exported as its mean, what is no sum as it is', () => {
  const { summary } = madeRun({ summary: { reduce: 'sum', pooled: ['bits_per_byte'], over_samples: ['pass_at_2'] } });
  assert.deepEqual(asMean('acc', estimate(3, 4, 2), summary), { value: 0.75, stderr: 0.5, n: 4 });
  assert.deepEqual(asMean('acc', estimate(3, 4, null), summary), { value: 0.75, stderr: null, n: 4 });
  assert.deepEqual(asMean('bits_per_byte', estimate(3, 4, 2), summary), { value: 3, stderr: 2, n: 4 });
  assert.deepEqual(asMean('pass_at_2', estimate(0.5, 4, 2), summary), { value: 0.5, stderr: 2, n: 4 });
  assert.deepEqual(asMean('acc', estimate(0.75, 4, 2), { ...summary, reduce: 'none' }), {
    value: 0.75,
    stderr: 2,
    n: 4,
  });
});

test('a part of the rows is told from all of them', () => {
  assert.equal(partOfRows(madeRun()), null);
  const part = (selection: object) => partOfRows(madeRun({ summary: { selection: { seed: 1, ...selection } } }));
  assert.equal(part({ subset_size: 3 }), '3 of 3 rows (subset_size 3)');
  assert.equal(
    part({ sample: 2, subjects: ['stem', 'law'], shard: '1/2' }),
    '3 of 3 rows (sample 2; subjects stem, law; shard 1/2)',
  );
});

test('any text is a name of a file, and none of another folder', () => {
  assert.deepEqual(['mmlu', 'a/b c', '..', '', 'é', 'v1.2-x'].map(asFileName), [
    'mmlu',
    'a_b_c',
    '_',
    '_',
    '_',
    'v1.2-x',
  ]);
});
