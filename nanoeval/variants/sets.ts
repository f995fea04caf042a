/** The runs of one variant, taken out of the suite that asked all of them: what of it can be compared, and what went wrong. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ComparedRun, ComparedSet } from '../compare/sources.ts';
import { openSet } from '../compare/sources.ts';
import { readRuns } from '../run/saved_run.ts';
import type { Outcome } from '../suite/lines.ts';
import type { NanRow } from './broken.ts';

/** One variant's runs. */
export interface VariantRuns {
  /** Those that are whole, under their names in the suite. */
  set: ComparedSet;
  /** Tasks that are not whole, each with why. */
  faults: string[];
  /** The first row that failed for a number that is none; null where there is none. */
  nan: NanRow | null;
}

/**
 * Opens the runs of the variant `name`. `folder`: the suite's. `partial`: a run in which rows failed is taken too. Throws
 * UserError for a folder that was damaged.
 */
export async function variantRuns(
  outcomes: readonly Outcome[],
  name: string,
  folder: string,
  partial: boolean,
): Promise<VariantRuns> {
  const runs: ComparedRun[] = [];
  const faults: string[] = [];
  let nan: NanRow | null = null;
  for (const { entry, result, error } of outcomes.filter((one) => one.entry.model === name)) {
    const own = entry.config.report.output_dir;
    const failed = result?.summary.health.failed ?? 0;
    const fault =
      error?.text.split('\n', 1)[0] ??
      result?.summary.faults[0] ??
      (failed > 0 && !partial ? `${failed} rows failed and have no verdict` : null);
    if (error !== null || failed > 0) nan ??= await firstNan(own, entry.name);
    if (fault !== null) {
      faults.push(`${entry.name}: ${fault}`);
      continue;
    }
    const { runs: opened } = await openSet(own, 'current');
    runs.push(...opened.map((run) => ({ ...run, name: entry.name })));
  }
  return { set: { name, folder: join(folder, name), runs }, faults, nan };
}

/** The first row in a run's folder that failed for a logit that is no number. */
async function firstNan(folder: string, task: string): Promise<NanRow | null> {
  // A run that failed before its first row has none.
  if (!existsSync(join(folder, 'run.json')) || !existsSync(join(folder, 'predictions.jsonl'))) return null;
  const [run] = await readRuns([folder]);
  let first: NanRow | null = null;
  for await (const row of run!.rows()) {
    if (!('error' in row) || row.error.kind !== 'nan') continue;
    if (first === null || row.index < first.index) first = { task, index: row.index, message: row.error.message };
  }
  return first;
}
