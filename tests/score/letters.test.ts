import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  exactLetter,
  letters,
  letterTokens,
  likelyLetter,
  readLetter,
  readLetters,
} from '../../nanoeval/score/letters.ts';

const [A, B, C, D, E] = [0, 1, 2, 3, 4];

test('letters', () => {
  assert.deepEqual(letters(0), []);
  assert.deepEqual(letters(4), ['A', 'B', 'C', 'D']);
  assert.deepEqual(letters(10), ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J']);
});

/**
 * lm-eval's mmlu_generative, by its definition (benchmarks.md 2.3): first line, stripped, equal to the letter when case and
 * ASCII punctuation are ignored.
 */
const EXACT: [answer: string, count: number, index: number | null][] = [
  ['B', 4, B],
  [' B', 4, B],
  ['b', 4, B],
  ['B.', 4, B],
  ['(B)', 4, B],
  ['**B**', 4, B],
  ['"B"', 4, B],
  ['$B$', 4, B],
  ['B\nbecause', 4, B],
  ['B\r\nbecause', 4, B],
  [' B \n', 4, B],
  ['B\u0085', 4, B],
  ['D', 4, D],
  ['D', 3, null],
  ['E', 4, null],
  ['E', 5, E],
  ['J', 10, 9],
  ['K', 10, null],
  ['A', 2, A],
  ['C', 2, null],
  ['', 4, null],
  ['\nB', 4, null],
  ['Answer: B', 4, null],
  ['B is right', 4, null],
  ['A B', 4, null],
  // The blank inside stays when the brackets go: " b " is not "b".
  ['( B )', 4, null],
  ['AB', 4, null],
  ['A.B', 4, null],
  ['...', 4, null],
  ['\u0410', 4, null], // Cyrillic
  ['Ｂ', 4, null], // full width: no ASCII letter
  ['B\u3002', 4, null], // not ASCII punctuation
  ['É', 10, null],
];

test('exactLetter: what lm-eval accepts and nothing else', () => {
  for (const [answer, count, index] of EXACT)
    assert.equal(exactLetter(answer, count), index, `${JSON.stringify(answer)} of ${count}`);
});

/** What a careful reader takes from the answer; four choices unless said otherwise. */
const READ: [answer: string, index: number | null, count?: number][] = [
  // The letter alone.
  ['B', B],
  [' B', B],
  ['b', B],
  ['\n\nB', B],
  ['\nb.', B],
  ['(B)', B],
  ['[B]', B],
  ['**B**', B],
  ['`B`', B],
  ['$B$', B],
  ['\\boxed{B}', B],
  ['$\\boxed{\\text{C}}$', C],
  ['B.', B],
  ['a', A],
  ['', null],
  [' \n ', null],
  ['?', null],
  // Option counts.
  ['B', B, 2],
  ['C', null, 2],
  ['E', null],
  ['E', E, 5],
  ['I', 8, 9],
  ['I', null, 8],
  ['J', 9, 10],
  ['K', null, 10],
  ['The answer is J.', 9, 10],
  ['The answer is J.', null, 9],
  // Statements.
  ['The answer is B.', B],
  ['The answer is B', B],
  ['The answer is (B).', B],
  ['The answer is **B**.', B],
  ['the answer is $\\boxed{D}$.', D],
  ['THE ANSWER IS B', B],
  ['Answer: C', C],
  ['Answer:C', C],
  ['**Answer:** C', C],
  ['Answer:\nC', C],
  ['Answer: c', C],
  ['Answer - C', C],
  ['ANSWER: (C)', C],
  ['Final answer: "C"', C],
  ['The correct answer is: C) 42', C],
  ['The answer is B because water boils.', B],
  ['The answer is A because water boils.', A],
  ['The answer is therefore D.', D],
  ['The answer would be D', D],
  ['The answer must be option D.', D],
  ['The correct option is D', D],
  ['the best choice is D, since nothing else fits', D],
  ['choice D', D],
  ['Option D', D],
  ['I would go with option D here', D],
  ['I think B', B],
  ['I think B.', B],
  ['I think it is B.', B],
  ["I'd say it's B.", B],
  ['I choose (A).', A],
  ['B is correct.', B],
  ['A is the right answer', A],
  ['The answer is b.', B],
  ['First I thought of A. But the answer is C', C],
  ['The answer is B. Wait, no. The answer is C.', C],
  ['The answer is C. Option A is wrong.', C],
  ['Option A is wrong. The answer is C.', C],
  ['I think B', B, 10],
  // The answer begins with it.
  ['B. Photosynthesis', B],
  ['B. photosynthesis', B],
  ['B) 42', B],
  ['(B) 42', B],
  ['B: x', B],
  ['B, because it is warm', B],
  ['B because it is warm', B],
  ['A because it is warm', A],
  ['B - warm', B],
  ['A. A dog', A],
  ['A\n\nExplanation: dogs bark.', A],
  ['B\nA is wrong.', B],
  // Named or bracketed, one letter.
  ['It follows that (B) holds.', B],
  ['It follows that B) holds, so (B).', B],
  ['Not (A) but (C)', C],
  // Several.
  ['(A) or (B)', null],
  ['The answer is B or C.', null],
  ['A and B', null],
  ['B, C', null],
  ['Both A) and B)', null],
  ['A) red B) blue C) green D) black', null],
  ['Option A or option B', null],
  // No letter of an answer.
  ['A dog barks.', null],
  ['A dog', null],
  ['I think so', null],
  ['I think so', null, 10],
  ['I am not sure.', null, 10],
  ['The answer is A dog.', null],
  ['The answer is a dog.', null],
  ['The answer is not B.', null],
  ['Option B is wrong.', null],
  ['I do not think B', null],
  ['B cells make antibodies.', null],
  ['The answer is B-cell lymphoma.', null],
  ['The answer is B12.', null],
  ["D'oh", null],
  ['Because', null],
  ['Cats and Dogs', null],
  ['AB', null],
  ['P(A) = 0.5', null],
  ['Vitamin C helps.', null],
  ['The answer is 42.', null],
  ['answer', null],
  ['Choose the correct answer.', null],
  ['\u0410', null], // Cyrillic А
  ['The answer is \u0412.', null], // Cyrillic В
  ['Answer: Ｂ', null], // full width
  ['Answer: Bé', null],
];

test(`readLetter: ${READ.length} answers`, () => {
  for (const [answer, index, count = 4] of READ)
    assert.equal(readLetter(answer, count), index, `${JSON.stringify(answer)} of ${count}`);
});

test('every letter of every option count is read in every form', () => {
  for (let count = 2; count <= 10; count += 1) {
    for (const [index, letter] of letters(count).entries()) {
      for (const form of ['X', '(X)', 'X.', 'The answer is X.', 'Answer: X', 'Option X']) {
        const answer = form.replace('X', letter);
        assert.equal(readLetter(answer, count), index, `${answer} of ${count}`);
      }
    }
  }
});

test('a long answer is read at once', () => {
  const started = performance.now();
  assert.equal(readLetter(`${'The answer is unclear. ( A '.repeat(20_000)}`, 4), null);
  assert.equal(readLetter(`${' '.repeat(200_000)}x${' '.repeat(200_000)}`, 4), null);
  assert.equal(readLetter(`${'answer '.repeat(50_000)}`, 4), null);
  assert.ok(performance.now() - started < 5000);
});

test('readLetters: both rules under the names of their metrics', () => {
  assert.deepEqual(readLetters('The answer is B.', 4), { exact_match: null, acc: B });
  assert.deepEqual(readLetters('B', 4), { exact_match: B, acc: B });
});

test('letterTokens: each letter bare and behind a blank', () => {
  assert.deepEqual(letterTokens(3), ['A', ' A', 'B', ' B', 'C', ' C']);
  assert.deepEqual(letterTokens(0), []);
});

/** Log-probabilities of the forms of each letter, bare and behind a blank, by their texts. */
const byText = (logprobs: (number | null)[][]) =>
  Object.fromEntries(
    logprobs.flatMap((forms, i) => forms.map((value, form) => [`${form === 0 ? '' : ' '}${letters(26)[i]}`, value])),
  );

test('likelyLetter: the forms of a letter are added, and the largest sum counts', () => {
  const p = Math.log;
  const table: [name: string, logprobs: (number | null)[][], index: number | null][] = [
    ['the larger of one form', [[p(0.2)], [p(0.3)], [p(0.1)]], B],
    [
      '0.25 + 0.2 before 0.4 + 0.01',
      [
        [p(0.4), p(0.01)],
        [p(0.25), p(0.2)],
      ],
      B,
    ],
    [
      '0.4 + 0.1 before 0.25 + 0.2',
      [
        [p(0.4), p(0.1)],
        [p(0.25), p(0.2)],
      ],
      A,
    ],
    [
      'a form that is no token counts nothing',
      [
        [null, p(0.3)],
        [p(0.2), p(0.2)],
      ],
      B,
    ],
    [
      'nor does it forbid the letter',
      [
        [null, p(0.3)],
        [p(0.1), p(0.1)],
      ],
      A,
    ],
    [
      'a letter without any token is never it',
      [
        [null, null],
        [p(1e-30), null],
      ],
      B,
    ],
    ['of equal ones the first', [[p(0.1)], [p(0.2)], [p(0.2)]], B],
    [
      'whose forms are swapped: still equal',
      [
        [p(0.1), p(0.2)],
        [p(0.2), p(0.1)],
      ],
      A,
    ],
    ['so small that exp() is 0', [[-2000, -2001], [-1999.9, -2500], [-3000]], A],
    [
      'a half that is not there at all',
      [
        [Number.NEGATIVE_INFINITY, -5],
        [-4, Number.NEGATIVE_INFINITY],
      ],
      B,
    ],
    ['no forms', [[], [], [p(0.1)]], C],
    ['no form of any letter', [[null, null], [null]], null],
    ['no letters', [], null],
  ];
  for (const [name, logprobs, index] of table)
    assert.equal(likelyLetter(byText(logprobs), logprobs.length), index, name);
});

test('likelyLetter: letters beyond the options, and other texts, have no say', () => {
  const logprobs = { A: -3, ' B': -2, C: -1, x: -0.1, 'A ': -0.1 };
  assert.equal(likelyLetter(logprobs, 3), C);
  assert.equal(likelyLetter(logprobs, 2), B);
  assert.equal(likelyLetter(logprobs, 1), A);
  assert.equal(likelyLetter({}, 4), null);
});
