/** From two sets of runs to the result: pairs, metrics, verdicts, the exit code. */
import type { CompareConfig } from '../config/compare.ts';
import { gateOutcome, type Outcome } from '../score/gate.ts';
import { FORMAT, IncomparableError, type Log, type Measure } from '../types.ts';
import { differenceOf, isExact } from './difference.ts';
import { checkComparable, type Pairs, pairRows } from './pair.ts';
import { reachOf } from './power.ts';
import { driftOf, type Quantity, quantitiesOf } from './quantities.ts';
import {
  type CompareResult,
  exitOf,
  exitOfAll,
  type Flip,
  type MetricResult,
  type TaskResult,
  worst,
} from './result.ts';
import type { ComparedRun, ComparedSet } from './sources.ts';
import { allowedFor, type Candidate, checkThresholds, gatedMetrics } from './thresholds.ts';
import { clustersOf, macroF1Quantity, sampleQuantities, type WholeRun } from './whole_run.ts';

/** A task of both sets, its rows paired. */
interface Paired {
  run: ComparedRun;
  pairs: Pairs;
  /** The question of each pair, counted from 0; null where each is a question of its own. */
  clusters: Int32Array | null;
  /** By row, the primary one first; then those that are no mean over rows. */
  quantities: (Quantity | WholeRun)[];
  candidates: Candidate[];
}

/**
 * Compares two sets: every task of the current one with that of the same name. Throws IncomparableError where they are not the
 * same tasks or rows, UserError for a metric that is not there.
 */
export async function judge(
  baseline: ComparedSet,
  current: ComparedSet,
  config: CompareConfig,
  log: Log,
): Promise<CompareResult> {
  const { gate, bootstrap } = config;
  const warnings: string[] = [];
  const pairs = matchTasks(baseline, current, warnings);
  for (const [before, now] of pairs) checkComparable(before, now, config.rows);
  const all: Paired[] = [];
  for (const [before, now] of pairs) {
    const paired = await pairRows(before, now, config.rows);
    const clusters = clustersOf(paired);
    const quantities = allQuantities(paired, now, clusters);
    const candidates = quantities.map(
      ({ name, unit, better }): Candidate => ({
        task: now.name,
        name,
        unit,
        better,
        primary: name === now.summary.primary.name,
      }),
    );
    all.push({ run: now, pairs: paired, clusters, quantities, candidates });
    log.info(`${now.name}: ${paired.places.baseline.length} rows paired`);
  }
  const candidates = all.flatMap((one) => one.candidates);
  checkThresholds(candidates, gate);
  for (const { run, quantities } of all)
    if (quantities[0]?.name !== run.summary.primary.name)
      throw new IncomparableError(
        `${run.name}: the rows of both runs have no ${run.summary.primary.name}, by which it is judged. Give them verdicts by rescore.ts.`,
      );
  const gated = gatedMetrics(candidates, gate);
  const level = 1 - 0.05 / gated.length;
  const tasks = all.map((one): TaskResult => {
    const metrics = one.quantities.map((quantity, i): MetricResult => {
      const candidate = one.candidates[i]!;
      const isGated = gated.includes(candidate);
      const own = { level: isGated ? level : 0.95, ...bootstrap };
      return metricResult(quantity, one.clusters, candidate, { isGated, gate, ...own });
    });
    for (const { name, verdict, note } of metrics)
      if (note !== null && gated.some((metric) => metric.task === one.run.name && metric.name === name))
        warnings.push(`${one.run.name} ${name}: ${verdict}: ${note}`);
    return taskResult(one, metrics);
  });
  const decisive = tasks.flatMap(({ metrics }) => metrics.filter((metric) => metric.gated));
  const verdict = worst(decisive.map((metric) => metric.verdict));
  return {
    format: FORMAT,
    verdict,
    exit_code: exitOfAll(decisive.map((metric) => exitOf(metric, gate))),
    baseline: sideResult(baseline),
    current: sideResult(current),
    gate: { rule: gate.rule, strict: gate.strict, metrics: gated.map(({ task, name }) => `${task}.${name}`), level },
    tasks,
    warnings,
  };
}

/** Every metric of a task that both runs have. */
function allQuantities(pairs: Pairs, { summary }: ComparedRun, clusters: Int32Array | null): (Quantity | WholeRun)[] {
  const byRow = quantitiesOf(pairs, summary);
  const primary = byRow[0]?.name === summary.primary.name ? byRow[0] : undefined;
  const overSamples = primary === undefined ? [] : sampleQuantities(pairs, summary, primary);
  return [...byRow, ...overSamples, ...macroF1Quantity(pairs, summary, clusters)];
}

