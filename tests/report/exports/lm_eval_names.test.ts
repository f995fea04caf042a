/** The harness's names: for whom they are, and that the table names what there is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ExportedSummary } from '../../../nanoeval/report/exports/exported.ts';
import { hubTaskId, isHigherBetter, namesOf } from '../../../nanoeval/report/exports/lm_eval_names.ts';
import { loadTask, taskNames } from '../../../nanoeval/run/task_files.ts';
import { madeRun } from './made_up.ts';

const table = JSON.parse(
  readFileSync(new URL('../../../nanoeval/report/exports/lm_eval_tasks.json', import.meta.url), 'utf8'),
) as { tasks: Record<string, { recipe: string; strategy: string; dataset: string; task: string }[]> };

/** A run of a benchmark under a recipe, on rows of a repository and config. */
function runOf(task: string, recipe: string, strategy: string, rows: string, name = task) {
  const [dataset_id, ...config] = rows.split(' ') as [string, ...string[]];
  const { summary } = madeRun();
  const over: Partial<ExportedSummary> = {
    task,
    recipe: { ...summary.recipe, name: recipe, strategy },
    dataset: { ...summary.dataset, dataset_id, subset_name: config.join(' ') },
  };
  return madeRun({ name, summary: over });
}

test('the table names benchmarks, recipes, strategies and data sets that there are', async () => {
  const known = taskNames();
  for (const [name, all] of Object.entries(table.tasks)) {
    const datasets: string[] = [];
    assert.equal(known.includes(name), true, name);
    const task = await loadTask(name);
    for (const { recipe, strategy, dataset } of all) {
      datasets.push(dataset);
      assert.notEqual(task.recipes[recipe]?.strategies[strategy], undefined, `${name}: ${recipe}, ${strategy}`);
      // The prose of the recipe says whose words they are.
      assert.match(task.recipes[recipe]!.about, /lm-evaluation-harness/, `${name}: ${recipe}`);
    }
    const { dataset } = task.config.parse({ task: name, model: { model_id: 'a/b' } });
    const { dataset_id, subset_name } = dataset;
    assert.equal(datasets.includes(`${dataset_id} ${subset_name}`), true, `${name}: ${dataset_id} ${subset_name}`);
  }
});

test("a recipe of the harness has its names for tasks, metrics and filters; another one the run's own", () => {
  const [gsm8k] = namesOf([runOf('gsm8k', 'cot', 'generate', 'openai/gsm8k main')]);
  assert.equal(gsm8k!.task, 'gsm8k_cot');
  assert.deepEqual(gsm8k!.metric('exact_match'), { metric: 'exact_match', filter: 'strict-match' });
  assert.deepEqual(gsm8k!.metric('flexible_extract'), { metric: 'exact_match', filter: 'flexible-extract' });
  assert.deepEqual(gsm8k!.metric('pass_at_2'), { metric: 'pass_at_2', filter: 'none' });
  const [card] = namesOf([runOf('gsm8k', 'card', 'generate', 'openai/gsm8k main')]);
  assert.deepEqual([card!.task, card!.metric('exact_match')], ['gsm8k', { metric: 'exact_match', filter: 'none' }]);
  const [easy] = namesOf([runOf('arc', 'lm_eval', 'rank_ll', 'allenai/ai2_arc ARC-Easy')]);
  assert.equal(easy!.task, 'arc_easy');
  const [cloze] = namesOf([runOf('arc', 'cloze', 'rank_ll', 'allenai/ai2_arc ARC-Easy', 'mine')]);
  assert.equal(cloze!.task, 'mine');
});

test('rows of another place are not called as the published ones are; their metrics are the same ones', () => {
  const [own] = namesOf([runOf('gsm8k', 'cot', 'generate', 'my/rows main')]);
  assert.equal(own!.task, 'gsm8k');
  assert.deepEqual(own!.metric('exact_match'), { metric: 'exact_match', filter: 'strict-match' });
});

test('subjects and groups by the patterns of the task, or behind the name of the run', () => {
  const mmlu = (strategy: string, rows = 'cais/mmlu all') => namesOf([runOf('mmlu', 'lm_eval', strategy, rows)])[0]!;
  assert.equal(mmlu('rank_ll').subject('astronomy'), 'mmlu_astronomy');
  assert.equal(mmlu('rank_ll').group('social_sciences'), 'mmlu_social_sciences');
  assert.equal(mmlu('gen_letter').subject('astronomy'), 'mmlu_astronomy_generative');
  assert.equal(mmlu('gen_letter').group('social_sciences'), 'social sciences');
  const [own] = namesOf([madeRun({ name: 'mine' })]);
  assert.deepEqual([own!.subject('a b/c'), own!.group('g')], ['mine_a_b_c', 'mine_g']);
});

test('a group that is called as a subject is has a name of its own', () => {
  const other = { acc: { value: 1, stderr: null, ci95: null, n: 1 } };
  const [own] = namesOf([madeRun({ name: 'mine', summary: { subjects: { other }, groups: { other } } })]);
  assert.deepEqual(
    [own!.subject('other'), own!.group('other'), own!.group('stem')],
    ['mine_other', 'mine_other_group', 'mine_stem'],
  );
});

test("of two runs of one task in a file both keep their own names, and none takes another run's", () => {
  const both = (second: string) =>
    namesOf([
      runOf('arc', 'lm_eval', 'rank_ll', 'allenai/ai2_arc ARC-Easy', 'short'),
      runOf('arc', 'lm_eval', 'rank_ll', 'allenai/ai2_arc ARC-Easy', second),
    ]).map(({ task }) => task);
  assert.deepEqual(both('long'), ['short', 'long']);
  const mixed = namesOf([
    runOf('arc', 'lm_eval', 'rank_ll', 'allenai/ai2_arc ARC-Easy', 'mine'),
    runOf('made', 'x', 'y', 'org/made main', 'arc_easy'),
  ]).map(({ task }) => task);
  assert.deepEqual(mixed, ['mine', 'arc_easy']);
});

test('the direction of the primary metric is its own, of the others a lower perplexity is better', () => {
  const { summary } = madeRun();
  assert.equal(isHigherBetter('acc', summary), true);
  assert.equal(isHigherBetter('byte_perplexity', summary), false);
  const low = { ...summary, primary: { ...summary.primary, name: 'loss', better: 'lower' as const } };
  assert.deepEqual([isHigherBetter('loss', low), isHigherBetter('acc', low)], [false, true]);
});

test("the hub's task is the config of the data set, unless its eval.yaml is known to say otherwise", () => {
  const { dataset } = madeRun().summary;
  assert.equal(hubTaskId(dataset), 'main');
  assert.equal(hubTaskId({ ...dataset, subset_name: null }), 'default');
  assert.equal(hubTaskId({ ...dataset, dataset_id: 'openai/gsm8k' }), 'gsm8k');
});
