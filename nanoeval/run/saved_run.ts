/** Run folders as they lie on the disk: found by pattern, read, and the shards of one run put together. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { glob } from 'tinyglobby';
import { checkFormat } from '../config/file.ts';
import type { TaskConfig } from '../config/keys.ts';
import { nearest } from '../config/messages.ts';
import { type Recipe, recipeData } from '../config/recipe.ts';
import type { Task } from '../task.ts';
import { isReadingFault } from '../text/bytes.ts';
import { sha256 } from '../text/hash.ts';
import { type Json, UserError } from '../types.ts';
import { type JournalRow, readJournal, rowKey, rowsAtOnce, wholeBytes } from './journal.ts';
import { differences, fingerprintOf, type RunRecord } from './record.ts';
import { shardOf } from './selection.ts';
import { loadTask, taskNames } from './task_files.ts';

/** A run, or the shards of one, with the config as today's schema reads it. */
export interface SavedRun {
  /** Of its folder, or of the folders of its shards without the number. */
  name: string;
  folders: string[];
  record: RunRecord;
  task: Task;
  config: TaskConfig;
  /** The run ended and has all its rows. */
  complete: boolean;
  /** The rows in data-set order. Throws UserError for a row that stands in two shards. */
  rows(): AsyncGenerator<JournalRow>;
  /** The same, many at a time: a hundred thousand rows one by one take a second more. */
  batches(): AsyncGenerator<JournalRow[]>;
}

/** What `run.overwrite` kept aside is asked for by name alone. */
const KEPT_ASIDE = /\.old-\d+$/;

/**
 * The folders that names and patterns stand for: those with a run.json. Throws UserError (key `runs`) for a name without
 * one and a pattern without any.
 */
