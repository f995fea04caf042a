/** Texts as a check reads them, blind to case or white space where it is told to be, and the places of what it finds. */
import { isBlank } from '../text/python_text.ts';

/** What a check does not mind. */
export interface ReadOptions {
  /** Letters are the same in both cases. */
  ignore_case?: boolean | undefined;
  /** White space at the ends is none. */
  strip?: boolean | undefined;
  /** Any white space is one blank, and none at the ends. */
  collapse_whitespace?: boolean | undefined;
}

/** A text as it is read. */
export interface Reading {
  text: string;
  /** Where each UTF-16 unit of it comes from in the original, and behind them the end. */
  places: readonly number[];
}

/**
 * One character without its case: `ß` is `ss`, and all three sigmas are one. Not Unicode's own folding, which JavaScript
 * lacks: `ı`, a letter without its dot, is an `i` here.
 */
const withoutCase = (char: string) => char.toUpperCase().toLowerCase();

/** Reads a text. White space is Python's (`str.isspace`). Unicode is not normalised: a composed letter is not a decomposed one. */
export function readAs(original: string, options: ReadOptions): Reading {
  const { ignore_case = false, collapse_whitespace = false, strip = collapse_whitespace } = options;
  const pieces: string[] = [];
  const places: number[] = [];
  let at = 0;
  let wasBlank = false;
  for (const char of original) {
    const blank = collapse_whitespace && isBlank(char);
    const piece = blank ? (wasBlank ? '' : ' ') : ignore_case ? withoutCase(char) : char;
    for (let i = 0; i < piece.length; i += 1) places.push(at);
    pieces.push(piece);
    at += char.length;
    wasBlank = blank;
  }
  const text = pieces.join('');
  places.push(original.length);
  if (!strip) return { text, places };
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text.charAt(start))) start += 1;
  while (end > start && isBlank(text.charAt(end - 1))) end -= 1;
  return { text: text.slice(start, end), places: places.slice(start, end + 1) };
}

/** `3:14`: the line and the character (code point) in it, both from 1, of an offset in UTF-16 units. */
export function placeIn(text: string, offset: number): string {
  const lines = text.slice(0, offset).split(/\r\n|[\n\r]/);
  return `${lines.length}:${[...lines.at(-1)!].length + 1}`;
}

/** Code points of an excerpt. */
const LONGEST = 48;

/** Belongs to the character before it. */
const JOINED = /^(?:\p{M}|\p{Emoji_Modifier}|\u200d|\ufe0f)$/u;

/** What would turn the text around it, or cannot be seen. */
const UNSEEN = /[\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * The text from an offset on (UTF-16 units), in quotes as JSON has it, cut at some 48 characters but in no character that is
 * made of several; dots stand for what is left out.
 */
export function excerpt(text: string, from = 0, longest = LONGEST): string {
  // What is looked at is longer than what is shown, however many units a character has.
  const chars = [...text.slice(from, from + 4 * longest + 64)];
  let end = Math.min(longest, chars.length);
  while (end < chars.length && end < longest + 16 && (JOINED.test(chars[end]!) || chars[end - 1] === '\u200d'))
    end += 1;
  const shown = chars.slice(0, end).join('');
  const quoted = JSON.stringify(shown).replace(
    UNSEEN,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${from > 0 ? '...' : ''}${quoted}${from + shown.length < text.length ? '...' : ''}`;
}
