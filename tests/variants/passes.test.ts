/** Passes over windows: the divergence of two checkpoints against NumPy, and which position shows that one is broken. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Decoder, openDecoder } from '../../nanoeval/model/graph/onnx.ts';
import { compareLogits, peakMemory, timePasses } from '../../nanoeval/variants/passes.ts';
import type { TokenWindow } from '../../nanoeval/variants/windows.ts';
import { settings } from '../model/fixtures.ts';
import { DEMO_FILES } from '../model/processes.ts';
import { addNoise } from '../noisy_checkpoint.ts';
import { DEMO, ROOT, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('passes');
after(folder.remove);
const GRAPH = 'onnx/decoder_model_merged.onnx';

/** A decoder whose logits for the token `i` of any window are `rows[i]`. */
function planted(rows: number[][]): Decoder & { fed: number[][] } {
  const fed: number[][] = [];
  return {
    fed,
    hasCache: false,
    async forward(ids) {
      fed.push([...ids]);
      const logits = Float32Array.from(ids.flatMap((_, i) => rows[i]!));
      return { logits, rows: ids.length, vocab: rows[0]!.length, cache: null };
    },
    async close() {},
  };
}
const window = (row: number, start: number, input: number[], targets: number[]): TokenWindow => ({
  row,
  start,
  input,
  targets,
});
const nobody = () => {};

test('two checkpoints over the same tokens are as far apart as NumPy says of raw logits', async (t) => {
  const file = join(ROOT, 'tests/fixtures/variants/divergence.json');
  const { demo } = JSON.parse(readFileSync(file, 'utf8'));
  addNoise(join(ROOT, DEMO), join(folder.path, 'noisy'), GRAPH, 0.1);
  const noisy = { ...DEMO_FILES, graphs: { ...DEMO_FILES.graphs, decoder: join(folder.path, 'noisy', GRAPH) } };
  const [a, b] = [await openDecoder(DEMO_FILES, settings(), 1), await openDecoder(noisy, settings(), 1)];
  t.after(async () => {
    await a.close();
    await b.close();
  });
  const ids = demo.ids as number[];
  const told: number[] = [];
  const whole = [window(0, 0, ids.slice(0, -1), ids.slice(1))];
  const { tokens, nonfinite, kl, top1, perplexity, first } = await compareLogits(a, b, whole, 1, (n) => told.push(n));
  assert.deepEqual([tokens, nonfinite, top1, told], [60, 0, demo.top1, [1]]);
  // Two versions of onnxruntime: their float32 logits differ by some 1e-6.
  const near = (x: number, y: number) => assert.ok(Math.abs(x / y - 1) < 1e-4, `${x} ${y}`);
  near(kl!.mean, demo.mean);
  near(kl!.p99, demo.p99);
  near(perplexity!.reference, demo.perplexity[0]);
  near(perplexity!.variant, demo.perplexity[1]);
  assert.equal(
    first!.token,
    (demo.kl as number[]).findIndex((value) => value > 1),
  );
  const same = await compareLogits(a, a, whole, 1, nobody);
  assert.deepEqual([same.kl, same.top1, same.first], [{ mean: 0, p99: 0, largest: 0 }, 1, null]);
});

test('a target is looked up after the tokens before it, and those of the look-back count once', async () => {
  const rows = [
    [0, 1, 0],
    [0, 0, 1],
    [1, 0, 0],
  ];
  const reference = planted(rows);
  const found = await compareLogits(reference, planted(rows), [window(4, 7, [9, 9, 9], [2, 0])], 1, nobody);
  const chosen = 1 - Math.log(Math.E + 2);
  assert.equal(found.tokens, 2);
  assert.ok(Math.abs(found.perplexity!.reference - Math.exp(-chosen)) < 1e-12);
  assert.deepEqual(reference.fed, [[9, 9, 9]]);
});

test('the first position that shows it: a number that is none before one that is far away', async () => {
  const plain = [
    [5, 0, 0],
    [5, 0, 0],
  ];
  const far = [
    [5, 0, 0],
    [-5, 0, 9],
  ];
  const nan = [
    [Number.NaN, 0, 0],
    [-5, 0, 9],
  ];
  const windows = [window(3, 10, [1, 2], [0, 0]), window(5, 0, [1, 2], [0, 0])];
  const one = await compareLogits(planted(plain), planted(far), windows, 2, nobody);
  assert.deepEqual([one.first!.row, one.first!.token, one.first!.top], [3, 11, { reference: 0, variant: 2 }]);
  assert.ok(one.first!.kl! > 2);
  const two = await compareLogits(planted(plain), planted(nan), windows, 2, nobody);
  assert.deepEqual([two.nonfinite, two.tokens, two.first], [2, 2, { row: 3, token: 10, kl: null, top: null }]);
});

test('vocabularies of different sizes cannot be compared', async () => {
  await assert.rejects(
    compareLogits(planted([[0, 1]]), planted([[0, 1, 2]]), [window(0, 0, [1], [0])], 1, nobody),
    /the reference has 2 logits a token and the variant 3/,
  );
});

test('passes are timed over each window once, after one that does not count', async () => {
  const decoder = planted([[0], [0], [0]]);
  const told: number[] = [];
  const windows = [window(0, 0, [1, 2, 3], [1]), window(0, 3, [4, 5], [1])];
  const { tokens, seconds } = await timePasses(decoder, windows, (n) => told.push(n));
  assert.deepEqual([tokens, told], [5, [1, 2]]);
  assert.ok(seconds > 0);
  assert.deepEqual(decoder.fed, [
    [1, 2, 3],
    [1, 2, 3],
    [4, 5],
  ]);
});

test('the peak of memory is at least what is held', () => {
  assert.ok(peakMemory() >= process.memoryUsage.rss() * 0.9);
});
