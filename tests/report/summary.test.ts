import assert from 'node:assert/strict';
import { test } from 'node:test';
import { artefactNames, tableRows } from '../../nanoeval/report/summary.ts';
import type { Estimate, Scores } from '../../nanoeval/types.ts';

test('the files of a run: all that it may write into its folder, the chart twice', () => {
  const names = artefactNames({
    predictions_filename: 'p.jsonl',
    summary_filename: 's.json',
    table_filename: 't.csv',
    plot_filename: 'c.png',
  });
  const confusion = ['confusion.csv', 'confusion.png', 'confusion.svg'];
  assert.deepEqual(names, [
    'run.json',
    'p.jsonl',
    's.json',
    't.csv',
    'c.png',
    'c.svg',
    'scores.csv',
    ...confusion,
    'report.html',
    'page.jsonl',
  ]);
});

test('the lines of a summary: all, then each group with its own subjects behind it', () => {
  const estimate = (value: number): Estimate => ({ value, stderr: null, ci95: null, n: 1 });
  const scores: Scores = {
    primary: { name: 'acc', unit: 'share', better: 'higher', chance: 0.25 },
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
    primary: { name: 'acc', unit: 'share', better: 'higher', chance: null },
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
