/** PythonRandom against numbers that CPython 3.11 printed, and against python3 where there is one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { PythonRandom } from '../../nanoeval/data/python_random.ts';

test('the verified vectors', () => {
  const bits = new PythonRandom(1234);
  assert.deepEqual(
    [bits.getrandbits(32), bits.getrandbits(32), bits.getrandbits(32)],
    [4150886329, 3342196574, 1892932127],
  );
  assert.equal(new PythonRandom(1234).random(), 0.9664535356921388);
  const gsm8k = new PythonRandom(1234);
  assert.deepEqual(gsm8k.sample(7473, 5), [6374, 3610, 957, 61, 742]);
  assert.deepEqual(gsm8k.sample(7473, 5), [7462, 6610, 4769, 286, 5501]);
  assert.deepEqual(gsm8k.sample(7473, 5), [5677, 687, 806, 6279, 2905]);
  const hellaswag = new PythonRandom(1234);
  assert.deepEqual(hellaswag.sample(39905, 11), [28883, 7657, 490, 5940, 38156, 2288, 5500, 6450, 23241, 15519, 1142]);
  assert.deepEqual(hellaswag.sample(39905, 11), [2019, 1038, 22681, 31735, 30379, 9735, 5982, 11999, 7498, 958, 32970]);
  const letters = new PythonRandom(42);
  assert.equal(Array.from({ length: 8 }, () => letters.choice('ABCD')).join(' '), 'A A C B B B A A');
});

test('what cannot be drawn', () => {
  assert.throws(() => new PythonRandom(1).sample(3, 4), RangeError);
  assert.throws(() => new PythonRandom(1).randbelow(0), RangeError);
  assert.throws(() => new PythonRandom(0.5), RangeError);
  assert.throws(() => new PythonRandom(1).getrandbits(54), RangeError);
  assert.deepEqual(new PythonRandom(1).sample(0, 0), []);
  assert.equal(new PythonRandom(1).getrandbits(0), 0);
});

const PYTHON = `
import json, random, sys
out = []
for n, k, seed in json.load(sys.stdin):
    r = random.Random(seed)
    out.append([r.sample(range(n), k), r.random(), r.getrandbits(33), r.getrandbits(7), r.randrange(n + 1)])
json.dump(out, sys.stdout)
`;

test('as python3 draws, over many sizes and seeds and both branches of sample', (t) => {
  const cases: [number, number, number][] = [];
  const seeds = [0, 1, 123, 1234, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, 2 ** 53 - 1];
  for (const seed of seeds) {
    for (const n of [1, 2, 20, 21, 22, 85, 86, 277, 278, 1045, 1046, 10042, 14042]) {
      for (const k of [0, 1, 5, 6, 7, 21, 22, 85, 86, 100, n - 1, n]) if (k <= n) cases.push([n, k, seed]);
    }
  }
  const python = spawnSync('python3', ['-c', PYTHON], {
    input: JSON.stringify(cases),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (python.error !== undefined) return t.skip(`needs python3: ${python.error.message}`);
  assert.equal(python.status, 0, python.stderr);
  const expected = JSON.parse(python.stdout) as [number[], number, number, number, number][];
  for (const [i, [n, k, seed]] of cases.entries()) {
    const r = new PythonRandom(seed);
    const got = [r.sample(n, k), r.random(), r.getrandbits(33), r.getrandbits(7), r.randbelow(n + 1)];
    assert.deepEqual(got, expected[i], `n ${n}, k ${k}, seed ${seed}`);
  }
});
