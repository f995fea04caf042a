/** The YAML keys of compare.ts. */
import { z } from 'zod';
import { pathKey } from './paths.ts';

/** `0.01`, or `1%` of the baseline's value. */
export interface AllowedDrop {
  value: number;
  relative: boolean;
}

const PERCENT = /^(\d+(?:\.\d*)?|\.\d+)\s*%$/;
const DROP = 'a number of 0 or more (0.01), or a share of the baseline (1%)';

const drop = z.union([z.number().min(0), z.string().regex(PERCENT, DROP)]);

/** Of a value that the schema let pass. */
export function allowedDrop(value: number | string): AllowedDrop {
  if (typeof value === 'number') return { value, relative: false };
  return { value: Number(PERCENT.exec(value)![1]) / 100, relative: true };
}

const gate = z
  .strictObject({
    max_drop: z
      .union([drop, z.record(z.string(), drop)])
      .optional()
      .describe(
        'the drop that is allowed: `0.01`, or `1%` of the baseline; or a mapping from metric (`acc`, or `hellaswag.acc_norm` for one task) to one. By default 0.01 for shares and 1% for other metrics',
      ),
    metrics: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('metrics that decide (`acc`, `hellaswag.acc_norm`); the primary one of each task by default'),
    rule: z
      .enum(['interval', 'point'])
      .default('interval')
      .describe(
        '`interval`: the five verdicts, from the interval of the difference; `point`: a difference below -max_drop fails, whatever chance has to do with it',
      ),
    strict: z.boolean().default(false).describe('UNDERPOWERED fails too'),
  })
  .describe('what decides');

const bootstrap = z
  .strictObject({
    draws: z.int().min(1000).max(1_000_000).default(10_000).describe('resamples of the rows'),
    seed: z.int().min(0).default(1234).describe('of the resamples'),
  })
  .describe('intervals of metrics that are not right or wrong by row');

const power = z
  .strictObject({
    n: z
      .union([z.int().min(2), z.array(z.int().min(2)).min(1)])
      .optional()
      .describe('rows; the sizes of the known benchmarks by default'),
    accuracy: z
      .union([z.number().min(0).max(1), z.array(z.number().min(0).max(1)).min(1)])
      .default([0.3, 0.5, 0.7, 0.9])
      .describe('of the baseline'),
    discordance: z
      .number()
      .gt(0)
      .lt(1)
      .optional()
      .describe('share of the rows whose verdict differs though no checkpoint is better; from the accuracy by default'),
    max_drop: z.number().min(0).default(0.01).describe('the drop that is allowed'),
  })
  .describe('instead of a comparison: the smallest drop that so many rows find four times in five');

export const compareSchema = z.strictObject({
  baseline: pathKey(
    'folder of a run, a suite or a baseline; or `branch`: the baseline saved for the current git branch, else for `main`',
  ).optional(),
  current: pathKey('folder of the run or suite that is judged').optional(),
  branch: z.string().min(1).optional().describe('the branch whose baseline is meant; git says it by default'),
  baselines_dir: pathKey('where `baseline: branch` looks').default('baselines'),
  rows: z
    .enum(['all', 'common'])
    .default('all')
    .describe('`common`: only the rows that both have; otherwise other rows are an error'),
  gate: gate.prefault({}),
  bootstrap: bootstrap.prefault({}),
  power: power.optional(),
  report: z
    .strictObject({
      output_dir: pathKey('where the comparison goes').default('artifacts/nanoeval/compare'),
      save_plot: z.boolean().default(true).describe('draw the chart'),
    })
    .prefault({}),
});
export type CompareConfig = z.infer<typeof compareSchema>;
