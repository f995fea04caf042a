/**
 * What a run is: config -> model -> examples -> predictions -> scores -> report.
 *
 * A task file brings `predict` (needs the model, yields one prediction a row), `score` and `summarize` (pure). Everything
 * that is written besides predictions.jsonl and run.json is a function of those two files.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import type { EngineSettings, ModelSettings, TaskConfig } from './config.ts';
import { type ConfigFile, parseConfig, readConfigFile, show } from './config_file.ts';
import { openModelRepo } from './data/hub.ts';
import { openSplit } from './data/rows.ts';
import { describeRun, type RunResult, remarks, writeReport } from './outcome.ts';
import { EXIT, isProgram, runProgram } from './program.ts';
import { type Recipe, type ResolvedRecipe, resolveRecipe } from './recipe.ts';
import { checkJournal, hasRows, type JournalRow, keepAside, openJournal, sortJournal } from './report/journal.ts';
import { artefactNames, tableRows, writeJson } from './report/summary.ts';
import { resultTable } from './report/table.ts';
import { makeRun, openShots, type Run } from './run.ts';
import {
  type FailedRow,
  type Log,
  type Model,
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
  /** The split of the same data set that few-shot examples come from. */
  shotsFrom: string;
  predict(run: Run<C>): AsyncGenerator<Prediction | FailedRow>;
  /** Pure: the verdict on one saved prediction. */
  score(prediction: Prediction, recipe: ResolvedRecipe): Verdict;
  /** Pure: the means over all rows, the primary metric first. */
  summarize(rows: readonly ScoredRow[], recipe: ResolvedRecipe): Scores;
  /** `dataset.subset_size` counts rows of each subject instead of the split (the original's MMLU). */
  subsetOfEachSubject?: boolean;
}

/** One model for each distinct model and engine block: a suite loads its weights once. */
export interface Models {
  open(settings: ModelSettings, engine: EngineSettings): Promise<Model>;
  close(): Promise<void>;
}

/** No checkpoint is loaded yet; `close` releases those that were. */
export function openModels(log: Log, signal: AbortSignal): Models {
  const loaded = new Map<string, Promise<Model>>();
  return {
    open(settings, engine) {
      // The chat template is rendered or not by the task; the loaded checkpoint is the same.
      const key = JSON.stringify([{ ...settings, chat_template: undefined }, engine]);
      const model = loaded.get(key) ?? loadModel(settings, engine, log, signal);
      loaded.set(key, model);
      return model;
    },
    async close() {
      for (const model of await Promise.allSettled(loaded.values())) {
        if (model.status === 'fulfilled') await model.value.close();
      }
    },
  };
}

async function loadModel(
  settings: ModelSettings,
  engine: EngineSettings,
  log: Log,
  signal: AbortSignal,
): Promise<Model> {
  const repo = await openModelRepo(settings.model_id, settings.revision, { log, signal });
  // onnxruntime takes a while to load; a misspelt config does not wait for it.
  const { openModel } = await import('./model/model.ts');
  const model = await openModel(repo, settings, engine, log);
  const megabytes = model.identity.files.reduce((sum, file) => sum + file.size, 0) / 1e6;
  const commit = repo.commit === null ? '' : `@${repo.commit.slice(0, 7)}`;
  log.info(
    `model ${repo.id}${commit}, ${model.identity.dtype}, ${megabytes.toFixed(0)} MB, window ${model.identity.max_length}, ${model.engine.form} runs`,
  );
  for (const remark of model.engineRemarks) log.info(`engine: ${remark}`);
  return model;
}

/** Keys that do not go together, which no schema sees. Throws UserError; returns the recipe's settings. */
export function checkConfig(
  task: { name: string; recipes: Record<string, Recipe>; shotsFrom: string },
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
  if (recipe.numFewshot > 0 && config.dataset.split === task.shotsFrom) {
    throw new UserError(
      `"${task.shotsFrom}" is where the ${recipe.numFewshot} shots come from: rows would see their own answers. Set scoring.num_fewshot: 0.`,
      { key: 'dataset.split' },
    );
  }
  return recipe;
}

