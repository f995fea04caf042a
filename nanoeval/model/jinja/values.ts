/**
 * Python's values as a template sees them. int is a JavaScript number (a whole one within 2^53), float a `Float`, str a
 * string, None null, list an array; what JavaScript has no match for has a class here.
 */

/** What Python raises while a template is rendered. */
export class TemplateError extends Error {}

/** What Python would do and this program does not: it is refused by name, never printed in another way. */
export class Unsupported extends TemplateError {
  constructor(what: string) {
    super(`${what} is not supported here`);
  }
}

export type Value =
  | null
  | boolean
  | number
  | string
  | readonly Value[]
  | Float
  | Tuple
  | Dict
  | Markup
  | Undefined
  | Callable
  | Namespace
  | Iterator
  | View
  | Range
  | Attributes;

export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export class Tuple {
  readonly items: readonly Value[];
  /** Names of the items, where they can be read as attributes too. */
  readonly names: readonly string[];
  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** Text that `safe` or `escape` made. It can be printed and asked for its truth; anything else would escape its neighbours. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A name or an attribute that is not there: prints nothing, has no items, and fails in any other use. */
export class Undefined {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
  fail(): never {
    throw new TemplateError(this.message);
  }
}

/** The arguments of a call. */
export interface Given {
  positional: readonly Value[];
  named: ReadonlyMap<string, Value>;
}

/** A macro, a method, a function. */
export class Callable {
  readonly call: (given: Given) => Value;
  /** What Python prints of it; null where that is an address in memory. */
  readonly shown: string | null;
  constructor(call: (given: Given) => Value, shown: string | null = null) {
    this.call = call;
    this.shown = shown;
  }
}

/** `namespace()`: the one thing whose attributes a template may set. */
export class Namespace {
  readonly fields: Dict;
  constructor(fields: Dict) {
    this.fields = fields;
  }
}

/** A generator or another one-way iterator: true, without a length, read once. */
export class Iterator {
  private readonly source: globalThis.Iterator<Value>;
  constructor(source: Iterable<Value>) {
    this.source = source[Symbol.iterator]();
  }
  *[Symbol.iterator](): Generator<Value> {
    for (let next = this.source.next(); !next.done; next = this.source.next()) yield next.value;
  }
}

/** What `keys()`, `values()` and `items()` of a dict give. */
export class View {
  readonly kind: 'keys' | 'values' | 'items';
  readonly of: Dict;
  constructor(kind: View['kind'], of: Dict) {
    this.kind = kind;
    this.of = of;
  }
  items(): Value[] {
    const pairs = this.of.pairs();
    if (this.kind === 'items') return pairs.map((pair) => new Tuple(pair));
    return pairs.map(([key, value]) => (this.kind === 'keys' ? key : value));
  }
}

export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  constructor(start: number, stop: number, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
  get length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }
  items(): number[] {
    return Array.from({ length: this.length }, (_, i) => this.start + i * this.step);
  }
}

/** An object of the renderer's own, known by its attributes: `loop`, a macro, `cycler()`. */
export class Attributes {
  readonly get: (name: string) => Value | undefined;
  /** Called itself, where it can be. */
  readonly call: ((given: Given) => Value) | null;
  readonly shown: () => string;
  /** It can be called; `callable` says so. */
  constructor(
    get: (name: string) => Value | undefined,
    shown: () => string,
    call: ((given: Given) => Value) | null = null,
  ) {
    this.get = get;
    this.shown = shown;
    this.call = call;
  }
}

/** A dict: keeps the order in which keys came, and takes 1, 1.0 and True for one key. */
export class Dict {
  private readonly entries = new Map<unknown, [Value, Value]>();

  constructor(pairs: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of pairs) this.set(key, value);
  }
  get size(): number {
    return this.entries.size;
  }
  get(key: Value): Value | undefined {
    return this.entries.get(hashed(key))?.[1];
  }
  has(key: Value): boolean {
    return this.entries.has(hashed(key));
  }
  set(key: Value, value: Value): void {
    const id = hashed(key);
    const known = this.entries.get(id);
    if (known === undefined) this.entries.set(id, [key, value]);
    else known[1] = value;
  }
  pairs(): [Value, Value][] {
    return [...this.entries.values()];
  }
}

