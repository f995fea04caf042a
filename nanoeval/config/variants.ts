/** The YAML keys of variants.ts: those of a suite over several checkpoints, and what is said of the variants. */
import { z } from 'zod';
import { compareSchema } from './compare.ts';
import { pathKey } from './paths.ts';
import { suiteReport } from './report.ts';
import { manyModelsSchema } from './suite.ts';

/** Tokens of a window at most: two windows' logits are held, and a vocabulary may have 200,000 entries. */
const LONGEST_WINDOW = 2048;

const name = (meaning: string) => z.string().min(1).describe(meaning);

const distributions = z
  .strictObject({
    dataset_id: name('hub data set of the texts; or `path`, or `rows`').optional(),
    revision: name('branch, tag or commit of the data set').default('main'),
    subset_name: name('config of the data set').optional(),
    split: name('split of the data set').default('test'),
    path: pathKey('local `.parquet`, `.jsonl`, `.json`, `.csv`, `.txt` or a folder of them').optional(),
    rows: z.array(z.record(z.string(), z.unknown())).min(1).optional().describe('the rows themselves'),
    column: name('column of the texts').default('text'),
    tokens: z.int().min(1).default(8192).describe('tokens that are looked at, from the first text on'),
    window: z
      .int()
      .min(2)
      .max(LONGEST_WINDOW)
      .default(512)
      .describe('tokens of a forward pass; the logits of two windows are held in memory'),
    broken_kl: z
      .number()
      .gt(0)
      .default(2)
      .describe('a variant whose mean KL divergence from the reference is above this many nats is called broken'),
  })
  .describe('texts over which the distributions of the variants are compared, and their speed is measured');

const { gate, bootstrap, rows } = compareSchema.shape;

export const variantsSchema = manyModelsSchema.extend({
  models: manyModelsSchema.shape.models
    .min(2)
    .describe('the variants, the reference first: each is asked every task; what stands here overrides `model`'),
  distributions,
  rows,
  gate,
  bootstrap,
  report: suiteReport
    .unwrap()
    .extend({ save_plot: z.boolean().default(true).describe('draw the picture') })
    .describe('what is written besides')
    .prefault({}),
});
export type VariantsConfig = z.infer<typeof variantsSchema>;

/** The keys that say where the texts come from: one of them is wanted. */
export const TEXT_SOURCES = ['path', 'dataset_id', 'rows'] as const;
