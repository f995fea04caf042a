/**
 * Pictures resized to the same bytes as by Pillow 13.0. Not by sharp: what its `resize` enlarges with is no Lanczos,
 * and a picture of a small model is nearly always enlarged (5 of 255 levels off on average).
 *
 * A resize in two directions is horizontal first, unless H < h and h - H > 2 (w - W): Pillow 13.0, found by experiment
 * for all filters. Up to Pillow 12.x it is always horizontal first: up to 3 levels, in tall pictures only.
 */
import type { Pixels, Size } from './image.ts';

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Weight at a distance, and the distance from which on it is 0; of Pillow's Resample.c. */
const FILTERS = {
  box: { support: 0.5, weight: (x: number) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (x: number) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI))),
  },
  bicubic: {
    support: 2,
    weight: (signed: number) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
  lanczos: { support: 3, weight: (x: number) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type Filter = keyof typeof FILTERS;

/** Filters by the `resample` code of Pillow and preprocessor_config.json. 0, the nearest pixel, is not done here. */
export const FILTER_OF_CODE: Readonly<Record<number, Filter>> = {
  1: 'lanczos',
  2: 'bilinear',
  3: 'bicubic',
  4: 'box',
  5: 'hamming',
};

/** Fractional bits of a weight: 32 less 8 for the byte and 2 for sums outside of it. */
const WEIGHT_BITS = 22;
const HALF = 1 << (WEIGHT_BITS - 1);

/** Along one side: output `i` is the sum of `counts[i]` inputs from `starts[i]` on, with weights from `i * taps` on. */
interface Weights {
  taps: number;
  starts: Int32Array;
  counts: Int32Array;
  weights: Int32Array;
}

function weightsOf(from: number, to: number, filter: Filter): Weights {
  const { support, weight } = FILTERS[filter];
  const scale = from / to;
  const spread = Math.max(scale, 1);
  const reach = support * spread;
  const taps = Math.ceil(reach) * 2 + 1;
  const found: Weights = {
    taps,
    starts: new Int32Array(to),
    counts: new Int32Array(to),
    weights: new Int32Array(to * taps),
  };
  const real = new Float64Array(taps);
  const inverse = 1 / spread;
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(from, Math.trunc(centre + reach + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      real[k] = weight((k + start - centre + 0.5) * inverse);
      sum += real[k]!;
    }
    for (let k = 0; k < count; k++) {
      const scaled = (sum === 0 ? real[k]! : real[k]! / sum) * (1 << WEIGHT_BITS);
      // Half away from zero, as C's cast does it; `Math.round` would take halves upwards.
      found.weights[i * taps + k] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    }
    found.starts[i] = start;
    found.counts[i] = count;
  }
  return found;
}

function resizeRows(pixels: Pixels, width: number, filter: Filter): Pixels {
  const { taps, starts, counts, weights } = weightsOf(pixels.width, width, filter);
  const { height, data: from } = pixels;
  // Clamped: a store takes what is under 0 or over 255 to the end of the range.
  const to = new Uint8ClampedArray(width * height * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = y * pixels.width * 3;
    for (let x = 0; x < width; x++) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let source = row + starts[x]! * 3;
      const first = x * taps;
      const end = first + counts[x]!;
      for (let k = first; k < end; k++, source += 3) {
        const weight = weights[k]!;
        red = (red + Math.imul(from[source]!, weight)) | 0;
        green = (green + Math.imul(from[source + 1]!, weight)) | 0;
        blue = (blue + Math.imul(from[source + 2]!, weight)) | 0;
      }
      to[at] = red >> WEIGHT_BITS;
      to[at + 1] = green >> WEIGHT_BITS;
      to[at + 2] = blue >> WEIGHT_BITS;
      at += 3;
    }
  }
  return { width, height, data: new Uint8Array(to.buffer) };
}

function resizeColumns(pixels: Pixels, height: number, filter: Filter): Pixels {
  const { taps, starts, counts, weights } = weightsOf(pixels.height, height, filter);
  const stride = pixels.width * 3;
  const { data: from } = pixels;
  const to = new Uint8ClampedArray(stride * height);
  // Row after row into sums, two at a time: a walk down each column would leave the cache at every step.
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    const end = counts[y]!;
    for (let k = 0; k < end; k += 2) {
      const one = weights[y * taps + k]!;
      const source = (starts[y]! + k) * stride;
      // Behind an odd last row there may be none: it is taken again, with weight 0.
      const both = k + 1 < end;
      const two = both ? weights[y * taps + k + 1]! : 0;
      const next = both ? source + stride : source;
      for (let i = 0; i < stride; i++) {
        sums[i] = (sums[i]! + Math.imul(from[source + i]!, one) + Math.imul(from[next + i]!, two)) | 0;
      }
    }
    const row = y * stride;
    for (let i = 0; i < stride; i++) to[row + i] = sums[i]! >> WEIGHT_BITS;
  }
  return { width: pixels.width, height, data: new Uint8Array(to.buffer) };
}

/**
 * `Image.resize` of Pillow 13.0, bit for bit: each direction rounds to bytes, in the order of the file's header; one
 * that keeps its size is skipped. A picture that has the size already is given back as it is, not copied.
 */
export function resize(pixels: Pixels, size: Size, filter: Filter): Pixels {
  const { width, height } = pixels;
  if (size.width < 1 || size.height < 1) throw new RangeError(`a picture of ${size.width} x ${size.height} pixels`);
  if (size.width === width) return size.height === height ? pixels : resizeColumns(pixels, size.height, filter);
  if (size.height === height) return resizeRows(pixels, size.width, filter);
  const columnsFirst = size.height < height && height - size.height > 2 * (width - size.width);
  return columnsFirst
    ? resizeRows(resizeColumns(pixels, size.height, filter), size.width, filter)
    : resizeColumns(resizeRows(pixels, size.width, filter), size.height, filter);
}
