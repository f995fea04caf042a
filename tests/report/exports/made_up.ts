/** A made-up run for tests of the exports: three ranked rows of a benchmark on the hub, two of them right. */
import { taskSchema } from '../../../nanoeval/config/keys.ts';
import { type Recipe, resolveRecipe } from '../../../nanoeval/config/recipe.ts';
import type { ScoredRow } from '../../../nanoeval/questions.ts';
import type { ExportedRun, ExportedSummary } from '../../../nanoeval/report/exports/exported.ts';

export const recipes: Record<string, Recipe> = {
  lm_eval: {
    about: 'made up',
    num_fewshot: 2,
    strategies: {
      rank_ll: { verb: 'loglikelihood', primary: 'acc' },
      generate: { verb: 'generate_until', primary: 'exact_match', until: ['\n'], max_new_tokens: 7 },
      rolling_ll: { verb: 'loglikelihood_rolling', primary: 'word_perplexity', unit: 'number', better: 'lower' },
    },
  },
};
const schema = taskSchema('made', { dataset_id: 'org/made', subset_name: 'main', split: 'test' }, recipes);

export interface Made {
  name?: string;
  /** Sections of the config. */
  config?: Record<string, object>;
  summary?: Partial<ExportedSummary>;
  shortfall?: string;
}

/** An estimate without an interval. */
export const estimate = (value: number, n: number, stderr: number | null = 0.25) => ({ value, stderr, ci95: null, n });

/** The run, changed as a test wants it. */
export function madeRun({ name = 'made', config: sections = {}, summary = {}, shortfall }: Made = {}): ExportedRun {
  const config = schema.parse({ task: 'made', ...sections, model: { model_id: 'org/model', ...sections.model } });
  const recipe = resolveRecipe({ name: 'made', recipes }, config);
  const { strategy, numFewshot } = recipe;
  return {
    name,
    config,
    recipe,
    shots: 'train',
    shortfall: shortfall ?? null,
    summary: {
      task: 'made',
      status: 'complete',
      faults: [],
      primary: { name: recipe.primary, unit: recipe.unit, better: recipe.better, chance: null },
      metrics: { [recipe.primary]: estimate(0.431, 3) },
      groups: {},
      subjects: {},
      subject_groups: {},
      health: { rows: 3, questions: 3, failed: 0, unparsed: 0, truncated: 0, empty: 0 },
      timing: { started: '2026-03-05T10:00:00.500Z', finished: '2026-03-05T10:00:02.000Z', seconds: 1.5 },
      recipe: { name: 'lm_eval', strategy, num_fewshot: numFewshot, chat_template: false, sha256: 'r' },
      model: {
        label: 'org/model',
        variant: 'q4',
        backend: 'onnx',
        max_length: 512,
        is_vlm: false,
        chat_template_sha256: 't',
        sha256: 'm',
        source: { revision: 'main', commit: 'c'.repeat(40) },
      },
      dataset: { dataset_id: 'org/made', commit: 'd'.repeat(40), subset_name: 'main', split: 'test', num_rows: 3 },
      selection: { subset_size: null, sample: null, subjects: null, seed: null, shard: null },
      version: 4,
      tool: { name: 'nanoeval', version: '0.1.0', git_commit: 'abc123' },
      ...summary,
    },
  };
}

/** A row without its answer. */
export const madeRow = (index: number, rest: Partial<ScoredRow> = {}): ScoredRow => ({
  task: 'made',
  id: `id${index}`,
  index,
  gold: 0,
  num_context_tokens: 3,
  truncated: false,
  prompt_sha256: 'p',
  metrics: {},
  ...rest,
});
