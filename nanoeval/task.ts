/**
 * What a run is: config -> model -> examples -> predictions -> scores -> report.
 *
 * A task file brings `predict` (needs the model, yields one prediction a row), `score` and `summarize` (pure). Everything
 * that is written besides predictions.jsonl and run.json is a function of those two files.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { type ConfigFile, parseConfig, readConfigFile, show } from './config/file.ts';
import type { TaskConfig } from './config/keys.ts';
import { type Recipe, type ResolvedRecipe, resolveRecipe } from './config/recipe.ts';
import { openSplit } from './data/rows.ts';
import { EXIT, isProgram, runProgram } from './program.ts';
import { artefactNames, tableRows } from './report/summary.ts';
import { resultTable } from './report/table.ts';
import { makeRun, openShots, type Run, shardOf } from './run/ask.ts';
import { checkRows } from './run/determinism.ts';
import { writeJson } from './run/files.ts';
import {
  checkFolder,
  failedRow,
  hasRows,
  type JournalRow,
  keepAside,
  openJournal,
  readEarlier,
  sortJournal,
} from './run/journal.ts';
import { takeLock } from './run/lock.ts';
import { type Models, openModels } from './run/models.ts';
import { finishedRun, type RunResult, remarks, writeReport } from './run/outcome.ts';
import { describeRun, type RunRecord, readRecord } from './run/record.ts';
import {
  type FailedRow,
  type Log,
  OutsideError,
  type Prediction,
  RowError,
  type ScoredRow,
  type Scores,
  type TableRow,
  UserError,
  type Verdict,
} from './types.ts';
export interface Task<C extends TaskConfig = TaskConfig> {
  name: string;
  config: z.ZodType<C>;
  recipes: Record<string, Recipe>;
  /** The split of the same data set that few-shot examples come from; null where there are none to have. */
  shotsFrom: string | null;
  predict(run: Run<C>): AsyncGenerator<Prediction | FailedRow>;
  /** Pure: the verdict on one saved prediction. */
  score(prediction: Prediction, recipe: ResolvedRecipe): Verdict;
  /** Pure: the means over all rows, the primary metric first. */
  summarize(rows: readonly ScoredRow[], recipe: ResolvedRecipe): Scores;
  /** Rows that are planned together, where they are heavy: the files of as many pictures are held at a time. */
  rowsTogether?: number;
  /** `dataset.subset_size` counts rows of each subject instead of the split (the original's MMLU). */
  subsetOfEachSubject?: boolean;
}

/** Keys that do not go together, which no schema sees. Throws UserError; returns the recipe's settings. */
export function checkConfig(
  task: { name: string; recipes: Record<string, Recipe>; shotsFrom: string | null },
  config: TaskConfig,
): ResolvedRecipe {
  const { subset_size, sample } = config.dataset;
  if (subset_size !== undefined && sample !== undefined) {
    throw new UserError(`${sample}, beside subset_size ${subset_size}. Keep one: the first n rows, or n drawn ones.`, {
      key: 'dataset.sample',
    });
  }
  const names = artefactNames(config.report);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new UserError(`two files of the run would both be called ${show(twice)}. Name them apart.`, {
      key: 'report',
    });
  }
  const recipe = resolveRecipe(task, config);
  const { max_new_tokens } = config.scoring;
  if (max_new_tokens !== undefined && recipe.strategy === 'rank_ll') {
    throw new UserError(`${max_new_tokens}, but rank_ll generates nothing. Leave it out.`, {
      key: 'scoring.max_new_tokens',
    });
  }
  checkSampling(config, recipe);
  if (config.run.shard !== undefined) {
    const { number, count } = shardOf(config.run.shard);
    if (number > count) throw new UserError(`"${config.run.shard}": there are ${count} shards.`, { key: 'run.shard' });
    if (subset_size !== undefined)
      throw new UserError(
        `"${config.run.shard}", beside dataset.subset_size: the first rows cannot be shared out. Use dataset.sample.`,
        { key: 'run.shard' },
      );
  }
  if (recipe.numFewshot > 0 && task.shotsFrom === null) {
    throw new UserError(`${recipe.numFewshot}, but ${task.name} has no worked examples. Leave it out.`, {
      key: 'scoring.num_fewshot',
    });
  }
  if (recipe.numFewshot > 0 && config.dataset.split === task.shotsFrom) {
    throw new UserError(
      `"${task.shotsFrom}" is where the ${recipe.numFewshot} shots come from: rows would see their own answers. Set scoring.num_fewshot: 0.`,
      { key: 'dataset.split' },
    );
  }
  return recipe;
}

