/**
 * Patterns of Python's `re` as JavaScript reads them. Python's `\w`, `\d`, `\s` and `\b` know all of Unicode, its `.` is
 * everything but `\n`, its `^` and `$` mind no other line end, and it takes a brace or a bracket for itself where it closes
 * nothing. (CPython, Library/re.)
 */
import { BLANK } from './python_text.ts';

/** Python's `\w` in brackets: letters, all kinds of numbers, `_`; no combining marks. */
export const WORD = '\\p{L}\\p{N}_';
const BEHIND_WORD = `(?<=[${WORD}])`;
const NOT_BEHIND_WORD = `(?<![${WORD}])`;
const BEFORE_WORD = `(?=[${WORD}])`;
const NOT_BEFORE_WORD = `(?![${WORD}])`;

/** What a letter behind a backslash stands for outside of brackets. */
const CLASSES: Readonly<Record<string, string>> = {
  w: `[${WORD}]`,
  W: `[^${WORD}]`,
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  s: `[${BLANK}]`,
  S: `[^${BLANK}]`,
  b: `(?:${BEHIND_WORD}${NOT_BEFORE_WORD}|${NOT_BEHIND_WORD}${BEFORE_WORD})`,
  B: `(?:${BEHIND_WORD}${BEFORE_WORD}|${NOT_BEHIND_WORD}${NOT_BEFORE_WORD})`,
  A: '(?<![^])',
  Z: '(?![^])',
  a: '\\x07',
};
/** The same inside brackets, where the complement of a class cannot stand. */
const IN_BRACKETS: Readonly<Record<string, string>> = {
  w: WORD,
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  s: BLANK,
  b: '\\x08',
  a: '\\x07',
};
/** Letters that Python takes for each other without case, and JavaScript does not: with a dot and without. */
const DOTTED = 'iIıİ';

export interface PythonFlags {
  ignoreCase?: boolean;
  /** `^` and `$` are lines' ends too. */
  multiline?: boolean;
}

/** A token of a pattern: an escape, a group's head, a quantifier in braces, or a character. */
const TOKEN =
  /\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|.)|\(\?(?:P[<=]|#[^)]*\))|\{(?:\d+(?:,\d*)?|,\d+)\}|./suy;

/**
 * The pattern as a JavaScript one that finds all matches (flags `g` and `u`). Throws SyntaxError for what is no pattern, and for
 * the few of Python's that have no counterpart (`\W` and `\S` in brackets, flags inside the pattern).
 */
export function pythonRegex(source: string, { ignoreCase = false, multiline = false }: PythonFlags = {}): RegExp {
  const parts: string[] = [];
  let bracket: string[] | null = null;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(source); found !== null; found = TOKEN.exec(source)) {
    const [token] = found;
    if (bracket === null && token === '[') {
      bracket = [];
      // A bracket that closes at once is a character, as in `[]a]` and `[^]a]`.
      const head = /\^?\]?/y;
      head.lastIndex = TOKEN.lastIndex;
      const [first] = head.exec(source)!;
      TOKEN.lastIndex += first.length;
      bracket.push(`[${first.replace(']', '\\]')}`);
    } else if (bracket !== null) {
      bracket.push(token === ']' ? ']' : inBrackets(token, ignoreCase));
      if (token !== ']') continue;
      parts.push(bracket.join(''));
      bracket = null;
    } else {
      parts.push(outside(token, ignoreCase, multiline));
    }
  }
  if (bracket !== null) throw new SyntaxError(`${source}: a [ is not closed`);
  return new RegExp(parts.join(''), ignoreCase ? 'giu' : 'gu');
}

function outside(token: string, ignoreCase: boolean, multiline: boolean): string {
  if (token.startsWith('\\')) return escaped(token, CLASSES);
  if (token.startsWith('(?#')) return '';
  if (token === '(?P<') return '(?<';
  if (token === '(?P=') throw new SyntaxError('(?P=name) is not read here. Write the number of the group');
  if (token.startsWith('{,')) return `{0${token.slice(1)}`;
  if (token === '.') return '[^\\n]';
  if (token === '^') return multiline ? '(?<![^\\n])' : '(?<![^])';
  if (token === '$') return multiline ? '(?![^\\n])' : '(?=\\n?(?![^]))';
  if (token === '{' || token === '}' || token === ']') return `\\${token}`;
  return ignoreCase && DOTTED.includes(token) ? `[${DOTTED}]` : token;
}

function inBrackets(token: string, ignoreCase: boolean): string {
  if (token.startsWith('\\')) return escaped(token, IN_BRACKETS);
  // What was taken for a quantifier or a group's head is a row of characters here.
  return [...token].map((char) => (ignoreCase && DOTTED.includes(char) ? DOTTED : char)).join('');
}

function escaped(token: string, classes: Readonly<Record<string, string>>): string {
  const letter = token.slice(1);
  const named = classes[letter];
  if (named !== undefined) return named;
  if (/^U/.test(letter) && letter.length > 1) return `\\u{${letter.slice(1)}}`;
  if (/^(?:[xu].|[nrtfv\d])/.test(letter)) return token;
  if (/^[a-zA-Z]/.test(letter)) throw new SyntaxError(`${token} is no escape that is read here`);
  return /^[\^$\\.*+?()[\]{}|/-]/.test(letter) ? hyphen(token) : letter;
}

/** A hyphen may be escaped in brackets alone; as a number it may be everywhere. */
const hyphen = (token: string) => (token === '\\-' ? '\\x2d' : token);
