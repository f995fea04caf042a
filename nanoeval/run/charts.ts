/** What the charts of a run are made of: the same for its pictures and for its page. */
import type { TaskConfig } from '../config/keys.ts';
import { OF_TEXTS, type ResolvedRecipe } from '../config/recipe.ts';
import type { ChartInput } from '../report/chart_spec.ts';
import type { ConfusionInput } from '../report/confusion.ts';
import { tableRows } from '../report/summary.ts';
import type { Task } from '../task.ts';
import type { Confusion, Scores } from '../types.ts';
import type { RunRecord } from './record.ts';

/** A run as its charts name it. */
export interface Charted {
  task: Pick<Task, 'name' | 'subjects'>;
  config: TaskConfig;
  recipe: ResolvedRecipe;
  record: Pick<RunRecord, 'model' | 'recipe'>;
}

/** The chart of the primary metric; `n`: scored rows. */
export function barsInput(charted: Charted, { primary, ...scores }: Scores, n: number): ChartInput {
  const { task, recipe, record } = charted;
  return {
    title: { model: record.model.label, task: task.name, recipe: recipe.name, n, details: chartDetails(charted) },
    metric: primary.name,
    unit: primary.unit,
    better: primary.better,
    chance: primary.chance,
    // Dozens of tags would crowd the bars; they stand in the table.
    rows: tableRows({ primary, ...scores }).filter(({ level }) => level !== 'tag'),
  };
}

/** The matrix of a run that sorts rows into classes. */
export function confusionInput(charted: Charted, confusion: Confusion): ConfusionInput {
  const { task, recipe, record } = charted;
  const n = confusion.counts.flat().reduce((sum, count) => sum + count, 0);
  const subtitle = [record.model.label, recipe.name, ...chartDetails(charted), `n = ${n.toLocaleString('en-US')}`];
  return { title: `${task.name}: confusion`, subtitle, ...confusion };
}

/** Facts for the chart's second line. */
function chartDetails({ task, config, recipe, record }: Charted): string[] {
  const { subset_size, sample } = config.dataset;
  const { temperature, seeds, seed } = config.scoring;
  const ofEach = task.subjects?.subsetOfEach ? ' of each subject' : '';
  return [
    ...(record.model.variant === null ? [] : [record.model.variant]),
    ...(OF_TEXTS.has(recipe.verb) ? [] : [`${recipe.numFewshot}-shot`]),
    recipe.strategy,
    ...(record.recipe.chat_template ? ['chat template'] : []),
    ...(subset_size === undefined ? [] : [`first ${subset_size} rows${ofEach}`]),
    ...(sample === undefined ? [] : [`${sample} rows drawn with seed ${(seeds ?? [seed]).join(', ')}`]),
    ...(temperature === 0 ? [] : [`temperature ${temperature}`]),
    ...(config.run.shard === undefined ? [] : [`shard ${config.run.shard}`]),
  ];
}
