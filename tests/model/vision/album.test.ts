/** The album: ids of pictures, and for how long they are theirs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIRST_IMAGE_ID, openAlbum } from '../../../nanoeval/model/vision/album.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);

function open() {
  const forgotten: number[] = [];
  return { album: openAlbum((first) => forgotten.push(first)), forgotten };
}

test('a picture keeps its ids, whoever brings it; another picture, or another number of tokens, has others', () => {
  const { album } = open();
  const one = album.enter(bytes(1, 2), 64);
  assert.deepEqual(one, { first: FIRST_IMAGE_ID, tokens: 64, bytes: bytes(1, 2) });
  assert.equal(album.enter(bytes(1, 2), 64), one, 'equal bytes');
  const two = album.enter(bytes(1, 3), 64);
  assert.equal(two.first, FIRST_IMAGE_ID + 64);
  const whole = album.enter(bytes(1, 2), 3);
  assert.equal(whole.first, FIRST_IMAGE_ID + 128);
});

test('a picture is kept while anything shows it, the last four longer; one that is dropped is told of once', () => {
  const { album, forgotten } = open();
  const busy = album.enter(bytes(0), 2);
  assert.equal(album.enter(bytes(0), 2), busy, 'shown twice');
  album.leave(busy);
  const others = [1, 2, 3, 4, 5, 6].map((value) => album.enter(bytes(value), 2));
  assert.deepEqual(forgotten, []);
  for (const other of others.slice(0, 4)) album.leave(other);
  assert.deepEqual(forgotten, [], 'the next rows may be about them');
  assert.equal(album.enter(bytes(1), 2), others[0]);
  album.leave(others[0]!);
  // The longest unused goes first: that is the second now.
  album.leave(others[4]!);
  assert.deepEqual(forgotten, [others[1]!.first]);
  album.leave(busy);
  assert.deepEqual(forgotten, [others[1]!.first, others[2]!.first]);
  assert.equal(album.enter(bytes(0), 2), busy);
  album.leave(others[5]!);
  assert.deepEqual(forgotten, [others[1]!.first, others[2]!.first], 'one of the four is in use again');
});

test('ids of a dropped picture are nobody else’s, nor its own when it comes back', () => {
  const { album, forgotten } = open();
  const seen = new Set<number>();
  for (let turn = 0; turn < 3; turn += 1) {
    for (let value = 0; value < 10; value += 1) {
      const shown = album.enter(bytes(value), 5);
      for (let i = 0; i < 5; i += 1) {
        assert.ok(!seen.has(shown.first + i));
        seen.add(shown.first + i);
      }
      album.leave(shown);
    }
  }
  assert.equal(forgotten.length, 30 - 4);
  assert.equal(new Set(forgotten).size, forgotten.length);
  assert.equal(seen.size, 150);
});

test('the ids of a prompt tell its pictures: whole, cut, twice', () => {
  const { album } = open();
  assert.deepEqual(album.among([1, 2, 3]), []);
  const [a, b, c] = [1, 2, 3].map((value) => album.enter(bytes(value), 4));
  assert.deepEqual(album.among([]), []);
  assert.deepEqual(album.among([5, FIRST_IMAGE_ID - 1]), []);
  assert.deepEqual(album.among([5, a!.first, a!.first + 1, 6]), [a]);
  assert.deepEqual(album.among(Int32Array.of(c!.first + 3, 7, a!.first, c!.first, a!.first + 3)), [c, a]);
  assert.deepEqual(album.among([b!.first + 2, b!.first + 3, c!.first]), [b, c]);
  assert.throws(() => album.among([c!.first + 4]), /no picture has the token/);
});

test('ids are 32-bit numbers: an album that is full says so', () => {
  const { album } = open();
  album.enter(bytes(1), 2 ** 31 - FIRST_IMAGE_ID - 2);
  assert.throws(() => album.enter(bytes(2), 2), /no ids are left/);
});
