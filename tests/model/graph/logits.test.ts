import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argMax, logSoftmaxAt } from '../../../nanoeval/model/graph/logits.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { fixture } from '../fixtures.ts';

interface Row {
  /** null stands for -infinity, which JSON has not. */
  logits: (number | null)[];
  argmax: number;
  targets: number[];
  logprobs: number[];
}
const { rows } = fixture<{ rows: Row[] }>('log_softmax.json');
const numbers = ({ logits }: Row) => logits.map((x) => x ?? Number.NEGATIVE_INFINITY);

const broken = (kind: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RowError, String(error));
  assert.match(error.message, words);
  return error.kind === kind;
};

test('log-probabilities equal those of Python with an exact sum (math.fsum)', () => {
  for (const row of rows) {
    row.targets.forEach((target, i) => {
      const found = logSoftmaxAt(Float32Array.from(numbers(row)), 0, row.logits.length, target);
      const expected = row.logprobs[i]!;
      assert.ok(Math.abs(found.logprob - expected) <= 1e-13 * (1 + Math.abs(expected)), `${found.logprob} ${expected}`);
      assert.equal(found.isGreedy, target === row.argmax);
    });
  }
});

test('a row is read at its offset, whatever lies beside it', () => {
  for (const row of rows) {
    const vocab = row.logits.length;
    const three = Float32Array.from([...new Array(vocab).fill(1e9), ...numbers(row), ...new Array(vocab).fill(1e9)]);
    assert.equal(argMax(three, vocab, vocab), row.argmax);
    const alone = logSoftmaxAt(Float32Array.from(numbers(row)), 0, vocab, row.targets[0]!);
    assert.deepEqual(logSoftmaxAt(three, vocab, vocab, row.targets[0]!), alone);
  }
});

test('the first of equal logits is the arg-max, as in torch and NumPy', () => {
  const row = Float32Array.of(1, 5, 5, 5);
  assert.equal(argMax(row, 0, 4), 1);
  assert.equal(logSoftmaxAt(row, 0, 4, 1).isGreedy, true);
  assert.equal(logSoftmaxAt(row, 0, 4, 2).isGreedy, false);
  assert.equal(argMax(Float32Array.of(-0, 0), 0, 2), 0);
});

test('a sum over 49,152 classes has no float32 bias', () => {
  const vocab = 49_152;
  const found = logSoftmaxAt(new Float32Array(vocab), 0, vocab, 7).logprob;
  assert.ok(Math.abs(found + Math.log(vocab)) < 1e-12);
});

test('a NaN, an infinity or a row of -infinity is a broken row, never a score', () => {
  const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
  for (const at of [0, 1, 2]) {
    const row = Float32Array.of(1, 2, 3);
    row[at] = nan;
    assert.throws(() => argMax(row, 0, 3), broken('nan', /logit \d is not a number/));
    assert.throws(() => logSoftmaxAt(row, 0, 3, 1), broken('nan', /not a number/));
  }
  assert.throws(() => logSoftmaxAt(Float32Array.of(0, inf), 0, 2, 0), broken('nan', /broken/));
  assert.throws(() => logSoftmaxAt(Float32Array.of(-inf, -inf), 0, 2, 0), broken('nan', /broken/));
  assert.throws(() => logSoftmaxAt(Float32Array.of(0, -inf), 0, 2, 1), broken('nan', /broken/));
});

test('a token beyond the vocabulary of the graph is not scored from the row after it', () => {
  const two = Float32Array.of(1, 2, 3, 4);
  assert.throws(() => logSoftmaxAt(two, 0, 2, 2), broken('tokens', /token 2 .* 2 logits/));
});
