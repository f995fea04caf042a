/** OpenBookQA against lm-evaluation-harness 0.4.13 (choices_goldens.ts), and the SmolLM2 cards' form. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { task } from '../nanoeval/run_openbookqa.ts';
import { requestsOf, rowsOf, testCards, testGoldens } from './choices_goldens.ts';
import { ask, askedBy, questionOf } from './requests.ts';

testGoldens(task);
testCards(task);

const requests = async (settings: object) =>
  (await askedBy(task, settings)).map((asked) => requestsOf(questionOf(asked, 'loglikelihood')));

test("the cards' requests are lm-eval's in plain text; in a conversation the blank before an option stays", async () => {
  const dataset = { path: rowsOf('openbookqa') };
  const [lm_eval, cloze] = [{ recipe: 'lm_eval' }, { recipe: 'cloze' }];
  assert.deepEqual(await requests({ dataset, scoring: cloze }), await requests({ dataset, scoring: lm_eval }));
  const model = { model_id: 'a/b', chat_template: true };
  const [first] = await requests({ model, dataset, scoring: cloze });
  const context = '<|im_start|>user\nA plant turns its leaves toward<|im_end|>\n<|im_start|>assistant\n';
  assert.deepEqual(
    first,
    [' the light', ' the noise', ' the wind', ' the moon'].map((option) => [context, option]),
  );
});

test('a row has its own id; a key that is no label and a missing column are refused by number', async () => {
  const good = { id: '8-376', question_stem: 's', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'B' };
  const first = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const { row } = (await first({})).value!;
  assert.deepEqual('error' in row ? row : [row.id, row.gold], ['8-376', 1]);
  await assert.rejects(first({ answerKey: 'C' }), /openbookqa row 0: answerKey is "C"\. It has to be one of: A, B\./);
  await assert.rejects(first({ question_stem: null }), /openbookqa row 0: question_stem is null\. It has to be a text/);
});
