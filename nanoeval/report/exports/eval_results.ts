/**
 * The hub's `.eval_results/*.yaml`: results that a model's repository holds, shown on its page and on the data set's leaderboard
 * (https://huggingface.co/docs/hub/eval-results, https://github.com/huggingface/hub-docs/blob/main/eval_results.yaml).
 */
import { stringify } from 'yaml';
import { OF_TEXTS } from '../../config/recipe.ts';
import { asMean, type ExportedRun, partOfRows } from './exported.ts';
import { hubTaskId } from './lm_eval_names.ts';

/** An item of the file, as the hub's specification has it. */
export interface EvalResult {
  dataset: { id: string; task_id: string; revision: string };
  /** A share in percent, as the hub's leaderboards show them; any other number as it is. */
  value: number;
  /** ISO 8601. */
  date: string;
  notes: string;
}

/** Digits of a percentage: enough for every count of rows, and fewer than a sum of floats makes up. */
const DIGITS = 12;

/** How the number was made, for whoever reads it on the hub. */
function notesOn(run: ExportedRun): string {
  const { summary, config, recipe } = run;
  const { model, tool, primary } = summary;
  const { temperature, samples_per_prompt } = config.scoring;
  const part = partOfRows(run);
  return [
    ...(part === null ? [] : [part]),
    `${primary.name}${recipe.unit === 'share' ? ' in %' : ''}`,
    `recipe ${summary.recipe.name} of ${tool.name}`,
    ...(OF_TEXTS.has(recipe.verb) ? [] : [`${summary.recipe.num_fewshot}-shot`]),
    ...(summary.recipe.chat_template ? ['chat template'] : []),
    ...(temperature === 0 ? [] : [`temperature ${temperature}`]),
    ...(samples_per_prompt === 1 ? [] : [`${samples_per_prompt} samples`]),
    [model.backend, ...(model.variant === null ? [] : [model.variant])].join(' '),
    `${tool.name} ${tool.version}`,
  ].join(', ');
}

/** A run as an item; the reason as a text where it is none. */
export function evalResult(run: ExportedRun): EvalResult | string {
  const { summary, recipe } = run;
  const { dataset, primary, metrics, timing } = summary;
  if (dataset.commit === null) return 'its rows are of no data set on the hub';
  const { value } = asMean(primary.name, metrics[primary.name]!, summary);
  return {
    dataset: { id: dataset.dataset_id, task_id: hubTaskId(dataset), revision: dataset.commit },
    value: recipe.unit === 'share' ? Number((value * 100).toPrecision(DIGITS)) : value,
    date: timing.finished,
    notes: notesOn(run),
  };
}

/** The file. Texts are quoted: a date without quotes is no text to YAML 1.1. */
export function evalResultsYaml(results: readonly EvalResult[]): string {
  return stringify(results, { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 });
}
