/**
 * Python's text rules where JavaScript's differ. The reference harnesses are Python programs, and a prompt that is
 * stripped by another set of blanks or measured in UTF-16 units is another prompt.
 */

/**
 * The characters that Python's `str.strip()` removes, as they stand in the brackets of a pattern: `str.isspace()`, CPython
 * `Objects/unicodetype_db.h`. No U+FEFF.
 */
export const BLANK = '\\t\\n\\v\\f\\r\\x1c-\\x1f \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LEADING = new RegExp(`^[${BLANK}]+`, 'u');

/** Python's `text.rstrip()`. Walks from the end: a regular expression anchored at `$` is quadratic on long blank runs. */
export function rstrip(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** Python's `text.strip()`. */
export function strip(text: string): string {
  return rstrip(lstrip(text));
}

const ONE_BLANK = new RegExp(`^[${BLANK}]$`, 'u');

/** Python's `char.isspace()` for one UTF-16 unit (every blank lies in the basic plane). */
export function isBlank(char: string): boolean {
  return ONE_BLANK.test(char);
}

const BLANKS = new RegExp(`[${BLANK}]+`, 'u');

/** Python's `re.split(r'\\s+', text)`: blanks at an end add an empty piece there. */
export function splitAtBlanks(text: string): string[] {
  return text.split(BLANKS);
}

/** Python's `text.split()`: what stands between blanks, nothing for a text of blanks. */
export function splitWords(text: string): string[] {
  return splitAtBlanks(text).filter((word) => word !== '');
}

/** Python's `text.lstrip()`. */
export function lstrip(text: string): string {
  return text.replace(LEADING, '');
}

/** Python's `text.isupper()`: a letter in upper case is there, and none in lower or title case. */
export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}

/** Python's `text.islower()`: a letter in lower case is there, and none in upper or title case. */
export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

/** A pattern of Python's `re` for all matches, where `\\s` outside of brackets means what it means there. */
export function pythonPattern(source: string): RegExp {
  return new RegExp(source.replaceAll('\\s', `[${BLANK}]`), 'gu');
}

/**
 * Python's `text.capitalize()`: the first character title-cased, **all the others lower-cased**. Lower-casing the whole
 * first keeps the final-sigma rule looking at the same neighbours as Python does.
 */
export function capitalize(text: string): string {
  const [first] = text;
  if (first === undefined) return '';
  // Python lower-cases the rest with the whole text as context; JavaScript does so for `text`, whose tail is cut off here.
  const rest = text.toLowerCase().slice(first.toLowerCase().length);
  return titleCase(first) + rest;
}

/** Unicode's full title case, which JavaScript lacks: upper case but for the letters below. */
function titleCase(char: string): string {
  const digraph = ['Ǆǅǆ', 'Ǉǈǉ', 'Ǌǋǌ', 'Ǳǲǳ'].find((group) => group.includes(char));
  if (digraph !== undefined) return digraph.charAt(1);
  // Georgian Mkhedruli letters upper-case to Mtavruli but are their own title case.
  if (/^[\u10d0-\u10fa\u10fd-\u10ff]$/u.test(char)) return char;
  if (char === 'ŉ') return 'ʼN';
  // Greek letters with an iota below keep it there: ᾳ -> ᾼ, where upper case writes ΑΙ.
  const parts = char.normalize('NFD');
  if (parts.length > 1 && parts.endsWith(IOTA_BELOW)) {
    const upper = parts.slice(0, -1).normalize('NFC').toUpperCase();
    // ᾷ has no capital as one character; Unicode writes it as three.
    return upper.length > 1 ? upper + IOTA_BELOW : (upper + IOTA_BELOW).normalize('NFC');
  }
  // ß -> Ss, ﬁ -> Fi.
  const [head = '', ...tail] = char.toUpperCase();
  return head + tail.join('').toLowerCase();
}

const IOTA_BELOW = '\u0345';

/** Python's `len(text)`: code points, not UTF-16 units. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** `len(text.encode())`: UTF-8 bytes. */
export function utf8Bytes(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}
