/** Letters in answers step by step; the harness's and the paper's verdicts are held in tests/run_mmlu_pro.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anyLetter, optionOf, saidLetter } from '../../nanoeval/score/answer_letter.ts';

test('said: behind the first "answer is ", in this case and with one blank; the letter may begin a word', () => {
  const table: [answer: string, letter: string | undefined][] = [
    ['The answer is (B).', 'B'],
    ['answer is J', 'J'],
    ['answer is (C. Or the answer is D.', 'C'],
    ['answer is Half', 'H'],
    ['answer is (K). The answer is A', 'A'],
    ['Answer is: B', undefined],
    ['answer is  B', undefined],
    ['answer is b', undefined],
    ['', undefined],
  ];
  for (const [answer, letter] of table) assert.equal(saidLetter(answer), letter, JSON.stringify(answer));
});

test('any: then a label, the last one of the first line that has one; then the last letter that stands alone', () => {
  const table: [answer: string, letter: string | undefined][] = [
    ['Answer: A. No, the answer is (B).', 'B'],
    ['Answer: A Answer: B\nAnswer: C', 'B'],
    ['no label here\nanswer:\nC', 'C'],
    ['Answer: Answer: H', 'H'],
    ['Answer:\nAnswer: H', 'A'],
    ['Answer: (B), not C', 'C'],
    ['A or B, I say', 'I'],
    ['vitamin B12, été É B', 'B'],
    ['Bé', undefined],
    ['none', undefined],
  ];
  for (const [answer, letter] of table) assert.equal(anyLetter(answer), letter, JSON.stringify(answer));
});

test('long answers without any letter are read in no time', () => {
  const began = performance.now();
  for (const piece of ['answer: ', 'answer is ', 'x ']) assert.equal(anyLetter(piece.repeat(20_000)), undefined);
  assert.ok(performance.now() - began < 2000, `${performance.now() - began} ms`);
});

test('an option by its letter; none for another letter', () => {
  assert.deepEqual([optionOf('A', 3), optionOf('C', 3), optionOf('D', 3), optionOf(undefined, 3)], [0, 2, null, null]);
});
