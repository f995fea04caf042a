import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openTokenizer } from '../../../nanoeval/model/tokenizer.ts';
import { openVision, type VisionFamily } from '../../../nanoeval/model/vision/family.ts';
import { planTiles } from '../../../nanoeval/model/vision/idefics3.ts';
import { decodeImage, imageSize, type Pixels } from '../../../nanoeval/model/vision/image.ts';
import type { Tiles } from '../../../nanoeval/model/vision/tiles.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { readJson, SHARED, userError } from '../fixtures.ts';

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** sha256 of the tiles as little-endian float32, a plane at a time. */
function shaOfValues({ count, width, height, data }: Tiles, values: readonly Float32Array[]): string {
  const hash = createHash('sha256');
  const plane = new Float32Array(width * height);
  for (let at = 0; at < count * 3; at++) {
    const table = values[at % 3]!;
    const from = at * plane.length;
    for (let i = 0; i < plane.length; i++) plane[i] = table[data[from + i]!]!;
    hash.update(new Uint8Array(plane.buffer));
  }
  return hash.digest('hex');
}

function noise([width, height]: [number, number]): Pixels {
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 13),
  };
}

// ---------------------------------------------------------------- without ../shared

interface Vectors {
  planned: number[][];
  idefics3: {
    model_type: string;
    preprocessor: Record<string, unknown>;
    size: [number, number];
    shape: number[];
    rows: number;
    cols: number;
    sha256_u8: string;
    sha256_f32: string;
    text: string;
  }[];
}
const { planned, idefics3 } = readJson<Vectors>(
  fileURLToPath(new URL('../../fixtures/vision/vectors.json', import.meta.url)),
);

test(`${planned.length} plans: sizes, rows and columns of Python`, () => {
  for (const [edge, tile, width, height, ...expected] of planned) {
    const plan = planTiles({ width: width!, height: height! }, edge!, tile!, true);
    assert.deepEqual(
      [plan.resized.width, plan.resized.height, plan.rows, plan.cols],
      expected,
      `${edge} ${width}x${height}`,
    );
  }
});

test(`${idefics3.length} pictures: tiles, values and text of both Python classes`, () => {
  for (const { model_type, preprocessor, size, shape, rows, cols, sha256_u8, sha256_f32, text } of idefics3) {
    const where = JSON.stringify([model_type, preprocessor, size]);
    const config = { model_type, image_token_id: 1 };
    const family = openVision({ config, preprocessor, processor: { image_seq_len: 3 } });
    const tiles = family.tiles(noise(size));
    assert.deepEqual([tiles.count, 3, tiles.height, tiles.width], shape, where);
    assert.equal(sha(tiles.data), sha256_u8, where);
    assert.equal(shaOfValues(tiles, family.values), sha256_f32, where);
    const expanded = family.expand({ width: size[0], height: size[1] });
    assert.deepEqual(expanded, { text, tokens: (rows * cols + 1) * 3 }, where);
  }
});

test('features a tile: 169 where none are given, and refused where config.json says otherwise', () => {
  const config = {
    model_type: 'smolvlm',
    image_token_id: 1,
    scale_factor: 3,
    vision_config: { image_size: 384, patch_size: 14 },
  };
  const one = { preprocessor: { do_image_splitting: false }, processor: {} };
  const open = (image_seq_len: number) => openVision({ ...one, config, processor: { image_seq_len } });
  assert.equal(open(81).expand({ width: 3, height: 3 }).tokens, 81);
  assert.throws(() => open(64), userError('model.model_id', 'image_seq_len: 64', '81 features a tile'));
  assert.equal(
    openVision({ ...one, config: { ...config, vision_config: {} } }).expand({ width: 3, height: 3 }).tokens,
    169,
  );
});

// ---------------------------------------------------------------- the checkpoint beside the checkout

const FOLDER = join(SHARED, 'models/tiny_smolvlm');
const skip = existsSync(join(FOLDER, 'references.json')) ? false : `no ${FOLDER}`;

interface Seen {
  resized: number[];
  tiled: number[];
  rows: number;
  cols: number;
  n: number;
  sha256_u8: string;
  sha256_f32: string;
}
interface Prompt {
  id: string;
  images: string[];
  do_image_splitting?: boolean;
  prompt: string;
  num_image_tokens: number;
  input_ids_rle: (number | [number, number])[];
}
interface References {
  u8_to_f32_table: number[];
  images: { path: string; rgb_sha256: string; rgb_white_sha256?: string; split: Seen; whole: Seen }[];
  cases: Prompt[];
  questions: Prompt[];
}

function family(split: boolean): VisionFamily {
  const file = (name: string) => readJson<Record<string, unknown>>(join(FOLDER, name));
  const preprocessor = { ...file('preprocessor_config.json'), do_image_splitting: split };
  return openVision({ config: file('config.json'), preprocessor, processor: file('processor_config.json') });
}

/** NANOEVAL_TEST_ALL=1 compares everything that there is; it takes minutes. */
const ALL = process.env.NANOEVAL_TEST_ALL === '1';

