/** What every rule says of constructed rows, and why it says nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRuleScores, RULES } from '../../nanoeval/score/rules.ts';
import { type ChoiceScore, type Prediction, RowError } from '../../nanoeval/types.ts';

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
  assert.deepEqual(choicesOf(answer('B.')), { exact_match: 1, letter: 1 });
  assert.deepEqual(choicesOf(answer('The answer is C, not D.')), { exact_match: null, letter: 2 });
  // The fifth letter is one only where there are five options.
  assert.deepEqual(choicesOf(answer('E')), { exact_match: null, letter: null });
  const options = ['red', 'blue', 'green', 'black', 'white'];
  assert.deepEqual(choicesOf(answer('E', { options })), { exact_match: 4, letter: 4, official_letter: 4 });
  const letter_logprobs = [
    [-1, -3],
    [-2, -0.5],
    [-4, null],
    [null, null],
    [-9, -9],
  ];
  assert.equal(choicesOf(answer('no idea', { options, letter_logprobs })).letter_prob, 1);
});

test('a rule that the rows do not allow says why', () => {
  const ranked: Prediction = { ...base, gold: 0, choices: [choice(-1, 1, 1, 1)] };
  const generated: Prediction = { ...base, gold: 0, output: 'A' };
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
    acc_mutual_info: 'the choices were not asked without their context',
    exact_match: noAnswers,
    letter: noAnswers,
    official_letter: noAnswers,
    letter_prob: noAnswers,
  });
  assert.deepEqual(why(generated), {
    acc: noSums,
    acc_norm: noSums,
    acc_bytes: noSums,
    acc_token: noSums,
    acc_mutual_info: noSums,
    exact_match: null,
    letter: null,
    official_letter: "the rows do not hold the options' texts",
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
  assert.deepEqual(counts(of('exact_match')), [1, 4, 2, null]);
  assert.deepEqual(counts(of('letter')), [2, 4, 1, null]);
  assert.equal(of('official_letter').impossible, null);
  assert.deepEqual(counts(of('acc')), [null, 0, 0, 'the rows were generated: they have no log-likelihoods of choices']);
  add({ ...base, gold: 0, output: 'A' });
  assert.equal(of('official_letter').impossible, "the rows do not hold the options' texts");
  assert.equal(of('official_letter').right, null);
  assert.deepEqual(counts(of('letter')), [3, 5, 1, null]);
});

test('no rows, no scores', () => {
  const { scores } = openRuleScores();
  assert.deepEqual(
    scores.map(({ rule, rows }) => [rule, rows]),
    RULES.map(({ name }) => [name, 0]),
  );
});
