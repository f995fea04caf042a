/** Python's ways to put values into a text: `text % values` and `text.format(...)`. */
import { floatText, repr, str } from './printed.ts';
import {
  Dict,
  Float,
  type Given,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.ts';

/**
 * The decimal digits of a float, rounded as Python rounds: from its exact value, ties to the even digit (JavaScript's
 * `toFixed` rounds ties up). At most 40 digits; throws Unsupported beyond 1e21.
 */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return floatText(value);
  if (Math.abs(value) >= 1e21 || digits > 40) throw new Unsupported('a number of that size or with so many digits');
  const exact = Math.abs(value).toFixed(100);
  const cut = exact.length - 100 + digits;
  const rest = exact.slice(cut);
  let text = Math.abs(value).toFixed(digits);
  if (/^50*$/.test(rest)) {
    const down = digits === 0 ? exact.slice(0, cut - 1) : exact.slice(0, cut);
    if (Number(down.at(-1)) % 2 === 0) text = down;
  }
  return value < 0 || Object.is(value, -0) ? `-${text}` : text;
}

/** Python's `round(value, digits)` of a float. */
export function rounded(value: number, digits: number): number {
  if (!Number.isFinite(value)) return value;
  if (digits < 0) throw new Unsupported('rounding to tens');
  return Number(fixed(value, Math.min(digits, 40)));
}

interface Layout {
  fill: string;
  /** `<`, `>`, `^`, or `=`: the fill stands behind the sign. */
  align: string;
  sign: string;
  alternate: boolean;
  width: number;
  comma: boolean;
  precision: number | null;
  kind: string;
}

const numeric = (value: Value): number => {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Float) return value.value;
  throw new TemplateError(`a number is required, not ${typeName(value)}`);
};

/** The digits of a number in the given kind, without sign. */
function digitsOf(value: Value, { kind, precision, alternate }: Layout): string {
  const size = Math.abs(numeric(value));
  switch (kind) {
    case 'd':
      return String(Math.trunc(size));
    case 'x':
      return (alternate ? '0x' : '') + size.toString(16);
    case 'X':
      return (alternate ? '0X' : '') + size.toString(16).toUpperCase();
    case 'o':
      return (alternate ? '0o' : '') + size.toString(8);
    case 'b':
      return (alternate ? '0b' : '') + size.toString(2);
    case 'f':
    case 'F':
      return fixed(size, precision ?? 6);
    case '%':
      return `${fixed(size * 100, precision ?? 6)}%`;
    default:
      throw new Unsupported(`the format "${kind}"`);
  }
}

function laid(text: string, sign: string, { fill, align, width }: Layout): string {
  const length = Array.from(text).length + sign.length;
  const room = Math.max(0, width - length);
  const pad = (count: number) => fill.repeat(count);
  if (align === '=') return sign + pad(room) + text;
  if (align === '<') return sign + text + pad(room);
  if (align === '^') return pad(Math.floor(room / 2)) + sign + text + pad(Math.ceil(room / 2));
  return pad(room) + sign + text;
}

function number(value: Value, layout: Layout): string {
  const isNegative = numeric(value) < 0 || Object.is(numeric(value), -0);
  const sign = isNegative ? '-' : layout.sign === '-' ? '' : layout.sign;
  const digits = digitsOf(value, layout);
  const grouped = layout.comma ? digits.replace(/\B(?=(\d{3})+(?!\d))/g, ',') : digits;
  if (layout.comma && digits.includes('.')) throw new Unsupported('thousands of a fraction');
  return laid(grouped, sign, layout);
}

