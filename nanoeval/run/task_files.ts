/** The benchmarks that there are: every `run_<name>.ts` of this folder. The folder is the registry. */
import { readdirSync } from 'node:fs';
import type { Task } from '../task.ts';

/** Names of the tasks, in the order of the alphabet. */
export function taskNames(): string[] {
  const names = readdirSync(new URL('..', import.meta.url)).map((file) => /^run_(\w+)\.ts$/.exec(file)?.[1]);
  return names.filter((name) => name !== undefined).sort();
}

/** The task that `run_<name>.ts` exports. */
export async function loadTask(name: string): Promise<Task> {
  const { task }: { task?: Task } = await import(new URL(`../run_${name}.ts`, import.meta.url).href);
  if (task?.name !== name) {
    const found = task === undefined ? 'exports no task' : `exports a task called "${task.name}"`;
    throw new Error(
      `nanoeval/run_${name}.ts ${found}. It has to be: export const task: Task = { name: '${name}', ... }.`,
    );
  }
  return task;
}
