/** The methods of Python's str. */
import { capitalize, isBlank, rstrip, splitAtBlanks, strip, utf8Bytes } from '../../text/python_text.ts';
import {
  bind,
  characters,
  type Given,
  iterate,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.ts';

type Method = (text: string, given: Given) => Value;

/** Methods that Python has and this program lacks. */
export const TEXT_METHODS_LACKING = ['encode', 'translate', 'maketrans', 'format_map'];

function text(name: string, value: Value | undefined): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateError(`${name}: expected a text, got ${typeName(value ?? null)}`);
}

function whole(name: string, value: Value | undefined, preset: number): number {
  if (value === undefined) return preset;
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  throw new TemplateError(`${name}: '${typeName(value)}' object cannot be interpreted as an integer`);
}

/** Python's `strip`, `lstrip`, `rstrip`: of blanks, or of the characters of `chars`. */
export function stripped(value: string, chars: Value | undefined, ends: 'both' | 'left' | 'right'): string {
  if (chars === undefined || chars === null) {
    if (ends === 'both') return strip(value);
    if (ends === 'right') return rstrip(value);
    return value.slice(value.length - strip(`${value}.`).length + 1);
  }
  const set = new Set(characters(text('strip', chars)));
  const letters = characters(value);
  let [start, end] = [0, letters.length];
  if (ends !== 'right') while (start < end && set.has(letters[start]!)) start += 1;
  if (ends !== 'left') while (end > start && set.has(letters[end - 1]!)) end -= 1;
  return letters.slice(start, end).join('');
}

function split(value: string, given: Given): string[] {
  const [separator = null, most] = bind('split', given, ['sep', 'maxsplit']);
  const limit = whole('split', most, -1);
  if (separator === null) return splitWords(value, limit);
  const by = text('split', separator);
  if (by === '') throw new TemplateError('empty separator');
  const parts = value.split(by);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  return [...parts.slice(0, limit), parts.slice(limit).join(by)];
}

function splitWords(value: string, limit: number): string[] {
  let rest = stripped(value, null, 'left');
  const words: string[] = [];
  while (rest !== '' && (limit < 0 || words.length < limit)) {
    const [word = ''] = splitAtBlanks(rest);
    words.push(word);
    rest = stripped(rest.slice(word.length), null, 'left');
  }
  return rest === '' ? words : [...words, rest];
}

function rsplit(value: string, given: Given): string[] {
  const [separator = null, most] = bind('rsplit', given, ['sep', 'maxsplit']);
  const limit = whole('rsplit', most, -1);
  const turned = (one: string) => characters(one).reverse().join('');
  if (separator === null) return splitWords(turned(value), limit).map(turned).reverse();
  const by = text('rsplit', separator);
  if (by === '') throw new TemplateError('empty separator');
  if (limit < 0) return value.split(by);
  const parts: string[] = [];
  let rest = value;
  while (parts.length < limit) {
    const at = rest.lastIndexOf(by);
    if (at < 0) break;
    parts.unshift(rest.slice(at + by.length));
    rest = rest.slice(0, at);
  }
  return [rest, ...parts];
}

const LINE_END = '\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029';
const LINE = new RegExp(`([^${LINE_END}]*)(?:\\r\\n|[${LINE_END}])|[^${LINE_END}]+$`, 'g');

/** Python's `splitlines`. */
export function splitLines(value: string, keepEnds = false): string[] {
  return [...value.matchAll(LINE)].map(([line, text = line]) => (keepEnds ? line : text));
}

/** `startswith` and `endswith`: one text or a tuple of them. */
function hasEnd(name: 'startswith' | 'endswith'): Method {
  return (value, given) => {
    const [wanted, start, end] = bind(name, given, ['prefix', 'start', 'end'], 1);
    const part = window(value, start, end);
    const all = wanted instanceof Tuple ? wanted.items : [wanted!];
    return all.some((one) =>
      name === 'startswith' ? part.startsWith(text(name, one)) : part.endsWith(text(name, one)),
    );
  };
}

/** The part of a text between two places, which count from the end where they are below 0. */
function window(value: string, start: Value | undefined, end: Value | undefined): string {
  if (start === undefined && end === undefined) return value;
  const letters = characters(value);
  return letters.slice(whole('start', start ?? 0, 0), end == null ? letters.length : whole('end', end, 0)).join('');
}

/** The place of a text in another one, in code points; -1 where it is not. */
function find(name: string, last: boolean): (value: string, given: Given) => number {
  return (value, given) => {
    const [wanted, start, end] = bind(name, given, ['sub', 'start', 'end'], 1);
    if (start !== undefined || end !== undefined) throw new Unsupported(`${name} with a start`);
    const at = last ? value.lastIndexOf(text(name, wanted)) : value.indexOf(text(name, wanted));
    return at < 0 ? -1 : characters(value.slice(0, at)).length;
  };
}

function index(name: string, last: boolean): Method {
  return (value, given) => {
    const at = find(name, last)(value, given);
    if (at < 0) throw new TemplateError('substring not found');
    return at;
  };
}

/** Python's `replace`; an `old` that is empty stands between all characters. */
export function replace(value: string, old: string, by: string, most = -1): string {
  if (most === 0) return value;
  if (old === '') {
    const letters = characters(value);
    const count = most < 0 ? letters.length + 1 : Math.min(most, letters.length + 1);
    return letters.map((letter, i) => (i < count ? by + letter : letter)).join('') + (count > letters.length ? by : '');
  }
  const parts = value.split(old);
  const count = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  return (
    [...parts.slice(0, count + 1)].join(by) + (count + 1 < parts.length ? old + parts.slice(count + 1).join(old) : '')
  );
}

