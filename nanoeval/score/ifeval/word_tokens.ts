/**
 * Word tokens as NLTK 3.9's `word_tokenize` makes them: sentences by Punkt, then the rules of the Penn Treebank's tokenizer with
 * NLTK's own for other quotes. A text is rewritten step by step until blanks part its tokens.
 */
import { pythonRegex } from '../../text/python_regex.ts';
import { splitWords } from '../../text/python_text.ts';
import { sentencesOf } from './punkt.ts';

type Step = readonly [find: RegExp, put: string];
const step = (source: string, put: string, ignoreCase = false): Step => [pythonRegex(source, { ignoreCase }), put];

const STEPS: readonly Step[] = [
  // Quotes that open.
  step('([«“‘„]|[`]+)', ' $1 '),
  step('^"', '``'),
  step('(``)', ' $1 '),
  step('([ (\\[{<])("|\'{2})', '$1 `` '),
  step("(')(?!re|ve|ll|m|t|s|d|n)(\\w)\\b", '$1 $2', true),
  // Punctuation; a full stop is a token of its own at the end of the sentence alone.
  step('([^.])(\\.)([\\])}>"\'»”’ ]*)\\s*$', '$1 $2 $3 '),
  step('([:,])([^\\d])', ' $1 $2'),
  step('([:,])$', ' $1 '),
  step('\\.{2,}', ' $& '),
  step('[;@#$%&]', ' $& '),
  step('([^.])(\\.)([\\])}>"\']*)\\s*$', '$1 $2$3 '),
  step('[?!]', ' $& '),
  step("([^'])' ", "$1 ' "),
  step('[*]', ' $& '),
  step('[\\]\\[(){}<>]', ' $& '),
  step('--', ' -- '),
];

/** What follows once the text has a blank at both ends: quotes that close, clitics, contractions. */
const LATER_STEPS: readonly Step[] = [
  step('([»”’])', ' $1 '),
  step("''", " '' "),
  step('"', " '' "),
  step('\\s+', ' '),
  step("([^' ])('[sS]|'[mM]|'[dD]|') ", '$1 $2 '),
  step("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", '$1 $2 '),
  step("\\b(can)(not)\\b|\\b(d)('ye)\\b", ' $1$3 $2$4 ', true),
  step('\\b(gim)(me)\\b', ' $1 $2 ', true),
  step('\\b(gon)(na)\\b', ' $1 $2 ', true),
  step('\\b(got)(ta)\\b', ' $1 $2 ', true),
  step('\\b(lem)(me)\\b', ' $1 $2 ', true),
  step("\\b(more)('n)\\b", ' $1 $2 ', true),
  step('\\b(wan)(na)(?=\\s)', ' $1 $2 ', true),
  step(" ('t)(is)\\b", ' $1 $2 ', true),
  step(" ('t)(was)\\b", ' $1 $2 ', true),
];

const rewritten = (text: string, steps: readonly Step[]) =>
  steps.reduce((said, [find, put]) => said.replace(find, put), text);

/** The tokens of a text. */
export function wordTokens(text: string): string[] {
  return sentencesOf(text).flatMap((sentence) => splitWords(rewritten(` ${rewritten(sentence, STEPS)} `, LATER_STEPS)));
}