/** Tasks of both sets by name. Throws IncomparableError where there is none, or the current set lacks one. */
function matchTasks(baseline: ComparedSet, current: ComparedSet, warnings: string[]): [ComparedRun, ComparedRun][] {
  const { runs } = current;
  // A single run has no name of its own: it goes by its task.
  const [only] = baseline.runs;
  if (runs.length === 1 && baseline.runs.length === 1 && only!.summary.task === runs[0]!.summary.task)
    return [[only!, runs[0]!]];
  const missing = baseline.runs.filter(({ name }) => !runs.some((run) => run.name === name));
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ');
    throw new IncomparableError(
      `${current.folder}: it has no ${names}, which ${baseline.folder} has. There are: ${runs.map(({ name }) => name).join(', ')}.`,
    );
  }
  for (const { name } of runs)
    if (!baseline.runs.some((run) => run.name === name))
      warnings.push(`${name} is not in the baseline: nothing is said of it`);
  return baseline.runs.map((before) => [before, runs.find(({ name }) => name === before.name)!]);
}

interface Settings {
  isGated: boolean;
  gate: CompareConfig['gate'];
  level: number;
  draws: number;
  seed: number;
}

function metricResult(
  quantity: Quantity | WholeRun,
  clusters: Int32Array | null,
  candidate: Candidate,
  { isGated, gate, ...options }: Settings,
): MetricResult {
  const { name, unit, better } = quantity;
  const found = differenceOf(quantity, clusters, options);
  const allowed = allowedFor(candidate, found.baseline, gate);
  const same = found.differing === 0;
  const verdict = outcomeOf(found.interval, allowed, found.differing);
  const { smallest_drop, rows_needed } = reachOf(found, {
    exact: isExact(quantity, clusters),
    allowed,
    level: options.level,
  });
  return {
    name,
    unit,
    better,
    gated: isGated,
    ...found,
    level: options.level,
    allowed_drop: allowed,
    verdict,
    point: found.difference < -allowed ? 'FAIL' : 'PASS',
    smallest_drop,
    rows_needed: verdict === 'UNDERPOWERED' || verdict === 'SUSPECT' ? rows_needed : null,
    note: noteOn(verdict, { ...found, allowed, same, rows_needed, unit, better }),
  };
}

interface Noted extends Measure {
  difference: number;
  interval: [number, number] | null;
  allowed: number;
  same: boolean;
  rows_needed: number | null;
}

/** What a reader has to know of a verdict besides its name; null where there is nothing. */
function noteOn(verdict: Outcome, { difference, interval, allowed, same, rows_needed }: Noted): string | null {
  const rows = rows_needed === null ? '' : ` Some ${rows_needed.toLocaleString('en-US')} rows could.`;
  if (same)
    return allowed > 0
      ? 'no row differs: that the checkpoint is worse by less than the allowed drop is not ruled out'
      : null;
  if (verdict === 'UNDERPOWERED') return `so few rows cannot tell.${rows}`;
  if (verdict === 'SUSPECT') return `it is worse, perhaps by more than is allowed.${rows}`;
  if (verdict === 'HELD' && interval !== null && interval[1] < 0)
    return `it is worse by ${Math.abs(difference).toPrecision(2)}, and by no more than is allowed`;
  return null;
}

/** One row has no interval: it tells nothing unless both runs agree on it. */
function outcomeOf(interval: [number, number] | null, allowed: number, differing: number): Outcome {
  if (interval === null) return differing === 0 ? 'HELD' : 'UNDERPOWERED';
  return gateOutcome({ low: interval[0], high: interval[1] }, allowed, differing);
}

function taskResult({ run, pairs, clusters, quantities }: Paired, metrics: MetricResult[]): TaskResult {
  const { summary, name } = run;
  // `judge` has made sure that it stands there.
  const primary = quantities[0] as Quantity;
  const rows = pairs.places.baseline.length;
  return {
    name,
    task: summary.task,
    recipe: summary.recipe.name,
    rows,
    questions: clusters === null ? rows : new Set(clusters).size,
    left: pairs.left,
    metrics,
    drift: driftOf(pairs),
    flips_of: primary.binary ? primary.name : null,
    flips: primary.binary ? flipsOf(pairs, primary) : [],
  };
}

/** The rows of which one run has the primary metric right and the other does not. */
function flipsOf({ baseline, current, places }: Pairs, primary: Quantity): Flip[] {
  const flips: Flip[] = [];
  const indices = baseline.indices.array();
  for (let i = 0; i < places.baseline.length; i += 1) {
    const [before, now] = [primary.baseline.num[i]!, primary.current.num[i]!];
    if (before === now) continue;
    const [here, there] = [places.baseline[i]!, places.current[i]!];
    const [seed, sample] = baseline.draws[here]!.split('|');
    flips.push({
      id: baseline.ids[here]!,
      index: indices[here]!,
      ...(seed ? { seed: Number(seed) } : {}),
      ...(sample ? { sample: Number(sample) } : {}),
      gold: current.golds[there] ?? null,
      baseline: { value: before, prediction: baseline.predictions[here] ?? null },
      current: { value: now, prediction: current.predictions[there] ?? null },
    });
  }
  return flips;
}

function sideResult({ folder, runs }: ComparedSet): CompareResult['baseline'] {
  const names = runs.map(({ summary: { model } }) =>
    [model.label, ...(model.variant === null ? [] : [model.variant])].join(' '),
  );
  return { folder, models: [...new Set(names)] };
}
