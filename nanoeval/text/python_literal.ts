/**
 * Python's `ast.literal_eval` for the part that data sets use: lists, tuples, strings, numbers, None, True and False.
 * Some columns hold a Python list as text; it is no JSON (`['it\'s', "5'"]`), and evaluating it would run what
 * a stranger wrote.
 */
import { codePoints } from './python_text.ts';

/**
 * Lists and tuples are arrays; an int beyond 2^53 is a bigint, so that no digit is lost. `1` and `1.0` are the same. Dicts, where
 * they are read, are objects.
 */
export type PythonValue = null | boolean | number | bigint | string | PythonValue[] | { [key: string]: PythonValue };

/** Nested brackets. Python's own tokenizer stops at 200; what is nested deeper than this is no row of options. */
const DEEPEST = 100;
/**
 * Of a number. CPython reads ints of at most 4300 decimal digits, since its conversion, like BigInt's, is not linear.
 */
const LONGEST = 4300;

const DIGITS = '[0-9](?:_?[0-9])*';
const FLOAT = new RegExp(
  `(?:(?:${DIGITS})?\\.${DIGITS}|${DIGITS}\\.)(?:[eE][+-]?${DIGITS})?|${DIGITS}[eE][+-]?${DIGITS}`,
  'y',
);
/** `007` is refused, `000` is not. */
const INT = /0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|0(?:_?0)*|[1-9](?:_?[0-9])*/y;
const NAME = /[\p{ID_Start}_]\p{ID_Continue}*/uy;
const LINE_CONTINUED = /\\(?:\r\n?|\n)/y;
const BLANK_INSIDE = /[ \t\f\r\n]+|#[^\r\n]*|\\(?:\r\n?|\n)/y;
const BLANK_OUTSIDE = /[ \t\f]+|\\(?:\r\n?|\n)(?=[^\r\n])/y;
const BLANK_LINE = /[ \t\f]*(?:#[^\r\n]*)?(?:\r\n?|\n)/y;
/** What stands in a string up to the next character that matters, by quote; in a triple-quoted one a line may end. */
const PLAIN: Record<string, RegExp> = {
  "'": /[^'\\\r\n]+/y,
  '"': /[^"\\\r\n]+/y,
  "'''": /[^'\\]+/y,
  '"""': /[^"\\]+/y,
};
const ESCAPE: Record<string, string> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const CODE = /\\(?:[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/y;
const CODE_DIGITS: Record<string, number> = { x: 2, u: 4, U: 8 };

/** A text and how far it has been read. */
class Cursor {
  readonly text: string;
  /** Index of the next UTF-16 unit. */
  at = 0;
  /** Number of open brackets. */
  depth = 0;
  /** Strings next to each other in a list are items of it, as numpy writes them, and not one string. */
  readonly numpy: boolean;
  /** Dicts are read. */
  readonly dicts: boolean;

  constructor(text: string, { numpy = false, dicts = false } = {}) {
    this.text = text;
    this.numpy = numpy;
    this.dicts = dicts;
  }

  /** The next UTF-16 unit; '' at the end. */
  get next(): string {
    return this.text.charAt(this.at);
  }

  /** An error that names the place as a code point, counted from 1; `where` is an index into the text. */
  fault(what: string, where = this.at): Error {
    return new Error(`Python literal, character ${codePoints(this.text.slice(0, where)) + 1}: ${what}`);
  }

  /** What stands here, for messages. */
  shown(): string {
    const code = this.text.codePointAt(this.at);
    return code === undefined ? 'the text ends' : JSON.stringify(String.fromCodePoint(code));
  }

  /** Reads what a sticky pattern finds here; '' when it finds nothing. */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? '';
    this.at += found.length;
    return found;
  }

  /** Reads blanks; inside of brackets these are line ends and comments too. */
  skip(): void {
    while (this.take(this.depth > 0 ? BLANK_INSIDE : BLANK_OUTSIDE) !== '');
  }

  /** Reads this mark. */
  pass(mark: string): void {
    if (this.next !== mark) throw this.fault(`${this.shown()} where "${mark}" was expected.`);
    this.at += 1;
  }

  /** Reads an opening bracket. */
  open(): void {
    if (this.depth === DEEPEST) throw this.fault(`more than ${DEEPEST} brackets are open.`);
    this.depth += 1;
    this.at += 1;
  }

  /** Reads this closing bracket. */
  close(bracket: string): void {
    if (this.next !== bracket) throw this.fault(`${this.shown()} where "," or "${bracket}" was expected.`);
    this.depth -= 1;
    this.at += 1;
  }
}

/**
 * The value of a Python literal, as `ast.literal_eval(text)` (CPython 3.11) returns it. No eval, linear in the length
 * of the text.
 *
 * Refused although Python reads them: dicts, sets, bytes, complex numbers, `...`, string prefixes (`r'x'`), `\N{...}`,
 * more than 100 nested brackets, numbers of more than 4300 characters, a backslash or form feed before the first token
 * or behind the last. The escapes `\ud83d\ude00` make one character here and two surrogates in Python.
 *
 * @throws Error that says at which character (a code point, the first is 1) what is wrong
 */
export function parsePythonLiteral(text: string): PythonValue {
  return parseWith(new Cursor(text));
}

/**
 * The list that pandas writes into a CSV cell: the `repr` of a list, or of a numpy array of strings (`['a' 'b']`, lines
 * broken between items), which has no commas. Otherwise as `parsePythonLiteral`, errors too.
 */
export function parsePandasCell(text: string): PythonValue {
  return parseWith(new Cursor(text, { numpy: true }));
}

/**
 * As `parsePythonLiteral`, and reads dicts too, whose keys have to be strings: of two equal ones the later counts, as in Python.
 */
export function parsePythonDicts(text: string): PythonValue {
  return parseWith(new Cursor(text, { dicts: true }));
}

function parseWith(cursor: Cursor): PythonValue {
  const { text } = cursor;
  const stray = text.search(/[\0\p{Surrogate}]/u);
  if (stray >= 0) throw cursor.fault('a NUL or half a surrogate pair, which no Python source can hold.', stray);

  // literal_eval removes blanks in front of the text, but those at the head of a later line are an indentation.
  cursor.take(/[ \t]*/y);
  while (cursor.take(BLANK_LINE) !== '');
  const first = readValue(cursor);
  cursor.skip();
  let result = first;
  if (cursor.next === ',') {
    cursor.at += 1;
    result = [first, ...readItems(cursor, () => cursor.next === '' || /[#\r\n]/.test(cursor.next)).values];
  }
  // Behind the value: a comment, lines without code. A last line of nothing but blanks is an indentation error.
  while (cursor.take(BLANK_LINE) !== '');
  cursor.take(/[ \t\f]*#[^\r\n]*/y);
  if (cursor.at < text.length) throw cursor.fault(`${cursor.shown()} behind the value.`);
  return result;
}

function readValue(cursor: Cursor): PythonValue {
  const char = cursor.next;
  if (char === '[') return readList(cursor);
  if (char === '(') return readTupleOrGroup(cursor);
  if (char === '"' || char === "'") return readStrings(cursor);
  if (char === '+' || char === '-') return readSigned(cursor);
  if (/[0-9.]/.test(char)) return readNumber(cursor, false);
  if (char === '{') return readDict(cursor);
  return readName(cursor);
}

// ---------------------------------------------------------------- lists, tuples and dicts

/** Values with commas between them, up to the bracket (or, outside of brackets, up to the end of the line). */
function readItems(cursor: Cursor, isEnd: () => boolean): { values: PythonValue[]; hasComma: boolean } {
  const values: PythonValue[] = [];
  let hasComma = false;
  for (cursor.skip(); !isEnd(); cursor.skip()) {
    values.push(readValue(cursor));
    cursor.skip();
    if (cursor.numpy && !hasComma && /["']/.test(cursor.next)) continue;
    if (cursor.next !== ',' || (cursor.numpy && !hasComma && values.length > 1)) break;
    hasComma = true;
    cursor.at += 1;
  }
  return { values, hasComma };
}

function readList(cursor: Cursor): PythonValue[] {
  cursor.open();
  const { values } = readItems(cursor, () => cursor.next === ']');
  cursor.close(']');
  return values;
}

/** `(1, 2)` and `(1,)` are tuples, `(1)` is 1. */
function readTupleOrGroup(cursor: Cursor): PythonValue {
  cursor.open();
  const { values, hasComma } = readItems(cursor, () => cursor.next === ')');
  cursor.close(')');
  const [only] = values;
  return only === undefined || hasComma ? values : only;
}

function readDict(cursor: Cursor): PythonValue {
  if (!cursor.dicts) throw cursor.fault('dicts and sets are not read.');
  cursor.open();
  const entries: [string, PythonValue][] = [];
  for (cursor.skip(); cursor.next !== '}'; cursor.skip()) {
    const start = cursor.at;
    const key = readValue(cursor);
    if (typeof key !== 'string') throw cursor.fault('a key that is no string.', start);
    cursor.skip();
    cursor.pass(':');
    cursor.skip();
    entries.push([key, readValue(cursor)]);
    cursor.skip();
    if (cursor.next !== ',') break;
    cursor.at += 1;
  }
  cursor.close('}');
  return Object.fromEntries(entries);
}

// ---------------------------------------------------------------- numbers and names

function readNumber(cursor: Cursor, isNegative: boolean): number | bigint {
  const start = cursor.at;
  const { length } = cursor.take(/[\w.+-]+/y);
  if (length > LONGEST) throw cursor.fault(`a number of ${length} characters. At most ${LONGEST} are read.`, start);
  cursor.at = start;
  const float = cursor.take(FLOAT).replaceAll('_', '');
  const int = float === '' ? cursor.take(INT).replaceAll('_', '') : '';
  if ((float === '' && int === '') || /[\p{ID_Continue}.]/u.test(cursor.next)) {
    throw cursor.fault('no int or float is written like this.', start);
  }
  if (float !== '') return isNegative ? -Number(float) : Number(float);
  const whole = isNegative ? -BigInt(int) : BigInt(int);
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
}

/** One sign and a number, which may stand in brackets: `- (1)`. Python refuses `--1` and `-True`. */
function readSigned(cursor: Cursor): number | bigint {
  const isNegative = cursor.next === '-';
  cursor.at += 1;
  cursor.skip();
  const outer = cursor.depth;
  while (cursor.next === '(') {
    cursor.open();
    cursor.skip();
  }
  if (!/[0-9.]/.test(cursor.next))
    throw cursor.fault(`${cursor.shown()} where a number was expected, behind its sign.`);
  const result = readNumber(cursor, isNegative);
  while (cursor.depth > outer) {
    cursor.skip();
    cursor.close(')');
  }
  return result;
}

function readName(cursor: Cursor): null | boolean {
  const start = cursor.at;
  const word = cursor.take(NAME);
  if (word === 'None') return null;
  if (word === 'True') return true;
  if (word === 'False') return false;
  if (/["']/.test(cursor.next)) throw cursor.fault(`strings with a prefix, ${word}, are not read.`, start);
  cursor.at = start;
  const what = word === '' ? cursor.shown() : `the name ${word}`;
  throw cursor.fault(`${what} where a value was expected: a list, tuple, string, number, None, True or False.`);
}

// ---------------------------------------------------------------- strings

/** Strings next to each other are one. */
function readStrings(cursor: Cursor): string {
  const parts: string[] = [];
  while (cursor.next === '"' || cursor.next === "'") {
    parts.push(readString(cursor));
    cursor.skip();
    if (cursor.numpy) break;
  }
  return parts.join('');
}

function readString(cursor: Cursor): string {
  const { text, at: start } = cursor;
  const mark = cursor.next;
  const quote = text.startsWith(mark.repeat(3), start) ? mark.repeat(3) : mark;
  const plain = PLAIN[quote]!;
  const parts: string[] = [];
  cursor.at += quote.length;
  while (!text.startsWith(quote, cursor.at)) {
    const char = cursor.next;
    if (char === '' || (quote === mark && /[\r\n]/.test(char))) {
      throw cursor.fault(`the string that begins here has no closing ${quote}.`, start);
    }
    if (char === '\\') parts.push(readEscape(cursor));
    else if (char === mark) {
      parts.push(char); // in a triple-quoted string
      cursor.at += 1;
    } else parts.push(cursor.take(plain).replace(/\r\n?/g, '\n'));
  }
  cursor.at += quote.length;
  return parts.join('');
}

function readEscape(cursor: Cursor): string {
  if (cursor.take(LINE_CONTINUED) !== '') return '';
  const start = cursor.at;
  const code = cursor.take(CODE);
  if (code !== '') {
    const isOctal = /[0-7]/.test(code.charAt(1));
    const point = isOctal ? Number.parseInt(code.slice(1), 8) : Number.parseInt(code.slice(2), 16);
    if (point > 0x10ffff) throw cursor.fault(`${code} is beyond Unicode's last character, \\U0010ffff.`, start);
    return String.fromCodePoint(point);
  }
  const kind = cursor.text.charAt(start + 1);
  const digits = CODE_DIGITS[kind];
  if (digits !== undefined) throw cursor.fault(`\\${kind} needs ${digits} hexadecimal digits.`);
  if (kind === 'N') throw cursor.fault('characters by name, \\N{...}, are not read.');
  cursor.at += 1 + kind.length;
  // Python keeps an escape that it does not know, backslash and all: LaTeX in a careless string survives.
  return ESCAPE[kind] ?? `\\${kind}`;
}
