import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadTask, taskNames } from '../../nanoeval/run/task_files.ts';
import { ROOT } from '../spawn.ts';

test('the folder is the registry: every task file is found by its name and exports its task', async () => {
  const files = readdirSync(join(ROOT, 'nanoeval')).filter((name) => name.startsWith('run_'));
  assert.deepEqual(
    taskNames().map((name) => `run_${name}.ts`),
    files.sort(),
  );
  for (const name of ['hellaswag', 'mmlu', 'mmmu_pro']) assert.ok(taskNames().includes(name), name);
  for (const name of taskNames()) assert.equal((await loadTask(name)).name, name);
});
