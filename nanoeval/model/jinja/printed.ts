/** How Python prints values: `str`, `repr` and `json.dumps`. */
import {
  Attributes,
  Callable,
  Dict,
  Float,
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

/** Python's `str(value)`. */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  if (value instanceof Markup) return value.text;
  return repr(value);
}

/** Python's `repr(value)`. Throws Unsupported for what is printed as an address in memory. */
export function repr(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return list(value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${repr(value.items[0]!)},)` : `(${inner(value.items)})`;
  if (value instanceof Dict)
    return `{${value
      .pairs()
      .map(([key, one]) => `${repr(key)}: ${repr(one)}`)
      .join(', ')}}`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof View) return `dict_${value.kind}(${list(value.items())})`;
  if (value instanceof Range) return `range(${value.start}, ${value.stop}${value.step === 1 ? '' : `, ${value.step}`})`;
  if (value instanceof Namespace) return `<Namespace ${repr(value.fields)}>`;
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (value instanceof Attributes) return value.shown();
  if (value instanceof Callable && value.shown !== null) return value.shown;
  throw new Unsupported(`printing a ${typeName(value)}`);
}

const inner = (items: readonly Value[]): string => items.map(repr).join(', ');
const list = (items: readonly Value[]): string => `[${inner(items)}]`;

/** Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16))
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  // JavaScript writes exponents from 1e21 on and below 1e-6 only.
  const text = Math.abs(value) < 1e-6 && value !== 0 ? value.toFixed(20).replace(/0+$/, '') : String(value);
  return text.includes('.') ? text : `${text}.0`;
}

const ESCAPED: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
/** What Python's `str.isprintable` says no to. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

function quoted(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = '';
  for (const char of text) {
    if (char === mark) out += `\\${char}`;
    else if (ESCAPED[char] !== undefined) out += ESCAPED[char];
    else if (!UNPRINTABLE.test(char)) out += char;
    else {
      const code = char.codePointAt(0)!;
      const hex = (width: number) => code.toString(16).padStart(width, '0');
      out += code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
    }
  }
  return `${mark}${out}${mark}`;
}

export interface JsonStyle {
  /** Escape what is not ASCII. */
  ascii: boolean;
  /** Of each level; null writes one line. */
  indent: string | null;
  separators: readonly [string, string];
  sorted: boolean;
}

/** Python's `json.dumps`. Throws TemplateError for what is not JSON. */
export function json(value: Value, style: JsonStyle, depth = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'number') return String(value);
  if (value instanceof Float) return jsonFloat(value.value);
  if (typeof value === 'string' || value instanceof Markup) return jsonText(str(value), style.ascii);
  const [between, after] = style.separators;
  const wrap = (open: string, items: readonly string[], close: string) => {
    if (items.length === 0) return open + close;
    if (style.indent === null) return open + items.join(between) + close;
    const line = `\n${style.indent.repeat(depth + 1)}`;
    return `${open}${line}${items.join(between + line)}\n${style.indent.repeat(depth)}${close}`;
  };
  if (Array.isArray(value) || value instanceof Tuple) {
    const items = (value instanceof Tuple ? value.items : value) as readonly Value[];
    return wrap(
      '[',
      items.map((item) => json(item, style, depth + 1)),
      ']',
    );
  }
  if (value instanceof Dict) {
    const pairs = value.pairs();
    if (style.sorted) {
      if (!pairs.every(([key]) => typeof key === 'string')) throw new Unsupported('sorting keys that are no texts');
      pairs.sort(([a], [b]) => (comparesBelow(a as string, b as string) ? -1 : 1));
    }
    const texts = pairs.map(
      ([key, one]) => `${jsonText(jsonKey(key), style.ascii)}${after}${json(one, style, depth + 1)}`,
    );
    return wrap('{', texts, '}');
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean') return key ? 'true' : 'false';
  if (typeof key === 'number') return String(key);
  if (key instanceof Float) return jsonFloat(key.value);
  throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? floatText(value) : value > 0 ? 'Infinity' : '-Infinity';
}

function jsonText(text: string, ascii: boolean): string {
  const plain = JSON.stringify(text);
  const hex = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return ascii ? plain.replace(/[\x7f-\uffff]/g, (unit) => (unit === '\x7f' ? unit : hex(unit))) : plain;
}

/** Whether a text comes before another one, by code points. */
export function comparesBelow(a: string, b: string): boolean {
  const [first, second] = [Array.from(a), Array.from(b)];
  const at = first.findIndex((char, i) => char !== second[i]);
  if (at < 0) return first.length < second.length;
  const other = second[at];
  return other !== undefined && first[at]!.codePointAt(0)! < other.codePointAt(0)!;
}
