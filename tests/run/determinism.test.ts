/** Rows computed again at the end of a run: which, and what is said of those that differ. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailedRow, Prediction, Verdict } from '../../nanoeval/questions.ts';
import { compareAgain, drawChecked } from '../../nanoeval/run/determinism.ts';
import { planOf, predicted, rankedChoices, toyTask, upTo } from './toy.ts';

const ranked = (index: number, logprobs: number[]): Prediction =>
  predicted(index, { choices: rankedChoices(...logprobs) });
const written = (index: number, output: string, rest: Partial<Prediction> = {}): Prediction =>
  predicted(index, { output, ...rest });

const score = ({ choices, output = '' }: Prediction): Verdict => {
  const logprobs = choices?.map(({ logprob }) => logprob);
  const prediction = logprobs === undefined ? output.length : logprobs.indexOf(Math.max(...logprobs));
  return { prediction, correct: 0, metrics: { acc: 0 } };
};

/** Holds rows against what a model answers the second time. */
function check(
  rows: Prediction[],
  second: (row: Prediction) => Prediction | FailedRow,
  {
    strategy = 'rank_ll',
    own = score,
  }: { strategy?: string; own?: (row: Prediction) => Verdict | Promise<Verdict> } = {},
) {
  const plan = planOf({ scoring: { strategy } }, { task: toyTask({ score: own }) });
  async function* again() {
    // Late, and from the last to the first.
    for (const row of rows.toReversed()) yield second(row);
  }
  return compareAgain(plan, rows, again());
}

const drawn = [12, 24, 27, 28];
const ROWS = drawn.map((i) => ranked(i, [-1, -2 - i / 100]));

test('the rows are those that Python draws with seed 0, rising, the same each time', () => {
  // python3.11: sorted(random.Random(0).sample(range(30), 4)) and 10
  assert.deepEqual(drawChecked(upTo(30), 4), drawn);
  assert.deepEqual(drawChecked(upTo(30), 10), [1, 8, 9, 12, 13, 15, 16, 24, 27, 28]);
  assert.deepEqual(drawChecked(upTo(30), 10), drawChecked(upTo(30), 10));
});

test('as many as are asked for and there are, each once however many samples it has', () => {
  assert.deepEqual(drawChecked(upTo(30), 1000), upTo(30));
  assert.deepEqual(drawChecked([], 4), []);
  assert.deepEqual(drawChecked([3], 0), []);
  assert.deepEqual(drawChecked([0, 0, 0, 1, 1, 1], 4), [0, 1]);
  // Of the places of the rows that there are, not of their indices.
  assert.deepEqual(
    drawChecked(
      upTo(30).map((i) => 7 * i),
      4,
    ),
    drawn.map((i) => 7 * i),
  );
});

test('exact rows: no difference, no flip', async () => {
  assert.deepEqual(await check(ROWS, (row) => row), { rows: 4, largest_difference: 0, flips: 0, flipped: [] });
  assert.deepEqual(await check([], (row) => row), { rows: 0, largest_difference: null, flips: 0, flipped: [] });
});

test('a planted difference and a planted flip are found', async () => {
  const [first, other] = drawn as [number, number];
  const found = await check(ROWS, (row) => {
    if (row.index === first) return ranked(first, [-1, -2 - first / 100 + 0.125]);
    if (row.index === other) return ranked(other, [-1.5, -1.25]);
    return row;
  });
  const difference = Math.abs(-1.25 - (-2 - other / 100));
  assert.deepEqual(found, { rows: 4, largest_difference: difference, flips: 1, flipped: [`id${other}`] });
});

test('a difference that moves no verdict is no flip', async () => {
  const found = await check(ROWS, (row) => ranked(row.index, [-1 + 1e-6, -2 - row.index / 100]));
  assert.ok(Math.abs(found.largest_difference! - 1e-6) < 1e-12);
  assert.deepEqual([found.flips, found.flipped], [0, []]);
});

test('a generated text that differs is a flip, though the choice read from it is the same', async () => {
  const rows = [0, 1, 2].map((index) => written(index, 'A'));
  const strategy = 'gen_letter';
  assert.deepEqual(await check(rows, (row) => row, { strategy }), {
    rows: 3,
    largest_difference: null,
    flips: 0,
    flipped: [],
  });
  const found = await check(rows, (row) => (row.index === 1 ? { ...row, output: 'B' } : row), { strategy });
  assert.deepEqual([found.flips, found.flipped], [1, ['id1']]);
});

test("the first tokens' log-probabilities are looked at where the texts are all there is besides", async () => {
  const letters = (value: number) => ({ first_logprobs: { A: -1, ' A': null, B: value, ' B': -3 } });
  const rows = [0, 1].map((index) => written(index, 'A', letters(-2)));
  const found = await check(rows, (row) => ({ ...row, ...letters(-2.25) }), { strategy: 'gen_letter' });
  assert.deepEqual(found, { rows: 2, largest_difference: 0.25, flips: 0, flipped: [] });
});

test('the log-probabilities of classes are looked at', async () => {
  const rows = [0, 1].map((index) => predicted(index, { label_logprobs: [-0.5, -1 - index] }));
  const own = ({ label_logprobs }: Prediction): Verdict => ({ prediction: label_logprobs!.length, metrics: {} });
  const found = await check(rows, (row) => ({ ...row, label_logprobs: [-0.5, -1] }), { own });
  assert.deepEqual(found, { rows: 2, largest_difference: 1, flips: 0, flipped: [] });
});

test('of a whole text the sum is looked at; a verdict that comes late and has no prediction is none that flips', async () => {
  const rows = [0, 1].map((index) => predicted(index, { logprob: -10 - index, num_tokens: 5 }));
  const own = async ({ logprob }: Prediction): Promise<Verdict> => ({ metrics: { nats: -logprob! } });
  const found = await check(rows, (row) => ({ ...row, logprob: row.logprob! + row.index / 4 }), { own });
  assert.deepEqual(found, { rows: 2, largest_difference: 0.25, flips: 0, flipped: [] });
});

test('a row that fails the second time is not counted', async () => {
  const found = await check([ranked(1, [-1]), ranked(3, [-1])], (row) =>
    row.index === 3 ? { task: 'toy', id: row.id, index: 3, error: { kind: 'nan', message: '' } } : row,
  );
  assert.equal(found.rows, 1);
});

test('every sample of a row is held against its own', async () => {
  const rows = [0, 1].flatMap((index) => [0, 1, 2].map((sample) => written(index, `7${sample}`, { seed: 7, sample })));
  const found = await check(rows, (row) => (row.sample === 2 ? { ...row, output: 'other' } : row), {
    strategy: 'gen_letter',
  });
  assert.deepEqual(found, { rows: 6, largest_difference: null, flips: 2, flipped: ['id0', 'id1'] });
});

test('of answers the tokens are counted, those that differ, and the largest margin at which one did', async () => {
  const rows = [0, 1, 2, 3].map((index) => written(index, `answer ${index}`, { num_output_tokens: 10 }));
  const found = await check(rows, (row) => {
    if (row.index === 1) return { ...row, output: 'other', apart: { tokens: 4, margin: 0.002 } };
    if (row.index === 2) return { ...row, output: 'another', apart: { tokens: 7, margin: 0.001 } };
    return row;
  });
  assert.deepEqual([found.tokens, found.tokens_apart, found.largest_margin], [40, 11, 0.002]);
  const same = await check(rows, (row) => row);
  assert.deepEqual([same.tokens, same.tokens_apart, same.largest_margin], [40, 0, undefined]);
});
