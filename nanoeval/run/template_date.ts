/** Which date chat templates are given that ask for today's: one for all rows of a run, and for all tasks of a suite. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskConfig } from '../config/keys.ts';
import { momentOf, momentText, parseMoment } from '../text/strftime.ts';

/** The day that this machine's clock shows, at midnight: shards and tasks that begin on one day have one date. */
export function today(now = new Date()): string {
  return momentText({ ...momentOf(now), hour: 0, minute: 0, second: 0 });
}

/**
 * The date of a run: the config's (`model.template_date`), else that of the run whose rows stand in the folder already, else
 * `begun`. A run that goes on on another day keeps its prompts.
 */
export function templateDate({ model, report, run }: TaskConfig, begun = today()): string {
  const asked = parseMoment(model.template_date ?? '');
  if (asked !== null) return momentText(asked);
  return (run.overwrite ? null : recordedDate(report.output_dir)) ?? begun;
}

/** The date for all tasks of a suite that have none yet: the first that one of its runs has, else today. */
export function suiteDate(configs: readonly TaskConfig[]): string {
  const recorded = configs
    .filter(({ run }) => !run.overwrite)
    .map(({ report }) => recordedDate(report.output_dir))
    .filter((date) => date !== null);
  return recorded.sort()[0] ?? today();
}

/** The date in a folder's run.json; null where there is none. What else is wrong with the file is told when it is read. */
function recordedDate(folder: string): string | null {
  let record: { template_date?: unknown } | null;
  try {
    record = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8'));
  } catch {
    return null;
  }
  const date = record?.template_date;
  return typeof date === 'string' && parseMoment(date) !== null ? date : null;
}