/** One task from its resolved config to its files. Throws UserError, OutsideError, Interrupted. */
export async function runTask<C extends TaskConfig>(
  task: Task<C>,
  config: C,
  models: Models,
  log: Log,
  signal: AbortSignal,
): Promise<RunResult> {
  const started = new Date();
  const recipe = checkConfig(task, config);
  const { dataset, report } = config;
  const path = join(report.output_dir, report.predictions_filename);
  checkJournal(path, config.run.overwrite);
  // The rows before the weights: a misspelt split does not wait for a download of gigabytes.
  const split = await openSplit({ ...dataset, path: dataset.path ?? null }, { log, signal });
  const shots = await openShots(task.shotsFrom, config, recipe, { log, signal });
  const model = await models.open(config.model, config.engine);
  const answer = recipe.strategy === 'rank_ll' ? 0 : (config.scoring.max_new_tokens ?? recipe.rule.max_new_tokens ?? 0);
  if (answer >= model.identity.max_length) {
    const message = `${answer} leaves no room for a prompt in a window of ${model.identity.max_length} tokens.`;
    throw new UserError(message, { key: 'scoring.max_new_tokens' });
  }
  if (config.run.overwrite && hasRows(path)) {
    log.info(`the old run is kept in ${keepAside(report.output_dir, artefactNames(report))}`);
  }
  const journal = openJournal(path);
  try {
    const run = makeRun(config, recipe, model, { split, shots }, signal);
    const record = await describeRun(run, { split, shots }, task.name);
    writeJson(join(report.output_dir, 'run.json'), { ...record, started: started.toISOString() });

    const total = expectedRows(task, config, record.dataset.num_rows);
    const before = model.engineStats();
    let done = 0;
    let scored = 0;
    let sum = 0;
    for await (const prediction of task.predict(run)) {
      const row = scoredRow(task, prediction, recipe);
      journal.append(row);
      done += 1;
      if (!('error' in row)) {
        scored += 1;
        sum += row.correct;
      }
      log.progress({
        label: task.name,
        done,
        total,
        unit: 'rows',
        note: scored === 0 ? '' : `${recipe.primary} ${(sum / scored).toFixed(3)}`,
      });
    }
    if (done === 0)
      throw new UserError(`${split.dataset_id} ${split.split}: no rows were selected.`, { key: 'dataset' });
    journal.close();
    await sortJournal(path);
    const stats = spent(before, model.engineStats());
    const result = await writeReport(task, run, record, { started, stats });
    log.info(
      `${task.name}: ${stats.tokens_asked} tokens asked, ${stats.tokens_run} run in ${stats.runs} forward passes`,
    );
    if (result.health.rows !== done) {
      throw new OutsideError(
        `${path} has ${result.health.rows} rows, this run wrote ${done}: something else wrote there too.`,
      );
    }
    return result;
  } finally {
    journal.close();
  }
}

/** What this run added to the counters of a model that a suite's tasks share; settings stay as they are. */
function spent(before: Record<string, number | null>, after: Record<string, number | null>) {
  const counted = (name: string) => /^(tokens_|runs$|halved_runs$)/.test(name);
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, counted(name) ? (value ?? 0) - (before[name] ?? 0) : value]),
  );
}

/** For the progress line: how many rows the run will have, where it can be told beforehand. */
function expectedRows(
  task: { subsetOfEachSubject?: boolean },
  { dataset }: TaskConfig,
  numRows: number,
): number | null {
  if ('subjects' in dataset && dataset.subjects !== undefined) return null;
  if (task.subsetOfEachSubject && dataset.subset_size !== undefined) return null;
  return Math.min(dataset.sample ?? dataset.subset_size ?? numRows, numRows);
}

/** A prediction with its verdict, keys in the order of the file format. */
function scoredRow<C extends TaskConfig>(
  task: Task<C>,
  prediction: Prediction | FailedRow,
  recipe: ResolvedRecipe,
): JournalRow {
  if ('error' in prediction) return prediction;
  try {
    const { task: name, id, index, group, subject, gold, ...answer } = prediction;
    const subjectPart = subject === undefined ? {} : { subject };
    return { task: name, id, index, group, ...subjectPart, gold, ...task.score(prediction, recipe), ...answer };
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    return {
      task: task.name,
      id: prediction.id,
      index: prediction.index,
      error: { kind: error.kind, message: error.message },
    };
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
