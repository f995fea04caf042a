import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportSection, suiteReport } from '../../nanoeval/config/report.ts';

test('pages are off, and a suite says it for all its tasks', () => {
  assert.equal(reportSection('mmlu').parse({}).page, false);
  assert.equal(reportSection('mmlu').parse({}).output_dir, 'artifacts/nanoeval/mmlu');
  assert.deepEqual(suiteReport.parse({ page: true }), { page: true });
  assert.equal(suiteReport.safeParse({ pages: true }).success, false);
  assert.equal(reportSection('a').safeParse({ predictions_filename: '../rows.jsonl' }).success, false);
});
