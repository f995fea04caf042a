/** Slots: what stands in one stays through growing, moving and copying. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SlotInput, Slots } from '../../../nanoeval/model/graph/slots.ts';

const INPUTS: SlotInput[] = [
  { name: 'key', heads: 2, size: 3, type: 'float32' },
  { name: 'value', heads: 2, size: 3, type: 'float16' },
];

/** Fills a slot with numbers that say where they stand: head, token, place. */
function fill(slots: Slots, slot: number, tokens: number, mark: number): void {
  for (const tensor of slots.tensors(slot, 1).values()) {
    const data = tensor.data as Float32Array;
    for (let head = 0; head < 2; head += 1)
      for (let token = 0; token < tokens; token += 1)
        for (let i = 0; i < 3; i += 1)
          data[(head * slots.capacity + token) * 3 + i] = mark + 100 * head + 3 * token + i;
  }
}

/** The numbers of a slot's first tokens, head by head. */
function numbersOf(slots: Slots, slot: number, tokens: number): number[][] {
  return [...slots.tensors(slot, 1).values()].map(({ data }) =>
    [0, 1].flatMap((head) => [
      ...(data as Float32Array).slice(head * slots.capacity * 3, (head * slots.capacity + tokens) * 3),
    ]),
  );
}

const expected = (tokens: number, mark: number) => {
  const one = [0, 1].flatMap((head) => Array.from({ length: 3 * tokens }, (_, i) => mark + 100 * head + i));
  return [one, one];
};

test('room is in blocks, and grows without losing what is there', () => {
  const slots = new Slots(INPUTS);
  assert.equal(slots.bytesPerToken, 2 * 3 * 4 + 2 * 3 * 2);
  slots.reserve(1, 10, []);
  assert.deepEqual([slots.count, slots.capacity], [1, 64]);
  fill(slots, 0, 10, 1000);
  slots.reserve(3, 10, [10]);
  fill(slots, 1, 7, 2000);
  slots.reserve(3, 65, [10, 7]);
  assert.deepEqual([slots.count, slots.capacity], [3, 128]);
  assert.deepEqual(numbersOf(slots, 0, 10), expected(10, 1000));
  assert.deepEqual(numbersOf(slots, 1, 7), expected(7, 2000));
  // Never less than there was.
  slots.reserve(1, 5, [10, 7]);
  assert.deepEqual([slots.count, slots.capacity], [3, 128]);
});

test('room that nobody needs any more is given back, and what is there stays', () => {
  const slots = new Slots(INPUTS);
  slots.fit(2, 1000, []);
  assert.deepEqual([slots.count, slots.capacity], [2, 1024]);
  fill(slots, 0, 10, 1000);
  fill(slots, 1, 7, 2000);
  // Half as much again may stay.
  slots.fit(12, 130, [10, 7]);
  assert.deepEqual([slots.count, slots.capacity], [12, 192]);
  slots.fit(12, 100, [10, 7]);
  assert.deepEqual([slots.count, slots.capacity], [12, 192]);
  slots.fit(9, 60, [10, 7]);
  assert.deepEqual([slots.count, slots.capacity], [9, 64]);
  // Never less than the answers that are there, and one more.
  slots.fit(1, 5, [10, 7]);
  assert.deepEqual([slots.count, slots.capacity], [3, 64]);
  assert.deepEqual(numbersOf(slots, 0, 10), expected(10, 1000));
  assert.deepEqual(numbersOf(slots, 1, 7), expected(7, 2000));
});

