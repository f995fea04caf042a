/** Tiles cut from pictures, and the numbers of their bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pixels } from '../../../nanoeval/model/vision/image.ts';
import {
  checkResized,
  checkTokens,
  type Tiles,
  valuesOfBytes,
  writeTile,
} from '../../../nanoeval/model/vision/tiles.ts';
import { RowError } from '../../../nanoeval/types.ts';

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

test('a picture that takes too many tokens, or becomes too large, is an error of its row', () => {
  checkTokens(1_000_000);
  assert.throws(
    () => checkTokens(1_000_001),
    new RowError('length', 'the picture takes 1000001 tokens. At most 1000000 are asked of a model.'),
  );
  const from = { width: 9, height: 65_000 };
  checkResized(from, { width: 10_000, height: 10_000 });
  assert.throws(
    () => checkResized(from, { width: 336, height: 2_426_666 }),
    (error) =>
      error instanceof RowError &&
      error.kind === 'image' &&
      /9 x 65000 pixels.* 336 x 2426666\. At most 100 million/.test(error.message),
  );
});
