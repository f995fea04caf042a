/** Attributes, items and slices of values, and the methods of lists and dicts: as jinja2's sandbox gives them. */
import { equal } from './operators.ts';
import { repr } from './printed.ts';
import { format } from './printf.ts';
import { TEXT_METHODS, TEXT_METHODS_LACKING } from './texts.ts';
import {
  Attributes,
  bind,
  Callable,
  characters,
  Dict,
  Float,
  type Given,
  iterate,
  Markup,
  Namespace,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
  View,
} from './values.ts';

/** Methods that would change a list or a dict: the sandbox takes them away. */
const CHANGING = {
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
};
/** Attributes of Python's numbers; nobody prints those. */
const OF_NUMBERS = [
  'real',
  'imag',
  'numerator',
  'denominator',
  'conjugate',
  'bit_length',
  'bit_count',
  'to_bytes',
  'from_bytes',
  'as_integer_ratio',
  'is_integer',
  'hex',
  'fromhex',
];

/** Methods by name that a value of some type has and this program lacks: a template that calls one is refused. */
export const METHODS_LACKING = [...TEXT_METHODS_LACKING, 'expandtabs', 'fromkeys', 'is_integer', 'bit_length'];

type Methods = Readonly<Record<string, (given: Given) => Value>>;

function dictMethods(dict: Dict): Methods {
  const view = (kind: View['kind']) => (given: Given) => {
    bind(kind, given, []);
    return new View(kind, dict);
  };
  return {
    keys: view('keys'),
    values: view('values'),
    items: view('items'),
    get(given) {
      if (given.named.size > 0) throw new TemplateError('dict.get() takes no keyword arguments');
      const [key, preset = null] = bind('get', given, ['key', 'default'], 1);
      return dict.has(key!) ? dict.get(key!)! : preset;
    },
    copy: (given) => {
      bind('copy', given, []);
      return new Dict(dict.pairs());
    },
    fromkeys: () => {
      throw new Unsupported('the method "fromkeys"');
    },
  };
}

function listMethods(items: readonly Value[]): Methods {
  return {
    count: (given) => {
      const [wanted] = bind('count', given, ['value'], 1);
      return items.filter((item) => equal(item, wanted!)).length;
    },
    index: (given) => {
      const [wanted] = bind('index', given, ['value'], 1);
      const at = items.findIndex((item) => equal(item, wanted!));
      if (at < 0) throw new TemplateError(`${repr(wanted!)} is not in list`);
      return at;
    },
  };
}

