/** jinja2's filters on one value (`x|trim`). Those on many are in `sequences.ts`. */
import { capitalize } from '../../text/python_text.ts';
import { attributeAlone } from './attributes.ts';
import { int, numberOf } from './operators.ts';
import { json, repr, str } from './printed.ts';
import { printf, rounded } from './printf.ts';
import { center, isAscii, replace, splitLines, stripped } from './texts.ts';
import {
  bind,
  characters,
  Dict,
  Float,
  type Given,
  Iterator,
  lengthOf,
  Markup,
  TemplateError,
  Tuple,
  truth,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.ts';

export type Filter = (value: Value, given: Given) => Value;

/** Filters of jinja2 that are not here: a template that names one is refused. */
export const FILTERS_LACKING = ['filesizeformat', 'pprint', 'random', 'striptags', 'urlize', 'wordwrap', 'xmlattr'];

const SIMPLE_NONE: readonly string[] = [];
const onText =
  (work: (text: string) => Value): Filter =>
  (value, given) => {
    bind('filter', given, SIMPLE_NONE);
    return work(str(value));
  };

function tojson(value: Value, given: Given): Value {
  const [ascii = false, indent = null, separators = null, sorted = false] = bind('tojson', given, [
    'ensure_ascii',
    'indent',
    'separators',
    'sort_keys',
  ]);
  const step =
    typeof indent === 'string' || indent === null ? indent : ' '.repeat(Math.max(0, numberOf(indent)?.value ?? 0));
  const marks = separators instanceof Tuple ? separators.items : (separators as readonly Value[] | null);
  const pair = marks === null ? [step === null ? ', ' : ',', ': '] : marks.map(str);
  return json(value, {
    ascii: truth(ascii),
    indent: step,
    separators: pair as [string, string],
    sorted: truth(sorted),
  });
}

/** Python's `int(text)` and `float(text)`; null where they raise. */
function parsed(text: string, kind: 'int' | 'float'): number | null {
  const plain = stripped(text, null, 'both');
  if (!isAscii(plain)) throw new Unsupported('digits beyond ASCII');
  const digits = '\\d+(?:_\\d+)*';
  if (kind === 'int') return new RegExp(`^[+-]?${digits}$`).test(plain) ? Number(plain.replaceAll('_', '')) : null;
  const named = /^([+-]?)(inf|infinity|nan)$/i.exec(plain);
  if (named !== null) return named[2]!.toLowerCase() === 'nan' ? Number.NaN : named[1] === '-' ? -Infinity : Infinity;
  const number = new RegExp(`^[+-]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:e[+-]?${digits})?$`, 'i');
  return number.test(plain) ? Number(plain.replaceAll('_', '')) : null;
}

function toInt(value: Value, given: Given): Value {
  const [preset = 0, base = 10] = bind('int', given, ['default', 'base']);
  if (base !== 10) throw new Unsupported('the filter "int" with a base');
  const number =
    numberOf(value)?.value ?? (typeof value === 'string' ? (parsed(value, 'int') ?? parsed(value, 'float')) : null);
  return number === null || !Number.isFinite(number) ? preset : int(Math.trunc(number));
}

function toFloat(value: Value, given: Given): Value {
  const [preset = new Float(0)] = bind('float', given, ['default']);
  const number = numberOf(value)?.value ?? (typeof value === 'string' ? parsed(value, 'float') : null);
  return number === null ? preset : new Float(number);
}

function round(value: Value, given: Given): Value {
  const [precision = 0, method = 'common'] = bind('round', given, ['precision', 'method']);
  const number = numberOf(value);
  if (value instanceof Undefined) value.fail();
  if (number === null || typeof precision !== 'number')
    throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`);
  if (method === 'common') {
    if (number.float) return new Float(rounded(number.value, precision));
    if (precision < 0) throw new Unsupported('rounding to tens');
    return number.value;
  }
  if (method !== 'ceil' && method !== 'floor') throw new TemplateError('method must be common, ceil or floor');
  const scale = 10 ** precision;
  return new Float(Math[method](number.value * scale) / scale);
}

function indent(value: Value, given: Given): Value {
  const [width = 4, first = false, blank = false] = bind('indent', given, ['width', 'first', 'blank']);
  if (value instanceof Undefined) value.fail();
  if (typeof value !== 'string') throw new TemplateError(`indent: expected a text, got ${typeName(value)}`);
  const step = typeof width === 'string' ? width : ' '.repeat(Math.max(0, numberOf(width)?.value ?? 0));
  const lines = splitLines(`${value}\n`);
  const rest = lines.slice(1).map((line) => (truth(blank) || line !== '' ? step + line : line));
  return (truth(first) ? step : '') + [lines[0]!, ...rest].join('\n');
}

function truncate(value: Value, given: Given): Value {
  const [length = 255, kill = false, end = '...', leeway = 5] = bind('truncate', given, [
    'length',
    'killwords',
    'end',
    'leeway',
  ]);
  const letters = characters(str(value));
  const [most, slack] = [numberOf(length)?.value ?? 0, leeway === null ? 5 : (numberOf(leeway)?.value ?? 0)];
  const mark = str(end);
  if (most < characters(mark).length)
    throw new TemplateError(`expected length >= ${characters(mark).length}, got ${most}`);
  if (letters.length <= most + slack) return value;
  const cut = letters.slice(0, most - characters(mark).length).join('');
  if (truth(kill)) return cut + mark;
  const at = cut.lastIndexOf(' ');
  return (at < 0 ? cut : cut.slice(0, at)) + mark;
}

/** The filter `title`, which is not the method: only what stands behind a blank or a bracket is a word. */
const title = (text: string): string =>
  text
    .split(/([-\s({[<]+)/)
    .filter((part) => part !== '')
    .map((part) => {
      const [first = '', ...rest] = characters(part);
      return first.toUpperCase() + rest.join('').toLowerCase();
    })
    .join('');

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
const escaped = (text: string): Markup => new Markup(text.replace(/[&<>'"]/g, (char) => ENTITIES[char]!));
const escapeFilter: Filter = (value, given) => {
  bind('escape', given, []);
  return value instanceof Markup ? value : escaped(str(value));
};

function urlencode(value: Value, given: Given): Value {
  bind('urlencode', given, []);
  if (typeof value !== 'string') throw new Unsupported('the filter "urlencode" on anything but a text');
  return encodeURIComponent(value)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/');
}

const preset: Filter = (value, given) => {
  const [other = '', boolean = false] = bind('default', given, ['default_value', 'boolean']);
  return value instanceof Undefined || (truth(boolean) && !truth(value)) ? other : value;
};

const length: Filter = (value, given) => {
  bind('length', given, []);
  const found = lengthOf(value);
  if (found === null) throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
  return found;
};

export const FILTERS: Readonly<Record<string, Filter>> = {
  abs(value, given) {
    bind('abs', given, []);
    const number = numberOf(value);
    if (value instanceof Undefined) value.fail();
    if (number === null) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    return number.float ? new Float(Math.abs(number.value)) : Math.abs(number.value);
  },
  attr: (value, given) => attributeAlone(value, str(bind('attr', given, ['name'], 1)[0]!)),
  capitalize: onText(capitalize),
  center: (value, given) =>
    center(str(value), { positional: [bind('center', given, ['width'])[0] ?? 80], named: new Map() }),
  count: length,
  d: preset,
  default: preset,
  e: escapeFilter,
  escape: escapeFilter,
  forceescape: (value, given) => {
    bind('forceescape', given, []);
    return escaped(str(value));
  },
  float: toFloat,
  format(value, { positional, named }) {
    if (positional.length > 0 && named.size > 0)
      throw new TemplateError("can't handle positional and keyword arguments at the same time");
    return printf(str(value), named.size > 0 ? new Dict(named) : new Tuple(positional));
  },
  indent,
  int: toInt,
  items(value, given) {
    bind('items', given, []);
    if (value instanceof Undefined) return new Iterator([]);
    if (!(value instanceof Dict)) return failing('Can only get item pairs from a mapping.');
    return new Iterator(value.pairs().map((pair) => new Tuple(pair)));
  },
  length,
  lower: onText((text) => text.toLowerCase()),
  replace(value, given) {
    const [old, by, count = null] = bind('replace', given, ['old', 'new', 'count'], 2);
    return replace(str(value), str(old!), str(by!), count === null ? -1 : (numberOf(count)?.value ?? -1));
  },
  round,
  safe: onText((text) => new Markup(text)),
  string: (value, given) => {
    bind('string', given, []);
    return value instanceof Markup ? value : str(value);
  },
  title: onText(title),
  tojson,
  trim: (value, given) => stripped(str(value), bind('trim', given, ['chars'])[0], 'both'),
  truncate,
  upper: onText((text) => text.toUpperCase()),
  urlencode,
  wordcount: onText((text) => text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
};

/** What fails when its first item is asked for, as a generator does. */
function failing(message: string): Iterator {
  const next = () => {
    throw new TemplateError(message);
  };
  return new Iterator({ [Symbol.iterator]: () => ({ next }) });
}

/** The name of a filter or a test that a filter was given. Throws TemplateError for no text. */
export function nameOf(value: Value): string {
  if (typeof value === 'string') return value;
  throw new TemplateError(`No filter or test named ${repr(value)}`);
}
