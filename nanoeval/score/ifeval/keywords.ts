/** `keywords:*` and `punctuation:*`: what stands in a text and how often. Keywords are patterns of Python's `re`, as in the original. */
import { z } from 'zod';
import { pythonRegex } from '../../text/python_regex.ts';
import { strip } from '../../text/python_text.ts';
import { excerpt } from '../reading.ts';
import { withinTime } from '../within.ts';
import { compared, count, type Instruction, instruction, pattern, relation, text } from './instruction.ts';

/** A keyword without case. Throws SyntaxError where it is no pattern. */
const keyword = (source: string) => pythonRegex(source, { ignoreCase: true });

/** As a whole word. */
const wholeWord = (source: string) => keyword(`\\b${source}\\b`);

function matches(regex: RegExp, said: string): number {
  return withinTime(`the keyword ${regex}`, () => said.match(regex)?.length ?? 0);
}

export const KEYWORDS: Record<string, Instruction> = {
  'keywords:existence': instruction({ keywords: z.array(pattern(keyword)).min(1) }, (said, { keywords }) => {
    const missing = keywords.find((one) => matches(keyword(one), said) === 0);
    return missing === undefined ? null : `${excerpt(missing)} is not there`;
  }),
  'keywords:frequency': instruction(
    { keyword: pattern(keyword), frequency: count, relation },
    (said, { keyword: one, frequency, relation }) =>
      compared(matches(keyword(strip(one)), said), relation, frequency, `times ${excerpt(one)}`),
  ),
  'keywords:forbidden_words': instruction({ forbidden_words: z.array(pattern(wholeWord)).min(1) }, (said, args) => {
    const found = args.forbidden_words.find((one) => matches(wholeWord(one), said) > 0);
    return found === undefined ? null : `${excerpt(found)} is there`;
  }),
  // Letters beyond a to z are themselves; lm-evaluation-harness draws another one in their place, anew in every run.
  'keywords:letter_frequency': instruction(
    { letter: text, let_frequency: count, let_relation: relation },
    (said, { letter, let_frequency, let_relation }) => {
      const wanted = strip(letter).toLowerCase();
      const found = [...said.toLowerCase()].filter((char) => char === wanted).length;
      return compared(found, let_relation, let_frequency, `times ${excerpt(letter)}`);
    },
  ),
  'punctuation:no_comma': instruction({}, (said) => (said.includes(',') ? 'there is a comma' : null)),
};
