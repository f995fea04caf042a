/**
 * Many tasks, one model block, the weights loaded once, one table.
 *
 *     NANOEVAL_SUITE=suites/suite_smoke.yaml npx tsx nanoeval/suite.ts
 *
 * A task of a suite takes the sections of a task file; what it says overrides what stands at the top. A task that
 * fails does not stop the others and makes the exit code 1. Run again, a suite computes only what is missing. With `models`
 * every task is asked of each of several checkpoints, and a table puts them beside each other.
 */
import { basename, join, resolve } from 'node:path';
import { parseConfig } from './config/check.ts';
import { type ConfigFile, readConfigFile } from './config/file.ts';
import { manyModelsSchema, type SuiteConfig, suiteSchema, type TaskConfig } from './config/keys.ts';
import { nearest, show } from './config/messages.ts';
import type { ResolvedRecipe } from './config/recipe.ts';
import { asInterruption, describeError, EXIT, isProgram, placeError, runProgram } from './program.ts';
import { type SuiteTask, suiteTable } from './report/table.ts';
import { checkConfig } from './run/check.ts';
import { compareRuns, comparisonCsv, comparisonMarkdown } from './run/comparison.ts';
import { writeJson, writeWhole } from './run/files.ts';
import { checkFolder } from './run/journal.ts';
import { type Models, openModels } from './run/models.ts';
import { notesOn, type RunResult } from './run/outcome.ts';
import { runTask } from './run/run.ts';
import { loadTask, taskNames } from './run/task_files.ts';
import { suiteDate } from './run/template_date.ts';
import type { Task } from './task.ts';
import { FORMAT, Interrupted, type Log } from './types.ts';

/** One task of a suite on one of its checkpoints, its config resolved. */
interface Entry {
  name: string;
  /** The checkpoint's name where there are several. */
  model: string | null;
  task: Task;
  config: TaskConfig;
  reference: Record<string, number | string> | undefined;
  /** Where a key of the task's config may stand in the suite's file. */
  paths(path: readonly PropertyKey[]): PropertyKey[][];
}

/** A folder of its own under the suite's; `..` would be the parent. */
const fitsFolder = (name: string) => /^(?!\.+$)[\w.-]+$/.test(name);
const NO_FOLDER = 'does not fit a folder. Use letters, digits, "_", "-" and ".".';

type Section = Record<string, unknown>;

/** A task's section over the shared one. What is no section stays as it is, for the schema to refuse. */
function over(shared: Section | undefined, own: unknown): unknown {
  if (own === undefined || own === null) return { ...shared };
  return typeof own === 'object' && own !== null && !Array.isArray(own) ? { ...shared, ...own } : own;
}

/** A checkpoint of the suite: its part of the file, and where that stands. */
interface Checkpoint {
  name: string | null;
  section: Section | undefined;
  /** Where a key of the model section may stand. */
  paths(path: readonly PropertyKey[]): PropertyKey[][];
}

/** The checkpoints, one or several. Throws UserError for two of one name. */
function readCheckpoints(file: ConfigFile, suite: SuiteConfig): Checkpoint[] {
  const { model, models } = file.data as { model?: Section; models?: Section[] };
  if (!('models' in suite) || models === undefined) return [{ name: null, section: model, paths: () => [] }];
  const names: string[] = [];
  return models.map((own, j) => {
    const { name: given, ...section } = own;
    const merged = over(model, section) as Section;
    const dtype = merged.dtype === undefined ? '' : `-${typeof merged.dtype === 'string' ? merged.dtype : 'mixed'}`;
    const name = String(given ?? `${basename(String(merged.model_id ?? ''))}${dtype}`);
    if (!fitsFolder(name)) throw file.error(['models', j, 'name'], `${show(name)} ${NO_FOLDER}`);
    if (names.includes(name))
      throw file.error(
        ['models', j],
        `${show(name)} is the name of models[${names.indexOf(name)}] too. Give it a \`name:\`.`,
      );
    names.push(name);
    const paths = ([section, ...rest]: readonly PropertyKey[]) => (section === 'model' ? [['models', j, ...rest]] : []);
    return { name, section: merged, paths };
  });
}

