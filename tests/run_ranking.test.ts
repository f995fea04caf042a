/** Continuations of one's own, ranked: what is asked, what is refused, and a run of the demo. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_ranking.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('ranking');
after(folder.remove);

const row = { start: 'e\u0301 👍🏽', options: ['a', ' שלום'], right: '1' };
const columns = { prefix: 'start', continuations: 'options', label: 'right' };

test('prefix and continuations byte for byte, from columns by name; a blank between them in plain text alone', async () => {
  const [plain] = await askedBy(task, { dataset: { rows: [row], columns } });
  const { prompt, choices } = questionOf(plain!, 'loglikelihood');
  assert.equal(prompt, 'e\u0301 👍🏽');
  assert.deepEqual(choices, [
    { text: 'a', continuation: ' a' },
    { text: ' שלום', continuation: '  שלום' },
  ]);
  assert.ok(!('error' in plain!.row) && plain!.row.gold === 1);
  const model = { model_id: 'a/b', chat_template: true };
  const [chat] = await askedBy(task, { dataset: { rows: [row], columns }, model });
  const asked = questionOf(chat!, 'loglikelihood');
  assert.deepEqual(asked.prompt, [{ role: 'user', content: 'e\u0301 👍🏽' }]);
  assert.equal(asked.choices[0]!.continuation, 'a');
  const [own] = await askedBy(task, { dataset: { rows: [row], columns, delimiter: '\n' } });
  assert.equal(questionOf(own!, 'loglikelihood').choices[0]!.continuation, '\na');
});

const BAD: [row: object, message: string][] = [
  [{ continuations: ['a'] }, 'continuations has 1. It has to be two texts at least.'],
  [{ continuations: ['a', ''] }, 'continuations has an empty text. Each has to have a character at least.'],
  [{ continuations: 'a' }, 'continuations is "a". It has to be a list of texts.'],
  [{ label: 2 }, 'label is 2. It has to be an index from 0 to 1.'],
  [{ label: -1 }, 'label is -1. It has to be an index from 0.'],
  [{ label: 'B' }, 'label is "B". It has to be an index from 0: 0 in place of A, 1 in place of B.'],
  [{ prefix: null }, 'prefix is null. It has to be a text.'],
];
test('a row that is none is refused by number: the first ends the run, a later one fails', async () => {
  const good = { prefix: 'p', continuations: ['a', 'b'], label: 0 };
  for (const [change, message] of BAD) {
    const bad = { ...good, ...change };
    await assert.rejects(ask(task, { dataset: { rows: [bad, good] } }).next(), {
      message: `ranking row 0: ${message}`,
    });
    const found = await askedBy(task, { dataset: { rows: [good, bad] } });
    const errors = found.flatMap((one) => ('error' in one.row ? [one.row.error.message] : []));
    assert.deepEqual(errors, [`ranking row 1: ${message}`]);
  }
});

test('a run of the demo: all four metrics, and chance over rows of two and four continuations', async () => {
  const out = join(folder.path, 'run');
  const { code, stdout, stderr } = await runHereWith(
    'run_ranking',
    folder.path,
    `task: ranking
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset:
  rows:
    - { prefix: The opposite of day is, continuations: [night., dry.], label: 0 }
    - { prefix: The opposite of day is, continuations: [night., dry., thin., sour.], label: 1 }
scoring: { normalize_by_length: true }
run: { check_rows: 0 }
report: { output_dir: ${out}, save_plot: false }
`,
  );
  assert.equal(code, 0, stderr);
  for (const metric of ['acc_norm', 'acc', 'acc_bytes', 'acc_token'])
    assert.match(stdout, new RegExp(`\\| ${metric} +\\| 0\\.5000`));
  const { primary } = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'));
  assert.deepEqual([primary.name, primary.chance], ['acc_norm', 0.375]);
  const rows = readFileSync(join(out, 'predictions.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow);
  assert.deepEqual(
    rows.map(({ prediction, correct }) => [prediction, correct]),
    [
      [0, 1],
      [0, 0],
    ],
  );
  // What this task does not ask for is not stored.
  assert.deepEqual(Object.keys(rows[0]!.choices![0]!), [
    'logprob',
    'num_tokens',
    'num_chars',
    'num_bytes',
    'is_greedy',
  ]);
});
