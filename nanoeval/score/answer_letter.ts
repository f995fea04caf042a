/** From an answer step by step to the letter of an option, by rules of published scripts. The task file says which script. */
import { pythonRegex } from '../text/python_regex.ts';
import { letters } from './letters.ts';

const SAID = pythonRegex('answer is \\(?([A-J])\\)?');
/** Looks ahead, so that a letter can begin the next label (`Answer: Answer: H`). */
const LABELLED = pythonRegex('[aA]nswer:(?=\\s*([A-J]))');
const ALONE = pythonRegex('\\b[A-J]\\b');

/** The letter behind the first `answer is `, bare or in a bracket; undefined where there is none. `answer is Half` says H. */
export function saidLetter(answer: string): string | undefined {
  return answer.matchAll(SAID).next().value?.[1];
}

/**
 * What `saidLetter` finds; else the letter behind `Answer:`, the last one of the first line that has any; else the last
 * capital letter from A to J that stands alone: the `I` of a sentence is one. undefined where there is none.
 */
export function anyLetter(answer: string): string | undefined {
  return saidLetter(answer) ?? labelledLetter(answer) ?? [...answer.matchAll(ALONE)].at(-1)?.[0];
}

function labelledLetter(answer: string): string | undefined {
  const found = [...answer.matchAll(LABELLED)];
  const [first] = found;
  if (first === undefined) return undefined;
  const end = answer.indexOf('\n', first.index);
  return found.findLast(({ index }) => end < 0 || index < end)?.[1];
}

/** The option that a letter stands for, counted from 0; null for no letter, and for one that none of the `count` options has. */
export function optionOf(letter: string | undefined, count: number): number | null {
  const index = letter === undefined ? -1 : letters(count).indexOf(letter);
  return index < 0 ? null : index;
}