/** Resolves every task before the first one runs: a misspelt key in the last one is told at once. */
async function readEntries(file: ConfigFile, suite: SuiteConfig, root: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const checkpoint of readCheckpoints(file, suite)) {
    const folder = checkpoint.name === null ? root : join(root, checkpoint.name);
    const own: Entry[] = [];
    for (const i of suite.tasks.keys()) own.push(await readEntry(file, suite, i, checkpoint, folder, own));
    for (const { config } of own) {
      const twin = entries.find(
        (other) => resolve(other.config.report.output_dir) === resolve(config.report.output_dir),
      );
      if (twin === undefined) continue;
      throw file.error(
        ['models'],
        `${config.report.output_dir} would be the folder of two checkpoints. Leave report.output_dir out.`,
      );
    }
    entries.push(...own);
  }
  return entries;
}

async function readEntry(
  file: ConfigFile,
  suite: SuiteConfig,
  i: number,
  checkpoint: Checkpoint,
  root: string,
  entries: readonly Entry[],
): Promise<Entry> {
  const { task: taskName, name = taskName, reference, ...sections } = suite.tasks[i]!;
  const known = taskNames();
  if (!known.includes(taskName)) {
    const near = nearest(taskName, known);
    throw file.error(
      ['tasks', i, 'task'],
      `${show(taskName)} is not a task. ${near === null ? `There are: ${known.join(', ')}.` : `Did you mean "${near}"?`}`,
    );
  }
  const twin = entries.findIndex((entry) => entry.name === name);
  if (twin >= 0) {
    const key = 'name' in suite.tasks[i]! ? 'name' : 'task';
    throw file.error(
      ['tasks', i, key],
      `${show(name)} is the name of tasks[${twin}] too. Give one of them another \`name:\`.`,
    );
  }
  if (!fitsFolder(name)) throw file.error(['tasks', i, 'name'], `${show(name)} ${NO_FOLDER}`);
  const task = await loadTask(taskName);
  const { engine, run } = file.data as Record<string, Section | undefined>;
  const merged = {
    ...sections,
    task: taskName,
    model: over(checkpoint.section, sections.model),
    engine: over(engine, sections.engine),
    run: over(run, sections.run),
    report: over({ output_dir: join(root, name) }, sections.report),
  };
  const paths = (path: readonly PropertyKey[]) => [
    ['tasks', i, ...path],
    ...checkpoint.paths(path),
    [...path],
    ...(path.length === 1 ? [['tasks', i]] : []),
  ];
  const config = parseConfig(file, task.config, merged, paths) as TaskConfig;
  let recipe: ResolvedRecipe;
  try {
    recipe = checkConfig(task, config);
    // Told for every task before the first one runs.
    checkFolder(join(config.report.output_dir, config.report.predictions_filename));
  } catch (error) {
    throw placeError(error, file, paths);
  }
  const folders = entries.findIndex(
    (entry) => resolve(entry.config.report.output_dir) === resolve(config.report.output_dir),
  );
  if (folders >= 0) {
    throw file.error(
      ['tasks', i, 'report', 'output_dir'],
      `it is the folder of tasks[${folders}] too. Give each its own.`,
    );
  }
  checkReference(file, i, reference, recipe);
  return { name, model: checkpoint.name, task, config, reference, paths };
}