/** A method or another attribute that Python's type has; undefined where it has none of that name. */
function own(value: Value, name: string): Value | undefined {
  const unsafe = (names: readonly string[]) =>
    names.includes(name)
      ? new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`)
      : undefined;
  const method = (methods: Methods) => (Object.hasOwn(methods, name) ? new Callable(methods[name]!) : undefined);
  if (typeof value === 'string') return textMethod(value, name);
  if (value instanceof Markup) throw new Unsupported(`".${name}" of a text that is marked as safe`);
  if (value instanceof Dict) return unsafe(CHANGING.dict) ?? method(dictMethods(value));
  if (Array.isArray(value)) {
    const copy = name === 'copy' ? new Callable(() => [...value] as Value[]) : undefined;
    return unsafe(CHANGING.list) ?? copy ?? method(listMethods(value as readonly Value[]));
  }
  if (value instanceof Tuple && value.names.includes(name)) return value.items[value.names.indexOf(name)];
  if (value instanceof Tuple) return method(listMethods(value.items));
  if (value instanceof Namespace) return value.fields.get(name);
  if (value instanceof Attributes) return value.get(name);
  if (typeof value === 'number' || typeof value === 'boolean' || value instanceof Float) {
    if (OF_NUMBERS.includes(name)) throw new Unsupported(`the attribute "${name}" of a number`);
  }
  return undefined;
}

function textMethod(value: string, name: string): Value | undefined {
  if (TEXT_METHODS_LACKING.includes(name)) throw new Unsupported(`the method "${name}"`);
  if (name === 'format')
    return new Callable((given) =>
      format(value, given, (of, key, kind) => (kind === 'item' ? item(of, key) : attribute(of, key as string))),
    );
  return Object.hasOwn(TEXT_METHODS, name) ? new Callable((given) => TEXT_METHODS[name]!(value, given)) : undefined;
}

/** `value.name`: what the type has under that name first, then the item. */
export function attribute(value: Value, name: string): Value {
  if (value instanceof Undefined) value.fail();
  return firstOf(
    () => own(value, name),
    () => indexed(value, name),
    () => absent(value, name),
  );
}

/** `value[key]`: the item first, then what the type has under that name. */
export function item(value: Value, key: Value): Value {
  if (value instanceof Undefined) value.fail();
  return firstOf(
    () => indexed(value, key),
    () => (typeof key === 'string' ? own(value, key) : undefined),
    () => absent(value, key),
  );
}

/** As `value|attr(name)`: no item is looked for. */
export function attributeAlone(value: Value, name: string): Value {
  return firstOf(
    () => (value instanceof Undefined ? undefined : own(value, name)),
    () => absent(value, name),
  );
}

/** The first that is there; None is. */
function firstOf(...looks: (() => Value | undefined)[]): Value {
  for (const look of looks) {
    const found = look();
    if (found !== undefined) return found;
  }
  return new Undefined('undefined');
}

function absent(value: Value, key: Value): Undefined {
  const owner = value === null ? 'None' : `'${typeName(value)} object'`;
  return new Undefined(
    typeof key === 'string' ? `${owner} has no attribute '${key}'` : `${owner} has no element ${repr(key)}`,
  );
}

function indexed(value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) return hashable(key) ? value.get(key) : undefined;
  if (value instanceof Markup) throw new Unsupported('items of a text that is marked as safe');
  const at = typeof key === 'boolean' ? Number(key) : key;
  if (typeof at !== 'number') return undefined;
  const items = sequence(value);
  return items?.[at < 0 ? items.length + at : at];
}

const hashable = (key: Value): boolean => !(Array.isArray(key) || key instanceof Dict);

function sequence(value: Value): readonly Value[] | null {
  if (typeof value === 'string') return characters(value);
  if (Array.isArray(value)) return value as readonly Value[];
  if (value instanceof Tuple) return value.items;
  return value instanceof Range ? value.items() : null;
}

/** `value[start:stop:step]`. Throws TemplateError for a value that has no order. */
export function slice(value: Value, bounds: readonly [Value, Value, Value]): Value {
  if (value instanceof Undefined) value.fail();
  const items = sequence(value);
  if (items === null) throw new TemplateError(`'${typeName(value)}' object is not subscriptable by a slice`);
  const [start, stop, step = 1] = bounds.map((bound) => {
    if (bound === null) return undefined;
    if (typeof bound === 'boolean') return Number(bound);
    if (bound instanceof Undefined) bound.fail();
    if (typeof bound !== 'number') throw new TemplateError('slice indices must be integers or None');
    return bound;
  });
  if (step === 0) throw new TemplateError('slice step cannot be zero');
  const taken = places(items.length, start, stop, step).map((place) => items[place]!);
  if (typeof value === 'string') return taken.join('');
  if (value instanceof Range) throw new Unsupported('a slice of a range');
  return value instanceof Tuple ? new Tuple(taken) : taken;
}

/** The places that a slice takes of `length` items. */
function places(length: number, start: number | undefined, stop: number | undefined, step: number): number[] {
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (bound: number | undefined, preset: number) =>
    bound === undefined ? preset : Math.min(high, Math.max(low, bound < 0 ? bound + length : bound));
  const first = clamp(start, step > 0 ? low : high);
  const end = clamp(stop, step > 0 ? high : low);
  const found: number[] = [];
  for (let at = first; step > 0 ? at < end : at > end; at += step) found.push(at);
  return found;
}

/** The attribute of an item that a filter names: `a.b.0`, a number, or none (the item itself). */
export function path(name: Value): (of: Value, preset?: Value) => Value {
  if (name instanceof Undefined) name.fail();
  const parts: Value[] =
    name === null
      ? []
      : typeof name === 'string'
        ? name.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part))
        : [name];
  return (of, preset = null) => {
    let value = of;
    for (const part of parts) {
      value = item(value, part);
      if (value instanceof Undefined && preset !== null) value = preset;
    }
    return value;
  };
}

/** The values of an iterable, as a list. */
export const listOf = (value: Value): Value[] => [...iterate(value)];
