/** The short form of `npm run test:kill`: a few kills of two small tasks, and of answers that are decoded side by side. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { demoTasks, generationTasks, killTest, reportText } from './kill.ts';

const ROWS = 12;

test('a run that is killed at any moment loses no row, and ends as one that nobody touched', async (t) => {
  const tasks = demoTasks()
    .filter(({ task }) => ['hellaswag', 'mmmu_pro'].includes(String(task)))
    .map((task) => ({
      ...task,
      dataset: { ...(task.dataset as object), subset_size: ROWS },
      run: { overwrite: false, check_rows: 0 },
      // Vega would be the slowest thing of so small a run; the long form draws.
      report: { save_plot: false },
    }));
  const say = (line: string) => t.diagnostic(line);
  // As many as fit into the time of `npm test`; `npm run test:kill` is the long form.
  const [kills, writes] = process.env.NANOEVAL_TEST_ALL === '1' ? [10, 3] : [4, 2];
  const report = await killTest({ kills, writes, batches: 0, seed: 1, again: 0.1, warmUp: false, tasks, say });
  const text = reportText(report);
  assert.deepEqual(report.violations, [], text);
  const first = report.kills.filter(({ again }) => again === 0);
  assert.equal(first.length, kills + writes, text);
  assert.equal(first.filter(({ write }) => write !== null).length, writes, text);
  assert.ok(report.kills.some(({ torn }) => torn > 0) && report.kills.some(({ half }) => half.length > 0), text);
  // One kill in each tenth, give or take what the machine was doing meanwhile.
  const tenths = new Set(first.filter(({ place }) => place !== null).map(({ place }) => Math.floor(place! * 10)));
  assert.ok(tenths.size >= kills / 2, text);
});

test('a run that is killed while a batch of answers decodes loses none, and ends as one that nobody touched', async (t) => {
  const tasks = generationTasks().map((task) => ({ ...task, run: { check_rows: 0 }, report: { save_plot: false } }));
  const say = (line: string) => t.diagnostic(line);
  const [batches, writes] = process.env.NANOEVAL_TEST_ALL === '1' ? [10, 2] : [2, 1];
  const report = await killTest({ kills: 0, writes, batches, seed: 2, again: 0.2, warmUp: false, tasks, say });
  const text = reportText(report);
  assert.deepEqual(report.violations, [], text);
  const aimed = report.kills.flatMap(({ again, batch }) => (again === 0 && batch !== null ? [batch] : []));
  assert.equal(aimed.length, batches, text);
  // A busy machine may let a kill come late; not each of them.
  const within = aimed.filter(({ rows, of }) => rows > 0 && rows < of);
  assert.ok(within.length * 2 >= batches, text);
});
