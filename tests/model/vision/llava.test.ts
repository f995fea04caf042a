import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openVision } from '../../../nanoeval/model/vision/family.ts';
import type { Pixels } from '../../../nanoeval/model/vision/image.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { readJson, userError } from '../fixtures.ts';

interface Vector {
  preprocessor: Record<string, unknown>;
  processor: Record<string, unknown>;
  size: [number, number];
  shape: number[];
  sha256_u8: string;
  sha256_f32: string;
  tokens: number;
  text: string;
}
const { llava } = readJson<{ llava: Vector[] }>(
  fileURLToPath(new URL('../../fixtures/vision/vectors.json', import.meta.url)),
);
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const open = (preprocessor: Record<string, unknown>, processor: Record<string, unknown>) =>
  openVision({ config: { model_type: 'llava', image_token_index: 32000 }, preprocessor, processor });

function noise([width, height]: [number, number]): Pixels {
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 13),
  };
}

test(`${llava.length} pictures: the cut, its values and the text of CLIPImageProcessor and LlavaProcessor`, () => {
  for (const { preprocessor, processor, size, shape, sha256_u8, sha256_f32, tokens, text } of llava) {
    const where = JSON.stringify([preprocessor, processor, size]);
    const family = open(preprocessor, processor);
    const { count, width, height, data } = family.tiles(noise(size));
    assert.deepEqual([count, 3, height, width], shape, where);
    assert.equal(sha(data), sha256_u8, where);
    const values = Float32Array.from(data, (byte, i) => family.values[Math.floor(i / (width * height)) % 3]![byte]!);
    assert.equal(sha(new Uint8Array(values.buffer)), sha256_f32, where);
    assert.deepEqual(family.expand({ width: size[0], height: size[1] }), { text, tokens }, where);
  }
});

test('the settings of llava-1.5-7b: 576 tokens a picture, whatever its size', () => {
  const preprocessor = { size: { shortest_edge: 336 }, crop_size: { height: 336, width: 336 }, resample: 3 };
  const processor = { patch_size: 14, vision_feature_select_strategy: 'default', num_additional_image_tokens: 1 };
  const family = open(preprocessor, processor);
  assert.equal(family.expand({ width: 640, height: 480 }).tokens, 576);
  assert.equal(
    open(preprocessor, { ...processor, image_token: '<img>' }).expand({ width: 1, height: 1 }).text,
    '<img>'.repeat(576),
  );
});

test('a picture a thousand times as high as wide is refused and not enlarged; settings without a token are', () => {
  const processor = { patch_size: 14 };
  const tall = { width: 1, height: 4000, data: new Uint8Array(3 * 4000) };
  assert.throws(
    () => open({ size: { shortest_edge: 336 }, crop_size: 336 }, processor).tiles(tall),
    (error) => error instanceof RowError && error.kind === 'image' && /makes 336 x 1344000/.test(error.message),
  );
  assert.throws(
    () => open({ crop_size: 100_000 }, processor).tiles({ ...tall, height: 1 }),
    (error) => error instanceof RowError && error.kind === 'image',
  );
  assert.throws(
    () => open({ crop_size: 1_000_000 }, processor).expand({ width: 1, height: 1 }),
    (error) => error instanceof RowError && error.kind === 'length',
  );
  assert.throws(() => open({ crop_size: 8 }, processor), userError('model.model_id', 'patch_size: 14', '8 x 8 pixels'));
});
