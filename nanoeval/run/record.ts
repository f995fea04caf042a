/** run.json: what identifies a run, and whether another run is the same one. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkFormat } from '../config/file.ts';
import type { TaskConfig } from '../config/keys.ts';
import { show } from '../config/messages.ts';
import { type ResolvedRecipe, recipeData } from '../config/recipe.ts';
import type { EngineIdentity, ModelIdentity } from '../questions.ts';
import { describeGpu, describeHost, describeTool, type Host, processorsHere, type Tool } from '../report/host.ts';
import { sha256 } from '../text/hash.ts';
import { type DatasetFile, FORMAT, type Json, type Split, UserError } from '../types.ts';
import type { FoundModel } from './models.ts';

/** Raised by hand when a change of the code changes a prediction without touching a recipe's data. */
const PREDICT_VERSION = 4;

/** What run.json holds. */
export interface RunRecord {
  format: number;
  /** Hash over what decides a prediction. */
  fingerprint: string;
  task: string;
  version: number;
  recipe: { name: string; strategy: string; num_fewshot: number; chat_template: boolean; sha256: string };
  model: ModelIdentity;
  dataset: {
    dataset_id: string;
    revision: string | null;
    commit: string | null;
    subset_name: string | null;
    split: string;
    num_rows: number;
    files: DatasetFile[];
  };
  shots: { split: string; files: DatasetFile[] } | null;
  /** What the chat template was given for today's date; absent where it asks for none. */
  template_date?: string;
  /** Which rows, and what of them: the keys of the section `dataset` that do not say where the data set is. */
  selection: Record<string, unknown> & { seed: number | null; shard: string | null };
  /** What decides answers and verdicts beside the recipe, defaults filled in; `seed` is null where nothing is drawn. */
  scoring: Record<string, unknown> & { primary: string; seed: number | null };
  /** Settings of the computation that can move a digit. */
  engine: EngineIdentity;
  /** What the model's servers said of themselves and were found able to do. */
  server?: Json;
  /** What a row holds. */
  run: { score: boolean; save_prompts: boolean; save_tokens: boolean };
  config: TaskConfig;
  tool: Tool;
  host: Host;
  started?: string;
  /** What verdicts were made with besides the rows, in words: a line for each machine or setting that made some. */
  scored_with?: string[];
  /** What the computation turned out to be, once the model was loaded. */
  computed?: EngineIdentity & { halved_passes?: number };
}

/** The record of a run, but for what only the loaded model can tell. */
export async function describeRun(
  task: string,
  config: TaskConfig,
  recipe: ResolvedRecipe,
  opened: { found: FoundModel; chat: boolean; split: Split; shots: Split | null; date?: string },
): Promise<RunRecord> {
  const { found, chat, split, shots, date } = opened;
  const scoring = describeScoring(config, recipe, found.identity);
  const identity = {
    task,
    version: PREDICT_VERSION,
    recipe: describeRecipe(recipe, chat),
    model: found.identity,
    dataset: {
      dataset_id: split.dataset_id,
      revision: split.revision,
      commit: split.commit,
      subset_name: split.subset_name,
      split: split.split,
      num_rows: await split.numRows(),
      files: split.files,
    },
    shots: shots === null ? null : { split: shots.split, files: shots.files },
    // A template that does not ask for the date prints the same on every day.
    ...(chat && found.can.dated && date !== undefined ? { template_date: date } : {}),
    selection: { ...describeSelection(config.dataset), seed: scoring.seed, shard: config.run.shard ?? null },
    scoring,
    engine: found.engine,
    run: { score: config.run.score, save_prompts: config.report.save_prompts, save_tokens: config.report.save_tokens },
  };
  const fingerprint = fingerprintOf(identity);
  // A server of this machine computes on what this machine has.
  const gpu = config.model.server === undefined ? describeGpu(config.model.device) : processorsHere();
  const host = { ...describeHost(), ...(gpu === null ? {} : { gpu }) };
  const server = found.findings === undefined ? {} : { server: found.findings };
  return { format: FORMAT, fingerprint, ...identity, ...server, config, tool: describeTool(), host };
}

/** Keys that say where the rows are; the split as it was opened stands for them. */
const SOURCE_KEYS = ['dataset_id', 'revision', 'subset_name', 'split', 'path', 'rows'];

function describeSelection(dataset: TaskConfig['dataset']): Record<string, unknown> {
  const own = Object.entries(dataset).filter(([key]) => !SOURCE_KEYS.includes(key));
  return { subset_size: null, sample: null, subjects: null, ...Object.fromEntries(own) };
}

/** Settings as they were resolved: to write a default out is no other run. The recipe holds name, strategy and shots. */
function describeScoring(config: TaskConfig, { primary, verb, maxNewTokens }: ResolvedRecipe, model: ModelIdentity) {
  const { reduce, recipe, strategy, num_fewshot, normalize_by_length, max_new_tokens, ...asked } = config.scoring;
  // A seed that draws nothing decides nothing.
  const isDrawn = config.dataset.sample !== undefined || asked.temperature > 0;
  const seed = isDrawn && asked.seeds === undefined ? asked.seed : null;
  const { window = model.max_length, stride = window } = asked as { window?: number; stride?: number };
  return {
    ...asked,
    ...(verb === 'loglikelihood_rolling' ? { window, stride } : {}),
    ...(verb === 'generate_until' ? { max_new_tokens: maxNewTokens } : {}),
    primary,
    seed,
  };
}

