/** BoolQ against lm-evaluation-harness 0.4.13 (choices_goldens.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { task } from '../nanoeval/run_boolq.ts';
import { requestsOf, testGoldens } from './choices_goldens.ts';
import { ask, questionOf } from './requests.ts';

testGoldens(task);

test('"no" is label 0 and "yes" label 1; rows without a label, as in the test split, are refused by number', async () => {
  const good = { passage: 'p', question: 'is {passage} a slot', label: 1 };
  const first = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const { value } = await first({});
  const context = 'p\nQuestion: is {passage} a slot?\nAnswer:';
  assert.deepEqual(requestsOf(questionOf(value!, 'loglikelihood')), [
    [context, ' no'],
    [context, ' yes'],
  ]);
  assert.deepEqual('error' in value!.row ? value!.row : value!.row.gold, 1);
  await assert.rejects(first({ label: -1 }), /boolq row 0: label is -1\. It has to be an index from 0\./);
  await assert.rejects(first({ label: true }), /boolq row 0: label is true\. It has to be an index from 0\./);
  await assert.rejects(first({ label: 2 }), /boolq row 0 \(id 0\): gold 2 is outside its 2 choices\./);
  await assert.rejects(first({ passage: null }), /boolq row 0: passage is null\. It has to be a text\./);
});
