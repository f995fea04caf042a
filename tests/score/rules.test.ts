/** What every rule says of constructed rows, and why it says nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChoiceScore, Prediction } from '../../nanoeval/questions.ts';
import { openRuleScores, RULES } from '../../nanoeval/score/rules.ts';
import { RowError } from '../../nanoeval/types.ts';

const base = { task: 't', id: '0', index: 0, group: 'g', num_context_tokens: 1, truncated: false, prompt_sha256: '' };
const choice = (logprob: number, num_chars: number, num_bytes: number, num_tokens: number): ChoiceScore => ({
  logprob,
  num_chars,
  num_bytes,
  num_tokens,
  is_greedy: false,
});
const ruleOf = (name: string) => RULES.find((rule) => rule.name === name) ?? assert.fail(name);
/** Choice by rule, of the rules that the row allows. */
const choicesOf = (row: Prediction) =>
  Object.fromEntries(RULES.filter((rule) => rule.lacks(row) === null).map((rule) => [rule.name, rule.choose(row)]));

test('ranked: each length divides by its own count, worked by hand', () => {
  // Sums: 0. Per character -2, -1.5, -1, -1.2: 2. Per byte -2, -0.5, -1, -0.6: 1. Per token -10, -15, -10.5, -6: 3.
  const row = {
    ...base,
    gold: 1,
    choices: [choice(-10, 5, 5, 1), choice(-15, 10, 30, 1), choice(-21, 21, 21, 2), choice(-24, 20, 40, 4)],
  };
  assert.deepEqual(choicesOf(row), { acc: 0, acc_norm: 2, acc_bytes: 1, acc_token: 3 });
});

test('ranked: of equals the first, as argmax of NumPy', () => {
  const row = { ...base, gold: 0, choices: [choice(-3, 3, 3, 1), choice(-2, 2, 2, 1), choice(-2, 2, 2, 1)] };
  assert.deepEqual(choicesOf(row), { acc: 1, acc_norm: 0, acc_bytes: 0, acc_token: 1 });
});

test('ranked: a number that is none is no choice', () => {
  const row = { ...base, gold: 0, choices: [choice(Number.NaN, 3, 3, 1), choice(-2, 2, 2, 1)] };
  assert.throws(() => ruleOf('acc').choose(row), RowError);
});

test('answers: each rule reads by its own', () => {
  const answer = (output: string, more: Partial<Prediction> = {}): Prediction => ({
    ...base,
    gold: 1,
    output,
    ...more,
  });
  const options = ['red', 'blue', 'green', 'black', 'white'];
  const four = { options: options.slice(0, 4) };
  assert.deepEqual(choicesOf(answer('B.', four)), { exact_letter: 1, letter: 1, official_letter: 1 });
  const free = choicesOf(answer('The answer is C, not D.', four));
  assert.deepEqual([free.exact_letter, free.letter], [null, 2]);
  // The fifth letter is one only where there are five options.
  const fifth = choicesOf(answer('E', four));
  assert.deepEqual([fifth.exact_letter, fifth.letter], [null, null]);
  assert.deepEqual(choicesOf(answer('E', { options })), { exact_letter: 4, letter: 4, official_letter: 4 });
  const first_logprobs = {
    A: -1,
    ' A': -3,
    B: -2,
    ' B': -0.5,
    C: -4,
    ' C': null,
    D: null,
    ' D': null,
    E: -9,
    ' E': -9,
  };
  assert.equal(choicesOf(answer('no idea', { options, first_logprobs })).letter_prob, 1);
  // Without options no letter stands for anything.
  assert.deepEqual(choicesOf(answer('B.')), {});
});

test('a rule that the rows do not allow says why', () => {
  const ranked: Prediction = { ...base, gold: 0, choices: [choice(-1, 1, 1, 1)] };
  const generated: Prediction = { ...base, gold: 0, output: 'A' };
  const lettered: Prediction = { ...generated, options: ['x', 'y'] };
  const why = (row: Prediction) => Object.fromEntries(RULES.map((rule) => [rule.name, rule.lacks(row)]));
  const [noAnswers, noSums] = [
    'the rows were ranked: they have no answers',
    'the rows were generated: they have no log-likelihoods of choices',
  ];
  assert.deepEqual(why(ranked), {
    acc: null,
    acc_norm: null,
    acc_bytes: null,
    acc_token: null,
    exact_letter: noAnswers,
    letter: noAnswers,
    official_letter: noAnswers,
    letter_prob: noAnswers,
  });
  const noOptions = 'the rows show no lettered options';
  const sums = { acc: noSums, acc_norm: noSums, acc_bytes: noSums, acc_token: noSums };
  assert.deepEqual(why(generated), {
    ...sums,
    exact_letter: noOptions,
    letter: noOptions,
    official_letter: noOptions,
    letter_prob: noOptions,
  });
  assert.deepEqual(why(lettered), {
    ...sums,
    exact_letter: null,
    letter: null,
    official_letter: null,
    letter_prob: 'the rows do not hold first-token log-probabilities',
  });
});

