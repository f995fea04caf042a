import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChoiceScore } from '../../nanoeval/questions.ts';
import { rank, rightShare } from '../../nanoeval/score/loglikelihood.ts';
import { RowError } from '../../nanoeval/types.ts';

const choice = (logprob: number, num_chars = 1, num_bytes = num_chars, num_tokens = 1): ChoiceScore => ({
  logprob,
  num_chars,
  num_bytes,
  num_tokens,
  is_greedy: false,
});

test('each metric divides by its own length', () => {
  // Quotients by hand. chars: -4, -1, -3, -2. bytes: -4, -2, -1, -3. tokens: -2, -4, -3, -1.
  const choices = [choice(-4, 1, 1, 2), choice(-8, 8, 4, 2), choice(-6, 2, 6, 2), choice(-6, 3, 2, 6)];
  assert.deepEqual(rank(choices), { acc: 0, acc_norm: 1, acc_bytes: 2, acc_token: 3 });
});

test('ties go to the first, as in NumPy', () => {
  assert.deepEqual(rank([choice(-2), choice(-1), choice(-1)]), { acc: 1, acc_norm: 1, acc_bytes: 1, acc_token: 1 });
  assert.deepEqual(rank([choice(-2, 2), choice(-1, 1)]), { acc: 1, acc_norm: 0, acc_bytes: 0, acc_token: 1 });
  assert.deepEqual(rank([choice(0), choice(-0)]), { acc: 0, acc_norm: 0, acc_bytes: 0, acc_token: 0 });
});

test('one choice, and log-likelihoods that only just differ', () => {
  assert.equal(rank([choice(-1e300)]).acc, 0);
  assert.equal(rank([choice(-1 - Number.EPSILON), choice(-1)]).acc, 1);
});

test('without lengths: acc alone, and no length is asked for', () => {
  assert.deepEqual(rank([choice(-2, 0), choice(-1, 0)], false), { acc: 1 });
});

test('what is missing or no number fails the row, wherever it stands', () => {
  const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, undefined as unknown as number];
  for (const value of bad) {
    for (const place of [0, 1, 2]) {
      const choices = [choice(-1), choice(-2), choice(-3)];
      choices[place] = choice(value);
      assert.throws(
        () => rank(choices),
        (error: unknown) =>
          error instanceof RowError && error.kind === 'nan' && error.message.includes(`choice ${place}`),
        `${value} at ${place}`,
      );
    }
  }
});

test('a choice of length 0, negative or NaN fails the row', () => {
  for (const length of [0, -1, Number.NaN]) {
    assert.throws(
      () => rank([choice(-1), choice(-1, length)]),
      (error: unknown) => error instanceof RowError && error.kind === 'length' && /acc_norm/.test(error.message),
    );
  }
});

test('no choices fail the row', () => {
  assert.throws(
    () => rank([]),
    (error: unknown) => error instanceof RowError && error.kind === 'choices',
  );
});

test('the share of the right choices: of any size, and by their labels wherever they stand', () => {
  const share = (logprobs: number[], labels: number[]) =>
    rightShare(
      logprobs.map((one) => choice(one)),
      labels,
    );
  const near = (found: number, wanted: number) => assert.ok(Math.abs(found - wanted) < 1e-12, String(found));
  near(share([Math.log(0.2), Math.log(0.1), Math.log(0.5)], [1, 0, 1]), 7 / 8);
  near(share([-1, -1, -1, -1], [0, 1, 0, 0]), 0.25);
  // In double precision exp(-800) is 0, and exp(-744) has two bits left.
  near(share([-800, -800 - Math.log(3)], [0, 1]), 0.25);
  near(share([-744, -744 - Math.log(3)], [0, 1]), 0.25);
  near(share([0, -1e6], [0, 1]), 0);
  for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY, undefined as unknown as number])
    assert.throws(
      () => share([-1, bad], [1, 0]),
      (error) =>
        error instanceof RowError &&
        error.kind === 'nan' &&
        error.message === `the log-likelihood of choice 1 is ${bad}.`,
    );
});
