/** Pictures made small for a page: enough to see what a question shows. */
import type { PagePicture } from '../report/page_shape.ts';

/** Tried one after the other, until a picture has few enough bytes: longest side in pixels, WebP quality. */
const TRIES = [
  [480, 72],
  [320, 60],
  [240, 45],
] as const;
const MOST_BYTES = 24_000;

/** The picture as WebP of at most some 24 kB; why it is not there where its file cannot be read. */
export async function smallPicture(bytes: Uint8Array): Promise<PagePicture> {
  // Loads a library of some 20 MB, which only a run with pictures needs.
  const { default: sharp } = await import('sharp');
  try {
    for (const [side, quality] of TRIES) {
      const { data, info } = await sharp(bytes)
        .resize(side, side, { fit: 'inside', withoutEnlargement: true })
        .webp({ quality })
        .toBuffer({ resolveWithObject: true });
      if (data.length > MOST_BYTES && side !== TRIES.at(-1)![0]) continue;
      const { width, height } = info;
      return { type: 'image/webp', width, height, data: data.toString('base64') };
    }
  } catch (error) {
    return { left_out: `the file cannot be read: ${(error as Error).message.split('\n', 1)[0]}` };
  }
  return { left_out: 'it stays too large' };
}
