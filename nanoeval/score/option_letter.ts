/** From a generated answer to an option's letter by the rule of a benchmark's published evaluation script. */
import { isBlank } from '../text/python_text.ts';
import { letters } from './letters.ts';

/** The script strips these one kind after another, not as a set: `B:.` becomes `B`, `B.:` only `B.`. */
const MARKS = [',', '.', '!', '?', ';', ':', "'"];
const LABEL = 'Answer:';

/**
 * The index of the option that the published script would read, or null where it would draw a letter at random. The task
 * file that uses this rule says which script. The first step that finds a letter decides:
 *
 * 1. behind the last `Answer:`, one and only one of the letters, as part of whatever word: `Answer: $B`, `Answer: Bird`;
 * 2. `(B)`; the rightmost one of several letters;
 * 3. `B` with a blank behind it (and nothing asked of what stands before: `USA flag` says A);
 * 4. `B` with a full stop behind it. In steps 3 and 4 that one of several whose last ` B ` stands rightmost counts, and
 *    the first in the alphabet where none stands like that;
 * 5. in an answer of more than five words the text of an option, whatever its case; the rightmost of several.
 *
 * A step that finds several letters settles for one of them; only step 1 then leaves it to the others. Steps 2 to 5 look
 * at the whole answer, its outer punctuation stripped. Letters are capitals. The false matches are kept, since scores are
 * compared with the script's: `J. A dramatic ...` is A.
 *
 * @param options the texts, in order; letters range over as many as there are. A nested list comes flattened.
 */
export function officialLetter(reply: string, options: readonly string[]): number | null {
  const names = letters(options.length);
  const indexes = (holds: (index: number) => boolean) => [...names.keys()].filter(holds);

  const label = reply.lastIndexOf(LABEL);
  if (label >= 0) {
    const said = reply.slice(label + LABEL.length);
    const [only, ...others] = indexes((index) => said.includes(names[index]!));
    if (only !== undefined && others.length === 0) return only;
  }

  return inPadded(reply, options, [
    ['', ' '],
    ['', '.'],
  ]);
}

/**
 * The same rule without a label, and where a letter has to stand between two blanks: `(B)`, then ` B `, then the text of an
 * option. null where the script would draw a letter at random, as for `B)`, `**B**` and `b`.
 */
export function plainLetter(reply: string, options: readonly string[]): number | null {
  return inPadded(reply, options, [[' ', ' ']]);
}

/** Steps 2 to 5; `around`: what has to stand before and behind a letter in steps 3 and 4, one step after another. */
function inPadded(
  reply: string,
  options: readonly string[],
  around: readonly (readonly [before: string, behind: string])[],
): number | null {
  const names = letters(options.length);
  const indexes = (holds: (index: number) => boolean) => [...names.keys()].filter(holds);
  const text = ` ${MARKS.reduce(stripMark, reply)} `;
  const bracketed = indexes((index) => text.includes(`(${names[index]})`));
  if (bracketed.length > 0) return rightmost(bracketed, (index) => text.lastIndexOf(`(${names[index]})`));

  for (const [before, behind] of around) {
    const found = indexes((index) => text.includes(before + names[index] + behind));
    if (found.length > 0) return rightmost(found, (index) => text.lastIndexOf(` ${names[index]} `));
  }

  if (countWords(text) <= 5) return null;
  const small = text.toLowerCase();
  const place = (index: number) => small.lastIndexOf(options[index]!.toLowerCase());
  const named = indexes((index) => place(index) >= 0);
  return named.length > 0 ? rightmost(named, place) : null;
}

/** Python's `text.strip(mark)` for one character. */
function stripMark(text: string, mark: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === mark) start += 1;
  while (end > start && text[end - 1] === mark) end -= 1;
  return text.slice(start, end);
}

/** The first of those whose place is largest, as NumPy's `argmax`. */
function rightmost(found: number[], place: (index: number) => number): number {
  return found.reduce((best, index) => (place(index) > place(best) ? index : best));
}

/** Python's `len(text.split())`. */
function countWords(text: string): number {
  let count = 0;
  let wasBlank = true;
  for (const char of text) {
    const blank = isBlank(char);
    if (wasBlank && !blank) count += 1;
    wasBlank = blank;
  }
  return count;
}
