/**
 * Did it get worse? Two runs of the same rows, pair by pair: verdicts with statistics, and the rows that flipped.
 *
 *     NANOEVAL_CONFIG=configs/compare.yaml npx tsx nanoeval/compare.ts
 *
 * Reads two runs, suites or baselines, and writes compare.json, compare.md, junit.xml and a chart. The exit code is the
 * verdict's: 0 held or improved, 1 regressed, 4 not sure, 5 not comparable. With `power` alone it prints what so many rows
 * can find, and compares nothing.
 */
import { join, resolve, sep } from 'node:path';
import { findBaseline } from './compare/baseline.ts';
import { judge } from './compare/judge.ts';
import { compareCases } from './compare/junit.ts';
import { compareMarkdown, verdictTable } from './compare/markdown.ts';
import { powerTable } from './compare/power.ts';
import { type CompareResult, exitOf, GATE_EXIT, type MetricResult, type TaskResult } from './compare/result.ts';
import { type ComparedSet, openSet } from './compare/sources.ts';
import { parseConfig } from './config/check.ts';
import { type CompareConfig, compareSchema } from './config/compare.ts';
import { type ConfigFile, readConfigFile } from './config/file.ts';
import { EXIT, isProgram, type ProgramLog, placeError, runProgram } from './program.ts';
import type { ForestLine } from './report/forest.ts';
import { junitXml } from './report/junit.ts';
import { writeJson, writeWhole } from './run/files.ts';
import { checkFolder } from './run/journal.ts';
import { UserError } from './types.ts';

/** What is compared. Throws UserError where the config does not say. */
async function openBoth(config: CompareConfig, log: ProgramLog): Promise<[ComparedSet, ComparedSet]> {
  const { baseline, current, baselines_dir, branch } = config;
  if (current === undefined)
    throw new UserError('missing. Name the folder of the run or suite that is judged.', { key: 'current' });
  if (baseline === undefined)
    throw new UserError('missing. Name the folder of the run that it is compared with, or `branch`.', {
      key: 'baseline',
    });
  const now = await openSet(current, 'current');
  const folder = baseline === 'branch' ? await findBaseline(baselines_dir, now.name, branch, log) : baseline;
  return [await openSet(folder, 'baseline'), now];
}

/** The files go to no folder that is read. */
function checkApart(sets: readonly ComparedSet[], root: string): void {
  const folders = sets.flatMap(({ folder, runs }) => [folder, ...runs.map((run) => run.folder)]);
  const inside = folders.find(
    (folder) => resolve(root) === resolve(folder) || resolve(root).startsWith(resolve(folder) + sep),
  );
  if (inside === undefined) return;
  throw new UserError(`${root} is where the comparison goes, and ${inside} is what is compared. Name another folder.`, {
    key: 'report.output_dir',
  });
}

/** Difference and interval of a metric as a line of the chart: points of a share, percent of the baseline otherwise. */
function forestLine(task: TaskResult, metric: MetricResult): ForestLine {
  const { unit, baseline, difference, interval, allowed_drop, verdict, name } = metric;
  const scale = unit === 'share' ? 100 : 100 / (Math.abs(baseline) || 1);
  return {
    label: `${task.name} ${name}`,
    difference: scale * difference,
    interval: interval === null ? null : [scale * interval[0], scale * interval[1]],
    allowed: scale * allowed_drop,
    verdict,
  };
}

async function writeChart(result: CompareResult, root: string): Promise<string[]> {
  // Vega is the slowest import of all; only a comparison that draws waits for it.
  const { drawForest } = await import('./report/chart.ts');
  const { tasks, gate, verdict, baseline, current } = result;
  const lines = (unit: MetricResult['unit']) =>
    tasks.flatMap((task) =>
      task.metrics.filter((metric) => metric.gated && metric.unit === unit).map((metric) => forestLine(task, metric)),
    );
  const level = Number((100 * gate.level).toFixed(2));
  const chart = await drawForest({
    title: `${verdict}: ${current.models.join(', ')}`,
    subtitle: [`against ${baseline.models.join(', ')}`, `${level} % intervals`, 'dashed: the drop that is allowed'],
    panels: [
      { unit: 'percentage points', lines: lines('share') },
      { unit: 'percent of the baseline', lines: lines('number') },
    ],
  });
  const files = [join(root, 'compare.png'), join(root, 'compare.svg')] as const;
  writeWhole(files[0], chart.png);
  writeWhole(files[1], chart.svg);
  return [...files];
}

async function compare(file: ConfigFile, config: CompareConfig, log: ProgramLog): Promise<number> {
  const root = config.report.output_dir;
  let result: CompareResult;
  try {
    const sets = await openBoth(config, log);
    checkApart(sets, root);
    checkFolder(join(root, 'compare.json'));
    result = await judge(...sets, config, log);
  } catch (error) {
    throw placeError(error, file, (path) => [path]);
  }
  const files = ['compare.json', 'compare.md', 'junit.xml'].map((name) => join(root, name)) as [string, string, string];
  const fails = (metric: MetricResult) => exitOf(metric, config.gate) !== GATE_EXIT.passed;
  writeJson(files[0], result);
  writeWhole(files[1], compareMarkdown(result));
  writeWhole(files[2], junitXml('nanoeval compare', compareCases(result, fails)));
  const charts = config.report.save_plot ? await writeChart(result, root) : [];
  log.print(verdictTable(result));
  for (const line of result.warnings) log.info(line);
  log.info(`written: ${[...files, ...charts].join(' ')}`);
  log.info(`${result.verdict} (exit code ${result.exit_code})`);
  return result.exit_code;
}

if (isProgram(import.meta.url)) {
  await runProgram(async (log) => {
    const file = readConfigFile('NANOEVAL_CONFIG', process.env.NANOEVAL_CONFIG, 'configs/compare.yaml');
    const config = parseConfig(file, compareSchema);
    if (config.power === undefined) return compare(file, config, log);
    log.print(powerTable(config.power));
    return EXIT.done;
  });
}
