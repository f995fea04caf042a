/** Embeddings: those of the graph, features in the places of pictures, and float16 by its bits. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Tensor } from 'onnxruntime-node';
import { type Embedder, openEmbedder, toHalf } from '../../../nanoeval/model/graph/embeddings.ts';
import { halfToFloat, toFloat32 } from '../../../nanoeval/model/graph/session.ts';
import { FIRST_IMAGE_ID as FIRST } from '../../../nanoeval/model/vision/album.ts';
import { OutsideError } from '../../../nanoeval/types.ts';
import { filesAt } from '../attention_decoder.ts';
import { folderWith, settings, userError } from '../fixtures.ts';
import { graphWriter } from '../onnx_writer.ts';
import { toyEmbed } from '../toy_decoder.ts';

async function open(t: TestContext, graph = toyEmbed()): Promise<Embedder> {
  const folder = folderWith(t, { 'embed.onnx': graph });
  const files = filesAt('no decoder');
  const graphs = { ...files.graphs, embed: join(folder, 'embed.onnx') };
  const embedder = await openEmbedder({ ...files, graphs }, settings(), 1);
  t.after(() => embedder!.close());
  return embedder!;
}

/** The first number of each vector; the second is its opposite, of features too. */
function numbers(tensor: Tensor): number[] {
  const data = toFloat32(tensor);
  const firsts = Array.from({ length: data.length / 2 }, (_, i) => data[2 * i]!);
  for (const [i, value] of firsts.entries()) assert.equal(data[2 * i + 1]! + value, 0);
  return firsts;
}
const features = (...values: number[]) => Float32Array.from(values.flatMap((value) => [value, -value]));

test('a checkpoint without the graph has no embedder', async () => {
  assert.equal(await openEmbedder(filesAt('no decoder'), settings(), 1), null);
});

test('a graph without an input or an output is none of embeddings', async (t) => {
  const g = graphWriter();
  g.node('Identity', [g.init('float32', [1], [1])], {}, 'out');
  g.output('out', 'float32', [1]);
  await assert.rejects(open(t, g.bytes()), userError('model.model_id', 'no graph from ids to embeddings'));
});

for (const given of ['float32', 'float16'] as const) {
  for (const wanted of ['float32', 'float16'] as const) {
    test(`${given} from the graph, ${wanted} for the decoder: ids, pictures between them, rows`, async (t) => {
      const embedder = await open(t, toyEmbed(given));
      const plain = await embedder.embed([5, 0, 63], [1, 3], wanted);
      assert.deepEqual([plain.type, [...plain.dims]], [wanted, [1, 3, 2]]);
      assert.deepEqual(numbers(plain), [5, 0, 63]);
      embedder.hold(FIRST, features(100, 101, 102), 3);
      embedder.hold(FIRST + 3, features(200, 0.5), 2);
      const ids = [7, FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4, 8, FIRST + 3];
      const mixed = await embedder.embed(ids, [1, 8], wanted);
      assert.deepEqual([mixed.type, [...mixed.dims]], [wanted, [1, 8, 2]]);
      assert.deepEqual(numbers(mixed), [7, 100, 101, 102, 200, 0.5, 8, 200]);
      const rows = await embedder.embed(Int32Array.from(ids), [2, 4], wanted);
      assert.deepEqual([...rows.dims], [2, 4, 2]);
      assert.deepEqual(numbers(rows), numbers(mixed));
      assert.deepEqual([...(await embedder.embed([], [1, 0], given)).dims], [1, 0, 2]);
    });
  }
}

test('a picture in parts: its end, its middle, one token at a time, out of order as in a tree', async (t) => {
  const embedder = await open(t);
  embedder.hold(FIRST + 10, features(100, 101, 102, 103, 104), 5);
  const at = (...places: number[]) =>
    embedder.embed(
      places.map((i) => FIRST + 10 + i),
      [1, places.length],
      'float32',
    );
  assert.deepEqual(numbers(await at(3, 4)), [103, 104]);
  assert.deepEqual(numbers(await at(1, 2, 3)), [101, 102, 103]);
  for (let i = 0; i < 5; i += 1) assert.deepEqual(numbers(await at(i)), [100 + i]);
  assert.deepEqual(numbers(await at(2, 0, 1, 1, 4)), [102, 100, 101, 101, 104]);
});

test('features that are not there, were let go of, or are of another size, are named', async (t) => {
  const embedder = await open(t);
  const missing = (error: unknown) =>
    error instanceof OutsideError && /no features for the picture token/.test(error.message);
  await assert.rejects(embedder.embed([FIRST], [1, 1], 'float32'), missing);
  embedder.hold(FIRST, features(1, 2), 2);
  await assert.rejects(embedder.embed([FIRST, FIRST + 1, FIRST + 2], [1, 3], 'float32'), missing);
  embedder.release(FIRST);
  await assert.rejects(embedder.embed([FIRST], [1, 1], 'float32'), missing);
  embedder.hold(FIRST, Float32Array.of(1, 2, 3), 1);
  await assert.rejects(
    embedder.embed([4, FIRST], [1, 2], 'float32'),
    userError('model.model_id', 'vectors of 2 numbers', 'features of pictures of 3'),
  );
});

test('toHalf: the nearest float16, ties to even, beyond the range infinite', () => {
  const cases: [value: number, bits: number][] = [
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [1 / 3, 0x3555],
    [65504, 0x7bff],
    [65519.996, 0x7bff],
    [65520, 0x7c00],
    [-1e6, 0xfc00],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
    // Half a step above 1: to the even 1; half a step above the next: to the even one after it.
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 + 2 ** -11 + 2 ** -20, 0x3c01],
    [2 - 2 ** -12, 0x4000],
    [2 ** -14, 0x0400],
    [2 ** -14 - 2 ** -25, 0x0400],
    [1023 * 2 ** -24, 0x03ff],
    [2 ** -24, 0x0001],
    [-(2 ** -24), 0x8001],
    [2 ** -25, 0x0000],
    [1.5 * 2 ** -25, 0x0001],
    [1.5 * 2 ** -24, 0x0002],
    [2.5 * 2 ** -24, 0x0002],
    [-(2 ** -26), 0x8000],
    [1e-30, 0x0000],
  ];
  assert.deepEqual(
    [...toHalf(Float32Array.from(cases, ([value]) => value))],
    cases.map(([, bits]) => bits),
  );
  assert.equal(toHalf(Float32Array.of(Number.NaN))[0]! & 0x7fff, 0x7e00);
});

test('all 65,536 float16 go to numbers and back as they were; between two neighbours the nearer one', () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const values = halfToFloat(all);
  const back = toHalf(values);
  for (let i = 0; i < all.length; i += 1) {
    if (Number.isNaN(values[i])) assert.ok((back[i]! & 0x7c00) === 0x7c00 && (back[i]! & 0x3ff) !== 0, `${i}`);
    else assert.equal(back[i], i);
  }
  for (let i = 0; i < 0x7bff; i += 1) {
    const [low, high] = [values[i]!, values[i + 1]!];
    const third = (high - low) / 3;
    const middle = (low + high) / 2;
    const found = toHalf(Float32Array.of(low + third, high - third, middle, -middle));
    const even = i % 2 === 0 ? i : i + 1;
    assert.deepEqual([...found], [i, i + 1, even, even | 0x8000], `between ${low} and ${high}`);
  }
});
