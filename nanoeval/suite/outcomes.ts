/** The tasks of a suite, run one after another, and the files that say what came of them. */
import { join } from 'node:path';
import type { ConfigFile } from '../config/file.ts';
import { nearest } from '../config/messages.ts';
import { asInterruption, describeError, placeError } from '../program.ts';
import { type SuiteTask, suiteTable } from '../report/table.ts';
import { compareRuns, comparisonCsv, comparisonMarkdown } from '../run/comparison.ts';
import { writeJson, writeWhole } from '../run/files.ts';
import { type Models, openModels } from '../run/models.ts';
import { notesOn } from '../run/notes.ts';
import type { RunResult } from '../run/outcome.ts';
import { writeResults } from '../run/result_file.ts';
import { runTask } from '../run/run.ts';
import { suiteDate } from '../run/template_date.ts';
import { FORMAT, type Log } from '../types.ts';
import type { Entry } from './entries.ts';

/** What a task of the suite came to. */
export interface Outcome {
  entry: Entry;
  result: RunResult | null;
  error: { code: number; text: string } | null;
}

export const labelOf = ({ model, name }: Entry) => (model === null ? name : `${model}/${name}`);

function tableEntry({ entry, result, error }: Outcome): SuiteTask[] {
  const { config, reference } = entry;
  const name = labelOf(entry);
  const head = { task: name, recipe: config.scoring.recipe };
  if (result?.scores == null) {
    const reason = error?.text ?? result?.summary.faults[0] ?? 'no row could be scored';
    return [{ ...head, n: null, metric: null, estimate: null, error: reason }];
  }
  const { scores } = result;
  const source = String(reference?.source ?? '');
  const wanted = new Set([scores.primary.name, ...Object.keys(reference ?? {}).filter((key) => key !== 'source')]);
  if (result.shortfall !== null) head.task = `${name} (failed)`;
  if (result.summary.faults.length > 0) head.task = `${name} (invalid)`;
  return [...wanted].map((metric) => {
    const estimate = scores.metrics[metric] ?? null;
    const value = reference?.[metric];
    const hint = nearest(metric, Object.keys(scores.metrics));
    const error = `no such metric${hint === null ? '' : `; ${hint}?`}`;
    return {
      ...head,
      n: estimate?.n ?? null,
      metric,
      estimate,
      ...(estimate === null ? { error } : {}),
      ...(typeof value === 'number' ? { reference: { value, source } } : {}),
    };
  });
}

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

/**
 * Writes suite_summary.json, suite.md, the result files where all tasks had their turn, and, for several checkpoints, the
 * comparison. Returns the files, what to print, and what is to be said.
 */
export function writeSuite(
  root: string,
  name: string,
  entries: readonly Entry[],
  outcomes: readonly Outcome[],
): { files: string[]; table: string; notes: string[] } {
  const table = suiteTable(outcomes.flatMap(tableEntry));
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
