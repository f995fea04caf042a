/** The section `report` of a task's YAML. */
import { z } from 'zod';
import { exportList } from './exports.ts';
import { pathKey } from './paths.ts';

const filename = (preset: string, meaning: string) =>
  z
    .string()
    .regex(/^(?!\.{1,2}$)[^/\\]+$/, 'a file name without a folder')
    .default(preset)
    .describe(meaning);

const page = z
  .boolean()
  .default(false)
  .describe(
    'write report.html, a page to read the rows in, and keep what it shows of each (prompts, token ids, small pictures) in page.jsonl',
  );

/** Of a suite: for all of its tasks. */
export const suiteReport = z
  .strictObject({ page: page.unwrap().optional() })
  .describe('what is written besides, of the suite and of each of its tasks')
  .optional();

/** The section; `task` names the folder. */
export const reportSection = (task: string) =>
  z
    .strictObject({
      output_dir: pathKey('folder of the run').default(`artifacts/nanoeval/${task}`),
      summary_filename: filename('summary.json', 'metrics and everything that identifies the run'),
      predictions_filename: filename('predictions.jsonl', 'one line a row'),
      table_filename: filename('metrics.csv', 'label, metric, value, stderr, n'),
      plot_filename: z
        .string()
        .regex(/^[^/\\]+\.png$/, 'a file name that ends in .png, without a folder')
        .default('accuracy.png')
        .describe('the chart; the `.svg` stands beside it'),
      save_table: z.boolean().default(true).describe('write the table'),
      save_plot: z.boolean().default(true).describe('write the chart'),
      save_prompts: z.boolean().default(false).describe('keep the text of each prompt in its row'),
      save_tokens: z.boolean().default(false).describe('keep the token ids of prompt and output in each row'),
      exports: exportList('in the folder of the run').default([]),
      page,
    })
    .describe('what is written where');
