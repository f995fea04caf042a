/**
 * A run from its resolved config to its files: plan -> earlier rows -> model -> predictions -> verdicts -> report.
 *
 * A task file brings `examples` (rows as questions), `score` and `summarize`. Everything that is written besides
 * predictions.jsonl and run.json follows from those two files.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskConfig } from '../config/keys.ts';
import { show } from '../config/messages.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { FailedRow, Model, Prediction } from '../questions.ts';
import { COMPANION_FILE, PAGE_FILE } from '../report/summary.ts';
import type { Scorer, Task } from '../task.ts';
import { type Log, OutsideError, UserError } from '../types.ts';
import { askModel } from './ask.ts';
import { checkConfig, givesTokenIds } from './check.ts';
import { Companion } from './companion.ts';
import { compareAgain, type Determinism, drawChecked } from './determinism.ts';
import { withExports } from './exports.ts';
import { writeJson, writeWhole } from './files.ts';
import { inParallel } from './in_parallel.ts';
import { checkFolder, type Finished, finishJournal, openJournal, rowKey, rowsAtOnce } from './journal.ts';
import type { Live } from './live.ts';
import { takeLock } from './lock.ts';
import type { Models } from './models.ts';
import { type RunResult, type Summary, writeReport } from './outcome.ts';
import { expectedRows, openPlan, type Plan } from './plan.ts';
import type { RunRecord } from './record.ts';
import { type Before, checkForm, lookBefore } from './resume.ts';
import { type SlimRow, slimRow, Tally } from './tally.ts';
import { scoredRow } from './verdict.ts';

/**
 * One task from its resolved config to its files: goes on where an earlier run of the same config stopped, and answers at
 * once where it is finished. `today`: the date for chat templates that ask for it, where neither the config nor an earlier run
 * says another. Throws UserError, OutsideError, Interrupted.
 */
export async function runTask<C extends TaskConfig, G>(
  task: Task<C, G>,
  config: C,
  models: Models,
  log: Log,
  signal: AbortSignal,
  today?: string,
): Promise<RunResult> {
  const recipe = checkConfig(task, config);
  checkFolder(join(config.report.output_dir, config.report.predictions_filename));
  const lock = takeLock(config.report.output_dir);
  if (lock.takenFrom !== null) log.info(`${config.report.output_dir}: ${lock.takenFrom} left its lock and is gone`);
  try {
    const run = await runLocked(task, config, recipe, models, { log, signal, today });
    const { result, notes } = await withExports(task as unknown as Task, config, recipe, run);
    for (const note of notes) log.info(`${task.name}: ${note}`);
    return result;
  } finally {
    lock.release();
  }
}

async function runLocked<C extends TaskConfig, G>(
  task: Task<C, G>,
  config: C,
  recipe: ResolvedRecipe,
  models: Models,
  options: { log: Log; signal: AbortSignal; today: string | undefined },
): Promise<RunResult> {
  const started = new Date();
  // A sandbox that is not there is told before anything is downloaded.
  const scorer = config.run.score ? ((await task.scorer?.(config)) ?? null) : null;
  if (scorer !== null) options.log.info(`${task.name}: ${scorer.about}`);
  const plan = await openPlan(task, config, recipe, models, options);
  const open = () => models.open(config);
  const before = await lookBefore(plan, open, options.log);
  if (before.result !== null) return before.result;
  const model = await open();
  if (before.known !== null) checkForm(config, before.known, model);
  const under = new UnderWay(plan, model, before, started, { ...options, scorer });
  const done = await under.askAll();
  return under.finish(done);
}

/** A run whose model is loaded. */
class UnderWay<C extends TaskConfig, G> {
  private readonly plan: Plan<C, G>;
  private readonly model: Model;
  private readonly before: Before;
  private readonly started: Date;
  private readonly log: Log;
  private readonly signal: AbortSignal;
  /** predictions.jsonl */
  private readonly path: string;
  private readonly record: RunRecord;
  /** Rows that may be scored at a time. */
  private readonly atOnce: number;
  private readonly statsBefore: Record<string, number | null>;
  private halved = 0;

