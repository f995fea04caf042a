/** Decoding: the bytes of Pillow, and what is refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { decodeImage, imageSize } from '../../../nanoeval/model/vision/image.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { crc32, readJson } from '../fixtures.ts';

const FOLDER = fileURLToPath(new URL('../../fixtures/vision/', import.meta.url));
const picture = (name: string) => readFileSync(join(FOLDER, 'pictures', name));
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

interface Vectors {
  decoded: { file: string; width: number; height: number; sha256: string }[];
}
const { decoded } = readJson<Vectors>(join(FOLDER, 'vectors.json'));

function imageError(pattern: RegExp) {
  return (error: unknown): boolean => {
    if (!(error instanceof RowError) || error.kind !== 'image') throw error;
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes('\n'));
    return true;
  };
}

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
