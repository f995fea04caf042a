import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalRow } from '../../nanoeval/run/journal.ts';
import { detailOf, ListColumns, statusOf } from '../../nanoeval/run/page_rows.ts';
import { rankedRow } from '../planted_run.ts';

const failed: JournalRow = { task: 'a', id: 'x', index: 9, error: { kind: 'image', message: 'broken' } };
const unread = { ...rankedRow(2, 1, 0), prediction: null };
const { metrics: _m, correct: _c, prediction: _p, ...unscored } = rankedRow(3, 1, 0);
const { correct: _r, ...number } = rankedRow(4, 1, 0);

test('what became of a row', () => {
  const rows: JournalRow[] = [rankedRow(0, 1, 1), rankedRow(1, 1, 0), unread, failed, number, unscored];
  assert.equal(rows.map(statusOf).join(''), 'rwufsn');
});

test('columns that no row has are absent; a part of the rows has the subjects of all', () => {
  const columns = new ListColumns('acc_norm');
  for (const row of [rankedRow(0, 1, 1, { subject: 'a' }), rankedRow(1, 1, 0, { subject: 'b' }), failed])
    columns.add(row);
  assert.deepEqual(columns.list(), {
    index: [0, 1, 9],
    id: ['0', '1', 'x'],
    seed: undefined,
    sample: undefined,
    subject: [0, 1, -1],
    subjects: ['a', 'b'],
    status: 'rwf',
    score: [1, 0, null],
    read: [1, 0, null],
    gold: [1, 1, null],
    prompts: `${rankedRow(0, 1, 1).prompt_sha256.slice(0, 8)}${rankedRow(1, 1, 1).prompt_sha256.slice(0, 8)}        `,
  });
  const { index, subject, subjects, status } = columns.list(1, 2);
  assert.deepEqual([index, subject, subjects, status], [[1], [1], ['a', 'b'], 'w']);
});

test('long answers are short in the list, and what is right is found in what a task calls so', () => {
  const columns = new ListColumns('acc');
  const golds = [{ label: 'sport', labels: [] }, { target: '42' }, { answer: 'x'.repeat(100) }, { checks: [] }, null];
  for (const [index, gold] of golds.entries())
    columns.add({ ...rankedRow(index, 0, 0), gold, prediction: 'y'.repeat(100), seed: index });
  const { gold, read, seed } = columns.list();
  assert.deepEqual(
    gold!.map((one) => String(one).length),
    [5, 2, 80, 4, 4],
  );
  assert.equal(read![0], `${'y'.repeat(79)}…`);
  assert.deepEqual(seed, [0, 1, 2, 3, 4]);
});

test('an opened row has all that was said, less tokens and hashes; numbers have eight digits', () => {
  const row = rankedRow(0, 1, 1, {
    choices: [{ logprob: -1.23456789012, num_tokens: 1, num_chars: 2, num_bytes: 2, is_greedy: true, tokens: [1] }],
  });
  const detail = detailOf({ ...row, prompt_tokens: [1, 2], tags: ['t'] }) as Record<string, unknown>;
  assert.deepEqual(detail.choices, [
    { logprob: -1.2345679, num_tokens: 1, num_chars: 2, num_bytes: 2, is_greedy: true },
  ]);
  assert.deepEqual(
    [detail.tags, detail.gold, detail.prompt_sha256, detail.prompt_tokens, detail.task],
    [['t'], 1, undefined, undefined, undefined],
  );
  assert.deepEqual(detailOf(failed), { error: { kind: 'image', message: 'broken' } });
});
