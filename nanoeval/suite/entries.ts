/** A suite's file as tasks to run: every checkpoint's, with their sections resolved, before the first one runs. */
import { basename, join, resolve } from 'node:path';
import { BACKENDS, type BackendName, DEFAULT_BACKEND } from '../config/backends.ts';
import { parseConfig } from '../config/check.ts';
import type { ConfigFile } from '../config/file.ts';
import type { TaskConfig } from '../config/keys.ts';
import { nearest, show } from '../config/messages.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { SuiteConfig, TableConfig } from '../config/suite.ts';
import { placeError } from '../program.ts';
import { checkConfig } from '../run/check.ts';
import { checkFolder } from '../run/journal.ts';
import { loadTask, taskNames } from '../run/task_files.ts';
import type { Task } from '../task.ts';

/** One task of a suite on one of its checkpoints, its config resolved. */
export interface Entry {
  name: string;
  /** The checkpoint's name where there are several. */
  model: string | null;
  task: Task;
  config: TaskConfig;
  reference: Record<string, number | string> | undefined;
  /** Where a key of the task's config may stand in the suite's file. */
  paths(path: readonly PropertyKey[]): PropertyKey[][];
}

/** What a suite's tables and log call it. */
export const labelOf = ({ model, name }: Pick<Entry, 'model' | 'name'>) => (model === null ? name : `${model}/${name}`);

/** Whether a metric that is not the primary one is a share from 0 to 1, by its name. */
export const shareByName = (metric: string) => /^(acc|exact_match|pass@|mc[12]$|(prompt|inst)_level_)/.test(metric);

/** A folder of its own under the suite's; `..` would be the parent. */
export const fitsFolder = (name: string) => /^(?!\.+$)[\w.-]+$/.test(name);
export const NO_FOLDER = 'does not fit a folder. Use letters, digits, "_", "-" and ".".';

type Section = Record<string, unknown>;

/** A task's section over the shared one. What is no section stays as it is, for the schema to refuse. */
function over(shared: Section | undefined, own: unknown): unknown {
  if (own === undefined || own === null) return { ...shared };
  return typeof own === 'object' && own !== null && !Array.isArray(own) ? { ...shared, ...own } : own;
}

/** The section `engine`, where there is one. That of the whole suite means the checkpoints whose backend has an engine. */
function engineFor(model: Section | undefined, shared: Section | undefined, own: unknown): { engine?: unknown } {
  const backend = String(model?.backend ?? DEFAULT_BACKEND) as BackendName;
  const hasEngine = (BACKENDS[backend]?.sections as readonly string[] | undefined)?.includes('engine') ?? true;
  const given = hasEngine ? shared : undefined;
  return given === undefined && own === undefined ? {} : { engine: over(given, own) };
}

/** What the suite says of the pages of its tasks. */
function pageOf({ data }: ConfigFile): { page?: unknown } {
  const { page } = (data.report ?? {}) as { page?: unknown };
  return page === undefined ? {} : { page };
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
export async function readEntries(file: ConfigFile, suite: SuiteConfig, root: string): Promise<Entry[]> {
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
  checkMeans(file, suite, entries);
  return entries;
}

/** A mean of a task that is not there would fail at the end of the suite. */
function checkMeans(file: ConfigFile, suite: SuiteConfig, entries: readonly Entry[]): void {
  if ('models' in suite) return;
  const names = entries.map(({ name }) => name);
  for (const [i, { of }] of (suite.suite as TableConfig).means.entries()) {
    for (const [j, part] of of.entries()) {
      const name = typeof part === 'string' ? part : part.task;
      if (names.includes(name)) continue;
      const near = nearest(name, names);
      const hint = near === null ? `There are: ${names.join(', ')}.` : `Did you mean "${near}"?`;
      throw file.error(['suite', 'means', i, 'of', j], `${show(name)} is not an entry of this suite. ${hint}`);
    }
  }
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
    ...engineFor(checkpoint.section, engine, sections.engine),
    run: over(run, sections.run),
    report: over({ output_dir: join(root, name), ...pageOf(file) }, sections.report),
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
  const isShare = (metric: string) => (metric === recipe.primary ? recipe.unit === 'share' : shareByName(metric));
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
