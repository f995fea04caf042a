/** From pictures to what a vision encoder takes: tiles of bytes, and the number that each byte stands for. */
import { RowError } from '../../types.ts';
import type { Pixels, Size } from './image.ts';

/** Pictures as a vision encoder takes them, bytes not yet turned into numbers. */
export interface Tiles {
  count: number;
  width: number;
  height: number;
  /** [count, 3, height, width] */
  data: Uint8Array;
}

/** Tokens of a picture, far beyond every window: its text is not made, which would not fit into a string. */
const MOST_TOKENS = 1_000_000;
/** Pixels of a resized picture; 3 bytes each. */
const MOST_PIXELS = 100_000_000;

/** Throws RowError `length` for a picture that takes too many tokens for any model. */
export function checkTokens(tokens: number): void {
  if (tokens <= MOST_TOKENS) return;
  throw new RowError('length', `the picture takes ${tokens} tokens. At most ${MOST_TOKENS} are asked of a model.`);
}

/** Throws RowError `image` for a picture of `from` pixels that a preprocessor makes too large, as it does narrow ones. */
export function checkResized(from: Size, to: Size): void {
  if (to.width * to.height <= MOST_PIXELS) return;
  throw new RowError(
    'image',
    `the picture has ${from.width} x ${from.height} pixels, which preprocessor_config.json makes ` +
      `${to.width} x ${to.height}. At most ${MOST_PIXELS / 1e6} million are computed.`,
  );
}

/**
 * Writes the part of a picture whose upper left corner is (`left`, `top`) as tile `index`: [3, height, width]. What
 * lies outside of the picture is black (0).
 */
export function writeTile(tiles: Tiles, index: number, pixels: Pixels, left: number, top: number): void {
  const { width, height, data } = tiles;
  const plane = width * height;
  const start = index * 3 * plane;
  data.fill(0, start, start + 3 * plane);
  const [firstX, endX] = [Math.max(0, -left), Math.min(width, pixels.width - left)];
  const [firstY, endY] = [Math.max(0, -top), Math.min(height, pixels.height - top)];
  for (let y = firstY; y < endY; y++) {
    let from = ((top + y) * pixels.width + left + firstX) * 3;
    let to = start + y * width + firstX;
    for (let x = firstX; x < endX; x++, from += 3, to += 1) {
      data[to] = pixels.data[from]!;
      data[to + plane] = pixels.data[from + 1]!;
      data[to + 2 * plane] = pixels.data[from + 2]!;
    }
  }
}

/**
 * What transformers' `rescale` and `normalize` make of each byte, [3][256] float32: the byte times `scale` in double,
 * rounded; then mean and standard deviation of the channel, each step rounded. `scale` or `mean` null: step left out.
 */
export function valuesOfBytes(
  scale: number | null,
  mean: readonly number[] | null,
  std: readonly number[] | null,
): Float32Array[] {
  const { fround } = Math;
  return [0, 1, 2].map((channel) =>
    Float32Array.from({ length: 256 }, (_, byte) => {
      const scaled = fround(byte * (scale ?? 1));
      return mean === null || std === null ? scaled : fround(scaled - fround(mean[channel]!)) / fround(std[channel]!);
    }),
  );
}
