/**
 * The pictures of the questions under way, and the token ids that stand for them.
 *
 * A picture in a prompt is a stretch of tokens that all look alike; what tells them apart is the picture. So each
 * picture gets ids of its own, one for each of its tokens, never used again for another: a trie over ids then shares a
 * prefix between prompts where they show the same picture, and between no others.
 */
import { sha256 } from '../../text/hash.ts';

/** The first id that no vocabulary reaches. */
export const FIRST_IMAGE_ID = 2 ** 24;
/** Ids are 32-bit numbers. */
const LAST_IMAGE_ID = 2 ** 31 - 1;
/** Pictures that nothing under way shows and that are kept all the same: the next rows may be about them. */
const KEPT = 4;

/** A picture with its ids: `first` up to `first + tokens`. */
export interface Shown {
  first: number;
  tokens: number;
  /** The file as it was published. */
  bytes: Uint8Array;
}

export interface Album {
  /** Ids for a picture that takes `tokens` tokens: those that it has already, where it is still known. */
  enter(bytes: Uint8Array, tokens: number): Shown;
  /** One question less shows it. */
  leave(shown: Shown): void;
  /** The pictures that some of the ids belong to. */
  among(ids: ArrayLike<number>): Shown[];
}

/** An empty album. `forget` is told the first id of each picture that is dropped. */
export function openAlbum(forget: (first: number) => void): Album {
  const pictures = new Map<string, { shown: Shown; uses: number }>();
  const byFirst = new Map<number, string>();
  /** Keys of pictures that nothing shows, the longest unused first. */
  const unused = new Set<string>();
  let next = FIRST_IMAGE_ID;

  return {
    enter(bytes, tokens) {
      const key = `${tokens}:${sha256(bytes)}`;
      const known = pictures.get(key);
      if (known !== undefined) {
        known.uses += 1;
        unused.delete(key);
        return known.shown;
      }
      if (next + tokens > LAST_IMAGE_ID) throw new Error('no ids are left for pictures.');
      const shown = { first: next, tokens, bytes };
      next += tokens;
      pictures.set(key, { shown, uses: 1 });
      byFirst.set(shown.first, key);
      return shown;
    },
    leave({ first }) {
      const key = byFirst.get(first)!;
      const entry = pictures.get(key)!;
      entry.uses -= 1;
      if (entry.uses > 0) return;
      unused.add(key);
      for (const oldest of unused) {
        if (unused.size <= KEPT) return;
        unused.delete(oldest);
        const { shown } = pictures.get(oldest)!;
        pictures.delete(oldest);
        byFirst.delete(shown.first);
        forget(shown.first);
      }
    },
    among(ids) {
      if (pictures.size === 0) return [];
      const found = new Set<Shown>();
      let last: Shown | null = null;
      for (let i = 0; i < ids.length; i += 1) {
        const id = ids[i]!;
        if (id < FIRST_IMAGE_ID || (last !== null && id >= last.first && id < last.first + last.tokens)) continue;
        last = null;
        for (const { shown } of pictures.values())
          if (id >= shown.first && id < shown.first + shown.tokens) last = shown;
        if (last === null) throw new Error(`no picture has the token ${id}.`);
        found.add(last);
      }
      return [...found];
    },
  };
}
