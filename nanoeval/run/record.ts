/** run.json: what identifies a run, and whether another run is the same one. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { show } from '../config/file.ts';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import { describeHost, describeTool } from '../report/host.ts';
import { sha256 } from '../text/hash.ts';
import { type DatasetFile, type ModelIdentity, UserError } from '../types.ts';
import type { Splits } from './ask.ts';

/** Raised by hand when a change of the code changes a prediction without touching a recipe's data. */
const PREDICT_VERSION = 2;

/** What run.json holds, the engine's form aside, which only the loaded model can tell. */
export async function describeRun(
  config: TaskConfig,
  recipe: ResolvedRecipe,
  model: ModelIdentity,
  { split, shots }: Splits,
  task: string,
) {
  const chat_template = config.model.chat_template ?? model.is_vlm;
  const settings = { strategy: recipe.strategy, num_fewshot: recipe.numFewshot, chat_template };
  const { reduce: _reduce, ...asked } = config.scoring;
  // A seed that draws nothing decides nothing.
  const isDrawn = config.dataset.sample !== undefined || asked.temperature > 0;
  const scoring = { ...asked, seed: isDrawn && asked.seeds === undefined ? asked.seed : null };
  const { mode, batch_tokens } = config.engine;
  const engine: { mode: string; batch_tokens: number; form?: string; halved_runs?: number } = { mode, batch_tokens };
  const identity = {
    task,
    version: PREDICT_VERSION,
    recipe: { name: recipe.name, ...settings, sha256: sha256(JSON.stringify([recipe.recipe, settings])) },
    model,
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
    selection: { ...pickSelection(config.dataset), seed: scoring.seed, shard: config.run.shard ?? null },
    scoring,
    engine,
    // What a row holds.
    run: { score: config.run.score, save_prompts: config.report.save_prompts, save_tokens: config.report.save_tokens },
  };
  const fingerprint = fingerprintOf(identity);
  return { fingerprint, ...identity, config, tool: describeTool(), host: describeHost() };
}

export type RunRecord = Awaited<ReturnType<typeof describeRun>>;

function pickSelection(dataset: TaskConfig['dataset']): Record<string, unknown> {
  const own: Record<string, unknown> = dataset;
  return Object.fromEntries(['subset_size', 'sample', 'subjects'].map((key) => [key, own[key] ?? null]));
}

/** The hash over what of a record decides a prediction. */
export function fingerprintOf(record: Parameters<typeof decisive>[0]): string {
  return sha256(JSON.stringify(decisive(record)));
}

/** What of a record decides a prediction. Names that a commit or a hash stands behind are left out, for they may move. */
function decisive(record: Omit<RunRecord, 'fingerprint' | 'config' | 'tool' | 'host'>): Record<string, unknown> {
  // Rows read by ranges have no hash; the commit speaks for them.
  const filesOf = (files: readonly DatasetFile[], commit: string | null) =>
    files.map(({ path, size, sha256: hash }) => (commit === null ? { path, size, sha256: hash } : { path, size }));
  const { task, version, recipe, model, dataset, shots, selection, scoring, engine, run } = record;
  const { mode, batch_tokens } = engine;
  const { revision: _asked, files, ...checkpoint } = model;
  const { revision: _branch, files: rows, ...data } = dataset;
  return {
    task,
    version,
    recipe,
    model: { ...checkpoint, files: Object.fromEntries(files.map(({ path, sha256: hash }) => [path, hash])) },
    dataset: { ...data, files: filesOf(rows, dataset.commit) },
    shots: shots === null ? null : { split: shots.split, files: filesOf(shots.files, dataset.commit) },
    selection,
    scoring,
    engine: { mode, batch_tokens },
    // Rows with and without a verdict, or with more in them, do not mix.
    run,
  };
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

/**
 * The record of the run whose rows stand in `folder`, when it is the same run as `record`. Throws UserError that names the
 * keys in which it differs, and when the rows have no record.
 */
export function readRecord(folder: string, rows: string, record: RunRecord): RunRecord {
  const path = join(folder, 'run.json');
  const remedy = 'Name another report.output_dir, or set run.overwrite: true (the old folder is kept aside).';
  if (!existsSync(path)) {
    throw new UserError(`${rows} has rows, but ${path} is not there to say what they are. ${remedy}`, {
      key: 'report.output_dir',
    });
  }
  let old: RunRecord;
  try {
    old = JSON.parse(readFileSync(path, 'utf8')) as RunRecord;
    if (old.fingerprint === record.fingerprint) return old;
    const found = differences(JSON.parse(JSON.stringify(decisive(old))), JSON.parse(JSON.stringify(decisive(record))));
    const named = found.slice(0, NAMED).map(({ key, a, b }) => `${key}: ${short(a)} there, ${short(b)} now`);
    const more = found.length > NAMED ? `; and ${found.length - NAMED} more` : '';
    throw new UserError(`${folder} holds a run that differs from this one in ${named.join('; ')}${more}. ${remedy}`, {
      key: 'report.output_dir',
    });
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError(`${path} is not a run's record: ${(cause as Error).message}. ${remedy}`, {
      key: 'report.output_dir',
      cause,
    });
  }
}

/** A hash by its first digits. */
const short = (value: unknown): string =>
  typeof value === 'string' && /^[0-9a-f]{40,64}$/.test(value) ? `${value.slice(0, 12)}...` : show(value);
