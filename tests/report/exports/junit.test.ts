/** Runs as test cases: their rows, or their gate. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportCases, goneCase, isByRow } from '../../../nanoeval/report/exports/junit.ts';
import { madeRow, madeRun } from './made_up.ts';

const rows = [
  madeRow(0, { prediction: 0, correct: 1, metrics: { acc: 1 } }),
  madeRow(2, { prediction: 1, correct: 0, metrics: { acc: 0 } }),
];
const failed = [{ task: 'made', id: 'id1', index: 1, error: { kind: 'nan', message: 'broken' } }];

test('a case for each row: wrong ones fail, those that could not be scored are errors', () => {
  const run = madeRun({ name: 'mine' });
  assert.equal(isByRow(run), true);
  assert.deepEqual(exportCases(run, rows, failed), [
    { name: 'id0', suite: 'mine', failure: null, text: '' },
    { name: 'id1', suite: 'mine', failure: 'nan: broken', isError: true, text: 'broken' },
    { name: 'id2', suite: 'mine', failure: 'wrong: 1, and 0 is right', text: '' },
  ]);
});

test('with run.require the gate is the one case, for a metric in either direction', () => {
  const gated = madeRun({ config: { run: { require: 0.4 } } });
  assert.equal(isByRow(gated), false);
  assert.deepEqual(exportCases(gated, [], []), [
    { name: 'acc at least 0.4', suite: 'made', failure: null, text: 'acc 0.431, n = 3' },
  ]);
  const missed = madeRun({
    config: { run: { require: 20 }, scoring: { strategy: 'rolling_ll' } },
    shortfall: 'word_perplexity is 21',
  });
  assert.deepEqual(exportCases(missed, [], []), [
    {
      name: 'word_perplexity at most 20',
      suite: 'made',
      failure: 'required: word_perplexity is 21',
      text: 'word_perplexity 0.431, n = 3',
    },
  ]);
});

test('an invalid run is an error beside its rows, or in place of its gate', () => {
  const invalid = { status: 'invalid', faults: ['1 of 3 rows failed'] } as const;
  const fault = {
    name: 'run',
    suite: 'made',
    failure: 'invalid: 1 of 3 rows failed',
    isError: true,
    text: 'invalid: 1 of 3 rows failed',
  };
  const [first, ...others] = exportCases(madeRun({ summary: invalid }), rows, failed);
  assert.deepEqual([first, others.length], [fault, 3]);
  assert.deepEqual(exportCases(madeRun({ config: { run: { require: 0.1 } }, summary: invalid }), [], []), [fault]);
});

test('a run without verdicts and a task without a run do not pass', () => {
  const unscored = madeRun({ summary: { status: 'unscored', metrics: {} } });
  assert.equal(isByRow(unscored), false);
  assert.deepEqual(
    [...exportCases(unscored, [], []), goneCase('gone', 'no network')].map(({ name, failure, isError }) => [
      name,
      failure,
      isError,
    ]),
    [
      ['run', 'unscored: it has predictions alone', true],
      ['run', 'failed: no network', true],
    ],
  );
});
