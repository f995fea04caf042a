/**
 * Which files of a repository make up a split: what its README.md says under `configs:`, else its file names.
 * Pure functions of the listing. The rules are those of Python's `datasets` 5.2 for data sets without code
 * (docs: "Structure your repository"), as far as the files are Parquet, JSON or CSV; those for texts are our own.
 */
import { parse as parseYaml } from 'yaml';
import { withoutPacking } from '../text/bytes.ts';
import { UserError } from '../types.ts';
import { someOf } from './hub_errors.ts';

/** Config name -> split name -> its files in reading order. */
export type Layout = Map<string, Map<string, string[]>>;

/** The endings that can be read, best first: of two copies of a split in different formats the first is taken. */
const FORMATS = [/\.parquet$/, /\.(jsonl|ndjson)(\.(gz|zst))?$/, /\.json(\.(gz|zst))?$/, /\.csv(\.(gz|zst))?$/];

/** How messages name the endings, on this machine or on the hub. */
export const endings = (isLocal: boolean): string =>
  `.parquet, .jsonl, .json, .csv${isLocal ? ', .txt' : ''} (.jsonl, .json and .csv packed as .gz or .zst too)`;

/** Config of files that name none, as in `datasets`. */
export const DEFAULT_CONFIG = 'default';

/** True for a file that can be read on the hub and on this machine alike. */
export function isDataFile(path: string): boolean {
  return FORMATS.some((format) => format.test(path));
}

/** What a file holds, by its ending; null for what cannot be read. */
export function formatOf(path: string): 'parquet' | 'json' | 'csv' | 'txt' | null {
  if (isText(path)) return 'txt';
  const found = FORMATS.findIndex((format) => format.test(path));
  return found < 0 ? null : (['parquet', 'json', 'json', 'csv'] as const)[found]!;
}

/** True for a `.txt` file: one row on this machine, not read on the hub. */
export function isText(path: string): boolean {
  return path.endsWith('.txt');
}

// Metadata that hub tools and people keep beside the rows; never rows themselves.
const NO_ROWS = /(^|\/)(dataset_infos?|dataset_dict|state|metadata|config|package|index)\.json$/;

/** A pattern as `datasets` resolves it: `*` and `?` stay inside a folder, `**` crosses, `[...]` is a set. */
export function globRegex(pattern: string): RegExp {
  let source = '';
  for (let i = 0; i < pattern.length; i++) {
    const rest = pattern.slice(i);
    const set = /^\[(!?)([^\]]+)\]/.exec(rest);
    if (rest.startsWith('**/')) {
      source += '(?:[^/]+/)*';
      i += 2;
    } else if (rest.startsWith('**')) {
      source += '.*';
      i += 1;
    } else if (pattern[i] === '*') source += '[^/]*';
    else if (pattern[i] === '?') source += '[^/]';
    else if (set !== null) {
      source += `[${set[1] === '!' ? '^' : ''}${set[2]!.replace(/[\\^]/g, '\\$&')}]`;
      i += set[0].length - 1;
    } else source += pattern[i]!.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  }
  return new RegExp(`^${source}$`);
}

