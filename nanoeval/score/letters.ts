/** From a generated answer to a choice's letter. No letter is `null` (unparsed), never a guess. */
import { strip } from '../text/python_text.ts';
import { bareText } from './answers.ts';

/** A, B, C, ... for the first `count` choices. */
export function letters(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String.fromCharCode(65 + i));
}

/**
 * lm-eval's `mmlu_generative`: the first line, stripped, must **be** the letter; case and ASCII punctuation are ignored
 * (filter `^(.*?)(?=\n|$)`, then exact_match). Returns the index of the letter, or null.
 */
export function exactLetter(answer: string, count: number): number | null {
  const line = answer.split('\n', 1)[0] ?? '';
  const bare = bareText(strip(line));
  const index = letters(count).findIndex((letter) => letter.toLowerCase() === bare);
  return index < 0 ? null : index;
}

/** Between "answer" and its letter: `is`, `would most likely be`, a colon. */
const BE =
  '(?:\\s+(?:is|was|(?:would|should|must|will)\\s+be)\\b(?:\\s+(?:therefore|thus|clearly|(?:most )?likely))?\\s*[:=]?|\\s*[:=–—-])\\s*';
const NOUN = '(?:(?:option|choice|letter|answer)\\s+)?';
const NOT = "(?<!\\b(?:not|nor|wrong|incorrect|except|n['’]t)\\s+(?:the\\s+)?)";
/** In front of a letter, and behind it: a word of its own, not `B12`, `D'oh`, `B-cell`, `A.I.` */
const OPEN = '["\'(\\[]*';
const ALONE = "(?![\\p{L}\\p{N}_'’]|-\\p{L}|\\.\\p{L}\\.)";
/** The sentence or the line ends here. */
const END = /^["')\]]*\s*?(?:[.,;:!?]|\n|$)/;
const DENIED = /^["')\]]*\s+(?:is|are)\s+(?:not|wrong|incorrect|false)\b/i;

/**
 * Our own rule for free answers. Steps in this order; the first that finds a letter decides:
 *
 * 1. the first line is the letter, as `exactLetter`: `B`, ` b.`, `(B)`, `**B**`;
 * 2. a statement, the last one counts: `answer is B`, `Answer: (B)`, `correct option is B`, `B is correct`, and at a
 *    sentence's end `I think B`, `I choose B`, `it is B`;
 * 3. the answer begins with the letter and a mark or a line end behind it (`B. because ...`, `(B) 42`, `B: x`), or a
 *    blank and `is`, `because`, `since`, `as` or a dash; not where all letters are listed like that;
 * 4. letters by name or in brackets, `option B`, `answer B`, `(B)`, `B)`: if all of them are the same one.
 *
 * Letters are capitals; a small one counts in step 1, and in step 2 where the sentence ends behind it. `A` and `I` before
 * another small word are English (`the answer is A dog`), a letter that is denied is none (`not B`, `option B is wrong`),
 * and one of several decides for none (`B or C`). Anything else is null.
 */
export function readLetter(answer: string, count: number): number | null {
  const text = strip(answer.replace(/\\(?:boxed|text|textbf|mathrm|mathbf)\{|[*_`$}]/g, ''));
  const exact = exactLetter(text, count);
  if (exact !== null) return exact;
  const names = letters(count);
  const letter = `([A-${names.at(-1)}])${ALONE}`;
  const isAmong = new RegExp(`^["')\\].:]*\\s*(?:,|/|&|\\bor\\b|\\band\\b)\\s*${NOUN}${OPEN}${letter}`, 'u');

  /** What a pattern finds, in the order of the text, less what a reader would not take for an answer. */
  const find = (pattern: string, small: 'never' | 'at the end', mustEnd = false) =>
    [...text.matchAll(new RegExp(pattern, 'dgiu'))].flatMap(({ indices }) => {
      const [start, end] = indices?.slice(1).find((place) => place !== undefined) ?? [0, 0];
      const said = text.slice(start, end);
      const rest = text.slice(end);
      const isSmall = !names.includes(said);
      if (isSmall && small === 'never') return [];
      if ((isSmall || mustEnd) && !END.test(rest)) return [];
      if (/^[AI]$/.test(said) && /^\s+(?!(?:because|since|as|is|or|and)\b)[a-z]/.test(rest)) return [];
      if (DENIED.test(rest)) return [];
      return [{ start, index: isAmong.test(rest) ? null : names.indexOf(said.toUpperCase()) }];
    });

  const statements = [
    ...find(`${NOT}\\b(?:answer|option|choice|pick)${BE}${NOUN}${OPEN}${letter}`, 'at the end'),
    ...find(`(?<![\\p{L}\\p{N}])${letter}["')\\]]*\\s+is\\s+(?:the\\s+)?(?:correct|right|best|answer)\\b`, 'never'),
    ...find(
      `${NOT}\\b(?:think|believe|guess|say|choose|chose|pick|select|go with|it is|it['’]s)\\s+(?:it\\s+is\\s+|it['’]s\\s+)?${NOUN}${OPEN}${letter}`,
      'at the end',
      true,
    ),
  ].sort((a, b) => a.start - b.start);
  const last = statements.at(-1);
  if (last !== undefined) return last.index;

  const [opening] = find(
    `^(?:["'(\\[]${letter}["')\\]]|${letter}(?:[)\\].:,;]|\\s*\\n|\\s*$|\\s+(?:is|because|since|as)\\b|\\s+[–—-]\\s))`,
    'never',
  );
  const isList = names.every((name) => new RegExp(`(?:^|[\\s(])${name}[.):]`).test(text));
  if (opening !== undefined && !isList) return opening.index;

  const named = [
    ...find(`${NOT}\\b(?:option|choice|answer|letter)\\s+${OPEN}${letter}`, 'never'),
    ...find(`${NOT}(?<![\\p{L}\\p{N}_])\\(${letter}\\)`, 'never'),
    ...find(`${NOT}(?<![\\p{L}\\p{N}_(])${letter}\\)`, 'never'),
  ];
  const [only, ...others] = new Set(named.map(({ index }) => index));
  return others.length === 0 ? (only ?? null) : null;
}

/** The choice that each rule reads, under the name of its metric: `exact_match` is lm-eval's, `acc` ours. */
export function readLetters(answer: string, count: number): { exact_match: number | null; acc: number | null } {
  return { exact_match: exactLetter(answer, count), acc: readLetter(answer, count) };
}

/** Texts whose log-probability as the first token `likelyLetter` reads: each letter bare, and behind a blank. */
export function letterTokens(count: number): string[] {
  return letters(count).flatMap((letter) => [letter, ` ${letter}`]);
}

/**
 * The index whose letter is the most likely first token: the probabilities of a letter's forms (bare, behind a blank) are
 * added, a form that is no single token counts nothing. Ours. null when no form of any letter is a token.
 * `logprobs`: by text, as asked by `letterTokens`, natural log.
 */
export function likelyLetter(logprobs: Readonly<Record<string, number | null>>, count: number): number | null {
  let best: number | null = null;
  let most = Number.NEGATIVE_INFINITY;
  for (const [index, letter] of letters(count).entries()) {
    const known = [logprobs[letter], logprobs[` ${letter}`]].filter((one) => one != null);
    const largest = Math.max(...known);
    if (known.length === 0) continue;
    const sum = largest + Math.log(known.reduce((total, one) => total + Math.exp(one - largest), 0));
    if (sum > most) [best, most] = [index, sum];
  }
  return best;
}
