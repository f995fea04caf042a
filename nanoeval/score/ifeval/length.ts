/** `length_constraints:*`: numbers of words, sentences and paragraphs. */
import { z } from 'zod';
import { pythonRegex } from '../../text/python_regex.ts';
import { splitWords, strip } from '../../text/python_text.ts';
import { excerpt } from '../reading.ts';
import { compared, count, equal, type Instruction, instruction, relation, text } from './instruction.ts';
import { sentencesOf } from './punkt.ts';

const WORD = pythonRegex('\\w+');
const STARS = pythonRegex('\\s?\\*\\*\\*\\s?');

/** The pieces between parting marks that say something; null where a blank one stands in the middle. */
export function piecesOf(pieces: readonly string[]): string[] | null {
  const middle = pieces.slice(1, -1);
  return middle.some((piece) => strip(piece) === '') ? null : pieces.filter((piece) => strip(piece) !== '');
}

/** The first word as the original reads it: quotes before it are no part of it, and it ends at the first of `.,?!'"`. */
function firstWord(paragraph: string): string {
  const [word = ''] = splitWords(paragraph);
  const [found = ''] = word
    .replace(/^'+/, '')
    .replace(/^"+/, '')
    .split(/[.,?!'"]/, 1);
  return [...found].map((letter) => letter.toLowerCase()).join('');
}

export const LENGTH: Record<string, Instruction> = {
  'length_constraints:number_words': instruction({ num_words: count, relation }, (said, { num_words, relation }) =>
    compared(said.match(WORD)?.length ?? 0, relation, num_words, 'words'),
  ),
  'length_constraints:number_sentences': instruction(
    { num_sentences: count, relation },
    (said, { num_sentences, relation }) => compared(sentencesOf(said).length, relation, num_sentences, 'sentences'),
  ),
  'length_constraints:number_paragraphs': instruction({ num_paragraphs: count }, (said, { num_paragraphs }) => {
    const paragraphs = piecesOf(said.split(STARS));
    return paragraphs === null
      ? 'a paragraph between *** is blank'
      : equal(paragraphs.length, num_paragraphs, 'paragraphs between ***');
  }),
  // Blank paragraphs do not count, and yet the place of the one that is looked at is counted with them: so the original.
  'length_constraints:nth_paragraph_first_word': instruction(
    { num_paragraphs: count, nth_paragraph: z.int().min(1), first_word: text },
    (said, { num_paragraphs, nth_paragraph, first_word }) => {
      const all = said.split('\n\n');
      const found = all.filter((paragraph) => strip(paragraph) !== '').length;
      const paragraph = strip(all.at(nth_paragraph - 1) ?? '');
      if (nth_paragraph > found || paragraph === '') return `paragraph ${nth_paragraph} is not there, or blank`;
      const word = firstWord(paragraph);
      if (word !== first_word.toLowerCase())
        return `paragraph ${nth_paragraph} begins with ${excerpt(word)}, not with ${excerpt(first_word)}`;
      return equal(found, num_paragraphs, 'paragraphs');
    },
  ),
};