function glob(paths: readonly string[], pattern: string): string[] {
  const clean = pattern.replace(/^\.\//, '');
  const exact = paths.filter((path) => path === clean);
  if (exact.length > 0) return exact;
  const regex = globRegex(clean);
  return paths.filter((path) => regex.test(path)).sort();
}

/**
 * The YAML block at the head of a README.md as an object; {} when there is none. Throws UserError when it is broken.
 */
export function frontMatter(readme: string, where: string): Record<string, unknown> {
  const block = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\s*(\r?\n|$)/.exec(readme)?.[1];
  if (block === undefined) return {};
  try {
    const value: unknown = parseYaml(block);
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new UserError(`${where}: README.md: its front matter is no YAML: ${reason}`, { cause });
  }
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

/**
 * `data_files` in its three spellings as (split, patterns): text or list (all is train), list or mapping with splits.
 */
function dataFiles(value: unknown): [string, string[]][] {
  const texts = (inner: unknown) => list(inner).filter((one) => typeof one === 'string');
  const entries = list(value);
  if (entries.every((one) => typeof one === 'string')) return [['train', texts(entries)]];
  return entries.flatMap((entry): [string, string[]][] => {
    const { split, path, ...others } = (entry ?? {}) as Record<string, unknown>;
    if (typeof split === 'string') return [[split, texts(path)]];
    return Object.entries(others).map(([name, inner]) => [name, texts(inner)]);
  });
}

/** The layout that a README.md's `configs:` declares, and the config it marks as default; null without `configs:`. */
export function declaredLayout(
  readme: string,
  paths: readonly string[],
  where: string,
): { layout: Layout; byDefault: string | null } | null {
  const configs = list(frontMatter(readme, where).configs) as Record<string, unknown>[];
  if (configs.length === 0) return null;
  const layout: Layout = new Map();
  let byDefault: string | null = null;
  for (const config of configs) {
    const name = typeof config?.config_name === 'string' ? config.config_name : DEFAULT_CONFIG;
    if (config?.default === true) byDefault = name;
    const dir = typeof config?.data_dir === 'string' ? `${config.data_dir.replace(/^\.\/|\/+$/g, '')}/` : '';
    const splits = new Map<string, string[]>();
    if (config?.data_files !== undefined) {
      for (const [split, patterns] of dataFiles(config.data_files)) {
        const files = patterns.flatMap((pattern) => glob(paths, dir + pattern));
        splits.set(split, [...new Set(files)]);
      }
    } else {
      const inside = paths.filter((path) => path.startsWith(dir)).map((path) => path.slice(dir.length));
      for (const found of namedLayout(inside).values()) {
        for (const [split, files] of found)
          splits.set(split, [...(splits.get(split) ?? []), ...files.map((f) => dir + f)]);
      }
    }
    layout.set(name, splits);
  }
  return { layout, byDefault };
}

const SPLIT_WORD =
  /(?:^|[-._ 0-9/])(train|training|validation|valid|val|dev|test|testing|eval|evaluation)(?=$|[-._ 0-9/])/;
const SPLIT_NAMES: Record<string, string> = {
  training: 'train',
  valid: 'validation',
  val: 'validation',
  testing: 'test',
  eval: 'test',
  evaluation: 'test',
};

/** A folder `data` around all files says nothing about them. */
function withoutData(folder: string): string {
  return folder.replace(/^data$|^data\//, '');
}

/** Files that are not hidden and lie in no hidden folder. */
function visible(path: string): boolean {
  return !path.split('/').some((part) => part.startsWith('.') || part.startsWith('__'));
}

/**
 * Prefix, number, total, hash and ending of `test-00000-of-00002.parquet` or `test-00000-of-00002-<hash>.parquet`, as
 * `push_to_hub` of older `datasets` named them.
 */
const SHARD = /^(.+)-(\d{5})-of-(\d{5})(-[^/.]*)?((?:\.[^/]*)?)$/;

/**
 * Config and split that a path names: by shard name, by a folder of numbered files, by a split's word in the file's name or as
 * the name of a folder above it (the innermost of several). `split` is null where it names none.
 */
function nameOf(path: string): { config: string; split: string | null } {
  const parts = path.split('/');
  const stem = withoutPacking(parts.pop()!).replace(/\.[a-z]+$/, '');
  const folder = withoutData(parts.join('/'));
  const shard = SHARD.exec(stem);
  if (shard !== null) return { config: folder || DEFAULT_CONFIG, split: shard[1]! };
  if (/^\d+$/.test(stem) && parts.length > 0) {
    // refs/convert/parquet: <config>/<split>/0000.parquet
    const split = parts.at(-1)!;
    return { config: withoutData(parts.slice(0, -1).join('/')) || DEFAULT_CONFIG, split };
  }
  const isWord = (name: string) => SPLIT_WORD.exec(name)?.[0] === name;
  if (SPLIT_NAMES[stem] === undefined && isWord(stem)) {
    return { config: folder || DEFAULT_CONFIG, split: stem };
  }
  const word = SPLIT_WORD.exec(stem)?.[1];
  if (word !== undefined) return { config: folder || DEFAULT_CONFIG, split: SPLIT_NAMES[word] ?? word };
  const at = parts.findLastIndex(isWord);
  if (at >= 0) {
    const inFolder = parts[at]!;
    return { config: parts.slice(0, at).join('/') || DEFAULT_CONFIG, split: SPLIT_NAMES[inFolder] ?? inFolder };
  }
  return { config: folder || DEFAULT_CONFIG, split: null };
}

/** A file of rows that file names are looked at for. */
const hasRows = (path: string) => isDataFile(path) && visible(path) && !NO_ROWS.test(path);

/** Files of rows that name no split beside files that do: they are in no split. Empty where no file names one. */
export function unnamedFiles(paths: readonly string[]): string[] {
  const unnamed = paths.filter((path) => hasRows(path) && nameOf(path).split === null);
  return unnamed.length === paths.filter(hasRows).length ? [] : unnamed;
}

/** What a message about a split that is not there says of `unnamedFiles`, with a blank before it; empty where there are none. */
export function unnamedNote(paths: readonly string[]): string {
  const unnamed = unnamedFiles(paths);
  if (unnamed.length === 0) return '';
  return ` Left out: ${someOf(unnamed, 3)} (no split in the name, and other files have one).`;
}

/**
 * The layout that file names alone say. Where no file of the listing names a split all of them are `train`; where some do,
 * those that do not are in none.
 */
export function namedLayout(paths: readonly string[]): Layout {
  const layout: Layout = new Map();
  const unnamed = new Set(unnamedFiles(paths));
  const named = paths.filter((path) => hasRows(path) && !unnamed.has(path));
  for (const format of FORMATS) {
    const found: Layout = new Map();
    for (const path of named.filter((one) => format.test(one))) {
      const { config, split: word } = nameOf(path);
      const split = word ?? 'train';
      const splits = found.get(config) ?? new Map<string, string[]>();
      found.set(config, splits.set(split, [...(splits.get(split) ?? []), path]));
    }
    for (const [config, splits] of found) {
      const known = layout.get(config) ?? new Map<string, string[]>();
      for (const [split, files] of splits) if (!known.has(split)) known.set(split, files.sort());
      layout.set(config, known);
    }
  }
  return layout;
}

/**
 * The `.txt` files of a local folder, and the splits that they are in. A split's word counts as the whole name of a
 * file or of a folder (`test.txt`, `test-00000-of-00002.txt`, `test/a/b.txt`; the innermost of several) and not within
 * one: `the_test_of_time.txt` is a text like any other. The folders above it are the subset. `layout` is null when no
 * path names a split; when some do, those that do not are in none. In the order of the paths by code points, as Python
 * sorts.
 */
export function textLayout(paths: readonly string[]): { texts: string[]; layout: Layout | null } {
  const texts = paths.filter((path) => isText(path) && visible(path)).sort(byCodePoints);
  const layout: Layout = new Map();
  for (const path of texts) {
    const parts = path.replace(/(-\d{5}-of-\d{5})?\.txt$/, '').split('/');
    const at = parts.findLastIndex(isSplitWord);
    if (at < 0) continue;
    const config = withoutData(parts.slice(0, at).join('/')) || DEFAULT_CONFIG;
    const split = SPLIT_NAMES[parts[at]!] ?? parts[at]!;
    const splits = layout.get(config) ?? new Map<string, string[]>();
    const files = splits.get(split) ?? [];
    files.push(path);
    layout.set(config, splits.set(split, files));
  }
  return { texts, layout: layout.size === 0 ? null : layout };
}

/** True for a split's word and nothing around it. */
function isSplitWord(name: string): boolean {
  return SPLIT_WORD.exec(name)?.[1] === name;
}

/** UTF-8 bytes sort as code points do; JavaScript's own order, by UTF-16 units, puts emoji before U+E000 to U+FFFF. */
function byCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A layout to choose from, and how messages speak of it. */
export interface Choice {
  layout: Layout;
  /** The config that README.md marks as default. */
  byDefault: string | null;
  /** The data set's id or path. */
  where: string;
  /** Said behind a message about what is not there. */
  note: string;
  /** The files lie on this machine, where `.txt` can be read. */
  isLocal: boolean;
}

/** The config to read when a name is asked for, or none is. Throws UserError (key `dataset.subset_name`). */
export function chooseConfig({ layout, byDefault, where, note }: Choice, asked: string | null): string {
  const names = [...layout.keys()];
  const key = 'dataset.subset_name';
  const have = `It has: ${someOf(names) || 'none'}.${note}`;
  if (asked !== null) {
    if (layout.has(asked)) return asked;
    throw new UserError(`"${asked}" is not a subset of ${where}. ${have}`, { key });
  }
  const only = names.length === 1 ? names[0] : undefined;
  const chosen = byDefault ?? (layout.has(DEFAULT_CONFIG) ? DEFAULT_CONFIG : only);
  if (chosen !== undefined) return chosen;
  throw new UserError(`${where} has several subsets; one must be named. ${have}`, { key });
}

/** A set of shards: how many there are said to be, the hash of each, and what their names have in common. */
interface ShardSet {
  prefix: string;
  total: string;
  ending: string;
  /** Number -> names. */
  found: Map<number, string[]>;
}

function shardSets(files: readonly string[]): ShardSet[] {
  const sets = new Map<string, ShardSet>();
  for (const path of files) {
    const shard = SHARD.exec(path);
    if (shard === null) continue;
    const [, prefix, number, total, , ending] = shard as unknown as [string, string, string, string, string, string];
    const key = JSON.stringify([prefix, total, ending]);
    const set = sets.get(key) ?? { prefix, total, ending, found: new Map() };
    set.found.set(Number(number), [...(set.found.get(Number(number)) ?? []), path]);
    sets.set(key, set);
  }
  return [...sets.values()];
}

/**
 * The first shard that `name-00000-of-00002.parquet` promises and the list lacks, `*` in place of a hash; null when all
 * are there.
 */
export function missingShard(files: readonly string[]): string | null {
  for (const { prefix, total, ending, found } of shardSets(files)) {
    const isHashed = [...found.values()].flat().some((path) => SHARD.exec(path)?.[4] !== undefined);
    for (let i = 0; i < Number(total); i++)
      if (!found.has(i)) return `${prefix}-${String(i).padStart(5, '0')}-of-${total}${isHashed ? '-*' : ''}${ending}`;
  }
  return null;
}

/** Two files that are the same shard, or shards of two sets, of one split: it would be read twice. null without such. */
export function doubleShard(files: readonly string[]): [string, string] | null {
  const sets = shardSets(files);
  for (const { prefix, found } of sets) {
    const twice = [...found.values()].find((names) => names.length > 1);
    if (twice !== undefined) return [twice[0]!, twice[1]!];
    const [one, other] = sets.filter((set) => set.prefix === prefix).map((set) => [...set.found.values()][0]![0]!);
    if (one !== undefined && other !== undefined) return [one, other];
  }
  return null;
}

/**
 * One line on what is read where file names leave a choice: the split lies there in another format too, or files of
 * several names are in it (`test.jsonl`, `test_hard.jsonl`), as for Python's `datasets`; for `train` also what names no split
 * and is left out. null where nothing is to be said.
 */
export function choiceNote(
  paths: readonly string[],
  config: string,
  split: string,
  files: readonly string[],
): string | null {
  const others = paths.filter((path) => {
    if (files.includes(path) || !hasRows(path)) return false;
    const name = nameOf(path);
    return name.config === config && (name.split ?? 'train') === split;
  });
  const stems = new Set(files.map((path) => SHARD.exec(path)?.[1] ?? path.replace(/\d+(?=[^/\d]*$)/, '')));
  const left = others.length > 0 ? `, not from ${someOf(others, 3)}` : '';
  if (left === '' && stems.size < 2) return null;
  return `the split "${split}" is read from ${someOf(files, 6)}${left}`;
}

/**
 * The files of a split of a config. Throws UserError (key `dataset.split`), also for files that cannot be read and for
 * a missing shard: half a split must not pass for the whole.
 */
export function chooseSplit({ layout, where, note, isLocal }: Choice, config: string, split: string): string[] {
  const splits = layout.get(config) ?? new Map<string, string[]>();
  const subset = config === DEFAULT_CONFIG ? where : `${where} (${config})`;
  const files = splits.get(split);
  const fail = (line: string) => new UserError(line + note, { key: 'dataset.split' });
  if (files === undefined) {
    throw fail(`"${split}" is not a split of ${subset}. It has: ${someOf([...splits.keys()]) || 'none'}.`);
  }
  if (files.length === 0) throw fail(`${subset}: no file of split "${split}" is there, though README.md names it.`);
  const foreign = files.find((path) => !isDataFile(path) && !(isLocal && isText(path)));
  if (foreign !== undefined) throw fail(`${subset}: ${foreign} is none of ${endings(isLocal)}.`);
  const missing = missingShard(files);
  if (missing !== null) throw fail(`${subset}: split "${split}" is not whole: ${missing} is missing.`);
  const twice = isLocal ? doubleShard(files) : null;
  if (twice !== null)
    throw fail(`${subset}: split "${split}" is there twice: ${twice.join(' and ')}. It would be one of the two sets.`);
  return files;
}
