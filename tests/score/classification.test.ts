/** Classes of saved rows, and precision, recall, F1 and confusion as scikit-learn has them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ChoiceScore, ScoredRow } from '../../nanoeval/questions.ts';
import { type ClassGold, headVerdict, rankedVerdict, summarizeClasses } from '../../nanoeval/score/classification.ts';

interface Case {
  name: string;
  labels: string[];
  gold: string[];
  said: string[];
  acc: number;
  macro_f1: number;
  macro_stderr: number;
  by_label: Record<string, Record<string, number>>;
  confusion: number[][];
}
const { cases }: { cases: Case[] } = JSON.parse(
  readFileSync(new URL('../fixtures/classification/metrics.json', import.meta.url), 'utf8'),
);
const rule = { primary: 'acc', unit: 'share', better: 'higher' } as const;

const rowsOf = (labels: readonly string[], gold: readonly string[], said: readonly string[]) =>
  gold.map((label, index) => {
    const correct = label === said[index] ? 1 : 0;
    return {
      id: `${index}`,
      index,
      gold: { label, labels },
      prediction: said[index],
      correct,
      metrics: { acc: correct },
    };
  }) as unknown as ScoredRow<ClassGold>[];

const near = (found: number | null | undefined, wanted: number, what: string, by = 1e-12) =>
  assert.ok(found != null && Math.abs(found - wanted) <= by, `${what}: ${found}, not ${wanted}`);

for (const { name, labels, gold, said, acc, macro_f1, macro_stderr, by_label, confusion } of cases) {
  test(`scores of scikit-learn: ${name}`, () => {
    const scores = summarizeClasses(rowsOf(labels, gold, said), rule);
    near(scores.metrics.acc?.value, acc, 'acc');
    near(scores.metrics.macro_f1?.value, macro_f1, 'macro_f1');
    assert.deepEqual(scores.confusion, { labels, counts: confusion });
    assert.deepEqual(Object.keys(scores.tags!), Object.keys(by_label));
    for (const [label, wanted] of Object.entries(by_label))
      for (const [metric, value] of Object.entries(wanted))
        near(scores.tags![label]![metric]?.value, value, `${metric} of ${label}`);
    // The linearised error of a mean over many rows is that of resampling them.
    if (gold.length >= 200) near(scores.metrics.macro_f1!.stderr! / macro_stderr, 1, 'stderr', 0.1);
  });
}

test('what is no mean over rows says so, chance is that of each row, and intervals stay inside 0 and 1', () => {
  const rows = [...rowsOf(['a', 'b'], ['a', 'b'], ['a', 'b']), ...rowsOf(['a', 'b', 'c', 'd'], ['c'], ['d'])];
  const { primary, pooled, tags, metrics } = summarizeClasses(rows, rule);
  near(primary.chance, (0.5 + 0.5 + 0.25) / 3, 'chance');
  assert.deepEqual(pooled, ['macro_f1', 'precision', 'recall', 'f1', 'support']);
  assert.deepEqual(tags!.d!.recall, { value: 0, stderr: null, ci95: null, n: 0 });
  assert.deepEqual([tags!.c!.support!.value, tags!.d!.support!.value], [1, 0]);
  for (const { ci95 } of [...Object.values(tags!).flatMap((one) => Object.values(one)), ...Object.values(metrics)])
    assert.ok(ci95 === null || (ci95[0] >= 0 && ci95[1] <= 1), String(ci95));
});

test('rows of several seeds hang together: twice the same rows have the error of one pass, to the small-sample factor', () => {
  const { labels, gold, said } = cases[0]!;
  const once = rowsOf(labels, gold, said);
  const [one, two] = [summarizeClasses(once, rule), summarizeClasses([...once, ...once], rule)];
  for (const of of ['acc', 'macro_f1']) near(two.metrics[of]!.stderr, one.metrics[of]!.stderr!, of, 1e-12);
  near(two.tags!.yes!.f1!.stderr, one.tags!.yes!.f1!.stderr!, 'f1', 1e-12);
});

const choice = (logprob: number): ChoiceScore => ({
  logprob,
  num_tokens: 1,
  num_chars: 3,
  num_bytes: 3,
  is_greedy: false,
});
const gold = { label: 'bad', labels: ['good', 'bad', 'mixed'] };

test('the most likely label, the first of equals', () => {
  const choices = [-2, -1, -3].map(choice);
  assert.deepEqual(rankedVerdict({ choices, gold }), { prediction: 'bad', correct: 1, metrics: { acc: 1 } });
  assert.equal(rankedVerdict({ choices: [-1, -1, -3].map(choice), gold }).prediction, 'good');
});

test('calibrated: -2, -3, -4 less -0.5, -2.5, -1.5 without content is -1.5, -0.5, -2.5', () => {
  const choices = [-2, -3, -4, -0.5, -2.5, -1.5].map(choice);
  assert.deepEqual(rankedVerdict({ choices, gold }), {
    prediction: 'bad',
    correct: 1,
    metrics: { acc: 1, acc_raw: 0 },
  });
});

test('rows that are broken are no wrong answers', () => {
  assert.throws(() => rankedVerdict({ choices: [-1, -2].map(choice), gold }), { message: '2 choices for 3 labels.' });
  assert.throws(() => rankedVerdict({ choices: [-1, -2, -3, -4].map(choice), gold }), /4 choices for 3 labels/);
  for (const broken of [
    [-1, Number.NaN, -2],
    [-1, -2, -3, -1, Number.NaN, -2],
  ])
    assert.throws(() => rankedVerdict({ choices: broken.map(choice), gold }), { name: 'RowError', kind: 'nan' });
  assert.throws(() => headVerdict({ label_logprobs: [-1, -2], gold }), {
    message: '2 log-probabilities for 3 labels.',
  });
  assert.throws(() => headVerdict({ gold }), { message: '0 log-probabilities for 3 labels.' });
  assert.throws(() => headVerdict({ label_logprobs: [-1, Number.NaN, -2], gold }), { kind: 'nan' });
});

test('the class that a head finds most likely', () => {
  const { prediction, correct } = headVerdict({ label_logprobs: [-0.1, -3, -4], gold });
  assert.deepEqual([prediction, correct], ['good', 0]);
});
