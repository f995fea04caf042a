/**
 * Python's `ast.literal_eval` for the part that data sets use: lists, tuples, strings, numbers, None, True and False.
 * Some columns hold a Python list as text; it is no JSON (`['it\'s', "5'"]`), and evaluating it would run what
 * a stranger wrote.
 */
import { codePoints } from './python_text.ts';

/** Lists and tuples are arrays; an int beyond 2^53 is a bigint, so that no digit is lost. `1` and `1.0` are the same. */
export type PythonValue = null | boolean | number | bigint | string | PythonValue[];

/** Nested brackets. Python's own tokenizer stops at 200; what is nested deeper than this is no row of options. */
const DEEPEST = 100;
/** Of a number. CPython reads ints of at most 4300 decimal digits, since its conversion, like BigInt's, is not linear. */
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

/**
 * The value of a Python literal, as `ast.literal_eval(text)` (CPython 3.11) returns it. No eval, linear in the length of
 * the text.
 *
 * Refused although Python reads them: dicts, sets, bytes, complex numbers, `...`, string prefixes (`r'x'`), `\N{...}`,
 * more than 100 nested brackets, numbers of more than 4300 characters, a backslash or form feed before the first token or
 * behind the last. The escapes
 * `\ud83d\ude00` make one character here and two surrogates in Python.
 *
 * @throws Error that says at which character (a code point, the first is 1) what is wrong
 */
