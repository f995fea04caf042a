/** Reads a YAML file, or a run's record, against a schema. Every fault is one line: `file:line:column: key: what, with the value. What would be right.` */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { type Document, isMap, isScalar, LineCounter, type Node, type Pair, parseAllDocuments, visit } from 'yaml';
import { z } from 'zod';
import { UserError } from '../types.ts';

type Path = readonly PropertyKey[];

/** A parsed YAML file that knows where each key stands. */
export interface ConfigFile {
  path: string;
  /** The content as plain data. */
  data: Record<string, unknown>;
  /**
   * `file:line:column` of the first of these paths that stands in the file, else of the file's first line: where the
   * value begins, or the key where the value is a section or `at` says so.
   */
  locate(paths: readonly Path[], at?: 'key' | 'value'): string;
  /** The same as characters from the start of the file. */
  offset(paths: readonly Path[], at?: 'key' | 'value'): number;
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
  if (!Array.isArray(documents) || documents.length === 0) throw empty(path, example);
  const [document, second] = documents as Document.Parsed[];
  if (document === undefined) throw empty(path, example);
  const fault = document.errors[0];
  if (fault !== undefined) {
    const { offset, message } = yamlFault(document, fault);
    throw new UserError(`${place(offset)}: ${message}`);
  }
  if (second !== undefined)
    throw new UserError(`${place(second.range[0])}: a second YAML document. One file holds one run.`);
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    throw empty(path, example);
  const content = plainData(document, place);
  if (!isMap(document.contents)) {
    throw new UserError(
      `${place(document.contents.range[0])}: ${show(content)} is not a config. It has to be sections of \`key: value\` lines.`,
    );
  }
  const record = content as Record<string, unknown>;
  const isRecord = typeof record.fingerprint === 'string' && 'config' in record;
  const file: ConfigFile = {
    path,
    data: isRecord ? pinnedConfig(record) : record,
    locate: (paths, at) => place(file.offset(paths, at)),
    offset(paths, at = 'value') {
      for (const wanted of paths) {
        const offset = offsetOf(document, isRecord ? ['config', ...wanted] : wanted, at);
        if (offset !== null) return offset;
      }
      return document.contents?.range[0] ?? 0;
    },
    error: (wanted, message) => new UserError(`${file.locate(ancestors(wanted))}: ${dotted(wanted)}: ${message}`),
  };
  return file;
}

/**
 * A run's own record (run.json) as the config of the same run: the resolved config, with the commits of that day in place
 * of the branches' names.
 */
function pinnedConfig(record: Record<string, unknown>): Record<string, unknown> {
  type Section = Record<string, unknown>;
  const config = record.config as Record<string, Section>;
  const pinned = (name: 'model' | 'dataset'): Section => {
    const { commit } = (record[name] ?? {}) as { commit?: string | null };
    return { ...config[name], ...(commit ? { revision: commit } : {}) };
  };
  return { ...config, model: pinned('model'), dataset: pinned('dataset') };
}

function empty(path: string, example: string): UserError {
  return new UserError(`${path}:1:1: the file is empty. ${example} shows what it holds.`);
}

function readText(variable: string, path: string): string {
  try {
    if (statSync(path).isDirectory()) {
      const inside = readdirSync(path).filter((file) => /\.ya?ml$/.test(file));
      const hint = inside.length > 0 ? `It has: ${inside.sort().join(', ')}.` : 'It has no YAML file.';
      throw new UserError(`${variable}: ${path} is a folder, not a file. ${hint}`);
    }
    return decode(path, readFileSync(path));
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new UserError(`${variable}: ${path} cannot be read: ${(cause as Error).message}.`, { cause });
    }
    throw new UserError(`${variable}: there is no file ${path}.${neighbour(path)}`, { cause });
  }
}

function decode(path: string, bytes: Buffer): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Told below.
  }
  throw new UserError(`${path}: the file is not text in UTF-8. Save it as UTF-8.`);
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