  constructor(
    plan: Plan<C, G>,
    model: Model,
    before: Before,
    started: Date,
    { log, signal, scorer }: { log: Log; signal: AbortSignal; scorer: Scorer | null },
  ) {
    this.plan = plan;
    this.model = model;
    this.before = before;
    this.started = started;
    this.log = log;
    this.signal = signal;
    this.atOnce = scorer?.atOnce ?? 1;
    const { report } = plan.config;
    this.path = join(report.output_dir, report.predictions_filename);
    this.statsBefore = model.stats();
    // What an earlier process said of the rows does not hold any more.
    rmSync(join(report.output_dir, report.summary_filename), { force: true });
    const computed = { form: model.engine.form, ...withoutKeys(model.engine, plan.record.engine) };
    const record = before.known ?? { ...plan.record, computed, started: started.toISOString() };
    const scored = [...new Set([...(record.scored_with ?? []), ...(scorer === null ? [] : [scorer.about])])];
    this.record = scored.length === 0 ? record : { ...record, scored_with: scored };
    if (before.known === null || scorer !== null) this.writeRecord();
  }

  /** Passes that were halved for want of memory, by this process and those before it. */
  private get halvedPasses(): number {
    return (this.before.known?.computed?.halved_passes ?? 0) + this.halved;
  }

  private writeRecord(): void {
    const computed = { ...this.record.computed, halved_passes: this.halvedPasses };
    writeJson(join(this.plan.config.report.output_dir, 'run.json'), { ...this.record, computed });
  }

  /** Asks everything that has no verdict yet, and writes each row as it is known. Returns how many rows there are. */
  async askAll(): Promise<number> {
    const { plan, model, before, log, signal } = this;
    const { config, task, recipe } = plan;
    for (const line of notesBefore(config, recipe, model)) log.info(line);
    const journal = openJournal(this.path);
    let companion: Companion | null = null;
    let live: Live | null = null;
    const count = new RunningCount(plan, before, log);
    try {
      companion = await this.openCompanion();
      live = await this.openLive();
      for (const selection of plan.selections) {
        const shown = companion === null ? {} : { shown: companion };
        const predictions = askModel(plan, model, { selection, earlier: before.earlier, ...shown }, signal);
        const rows = config.run.score
          ? inParallel(predictions, this.atOnce, (one) => scoredRow(task, one, recipe, config))
          : predictions;
        for await (const known of rows) {
          // Before the row: one that has a verdict is not asked again.
          await companion?.write(known);
          const row = journal.append(known);
          this.noteRetreat();
          count.add(row);
        }
      }
      if (count.done === 0 && config.run.shard === undefined)
        throw new UserError(`${plan.split.dataset_id} ${plan.split.split}: no rows were selected.`, {
          key: 'dataset',
        });
    } finally {
      journal.close();
      companion?.close();
      live?.close();
    }
    return count.done;
  }

  /** The page of the rows so far, where the config asks for it. */
  private async openLive(): Promise<Live | null> {
    const { task, config, recipe, record } = this.plan;
    if (!config.run.live) return null;
    const { openLive } = await import('./live.ts');
    const { output_dir: folder, predictions_filename: predictions } = config.report;
    const facts: [string, string][] = [
      ['recipe', `${recipe.name}, ${recipe.strategy}`],
      ['data set', `${record.dataset.dataset_id}, ${record.dataset.split}`],
      ['folder', folder],
    ];
    const model = [record.model.label, record.model.variant].filter((part) => part !== null).join(' ');
    const primary = { name: recipe.primary, unit: recipe.unit, better: recipe.better, chance: null };
    const total = expectedRows(this.plan);
    const live = await openLive({ task: task.name, model, facts, primary, folder, predictions, total });
    this.log.info(`live: ${live.address}`);
    return live;
  }

