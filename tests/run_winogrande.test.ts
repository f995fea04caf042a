/** WinoGrande against lm-evaluation-harness 0.4.13 (choices_goldens.ts), and the SmolLM2 cards' form. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_winogrande.ts';
import { requestsOf, rowsOf, testCards, testGoldens } from './choices_goldens.ts';
import { ask, askedBy, questionOf } from './requests.ts';

testGoldens(task);
testCards(task);

const requests = async (settings: object) =>
  (await askedBy(task, settings)).map((asked) => requestsOf(questionOf(asked, 'loglikelihood')));
const cards = { dataset: { path: rowsOf('winogrande') }, scoring: { recipe: 'cloze' } };

test("the cards' form: option and rest after the beginning, whose blank stays", async () => {
  const asked = await requests(cards);
  const beginning = 'Anna lent Petra her umbrella because ';
  assert.deepEqual(asked[0], [
    [beginning, 'Anna had forgotten hers.'],
    [beginning, 'Petra had forgotten hers.'],
  ]);
  assert.deepEqual(asked[3], [
    ['', 'Lena was late, so Lena waited for Mira at the gate.'],
    ['', 'Mira was late, so Lena waited for Mira at the gate.'],
  ]);
  assert.deepEqual(asked[12]![0], ['The bag of Mia is heavier than that of Lea, so ', 'Mia  carries more bricks.']);
  const rows = await askedBy(task, cards);
  const [first] = rows.map(({ row }) => row as ScoredRow<number>);
  assert.deepEqual(
    first!.choices!.map(({ num_chars }) => num_chars),
    ['Anna had forgotten hers.'.length, 'Petra had forgotten hers.'.length],
  );
});

test("the cards' form with shots: whole sentences in plain text, cut before the option in a conversation", async () => {
  const scoring = { recipe: 'cloze', num_fewshot: 1 };
  const [[plain]] = (await requests({ ...cards, scoring })) as [[[string, string]]];
  assert.match(plain[0], /^.+\.\n\nAnna lent Petra her umbrella because $/);
  assert.ok(plain[0].startsWith('Ben sold Max the bike since Max wanted to ride.\n\n'), plain[0]);
  const model = { model_id: 'a/b', chat_template: true };
  const [[chat]] = (await requests({ ...cards, scoring, model })) as [[[string, string]]];
  assert.equal(
    chat[0],
    '<|im_start|>user\nBen sold Max the bike since <|im_end|>\n<|im_start|>assistant\nMax wanted to ride.<|im_end|>\n' +
      '<|im_start|>user\nAnna lent Petra her umbrella because <|im_end|>\n<|im_start|>assistant\n',
  );
  assert.equal(chat[1], 'Anna had forgotten hers.');
});

test('the first gap is filled; a sentence without one and a row without an answer are refused by number', async () => {
  const good = { sentence: 'a _ b _ c', option1: 'x', option2: 'y', answer: '2' };
  const first = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const { value } = await first({});
  assert.deepEqual(requestsOf(questionOf(value!, 'loglikelihood')), [
    ['a x', ' b _ c'],
    ['a y', ' b _ c'],
  ]);
  await assert.rejects(first({ sentence: 'a b' }), /winogrande row 0: sentence has no "_"\. It has to have one\./);
  await assert.rejects(first({ answer: '' }), /winogrande row 0: answer is ""\. It has to be one of: 1, 2\./);
  await assert.rejects(first({ answer: '0' }), /winogrande row 0: answer is "0"\. It has to be one of: 1, 2\./);
  await assert.rejects(first({ option2: 2 }), /winogrande row 0: option2 is 2\. It has to be a text\./);
});