/** What the parser found, in words that need no YAML grammar, and where it begins. */
function yamlFault(
  document: Document.Parsed,
  { code, message, pos }: Document.Parsed['errors'][number],
): { offset: number; message: string } {
  const at = (text: string, offset = pos[0]) => ({ offset, message: text });
  const first = message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;
  if (code === 'DUPLICATE_KEY') return at('this key stands twice in its section. Keep one of them.');
  if (code === 'TAB_AS_INDENT' || /tab/i.test(first)) return at('a tab indents this line. YAML wants blanks.');
  if (code === 'MULTILINE_IMPLICIT_KEY')
    return at('this line is not `key: value`. A key needs a colon and a blank behind it.');
  if (code === 'BLOCK_AS_IMPLICIT_KEY') {
    return at('a second colon or a deeper line follows this value. Put it in quotes, or mend the indentation.');
  }
  if (code === 'BAD_INDENT' && first.startsWith('All mapping items')) {
    return at('this line does not begin in the column of the other keys of its section. Mend the indentation.');
  }
  const unclosed = /^Missing closing (.)quote|end with a ([}\]])$/.exec(first);
  if (unclosed === null) return at(`not YAML: ${first}.`);
  // The parser tells where the file or the bracket's room ends; what is of use is where it began.
  let offset = pos[0];
  const begins = (node: Node) => {
    if (node.range && node.range[0] < pos[0] && node.range[1] >= pos[0] - 1) offset = node.range[0];
  };
  visit(
    document,
    unclosed[1] === undefined
      ? { Collection: (_, node) => begins(node as Node) }
      : { Scalar: (_, node) => begins(node) },
  );
  const [opened, closing] = unclosed[1] === undefined ? ['bracket', unclosed[2]] : ['quote', unclosed[1]];
  return at(`the ${opened} that opens here is never closed. It needs a ${closing} at its end.`, offset);
}

/** The document as plain data. Throws UserError for an alias (`*name`) that nothing defines, or too many of them. */
function plainData(document: Document.Parsed, place: (offset: number) => string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    let offset = 0;
    visit(document, {
      Alias(_, node) {
        if (node.resolve(document) !== undefined) return;
        offset = node.range?.[0] ?? 0;
        return visit.BREAK;
      },
    });
    throw new UserError(`${place(offset)}: not YAML: ${(cause as Error).message}. Put a text with "*" in quotes.`, {
      cause,
    });
  }
}

/**
 * A key without a value means "not set", as in the original's configs (`subset_size: null`). Only keys that the schema
 * knows are dropped: a misspelt one stays, to be refused.
 */
function withoutNulls(value: unknown, schema: unknown): unknown {
  const known = unwrapped(schema);
  if (known instanceof z.ZodArray && Array.isArray(value))
    return value.map((item) => withoutNulls(item, known.element));
  const shape = mappingOf(known)?.shape;
  if (shape === undefined || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).filter(([key, inner]) => inner !== null || !(key in shape));
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutNulls(inner, shape[key])]));
}

/** A schema seen through defaults and optionals. */
function unwrapped(schema: unknown): unknown {
  let inner = schema;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodOptional || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap();
  }
  return inner;
}

/** The mapping among the kinds of value that a schema takes. */
function mappingOf(schema: unknown): z.ZodObject | undefined {
  const kinds = schema instanceof z.ZodUnion ? schema.options.map(unwrapped) : [schema];
  return kinds.find((kind) => kind instanceof z.ZodObject);
}

function offsetOf(document: Document.Parsed, path: Path, at: 'key' | 'value'): number | null {
  if (path.length === 0) return null;
  const last = path[path.length - 1];
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1) as (string | number)[], true);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(last)) as
      | Pair<Node>
      | undefined;
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
  const written = withoutNulls(data, schema);
  const result = schema.safeParse(written);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, schema, written));
  const unknown = faults.filter((fault) => fault.unknown);
  const where = ({ path, unknown: isUnknown }: Fault) =>
    [ancestors(path).flatMap(paths), isUnknown ? 'key' : 'value'] as const;
  const [first] = (unknown.length > 0 ? unknown : faults).toSorted(
    (a, b) => file.offset(...where(a)) - file.offset(...where(b)),
  );
  if (first === undefined) throw result.error;
  const more = faults.length - 1;
  // Beside a single misspelt key the rest is what it left missing.
  const tail = more > 0 && unknown.length !== 1 ? ` (${more} more ${more === 1 ? 'fault' : 'faults'})` : '';
  throw new UserError(`${file.locate(...where(first))}: ${dotted(first.path)}: ${first.message}${tail}`);
}

