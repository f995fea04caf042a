/** Prompts with pictures: what stands in the text for each, and the ids that its tokens get. */
import { RowError } from '../types.ts';
import type { Engine } from './engine/engine.ts';
import type { Shown } from './vision/album.ts';
import type { VisionFamily } from './vision/family.ts';
import { imageSize } from './vision/image.ts';

/** A text with its pictures written out, ready to be tokenised. */
export interface Pictured {
  text: string;
  /** The pictures, entered in the engine's album: whoever asks leaves them when the answer is there. */
  shown: readonly Shown[];
  /** Puts the ids of the pictures where their tokens are. Throws RowError where the tokens are not as many. */
  place(ids: number[]): number[];
}

/**
 * What stands in a text for its pictures in place of the placeholders, and the number of tokens of each. Throws RowError
 * when the text has not one placeholder for each picture, and for a file that is no picture.
 */
export async function expandPictures(text: string, images: readonly Uint8Array[], family: VisionFamily) {
  const parts = text.split(family.placeholder);
  if (parts.length !== images.length + 1) {
    const message = `the prompt says ${family.placeholder} ${parts.length - 1} times and has ${images.length} pictures.`;
    throw new RowError('image', message);
  }
  const expanded: ReturnType<VisionFamily['expand']>[] = [];
  for (const bytes of images) expanded.push(family.expand(await imageSize(bytes)));
  const whole = parts.map((part, i) => part + (expanded[i]?.text ?? '')).join('');
  return { text: whole, tokens: expanded.map(({ tokens }) => tokens) };
}

/** `expandPictures`, and the pictures entered in the album. `vision` is asked for with the first picture. */
export async function withPictures(
  text: string,
  images: readonly Uint8Array[],
  album: Engine['album'],
  vision: () => VisionFamily,
): Promise<Pictured> {
  if (images.length === 0) return { text, shown: [], place: (ids) => ids };
  const family = vision();
  const expanded = await expandPictures(text, images, family);
  const shown = images.map((bytes, i) => album.enter(bytes, expanded.tokens[i]!));
  const place = (ids: number[]): number[] => {
    const wanted = shown.flatMap(({ first, tokens }) => Array.from({ length: tokens }, (_, i) => first + i));
    const count = ids.filter((id) => id === family.imageTokenId).length;
    if (count !== wanted.length)
      throw new RowError('image', `the prompt has ${count} picture tokens, its pictures take ${wanted.length}.`);
    let next = 0;
    return ids.map((id) => (id === family.imageTokenId ? wanted[next++]! : id));
  };
  return { text: expanded.text, shown, place };
}
