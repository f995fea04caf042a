/** The wire format: what is written is read back, and what is no message is an error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Bytes,
  bytesField,
  type Field,
  fields,
  floatField,
  inMemory,
  intField,
  joined,
  packed,
  textAt,
  textField,
} from '../../../nanoeval/model/graph/protobuf.ts';

const read = (bytes: Uint8Array | number[]): Field[] => [...fields(inMemory(Uint8Array.from(bytes)))];

test('numbers are read as they were written: small, negative, and up to 2^53', () => {
  const values = [0, 1, 127, 128, 300, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 35 + 1, 2 ** 53 - 1, -1, -2, -(2 ** 40)];
  values.push(-(2 ** 28), -(2 ** 28) - 1, -(2 ** 53) + 1);
  for (const value of values) {
    const [field, ...others] = read(intField(3, value));
    assert.deepEqual([field?.number, field?.wire, field?.value, others.length], [3, 0, value, 0], `${value}`);
  }
});

test('bytes are those of the reference encoding', () => {
  assert.deepEqual([...intField(1, 150)], [0x08, 0x96, 0x01]);
  assert.deepEqual([...textField(2, 'testing')], [0x12, 0x07, ...Buffer.from('testing')]);
  assert.deepEqual([...intField(1, -1)], [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
  assert.deepEqual([...floatField(2, 1)], [0x15, 0, 0, 0x80, 0x3f]);
});

test('a message of all kinds, high field numbers and messages inside', () => {
  const inner = joined([intField(1, 5), textField(2, 'ü')]);
  const fixed64 = Uint8Array.from([(7 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
  const message = joined([
    bytesField(25, inner),
    floatField(2, 0.5),
    fixed64,
    intField(2 ** 28, 9),
    bytesField(4, new Uint8Array()),
  ]);
  const found = read(message);
  assert.deepEqual(
    found.map(({ number, wire, length }) => [number, wire, length]),
    [
      [25, 2, inner.length],
      [2, 5, 4],
      [7, 1, 8],
      [2 ** 28, 0, 0],
      [4, 2, 0],
    ],
  );
  const [first, float] = found as [Field, Field];
  assert.equal(new DataView(message.buffer, float.start).getFloat32(0, true), 0.5);
  const inside = [...fields(inMemory(message), first.start, first.start + first.length)];
  assert.deepEqual(
    inside.map(({ number, value, length }) => [number, value, length]),
    [
      [1, 5, 0],
      [2, 0, 2],
    ],
  );
});

test('contents are not read, only the numbers before them', () => {
  const message = joined([bytesField(1, new Uint8Array(5000)), intField(2, 7)]);
  let most = 0;
  const bytes: Bytes = {
    length: message.length,
    read(start, length) {
      most = Math.max(most, length);
      return message.subarray(start, start + length);
    },
  };
  assert.deepEqual(
    [...fields(bytes)].map(({ number }) => number),
    [1, 2],
  );
  assert.ok(most <= 10, `${most}`);
});

test('a message cut anywhere but between its fields is an error', () => {
  const parts = [intField(1, 300), textField(2, 'some text'), floatField(3, 1), bytesField(4, new Uint8Array(200))];
  const whole = joined(parts);
  const ends = new Set<number>([0]);
  for (const part of parts) ends.add([...ends].at(-1)! + part.length);
  for (let length = 0; length < whole.length; length += 1) {
    const cut = whole.subarray(0, length);
    if (ends.has(length)) read(cut);
    else assert.throws(() => read(cut), /past the end|has no end/, `${length} bytes`);
  }
});

test('groups, unknown wire types, numbers without an end and negative lengths are errors', () => {
  assert.throws(() => read([(1 << 3) | 3]), /wire type 3/);
  assert.throws(() => read([(1 << 3) | 7]), /wire type 7/);
  assert.throws(() => read([8, ...new Array(12).fill(0xff)]), /has no end/);
  const backwards = [...intField(1, 5), ...intField(1, -13).with(0, (1 << 3) | 2)];
  const none = fields(inMemory(Uint8Array.from(backwards)));
  none.next();
  assert.throws(() => none.next(), /past the end/);
});

test('a text longer than any name, and a number of a list without an end, are errors', () => {
  const bytes = inMemory(new Uint8Array(70_000).fill(0x61));
  assert.equal(textAt(bytes, { start: 5, length: 3 }), 'aaa');
  assert.throws(() => textAt(bytes, { start: 5, length: 65_537 }), /a name of 65537 bytes at byte 5/);
  assert.deepEqual(packed(Uint8Array.of(3, 0xac, 0x02, ...new Array(9).fill(0xff), 1)), [3, 300, -1]);
  assert.throws(() => packed(new Uint8Array(1_000_000).fill(0xff)), /has no end/);
});
