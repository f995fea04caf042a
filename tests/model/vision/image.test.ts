import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import {
  decodeImage,
  FILTER_OF_CODE,
  type Filter,
  imageSize,
  type Pixels,
  resize,
  type Tiles,
  valuesOfBytes,
  writeTile,
} from '../../../nanoeval/model/vision/image.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { readJson, SHARED } from '../fixtures.ts';

const FOLDER = fileURLToPath(new URL('../../fixtures/vision/', import.meta.url));
const picture = (name: string) => readFileSync(join(FOLDER, 'pictures', name));
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const FILTERS = Object.values(FILTER_OF_CODE);

interface Vectors {
  decoded: { file: string; width: number; height: number; sha256: string }[];
  resized: { filter: Filter; from_wh: [number, number]; to_wh: [number, number]; sha256: string }[];
}
const { decoded, resized } = readJson<Vectors>(join(FOLDER, 'vectors.json'));

/** make_vectors.py has the same. */
function noise(width: number, height: number): Pixels {
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 13),
  };
}

function imageError(pattern: RegExp) {
  return (error: unknown): boolean => {
    if (!(error instanceof RowError) || error.kind !== 'image') throw error;
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes('\n'));
    return true;
  };
}

// ---------------------------------------------------------------- decoding

/** Pillow reads these; we do not, each for a reason. */
const REFUSED: Record<string, RegExp> = {
  'border.gif': /first frame leaves a border/,
  'grey4_key.png': /grey PNG of 4 bits with a transparent shade/,
  'refused.avif': /file of AVIF or HEIF.*Read are JPEG, PNG, WebP and GIF/,
  'refused.bmp': /file of BMP/,
  'refused.tiff': /file of TIFF/,
  'xmp6.jpg': /turned \(orientation 6\) by its XMP/,
};

test(`${decoded.length} small pictures: the bytes of Pillow, or a refusal`, async () => {
  for (const { file, width, height, sha256 } of decoded) {
    const refusal = REFUSED[file];
    if (refusal !== undefined) {
      await assert.rejects(decodeImage(picture(file)), imageError(refusal), file);
      await assert.rejects(imageSize(picture(file)), imageError(refusal), file);
      continue;
    }
    const found = await decodeImage(picture(file));
    assert.deepEqual([found.width, found.height, sha(found.data)], [width, height, sha256], file);
    assert.deepEqual(await imageSize(picture(file)), { width, height }, file);
  }
});

test('the traps are traps: sharp left to itself gives other bytes', async () => {
  for (const file of [
    'icc.jpg',
    'cmyk.jpg',
    'cmyk_icc.jpg',
    'grey16.png',
    'rgba.png',
    'exif6.jpg',
    'palette_alpha.png',
  ]) {
    const plain = await sharp(picture(file)).flatten({ background: '#fff' }).toColourspace('srgb').raw().toBuffer();
    assert.notEqual(sha(plain), decoded.find((entry) => entry.file === file)!.sha256, file);
  }
});

test('what is no picture is refused', async () => {
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /is empty: 0 bytes/],
    [Buffer.from('What is shown here?'), /of no known format \(19 bytes\)/],
    [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /file of SVG, XML or HTML/],
    [Buffer.from('\ufeff\n <?xml version="1.0"?><svg/>'), /file of SVG/],
    [Buffer.from('%PDF-1.7\n'), /file of PDF/],
    [picture('rgb.png').subarray(0, 20), /cannot be decoded/],
    [Buffer.concat([picture('rgb.png').subarray(0, 8), Buffer.alloc(60, 7)]), /cannot be decoded/],
    [Buffer.concat([picture('420.jpg').subarray(0, 4), Buffer.alloc(60, 7)]), /cannot be decoded/],
  ];
  for (const [bytes, pattern] of cases) {
    await assert.rejects(decodeImage(bytes), imageError(pattern));
    await assert.rejects(imageSize(bytes), imageError(pattern));
  }
});

test('a picture that was cut off is refused, as by Pillow', async () => {
  for (const file of [
    'rgb.png',
    '420.jpg',
    'progressive.jpg',
    'lossy.webp',
    'cmyk.jpg',
    'interlaced.png',
    'frames.gif',
  ]) {
    const whole = picture(file);
    // Of the last frames of a GIF nothing is needed: cut inside the first.
    const cut = whole.subarray(0, Math.floor(whole.length * (file === 'frames.gif' ? 0.4 : 0.85)));
    await assert.rejects(decodeImage(cut), imageError(/cannot be decoded/), file);
  }
});

test('a byte turned in a PNG is seen by its sums, also in the palette', async () => {
  for (const [file, at] of [
    ['rgb.png', 60],
    ['palette.png', 45],
  ] as const) {
    const bytes = Uint8Array.from(picture(file));
    bytes[at]! ^= 16;
    await assert.rejects(decodeImage(bytes), imageError(/cannot be decoded/), file);
  }
});