test('scores: right, rows and unread are counted; one row that lacks something makes a rule impossible', () => {
  const { add, scores } = openRuleScores();
  const of = (name: string) => scores.find(({ rule }) => rule === name) ?? assert.fail(name);
  for (const [output, gold] of [
    ['A', 0],
    ['B', 0],
    ['the answer is A', 0],
    ['', 2],
  ] as const)
    add({ ...base, gold, output, options: ['one', 'two', 'three'] });
  const counts = ({ right, rows, unread, impossible }: (typeof scores)[number]) => [right, rows, unread, impossible];
  assert.deepEqual(counts(of('exact_letter')), [1, 4, 2, null]);
  assert.deepEqual(counts(of('letter')), [2, 4, 1, null]);
  assert.equal(of('official_letter').impossible, null);
  assert.deepEqual(counts(of('acc')), [null, 0, 0, 'the rows were generated: they have no log-likelihoods of choices']);
  // One row without the first tokens' log-probabilities: that rule alone is out of the question.
  const first_logprobs = { A: -1, ' A': -2, B: -3, ' B': -4, C: -5, ' C': -6 };
  const mixed = openRuleScores();
  const options = ['one', 'two', 'three'];
  mixed.add({ ...base, gold: 0, output: 'A', options, first_logprobs });
  const ofMixed = (name: string) => mixed.scores.find(({ rule }) => rule === name) ?? assert.fail(name);
  assert.deepEqual(counts(ofMixed('letter_prob')), [1, 1, 0, null]);
  mixed.add({ ...base, gold: 0, output: 'A', options });
  assert.deepEqual(counts(ofMixed('letter_prob')), [null, 1, 0, 'the rows do not hold first-token log-probabilities']);
  assert.deepEqual(counts(ofMixed('letter')), [2, 2, 0, null]);
  // One without options: no rule that reads a letter is left.
  add({ ...base, gold: 0, output: 'A' });
  for (const [name, unread] of [
    ['exact_letter', 2],
    ['letter', 1],
  ] as const)
    assert.deepEqual(counts(of(name)), [null, 4, unread, 'the rows show no lettered options']);
  assert.deepEqual(
    [of('official_letter').right, of('official_letter').impossible],
    [null, 'the rows show no lettered options'],
  );
});

test('no rows, no scores', () => {
  const { scores } = openRuleScores();
  assert.deepEqual(
    scores.map(({ rule, rows }) => [rule, rows]),
    RULES.map(({ name }) => [name, 0]),
  );
});

test('rows whose gold is a text, or anything but an index, have no choice that a rule could find right', () => {
  const reason = 'what is right in these rows is no choice among several';
  const ranked = { choices: [choice(-1, 1, 1, 1), choice(-2, 1, 1, 1)] };
  const answered = { output: 'B', options: ['x', 'y'], first_logprobs: { A: -1 } };
  for (const gold of ['Paris', null, ['a', 'b'], { answer: '4' }, undefined]) {
    for (const said of [ranked, answered]) {
      for (const rule of RULES) assert.equal(rule.lacks({ ...base, gold, ...said }), reason, rule.name);
      const all = openRuleScores();
      all.add({ ...base, gold, ...said });
      for (const { right, rows, impossible } of all.scores)
        assert.deepEqual([right, rows, impossible], [null, 0, reason]);
    }
  }
});

test('the standard error of a rule takes the samples and seeds of a row for one cluster', () => {
  const all = openRuleScores();
  // Rows 0, 1, 2 with 2, 1, 3 samples, of which 1, 0, 3 are right: mean 4/6.
  const right = [[1, 0], [0], [1, 1, 1]];
  for (const [index, samples] of right.entries())
    for (const [sample, one] of samples.entries())
      all.add({ ...base, index, sample, gold: 1, output: one === 1 ? 'B' : 'A', options: ['x', 'y'] });
  const score = all.scores.find(({ rule }) => rule === 'exact_letter')!;
  assert.deepEqual([score.right, score.rows], [4, 6]);
  // Sums of (x - 4/6) in each cluster: -1/3, -2/3, 1. sqrt(3/2 * (1/9 + 4/9 + 1)) / 6.
  assert.ok(Math.abs(score.stderr! - Math.sqrt((3 / 2) * (14 / 9)) / 6) < 1e-12, `${score.stderr}`);
});
