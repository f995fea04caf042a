/** Open answers; the harness's verdicts on many are held in tests/run_mmmu.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdsGold, keyTexts } from '../../nanoeval/score/open_answer.ts';

test('of each line the shortest tail behind the last of an indicator; all of the answer where no line has one', () => {
  const table: [answer: string, keys: string[]][] = [
    ['Seven', ['seven']],
    ['..It is 7..', ['7']],
    ['The answer is a cat, so it could be a dog', ['a dog']],
    ['is it so\nfinal Answer is X', ['it so', 'x']],
    ['x = 3\ny = 4', ['4']],
    ['x = 3', ['3']],
    ['The result is :\n42', ['the result is :\n42']],
    ['answer \nthe answer is ', ['is']],
    ['it is .\nso !', ['it is .\nso !']],
    ['', ['']],
  ];
  for (const [answer, keys] of table) assert.deepEqual(keyTexts(answer), keys, JSON.stringify(answer));
});

test('a text counts within a key text, a number as a number', () => {
  const holds = (answer: string, ...golds: string[]) => holdsGold(keyTexts(answer), golds);
  assert.deepEqual(
    [
      holds('It is a black cat', 'Cat'),
      holds('concatenate', 'cat'),
      holds('a dog', 'cat'),
      holds('a dog', 'cat', 'dog'),
    ],
    [true, true, false, true],
  );
  assert.deepEqual(
    [holds('about 1234.504 m', '1234.5'), holds('1.2e3', '1200'), holds('12', '1'), holds('-5', '5'), holds('x5', '5')],
    [true, true, false, false, true],
  );
  // A single character has to stand with a blank beside it, or alone.
  assert.deepEqual(
    [holds('node b here', 'B'), holds('ab', 'B'), holds('b', 'B'), holds('xb z', 'B')],
    [true, false, true, true],
  );
});
