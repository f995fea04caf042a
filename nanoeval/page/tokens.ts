/** What a prompt's token ids say: its text in pieces, one a token. */
import type { PagePart, PageShared } from '../report/page_shape.ts';
import { unpackNumbers } from '../text/varint.ts';

/** A piece of a text: one token, or several that are one character together, or one many times over. */
export interface Piece {
  text: string;
  ids: number[];
  /** The same token so many times. */
  times?: number;
}

export interface Opened {
  text: string;
  /** null: no ids, or nobody says what they read as. */
  pieces: Piece[] | null;
  ids: number[] | null;
  /** The tokens are not the text as it was given (pictures written out, a text that was cut). */
  isOther: boolean;
  /** Pieces, and characters of the text, that stand in other prompts too: a few-shot header. */
  shared: { pieces: number; text: number };
}

/** A token that stands there so often in a row is shown once: the places of a picture. */
const MANY = 8;
const PART = '\ufffd';

/** A part of page.jsonl as text and pieces. Throws RangeError for ids that are damaged. */
export function openPart(part: PagePart, shared: PageShared): Opened {
  const head = part.ids_head === undefined ? [] : unpackNumbers(shared.ids_heads[part.ids_head] ?? '');
  const ids = part.ids === undefined ? null : [...head, ...unpackNumbers(part.ids)];
  const textHead = part.text_head === undefined ? '' : (shared.text_heads[part.text_head] ?? '');
  const given = part.text === undefined ? null : textHead + part.text;
  const isKnown = ids?.every((id) => shared.texts[id] !== undefined) ?? false;
  if (ids === null || !isKnown)
    return { text: given ?? '', pieces: null, ids, isOther: false, shared: { pieces: 0, text: paragraphs(textHead) } };
  const texts = ids.map((id) => shared.texts[id]!);
  const joined = texts.join('');
  const text = given ?? joined.slice(part.from ?? 0);
  const before = head.length === 0 ? 0 : texts.slice(0, head.length).join('').length - (part.from ?? 0);
  const pieces = piecesOf(ids, texts, given);
  // A character may reach over the end of what is shared.
  let count = 0;
  for (let tokens = 0; count < pieces.length && tokens < head.length; count += 1) tokens += pieces[count]!.ids.length;
  count = foldAt(pieces.slice(0, count).map((piece) => piece.text));
  const first = together(pieces.slice(0, count));
  const length = given === null ? Math.max(0, before) : textHead.length;
  return {
    text,
    ids,
    pieces: [...first, ...together(pieces.slice(count))],
    isOther: given !== null && !whole(joined, given),
    shared: { pieces: first.length, text: paragraphs(text.slice(0, length)) },
  };
}

/** Characters up to the last blank line: a question that begins as others do is not cut in two. */
function paragraphs(text: string): number {
  const at = text.lastIndexOf('\n\n');
  return at < 0 ? 0 : at + 2;
}

/** Pieces up to the last blank line, the whole of the one that it ends in. */
function foldAt(texts: readonly string[]): number {
  const end = paragraphs(texts.join(''));
  let [count, length] = [0, 0];
  while (length < end) length += texts[count++]!.length;
  return count;
}

/** The same but for characters that tokens share. */
function whole(joined: string, given: string): boolean {
  if (!joined.includes(PART)) return joined.endsWith(given);
  const solid = joined.split(/\ufffd+/);
  let at = 0;
  for (const part of solid) {
    const found = given.indexOf(part, at);
    if (found === -1 && part !== solid[0]) return false;
    if (found !== -1) at = found + part.length;
  }
  return true;
}

/** One piece a token; tokens that are parts of a character share one, whose text is found in the text as it was given. */
function piecesOf(ids: readonly number[], texts: readonly string[], given: string | null): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (let i = 0; i < ids.length; i += 1) {
    const text = texts[i]!;
    if (!text.includes(PART) || given === null) {
      const found = given === null ? -1 : given.indexOf(text, at);
      if (found >= 0 && found - at < 64) at = found + text.length;
      pieces.push({ text, ids: [ids[i]!] });
      continue;
    }
    let end = i + 1;
    while (end < ids.length && texts[end]!.includes(PART)) end += 1;
    const next = end < ids.length ? given.indexOf(texts[end]!, at + 1) : given.length;
    const shared = next > at && next - at <= 4 * (end - i) ? given.slice(at, next) : texts.slice(i, end).join('');
    pieces.push({ text: shared, ids: ids.slice(i, end) });
    if (next > at) at = next;
    i = end - 1;
  }
  return pieces;
}

/** Tokens that stand there many times in a row as one piece. */
function together(pieces: readonly Piece[]): Piece[] {
  const found: Piece[] = [];
  for (let i = 0; i < pieces.length; ) {
    const piece = pieces[i]!;
    let end = i + 1;
    while (end < pieces.length && piece.ids.length === 1 && pieces[end]!.ids.join() === piece.ids.join()) end += 1;
    if (end - i >= MANY) found.push({ ...piece, times: end - i });
    else found.push(...pieces.slice(i, end));
    i = end;
  }
  return found;
}
