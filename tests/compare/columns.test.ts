/** Rows as columns: what is kept of each kind of row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Columns, comparedRow, Numbers } from '../../nanoeval/compare/columns.ts';
import { rankedRow } from '../planted_run.ts';

test('a ranked row keeps its log-likelihoods, its answer and twelve digits of its prompt', () => {
  const row = rankedRow(7, 2, 1, { subject: 'law', seed: 3, sample: 1 });
  assert.deepEqual(comparedRow(row, 'out'), {
    index: 7,
    id: '7',
    seed: 3,
    sample: 1,
    prompt: row.prompt_sha256.slice(0, 12),
    subject: 'law',
    prediction: 1,
    gold: 2,
    metrics: { acc_norm: 0, acc: 0 },
    choices: [-12, -10, -12, -12],
  });
});

test('a text keeps what its perplexity is made of, parts their sums, a long answer its beginning', () => {
  const { choices: _c, ...plain } = rankedRow(0, 0, 0);
  const text = comparedRow(
    {
      ...plain,
      prediction: 'x'.repeat(80),
      gold: { words: 3, bytes: 12 },
      logprob: -4.5,
      num_tokens: 5,
      num_greedy: 2,
      parts: [
        { name: 'a', metrics: { strict: 1 } },
        { name: 'b', metrics: { strict: 1, loose: 0 } },
      ],
    },
    'out',
  );
  assert.deepEqual(text?.text, { logprob: -4.5, num_tokens: 5, num_greedy: 2, words: 3, bytes: 12 });
  assert.deepEqual(text?.parts, { strict: [2, 2], loose: [0, 1] });
  // Behind its beginning the first digits of the SHA-256 of all of it, as sha256sum has them.
  assert.equal(text?.prediction, `${'x'.repeat(51)}…d929cdee`);
  assert.equal(text?.gold, undefined);
});

test('long answers that begin alike stay apart, and a class is kept as what is right', () => {
  const answer = (end: string) =>
    comparedRow(rankedRow(0, 0, 0, { prediction: 'x'.repeat(70) + end }), 'out')?.prediction;
  assert.notEqual(answer('a'), answer('b'));
  assert.equal(answer('a'), answer('a'));
  const gold = { label: 'sport', labels: ['food', 'sport'] };
  assert.equal(comparedRow(rankedRow(0, 0, 0, { gold }), 'out')?.gold, 'sport');
});

test('the only continuation of a row keeps what its share of greedy tokens is made of', () => {
  const choice = { logprob: -3, num_tokens: 4, num_greedy: 2, is_greedy: false, num_chars: 9, num_bytes: 9 };
  const row = comparedRow(rankedRow(0, 0, 0, { choices: [choice] }), 'out');
  assert.deepEqual(row?.text, { logprob: -3, num_tokens: 4, num_greedy: 2, words: 0, bytes: 0 });
  // Where nobody counted there is nothing to keep, and of several continuations neither.
  const { num_greedy: _n, ...uncounted } = choice;
  assert.equal(comparedRow(rankedRow(0, 0, 0, { choices: [uncounted] }), 'out')?.text, undefined);
  assert.equal(comparedRow(rankedRow(0, 0, 0, { choices: [choice, choice] }), 'out')?.text, undefined);
});

test('a failed row is none', () => {
  assert.equal(comparedRow({ task: 'a', id: '1', index: 1, error: { kind: 'nan', message: 'NaN' } }, 'out'), null);
});

test('numbers grow beyond what was set aside for them', () => {
  const numbers = new Numbers();
  for (let i = 0; i < 5000; i += 1) numbers.push(i);
  assert.deepEqual([numbers.length, numbers.array()[4999], numbers.array().length], [5000, 4999, 5000]);
});

test('a metric that some rows lack is NaN there, before and behind', () => {
  const columns = new Columns();
  const row = { index: 0, id: '0', prompt: 'a', metrics: { acc: 1 } };
  columns.add(row);
  columns.add({ ...row, index: 1, id: '1', metrics: { other: 0.5 } });
  assert.deepEqual([...columns.metrics.get('acc')!.array()], [1, Number.NaN]);
  assert.deepEqual([...columns.metrics.get('other')!.array()], [Number.NaN, 0.5]);
});

test('parts that some rows lack count nothing there', () => {
  const columns = new Columns();
  const row = { index: 0, id: '0', prompt: 'a', metrics: { acc: 1 } };
  columns.add(row);
  columns.add({ ...row, index: 1, parts: { strict: [2, 3] } });
  columns.add({ ...row, index: 2 });
  const { sums, counts } = columns.parts.get('strict')!;
  assert.deepEqual(
    [[...sums.array()], [...counts.array()]],
    [
      [0, 2, 0],
      [0, 3, 0],
    ],
  );
});

test('rows are found by index, seed and sample', () => {
  const columns = new Columns();
  const row = { id: 'x', prompt: 'a', metrics: { acc: 1 } };
  columns.add({ ...row, index: 5 });
  columns.add({ ...row, index: 5, seed: 1, sample: 0 });
  columns.add({ ...row, index: 5, sample: 2 });
  assert.deepEqual(
    [0, 1, 2].map((place) => columns.key(place)),
    ['5', '5|1|0', '5||2'],
  );
  assert.deepEqual(
    ['5', '5|1|0', '5||2', '6'].map((key) => columns.placeOf(key)),
    [0, 1, 2, undefined],
  );
});
