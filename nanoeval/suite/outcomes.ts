/** The tasks of a suite, run one after another, and the files that say what came of them. */
import { join } from 'node:path';
import type { ExportFormat } from '../config/exports.ts';
import type { ConfigFile } from '../config/file.ts';
import { resolveRecipe } from '../config/recipe.ts';
import { TABLE_FILES, type TableConfig } from '../config/suite.ts';
import { asInterruption, describeError, placeError } from '../program.ts';
import { cardLines } from '../report/card.ts';
import { drawCard } from '../report/chart.ts';
import { type SuiteLine, suiteCsv, suiteLatex, suiteTable } from '../report/suite_table.ts';
import { compareRuns, comparisonCsv, comparisonMarkdown } from '../run/comparison.ts';
import { type Exported, writeExports } from '../run/exports.ts';
import { writeJson, writeWhole } from '../run/files.ts';
import { type Models, openModels } from '../run/models.ts';
import { notesOn } from '../run/notes.ts';
import { writeResults } from '../run/result_file.ts';
import { runTask } from '../run/run.ts';
import { suiteDate } from '../run/template_date.ts';
import { FORMAT, type Log } from '../types.ts';
import { type Entry, labelOf } from './entries.ts';
import { linesOf, moreLines, type Outcome } from './lines.ts';

/** Runs a task; what goes wrong with it stops no other. */
async function outcomeOf(
  entry: Entry,
  file: ConfigFile,
  models: Models,
  log: Log,
  signal: AbortSignal,
  date: string,
): Promise<Outcome> {
  log.info(`${labelOf(entry)}:`);
  try {
    const result = await runTask(entry.task, entry.config, models, log, signal, date);
    for (const line of notesOn(result.summary, result.shortfall)) log.info(line);
    return { entry, result, error: null };
  } catch (caught) {
    const error = describeError(placeError(asInterruption(caught, signal), file, entry.paths));
    log.info(error.text);
    return { entry, result: null, error };
  }
}

/**
 * Runs every task on every checkpoint, until it is told to stop. Weights are loaded once for a checkpoint's tasks. `root`: the
 * suite's folder.
 */
export async function runEntries(
  entries: readonly Entry[],
  file: ConfigFile,
  log: Log,
  signal: AbortSignal,
  root: string,
): Promise<Outcome[]> {
  const date = suiteDate(entries.map(({ config }) => config));
  const outcomes: Outcome[] = [];
  for (const model of new Set(entries.map((entry) => entry.model))) {
    // A checkpoint's memory is given back before the next one is loaded.
    const models = openModels(log, signal, model === null ? root : join(root, model));
    try {
      for (const entry of entries.filter((one) => one.model === model)) {
        if (signal.aborted) break;
        const outcome = await outcomeOf(entry, file, models, log, signal, date);
        if (!signal.aborted) outcomes.push(outcome);
      }
    } finally {
      await models.close();
    }
  }
  return outcomes;
}

/** The tasks that went wrong, each with why. */
export function faultsOf(outcomes: readonly Outcome[]): string[] {
  return outcomes
    .filter(({ result, error }) => error !== null || result?.summary.faults.length !== 0)
    .map(({ entry, result, error }) => `${labelOf(entry)}: ${error?.text ?? result?.summary.faults[0]}`);
}

/** Whether every task is valid and reaches what is required of it. */
export function allDo(outcomes: readonly Outcome[]): boolean {
  return faultsOf(outcomes).length === 0 && outcomes.every(({ result }) => result?.shortfall === null);
}

