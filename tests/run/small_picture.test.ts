import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { smallPicture } from '../../nanoeval/run/small_picture.ts';

test('a picture is made small and keeps its shape; noise has few bytes too', async () => {
  const raw = { width: 1600, height: 400, channels: 3 as const };
  const noise = Buffer.from(Array.from({ length: 1600 * 400 * 3 }, (_, i) => (i * 2654435761) >>> 24));
  const picture = await smallPicture(await sharp(noise, { raw }).png().toBuffer());
  assert.ok('data' in picture, JSON.stringify(picture).slice(0, 200));
  assert.ok(
    Math.abs(picture.width / picture.height - 4) < 0.05 && picture.width <= 480,
    `${picture.width} x ${picture.height}`,
  );
  assert.ok(picture.data.length < 40_000, String(picture.data.length));
  const { format } = await sharp(Buffer.from(picture.data, 'base64')).metadata();
  assert.equal(format, 'webp');
  const tiny = await smallPicture(
    await sharp({ create: { ...raw, width: 8, height: 8, background: 'red' } })
      .png()
      .toBuffer(),
  );
  assert.ok('data' in tiny && tiny.width === 8, 'a small one is not made larger');
});

test('what is no picture says so', async () => {
  assert.match(JSON.stringify(await smallPicture(Buffer.from('no picture'))), /"left_out":"the file cannot be read: /);
});
