/** The nouns as they are stored: what a run of each verb leaves has the fields that questions.ts names, and no others. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { RunRecord } from '../nanoeval/run/record.ts';
import { runTask } from '../nanoeval/run/run.ts';
import { FORMAT } from '../nanoeval/types.ts';
import { cannedModel, cannedModels } from './canned_model.ts';
import { openSaid, toyConfig, toyRows, toyTask } from './run/toy.ts';
import { temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('questions');
after(folder.remove);
const read = (...path: string[]) => readFileSync(join(folder.path, ...path), 'utf8');

/** The record, the summary and the first row of a run under this strategy. */
async function run(strategy: string) {
  const config = toyConfig({
    dataset: { rows: toyRows(4) },
    scoring: { strategy },
    run: { check_rows: 0 },
    report: { output_dir: join(folder.path, strategy), save_plot: false },
  });
  await runTask(toyTask(), config, cannedModels(cannedModel()), openSaid().log, new AbortController().signal);
  return {
    record: JSON.parse(read(strategy, 'run.json')) as RunRecord,
    summary: JSON.parse(read(strategy, 'summary.json')) as { format: number; fingerprint: string; model: object },
    row: JSON.parse(read(strategy, 'predictions.jsonl').split('\n', 1)[0]!) as object,
  };
}

test('what is stored of a row under each verb, key by key in the order of the file', async () => {
  const head = ['task', 'id', 'index', 'group', 'subject', 'gold'];
  const tail = ['num_context_tokens', 'truncated', 'prompt_sha256'];
  const said = {
    rank_ll: ['prediction', 'correct', 'metrics', 'choices'],
    gen_letter: ['prediction', 'correct', 'metrics', 'output', 'finish_reason', 'num_output_tokens'],
    rolling_ll: ['metrics', 'logprob', 'num_tokens', 'num_greedy', 'num_windows'],
  };
  for (const [strategy, keys] of Object.entries(said))
    assert.deepEqual(Object.keys((await run(strategy)).row), [...head, ...keys, ...tail], strategy);
});

test('the files of a run say in which format they are, and which model answered', async () => {
  const { record, summary } = await run('rank_ll');
  assert.deepEqual([record.format, summary.format], [FORMAT, FORMAT]);
  assert.equal(summary.fingerprint, record.fingerprint);
  assert.deepEqual(Object.keys(record.model), [
    'label',
    'variant',
    'backend',
    'max_length',
    'is_vlm',
    'chat_template_sha256',
    'sha256',
    'source',
  ]);
  assert.deepEqual(summary.model, record.model);
});
