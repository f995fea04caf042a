/** Numbers as Python reads and rounds them. */
import { strip } from './python_text.ts';

const FLOAT =
  /^[+-]?(?:inf(?:inity)?|nan|(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?)$/i;

/**
 * Python's `float(text)`: blanks at the ends, underscores between digits, the digits of any script, `inf` and `nan`. null where
 * Python raises ValueError.
 */
export function pythonFloat(text: string): number | null {
  const plain = strip(text).replace(/\p{Nd}/gu, digitOf);
  if (!FLOAT.test(plain)) return null;
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/.exec(plain)!;
  const size = /^inf/i.test(rest) ? Infinity : /^nan/i.test(rest) ? Number.NaN : Number(rest.replaceAll('_', ''));
  return sign === '-' ? -size : size;
}

/** The digits of a script lie in a row of ten; some rows follow each other without a gap. */
function digitOf(char: string): string {
  let first = char.codePointAt(0)!;
  const code = first;
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1;
  return String((code - first) % 10);
}

/** Python's `round(value, 2)`: to the nearest hundredth of the number as it is stored, in a tie to the even one. */
export function round2(value: number): number {
  // Only odd eighths lie in the middle of two hundredths; elsewhere `toFixed`, which looks at all digits, does the same.
  const eighths = value * 8;
  if (!Number.isInteger(eighths) || eighths % 2 === 0) return Math.abs(value) < 1e21 ? Number(value.toFixed(2)) : value;
  const below = Math.floor(value * 100);
  return (below % 2 === 0 ? below : below + 1) / 100;
}