  /** page.jsonl, where the config asks for it. */
  private async openCompanion(): Promise<Companion | null> {
    const { config } = this.plan;
    if (!config.report.page) return null;
    const path = join(config.report.output_dir, COMPANION_FILE);
    // Without rows it is what another run left.
    if (this.before.known === null) rmSync(path, { force: true });
    const { model } = this;
    return Companion.open(path, {
      texts: model.tokenTexts === undefined ? null : (ids) => model.tokenTexts!(ids),
      tokens: givesTokenIds(config.model.backend),
    });
  }

  /** A retreat for want of memory moves numbers: it is written down at once, for a run may be killed for it. */
  private noteRetreat(): void {
    const now = (this.model.stats().halved_passes ?? 0) - (this.statsBefore.halved_passes ?? 0);
    if (now <= this.halved) return;
    this.halved = now;
    this.writeRecord();
  }

  /** Puts the rows into order, computes some of them again, and writes the report. */
  async finish(done: number): Promise<RunResult> {
    const { plan, model, path } = this;
    const { config, recipe, record } = plan;
    // A shard may have no rows. Its file says so.
    if (done === 0) writeWhole(path, '');
    const finished = await finishJournal(path, slimRow);
    const tally = new Tally();
    for (const row of finished.kept) tally.add(row);
    const { rows } = tally.health;
    const expected = expectedRows(plan);
    if (done !== expected || rows !== done) {
      throw new OutsideError(
        `${path}: ${Math.min(rows, done)} rows of ${expected} are there. Run the same config again. If that does not help, the file was edited, or the task makes no example of some rows.`,
      );
    }
    const stats: Record<string, number | null> = {
      ...spent(this.statsBefore, model.stats()),
      halved_passes: this.halvedPasses,
    };
    const determinism = await this.checkRows(finished);
    const computed = done - this.before.earlier.scored.size;
    const notes = notesBefore(config, recipe, model);
    const reported = {
      task: plan.task,
      config,
      recipe,
      record: { ...record, ...scoredWith(this.record), computed: this.record.computed },
      model,
    };
    const own = { started: this.started, stats, determinism, computed, notes };
    const result = await writeReport(reported, tally, config.report.page ? { ...own, page: this.pageOf() } : own);
    if (stats.tokens_asked != null)
      this.log.info(
        `${plan.task.name}: ${stats.tokens_asked} tokens asked, ${stats.tokens_run} run in ${stats.passes} forward passes`,
      );
    return result;
  }

  /** Writes the page of the run at its end. */
  private pageOf(): (summary: Summary) => Promise<string[]> {
    const { task, config, recipe, record } = this.plan;
    const { output_dir } = config.report;
    return async (summary) => {
      const { writePage } = await import('./report_page.ts');
      const charted = { task, config, recipe, record };
      const run = { name: task.name, folders: [output_dir], summary, charted, batches: () => rowsAtOnce(this.path) };
      const title = `${task.name}: ${record.model.label}`;
      const page = await writePage(join(output_dir, PAGE_FILE), { kind: 'run', title, runs: [run] });
      return [page, join(output_dir, COMPANION_FILE)];
    };
  }

  /** `run.check_rows` of the scored rows of the first seed once more, each by itself. */
  private async checkRows({ kept, rowsAt }: Finished<SlimRow>): Promise<Determinism | null> {
    const { plan, model, signal } = this;
    const asked = plan.config.run.check_rows;
    // A long text takes as long again, and shares nothing with others: a tenth of them at most.
    const count = plan.recipe.verb === 'loglikelihood_rolling' ? Math.min(asked, Math.floor(kept.length / 10)) : asked;
    if (count === 0) return null;
    const selection = plan.selections[0]!;
    const own = plan.manySeeds ? selection.seed : undefined;
    const places = [...kept.keys()].filter((i) => !('error' in kept[i]!.row) && kept[i]!.row.seed === own);
    const only = drawChecked(
      places.map((i) => kept[i]!.row.index),
      count,
    );
    const stored = rowsAt(places.filter((i) => only.includes(kept[i]!.row.index))) as Prediction<G>[];
    const before = new Map(stored.flatMap((row) => (row.output === undefined ? [] : [[rowKey(row), row.output]])));
    const part = { selection, earlier: { scored: new Set<string>(), failed: new Set<string>() }, only, before };
    return compareAgain(plan, stored, askModel(plan, model, part, signal));
  }
}