interface Fault {
  path: Path;
  message: string;
  unknown: boolean;
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, data: unknown): Fault[] {
  const value = valueAt(data, issue.path);
  const fault = (message: string, path: Path = issue.path): Fault[] => [{ path, message, unknown: false }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        message: `unknown key. ${hint(key, issue.path, schema)}`,
        unknown: true,
      }));
    case 'invalid_type':
      if (value === undefined) return fault(`missing. It has to be ${typeName(issue.expected)}.`);
      if (typeof value === 'number' && !Number.isFinite(value)) return fault(`${show(value)} is not a finite number.`);
      return fault(`${show(value)} is not ${typeName(issue.expected)}.${quoted(value, issue.expected)}`);
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      if (value === undefined) return fault(`missing. It has to be ${oneOf(allowed)}.`);
      // zod's own words begin so; others are a schema's.
      const why = issue.message.startsWith('Invalid') ? '' : `: ${issue.message}`;
      if (allowed.length === 1) return fault(`${show(value)} does not fit. It has to be ${oneOf(allowed)}${why}.`);
      const near = typeof value === 'string' ? nearest(value, allowed) : null;
      return fault(`${show(value)} is not ${oneOf(allowed)}.${near === null ? '' : ` Did you mean "${near}"?`}`);
    }
    case 'too_small':
      if (issue.origin === 'array') return fault('the list is empty. It needs at least one entry.');
      if (issue.origin === 'string') return fault('the text is empty.');
      return fault(
        `${show(value)} is too small. It has to be ${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}.`,
      );
    case 'too_big':
      return fault(`${show(value)} is too large. It has to be at most ${issue.maximum}.`);
    case 'invalid_format':
      return fault(`${show(value)} does not fit. It has to be ${issue.message}.`);
    case 'invalid_union': {
      // The branch that is of the value's kind says best what is wrong.
      const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
      const inside =
        issue.errors.find((branch) => branch.every((inner) => inner.path.length > 0))?.[0] ??
        issue.errors.flat().find(({ code }) => code === (isMapping ? 'unrecognized_keys' : 'invalid_value'));
      if (inside !== undefined) {
        const path = [...issue.path, ...inside.path];
        return describeIssue({ ...inside, path }, schema, data);
      }
      const kinds = issue.errors.flatMap(([inner]) =>
        inner?.code === 'invalid_type' ? [typeName(inner.expected)] : [],
      );
      return fault(`${value === undefined ? 'missing. It has to be' : `${show(value)} is not`} ${kinds.join(' or ')}.`);
    }
    case 'custom':
      return fault(issue.message);
    default:
      return fault(`${show(value)} does not fit: ${issue.message}.`);
  }
}

function quoted(value: unknown, expected: string): string {
  if (expected === 'string' && /^(number|boolean)$/.test(typeof value)) return ' Put it in quotes.';
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

/**
 * The nearest allowed word, when it is near enough to be a slip of the pen: a third of the letters, or letters in
 * another order. In a word of up to three letters another letter is another word (`gpu` is not `cpu`).
 */
export function nearest(word: string, allowed: readonly string[]): string | null {
  if (allowed.length === 0) return null;
  const lower = word.toLowerCase();
  const lowered = allowed.map((other) => other.toLowerCase());
  const letters = (text: string) => [...text].sort().join('');
  const swapped = lowered.find((other) => letters(other) === letters(lower) && distance(lower, other) <= 2);
  const best = swapped ?? closest(lower, lowered);
  const isOther = word.length <= 3 && best.length === word.length && best !== lower;
  const isSlip =
    swapped !== undefined || (!isOther && distance(lower, best) <= Math.max(1, Math.floor(word.length / 3)));
  return isSlip ? (allowed[lowered.indexOf(best)] ?? null) : null;
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

/** The keys that a schema knows at a path. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let inner = unwrapped(schema);
  for (const part of path) {
    if (inner instanceof z.ZodArray) inner = unwrapped(inner.element);
    else inner = inner instanceof z.ZodObject ? unwrapped(inner.shape[String(part)]) : undefined;
  }
  return Object.keys(mappingOf(inner)?.shape ?? {});
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], data);
}

/** A value as it is shown in a message: JSON, cut at 60 characters. */
export function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
