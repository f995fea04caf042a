/** Checks plain data against a schema. Every fault is one line: `file:line:column: key: what, with the value. What would be right.` */
import { z } from 'zod';
import { UserError } from '../types.ts';
import { foreignKey, withoutForeign } from './backends.ts';
import type { ConfigFile } from './file.ts';
import { ancestors, dotted, nearest, type Path, show } from './messages.ts';

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
  if (result.success) {
    const foreign = foreignKey(written);
    if (foreign === null) return withoutForeign(result.data);
    const where = file.locate(ancestors(foreign.path).flatMap(paths), 'key');
    throw new UserError(`${where}: ${dotted(foreign.path)}: ${foreign.message}`);
  }
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

/**
 * Plain data that stands in no config (a row of a file) as a schema has it, or the first thing that is wrong with it, as in
 * an error of a config: key and message. A key without a value is one that is not there.
 */
export function readBy<T extends z.ZodType>(
  schema: T,
  data: unknown,
): { value: z.infer<T> } | { key: string; message: string } {
  const written = withoutNulls(data, schema);
  const result = schema.safeParse(written);
  if (result.success) return { value: result.data };
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, schema, written));
  const first = faults.find(({ unknown }) => unknown) ?? faults[0];
  if (first === undefined) throw result.error;
  return { key: dotted(first.path), message: first.message };
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
        issue.errors.flat().find(({ code }) => code === (isMapping ? 'unrecognized_keys' : 'invalid_value')) ??
        issue.errors.flat().find(({ code }) => code === 'too_small' || code === 'custom');
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
    const list = typeof part === 'number' ? kindsOf(inner).find((kind) => kind instanceof z.ZodArray) : undefined;
    if (list !== undefined) inner = unwrapped(list.element);
    else inner = inner instanceof z.ZodObject ? unwrapped(inner.shape[String(part)]) : undefined;
  }
  return Object.keys(mappingOf(inner)?.shape ?? {});
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], data);
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

/** The kinds of value that a schema takes. */
const kindsOf = (schema: unknown): unknown[] =>
  schema instanceof z.ZodUnion ? schema.options.map(unwrapped) : [schema];

/** The mapping among them. */
function mappingOf(schema: unknown): z.ZodObject | undefined {
  return kindsOf(schema).find((kind) => kind instanceof z.ZodObject);
}