export async function findRuns(asked: string | readonly string[]): Promise<string[]> {
  const folders: string[] = [];
  for (const name of [asked].flat()) {
    const isFolder = existsSync(join(name, 'run.json'));
    const isPattern = !isFolder && /[*?{[]/.test(name);
    const paths = isPattern ? await glob(join(name, 'run.json'), { absolute: false, expandDirectories: false }) : [];
    const found = isFolder
      ? [resolve(name)]
      : paths.map((path) => resolve(path, '..')).filter((path) => !KEPT_ASIDE.test(path));
    if (found.length === 0)
      throw new UserError(
        `${name}: ${isPattern ? 'no folder with a run.json is there.' : 'no run: it has no run.json.'}`,
        {
          key: 'runs',
        },
      );
    folders.push(...found.filter((folder) => !folders.includes(folder)));
  }
  return folders.sort();
}

/** Reads the records of run folders; shards of one run become one. Throws UserError for missing and double shards. */
export async function readRuns(folders: readonly string[]): Promise<SavedRun[]> {
  const single: SavedRun[] = [];
  const shards = new Map<string, { folder: string; run: SavedRun; number: number; count: number }[]>();
  for (const folder of folders) {
    const run = await readRun(folder);
    const { shard } = run.record.selection;
    if (shard === null || shard === undefined) {
      single.push(run);
      continue;
    }
    const { number, count } = shardOf(shard);
    const key = sha256(JSON.stringify([count, withoutShard(run.record)]));
    const all = shards.get(key) ?? [];
    all.push({ folder, run, number, count });
    shards.set(key, all);
  }
  for (const all of shards.values()) {
    all.sort((a, b) => a.number - b.number);
    const { count } = all[0]!;
    const where = `shards of ${count} (${all.map(({ folder }) => folder).join(', ')})`;
    const twice = all.find(({ number }, i) => number === all[i - 1]?.number);
    if (twice !== undefined) throw new UserError(`${where}: number ${twice.number} is there twice.`, { key: 'runs' });
    const missing = Array.from({ length: count }, (_, i) => i + 1).filter(
      (n) => !all.some(({ number }) => number === n),
    );
    if (missing.length > 0)
      throw new UserError(`${where}: number ${missing.join(', ')} is missing. All are wanted together.`, {
        key: 'runs',
      });
    const open = all.find(({ run }) => !run.complete);
    if (open !== undefined)
      throw new UserError(`${open.folder}: shard ${open.number}/${count} is not finished. Run its config again.`, {
        key: 'runs',
      });
    single.push(joined(all.map(({ run }) => run)));
  }
  return single;
}

/** What shards of one run have in common. Each may have servers of its own: that they have one model is in the record of it. */
function withoutShard({ fingerprint: _own, config: _config, tool: _tool, host: _host, ...record }: RunRecord): object {
  const { started: _started, scored_with: _with, server: _server, ...rest } = record;
  return { ...rest, selection: { ...rest.selection, shard: null }, computed: { ...rest.computed, halved_passes: 0 } };
}

/** Reads the record of one run folder, a shard's too. Throws UserError (key `runs`) for one that is none. */
export async function readRun(folder: string): Promise<SavedRun> {
  const path = join(folder, 'run.json');
  const record = readRecord(path);
  const known = taskNames();
  if (!known.includes(record.task)) {
    const near = nearest(String(record.task), known);
    const hint = near === null ? `There are: ${known.join(', ')}.` : `Did you mean "${near}"?`;
    throw new UserError(`${path}: task ${JSON.stringify(record.task)} is not known here. ${hint}`, { key: 'runs' });
  }
  const task = await loadTask(record.task);
  const parsed = task.config.safeParse(record.config);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new UserError(`${path}: config.${issue?.path.join('.')}: ${issue?.message}: not a config of today.`, {
      key: 'runs',
    });
  }
  const config = parsed.data;
  const complete = existsSync(join(folder, config.report.summary_filename));
  const rows = join(folder, config.report.predictions_filename);
  if (!existsSync(rows))
    throw new UserError(`${folder}: there is no ${config.report.predictions_filename}.`, { key: 'runs' });
  // A process that died left half a row.
  const wholeSize = () => (complete ? undefined : wholeBytes(rows));
  return {
    name: basename(folder),
    folders: [folder],
    record,
    task,
    config,
    complete,
    rows: () => readJournal(rows, wholeSize()),
    batches: () => rowsAtOnce(rows, wholeSize()),
  };
}

function readRecord(path: string): RunRecord {
  let record: Partial<RunRecord> | null;
  try {
    record = JSON.parse(readFileSync(path, 'utf8')) as RunRecord | null;
  } catch (cause) {
    if (isReadingFault(cause))
      throw new UserError(`${path}: cannot be read: ${cause.message}.`, { key: 'runs', cause });
    // V8 shows lines of the file in its message.
    const reason = (cause as Error).message.replaceAll(/\s+/g, ' ');
    throw new UserError(`${path}: not JSON: ${reason}.`, { key: 'runs', cause });
  }
  if (typeof record === 'object' && record !== null && 'fingerprint' in record)
    checkFormat(path, record.format, { key: 'runs' });
  const sections = ['recipe', 'model', 'dataset', 'selection', 'config'] as const;
  const missing = sections.find((name) => typeof record?.[name] !== 'object' || record[name] === null);
  if (missing !== undefined)
    throw new UserError(`${path}: not the record of a run: it has no "${missing}".`, { key: 'runs' });
  return record as RunRecord;
}

function joined(parts: readonly SavedRun[]): SavedRun {
  const [first] = parts as [SavedRun];
  const { shard: _own, ...run } = first.config.run;
  const { selection, config } = first.record;
  const halved_passes = parts.reduce((sum, part) => sum + (part.record.computed?.halved_passes ?? 0), 0);
  const computed = { ...first.record.computed, halved_passes };
  const scored = [...new Set(parts.flatMap((part) => part.record.scored_with ?? []))];
  const record = {
    ...first.record,
    selection: { ...selection, shard: null },
    computed,
    config: { ...config, run },
    ...serversOf(parts),
    ...(scored.length === 0 ? {} : { scored_with: scored }),
  };
  return {
    ...first,
    name: first.name.replace(/[-_.]?(?:shard)?[-_.]?\d+(?:[-_.]?(?:of[-_.]?)?\d+)?$/, '') || first.name,
    folders: parts.flatMap(({ folders }) => folders),
    config: { ...first.config, run },
    record: { ...record, fingerprint: fingerprintOf(record) },
    async *rows() {
      for await (const rows of joinedBatches(parts)) yield* rows;
    },
    batches: () => joinedBatches(parts),
  };
}

/** What the first shard's server was found to be, with the addresses of all. */
function serversOf(parts: readonly SavedRun[]): Pick<RunRecord, 'server'> {
  const found = parts.map(({ record }) => record.server as Record<string, Json> | undefined);
  const [first] = found;
  if (first === undefined) return {};
  const all = (key: string) => [...new Set(found.flatMap((one) => (one?.[key] as string[] | undefined) ?? []))];
  return { server: { ...first, base_urls: all('base_urls'), answering: all('answering') } };
}

/** The rows of shards, one shard after the other. */
async function* joinedBatches(parts: readonly SavedRun[]): AsyncGenerator<JournalRow[]> {
  const seen = new Map<string, string>();
  for (const { folders, batches } of parts) {
    for await (const rows of batches()) {
      for (const row of rows) {
        const key = rowKey(row);
        const other = seen.get(key);
        if (other !== undefined)
          throw new UserError(`row ${row.index} (id ${row.id}) stands in ${other} and in ${folders[0]}.`, {
            key: 'runs',
          });
        seen.set(key, folders[0]!);
      }
      yield rows;
    }
  }
}

/** Why two recipes do not ask the same: the keys in which they differ, their metrics aside; empty when they do. */
export function recipeDifferences(task: Task, a: string, b: string): string[] {
  const [first, second] = [a, b].map((name) => recipeData(task.recipes[name] as Recipe)) as [Asked, Asked];
  const shared = Object.keys(first.strategies).filter((strategy) => strategy in second.strategies);
  const words = ({ strategies, ...data }: Asked) => {
    const asked = shared.map((strategy) => {
      const { verb, until, max_new_tokens } = strategies[strategy]!;
      return [strategy, { verb, until, max_new_tokens }];
    });
    return { ...data, strategies: Object.fromEntries(asked) };
  };
  return differences(words(first), words(second)).map(({ key }) => key);
}

type Asked = ReturnType<typeof recipeData>;
