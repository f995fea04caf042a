/** Reads a YAML file against a schema. Every fault is one line: `file:line:column: key: what, with the value. What would be right.` */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { type Document, isMap, isScalar, LineCounter, type Node, type Pair, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { UserError } from './types.ts';

type Path = readonly PropertyKey[];

/** A parsed YAML file that knows where each key stands. */
export interface ConfigFile {
  path: string;
  /** The content as plain data; keys without a value (`subset_size:`) count as not written. */
  data: Record<string, unknown>;
  /**
   * `file:line:column` of the first of these paths that stands in the file, else of the file's first line: where the
   * value begins, or the key where the value is a section or `at` says so.
   */
  locate(paths: readonly Path[], at?: 'key' | 'value'): string;
  /** The UserError for a key, with its place in front. */
  error(path: Path, message: string): UserError;
}

/**
 * Reads the file that an environment variable names. Throws UserError: variable unset, no such file (with the nearest
 * name), a folder, not YAML (tabs, duplicate keys), empty, several documents, not a map.
 */
export function readConfigFile(variable: string, path: string | undefined, example: string): ConfigFile {
  if (path === undefined || path === '') {
    throw new UserError(
      `${variable} is not set. Set it to the path of a YAML file, for example ${variable}=${example}.`,
    );
  }
  const lines = new LineCounter();
  const documents = parseAllDocuments(readText(variable, path), { lineCounter: lines, prettyErrors: true });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (!Array.isArray(documents) || documents.length === 0) throw empty(path);
  const [document, second] = documents as Document.Parsed[];
  if (document === undefined) throw empty(path);
  const fault = document.errors[0];
  if (fault !== undefined) throw new UserError(`${place(fault.pos[0])}: ${yamlFault(fault.code, fault.message)}`);
  if (second !== undefined)
    throw new UserError(`${place(second.range[0])}: a second YAML document. One file holds one run.`);
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    throw empty(path);
  if (!isMap(document.contents)) {
    throw new UserError(
      `${path}:1:1: ${show(document.toJS())} is not a config. It has to be sections of \`key: value\` lines.`,
    );
  }
  const file: ConfigFile = {
    path,
    data: withoutNulls(document.toJS()) as Record<string, unknown>,
    locate(paths, at = 'value') {
      for (const wanted of paths) {
        const offset = offsetOf(document, wanted, at);
        if (offset !== null) return place(offset);
      }
      return place(document.contents?.range?.[0] ?? 0);
    },
    error: (wanted, message) => new UserError(`${file.locate(ancestors(wanted))}: ${dotted(wanted)}: ${message}`),
  };
  return file;
}

function empty(path: string): UserError {
  return new UserError(`${path}: the file is empty. It needs \`task:\` and a \`model:\` section with \`model_id:\`.`);
}

function readText(variable: string, path: string): string {
  try {
    if (statSync(path).isDirectory()) {
      const inside = readdirSync(path).filter((file) => /\.ya?ml$/.test(file));
      const hint = inside.length > 0 ? `It has: ${inside.sort().join(', ')}.` : 'It has no YAML file.';
      throw new UserError(`${variable}: ${path} is a folder, not a file. ${hint}`);
    }
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new UserError(`${variable}: ${path} cannot be read: ${(cause as Error).message}.`, { cause });
    }
    throw new UserError(`${variable}: there is no file ${path}.${neighbour(path)}`, { cause });
  }
}

function neighbour(path: string): string {
  let names: string[];
  try {
    names = readdirSync(dirname(path)).filter((file) => /\.ya?ml$/.test(file));
  } catch {
    return ` There is no folder ${dirname(path)} either; paths are relative to ${process.cwd()}.`;
  }
  if (names.length === 0) return ` ${dirname(path)} has no YAML file.`;
  const wanted = path.slice(path.lastIndexOf('/') + 1);
  return ` Did you mean ${join(dirname(path), closest(wanted, names))}?`;
}

function yamlFault(code: string, message: string): string {
  const first = message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;
  if (code === 'DUPLICATE_KEY') return 'this key stands twice in its section. Keep one of them.';
  if (code === 'TAB_AS_INDENT' || /tab/i.test(first)) return 'a tab indents this line. YAML wants blanks.';
  return `not YAML: ${first}.`;
}

/** A key without a value means "not set", as in the original's configs (`subset_size: null`). */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  );
}

function offsetOf(document: Document.Parsed, path: Path, at: 'key' | 'value'): number | null {
  if (path.length === 0) return null;
  const last = path[path.length - 1];
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1) as (string | number)[], true);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === last) as Pair<Node> | undefined;
    const value = pair?.value as Node | null | undefined;
    const isText = isScalar(value) && value.value !== null;
    return (at === 'value' && isText ? value.range?.[0] : pair?.key.range?.[0]) ?? null;
  }
  const node = document.getIn(path as (string | number)[], true) as Node | undefined;
  return node?.range?.[0] ?? null;
}

const ancestors = (path: Path): Path[] => path.map((_, i) => path.slice(0, path.length - i));

