/** Resizing: the bytes of Pillow 13, and laws that hold for any filter. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Pixels } from '../../../nanoeval/model/vision/image.ts';
import { FILTER_OF_CODE, type Filter, resize } from '../../../nanoeval/model/vision/resize.ts';
import { readJson, SHARED } from '../fixtures.ts';

const FOLDER = fileURLToPath(new URL('../../fixtures/vision/', import.meta.url));
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const FILTERS = Object.values(FILTER_OF_CODE);

interface Vectors {
  resized: { filter: Filter; from_wh: [number, number]; to_wh: [number, number]; sha256: string }[];
}
const { resized } = readJson<Vectors>(join(FOLDER, 'vectors.json'));

/** make_vectors.py has the same. */
function noise(width: number, height: number): Pixels {
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 13),
  };
}

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
