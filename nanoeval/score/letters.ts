/** From a generated answer to a choice's letter. No letter is `null` (unparsed), never a guess. */
import { strip } from '../python_text.ts';

/** A, B, C, ... for the first `count` choices. */
export function letters(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String.fromCharCode(65 + i));
}

/** ASCII punctuation: Python's `string.punctuation`, which lm-eval's `ignore_punctuation` removes. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/**
 * lm-eval's `mmlu_generative`: the first line, stripped, must **be** the letter; case and ASCII punctuation are ignored
 * (filter `^(.*?)(?=\n|$)`, then exact_match). Returns the index of the letter, or null.
 */
export function exactLetter(answer: string, count: number): number | null {
  const line = answer.split('\n', 1)[0] ?? '';
  const bare = strip(line).toLowerCase().replace(PUNCTUATION, '');
  const index = letters(count).findIndex((letter) => letter.toLowerCase() === bare);
  return index < 0 ? null : index;
}

/**
 * Our own rule for free answers, in this order; capitals only, but for the first step:
 *
 * 1. the first line is the letter, as `exactLetter`: `B`, ` b.`, `(B)`, `**B**`;
 * 2. a statement, the last one counts: `answer is B`, `Answer: (B)`, `choice B`, `option B`;
 * 3. the answer begins with the letter and a mark or a line end behind it: `B. because ...`, `(B) 42`, `B: x`;
 *    a blank behind it will do for all letters but A and I, which are English words there (`A dog`, `I think`);
 * 4. letters in brackets or before a closing bracket, `(B)`, `B)`: if all of them are the same one.
 *
 * Anything else is null.
 */
export function readLetter(answer: string, count: number): number | null {
  const exact = exactLetter(answer, count);
  if (exact !== null) return exact;
  const last = letters(count).at(-1);
  const text = strip(answer).replace(/[*_`]+/g, '');
  const index = (letter: string | undefined) => (letter === undefined ? null : letter.charCodeAt(0) - 65);

  const said = `(?:[Aa]nswer|ANSWER|[Cc]hoice|[Oo]ption)(?:\\s+is|\\s*:|\\s+would be)?:?\\s*["'(\\[]?([A-${last}])(?![\\w'’])(?!\\s+[a-z])`;
  const statements = [...text.matchAll(new RegExp(said, 'gu'))];
  if (statements.length > 0) return index(statements.at(-1)?.[1]);

  const opening = new RegExp(`^["'(\\[]?([A-${last}])(?:["')\\].:,;]|\\s*\\n|\\s*$|(?<![AI])\\s)`, 'u').exec(text);
  if (opening !== null) return index(opening[1]);

  const bracketed = new Set(
    [...text.matchAll(new RegExp(`(?<![\\w])([A-${last}])\\)`, 'gu'))].map((match) => match[1]),
  );
  return bracketed.size === 1 ? index([...bracketed][0]) : null;
}

/** The choice that each rule reads, under the name of its metric: `exact_match` is lm-eval's, `acc` ours. */
export function readLetters(answer: string, count: number): { exact_match: number | null; acc: number | null } {
  return { exact_match: exactLetter(answer, count), acc: readLetter(answer, count) };
}