/** `tasks[0].model.dtype`. */
export function dotted(path: Path): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  );
}

/**
 * Parses `data` (by default the whole file) with a schema. `paths` says where a key of the parsed data stands in the
 * file: a suite's task lies under `tasks[i]` or at the top. Throws UserError for the first fault in the order of the
 * file, unknown keys first, since a misspelt key is the usual reason for a missing one.
 */
export function parseConfig<T extends z.ZodType>(
  file: ConfigFile,
  schema: T,
  data: Record<string, unknown> = file.data,
  paths: (path: Path) => Path[] = (path) => [path],
): z.infer<T> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, schema, data));
  const unknown = faults.filter((fault) => fault.unknown);
  const [first] = unknown.length > 0 ? unknown : faults;
  if (first === undefined) throw result.error;
  const candidates = ancestors(first.path).flatMap(paths);
  const more = faults.length - 1;
  const tail = more > 0 && unknown.length !== 1 ? ` (${more} more below it)` : '';
  throw new UserError(
    `${file.locate(candidates, first.unknown ? 'key' : 'value')}: ${dotted(first.path)}: ${first.message}${tail}`,
  );
}

interface Fault {
  path: Path;
  message: string;
  unknown: boolean;
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, data: unknown): Fault[] {
  const value = valueAt(data, issue.path);
  const fault = (message: string): Fault[] => [{ path: issue.path, message, unknown: false }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        message: `unknown key. ${hint(key, issue.path, schema)}`,
        unknown: true,
      }));
    case 'invalid_type':
      if (value === undefined) return fault(`missing. It has to be ${typeName(issue.expected)}.`);
      return fault(`${show(value)} is not ${typeName(issue.expected)}.${quoted(value, issue.expected)}`);
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      if (value === undefined) return fault(`missing. It has to be ${oneOf(allowed)}.`);
      const near = typeof value === 'string' ? nearest(value, allowed) : null;
      return fault(`${show(value)} is not ${oneOf(allowed)}.${near === null ? '' : ` Did you mean "${near}"?`}`);
    }
    case 'too_small':
      if (issue.origin === 'array') return fault('the list is empty. It needs at least one entry.');
      if (issue.origin === 'string') return fault('the text is empty.');
      return fault(`${show(value)} is too small. It has to be at least ${issue.minimum}.`);
    case 'too_big':
      return fault(`${show(value)} is too large. It has to be at most ${issue.maximum}.`);
    case 'invalid_format':
      return fault(`${show(value)} does not fit. It has to be ${issue.message}.`);
    default:
      return fault(`${show(value)} does not fit: ${issue.message}.`);
  }
}

function quoted(value: unknown, expected: string): string {
  if (typeof value !== 'string') return '';
  if (expected === 'boolean' && /^(true|false|yes|no|on|off)$/i.test(value))
    return ' Write true or false, without quotes.';
  if (/^(number|int)$/.test(expected) && value.trim() !== '' && !Number.isNaN(Number(value)))
    return ' Write it without quotes.';
  return '';
}

function typeName(expected: string): string {
  const names: Record<string, string> = {
    boolean: 'true or false',
    number: 'a number',
    int: 'a whole number',
    string: 'a text',
    object: 'a section (indented `key: value` lines)',
    record: 'a section (indented `key: value` lines)',
    array: 'a list',
  };
  return names[expected] ?? expected;
}

function oneOf(allowed: string[]): string {
  return allowed.length === 1 ? `"${allowed[0]}"` : `one of: ${allowed.join(', ')}`;
}

/** The nearest allowed word, when it is near enough to be a slip of the pen. */
export function nearest(word: string, allowed: readonly string[]): string | null {
  if (allowed.length === 0) return null;
  const lower = word.toLowerCase();
  const best = closest(lower, [...allowed]);
  return distance(lower, best.toLowerCase()) <= Math.max(1, Math.floor(word.length / 3)) ? best : null;
}

/** What an unknown key may have been: a near one of its section, or the same one in another section. */
function hint(key: string, path: Path, schema: z.ZodType): string {
  const siblings = keysAt(schema, path);
  const near = nearest(key, siblings);
  if (near !== null) return `Did you mean "${near}"?`;
  const sections = keysAt(schema, []);
  const home = sections.find((section) => keysAt(schema, [section]).includes(key));
  if (home !== undefined) return `It belongs to the section "${home}".`;
  return `${path.length === 0 ? 'The file' : `"${dotted(path)}"`} has: ${siblings.join(', ')}.`;
}

/** The keys that a schema knows at a path, seen through defaults and optionals. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let inner: unknown = schema;
  for (const part of [...path, null]) {
    while (inner instanceof z.ZodDefault || inner instanceof z.ZodOptional || inner instanceof z.ZodPrefault) {
      inner = inner.unwrap();
    }
    if (part === null) break;
    if (inner instanceof z.ZodArray) inner = inner.unwrap();
    else inner = inner instanceof z.ZodObject ? inner.shape[String(part)] : undefined;
  }
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], data);
}

/** A value as it is shown in a message: JSON, cut at 60 characters. */
export function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