test('tiny_smolvlm: every picture decoded, split and whole, equals the references', { skip }, async (t) => {
  const { images, u8_to_f32_table } = readJson<References>(join(FOLDER, 'references.json'));
  const families = { split: family(true), whole: family(false) };
  for (const table of families.split.values) assert.deepEqual([...table], u8_to_f32_table);
  let equal = 0;
  for (const [i, image] of images.entries()) {
    const bytes = readFileSync(join(FOLDER, image.path));
    const pixels = await decodeImage(bytes);
    assert.deepEqual(await imageSize(bytes), { width: pixels.width, height: pixels.height }, image.path);
    assert.equal(sha(pixels.data), image.rgb_white_sha256 ?? image.rgb_sha256, image.path);
    // The split form takes half a second: a third of the pictures, unless all are wanted.
    const forms = ALL || i % 3 === 0 ? (['split', 'whole'] as const) : (['whole'] as const);
    for (const form of forms) {
      const expected = image[form];
      const where = `${image.path} ${form}`;
      const { resized, tiled, rows, cols } = planTiles(pixels, 2048, 512, form === 'split');
      const sizes = [resized.width, resized.height, tiled.width, tiled.height, rows, cols];
      assert.deepEqual(sizes, [...expected.resized, ...expected.tiled, expected.rows, expected.cols], where);
      const tiles = families[form].tiles(pixels);
      assert.equal(tiles.count, expected.n, where);
      assert.equal(sha(tiles.data), expected.sha256_u8, where);
      // The table is checked above, so equal bytes are equal values; hashing 50 MB of them each time says no more.
      if (form === 'whole') assert.equal(shaOfValues(tiles, families[form].values), expected.sha256_f32, where);
      equal += 1;
    }
  }
  t.diagnostic(`${images.length} pictures decoded, ${equal} tile sets equal`);
  assert.equal(images.length, 59);
});

test('tiny_smolvlm: stored pixels (.npy) and the float32 of a split picture', { skip }, async () => {
  const { images } = readJson<References>(join(FOLDER, 'references.json'));
  for (const name of ['test_Energy_and_Power_276_1', 'test_Music_251_5']) {
    const image = images.find(({ path }) => path.endsWith(`/${name}.png`))!;
    const pixels = await decodeImage(readFileSync(join(FOLDER, image.path)));
    const npy = readFileSync(join(FOLDER, `pixels/${name}_whole_u8.npy`));
    // A header of 10 bytes and the length that stands in its last two, then the values.
    const stored = npy.subarray(10 + npy.readUInt16LE(8));
    assert.ok(Buffer.from(family(false).tiles(pixels).data).equals(stored), name);
    const split = family(true);
    assert.equal(shaOfValues(split.tiles(pixels), split.values), image.split.sha256_f32, name);
  }
});

test('tiny_smolvlm: every prompt, expanded and tokenised, has the ids of transformers', { skip }, async (t) => {
  const { cases, questions } = readJson<References>(join(FOLDER, 'references.json'));
  const tokenizer = openTokenizer(
    readJson<object>(join(FOLDER, 'tokenizer.json')),
    readJson<Record<string, unknown>>(join(FOLDER, 'tokenizer_config.json')),
  );
  const families = { true: family(true), false: family(false) };
  for (const { id, images, do_image_splitting = true, prompt, num_image_tokens, input_ids_rle } of [
    ...cases,
    ...questions,
  ]) {
    const { placeholder, expand, imageTokenId } = families[`${do_image_splitting}`];
    const parts = prompt.split(placeholder);
    assert.equal(parts.length, images.length + 1, id);
    let text = parts[0]!;
    let tokens = 0;
    for (const [i, path] of images.entries()) {
      const expanded = expand(await imageSize(readFileSync(join(FOLDER, path))));
      text += expanded.text + parts[i + 1]!;
      tokens += expanded.tokens;
    }
    const ids = tokenizer.encode(text);
    const expected = input_ids_rle.flatMap((run) =>
      typeof run === 'number' ? [run] : new Array<number>(run[1]).fill(run[0]),
    );
    assert.deepEqual(ids, expected, id);
    assert.equal(tokens, num_image_tokens, id);
    assert.equal(ids.filter((token) => token === imageTokenId).length, tokens, id);
  }
  t.diagnostic(`${cases.length} cases and ${questions.length} questions equal`);
  assert.deepEqual([cases.length, questions.length], [38, 65]);
});

test('settings that make too many tiles, or too large ones, are errors of the row', () => {
  const open = (longest_edge: number, image_seq_len = 16) =>
    openVision({
      config: { model_type: 'idefics3', image_token_id: 7 },
      preprocessor: { size: { longest_edge: 2048 }, max_image_size: { longest_edge } },
      processor: { image_seq_len },
    });
  const isOf = (kind: string) => (error: unknown) => error instanceof RowError && error.kind === kind;
  const size = { width: 6, height: 5 };
  assert.throws(() => open(1).expand(size), isOf('length'));
  assert.throws(() => open(512, 1e9).expand(size), isOf('length'));
  assert.throws(() => open(1e9).tiles(noise([6, 5])), isOf('image'));
});
