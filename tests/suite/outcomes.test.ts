/** What came of a suite's tasks: faults, and the files that say so. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { RunResult } from '../../nanoeval/run/outcome.ts';
import { loadTask } from '../../nanoeval/run/task_files.ts';
import type { Entry } from '../../nanoeval/suite/entries.ts';
import { labelOf } from '../../nanoeval/suite/entries.ts';
import type { Outcome } from '../../nanoeval/suite/lines.ts';
import { allDo, exportSuite, faultsOf, writeSuite } from '../../nanoeval/suite/outcomes.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('outcomes');
after(folder.remove);
const task = await loadTask('hellaswag');

function entry(name: string, model: string | null = null): Entry {
  const config = task.config.parse({ task: 'hellaswag', model: { model_id: 'a/b' } });
  return { name, model, task, config, reference: undefined, paths: () => [] };
}

function result(faults: string[] = [], shortfall: string | null = null): RunResult {
  const estimate = { value: 0.5, stderr: 0.1, ci95: null, n: 10 };
  const primary = { name: 'acc_norm', unit: 'share', better: 'higher', chance: 0.25 } as const;
  const scores = { primary, metrics: { acc_norm: estimate }, groups: {}, subjects: {}, subject_groups: {} };
  const summary = {
    ...scores,
    task: 'hellaswag',
    faults,
    status: faults.length > 0 ? 'invalid' : 'complete',
    health: { rows: 10, questions: 10, failed: 0, unparsed: 0, truncated: 0, empty: 0 },
    timing: { finished: '2026-03-05T10:00:00.000Z' },
    selection: { sample: null, shard: null },
    scoring: { samples_per_prompt: 1 },
    model: { label: 'a/b', variant: 'fp32', backend: 'onnx', sha256: 'x', source: { commit: 'c', files: [] } },
    host: {},
  } as unknown as RunResult['summary'];
  return { task: 'hellaswag', recipe: 'lm_eval', scores, summary, shortfall, files: [] };
}

const OUTCOMES: Outcome[] = [
  { entry: entry('good'), result: result(), error: null },
  { entry: entry('bad'), result: result(['9 of 10 rows failed']), error: null },
  { entry: entry('gone'), result: null, error: { code: 3, text: 'no network' } },
];

test('faults are those of invalid tasks and of failed ones', () => {
  assert.deepEqual(faultsOf(OUTCOMES), ['bad: 9 of 10 rows failed', 'gone: no network']);
  assert.deepEqual(faultsOf(OUTCOMES.slice(0, 1)), []);
  assert.equal(labelOf(entry('mmlu', 'small')), 'small/mmlu');
});

test('the summary has every task with its status, the table a line for each', async () => {
  const entries = OUTCOMES.map(({ entry: one }) => one);
  const { files, table, notes } = await writeSuite(folder.path, 'made', entries, OUTCOMES);
  assert.deepEqual(
    files,
    ['suite_summary.json', 'suite.md', '2026-03-05_a_b_good.json'].map((name) => join(folder.path, name)),
  );
  assert.deepEqual(notes, [
    'the result file leaves out bad: invalid: 9 of 10 rows failed',
    'the result file leaves out gone: no network',
  ]);
  const { benchmarks } = JSON.parse(readFileSync(files[2]!, 'utf8')) as { benchmarks: object };
  assert.deepEqual(benchmarks, {
    good: { benchmark: 'hellaswag', questions: 10, n_samples: 1, overall_score: 0.5 },
  });
  // A suite that was stopped has none.
  const stopped = await writeSuite(join(folder.path, 'stopped'), 'made', entries, OUTCOMES.slice(0, 1));
  assert.equal(stopped.files.length, 2);
  const { suite, tasks } = JSON.parse(readFileSync(files[0]!, 'utf8')) as {
    suite: string;
    tasks: { name: string; status: string; error: string | null }[];
  };
  assert.equal(suite, 'made');
  assert.deepEqual(
    tasks.map(({ name, status, error }) => [name, status, error]),
    [
      ['good', 'complete', null],
      ['bad', 'invalid', null],
      ['gone', 'failed', 'no network'],
    ],
  );
  assert.match(table, /\| good +\| lm_eval \| +10 \| acc_norm \| +0\.5000 \|/);
  assert.match(table, /failed: no network/);
});

test('a task that misses what is required of it is complete and no fault, and does not do', async () => {
  const short: Outcome = { entry: entry('short'), result: result([], 'acc_norm is 0.5'), error: null };
  assert.deepEqual(
    [allDo(OUTCOMES.slice(0, 1)), allDo([...OUTCOMES.slice(0, 1), short]), allDo(OUTCOMES)],
    [true, false, false],
  );
  assert.deepEqual(faultsOf([short]), []);
  const { table, files } = await writeSuite(folder.path, 'short', [short.entry], [short]);
  assert.match(table, /\| short \(failed\) \| lm_eval \| +10 \|/);
  const { tasks } = JSON.parse(readFileSync(files[0]!, 'utf8')) as { tasks: { status: string }[] };
  assert.equal(tasks[0]!.status, 'complete');
});

test('exports over all tasks: a folder for each checkpoint where there are several, none unless asked for', async () => {
  const root = join(folder.path, 'exports');
  assert.deepEqual(await exportSuite(root, 'made', [], OUTCOMES), { files: [], notes: [] });
  const gone = { code: 3, text: 'no network' };
  const both = ['small', 'large'].map((model): Outcome => ({ entry: entry('mmlu', model), result: null, error: gone }));
  const { files, notes } = await exportSuite(root, 'made', ['junit', 'lm_eval'], both);
  assert.deepEqual(
    files,
    ['small', 'large'].map((model) => join(root, model, 'junit.xml')),
  );
  assert.deepEqual(notes, ['small: lm_eval leaves out mmlu: no network', 'large: lm_eval leaves out mmlu: no network']);
  assert.match(readFileSync(files[1]!, 'utf8'), /<error message="failed: no network"/);
  const alone = await exportSuite(root, 'made', ['junit'], OUTCOMES.slice(2));
  assert.deepEqual(alone.files, [join(root, 'junit.xml')]);
});