function partition(last: boolean): Method {
  return (value, given) => {
    const by = text('partition', bind('partition', given, ['sep'], 1)[0]);
    if (by === '') throw new TemplateError('empty separator');
    const at = last ? value.lastIndexOf(by) : value.indexOf(by);
    if (at < 0) return new Tuple(last ? ['', '', value] : [value, '', '']);
    return new Tuple([value.slice(0, at), by, value.slice(at + by.length)]);
  };
}

function justified(name: string, place: (room: number, width: number) => number): Method {
  return (value, given) => {
    const [width, fill = ' '] = bind(name, given, ['width', 'fillchar'], 1);
    const size = whole(name, width, 0);
    const room = Math.max(0, size - characters(value).length);
    const left = place(room, size);
    return text(name, fill).repeat(left) + value + text(name, fill).repeat(room - left);
  };
}

/** Python's `center`: the odd blank goes to the right, or to the left where the width is odd. */
export const center = justified('center', (room, width) => Math.floor(room / 2) + (room & width & 1));

/** Python's `isascii`. */
export const isAscii = (value: string): boolean => utf8Bytes(value) === value.length;

/** A test of all characters of a text that is not empty. */
const all =
  (pattern: RegExp): Method =>
  (value) =>
    value !== '' && characters(value).every((char) => pattern.test(char));
const hasCase = (value: string, other: (text: string) => string) =>
  /[\p{Lu}\p{Ll}\p{Lt}]/u.test(value) &&
  !characters(value).some(
    (char) => /[\p{Lu}\p{Ll}\p{Lt}]/u.test(char) && other(char) === char && char.toLowerCase() !== char.toUpperCase(),
  );

/** Python's `islower` and `isupper`. */
export const isLower = (value: string): boolean => hasCase(value, (char) => char.toUpperCase());
export const isUpper = (value: string): boolean => hasCase(value, (char) => char.toLowerCase());

/** Python's `title`: a letter behind a letter is small, any other one a capital. */
function title(value: string): string {
  return value.replace(/[\p{Lu}\p{Ll}\p{Lt}]+/gu, capitalize);
}

function joined(value: string, given: Given): string {
  const [items] = bind('join', given, ['iterable'], 1);
  return [...iterate(items!)].map((item) => text('join', item)).join(value);
}

/** `given` has no argument. */
const plain =
  (work: (value: string) => Value): Method =>
  (value, given) => {
    bind('method', given, []);
    return work(value);
  };

export const TEXT_METHODS: Readonly<Record<string, Method>> = {
  strip: (value, given) => stripped(value, bind('strip', given, ['chars'])[0], 'both'),
  lstrip: (value, given) => stripped(value, bind('lstrip', given, ['chars'])[0], 'left'),
  rstrip: (value, given) => stripped(value, bind('rstrip', given, ['chars'])[0], 'right'),
  split,
  rsplit,
  splitlines: (value, given) => splitLines(value, Boolean(bind('splitlines', given, ['keepends'])[0])),
  join: joined,
  replace(value, given) {
    const [old, by, count] = bind('replace', given, ['old', 'new', 'count'], 2);
    return replace(value, text('replace', old), text('replace', by), whole('replace', count, -1));
  },
  startswith: hasEnd('startswith'),
  endswith: hasEnd('endswith'),
  removeprefix(value, given) {
    const [prefix] = bind('removeprefix', given, ['prefix'], 1);
    return value.startsWith(text('removeprefix', prefix)) ? value.slice((prefix as string).length) : value;
  },
  removesuffix(value, given) {
    const suffix = text('removesuffix', bind('removesuffix', given, ['suffix'], 1)[0]);
    return suffix !== '' && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value;
  },
  find: find('find', false),
  rfind: find('rfind', true),
  index: index('index', false),
  rindex: index('rindex', true),
  count(value, given) {
    const sub = text('count', bind('count', given, ['sub'], 1)[0]);
    return sub === '' ? characters(value).length + 1 : value.split(sub).length - 1;
  },
  partition: partition(false),
  rpartition: partition(true),
  upper: plain((value) => value.toUpperCase()),
  lower: plain((value) => value.toLowerCase()),
  casefold: plain((value) => {
    if (!isAscii(value)) throw new Unsupported('casefold of letters beyond ASCII');
    return value.toLowerCase();
  }),
  capitalize: plain(capitalize),
  title: plain(title),
  swapcase: plain((value) =>
    characters(value)
      .map((char) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase()))
      .join(''),
  ),
  center,
  ljust: justified('ljust', () => 0),
  rjust: justified('rjust', (room) => room),
  zfill(value, given) {
    const room = whole('zfill', bind('zfill', given, ['width'], 1)[0], 0) - characters(value).length;
    const sign = /^[+-]/.test(value) ? value.charAt(0) : '';
    return room > 0 ? sign + '0'.repeat(room) + value.slice(sign.length) : value;
  },
  expandtabs: () => {
    throw new Unsupported('the method "expandtabs"');
  },
  isspace: plain((value) => value !== '' && [...value].every(isBlank)),
  isdigit: all(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]$/u),
  isdecimal: all(/^\p{Nd}$/u),
  isnumeric: all(/^\p{N}$/u),
  isalpha: all(/^\p{L}$/u),
  isalnum: all(/^[\p{L}\p{N}]$/u),
  isascii: plain(isAscii),
  isidentifier: plain((value) => /^[\p{L}\p{Nl}_][\p{L}\p{N}\p{M}\p{Pc}_]*$/u.test(value)),
  islower: plain(isLower),
  isupper: plain(isUpper),
  istitle: plain((value) => /[\p{Lu}\p{Ll}\p{Lt}]/u.test(value) && title(value) === value),
};
