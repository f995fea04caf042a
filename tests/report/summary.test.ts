import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeJson, writeWhole } from '../../nanoeval/report/files.ts';
import { tableRows } from '../../nanoeval/report/summary.ts';
import { type Estimate, OutsideError, type Scores } from '../../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-summary-'));
after(() => rmSync(folder, { recursive: true }));

test('a file is written whole, in folders that are made, and replaces the old one', () => {
  const path = join(folder, 'deep/er/a.json');
  writeJson(path, { a: 1 });
  writeJson(path, { b: [2, 'ü'] });
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), { b: [2, 'ü'] });
  assert.deepEqual(readdirSync(join(folder, 'deep/er')), ['a.json']);
});

test('a disk that refuses is an error with the path', () => {
  writeFileSync(join(folder, 'file'), '');
  assert.throws(
    () => writeWhole(join(folder, 'file/a'), 'x'),
    (error) => error instanceof OutsideError && error.message.includes('file/a'),
  );
});

test('the lines of a summary: all, then each group with its own subjects behind it', () => {
  const estimate = (value: number): Estimate => ({ value, stderr: null, ci95: null, n: 1 });
  const scores: Scores = {
    primary_metric: 'acc',
    chance: 0.25,
    metrics: { acc: estimate(1), acc_norm: estimate(2) },
    groups: { other: { acc: estimate(3) }, stem: { acc: estimate(4) } },
    subjects: { algebra: { acc: estimate(5) }, virology: { acc: estimate(6) }, anatomy: { acc: estimate(7) } },
    subject_groups: { algebra: 'stem', virology: 'other', anatomy: 'stem' },
  };
  assert.deepEqual(
    tableRows(scores).map(({ label, level, group, metric, estimate: { value } }) => [
      label,
      level,
      group,
      metric,
      value,
    ]),
    [
      ['all', 'all', 'all', 'acc', 1],
      ['all', 'all', 'all', 'acc_norm', 2],
      ['other', 'group', 'other', 'acc', 3],
      ['virology', 'subject', 'other', 'acc', 6],
      ['stem', 'group', 'stem', 'acc', 4],
      ['algebra', 'subject', 'stem', 'acc', 5],
      ['anatomy', 'subject', 'stem', 'acc', 7],
    ],
  );
});

test('tags come last, as a level of their own', () => {
  const estimate = (value: number): Estimate => ({ value, stderr: null, ci95: null, n: 1 });
  const scores: Scores = {
    primary_metric: 'acc',
    chance: null,
    metrics: { acc: estimate(1) },
    groups: { stem: { acc: estimate(2) } },
    subjects: { algebra: { acc: estimate(3) } },
    subject_groups: { algebra: 'stem' },
    tags: { Tables: { acc: estimate(4), other: estimate(5) }, stem: { acc: estimate(6) } },
  };
  assert.deepEqual(
    tableRows(scores).map(({ label, level, group, metric, estimate: { value } }) => [
      label,
      level,
      group,
      metric,
      value,
    ]),
    [
      ['all', 'all', 'all', 'acc', 1],
      ['stem', 'group', 'stem', 'acc', 2],
      ['algebra', 'subject', 'stem', 'acc', 3],
      ['Tables', 'tag', 'Tables', 'acc', 4],
      ['Tables', 'tag', 'Tables', 'other', 5],
      ['stem', 'tag', 'stem', 'acc', 6],
    ],
  );
});
