/** PIQA against lm-evaluation-harness 0.4.13 (choices_goldens.ts), and the SmolLM2 cards' form. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { task } from '../nanoeval/run_piqa.ts';
import { requestsOf, rowsOf, testCards, testGoldens } from './choices_goldens.ts';
import { ask, askedBy, questionOf } from './requests.ts';

testGoldens(task);
testCards(task);

const requests = async (settings: object) =>
  (await askedBy(task, settings)).map((asked) => requestsOf(questionOf(asked, 'loglikelihood')));

test("the cards' requests are lm-eval's in plain text; in a conversation the blank before a solution stays", async () => {
  const dataset = { path: rowsOf('piqa') };
  const [lm_eval, cloze] = [{ recipe: 'lm_eval' }, { recipe: 'cloze' }];
  assert.deepEqual(await requests({ dataset, scoring: cloze }), await requests({ dataset, scoring: lm_eval }));
  const model = { model_id: 'a/b', chat_template: true };
  const [first] = await requests({ model, dataset, scoring: cloze });
  const context =
    '<|im_start|>user\nQuestion: How do you keep a door open?\nAnswer:<|im_end|>\n<|im_start|>assistant\n';
  assert.deepEqual(first, [
    [context, ' Put a wedge under it.'],
    [context, ' Put a feather under it.'],
  ]);
});

test('rows without a label, as in the test split, and labels beyond the two solutions are refused by number', async () => {
  const good = { goal: 'g', sol1: 'a', sol2: 'b', label: 1 };
  const refused = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  await assert.rejects(refused({ label: -1 }), /piqa row 0: label is -1\. It has to be an index from 0\./);
  await assert.rejects(refused({ label: 2 }), /piqa row 0 \(id 0\): gold 2 is outside its 2 choices\./);
  await assert.rejects(refused({ sol2: null }), /piqa row 0: sol2 is null\. It has to be a text\./);
  await assert.doesNotReject(refused({ label: '0' }));
});