const scoredWith = ({ scored_with }: RunRecord) => (scored_with === undefined ? {} : { scored_with });

/** Settings that stand elsewhere in the record. */
function withoutKeys<T extends object>(from: T, others: object): Partial<T> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => !(key in others))) as Partial<T>;
}

/** Rows as they come, for the progress line and for a run that cannot become valid any more. */
class RunningCount {
  done: number;
  private scored: number;
  private sum: number;
  private failed = 0;
  private readonly total: number;
  private readonly plan: Pick<Plan, 'task' | 'config' | 'recipe'>;
  private readonly log: Log;

  constructor(plan: Pick<Plan, 'task' | 'config' | 'recipe' | 'selections'>, { earlier }: Before, log: Log) {
    this.plan = plan;
    this.log = log;
    this.total = expectedRows(plan);
    this.done = earlier.scored.size;
    this.scored = earlier.scored.size;
    this.sum = earlier.sum;
  }

  add(row: FailedRow | (Prediction & { metrics?: Record<string, number> })): void {
    const { config, task, recipe } = this.plan;
    this.done += 1;
    if ('error' in row) {
      this.failed += 1;
      giveUp(this.failed, row, config, this.total);
    } else {
      // A metric that rows do not have (a macro mean) has no mean so far either.
      const value = row.metrics?.[recipe.primary];
      if (value !== undefined) {
        this.scored += 1;
        this.sum += value;
      }
    }
    const mean = `${recipe.primary} ${(this.sum / this.scored).toFixed(3)}`;
    // The mean over rows of a number (a perplexity) is not what the run will say of it.
    const note = recipe.unit === 'share' ? mean : `${mean} (mean of the rows so far)`;
    this.log.progress({
      label: task.name,
      done: this.done,
      total: this.total,
      unit: 'rows',
      note: this.scored === 0 || !config.run.score ? '' : note,
    });
  }
}

/** Rows that may fail before `run.max_failed` is looked at: a first bad row is no reason to stop. */
const FAILURES = 16;

/** Ends a run of which so much failed that it cannot become valid any more. */
function giveUp(failed: number, row: FailedRow, { run }: TaskConfig, total: number): void {
  if (failed <= Math.max(FAILURES, run.max_failed * total)) return;
  throw new OutsideError(
    `gave up: ${failed} of ${total} rows failed, more than run.max_failed ${run.max_failed}; the last: row ${row.index} (id ${row.id}): ${row.error.message} ` +
      'The same config goes on from here.',
  );
}

/** What a reader of the numbers should know, and can be said before the first row. */
function notesBefore(config: TaskConfig, recipe: ResolvedRecipe, { identity, can }: Model): string[] {
  const notes = idleSeeds(config, recipe);
  if (recipe.verb !== 'generate_until' || can.ends !== false) return notes;
  const stops = recipe.until.length === 0 ? '' : `at ${recipe.until.map(show).join(' or ')}, or `;
  const line = `${identity.label}: no config names a token that ends an answer (eos_token_id in generation_config.json or config.json, eos_token in tokenizer_config.json): an answer ends ${stops}after ${recipe.maxNewTokens} tokens`;
  return [...notes, line];
}

/** Several seeds that cannot change anything are said to be so. */
function idleSeeds({ dataset, scoring }: TaskConfig, { verb }: ResolvedRecipe): string[] {
  if (scoring.seeds === undefined || scoring.temperature > 0 || dataset.sample !== undefined) return [];
  const why = verb === 'generate_until' ? 'greedy answers' : 'log-likelihoods';
  return [`scoring.seeds: ${why} over all rows do not depend on a seed: every seed gives the same rows`];
}

/** What this run added to the counters of a model that a suite's tasks share; settings stay as they are. */
function spent(before: Record<string, number | null>, after: Record<string, number | null>) {
  const counted = (name: string) => /^(tokens_|passes$|halved_passes$|image|requests)/.test(name);
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, counted(name) ? (value ?? 0) - (before[name] ?? 0) : value]),
  );
}