/** Sampling without effect is an error, not a habit. */
function checkSampling({ scoring }: TaskConfig, { strategy }: ResolvedRecipe): void {
  const { temperature, top_p, samples_per_prompt, seeds } = scoring;
  if (temperature > 0 && strategy === 'rank_ll')
    throw new UserError(`${temperature}, but rank_ll generates nothing. Leave it out.`, { key: 'scoring.temperature' });
  if (temperature === 0 && top_p < 1)
    throw new UserError(`${top_p}, but nothing is drawn at temperature 0. Leave it out, or set scoring.temperature.`, {
      key: 'scoring.top_p',
    });
  if (temperature === 0 && samples_per_prompt > 1)
    throw new UserError(
      `${samples_per_prompt}, but at temperature 0 every answer is the same. Set scoring.temperature.`,
      { key: 'scoring.samples_per_prompt' },
    );
  if (seeds !== undefined && new Set(seeds).size < seeds.length)
    throw new UserError('a seed stands there twice. Its rows would be the same.', { key: 'scoring.seeds' });
}

/**
 * One task from its resolved config to its files: goes on where an earlier run of the same config stopped, and answers at
 * once where it is finished. Throws UserError, OutsideError, Interrupted.
 */
export async function runTask<C extends TaskConfig>(
  task: Task<C>,
  config: C,
  models: Models,
  log: Log,
  signal: AbortSignal,
): Promise<RunResult> {
  const recipe = checkConfig(task, config);
  checkFolder(join(config.report.output_dir, config.report.predictions_filename));
  const lock = takeLock(config.report.output_dir);
  if (lock.takenFrom !== null) log.info(`${config.report.output_dir}: ${lock.takenFrom} left its lock and is gone`);
  try {
    return await runLocked(task, { config, recipe, models, log, signal });
  } finally {
    lock.release();
  }
}

/** What a run is made of besides its task. */
interface Setting<C extends TaskConfig> {
  config: C;
  recipe: ResolvedRecipe;
  models: Models;
  log: Log;
  signal: AbortSignal;
}