/** Python's `text % values`. Throws Unsupported for kinds beyond s, r, d, i, u, f, F, x, X, o and %. */
export function printf(template: string, given: Value): string {
  const positional = given instanceof Tuple ? [...given.items] : [given];
  let used = 0;
  const take = (): Value => {
    if (used >= positional.length) throw new TemplateError('not enough arguments for format string');
    used += 1;
    return positional[used - 1]!;
  };
  const pattern = /%(?:\(([^)]*)\))?([-+ 0#]*)(\*|\d*)(?:\.(\d*))?([a-zA-Z%]?)/g;
  const text = template.replace(
    pattern,
    (_, name: string | undefined, flags: string, width: string, precision: string | undefined, kind: string) => {
      if (kind === '%') return '%';
      if (kind === '') throw new TemplateError('incomplete format');
      if (width === '*') throw new Unsupported('the width "*" in a format');
      if (name !== undefined) used = positional.length;
      const value = name === undefined ? take() : named(given, name);
      const layout: Layout = {
        fill: flags.includes('0') && !flags.includes('-') && !'sr'.includes(kind) ? '0' : ' ',
        align: flags.includes('-') ? '<' : flags.includes('0') && !'sr'.includes(kind) ? '=' : '>',
        sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-',
        alternate: flags.includes('#'),
        width: Number(width),
        comma: false,
        precision: precision === undefined ? null : Number(precision),
        kind: 'iu'.includes(kind) ? 'd' : kind,
      };
      if (!'sr'.includes(kind)) return number(value, layout);
      const shown = kind === 's' ? str(value) : repr(value);
      const cut = layout.precision === null ? shown : Array.from(shown).slice(0, layout.precision).join('');
      return laid(cut, '', layout);
    },
  );
  if (used < positional.length && !(given instanceof Dict))
    throw new TemplateError('not all arguments converted during string formatting');
  return text;
}

function named(given: Value, name: string): Value {
  if (!(given instanceof Dict)) throw new TemplateError('format requires a mapping');
  const value = given.get(name);
  if (value === undefined) throw new TemplateError(`KeyError: '${name}'`);
  return value;
}

/** Looks up an attribute or an item. */
export type Lookup = (value: Value, name: Value, kind: 'attribute' | 'item') => Value;

/** Python's `template.format(...)`. `lookup` reads fields' attributes and items as the sandbox does. */
export function format(template: string, { positional, named: byName }: Given, lookup: Lookup): string {
  let next = 0;
  const pattern = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g;
  return template.replace(pattern, (whole, field?: string, conversion?: string, layout?: string) => {
    if (whole === '{{' || whole === '}}') return whole.charAt(0);
    if (field === undefined) throw new Unsupported(`the format ${JSON.stringify(template)}`);
    const [head = '', ...steps] = field.match(/^[^.[]*|\.[^.[]+|\[[^\]]+\]/g) ?? [''];
    const key = head === '' ? next++ : /^\d+$/.test(head) ? Number(head) : head;
    let value = typeof key === 'number' ? positional[key] : byName.get(key);
    if (value === undefined) throw new TemplateError(`format: there is no argument ${String(key)}`);
    for (const step of steps) {
      const name = step.startsWith('.') ? step.slice(1) : step.slice(1, -1);
      value = lookup(
        value,
        !step.startsWith('.') && /^\d+$/.test(name) ? Number(name) : name,
        step.startsWith('.') ? 'attribute' : 'item',
      );
      if (value instanceof Undefined) value.fail();
    }
    if (conversion === 'a') throw new Unsupported('the conversion "!a"');
    if (conversion !== undefined) value = conversion === 'r' ? repr(value) : str(value);
    return formatted(value, layout ?? '');
  });
}

/** One value by a format such as `>8`, `05d` or `.2f`. */
function formatted(value: Value, spec: string): string {
  if (spec === '') return str(value);
  const found = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d*)(,)?(?:\.(\d+))?([a-zA-Z%])?$/su.exec(spec);
  if (found === null) throw new Unsupported(`the format "${spec}"`);
  const [, fill, align, sign = '-', alternate, zero, width, comma, precision, kind] = found;
  const isText = typeof value === 'string';
  const isNumber = typeof value === 'number' || value instanceof Float || typeof value === 'boolean';
  if (!isText && !isNumber)
    throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
  const layout: Layout = {
    fill: fill ?? (zero === undefined ? ' ' : '0'),
    align: align ?? (isText ? '<' : zero === undefined ? '>' : '='),
    sign,
    alternate: alternate !== undefined,
    width: Number(width),
    comma: comma !== undefined,
    precision: precision === undefined ? null : Number(precision),
    kind: kind ?? (value instanceof Float ? 'g' : 'd'),
  };
  if (!isText) {
    if (layout.kind === 'd' && value instanceof Float)
      throw new TemplateError("Unknown format code 'd' for object of type 'float'");
    return number(value, layout);
  }
  if (kind !== undefined && kind !== 's')
    throw new TemplateError(`Unknown format code '${kind}' for object of type 'str'`);
  const cut = layout.precision === null ? value : Array.from(value).slice(0, layout.precision).join('');
  return laid(cut, '', layout);
}