test('memory that was asked for once serves every number and width of slots', () => {
  const slots = new Slots(INPUTS);
  slots.fit(2, 60, [], 768);
  const memory = () => [...slots.tensors(0, 1).values()].map(({ data }) => (data as Float32Array).buffer);
  const first = memory();
  assert.deepEqual(
    first.map(({ byteLength }) => byteLength),
    [768 * 2 * 3 * 4, 768 * 2 * 3 * 2],
  );
  fill(slots, 0, 50, 1000);
  fill(slots, 1, 40, 2000);
  // Wider, then narrower again, each over what is there.
  slots.fit(2, 250, [50, 40], 768);
  assert.deepEqual([slots.count, slots.capacity], [3, 256]);
  assert.deepEqual(
    [0, 1].map((slot) => numbersOf(slots, slot, 40)),
    [expected(40, 1000), expected(40, 2000)],
  );
  slots.fit(12, 60, [50, 40], 768);
  assert.deepEqual([slots.count, slots.capacity], [12, 64]);
  assert.deepEqual(numbersOf(slots, 0, 50), expected(50, 1000));
  assert.deepEqual(numbersOf(slots, 1, 40), expected(40, 2000));
  assert.ok(
    memory().every((buffer, i) => buffer === first[i]),
    'the buffers are the same ones',
  );
  // More than was ever asked for is more memory, and nothing is lost.
  slots.fit(13, 60, [50, 40], 768);
  assert.deepEqual(memory()[0]!.byteLength, 13 * 64 * 2 * 3 * 4);
  assert.deepEqual(numbersOf(slots, 1, 40), expected(40, 2000));
});

test('tensors lie over the slots, one after the other', () => {
  const slots = new Slots(INPUTS);
  slots.reserve(3, 4, []);
  const tensors = slots.tensors(1, 2);
  assert.deepEqual([...tensors.keys()], ['key', 'value']);
  assert.deepEqual([tensors.get('key')!.dims, tensors.get('key')!.type], [[2, 2, 64, 3], 'float32']);
  assert.equal(tensors.get('value')!.type, 'float16');
  fill(slots, 1, 2, 500);
  assert.equal((tensors.get('key')!.data as Float32Array)[0], 500);
});

test('a copy of a slot goes into another one, and stays as it was taken', () => {
  const slots = new Slots(INPUTS);
  slots.reserve(2, 8, []);
  fill(slots, 0, 5, 1000);
  const taken = slots.snapshot(0, 3);
  fill(slots, 0, 5, 4000);
  slots.load(1, taken);
  assert.deepEqual(numbersOf(slots, 1, 3), expected(3, 1000));
  assert.deepEqual(numbersOf(slots, 0, 5), expected(5, 4000));
  assert.throws(() => slots.snapshot(0, 65), RangeError);
});

test('caches of every length keep what was taken, and memory that was let go serves the next', () => {
  const slots = new Slots(INPUTS);
  slots.reserve(2, 100, []);
  const pagesOf = (length: number) => slots.snapshot(0, length).pages.length;
  assert.deepEqual([0, 1, 32, 33, 64, 100].map(pagesOf), [0, 1, 1, 2, 2, 4]);
  fill(slots, 0, 100, 1000);
  const long = slots.snapshot(0, 100);
  fill(slots, 0, 100, 3000);
  const short = slots.snapshot(0, 33);
  slots.load(1, long);
  assert.deepEqual(numbersOf(slots, 1, 100), expected(100, 1000));
  slots.release(long);
  const next = slots.snapshot(0, 70);
  assert.ok(
    next.pages.every((page) => long.pages.includes(page)),
    'no memory is made anew',
  );
  assert.ok(!next.pages.some((page) => short.pages.includes(page)), 'nor taken from who holds it');
  slots.load(1, short);
  assert.deepEqual(numbersOf(slots, 1, 33), expected(33, 3000));
  slots.load(1, next);
  assert.deepEqual(numbersOf(slots, 1, 70), expected(70, 3000));
});

test('a slot moves onto another one', () => {
  const slots = new Slots(INPUTS);
  slots.reserve(3, 8, []);
  fill(slots, 2, 6, 3000);
  slots.move(2, 0, 6);
  slots.move(0, 0, 6);
  assert.deepEqual(numbersOf(slots, 0, 6), expected(6, 3000));
});