async function runLocked<C extends TaskConfig>(
  task: Task<C>,
  { config, recipe, models, log, signal }: Setting<C>,
): Promise<RunResult> {
  const started = new Date();
  const { dataset, report, scoring } = config;
  const path = join(report.output_dir, report.predictions_filename);
  // The rows before the weights: a misspelt split does not wait for a download of gigabytes.
  const split = await openSplit({ ...dataset, path: dataset.path ?? null }, { log, signal });
  const shots = await openShots(task.shotsFrom, config, recipe, { log, signal });
  const splits = { split, shots };
  const found = await models.find(config.model);
  const answer = recipe.strategy === 'rank_ll' ? 0 : (scoring.max_new_tokens ?? recipe.rule.max_new_tokens ?? 0);
  if (answer >= found.identity.max_length) {
    const message = `${answer} leaves no room for a prompt in a window of ${found.identity.max_length} tokens.`;
    throw new UserError(message, { key: 'scoring.max_new_tokens' });
  }
  const record = await describeRun(config, recipe, found.identity, splits, task.name);
  if (config.run.overwrite && hasRows(path)) {
    log.info(`the old run is kept in ${keepAside(report.output_dir, artefactNames(report))}`);
  }
  // A run that stopped midway needs the checkpoint: it is loaded while the rows are read.
  if (isUnfinished(config, record)) models.open(config.model, config.engine).catch(() => undefined);
  const earlier = await readEarlier(path);
  if (earlier.torn > 0) log.info(`${path}: a torn last line of ${earlier.torn} bytes is dropped`);
  const before = earlier.scored.size + earlier.failed.size;
  const known = before === 0 ? null : readRecord(report.output_dir, path, record);
  if (known !== null) {
    if ((known.config.run.score ?? true) !== config.run.score) {
      throw new UserError(
        `${config.run.score}, but the rows in ${report.output_dir} have ${config.run.score ? 'no verdicts. rescore.ts gives them some' : 'verdicts'}.`,
        { key: 'run.score' },
      );
    }
    const result = finishedRun(task.name, config, record, earlier);
    if (result !== null) {
      log.info(
        `${task.name}: done, ${result.health.rows} rows in ${report.output_dir}; run.overwrite: true runs it again`,
      );
      return result;
    }
    log.info(
      `${task.name}: going on after ${earlier.scored.size} rows${earlier.failed.size > 0 ? `, ${earlier.failed.size} that failed are tried again` : ''}`,
    );
  }
  const model = await models.open(config.model, config.engine);
  if (known !== null && known.engine.form !== model.engine.form) {
    throw new UserError(
      `${report.output_dir} was begun with ${known.engine.form} runs of the engine, and here they are ${model.engine.form}: ` +
        'the numbers would not be of one kind. Set engine.mode, name another report.output_dir, or set run.overwrite: true.',
      { key: 'engine.mode' },
    );
  }
  // What an earlier process said of the rows does not hold any more.
  rmSync(join(report.output_dir, report.summary_filename), { force: true });
  const engine = { ...record.engine, ...model.engine };
  const written = known ?? { ...record, engine, started: started.toISOString() };
  const halvedBefore = written.engine.halved_runs ?? 0;
  const writeRecord = (halved_runs: number) =>
    writeJson(join(report.output_dir, 'run.json'), { ...written, engine: { ...written.engine, halved_runs } });
  if (known === null) writeRecord(0);

  const seeds = scoring.seeds ?? [scoring.seed];
  const partOf = (seed: number): Run<C> =>
    makeRun(config, recipe, model, splits, signal, {
      seed,
      manySeeds: scoring.seeds !== undefined,
      earlier,
      rowsTogether: task.rowsTogether,
    });
  for (const line of idleSeeds(config, recipe)) log.info(line);
  const total = expectedRows(task, config, record.dataset.num_rows);
  const statsBefore = model.engineStats();
  const journal = openJournal(path);
  let done = earlier.scored.size;
  let scored = earlier.scored.size;
  let failed = 0;
  let sum = earlier.correct;
  let halved = 0;
  try {
    for (const seed of seeds) {
      for await (const prediction of task.predict(partOf(seed))) {
        const row = journal.append(config.run.score ? scoredRow(task, prediction, recipe) : prediction);
        done += 1;
        // A retreat for want of memory moves numbers: it is written down at once, for a run may be killed for it.
        const now = (model.engineStats().halved_runs ?? 0) - (statsBefore.halved_runs ?? 0);
        if (now > halved) {
          halved = now;
          writeRecord(halvedBefore + halved);
        }
        if ('error' in row) {
          failed += 1;
          giveUp(failed, row, config, total ?? record.dataset.num_rows);
        } else {
          scored += 1;
          sum += row.correct ?? 0;
        }
        log.progress({
          label: task.name,
          done,
          total,
          unit: 'rows',
          note: scored === 0 || !config.run.score ? '' : `${recipe.primary} ${(sum / scored).toFixed(3)}`,
        });
      }
    }
    if (done === 0 && config.run.shard === undefined)
      throw new UserError(`${split.dataset_id} ${split.split}: no rows were selected.`, { key: 'dataset' });
  } finally {
    journal.close();
  }
  await sortJournal(path);
  if (total !== null && done !== total && config.dataset.subset_size === undefined) {
    throw new OutsideError(
      `${path}: ${done} rows of ${total} are there. Run the same config again; if that does not help, it was edited.`,
    );
  }
  const computed = done - earlier.scored.size;
  const stats: Record<string, number | null> = {
    ...spent(statsBefore, model.engineStats()),
    halved_runs: halvedBefore + halved,
  };
  const determinism = await checkRows(task, config, recipe, (only) =>
    makeRun(config, recipe, model, splits, signal, { seed: seeds[0]!, manySeeds: scoring.seeds !== undefined, only }),
  );
  const result = await writeReport(
    task,
    partOf(seeds[0]!),
    { ...record, engine },
    { started, stats, determinism, computed, notes: idleSeeds(config, recipe) },
  );
  log.info(`${task.name}: ${stats.tokens_asked} tokens asked, ${stats.tokens_run} run in ${stats.runs} forward passes`);
  if (result.health.rows !== done) {
    throw new OutsideError(`${path} has ${result.health.rows} rows, and this run knows of ${done}. Was it edited?`);
  }
  return result;
}

/** Whether an earlier run of the same config left rows and no summary. */
function isUnfinished({ report }: TaskConfig, record: RunRecord): boolean {
  const rows = join(report.output_dir, report.predictions_filename);
  if (!hasRows(rows) || existsSync(join(report.output_dir, report.summary_filename))) return false;
  try {
    return readRecord(report.output_dir, rows, record).fingerprint === record.fingerprint;
  } catch {
    // Told when the rows have been read.
    return false;
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

/** Several seeds that cannot change anything are said to be so. */
function idleSeeds({ dataset, scoring }: TaskConfig, { strategy }: ResolvedRecipe): string[] {
  if (scoring.seeds === undefined || scoring.temperature > 0 || dataset.sample !== undefined) return [];
  const why = strategy === 'rank_ll' ? 'log-likelihoods' : 'greedy answers';
  return [`scoring.seeds: ${why} over all rows do not depend on a seed: every seed gives the same rows`];
}

/** What this run added to the counters of a model that a suite's tasks share; settings stay as they are. */
function spent(before: Record<string, number | null>, after: Record<string, number | null>) {
  const counted = (name: string) => /^(tokens_|runs$|halved_runs$|image)/.test(name);
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, counted(name) ? (value ?? 0) - (before[name] ?? 0) : value]),
  );
}