const UNDEFINED = Symbol('undefined');

/** Two values are one key of a dict where this is the same. Throws TemplateError for a list or a dict. */
function hashed(value: Value): unknown {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Float) return value.value;
  if (value instanceof Undefined) return UNDEFINED;
  if (value instanceof Tuple)
    return `\0tuple ${value.items.map((item) => `${typeof hashed(item)} ${String(hashed(item))}`).join('\0')}`;
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value) || value instanceof Dict) throw new TemplateError(`unhashable type: '${typeName(value)}'`);
  return value;
}

/** The distinct ones of `items`, by their keys; the first of each. */
export function distinct<T>(items: Iterable<T>, keyOf: (item: T) => Value): T[] {
  const seen = new Set<unknown>();
  const kept: T[] = [];
  for (const item of items) {
    const id = hashed(keyOf(item));
    if (seen.has(id)) continue;
    seen.add(id);
    kept.push(item);
  }
  return kept;
}

/** Python's name for the type of a value. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'string') return 'str';
  if (Array.isArray(value)) return 'list';
  if (value instanceof View) return `dict_${value.kind}`;
  const named = value.constructor.name;
  return ({ Float: 'float', Tuple: 'tuple', Dict: 'dict', Iterator: 'generator', Range: 'range', Callable: 'function' }[
    named
  ] ?? named) as string;
}

/** JSON data as Python's values. Numbers with a fraction become floats. */
export function fromJson(data: unknown): Value {
  if (data === null || data === undefined) return null;
  if (typeof data === 'number') return Number.isSafeInteger(data) ? data : new Float(data);
  if (typeof data === 'string' || typeof data === 'boolean') return data;
  if (Array.isArray(data)) return data.map(fromJson);
  return new Dict(Object.entries(data).map(([key, value]) => [key, fromJson(value)] as const));
}

/** Python's truth of a value. */
export function truth(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return value !== 0;
  if (typeof value === 'string') return value !== '';
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof View) return value.of.size > 0;
  if (value instanceof Markup) return value.text !== '';
  if (value instanceof Range) return value.length > 0;
  return true;
}

/** The characters of a text: code points, as Python counts them. */
export const characters = (text: string): string[] => Array.from(text);

/** The items of a value in turn. Throws TemplateError for one that has none. */
export function iterate(value: Value): Iterable<Value> {
  if (Array.isArray(value)) return value as readonly Value[];
  if (typeof value === 'string') return characters(value);
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.pairs().map(([key]) => key);
  if (value instanceof View || value instanceof Range) return value.items();
  if (value instanceof Iterator) return value;
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

export const isIterable = (value: Value): boolean =>
  typeof value === 'string' ||
  Array.isArray(value) ||
  [Tuple, Dict, View, Range, Iterator, Undefined, Markup].some((one) => value instanceof one);

/** Python's `len`; null where there is none. */
export function lengthOf(value: Value): number | null {
  if (typeof value === 'string') return characters(value).length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof View) return value.of.size;
  if (value instanceof Range) return value.length;
  if (value instanceof Undefined) return 0;
  if (value instanceof Markup) return characters(value.text).length;
  return null;
}

/**
 * The arguments of a call under the names of a Python signature, undefined where one was not given. Throws TemplateError for
 * too many, an unknown name and one given twice; `required` of the first ones must be there.
 */
export function bind(
  name: string,
  { positional, named }: Given,
  names: readonly string[],
  required = 0,
): (Value | undefined)[] {
  if (positional.length > names.length)
    throw new TemplateError(`${name}() takes at most ${names.length} arguments (${positional.length} given)`);
  const values: (Value | undefined)[] = names.map((_, i) => positional[i]);
  for (const [key, value] of named) {
    const at = names.indexOf(key);
    if (at < 0) throw new TemplateError(`${name}() got an unexpected keyword argument '${key}'`);
    if (at < positional.length) throw new TemplateError(`${name}() got multiple values for argument '${key}'`);
    values[at] = value;
  }
  const missing = values.findIndex((value, i) => i < required && value === undefined);
  if (missing >= 0) throw new TemplateError(`${name}() missing required argument '${names[missing]}'`);
  return values;
}
