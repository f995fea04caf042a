/** What a free answer says: the part of it that counts, and whether that is the target. */
import { strip } from '../text/python_text.ts';
import { RowError } from '../types.ts';
import { readAs } from './reading.ts';
import { withinTime } from './within.ts';

/** Which part of an answer counts. Applied in this order; blanks at its ends never count. */
export interface Cleaning {
  /** What stands behind the last of these marks. */
  after?: string | undefined;
  /** What the first group of this regular expression (JavaScript, flags `u` and `m`) matched, or all of its match: the first one. */
  regex?: string | undefined;
  /** The first line that is not blank. */
  first_line?: boolean | undefined;
}

/** The part that counts; null where the mark or the pattern is not there. Throws RowError `time`. */
export function cleaned(answer: string, { after, regex, first_line = false }: Cleaning): string | null {
  let text = answer;
  if (after !== undefined) {
    const at = text.lastIndexOf(after);
    if (at < 0) return null;
    text = text.slice(at + after.length);
  }
  if (regex !== undefined) {
    const pattern = new RegExp(regex, 'um');
    const whole = text;
    const found = withinTime(`the regular expression ${pattern}`, () => pattern.exec(whole));
    if (found === null) return null;
    text = found[1] ?? found[0];
  }
  text = strip(text);
  return first_line ? strip(text.split(/\r\n|[\n\r]/, 1)[0]!) : text;
}

/** ASCII punctuation: Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** lm-eval's `ignore_case` and `ignore_punctuation`: in lower case, without ASCII punctuation. Blanks and articles stay. */
export function bareText(text: string): string {
  return text.toLowerCase().replace(PUNCTUATION, '');
}

/** A number as people write it: `1,234.5`, `-7`, `.5`, `3e8`; a comma parts thousands alone. */
const NUMBER =
  /(?<![\d.])[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|(?<![\d.])[-+]?\.\d+(?:[eE][-+]?\d+)?/g;

/**
 * The last number in a text; null where there is none. `-` is a sign where no letter or digit stands before it (`3-4` has the
 * last number 4), U+2212 is a minus, and the full stop of a sentence is no part of a number.
 */
export function lastNumber(text: string): number | null {
  const plain = text.replaceAll('\u2212', '-');
  let last: number | null = null;
  for (const { 0: found, index } of plain.matchAll(NUMBER)) {
    const joined = /^[-+]/.test(found) && /[\p{L}\p{N})]$/u.test(plain.slice(0, index));
    last = Number((joined ? found.slice(1) : found).replaceAll(',', ''));
  }
  return last;
}

/** How the part that counts is held against the target. */
export const ANSWER_CHECKS = ['exact', 'contains', 'number', 'regex'] as const;
export type AnswerCheck = (typeof ANSWER_CHECKS)[number];

/** What is right, and how exactly. */
export interface Target {
  target: string;
  ignore_case?: boolean | undefined;
  /** Of `number`: how far the two may be apart. */
  tolerance?: number | undefined;
}

/**
 * What was read from an answer, and whether it is right. `number` reads the last number, and null where there is none. Throws
 * RowError `gold` for a target that has no number, or is no regular expression, where one is wanted.
 */
export function judged(check: AnswerCheck, said: string, { target, ignore_case = false, tolerance = 0 }: Target) {
  const read = (text: string) => readAs(text, { strip: true, ignore_case }).text;
  if (check === 'exact') return { answer: said, right: read(said) === read(target) };
  if (check === 'contains') return { answer: said, right: read(said).includes(read(target)) };
  if (check === 'regex') {
    const pattern = patternOf(target, ignore_case);
    return { answer: said, right: withinTime(`the regular expression ${pattern}`, () => pattern.test(said)) };
  }
  const [found, wanted] = [lastNumber(said), lastNumber(target)];
  if (wanted === null) throw new RowError('gold', `there is no number in the target ${JSON.stringify(target)}.`);
  if (found === null) return { answer: null, right: false };
  // 0.1 + 0.2 is 0.3 to whoever writes a tolerance.
  const slack = Number.EPSILON * 4 * Math.max(Math.abs(found), Math.abs(wanted), 1);
  return { answer: String(found), right: Math.abs(found - wanted) <= tolerance + (tolerance > 0 ? slack : 0) };
}

function patternOf(source: string, ignoreCase: boolean): RegExp {
  try {
    return new RegExp(source, ignoreCase ? 'iu' : 'u');
  } catch (cause) {
    throw new RowError('gold', `the target is no regular expression: ${(cause as Error).message}.`, { cause });
  }
}
