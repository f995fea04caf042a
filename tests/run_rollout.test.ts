/** Rollouts of prompts of one's own: what is asked, what is read, what is refused, and a run of the demo. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { Prediction, ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_rollout.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('rollout');
after(folder.remove);

const rows = [
  { question: 'What is 2 + 2? {x}', answer: 'sum: 4', more: 1 },
  { question: 'e\u0301 👍🏽 שלום', answer: '' },
];
const columns = { prompt: 'question', target: 'answer' };

test('prompts byte for byte, from columns by name, with words around them; one message under a chat template', async () => {
  const settings = {
    dataset: { rows, columns, template: 'Q: {prompt}\nA:' },
    scoring: { until: ['\n'], max_new_tokens: 7 },
  };
  const asked = await askedBy(task, settings);
  assert.deepEqual(questionOf(asked[0]!, 'generate_until'), {
    verb: 'generate_until',
    prompt: 'Q: What is 2 + 2? {x}\nA:',
    until: ['\n'],
    max_new_tokens: 7,
  });
  assert.equal(questionOf(asked[1]!, 'generate_until').prompt, 'Q: e\u0301 👍🏽 שלום\nA:');
  const model = { model_id: 'a/b', chat_template: true };
  const [chat] = await askedBy(task, { dataset: { rows, columns }, model });
  assert.deepEqual(questionOf(chat!, 'generate_until').prompt, [{ role: 'user', content: 'What is 2 + 2? {x}' }]);
  const [plain] = await askedBy(task, { dataset: { rows: [{ prompt: 'p', target: 't' }] } });
  assert.deepEqual(
    [questionOf(plain!, 'generate_until').prompt, questionOf(plain!, 'generate_until').max_new_tokens],
    ['p', 256],
  );
});

/** The verdict on an answer to the first row, from what is saved of it. */
async function verdictOn(output: string, scoring: object) {
  const config = task.config.parse({ task: 'rollout', model: { model_id: 'a/b' }, scoring });
  const [first] = await askedBy(task, { dataset: { rows, columns }, scoring });
  const row = first!.row as Prediction<{ target: string }>;
  const saved = { ...JSON.parse(JSON.stringify(row)), output };
  const { prediction, correct, metrics } = await task.score(saved, resolveRecipe(task, config));
  assert.deepEqual(metrics, { acc: correct });
  return [prediction, correct];
}

test('the verdict: cleaned as told, held against the target as told; without a mark or a number nothing is read', async () => {
  assert.deepEqual(await verdictOn(' sum: 4\n', {}), ['sum: 4', 1]);
  assert.deepEqual(await verdictOn(' Sum: 4\n', {}), ['Sum: 4', 0]);
  assert.deepEqual(await verdictOn(' Sum: 4\nmore', { ignore_case: true, first_line: true }), ['Sum: 4', 1]);
  assert.deepEqual(await verdictOn('', {}), ['', 0]);
  assert.deepEqual(await verdictOn('so, sum: 4!', { strategy: 'contains' }), ['so, sum: 4!', 1]);
  assert.deepEqual(await verdictOn('1 + 3 is 4.0', { strategy: 'number' }), ['4', 1]);
  assert.deepEqual(await verdictOn('4.2', { strategy: 'number', tolerance: 0.25 }), ['4.2', 1]);
  assert.deepEqual(await verdictOn('four', { strategy: 'number' }), [null, 0]);
  assert.deepEqual(await verdictOn('3 #### 4', { strategy: 'number', answer_after: '####' }), ['4', 1]);
  assert.deepEqual(await verdictOn('4', { strategy: 'number', answer_after: '####' }), [null, 0]);
  assert.deepEqual(await verdictOn('It is [sum: 4].', { answer_regex: '\\[(.*)\\]' }), ['sum: 4', 1]);
  assert.deepEqual(await verdictOn('sum: 4', { strategy: 'regex' }), ['sum: 4', 1]);
});

test('keys that cannot be used are refused at their place, and rows without a text by number', async () => {
  const refused = (scoring: object, dataset: object = {}) =>
    ask(task, { dataset: { rows, columns, ...dataset }, scoring }).next();
  await assert.rejects(refused({ answer_regex: '(' }), {
    key: 'scoring.answer_regex',
    message: /Unterminated group\.$/,
  });
  await assert.rejects(refused({ tolerance: 1 }), {
    key: 'scoring.tolerance',
    message: '1, but exact compares no numbers.',
  });
  await assert.rejects(refused({}, { template: 'Q: {question}' }), {
    key: 'dataset.template',
    message: 'it has {question}. It has to have {prompt} once.',
  });
  await assert.rejects(refused({}, { template: 'Q' }), { message: 'it has no slot. It has to have {prompt} once.' });
  await assert.rejects(refused({}, { columns: { prompt: 'query', target: 'answer' } }), {
    key: 'dataset.rows',
    message: 'no row has the column "query". They have: question, answer, more.',
  });
  const found = await askedBy(task, { dataset: { rows: [rows[0], { question: 'a', answer: 4 }, rows[1]], columns } });
  const errors = found.map(({ row }) => ('error' in row ? row.error.message : ''));
  assert.deepEqual(errors.filter(Boolean), ['rollout row 1: answer is 4. It has to be a text.']);
});

test('a run of the demo on a file of rows: the same verdicts, and samples of an answer', async () => {
  const path = join(folder.path, 'rows.jsonl');
  const own = [
    { prompt: 'The opposite of day is', target: 'night' },
    { prompt: 'The opposite of day is', target: 'noon' },
  ];
  writeFileSync(path, own.map((row) => JSON.stringify(row)).join('\n'));
  const out = join(folder.path, 'run');
  const { code, stdout, stderr } = await runHereWith(
    'run_rollout',
    folder.path,
    `task: rollout
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: ${path} }
scoring: { until: ["."], max_new_tokens: 5, temperature: 0.01, samples_per_prompt: 2 }
run: { check_rows: 0 }
report: { output_dir: ${out}, save_plot: false }
`,
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\| acc +\| 0\.5000 \|/);
  assert.match(stdout, /\| pass_at_2 \| 0\.5000 \|/);
  const found = readFileSync(join(out, 'predictions.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow);
  assert.deepEqual(
    found.map(({ prediction, correct, output }) => [prediction, correct, output]),
    [1, 1, 0, 0].map((correct) => ['night', correct, ' night']),
  );
});