/** A recipe as it was resolved; its hash is over everything that decides words and verdicts. */
export function describeRecipe(recipe: ResolvedRecipe, chat_template: boolean): RunRecord['recipe'] {
  const settings = { strategy: recipe.strategy, num_fewshot: recipe.numFewshot, chat_template };
  return { name: recipe.name, ...settings, sha256: sha256(JSON.stringify([recipeData(recipe.recipe), settings])) };
}

type Decisive = Omit<
  RunRecord,
  'format' | 'fingerprint' | 'config' | 'tool' | 'host' | 'computed' | 'scored_with' | 'server'
>;

/** The hash over what of a record decides a prediction. */
export function fingerprintOf(record: Decisive): string {
  return sha256(JSON.stringify(decisive(record)));
}

/** What of a record decides a prediction. Names that a commit or a hash stands behind are left out, for they may move. */
function decisive({ task, version, recipe, model, dataset, shots, ...settings }: Decisive) {
  const { template_date, selection, scoring, engine, run } = settings;
  // Rows read by ranges have no hash; the commit speaks for them.
  const filesOf = (files: readonly DatasetFile[], commit: string | null) =>
    files.map(({ path, size, sha256: hash }) => (commit === null ? { path, size, sha256: hash } : { path, size }));
  const { revision: _branch, files: rows, dataset_id, ...data } = dataset;
  // Local files may be moved: their hashes speak for them.
  const named = dataset.commit === null ? {} : { dataset_id };
  return {
    task,
    version,
    recipe,
    model: decisiveModel(model),
    dataset: { ...named, ...data, files: filesOf(rows, dataset.commit) },
    shots: shots === null ? null : { split: shots.split, files: filesOf(shots.files, dataset.commit) },
    ...(template_date === undefined ? {} : { template_date }),
    selection,
    scoring,
    engine,
    // Rows with and without a verdict, or with more in them, do not mix.
    run,
  };
}

/**
 * A model less the names that may move: of a branch, of a local folder. Its files are named by their paths, so that a
 * difference says which one it is.
 */
function decisiveModel({ source, ...model }: ModelIdentity): Record<string, unknown> {
  const { revision: _asked, files, ...rest } = source;
  const isLocal = source.commit === null;
  if (isLocal) delete (rest as { model_id?: unknown }).model_id;
  const named = Array.isArray(files)
    ? {
        files: Object.fromEntries(
          (files as { path: string; sha256: string }[]).map((file) => [file.path, file.sha256]),
        ),
      }
    : {};
  const { sha256: _hash, label, ...own } = model;
  return { ...(isLocal ? {} : { label }), ...own, ...rest, ...named };
}

/** Dotted keys in which two values differ, with both. A key that one lacks has the other's null. */
export function differences(a: unknown, b: unknown, path = ''): { key: string; a: unknown; b: unknown }[] {
  const isMap = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (!isMap(a) || !isMap(b)) return Object.is(a ?? null, b ?? null) ? [] : [{ key: path, a: a ?? null, b: b ?? null }];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key) => differences(a[key], b[key], path === '' ? key : `${path}.${key}`));
}

/** Differences named in an error. */
const NAMED = 6;

/** What to do about a folder that holds something else than the run at hand. */
export const REMEDY = 'Name another report.output_dir, or set run.overwrite: true (the old folder is kept aside).';

/**
 * The record of the run whose rows stand in `folder`, when it is the same run as `record`. Throws UserError that names the
 * keys in which it differs, and when the rows have no record or one of another format.
 */
export function readRecord(folder: string, rows: string, record: RunRecord): RunRecord {
  const path = join(folder, 'run.json');
  const refuse = (message: string, cause?: unknown) =>
    new UserError(`${message} ${REMEDY}`, { key: 'report.output_dir', cause });
  if (!existsSync(path)) throw refuse(`${rows} has rows, but ${path} is not there to say what they are.`);
  let old: RunRecord;
  let found: ReturnType<typeof differences>;
  try {
    old = JSON.parse(readFileSync(path, 'utf8')) as RunRecord;
    checkFormat(path, old.format, { remedy: REMEDY, key: 'report.output_dir' });
    if (old.fingerprint === record.fingerprint) return old;
    found = differences(JSON.parse(JSON.stringify(decisive(old))), JSON.parse(JSON.stringify(decisive(record))));
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw refuse(`${path} is not a run's record: ${(cause as Error).message}.`, cause);
  }
  const named = found.slice(0, NAMED).map(({ key, a, b }) => `${key}: ${short(a)} there, ${short(b)} now`);
  const more = found.length > NAMED ? `; and ${found.length - NAMED} more` : '';
  throw refuse(`${folder} holds a run that differs from this one in ${named.join('; ')}${more}.`);
}

/** A hash by its first digits. */
const short = (value: unknown): string =>
  typeof value === 'string' && /^[0-9a-f]{40,64}$/.test(value) ? `${value.slice(0, 12)}...` : show(value);