/** A reported share is written as ours is, 0.409; a percentage would make every difference nonsense. */
function checkReference(file: ConfigFile, i: number, reference: Entry['reference'], recipe: ResolvedRecipe): void {
  const isShare = (metric: string) =>
    metric === recipe.primary ? recipe.unit === 'share' : /^(acc|exact_match)/.test(metric);
  for (const [metric, value] of Object.entries(reference ?? {})) {
    if (typeof value === 'number' && isShare(metric) && (value < 0 || value > 1)) {
      throw file.error(
        ['tasks', i, 'reference', metric],
        `${value} is not a share from 0 to 1. Write ${value / 100} for ${value} %.`,
      );
    }
    if (typeof value === 'string' && metric !== 'source') {
      throw file.error(['tasks', i, 'reference', metric], `${show(value)} is not a number.`);
    }
  }
}

/** What a task of the suite came to. */
interface Outcome {
  entry: Entry;
  result: RunResult | null;
  error: { code: number; text: string } | null;
}

const labelOf = ({ model, name }: Entry) => (model === null ? name : `${model}/${name}`);

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
    for (const line of notesOn(result.summary)) log.info(line);
    return { entry, result, error: null };
  } catch (caught) {
    const error = describeError(placeError(asInterruption(caught, signal), file, entry.paths));
    log.info(error.text);
    return { entry, result: null, error };
  }
}

function refuseTask(file: ConfigFile): void {
  if ('tasks' in file.data) return;
  if (typeof file.data.task !== 'string') return;
  const known = taskNames();
  const name = known.includes(file.data.task) ? file.data.task : (nearest(file.data.task, known) ?? '<task>');
  throw file.error(
    ['task'],
    `this is the file of one task. Run it with NANOEVAL_CONFIG=${file.path} npx tsx nanoeval/run_${name}.ts.`,
  );
}

if (isProgram(import.meta.url)) {
  await runProgram(async (log, signal) => {
    const file = readConfigFile('NANOEVAL_SUITE', process.env.NANOEVAL_SUITE, 'suites/suite_smoke.yaml');
    refuseTask(file);
    const suite: SuiteConfig = parseConfig(file, 'models' in file.data ? manyModelsSchema : suiteSchema);
    const name = suite.suite.name ?? basename(file.path).replace(/\.ya?ml$/, '');
    if (suite.suite.name !== undefined && !fitsFolder(suite.suite.name))
      throw file.error(['suite', 'name'], `${show(suite.suite.name)} ${NO_FOLDER}`);
    const root = suite.suite.output_root ?? join('artifacts/nanoeval/suites', name);
    const entries = await readEntries(file, suite, root);
    const date = suiteDate(entries.map(({ config }) => config));
    const outcomes: Outcome[] = [];
    for (const model of new Set(entries.map((entry) => entry.model))) {
      // A checkpoint's memory is given back before the next one is loaded.
      const models = openModels(log, signal);
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
    const table = suiteTable(outcomes.flatMap(tableEntry));
    const files = [join(root, 'suite_summary.json'), join(root, 'suite.md')] as const;
    writeJson(files[0], {
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
    writeWhole(files[1], `# ${name}\n\n${table}`);
    const compared = outcomes.flatMap(({ entry, result }) =>
      entry.model === null || result === null
        ? []
        : [{ name: entry.name, model: entry.model, summary: result.summary }],
    );
    const tables = compareRuns(
      compared,
      entries.flatMap(({ model }) => model ?? []),
    );
    const more = compared.length === 0 ? [] : ['comparison.md', 'comparison.csv'].map((one) => join(root, one));
    if (more.length > 0) {
      writeWhole(more[0]!, comparisonMarkdown(tables));
      writeWhole(more[1]!, comparisonCsv(tables));
    }
    log.print(compared.length === 0 ? table : comparisonMarkdown(tables));
    log.info(`written: ${[...files, ...more].join(' ')} and a folder for each task`);
    if (signal.aborted) throw new Interrupted();
    const failed = outcomes.filter(({ result, error }) => error !== null || result?.summary.faults.length !== 0);
    return failed.length === 0 ? EXIT.done : EXIT.invalid;
  });
}
