/** What an earlier run left in the folder, and what of it is to be done still. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskConfig } from '../config/keys.ts';
import type { Model } from '../questions.ts';
import { artefactNames } from '../report/summary.ts';
import { type Log, UserError } from '../types.ts';
import { EXPORTED } from './exports.ts';
import { type Earlier, hasRows, keepAside, readEarlier } from './journal.ts';
import { finishedRun, type RunResult } from './outcome.ts';
import type { Plan } from './plan.ts';
import { type RunRecord, readRecord } from './record.ts';
import { resultFilesIn } from './result_file.ts';

/** What is there before a run begins. */
export interface Before {
  earlier: Earlier;
  /** The record of the run whose rows stand there; null where there are none. */
  known: RunRecord | null;
  /** The run is finished: nothing is left to do. */
  result: RunResult | null;
}

/**
 * Reads the folder of a run. A run that stopped midway needs its model: `open` is called while its rows are read. Throws
 * UserError where the rows are those of another run.
 */
export async function lookBefore<C extends TaskConfig, G>(
  { task, config, recipe, record }: Plan<C, G>,
  open: () => Promise<Model>,
  log: Log,
): Promise<Before> {
  const { report } = config;
  const path = join(report.output_dir, report.predictions_filename);
  if (config.run.overwrite && hasRows(path))
    log.info(`the old run is kept in ${keepAside(report.output_dir, filesOf(config, task.files))}`);
  if (isUnfinished(config, record)) open().catch(() => undefined);
  const earlier = await readEarlier(path, recipe.primary);
  if (earlier.torn > 0) log.info(`${path}: a torn last line of ${earlier.torn} bytes is dropped`);
  const { scored, failed } = earlier;
  if (scored.size + failed.size === 0) return { earlier, known: null, result: null };
  const known = readRecord(report.output_dir, path, record);
  const result = finishedRun(config, record, earlier, { files: task.files, required: recipe.required });
  if (result === null) {
    const again = failed.size > 0 ? `, ${failed.size} that failed are tried again` : '';
    log.info(`${task.name}: going on after ${scored.size} rows${again}`);
  } else {
    const { rows } = result.summary.health;
    log.info(`${task.name}: done, ${rows} rows in ${report.output_dir}; run.overwrite: true runs it again`);
  }
  return { earlier, known, result };
}

/** Names of the files that belong to a run in its folder, those that carry a date too. */
function filesOf({ report }: TaskConfig, own: object | undefined): string[] {
  return [...artefactNames(report, own), ...EXPORTED, ...resultFilesIn(report.output_dir).keys()];
}

/** Rows computed in two forms are not of one kind. Throws UserError. */
export function checkForm({ report }: TaskConfig, { computed }: RunRecord, { engine }: Model): void {
  if (computed?.form === engine.form) return;
  throw new UserError(
    `${report.output_dir} was begun in the engine's form ${computed?.form}, and here it takes the form ${engine.form}: ` +
      'the numbers would not be of one kind. Set engine.mode, name another report.output_dir, or set run.overwrite: true.',
    { key: 'engine.mode' },
  );
}

/** Whether an earlier run of the same config left rows and no summary. */
function isUnfinished({ report }: TaskConfig, record: RunRecord): boolean {
  const rows = join(report.output_dir, report.predictions_filename);
  if (!hasRows(rows) || existsSync(join(report.output_dir, report.summary_filename))) return false;
  try {
    return readRecord(report.output_dir, rows, record).fingerprint === record.fingerprint;
  } catch {
    // Told when the rows have been read.
    return false;
  }
}
