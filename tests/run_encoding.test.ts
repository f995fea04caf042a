/** The share of a text that a model would have said: what is asked, what is refused, and runs of the demo in both ways. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_encoding.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('encoding');
after(folder.remove);

test('a text is asked as it is, in windows', async () => {
  const rows = [{ body: ' e\u0301 👍🏽 שלום\n' }];
  const scoring = { window: 64, stride: 16 };
  const [asked] = await askedBy(task, { dataset: { rows, columns: { text: 'body' } }, scoring });
  const want = { verb: 'loglikelihood_rolling', text: ' e\u0301 👍🏽 שלום\n', window: 64, stride: 16 };
  assert.deepEqual(questionOf(asked!, 'loglikelihood_rolling'), want);
});

test('a target is asked behind its prompt, and its tokens are counted', async () => {
  const settings = { dataset: { rows: [{ prompt: 'p', target: 't' }] }, scoring: { strategy: 'target' } };
  const [asked] = await askedBy(task, settings);
  assert.deepEqual(questionOf(asked!, 'loglikelihood'), {
    verb: 'loglikelihood',
    prompt: 'p',
    choices: [{ continuation: ' t', text: ' t' }],
    count_greedy: true,
  });
  const [chat] = await askedBy(task, { ...settings, model: { model_id: 'a/b', chat_template: true } });
  const { prompt, choices } = questionOf(chat!, 'loglikelihood');
  assert.deepEqual([prompt, choices[0]!.continuation], [[{ role: 'user', content: 'p' }], 't']);
});

test('rows without a token to score, and windows where there are none, are refused', async () => {
  const refused = (rows: object[], scoring: object = {}) => ask(task, { dataset: { rows }, scoring }).next();
  await assert.rejects(refused([{ text: '' }]), {
    message: 'encoding row 0: text is empty. It has no token to score.',
  });
  await assert.rejects(refused([{ text: 3 }]), { message: 'encoding row 0: text is 3. It has to be a text.' });
  const target = { strategy: 'target' };
  await assert.rejects(refused([{ prompt: 'p', target: '' }], target), {
    message: /^encoding row 0: target is empty\./,
  });
  await assert.rejects(refused([{ prompt: 'p', target: 't' }], { ...target, stride: 2 }), { key: 'scoring.stride' });
  await assert.rejects(refused([{ text: 'a' }], { window: 4, stride: 5 }), { key: 'scoring.stride' });
});

async function run(
  name: string,
  rest: string,
): Promise<{ rows: ScoredRow[]; summary: { metrics: { token_acc: { value: number; n: number } }; pooled: string[] } }> {
  const out = join(folder.path, name);
  const { code, stderr } = await runHereWith(
    'run_encoding',
    folder.path,
    `task: encoding
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
run: { check_rows: 1 }
report: { output_dir: ${out}, save_plot: false }
${rest}`,
  );
  assert.equal(code, 0, stderr);
  const read = (file: string) => readFileSync(join(out, file), 'utf8');
  const rows = read('predictions.jsonl')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow);
  return { rows, summary: JSON.parse(read('summary.json')) };
}

test('the share is over the tokens of all rows together, for texts and for targets alike', async () => {
  const texts = await run('texts', 'dataset: { rows: [{ text: The opposite of day is night. }, { text: Xq zu. }] }\n');
  const tokens = texts.rows.map(({ num_tokens, num_greedy }) => [num_tokens!, num_greedy!]) as [number, number][];
  const pooled = (counts: [number, number][]) =>
    counts.reduce((sum, [, greedy]) => sum + greedy, 0) / counts.reduce((sum, [all]) => sum + all, 0);
  assert.equal(texts.summary.metrics.token_acc.value, pooled(tokens));
  assert.deepEqual(texts.summary.pooled, ['token_acc']);
  for (const [i, row] of texts.rows.entries())
    assert.deepEqual(row.metrics, { token_acc: tokens[i]![1] / tokens[i]![0] });

  const targets = await run(
    'targets',
    `dataset:
  rows: [{ prompt: The opposite of day is, target: night. }, { prompt: The opposite of day is, target: noon at last }]
scoring: { strategy: target }
`,
  );
  const counts = targets.rows.map(({ choices }) => [choices![0]!.num_tokens, choices![0]!.num_greedy!]) as [
    number,
    number,
  ][];
  // The demo says " night." after these words: every token of the first target, not every one of the second.
  assert.deepEqual(
    targets.rows.map(({ choices }) => choices![0]!.is_greedy),
    [true, false],
  );
  assert.equal(counts[0]![0], counts[0]![1]);
  assert.ok(counts[1]![1] < counts[1]![0]);
  assert.equal(targets.summary.metrics.token_acc.value, pooled(counts));
});
