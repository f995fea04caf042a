/** The runs of a variant: whole ones are compared, others are told, and a number that is none is found. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { FailedRow } from '../../nanoeval/questions.ts';
import type { Outcome } from '../../nanoeval/suite/lines.ts';
import { variantRuns } from '../../nanoeval/variants/sets.ts';
import { plantRun, rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('sets');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const failed = (index: number, kind: string): FailedRow => ({
  task: 'hellaswag',
  id: String(index),
  index,
  error: { kind, message: `row ${index}: ${kind}` },
});
const outcome = (name: string, path: string, more: object): Outcome =>
  ({
    entry: { name, model: 'q4', config: { report: { output_dir: at(path) } } },
    result: null,
    error: null,
    ...more,
  }) as unknown as Outcome;
const summary = (faults: string[], failedRows: number) => ({
  result: { summary: { faults, health: { failed: failedRows } } },
});

before(async () => {
  await plantRun(at('good'), { rows: [rankedRow(0, 1, 1), rankedRow(1, 1, 2)] });
  await plantRun(at('some'), { rows: [rankedRow(0, 1, 1), failed(1, 'tokens')] });
  await plantRun(at('nan'), { rows: [failed(4, 'nan'), failed(2, 'nan'), failed(1, 'tokens')], summary: null });
});

test('whole runs under their names in the suite; other variants are left alone', async () => {
  const outcomes = [outcome('first', 'good', summary([], 0)), outcome('second', 'good', summary([], 0))];
  const other = outcome('first', 'good', summary([], 0));
  const others = [...outcomes, { ...other, entry: { ...other.entry, model: 'fp32' } } as Outcome];
  const { set, faults, nan } = await variantRuns(others, 'q4', folder.path, false);
  assert.deepEqual([set.name, set.folder, faults, nan], ['q4', at('q4'), [], null]);
  assert.deepEqual(
    set.runs.map(({ name, summary: { task } }) => [name, task]),
    [
      ['first', 'hellaswag'],
      ['second', 'hellaswag'],
    ],
  );
});

test('a task that failed, is invalid or lacks rows is told in a line and not compared', async () => {
  const outcomes = [
    outcome('gone', 'none', { error: { code: 70, text: 'a bug\n    at somewhere' } }),
    outcome('invalid', 'good', summary(['too many rows failed'], 0)),
    outcome('some', 'some', summary([], 1)),
    outcome('good', 'good', summary([], 0)),
  ];
  const { set, faults, nan } = await variantRuns(outcomes, 'q4', folder.path, false);
  assert.deepEqual(faults, ['gone: a bug', 'invalid: too many rows failed', 'some: 1 rows failed and have no verdict']);
  assert.deepEqual([set.runs.map(({ name }) => name), nan], [['good'], null]);
  const partial = await variantRuns(outcomes.slice(2), 'q4', folder.path, true);
  assert.deepEqual([partial.faults, partial.set.runs.length], [[], 2]);
});

test('the first row whose logits are no numbers, of a run that gave up', async () => {
  const outcomes = [outcome('task', 'nan', { error: { code: 3, text: 'gave up: 3 of 20 rows failed' } })];
  const { nan, faults } = await variantRuns(outcomes, 'q4', folder.path, false);
  assert.deepEqual(nan, { task: 'task', index: 2, message: 'row 2: nan' });
  assert.deepEqual(faults, ['task: gave up: 3 of 20 rows failed']);
});
