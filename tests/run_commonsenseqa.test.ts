/** CommonsenseQA against lm-evaluation-harness 0.4.13 (choices_goldens.ts), and the SmolLM2 cards' form. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_commonsenseqa.ts';
import { requestsOf, rowsOf, testCards, testGoldens } from './choices_goldens.ts';
import { ask, askedBy, questionOf } from './requests.ts';

testGoldens(task);
testCards(task);

test("the cards' form: option texts after the bare question, blanks and all, in a conversation too", async () => {
  const cards = { dataset: { path: rowsOf('commonsenseqa') }, scoring: { recipe: 'cloze' } };
  const asked = await askedBy(task, cards);
  const [first, , third] = asked.map((one) => requestsOf(questionOf(one, 'loglikelihood')));
  assert.deepEqual(
    first,
    [' drawer', ' roof', ' river', ' cloud', ' chimney'].map((option) => ['Where would you keep a spoon?', option]),
  );
  assert.equal(third![0]![0], '  A ticket is what you need to ride a what?  ');
  const chars = (asked[9]!.row as ScoredRow<number>).choices!.map(({ num_chars }) => num_chars);
  assert.deepEqual(chars, [' cake '.length, 'taxes'.length, 'a  cold'.length, 'mud '.length, ' rain'.length]);
  const model = { model_id: 'a/b', chat_template: true };
  const [chat] = await askedBy(task, { ...cards, model });
  assert.deepEqual(requestsOf(questionOf(chat!, 'loglikelihood'))[0], [
    '<|im_start|>user\nWhere would you keep a spoon?<|im_end|>\n<|im_start|>assistant\n',
    ' drawer',
  ]);
});

test('rows without an answer, as in the test split, and with other labels or numbers of options are refused', async () => {
  const choices = { label: ['A', 'B', 'C', 'D', 'E'], text: ['a', 'b', 'c', 'd', 'e'] };
  const good = { id: 'x1', question: 'q', choices, answerKey: 'E' };
  const first = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const { row } = (await first({})).value!;
  assert.deepEqual('error' in row ? row : [row.id, row.gold], ['x1', 4]);
  await assert.rejects(
    first({ answerKey: '' }),
    /commonsenseqa row 0: answerKey is ""\. It has to be one of: A, B, C, D, E\./,
  );
  await assert.rejects(
    first({ choices: { ...choices, label: ['E', 'D', 'C', 'B', 'A'] } }),
    /commonsenseqa row 0: choices\.label is E, D, C, B, A\. It has to be A, B, C, D, E\./,
  );
  await assert.rejects(
    first({ choices: { label: ['A', 'B'], text: ['a', 'b'] }, answerKey: 'A' }),
    /commonsenseqa row 0: choices\.label is A, B\. It has to be A, B, C, D, E\./,
  );
});
