/** A suite over several checkpoints that names a gate: each checkpoint beside the first one, with the verdicts of compare.ts. */
import { join } from 'node:path';
import { judge } from '../compare/judge.ts';
import { compareMarkdown, verdictTable } from '../compare/markdown.ts';
import { type CompareResult, exitOfAll } from '../compare/result.ts';
import { type ComparedRun, type ComparedSet, openSet } from '../compare/sources.ts';
import type { CompareConfig } from '../config/compare.ts';
import { writeJson, writeWhole } from '../run/files.ts';
import { FORMAT, IncomparableError, type Log } from '../types.ts';
import type { Outcome } from './lines.ts';

/** What decides, as a suite's file says it. */
export type GateConfig = Pick<CompareConfig, 'gate' | 'bootstrap' | 'rows'>;

export interface Verdicts {
  files: string[];
  /** The suite's last table: what decides, of each checkpoint. */
  table: string;
  notes: string[];
  /** That of compare.ts: 1 where a checkpoint has REGRESSED, 4 where one is not sure. */
  code: number;
}

/** The runs of a checkpoint that are whole. */
async function setOf(outcomes: readonly Outcome[], name: string, folder: string): Promise<ComparedSet> {
  const runs: ComparedRun[] = [];
  for (const { entry, result } of outcomes) {
    if (entry.model !== name || result === null || result.summary.faults.length > 0) continue;
    const { runs: opened } = await openSet(entry.config.report.output_dir, 'current');
    runs.push(...opened.map((run) => ({ ...run, name: entry.name })));
  }
  return { name, folder, runs };
}

/**
 * Compares every later checkpoint with the first one, over the tasks that both have whole, and writes verdicts.json and
 * verdicts.md. What cannot be compared (other rows, other prompts) is a note and the exit code 5. Throws UserError for a metric
 * of the gate that is not there.
 */
export async function writeVerdicts(
  root: string,
  outcomes: readonly Outcome[],
  models: readonly string[],
  config: GateConfig,
  log: Log,
): Promise<Verdicts> {
  const [first, ...others] = models as [string, ...string[]];
  const reference = await setOf(outcomes, first, join(root, first));
  const unused = { baselines_dir: '', report: { output_dir: '', save_plot: false } };
  const results: { model: string; result: CompareResult }[] = [];
  const notes: string[] = [];
  let isIncomparable = false;
  for (const model of others) {
    const own = await setOf(outcomes, model, join(root, model));
    const names = own.runs.map(({ name }) => name);
    const before = { ...reference, runs: reference.runs.filter(({ name }) => names.includes(name)) };
    const now = { ...own, runs: own.runs.filter(({ name }) => before.runs.some((run) => run.name === name)) };
    if (now.runs.length === 0) {
      notes.push(`${model}: no task is whole both here and of ${first}: nothing is compared`);
      continue;
    }
    try {
      results.push({ model, result: await judge(before, now, { ...config, ...unused }, log) });
    } catch (error) {
      if (!(error instanceof IncomparableError)) throw error;
      isIncomparable = true;
      notes.push(`${model} against ${first}: ${error.message}`);
    }
  }
  for (const { model, result } of results) {
    notes.push(...result.warnings.map((line) => `${model}: ${line}`));
    notes.push(`${model} against ${first}: ${result.verdict}`);
  }
  const files = [join(root, 'verdicts.json'), join(root, 'verdicts.md')] as const;
  writeJson(files[0], { format: FORMAT, reference: first, checkpoints: results });
  writeWhole(files[1], results.map(({ result }) => compareMarkdown(result)).join('\n'));
  const table = results.map(({ model, result }) => `${model} against ${first}\n\n${verdictTable(result)}`).join('\n');
  const code = isIncomparable ? 5 : exitOfAll(results.map(({ result }) => result.exit_code as 0 | 1 | 4));
  return { files: [...files], table, notes, code };
}
