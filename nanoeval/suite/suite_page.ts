/** report.html of a suite: its table, and the rows of its tasks. */
import { join } from 'node:path';
import { PAGE_FILE } from '../report/summary.ts';
import { type AnyRun, pagedRun, writePage } from '../run/report_page.ts';
import { readRun } from '../run/saved_run.ts';
import { labelOf } from './entries.ts';
import type { Outcome } from './lines.ts';

/** Writes the page where a task of the suite keeps what it shows; null where none does. Errors as `writePage`. */
export async function writeSuitePage(root: string, name: string, outcomes: readonly Outcome[]): Promise<string | null> {
  if (!outcomes.some(({ entry }) => entry.config.report.page)) return null;
  const runs: AnyRun[] = [];
  for (const { entry, result, error } of outcomes) {
    const named = { name: labelOf(entry), ...(entry.model === null ? {} : { model: entry.model }) };
    if (result === null) {
      runs.push({ ...named, task: entry.task.name, error: error?.text ?? 'failed' });
      continue;
    }
    const saved = await readRun(entry.config.report.output_dir);
    const { reference } = entry;
    runs.push({ ...pagedRun(saved, result.summary), ...named, ...(reference === undefined ? {} : { reference }) });
  }
  return writePage(join(root, PAGE_FILE), { kind: 'suite', title: name, runs });
}
