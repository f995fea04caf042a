/** Patterns of tokenizer.json, and the ways to cut a text at their matches. */
import { toRegExp as translate } from 'oniguruma-to-es';
import { UserError } from '../../types.ts';

/** `{"String": "▁"}` or `{"Regex": "\\p{N}"}` (Oniguruma). */
export type PatternConfig = { String: string } | { Regex: string };

/** What becomes of the matches (Rust `SplitDelimiterBehavior`, `tokenizers/src/tokenizer/normalizer.rs`). */
export type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

const BEHAVIORS: readonly Behavior[] = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

/** A part of a text: where it begins and ends in UTF-16 units, and whether the pattern matched it. */
interface Span {
  start: number;
  end: number;
  match: boolean;
}

/**
 * The regular expression of a pattern, global. PyPI `tokenizers` matches with Oniguruma, whose syntax and character classes
 * differ from JavaScript's and are translated. Throws UserError for what has no counterpart.
 */
export function toRegExp(config: PatternConfig | undefined, where: string): RegExp {
  if (config !== undefined && 'String' in config && typeof config.String === 'string') {
    // An empty text matches nowhere in the Rust library.
    return config.String === '' ? /(?!)/gu : new RegExp(config.String.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');
  }
  if (config !== undefined && 'Regex' in config && typeof config.Regex === 'string') {
    try {
      return translate(withWords(config.Regex), { global: true });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new UserError(
        `${where}: the pattern ${JSON.stringify(config.Regex)} cannot be read (${why}). Another export may have one that can.`,
      );
    }
  }
  throw new UserError(
    `${where}: pattern is ${JSON.stringify(config)}. It has to be {"String": ...} or {"Regex": ...}.`,
  );
}

const WORD_IN_CLASS = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
// Outside of brackets the fractions and superscripts of Latin-1 count as well.
const WORD = `${WORD_IN_CLASS}²³¹¼-¾`;
const BORDER = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;
const NO_BORDER = `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`;
const WRITTEN_OUT: Record<string, string> = {
  '\\w': `[${WORD}]`,
  '\\W': `[^${WORD}]`,
  '\\b': BORDER,
  '\\B': NO_BORDER,
};
const WRITTEN_OUT_IN_CLASS: Record<string, string> = {
  '\\w': `[${WORD_IN_CLASS}]`,
  '\\W': `[^${WORD_IN_CLASS}]`,
};

/** Writes `\\w` and `\\b` out: a word character of Oniguruma is no circled digit, of the translation's it is. */
function withWords(source: string): string {
  let depth = 0;
  return source.replace(/\\[\s\S]|[[\]]/g, (part) => {
    if (part === '[') depth += 1;
    if (part === ']') depth -= 1;
    return (depth > 0 ? WRITTEN_OUT_IN_CLASS : WRITTEN_OUT)[part] ?? part;
  });
}

/** The behaviour by its name in tokenizer.json. Throws UserError for another one. */
export function toBehavior(name: unknown, where: string): Behavior {
  const found = BEHAVIORS.find((known) => known === name);
  if (found === undefined) {
    throw new UserError(`${where}: behavior is ${JSON.stringify(name)}. Known: ${BEHAVIORS.join(', ')}.`);
  }
  return found;
}

/**
 * Cuts `text` at the matches of a global `pattern`. `invert`: what lies between the matches counts as matched. Empty parts
 * are left out.
 */
export function split(text: string, pattern: RegExp, behavior: Behavior, invert = false): string[] {
  // What nearly every tokenizer does, some thousand times a row.
  if (behavior === 'Isolated' || behavior === 'Removed')
    return parts(text, pattern, {
      between: behavior === 'Isolated' || !invert,
      matched: behavior === 'Isolated' || invert,
    });
  const spans = cut(text, pattern, invert);
  return merged(spans, behavior)
    .filter(({ start, end }) => start < end)
    .map(({ start, end }) => text.slice(start, end));
}

/** The matches, what lies between them, or both, in order and without empty ones. */
function parts(text: string, pattern: RegExp, { between, matched }: { between: boolean; matched: boolean }): string[] {
  const all: string[] = [];
  let last = 0;
  pattern.lastIndex = 0;
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const [match] = found;
    if (between && last < found.index) all.push(text.slice(last, found.index));
    if (matched && match !== '') all.push(match);
    last = found.index + match.length;
    // An empty match is followed by the search behind the next character, as in String.matchAll.
    if (match === '') pattern.lastIndex = last + (text.codePointAt(last)! > 0xffff ? 2 : 1);
  }
  if (between && last < text.length) all.push(text.slice(last));
  return all;
}

/** `text.replace` for all matches, with `content` as it stands: no `$` stands for anything. */
export function replaceAll(text: string, pattern: RegExp, content: string): string {
  return text.replace(pattern, () => content);
}

/** Matches and what lies between them, in order, the whole text. */
function cut(text: string, pattern: RegExp, invert: boolean): Span[] {
  const spans: Span[] = [];
  let last = 0;
  for (const found of text.matchAll(pattern)) {
    const end = found.index + found[0].length;
    if (last !== found.index) spans.push({ start: last, end: found.index, match: invert });
    spans.push({ start: found.index, end, match: !invert });
    last = end;
  }
  if (last !== text.length) spans.push({ start: last, end: text.length, match: invert });
  return spans;
}

function merged(spans: Span[], behavior: Exclude<Behavior, 'Isolated' | 'Removed'>): Span[] {
  switch (behavior) {
    case 'Contiguous':
      return joined(spans, (span, before) => span.match === before.match);
    case 'MergedWithPrevious':
      return joined(spans, (span, before) => span.match && !before.match);
    case 'MergedWithNext':
      // From the end, as the library does: of several matches in a row the last goes with what follows.
      return joined([...spans].reverse(), (span, before) => span.match && !before.match).reverse();
  }
}

/** Joins a part to the one before it where `joins` says so, which sees the parts as they were cut. */
function joined(spans: readonly Span[], joins: (span: Span, before: Span) => boolean): Span[] {
  const all: Span[] = [];
  spans.forEach((span, i) => {
    const last = all.at(-1);
    if (last !== undefined && joins(span, spans[i - 1]!)) {
      last.start = Math.min(last.start, span.start);
      last.end = Math.max(last.end, span.end);
    } else all.push({ ...span });
  });
  return all;
}
