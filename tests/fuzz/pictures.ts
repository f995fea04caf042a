/** Damaged pictures, read as a row's are: pixels and tiles for a model, or an error of the row. */
import assert from 'node:assert/strict';
import sharp, { type Sharp } from 'sharp';
import { imageField } from '../../nanoeval/data/row.ts';
import { openVision } from '../../nanoeval/model/vision/family.ts';
import { decodeImage, imageSize } from '../../nanoeval/model/vision/image.ts';
import { RowError } from '../../nanoeval/types.ts';
import { crc32 } from '../model/fixtures.ts';
import { changed } from './changed.ts';
import type { Subject } from './watch.ts';

/** Bytes of a file in which it says what it is and how large. */
const HEADER = 64;
/** kB that one picture may take: the largest that are decoded have 100 million pixels of 3 or 4 bytes, twice for a while. */
const MOST_KB = 1_000_000;

const [WIDTH, HEIGHT] = [24, 17];
const drawn = (channels: 1 | 3 | 4): Sharp =>
  sharp(
    Uint8Array.from({ length: WIDTH * HEIGHT * channels }, (_, i) => (i * 7919) % 251),
    { raw: { width: WIDTH, height: HEIGHT, channels } },
  );
const KINDS: Record<string, () => Sharp> = {
  png: () => drawn(3).png(),
  'png, palette': () => drawn(4).png({ palette: true }),
  'png, interlaced': () => drawn(4).png({ progressive: true }),
  'png, 16 bits': () => drawn(1).toColourspace('grey16').png(),
  jpeg: () => drawn(3).jpeg().withMetadata({ orientation: 6 }),
  'jpeg, progressive': () => drawn(3).jpeg({ progressive: true }),
  'jpeg, cmyk': () => drawn(3).toColourspace('cmyk').jpeg(),
  webp: () => drawn(3).webp(),
  'webp, lossless': () => drawn(4).webp({ lossless: true }),
  gif: () => drawn(4).gif(),
};

const FAMILIES = [
  openVision({
    config: { model_type: 'idefics3', image_token_id: 7 },
    preprocessor: { size: { longest_edge: 128 }, max_image_size: { longest_edge: 64 } },
    processor: { image_seq_len: 16 },
  }),
  openVision({
    config: { model_type: 'llava', image_token_index: 7 },
    preprocessor: { size: { shortest_edge: 32 }, crop_size: 32 },
    processor: { patch_size: 8 },
  }),
];

/** Sums of a PNG's first chunk made right, so that what it claims is believed. */
function summed(bytes: Buffer): Buffer {
  if (bytes.byteLength > 33 && bytes.toString('latin1', 1, 4) === 'PNG')
    bytes.writeInt32BE(crc32(bytes.subarray(12, 29)), 29);
  return bytes;
}

/** In turn any bytes, and bytes of the header alone, there with the sum that belongs to them. */
function damaged(whole: Uint8Array, seed: number): Uint8Array {
  if (seed < 0) return whole;
  return seed % 2 === 0 ? changed(whole, seed) : summed(changed(whole, seed, HEADER));
}

async function look(file: Uint8Array): Promise<string> {
  try {
    const bytes = imageField('fuzz', { index: 0, row: { image: { bytes: file, path: null } } }, 'image')!;
    const { width, height } = await imageSize(bytes);
    for (const family of FAMILIES) family.expand({ width, height });
    const pixels = await decodeImage(bytes);
    assert.deepEqual([pixels.width, pixels.height, pixels.data.length], [width, height, 3 * width * height]);
    for (const family of FAMILIES) family.tiles(pixels);
    return 'pixels';
  } catch (error) {
    // Whatever is wrong with one picture ends no run.
    assert.ok(error instanceof RowError, error as Error);
    throw error;
  }
}

/** Seed -1 is the whole file. */
export const PICTURES: readonly Subject[] = Object.entries(KINDS).map(([name, draw]) => {
  let whole: Uint8Array | null = null;
  return {
    name,
    async read(seed) {
      whole ??= await draw().toBuffer();
      const before = process.resourceUsage().maxRSS;
      try {
        return await look(damaged(whole, seed));
      } finally {
        const taken = process.resourceUsage().maxRSS - before;
        assert.ok(taken <= MOST_KB, `${taken} kB of memory`);
      }
    },
  };
});
