/** Reads a YAML file, or a run's record, and knows where each key stands: `file:line:column`. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { closest } from 'fastest-levenshtein';
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from 'yaml';
import { FORMAT, UserError } from '../types.ts';
import { ancestors, dotted, type Path, show } from './messages.ts';
import { expandHome, isOthersHome, NO_OTHERS_HOME } from './paths.ts';

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
 * Reads the file that an environment variable names (`~/` is the home folder). Throws UserError: variable unset, no such
 * file (with the nearest name), a folder, not YAML (tabs, duplicate keys), YAML that is no plain data (a section as a key, a
 * section in itself), empty, several documents, not a map.
 */
export function readConfigFile(variable: string, written: string | undefined, example: string): ConfigFile {
  if (written === undefined || written === '') {
    throw new UserError(
      `${variable} is not set. Set it to the path of a YAML file, for example ${variable}=${example}.`,
    );
  }
  if (isOthersHome(written))
    throw new UserError(`${variable}: ${show(written)} does not fit. It has to be ${NO_OTHERS_HOME}.`);
  const path = expandHome(written);
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
  const found = fault === undefined ? unfitNode(document) : yamlFault(document, fault);
  if (found !== null) throw new UserError(`${place(found.offset)}: ${found.message}`);
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
  if (isRecord) checkFormat(path, record.format);
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
 * Throws UserError for a file of a run that was written in another format than today's: what it holds would be misread.
 * `remedy` says what to do about it, `key` is the config's that names the file.
 */
export function checkFormat(
  path: string,
  format: unknown,
  {
    remedy = 'Use the version of NanoEval that wrote it, or make the run anew.',
    key,
  }: { remedy?: string; key?: string } = {},
): void {
  if (format === FORMAT) return;
  const found = format === undefined ? 'no format number' : `format ${show(format)}`;
  throw new UserError(`${path} has ${found}, and this version of NanoEval reads format ${FORMAT}. ${remedy}`, {
    ...(key === undefined ? {} : { key }),
  });
}

/**
 * A run's own record (run.json) as the config of the same run: the resolved config, with the commits of that day in place
 * of the branches' names, and the day itself where the chat template asked for it.
 */
function pinnedConfig(record: Record<string, unknown>): Record<string, unknown> {
  type Section = Record<string, unknown>;
  const config = record.config as Record<string, Section>;
  const { source } = (record.model ?? {}) as { source?: Section };
  const pinned = (name: 'model' | 'dataset', identity: unknown): Section => {
    const { commit } = (identity ?? {}) as { commit?: string | null };
    return { ...config[name], ...(commit ? { revision: commit } : {}) };
  };
  const { template_date } = record;
  const model = { ...pinned('model', source), ...(template_date === undefined ? {} : { template_date }) };
  return { ...config, model, dataset: pinned('dataset', record.dataset) };
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
  const first = firstLine(message);
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

/** YAML that is no plain data, and where it begins: the parser lets it pass, some of it with a warning of many lines. */
function unfitNode(document: Document.Parsed): { offset: number; message: string } | null {
  let found: { offset: number; message: string } | null = null;
  const hit = (node: Node, message: string) => {
    found ??= { offset: node.range?.[0] ?? 0, message };
    return visit.BREAK;
  };
  visit(document, {
    Pair(_, { key }) {
      const named = isAlias(key) ? key.resolve(document) : key;
      if (!isCollection(named)) return;
      return hit(key as Node, 'a section or a list stands where a key should. A key is a text.');
    },
    Alias(_, alias, path) {
      // `path` holds the nodes around it: the one that it stands for is no part of itself.
      const named = alias.resolve(document);
      if (named === undefined || !path.includes(named)) return;
      return hit(alias, `"*${alias.source}" stands inside what it stands for. It has no end.`);
    },
  });
  const [warning] = document.warnings;
  if (found !== null || warning === undefined) return found;
  return { offset: warning.pos[0], message: `not YAML that is read here: ${firstLine(warning.message)}.` };
}

/** The parser's message without the place, which stands in front, and without the picture of the line. */
const firstLine = (message: string) => message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;

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
