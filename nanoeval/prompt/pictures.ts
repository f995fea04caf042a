/** Texts that name pictures by number, `<image 2>`: where each picture stands in the message, and which one it is. */
import type { ContentPart } from '../questions.ts';
import { RowError } from '../types.ts';

/** A text, or the place of a picture. */
export type PlacedPart = { type: 'text'; text: string } | { type: 'image' };

export interface Pictured {
  /** Texts and the places of pictures, in order. */
  parts: PlacedPart[];
  /** The number of the picture at each place, from 1. */
  shown: number[];
}

/**
 * `inline`: a picture stands where the text first names it; named again it is `[image 2]`. `last`: every mention becomes
 * `[image]`, and the pictures follow the text in the order of their mentions, repeated ones again. `each`: a picture stands at
 * every mention, repeated ones again; a mention is `<image 1>` to `<image 7>` with one blank (lm-eval).
 */
export function placePictures(text: string, layout: 'inline' | 'last' | 'each'): Pictured {
  const parts: PlacedPart[] = [];
  const shown: number[] = [];
  let words = '';
  const speak = () => {
    if (words !== '') parts.push({ type: 'text', text: words });
    words = '';
  };
  for (const [i, piece] of text.split(layout === 'each' ? /<image ([1-7])>/ : /<image\s+(\d+)>/).entries()) {
    if (i % 2 === 0) words += piece;
    else if (layout === 'inline' && shown.includes(Number(piece))) words += `[image ${piece}]`;
    else {
      shown.push(Number(piece));
      if (layout === 'last') words += '[image]';
      else {
        speak();
        parts.push({ type: 'image' });
      }
    }
  }
  speak();
  if (layout === 'last') parts.push(...shown.map((): PlacedPart => ({ type: 'image' })));
  return { parts, shown };
}

/**
 * The parts with the files of their pictures, in the order of their places. A RowError where the row lacks one: it cannot be
 * asked.
 */
export function withFiles(
  parts: readonly PlacedPart[],
  files: readonly (Uint8Array | null)[],
): ContentPart[] | RowError {
  const missing = files.indexOf(null);
  if (missing >= 0) {
    const message = `the question shows ${files.length} pictures, and the row lacks the one at place ${missing + 1}.`;
    return new RowError('image', message);
  }
  let next = 0;
  return parts.map((part) => (part.type === 'text' ? part : { type: 'image', bytes: files[next++]! }));
}
