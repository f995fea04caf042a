/** A prediction and its verdict as one row of the file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveRecipe } from '../../nanoeval/config/recipe.ts';
import type { FailedRow, Prediction, Verdict } from '../../nanoeval/questions.ts';
import { loadTask } from '../../nanoeval/run/task_files.ts';
import { scoredRow, verdictOn, withoutThoughts } from '../../nanoeval/run/verdict.ts';
import { RowError } from '../../nanoeval/types.ts';
import { predicted, rankedChoices, toyConfig, toyRecipe } from './toy.ts';

const recipe = toyRecipe(toyConfig());
const row = (prediction: Prediction, verdict: Verdict | Promise<Verdict>) =>
  scoredRow({ score: () => verdict }, prediction, recipe);

test('keys stand in the order of the file format, whatever the task puts into its verdict', async () => {
  const prediction = predicted(3, { choices: rankedChoices(-1), subject: 'a', seed: 1, sample: 2, tags: ['t'] });
  const given: Verdict = {
    metrics: { acc: 1 },
    parts: [{ name: 'x', metrics: { s: 0 } }],
    correct: 1,
    prediction: 'B',
  };
  const scored = await row(prediction, given);
  assert.deepEqual(scored, { ...prediction, ...given });
  assert.deepEqual(Object.keys(scored).slice(0, 8), [
    'task',
    'id',
    'index',
    'seed',
    'sample',
    'group',
    'subject',
    'gold',
  ]);
  const keys = Object.keys(scored);
  // The verdict stands in front of what the model said.
  for (const name of Object.keys(given)) assert.ok(keys.indexOf(name) < keys.indexOf('choices'), name);
  const bare = await row({ ...predicted(0), group: undefined as never }, { metrics: { acc: 0 } });
  assert.deepEqual(Object.keys(bare).slice(0, 5), ['task', 'id', 'index', 'gold', 'metrics']);
});

test('each kind of verdict is stored as it is: a text, null, nothing to read, no right or wrong', async () => {
  const kinds: Verdict[] = [
    { prediction: 'Paris', correct: 1, metrics: { exact_match: 1 } },
    { prediction: '', correct: 0, metrics: { exact_match: 0 } },
    { prediction: null, correct: 0, metrics: { exact_match: 0 } },
    { prediction: 2, correct: 0, metrics: { acc: 0 } },
    { metrics: { rouge: 0.25, bleu: 11.5 } },
  ];
  for (const verdict of kinds) {
    const stored = JSON.parse(JSON.stringify(await row(predicted(1), verdict)));
    for (const key of ['prediction', 'correct', 'metrics'] as const) assert.deepEqual(stored[key], verdict[key]);
    assert.equal('prediction' in stored, 'prediction' in verdict);
    assert.equal('correct' in stored, 'correct' in verdict);
  }
});

test('a verdict that comes late is waited for', async () => {
  const late = new Promise<Verdict>((resolve) => setTimeout(() => resolve({ metrics: { acc: 1 } }), 5));
  assert.deepEqual((await row(predicted(0), late)) as unknown, { ...predicted(0), metrics: { acc: 1 } });
});

test('a row that cannot be scored is a failed one, thrown at once or later; a bug stays a bug', async () => {
  const prediction = predicted(3, { seed: 1, sample: 0 });
  const failed = { task: 'toy', id: 'id3', index: 3, seed: 1, sample: 0, error: { kind: 'length', message: 'none' } };
  const fault = new RowError('length', 'none');
  const throwing = (error: Error) => ({
    score: () => {
      throw error;
    },
  });
  assert.deepEqual(await scoredRow(throwing(fault), prediction, recipe), failed);
  assert.deepEqual(await row(prediction, Promise.reject(fault)), failed);
  await assert.rejects(scoredRow(throwing(new TypeError('oh')), prediction, recipe), TypeError);
  await assert.rejects(row(prediction, Promise.reject(new TypeError('oh'))), TypeError);
});

test('a failed row is passed on without being scored, and the score sees prediction, recipe and config', async () => {
  const failed: FailedRow = { task: 'toy', id: '1', index: 1, error: { kind: 'nan', message: '' } };
  const never = () => assert.fail('it is not scored');
  assert.equal(await scoredRow({ score: never }, failed, recipe), failed);
  const seen: unknown[] = [];
  const score = (...given: unknown[]): Verdict => {
    seen.push(...given);
    return { metrics: { acc: 1 } };
  };
  const prediction = predicted(2);
  const config = toyConfig();
  await scoredRow({ score }, prediction, recipe, config);
  assert.deepEqual(seen, [prediction, recipe, config]);
});

test('a task sees what was said behind the thoughts, and the row keeps all of it', async () => {
  const seen: (string | undefined)[] = [];
  const score = ({ output }: Prediction): Verdict => {
    seen.push(output);
    return { metrics: { acc: 1 } };
  };
  const outputs = ['<think>a</think>\nb', '<think>a', 'b'];
  for (const output of outputs)
    assert.equal(((await scoredRow({ score }, predicted(0, { output }), recipe)) as Prediction).output, output);
  const opened = predicted(0, { output: 'a', think_opened: true });
  assert.deepEqual(await scoredRow({ score }, opened, recipe), { ...opened, metrics: { acc: 1 } });
  await scoredRow({ score }, predicted(0, { choices: rankedChoices(-1) }), recipe);
  assert.deepEqual(seen, ['b', '', 'b', '', undefined]);
  const ranked = predicted(0, { choices: rankedChoices(-1) });
  assert.equal(withoutThoughts(ranked), ranked);
});

/** Of every task that judges an answer itself: an answer that is right, and thoughts that would be read otherwise. */
const ANSWERS: Record<
  string,
  { gold: unknown; answer: string; thoughts: string; options?: string[]; strategy?: string }
> = {
  gsm8k: { gold: '18', answer: '#### 18', thoughts: '#### 17, or' },
  mmlu: { gold: 1, answer: 'B', thoughts: 'A', options: ['a', 'b', 'c', 'd'], strategy: 'gen_letter' },
  mmmu_pro: { gold: 1, answer: 'B.', thoughts: '(A)', options: ['one', 'two', 'three'] },
  ifeval: { gold: { instruction_id_list: ['punctuation:no_comma'], kwargs: [{}] }, answer: 'So', thoughts: 'a, b' },
  rollout: { gold: { target: 'Paris' }, answer: 'Paris', thoughts: 'Lyon?' },
  golden: {
    gold: { match: 'all', checks: [{ kind: 'not_contains', text: 'Lyon' }] },
    answer: 'Paris',
    thoughts: 'Lyon?',
  },
};

test('thoughts move the verdict of no task', async () => {
  for (const [name, { gold, answer, thoughts, options, strategy }] of Object.entries(ANSWERS)) {
    const task = await loadTask(name);
    const scoring = strategy === undefined ? {} : { scoring: { strategy } };
    const config = task.config.parse({ task: name, model: { model_id: 'a/b' }, ...scoring });
    const own = resolveRecipe(task, config);
    const said = (output: string) => predicted(0, { task: name, gold, output, ...(options && { options }) });
    const verdict = (output: string) => verdictOn(task, said(output), own, config);
    const right = await verdict(answer);
    assert.equal(right.correct, 1, name);
    assert.deepEqual(await verdict(`<think>\n${thoughts}\n</think>\n\n${answer}`), right, name);
    assert.equal((await task.score(said(`${thoughts} ${answer}`), own, config)).correct, 0, name);
  }
});
