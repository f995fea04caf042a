/** SciQ against lm-evaluation-harness 0.4.13 (choices_goldens.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { task } from '../nanoeval/run_sciq.ts';
import { requestsOf, testGoldens } from './choices_goldens.ts';
import { ask, questionOf } from './requests.ts';

testGoldens(task);

test('the distractors by their numbers, the right option last; a column that is missing is refused by number', async () => {
  const good = {
    distractor3: 'c',
    distractor1: 'a',
    correct_answer: 'd',
    distractor2: 'b',
    question: 'q',
    support: ' \n',
  };
  const first = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const { value } = await first({});
  assert.deepEqual(
    requestsOf(questionOf(value!, 'loglikelihood')),
    [' a', ' b', ' c', ' d'].map((option) => ['\nQuestion: q\nAnswer:', option]),
  );
  assert.deepEqual('error' in value!.row ? value!.row : value!.row.gold, 3);
  await assert.rejects(first({ distractor2: null }), /sciq row 0: distractor2 is null\. It has to be a text\./);
  await assert.rejects(first({ support: null }), /sciq row 0: support is null\. It has to be a text\./);
});