test('a header that claims 400 million pixels is refused before anything is decoded', async () => {
  const bytes = Buffer.from(picture('rgb.png'));
  bytes.writeUInt32BE(20000, 16);
  bytes.writeUInt32BE(20000, 20);
  bytes.writeInt32BE(crc32(bytes.subarray(12, 29)), 29);
  const started = performance.now();
  await assert.rejects(decodeImage(bytes), imageError(/has 20000 x 20000 = 400 million pixels. At most 100 million/));
  await assert.rejects(imageSize(bytes), imageError(/400 million/));
  assert.ok(performance.now() - started < 1000);
});

/** Of PNG chunks; Node 20 has none (zlib.crc32 is of 22). */
function crc32(bytes: Uint8Array): number {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum;
}

// ---------------------------------------------------------------- resizing

test(`${resized.length} resizes with five filters: the bytes of Pillow`, () => {
  for (const { filter, from_wh, to_wh, sha256 } of resized) {
    const found = resize(noise(...from_wh), { width: to_wh[0], height: to_wh[1] }, filter);
    assert.deepEqual([found.width, found.height, sha(found.data)], [...to_wh, sha256], `${filter} ${from_wh} ${to_wh}`);
  }
});

test('the order of passes is that of Pillow 13: the other one gives other bytes for a tall picture', () => {
  const tall = noise(64, 200);
  const rowsFirst = resize(resize(tall, { width: 60, height: 200 }, 'lanczos'), { width: 60, height: 40 }, 'lanczos');
  const columnsFirst = resize(resize(tall, { width: 64, height: 40 }, 'lanczos'), { width: 60, height: 40 }, 'lanczos');
  const both = resize(tall, { width: 60, height: 40 }, 'lanczos');
  assert.deepEqual(both, columnsFirst);
  assert.notDeepEqual(both, rowsFirst);
});

test('laws: the same size changes nothing, one colour stays one colour, mirrored in is mirrored out', () => {
  const constant: Pixels = { width: 11, height: 7, data: new Uint8Array(11 * 7 * 3).fill(137) };
  const mirrored = ({ width, height, data }: Pixels): Pixels => {
    const out = new Uint8Array(data.length);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = (y * width + x) * 3;
        out.set(data.subarray(from, from + 3), (y * width + width - 1 - x) * 3);
      }
    }
    return { width, height, data: out };
  };
  for (const filter of FILTERS) {
    const start = noise(16, 9);
    assert.deepEqual(resize(start, { width: 16, height: 9 }, filter), start);
    for (const size of [
      { width: 40, height: 3 },
      { width: 5, height: 21 },
      { width: 1, height: 1 },
    ]) {
      assert.ok(
        resize(constant, size, filter).data.every((byte) => byte === 137),
        filter,
      );
      // A half of `box` falls to one side.
      if (filter !== 'box')
        assert.deepEqual(resize(mirrored(start), size, filter), mirrored(resize(start, size, filter)));
    }
  }
  assert.throws(() => resize(constant, { width: 0, height: 3 }, 'box'), /0 x 3/);
});

// ---------------------------------------------------------------- tiles

test('a tile is cut plane by plane, black outside of the picture', () => {
  const pixels: Pixels = { width: 2, height: 2, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) };
  const tiles: Tiles = { count: 2, width: 2, height: 1, data: new Uint8Array(12).fill(99) };
  writeTile(tiles, 1, pixels, 0, 1);
  assert.deepEqual([...tiles.data.subarray(6)], [7, 10, 8, 11, 9, 12]);
  writeTile(tiles, 0, pixels, 1, 0);
  assert.deepEqual([...tiles.data.subarray(0, 6)], [4, 0, 5, 0, 6, 0]);
  writeTile(tiles, 0, pixels, -1, 0);
  assert.deepEqual([...tiles.data.subarray(0, 6)], [0, 1, 0, 2, 0, 3]);
  writeTile(tiles, 0, pixels, -5, 9);
  assert.deepEqual([...tiles.data.subarray(0, 6)], [0, 0, 0, 0, 0, 0]);
});

test('values of bytes are rounded to float32 after each step', () => {
  const [red, green, blue] = valuesOfBytes(0.00392156862745098, [0.5, 0.25, 0], [0.5, 0.25, 1]);
  assert.deepEqual([red![0], red![255], green![0], green![255], blue![0], blue![255]], [-1, 1, -1, 3, 0, 1]);
  assert.equal(red![77], Math.fround(Math.fround(Math.fround(77 * 0.00392156862745098) - 0.5) / 0.5));
  assert.equal(valuesOfBytes(null, null, null)[2]![200], 200);
});

// ---------------------------------------------------------------- beside the checkout

const VECTORS = join(SHARED, 'models/tiny_smolvlm/resize_vectors.json');

test('the stored Lanczos vectors of Pillow 13', { skip: existsSync(VECTORS) ? false : `no ${VECTORS}` }, () => {
  const vectors =
    readJson<{ from_wh: [number, number]; to_wh: [number, number]; input: string; output: string }[]>(VECTORS);
  assert.equal(vectors.length, 11);
  for (const { from_wh, to_wh, input, output } of vectors) {
    const from = { width: from_wh[0], height: from_wh[1], data: Buffer.from(input, 'base64') };
    const found = resize(from, { width: to_wh[0], height: to_wh[1] }, 'lanczos');
    assert.equal(Buffer.from(found.data).toString('base64'), output, `${from_wh} ${to_wh}`);
  }
});
