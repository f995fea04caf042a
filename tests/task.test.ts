/** What every registered task has to keep of the contract in task.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recipe, recipeData, resolveRecipe } from '../nanoeval/config/recipe.ts';
import { checkConfig } from '../nanoeval/run/check.ts';
import { loadTask, taskNames } from '../nanoeval/run/task_files.ts';

const tasks = await Promise.all(taskNames().map(loadTask));
const parse = (task: (typeof tasks)[number], sections: object = {}) =>
  task.config.parse({ task: task.name, model: { model_id: 'a/b' }, ...sections });
/** Every recipe of every task under each of its strategies. */
const rules = tasks.flatMap((task) =>
  Object.entries(task.recipes).flatMap(([recipe, { strategies }]) =>
    Object.keys(strategies).map((strategy) => ({ task, recipe, strategy, name: `${task.name} ${recipe} ${strategy}` })),
  ),
);

test('shots never come from the split that is under test by default', () => {
  for (const task of tasks) assert.notEqual(parse(task).dataset.split, task.shots?.split, task.name);
});

test('a task without shots has no recipe that wants some; one with shots can be given them', () => {
  for (const { task, recipe, name } of rules) {
    if (task.shots === undefined) assert.equal((task.recipes[recipe] as Recipe).num_fewshot, 0, name);
  }
});

test('dataset.subjects is a key of those tasks whose rows have subjects, and of no others', () => {
  for (const task of tasks) {
    const group = task.subjects === undefined ? 'stem' : Object.keys(task.subjects.groups)[0]!;
    const result = task.config.safeParse({ task: task.name, model: { model_id: 'a/b' }, dataset: { subjects: group } });
    assert.equal(result.success, task.subjects !== undefined, task.name);
  }
});

test('no subject is in two groups, and none is called like a group', () => {
  for (const { name, subjects } of tasks) {
    const all = Object.values(subjects?.groups ?? {}).flat();
    assert.equal(new Set(all).size, all.length, name);
    for (const group of Object.keys(subjects?.groups ?? {})) assert.ok(!all.includes(group), `${name}: ${group}`);
  }
});

test('every recipe resolves under each of its strategies, and its defaults go together', () => {
  for (const { task, recipe, strategy, name } of rules) {
    const config = parse(task, { scoring: { recipe, strategy } });
    const resolved = checkConfig(task, config);
    assert.equal(resolved.verb, resolved.rule.verb, name);
    assert.ok(resolved.primary !== '', name);
    // Stops and limits are of generated answers alone.
    if (resolved.verb !== 'generate_until')
      assert.deepEqual([resolved.rule.until, resolved.rule.max_new_tokens], [undefined, undefined], name);
  }
});

test('a task scores its rows in the way of its strategy: it has the metric that it is judged by', () => {
  for (const { task, recipe, strategy, name } of rules) {
    const { rule } = resolveRecipe(task, parse(task, { scoring: { recipe, strategy } }));
    if (rule.normalize_by_length) assert.ok(rule.normalized !== undefined, name);
    assert.notEqual(rule.normalized, rule.primary, name);
  }
});

test('a recipe is plain data: its JSON, which is hashed, loses nothing; and somebody is told what it is', () => {
  for (const { task, recipe, name } of rules) {
    const own = task.recipes[recipe] as Recipe;
    assert.deepEqual(JSON.parse(JSON.stringify(recipeData(own))), recipeData(own), name);
    assert.match(own.about, /\S/, name);
  }
});
