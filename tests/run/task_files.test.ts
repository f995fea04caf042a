import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadTask, taskNames } from '../../nanoeval/run/task_files.ts';

test('the folder is the registry: every task file is found by its name and exports its task', async () => {
  assert.deepEqual(taskNames(), ['hellaswag', 'mmlu', 'mmmu_pro']);
  for (const name of taskNames()) assert.equal((await loadTask(name)).name, name);
});
