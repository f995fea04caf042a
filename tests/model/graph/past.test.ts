/** Pasts: kept caches, and their copies for a batch. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tensor } from 'onnxruntime-node';
import { Past } from '../../../nanoeval/model/graph/past.ts';

const EMPTY = cacheOf(0, 0);

/** A cache of so many tokens whose numbers go up from `from`. */
function cacheOf(length: number, from: number): Map<string, Tensor> {
  const numbers = Array.from({ length: 2 * length * 3 }, (_, i) => from + i);
  const dims = [1, 2, length, 3];
  const key: Tensor = new Tensor('float32', Float32Array.from(numbers), dims);
  const value: Tensor = new Tensor('float16', Uint16Array.from(numbers), dims);
  return new Map([
    ['key', key],
    ['value', value],
  ]);
}
const numbersOf = (tensor: Tensor) => {
  const data = tensor.data as Float32Array | Uint16Array;
  return data instanceof Float32Array ? [...data] : [...new Uint16Array(data.buffer, data.byteOffset, data.length)];
};

function open() {
  const past = new Past(EMPTY);
  past.keep(1, 2, cacheOf(2, 100));
  past.keep(2, 1, cacheOf(1, 500));
  return past;
}

/** Holds a batch against the cache that it repeats. */
function check(past: Past, id: number, cache: Map<string, Tensor>, count: number, widest: number): void {
  const batch = past.tensorsOf(id, count, widest);
  for (const [name, one] of cache) {
    const many = batch.get(name)!;
    assert.deepEqual([many.type, ...many.dims], [one.type, count, ...one.dims.slice(1)]);
    assert.deepEqual(numbersOf(many), Array.from({ length: count }, () => numbersOf(one)).flat());
  }
}

test('bytes of a token, lengths, and caches that are not there', () => {
  const past = open();
  assert.equal(past.bytesPerToken, 2 * 3 * 4 + 2 * 3 * 2);
  assert.deepEqual([past.lengthOf(null), past.lengthOf(1), past.lengthOf(2)], [0, 2, 1]);
  assert.throws(() => past.lengthOf(3), /no cache 3/);
  past.free([1]);
  assert.throws(() => past.tensorsOf(1, 1, 1), /no cache 1/);
});

test('nothing to go on from is empty for each sequence', () => {
  const past = open();
  assert.equal(past.tensorsOf(null, 1, 1), EMPTY);
  assert.deepEqual(
    [...past.tensorsOf(null, 3, 3).values()].map(({ dims }) => dims),
    [
      [3, 2, 0, 3],
      [3, 2, 0, 3],
    ],
  );
});

test('a cache for one sequence is the cache; for many its copies, made once for the widest', () => {
  const past = open();
  assert.equal(past.tensorsOf(1, 1, 4).get('key')!.dims[0], 1);
  check(past, 1, cacheOf(2, 100), 2, 4);
  const before = past.tensorsOf(1, 3, 3).get('key')!.data as Float32Array;
  check(past, 1, cacheOf(2, 100), 4, 4);
  assert.equal((past.tensorsOf(1, 4, 4).get('key')!.data as Float32Array).buffer, before.buffer, 'no new copy');
  check(past, 1, cacheOf(2, 100), 6, 4);
  // The copies of another cache may lie where these were.
  check(past, 2, cacheOf(1, 500), 3, 5);
  check(past, 1, cacheOf(2, 100), 2, 2);
});

test('a number that is used again stands for the new cache', () => {
  const past = open();
  check(past, 1, cacheOf(2, 100), 3, 3);
  past.keep(1, 2, cacheOf(2, 300));
  check(past, 1, cacheOf(2, 300), 3, 3);
  past.free([1]);
  past.keep(1, 1, cacheOf(1, 700));
  check(past, 1, cacheOf(1, 700), 2, 2);
});