/** For the progress line: how many rows the run will have, where it can be told beforehand. */
function expectedRows(
  task: { subsetOfEachSubject?: boolean },
  { dataset, run, scoring }: TaskConfig,
  numRows: number,
): number | null {
  if ('subjects' in dataset && dataset.subjects !== undefined) return null;
  if (task.subsetOfEachSubject && dataset.subset_size !== undefined) return null;
  const rows = Math.min(dataset.sample ?? dataset.subset_size ?? numRows, numRows);
  const { number, count } = shardOf(run.shard ?? '1/1');
  const share = Math.floor((rows * number) / count) - Math.floor((rows * (number - 1)) / count);
  return share * (scoring.seeds?.length ?? 1) * scoring.samples_per_prompt;
}

/** A prediction with its verdict, keys in the order of the file format. */
export function scoredRow<C extends TaskConfig>(
  task: Task<C>,
  prediction: Prediction | FailedRow,
  recipe: ResolvedRecipe,
): JournalRow {
  if ('error' in prediction) return prediction;
  try {
    const { task: name, id, index, seed, sample, group, subject, gold, ...answer } = prediction;
    const drawn = { ...(seed === undefined ? {} : { seed }), ...(sample === undefined ? {} : { sample }) };
    const own = subject === undefined ? {} : { subject };
    return { task: name, id, index, ...drawn, group, ...own, gold, ...task.score(prediction, recipe), ...answer };
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    return failedRow(prediction, error.kind, error.message);
  }
}

/** Puts `file:line:column: key: ` in front of an error that knows its key. */
export function placeError(error: unknown, file: ConfigFile, paths: (path: string[]) => PropertyKey[][]): unknown {
  if (!(error instanceof UserError) || error.key === undefined) return error;
  const path = error.key.split('.');
  const ancestors = path.map((_, i) => path.slice(0, path.length - i));
  const placed = new UserError(`${file.locate(ancestors.flatMap(paths))}: ${error.key}: ${error.message}`, {
    cause: error,
  });
  return placed;
}

/** The last line of a task file: runs it when the file was started by hand, as `NANOEVAL_CONFIG=... npx tsx run_x.ts`. */
export async function main<C extends TaskConfig>(url: string, task: Task<C>): Promise<void> {
  if (!isProgram(url)) return;
  await runProgram(async (log, signal) => {
    const file = readConfigFile(
      'NANOEVAL_CONFIG',
      process.env.NANOEVAL_CONFIG,
      `configs/${task.name}_smollm2_135m.yaml`,
    );
    refuseOthers(file, task.name);
    const config = parseConfig(file, task.config);
    const models = openModels(log, signal);
    try {
      const result = await runTask(task, config, models, log, signal);
      log.close();
      if (result.scores !== null) process.stdout.write(resultTable({ ...result, rows: printedRows(result.scores) }));
      log.info(`written: ${result.files.join(' ')}`);
      for (const line of remarks(result)) log.info(line);
      return result.faults.length === 0 ? EXIT.done : EXIT.invalid;
    } catch (error) {
      throw placeError(error, file, (path) => [path]);
    } finally {
      await models.close();
    }
  });
}

/** Every metric over all rows and the primary one of each group; subjects stand in the CSV. */
function printedRows(scores: Scores): TableRow[] {
  const rows = tableRows(scores);
  return rows.filter(({ level, metric }) => level === 'all' || (level === 'group' && metric === scores.primary_metric));
}

/** A suite's file, or another task's, gets its own line: it is the wrong program, not forty unknown keys. */
function refuseOthers(file: ConfigFile, task: string): void {
  if ('tasks' in file.data || 'suite' in file.data) {
    const key = 'tasks' in file.data ? 'tasks' : 'suite';
    throw file.error([key], `this is a suite. Run it with NANOEVAL_SUITE=${file.path} npx tsx nanoeval/suite.ts.`);
  }
  const named = file.data.task;
  if (typeof named === 'string' && named !== task) {
    const program = new URL(`run_${named}.ts`, import.meta.url);
    const hint = existsSync(program)
      ? `Run it with npx tsx nanoeval/run_${named}.ts`
      : `This program reads task: ${task}`;
    throw file.error(['task'], `${show(named)} is not ${task}. ${hint}.`);
  }
}