export function parsePythonLiteral(text: string): PythonValue {
  let at = 0;
  let depth = 0;

  const fault = (what: string, where = at): Error =>
    new Error(`Python literal, character ${codePoints(text.slice(0, where)) + 1}: ${what}`);

  const shown = (): string => {
    const code = text.codePointAt(at);
    return code === undefined ? 'the text ends' : JSON.stringify(String.fromCodePoint(code));
  };

  /** What a sticky pattern finds here, or ''. */
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  };

  const skip = (): void => {
    while (take(depth > 0 ? BLANK_INSIDE : BLANK_OUTSIDE) !== '');
  };

  const open = (): void => {
    if (depth === DEEPEST) throw fault(`more than ${DEEPEST} brackets are open.`);
    depth += 1;
    at += 1;
  };

  const close = (bracket: string): void => {
    if (text[at] !== bracket) throw fault(`${shown()} where "," or "${bracket}" was expected.`);
    depth -= 1;
    at += 1;
  };

  /** Values with commas between them, up to the bracket (or, outside of brackets, up to the end of the line). */
  const items = (isEnd: () => boolean): { values: PythonValue[]; hasComma: boolean } => {
    const values: PythonValue[] = [];
    let hasComma = false;
    for (skip(); !isEnd(); skip()) {
      values.push(value());
      skip();
      if (text[at] !== ',') break;
      hasComma = true;
      at += 1;
    }
    return { values, hasComma };
  };

  const list = (): PythonValue[] => {
    open();
    const { values } = items(() => text[at] === ']');
    close(']');
    return values;
  };

  /** `(1, 2)` and `(1,)` are tuples, `(1)` is 1. */
  const tupleOrGroup = (): PythonValue => {
    open();
    const { values, hasComma } = items(() => text[at] === ')');
    close(')');
    const [only] = values;
    return only === undefined || hasComma ? values : only;
  };

  const number = (isNegative: boolean): number | bigint => {
    const start = at;
    const { length } = take(/[\w.+-]+/y);
    if (length > LONGEST) throw fault(`a number of ${length} characters. At most ${LONGEST} are read.`, start);
    at = start;
    const float = take(FLOAT).replaceAll('_', '');
    const int = float === '' ? take(INT).replaceAll('_', '') : '';
    if ((float === '' && int === '') || /[\p{ID_Continue}.]/u.test(text.charAt(at))) {
      throw fault('no int or float is written like this.', start);
    }
    if (float !== '') return isNegative ? -Number(float) : Number(float);
    const whole = isNegative ? -BigInt(int) : BigInt(int);
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
  };

  /** One sign and a number, which may stand in brackets: `- (1)`. Python refuses `--1` and `-True`. */
  const signed = (): number | bigint => {
    const isNegative = text[at] === '-';
    at += 1;
    skip();
    const outer = depth;
    while (text[at] === '(') {
      open();
      skip();
    }
    if (!/[0-9.]/.test(text.charAt(at))) throw fault(`${shown()} where a number was expected, behind its sign.`);
    const result = number(isNegative);
    while (depth > outer) {
      skip();
      close(')');
    }
    return result;
  };

  const escaped = (): string => {
    if (take(LINE_CONTINUED) !== '') return '';
    const start = at;
    const code = take(CODE);
    if (code !== '') {
      const isOctal = /[0-7]/.test(code.charAt(1));
      const point = isOctal ? Number.parseInt(code.slice(1), 8) : Number.parseInt(code.slice(2), 16);
      if (point > 0x10ffff) throw fault(`${code} is beyond Unicode's last character, \\U0010ffff.`, start);
      return String.fromCodePoint(point);
    }
    const kind = text.charAt(at + 1);
    const digits = CODE_DIGITS[kind];
    if (digits !== undefined) throw fault(`\\${kind} needs ${digits} hexadecimal digits.`);
    if (kind === 'N') throw fault('characters by name, \\N{...}, are not read.');
    at += 1 + kind.length;
    // Python keeps an escape that it does not know, backslash and all: LaTeX in a careless string survives.
    return ESCAPE[kind] ?? `\\${kind}`;
  };

  const oneString = (): string => {
    const start = at;
    const mark = text.charAt(at);
    const quote = text.startsWith(mark.repeat(3), at) ? mark.repeat(3) : mark;
    const plain = PLAIN[quote]!;
    const parts: string[] = [];
    at += quote.length;
    while (!text.startsWith(quote, at)) {
      const char = text[at];
      if (char === undefined || (quote === mark && /[\r\n]/.test(char))) {
        throw fault(`the string that begins here has no closing ${quote}.`, start);
      }
      if (char === '\\') parts.push(escaped());
      else if (char === mark) parts.push(text.charAt(at++));
      else parts.push(take(plain).replace(/\r\n?/g, '\n'));
    }
    at += quote.length;
    return parts.join('');
  };

  /** Strings next to each other are one. */
  const strings = (): string => {
    const parts: string[] = [];
    while (text[at] === '"' || text[at] === "'") {
      parts.push(oneString());
      skip();
    }
    return parts.join('');
  };

  const name = (): null | boolean => {
    const start = at;
    const word = take(NAME);
    if (word === 'None') return null;
    if (word === 'True') return true;
    if (word === 'False') return false;
    if (/["']/.test(text.charAt(at))) throw fault(`strings with a prefix, ${word}, are not read.`, start);
    at = start;
    const what = word === '' ? shown() : `the name ${word}`;
    throw fault(`${what} where a value was expected: a list, tuple, string, number, None, True or False.`);
  };

  const value = (): PythonValue => {
    const char = text.charAt(at);
    if (char === '[') return list();
    if (char === '(') return tupleOrGroup();
    if (char === '"' || char === "'") return strings();
    if (char === '+' || char === '-') return signed();
    if (/[0-9.]/.test(char)) return number(false);
    if (char === '{') throw fault('dicts and sets are not read.');
    return name();
  };

  const stray = text.search(/[\0\p{Surrogate}]/u);
  if (stray >= 0) throw fault('a NUL or half a surrogate pair, which no Python source can hold.', stray);

  // literal_eval removes blanks in front of the text, but those at the head of a later line are an indentation.
  take(/[ \t]*/y);
  while (take(BLANK_LINE) !== '');
  const first = value();
  skip();
  let result = first;
  if (text[at] === ',') {
    at += 1;
    result = [first, ...items(() => at === text.length || /[#\r\n]/.test(text.charAt(at))).values];
  }
  // Behind the value: a comment, lines without code. A last line of nothing but blanks is an indentation error.
  while (take(BLANK_LINE) !== '');
  take(/[ \t\f]*#[^\r\n]*/y);
  if (at < text.length) throw fault(`${shown()} behind the value.`);
  return result;
}
