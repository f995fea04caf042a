/** A suite over several checkpoints that names a gate: each checkpoint beside the first one, with the verdicts of compare.ts. */
import { join } from 'node:path';
import { judge } from '../compare/judge.ts';
import { compareMarkdown, verdictTable } from '../compare/markdown.ts';
import { type CompareResult, exitOfAll } from '../compare/result.ts';
import { type ComparedRun, type ComparedSet, openSet } from '../compare/sources.ts';
import type { CompareConfig } from '../config/compare.ts';
import { writeJson, writeWhole } from '../run/files.ts';
import { FORMAT, IncomparableError, type Log, UserError } from '../types.ts';
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

/** A later checkpoint beside the first one, or why it is not. */
interface Judged {
  model: string;
  result: CompareResult | null;
  /** Why there is no result. */
  reason: string | null;
  /** Tasks that are not whole on both of them, of which nothing is said. */
  left_out: string[];
}

/**
 * Compares every later checkpoint with the first one, over the tasks that both have whole, and writes verdicts.json and
 * verdicts.md. What cannot be compared (other rows, other prompts) is a note and the exit code 5; what is not whole is a
 * note. Throws UserError for a metric of the gate that is not there.
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
  const judged: Judged[] = [];
  let isIncomparable = false;
  for (const model of others) {
    const tasks = outcomes.filter(({ entry }) => entry.model === model).map(({ entry }) => entry.name);
    const own = await setOf(outcomes, model, join(root, model));
    const now = { ...own, runs: own.runs.filter(({ name }) => reference.runs.some((run) => run.name === name)) };
    const before = {
      ...reference,
      runs: reference.runs.filter(({ name }) => now.runs.some((run) => run.name === name)),
    };
    const left_out = tasks.filter((name) => !now.runs.some((run) => run.name === name));
    const one: Judged = { model, result: null, reason: null, left_out };
    judged.push(one);
    if (now.runs.length === 0) {
      one.reason = `no task is whole both here and of ${first}: nothing is compared`;
      continue;
    }
    try {
      one.result = await judge(before, now, { ...config, ...UNUSED }, log);
    } catch (error) {
      isIncomparable ||= error instanceof IncomparableError;
      // A metric of the gate may be one of a task that is left out.
      const isKnown = error instanceof IncomparableError || (error instanceof UserError && left_out.length > 0);
      if (!isKnown) throw error;
      one.reason = error.message;
    }
  }
  return write(root, first, judged, isIncomparable);
}

const UNUSED = { baselines_dir: '', report: { output_dir: '', save_plot: false } };

function write(root: string, first: string, judged: readonly Judged[], isIncomparable: boolean): Verdicts {
  const results = judged.flatMap(({ model, result }) => (result === null ? [] : [{ model, result }]));
  const notes: string[] = [];
  for (const { model, result, reason, left_out } of judged) {
    if (result !== null) {
      notes.push(...result.warnings.map((line) => `${model}: ${line}`));
      if (left_out.length > 0) notes.push(`${model}: ${leftOut(left_out, first)}`);
    }
    notes.push(
      result === null ? `${model} against ${first}: ${reason}` : `${model} against ${first}: ${result.verdict}`,
    );
  }
  const files = [join(root, 'verdicts.json'), join(root, 'verdicts.md')] as const;
  writeJson(files[0], { format: FORMAT, reference: first, checkpoints: judged });
  writeWhole(files[1], judged.map((one) => documentOf(one, first)).join('\n'));
  const table = results.map(({ model, result }) => `${model} against ${first}\n\n${verdictTable(result)}`).join('\n');
  const code = isIncomparable ? 5 : exitOfAll(results.map(({ result }) => result.exit_code as 0 | 1 | 4));
  return { files: [...files], table, notes, code };
}

const leftOut = (tasks: readonly string[], first: string) =>
  `nothing is said of ${tasks.join(', ')}: not whole both here and of ${first}`;

/** The part of verdicts.md about one checkpoint. */
function documentOf({ model, result, reason, left_out }: Judged, first: string): string {
  if (result === null) return `## Not compared\n\n${model} against ${first}: ${reason}\n`;
  const left = left_out.length === 0 ? '' : `\n- ${leftOut(left_out, first)}\n`;
  return `${compareMarkdown(result)}${left}`;
}
