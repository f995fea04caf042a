/** The YAML keys of a suite: one model block or several, many tasks, and the table that comes of them. */
import { z } from 'zod';
import { exportList } from './exports.ts';
import { engineSection, modelSection, runSection } from './keys.ts';
import { pathKey } from './paths.ts';
import { suiteReport } from './report.ts';
import { suiteGate } from './suite_gate.ts';

const name = (meaning: string) => z.string().min(1).describe(meaning);

/** Formats of a suite's table beside Markdown, and their files. */
export const TABLE_FILES = { latex: 'suite.tex', csv: 'suite.csv' } as const;
export type TableFormat = keyof typeof TABLE_FILES;

const reported = z
  .strictObject({
    value: z.number().describe('the reported value, in the unit of ours (0.431, not 43.1)'),
    source: name('where it is from'),
  })
  .describe('a reported value: printed beside ours');

const suiteKeys = {
  name: name("the suite's name; the file's by default").optional(),
  output_root: pathKey('folder of the runs; `artifacts/nanoeval/suites/<name>` by default').optional(),
  exports: exportList('of all tasks together, in the folder of the suite or of its checkpoint').default([]),
};

/** Keys of the table of one checkpoint. */
const tableKeys = {
  tables: z
    .array(z.enum(Object.keys(TABLE_FILES) as [TableFormat, ...TableFormat[]]))
    .default([])
    .describe('formats of the table beside `suite.md`: `latex` writes `suite.tex`, `csv` `suite.csv`'),
  save_plot: z.boolean().default(true).describe('draw ours beside the reported values, where there are any'),
  means: z
    .array(
      z.strictObject({
        name: name('what the table calls it'),
        of: z
          .array(
            z.union([
              name('an entry: its primary metric'),
              z.strictObject({ task: name('an entry'), metric: name('its metric') }),
            ]),
          )
          .min(2)
          .describe('entries of the suite, or `{ task, metric }`'),
        reference: reported.optional(),
      }),
    )
    .default([])
    .describe('lines that are the plain mean of others, as some cards report'),
  missing: z
    .array(
      z.strictObject({
        name: name('what the table calls it'),
        reason: name('why it is not run'),
        reference: reported.optional(),
      }),
    )
    .default([])
    .describe('lines of the reported table that are not run: printed with the reason'),
};

/** A suite: one model block, many tasks. What a task says overrides what stands at the top. */
export const suiteSchema = z.strictObject({
  suite: z
    .strictObject({ ...suiteKeys, ...tableKeys })
    .describe('the suite')
    .prefault({}),
  model: modelSection.describe('the checkpoint of every task'),
  engine: engineSection.optional(),
  run: runSection.optional(),
  report: suiteReport,
  tasks: z
    .array(
      z.looseObject({
        task: name('which task'),
        name: name('name of this entry and of its folder; the task by default').optional(),
        reference: z
          .record(z.string(), z.union([z.number(), z.string()]))
          .optional()
          .describe('reported values by metric (`acc: 0.293`), and `source`: printed beside ours'),
      }),
    )
    .min(1)
    .describe('the tasks; each takes the sections of a task file and may override any part of the model'),
});

const partOfModel = modelSection.extend({ model_id: modelSection.shape.model_id.optional() });

/** A suite over several checkpoints. */
export const manyModelsSchema = suiteSchema.extend({
  ...suiteGate,
  suite: z.strictObject(suiteKeys).describe('the suite').prefault({}),
  model: partOfModel.describe('what the checkpoints share').optional(),
  models: z
    .array(
      partOfModel.extend({
        name: name("the checkpoint's name in the tables and of its folder; its id and dtype by default").optional(),
      }),
    )
    .min(1)
    .describe('the checkpoints: each is asked every task; what stands here overrides `model`'),
});
export type SuiteConfig = z.infer<typeof suiteSchema> | z.infer<typeof manyModelsSchema>;
/** What a suite of one checkpoint says of its table. */
export type TableConfig = z.infer<typeof suiteSchema>['suite'];
