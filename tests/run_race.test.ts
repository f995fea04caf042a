/** RACE against lm-evaluation-harness 0.4.13 (choices_goldens.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { task } from '../nanoeval/run_race.ts';
import { requestsOf, testGoldens } from './choices_goldens.ts';
import { ask, questionOf } from './requests.ts';

testGoldens(task);

const problem = { question: 'Q?', answer: 'B', options: ['a', 'b', 'c', 'd'] };
const first = (problems: unknown, settings: object = {}) =>
  ask(task, { dataset: { rows: [{ article: 'T', problems }] }, ...settings }).next();

test('problems may be a list already; only the exact gap at the end of a shown problem is filled', async () => {
  const shown = ['The end is  _  .', 'The end is _ .', '  _  . is it', '  _  .'];
  const { value } = await first([...shown.map((question) => ({ ...problem, question })), problem]);
  const [[context]] = requestsOf(questionOf(value!, 'loglikelihood')) as [[string, string]];
  assert.equal(
    context,
    'Article: T\n\nThe end is b\nQuestion: The end is _ .\nAnswer: b\nQuestion:   _  . is it\nAnswer: b\n b\nQ?',
  );
});

test('what is no list of problems is refused by number, and shots, for there are none', async () => {
  await assert.rejects(
    first("[{'question': 'Q?'"),
    /race row 0: problems is .+ a Python literal \(Python literal, character/,
  );
  await assert.rejects(first('[]'), /race row 0: problems: the list is empty\./);
  await assert.rejects(
    first([{ ...problem, answer: 'E' }]),
    /race row 0: problems\[0\]\.answer: "E" is not one of: A, B, C, D\./,
  );
  await assert.rejects(
    first([{ ...problem, options: ['a', 'b', 'c'] }]),
    /race row 0: problems\[0\]\.options: it has to be a list of 4 texts\./,
  );
  await assert.rejects(
    first([problem, { ...problem, question: null }]),
    /race row 0: problems\[1\]\.question: missing\. It has to be a text\./,
  );
  await assert.rejects(first([problem], { scoring: { num_fewshot: 1 } }), /1, but race has no worked examples\./);
});
