/** Rows as they are counted: what is kept of each, health, and why a run is invalid. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Prediction, Verdict } from '../../nanoeval/questions.ts';
import type { JournalRow } from '../../nanoeval/run/journal.ts';
import { isUnread, slimRow, Tally } from '../../nanoeval/run/tally.ts';
import { predicted, rankedChoices, toyConfig } from './toy.ts';

const right = { prediction: 0, correct: 1, metrics: { acc: 1 } } as const;
const scored = (index: number, rest: Partial<Prediction & Verdict> = {}): JournalRow => ({
  ...predicted(index),
  ...right,
  ...rest,
});
const failed = (index: number, message = 'broken'): JournalRow => ({
  task: 'toy',
  id: `id${index}`,
  index,
  error: { kind: 'nan', message },
});
const tallied = (...rows: JournalRow[]) => {
  const tally = new Tally();
  for (const row of rows) tally.add(slimRow(row));
  return tally;
};

test('of a row its texts, choices and tokens go; how many choices there were stays, and all that means are made of', () => {
  const { prediction, correct, metrics } = right;
  const verdict = { prediction, correct, metrics, parts: [{ name: 'x', metrics: { strict: 1 } }] };
  const kept = { ...predicted(3, { subject: 'a', tags: ['t'], seed: 1, sample: 2 }), ...verdict };
  const ranked = { choices: rankedChoices(-1, -2), prompt: 'long', prompt_tokens: [1, 2] };
  assert.deepEqual(slimRow({ ...kept, ...ranked }), { row: { ...kept, num_choices: 2 }, answer: null });
  const answered = {
    output: 'a long answer',
    finish_reason: 'stop' as const,
    num_output_tokens: 4,
    first_logprobs: { A: -1 },
    tokens: { prompt: [1], output: [2] },
  };
  const { output: _o, first_logprobs: _f, tokens: _t, ...rest } = answered;
  assert.deepEqual(slimRow({ ...kept, ...answered }), {
    row: { ...kept, ...rest },
    answer: { empty: false, thoughts: 'none' },
  });
  // A perplexity is made of the sum and its tokens.
  const text = { logprob: -7, num_tokens: 3, num_greedy: 1, num_windows: 1 };
  assert.deepEqual(slimRow({ ...kept, ...text }).row, { ...kept, ...text });
  assert.deepEqual(slimRow(failed(1)), { row: failed(1), answer: null });
  assert.deepEqual(slimRow({ ...kept, label_logprobs: [-0.1, -2.4] }).row, kept);
  // A target behind a prompt is one choice, and its numbers are made of the same ones.
  const [only] = rankedChoices(-1);
  const counted = slimRow({ ...kept, choices: [{ ...only!, num_tokens: 5, num_greedy: 2 }] });
  assert.deepEqual(counted.row, { ...kept, logprob: -1, num_tokens: 5, num_greedy: 2, num_choices: 1 });
  assert.deepEqual(slimRow({ ...kept, choices: [only!] }).row, { ...kept, num_choices: 1 });
});

test('an answer of nothing but blanks is empty, as Python sees blanks', () => {
  for (const [output, empty] of [
    ['', true],
    [' \n\t\u00a0\u3000', true],
    ['.', false],
    ['\ufeff', false],
    ['<think>hm</think>\n', true],
    ['<think>hm', true],
    ['<think>hm</think>\nB', false],
  ] as const)
    assert.equal(slimRow(scored(0, { output })).answer?.empty, empty, JSON.stringify(output));
  assert.equal(slimRow(scored(0)).answer, null);
  // The prompt opened the thoughts, and they never end.
  const opened = slimRow(scored(0, { output: 'hm', think_opened: true }));
  assert.deepEqual(opened.answer, { empty: true, thoughts: 'cut' });
});

test('generated answers: how many were cut, never stopped, thought first', () => {
  const said = (index: number, output: string, finish_reason: 'stop' | 'length', sample?: number) =>
    scored(index, { output, finish_reason, ...(sample === undefined ? {} : { sample }) });
  assert.equal(tallied(scored(0), failed(1)).generation, null);
  const samples = tallied(
    said(0, 'a', 'length', 0),
    said(0, 'b', 'stop', 1),
    said(1, 'a', 'length', 0),
    said(1, '<think>b', 'length', 1),
    said(2, '<think>b</think>a', 'stop', 0),
    said(2, '<think> </think>a', 'stop', 1),
    failed(3),
  );
  assert.deepEqual(samples.generation, { answers: 6, cut: 3, never_stopped: 1, reasoning: 2, reasoning_cut: 1 });
  assert.deepEqual([samples.health.questions, samples.health.rows, samples.health.empty], [3, 7, 1]);
  // Seeds of a question are answers to it as well, in whatever order they come.
  const seeds = tallied(
    scored(0, { output: 'a', finish_reason: 'stop', seed: 1 }),
    scored(0, { output: 'a', finish_reason: 'length', seed: 2 }),
  );
  assert.deepEqual([seeds.generation?.never_stopped, seeds.health.questions], [0, 1]);
});

test('health: rows by what happened to them; a prediction that is absent is none that could not be read', () => {
  const { prediction: _p, correct: _c, ...unread } = scored(4) as Prediction & Verdict;
  const tally = tallied(
    scored(0, { prediction: 'a text', output: 'a text' }),
    scored(1, { prediction: null, output: ' ' }),
    scored(2, { truncated: true }),
    failed(3),
    unread,
    scored(5, { prediction: '' }),
  );
  assert.deepEqual(tally.health, { rows: 6, questions: 5, failed: 1, unparsed: 1, truncated: 1, empty: 1 });
  assert.deepEqual(
    tally.rows.map(({ index }) => index),
    [0, 1, 2, 4, 5],
  );
});

test('a row without a verdict is counted, and no mean is made of it', () => {
  const tally = tallied(predicted(0), predicted(1, { output: '' }));
  assert.deepEqual(tally.health, { rows: 2, questions: 2, failed: 0, unparsed: 0, truncated: 0, empty: 1 });
  assert.deepEqual(tally.rows, []);
  assert.deepEqual(tally.faults(toyConfig({ run: { score: false } })), []);
});

test('too many failed rows, too many unread answers: each a fault with its numbers and the first reason', () => {
  const rows = [scored(0), failed(1, 'first reason'), failed(2, 'second'), scored(3, { prediction: null })];
  assert.deepEqual(tallied(...rows).faults(toyConfig({ run: { max_failed: 0.4, max_unparsed: 0.2 } })), [
    '2 of 4 rows failed, more than run.max_failed 0.4; the first: row 1 (id id1): first reason',
    '1 of 4 answers could not be read, more than run.max_unparsed 0.2',
  ]);
  assert.deepEqual(tallied(...rows).faults(toyConfig({ run: { max_failed: 0.5, max_unparsed: 0.25 } })), []);
});

test('no row of a subject that was asked for; a group counts as one of its subjects', () => {
  const rows = [scored(0, { subject: 'a', group: 'letters' })];
  const faults = (subjects: string | string[], run: object = {}) =>
    tallied(...rows).faults(toyConfig({ dataset: { subjects }, run }));
  assert.deepEqual(faults(['a', 'letters']), []);
  assert.deepEqual(faults(['a', 'b', 'other']), ['dataset.subjects: no row of b', 'dataset.subjects: no row of other']);
  // A shard need not hold every subject, and rows without a verdict are in none.
  assert.deepEqual(faults('b', { shard: '1/2' }), []);
  assert.deepEqual(tallied(predicted(0)).faults(toyConfig({ dataset: { subjects: 'b' }, run: { score: false } })), []);
});

test('nothing could be scored: a fault, but for an empty shard', () => {
  const all = (run: object, ...rows: JournalRow[]) => tallied(...rows).faults(toyConfig({ run }));
  const told = 'no row could be scored; the first: row 0 (id id0): broken';
  assert.deepEqual(all({ max_failed: 1 }, failed(0), failed(1)), [told]);
  assert.deepEqual(all({ max_failed: 1, score: false }, failed(0)), [told]);
  assert.deepEqual(all({ max_failed: 1, shard: '1/2' }, failed(0)), [told]);
  assert.deepEqual(all({ shard: '1/2' }), []);
  assert.deepEqual(all({ score: false }, predicted(0)), []);
});

test('isUnread: more than the limit, not as much', () => {
  const limit = (max_unparsed: number) => toyConfig({ run: { max_unparsed } }).run;
  const health = { rows: 4, questions: 4, failed: 0, unparsed: 2, truncated: 0, empty: 0 };
  for (const [max, wanted] of [
    [0, true],
    [0.49, true],
    [0.5, false],
    [1, false],
  ] as const)
    assert.equal(isUnread(health, limit(max)), wanted, String(max));
});

test('rows that could not be scored are kept by themselves', () => {
  const { failed: found, rows } = tallied(scored(0), failed(1), failed(2));
  assert.deepEqual([found.map(({ id }) => id), rows.length], [['id1', 'id2'], 1]);
});
