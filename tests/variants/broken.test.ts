/** When a variant is called broken, with which words and which row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Primary } from '../../nanoeval/types.ts';
import { brokenOf, type Evidence, type JudgedTask } from '../../nanoeval/variants/broken.ts';
import type { Apart } from '../../nanoeval/variants/passes.ts';

const apart = (more: Partial<Apart> = {}): Apart => ({
  tokens: 100,
  nonfinite: 0,
  kl: { mean: 0.1, p99: 1, largest: 3 },
  top1: 0.9,
  perplexity: { reference: 20, variant: 22 },
  first: null,
  ...more,
});
const primary: Primary = { name: 'acc_norm', unit: 'share', better: 'higher', chance: 0.25 };
const estimate = (value: number, low: number, high: number) => ({
  value,
  stderr: 0.01,
  ci95: [low, high] as [number, number],
  n: 500,
});
const flip = (index: number, before: number, now: number) => ({
  id: `row ${index}`,
  index,
  gold: 1,
  baseline: { value: before, prediction: before === 1 ? 1 : 0 },
  current: { value: now, prediction: null },
});
const judged = (more: Partial<JudgedTask> = {}): JudgedTask => ({
  name: 'hellaswag',
  primary,
  reference: estimate(0.41, 0.37, 0.45),
  variant: estimate(0.26, 0.22, 0.3),
  verdict: 'REGRESSED',
  flips: [flip(2, 0, 1), flip(5, 1, 0), flip(9, 1, 0)],
  ...more,
});
const evidence = (more: Partial<Evidence> = {}): Evidence => ({
  apart: apart(),
  limit: 2,
  nan: null,
  tasks: [],
  tokenText: (id) => `<${id}>`,
  ...more,
});

test('a variant that is merely worse is not broken', () => {
  assert.equal(brokenOf(evidence()), null);
  assert.equal(brokenOf(evidence({ tasks: [judged({ variant: estimate(0.33, 0.29, 0.37) })] })), null);
  assert.equal(brokenOf(evidence({ apart: apart({ kl: { mean: 2, p99: 9, largest: 12 } }) })), null);
  assert.equal(brokenOf(evidence({ apart: null })), null);
});

test('near chance, where the reference is not: the first row that got worse shows it', () => {
  const found = brokenOf(evidence({ tasks: [judged()] }));
  assert.deepEqual(found, {
    reasons: ["hellaswag acc_norm 0.2600 (0.2200 to 0.3000) is not above chance 0.25, and the reference's 0.4100 is"],
    row: {
      of: 'hellaswag',
      index: 5,
      shows: 'id row 5: right is 1, the reference says 1, the variant unread',
    },
  });
  const below = judged({ variant: estimate(0.1, 0.08, 0.12), flips: [] });
  assert.equal(brokenOf(evidence({ tasks: [below] }))!.row, null);
});

test('not where the reference is near chance too, the verdict is another one, or there is no chance', () => {
  const others: Partial<JudgedTask>[] = [
    { reference: estimate(0.28, 0.24, 0.32) },
    { verdict: 'SUSPECT' },
    { primary: { ...primary, chance: null } },
    { primary: { ...primary, better: 'lower' } },
    { variant: { ...estimate(0.26, 0.2, 0.3), ci95: null } },
  ];
  for (const other of others) assert.equal(brokenOf(evidence({ tasks: [judged(other)] })), null, JSON.stringify(other));
});

test('a mean divergence above the limit: the first position above it, its tokens as texts', () => {
  const first = { row: 3, token: 17, kl: 8.25, top: { reference: 5, variant: 7 } };
  const found = brokenOf(evidence({ apart: apart({ kl: { mean: 7.5, p99: 12, largest: 14 }, first }) }));
  assert.deepEqual(found, {
    reasons: ['mean KL divergence 7.500 nats a token, above 2'],
    row: {
      of: 'distributions',
      index: 3,
      shows: 'token 17: KL 8.250 nats; most likely "<5>" by the reference, "<7>" by the variant',
    },
  });
});

test('numbers that are none come first, and every reason is told', () => {
  const first = { row: 0, token: 4, kl: null, top: null };
  const found = brokenOf(
    evidence({
      apart: apart({ tokens: 40, nonfinite: 60, kl: { mean: 3, p99: 5, largest: 6 }, first }),
      nan: { task: 'hellaswag', index: 1, message: 'logit 7 is not a number.' },
      tasks: [judged()],
    }),
  );
  assert.equal(found!.reasons.length, 4);
  assert.equal(found!.reasons[0], 'numbers that are not finite at 60 of 100 tokens');
  assert.deepEqual(found!.row, { of: 'distributions', index: 0, shows: 'token 4: a number that is not finite' });
  const alone = brokenOf(
    evidence({ apart: null, nan: { task: 'mmlu', index: 1, message: 'logit 7 is not a number.' } }),
  );
  assert.deepEqual(alone, {
    reasons: ['rows of mmlu have logits that are no numbers'],
    row: { of: 'mmlu', index: 1, shows: 'logit 7 is not a number.' },
  });
});