/** The table of one checkpoint in the formats that are asked for, and its chart where there are reported values. */
async function writeTables(
  root: string,
  name: string,
  outcomes: readonly Outcome[],
  lines: readonly SuiteLine[],
  { tables, save_plot }: TableConfig,
): Promise<string[]> {
  const files: string[] = [];
  const write = (file: string, content: string | Buffer) => {
    files.push(join(root, file));
    writeWhole(files.at(-1)!, content);
  };
  if (tables.includes('latex')) write(TABLE_FILES.latex, suiteLatex(lines));
  if (tables.includes('csv')) write(TABLE_FILES.csv, suiteCsv(lines));
  const [model] = outcomes.flatMap(({ result }) => result?.summary.model ?? []);
  if (!save_plot || cardLines(lines).length === 0 || model === undefined) return files;
  const subtitle = [model.label, ...(model.variant === null ? [] : [model.variant])];
  const { svg, png } = await drawCard({ title: `${name}: ours beside reported values`, subtitle, lines });
  write('suite.svg', svg);
  write('suite.png', png);
  return files;
}

/**
 * Writes suite_summary.json, suite.md, the result files where all tasks had their turn, and, for several checkpoints, the
 * comparison; for one (`own` is what it says of its table) the other formats and the chart. Returns the files, what to print, and
 * what is to be said.
 */
export async function writeSuite(
  root: string,
  name: string,
  entries: readonly Entry[],
  outcomes: readonly Outcome[],
  own: TableConfig | null = null,
): Promise<{ files: string[]; table: string; notes: string[] }> {
  const lines = [...outcomes.flatMap(linesOf), ...(own === null ? [] : moreLines(outcomes, own))];
  const table = suiteTable(lines);
  const files = [join(root, 'suite_summary.json'), join(root, 'suite.md')];
  writeJson(files[0]!, {
    format: FORMAT,
    suite: name,
    tasks: outcomes.map(({ entry, result, error }) => ({
      name: entry.name,
      ...(entry.model === null ? {} : { model: entry.model }),
      task: entry.task.name,
      status: error !== null ? 'failed' : (result?.summary.status ?? 'invalid'),
      error: error?.text ?? null,
      output_dir: entry.config.report.output_dir,
      reference: entry.reference ?? null,
      summary: result?.summary ?? null,
    })),
  });
  writeWhole(files[1]!, `# ${name}\n\n${table}`);
  if (own !== null) files.push(...(await writeTables(root, name, outcomes, lines, own)));
  const finished = outcomes.map(({ entry, result, error }) => {
    const { name, model } = entry;
    return { name, model, summary: result?.summary ?? null, error: error?.text ?? null };
  });
  const isWhole = outcomes.length === entries.length;
  const results = isWhole ? writeResults(root, finished) : { files: [], notes: [] };
  files.push(...results.files);
  const { notes } = results;
  const compared = outcomes.flatMap(({ entry, result }) =>
    entry.model === null || result === null ? [] : [{ name: entry.name, model: entry.model, summary: result.summary }],
  );
  if (compared.length === 0) return { files, table, notes };
  const tables = compareRuns(
    compared,
    entries.flatMap(({ model }) => model ?? []),
  );
  const more = [join(root, 'comparison.md'), join(root, 'comparison.csv')];
  writeWhole(more[0]!, comparisonMarkdown(tables));
  writeWhole(more[1]!, comparisonCsv(tables));
  return { files: [...files, ...more], table: comparisonMarkdown(tables), notes };
}

/**
 * Exports over all tasks (`suite.exports`): in the suite's folder, or with several checkpoints in each one's. `name`: the suite's.
 * Throws OutsideError when the disk refuses.
 */
export async function exportSuite(
  root: string,
  name: string,
  formats: readonly ExportFormat[],
  outcomes: readonly Outcome[],
): Promise<Exported> {
  const files: string[] = [];
  const notes: string[] = [];
  if (formats.length === 0) return { files, notes };
  for (const model of new Set(outcomes.map(({ entry }) => entry.model))) {
    const own = outcomes.filter(({ entry }) => entry.model === model);
    const given = own.map(({ entry: { name: entryName, task, config }, result, error }) => {
      const recipe = resolveRecipe(task, config);
      return { name: entryName, task, config, recipe, result, error: error?.text ?? null };
    });
    const written = await writeExports(model === null ? root : join(root, model), name, formats, given);
    files.push(...written.files);
    notes.push(...written.notes.map((note) => (model === null ? note : `${model}: ${note}`)));
  }
  return { files, notes };
}
