import assert from 'node:assert/strict';
import { test } from 'node:test';
import { START } from '../../nanoeval/page/address.ts';
import { countsOf, idOf, keyOf, placeOf, placesOf, shortOf, subjectOf } from '../../nanoeval/page/rows.ts';
import type { PageList } from '../../nanoeval/report/page_shape.ts';

const list: PageList = {
  index: [0, 1, 2, 5],
  id: ['a10', 'a9', 'b', 'c'],
  subject: [0, 1, 0, -1],
  subjects: ['law', 'art'],
  status: 'rwuf',
  score: [1, 0.5, 0, null],
  read: [0, 'Paris', null, null],
  gold: [0, 1, 2, null],
  prompts: ' '.repeat(32),
};
const none = new Set<number>();
const places = (change: object, flips: Parameters<typeof placesOf>[2] = null, found = none) =>
  placesOf(list, { ...START, ...change }, flips, found);
const flips = {
  of: Int8Array.from([1, -1, 0, 0]),
  other: new Int32Array(4),
  better: 1,
  worse: 1,
  n: 3,
  left: 0,
  judged: true,
};

test('an answer that could not be read is wrong too; a failed row is neither', () => {
  const { all, right, wrong, unparsed, failed, flipped } = countsOf(list, flips);
  assert.deepEqual([all, right, wrong, unparsed, failed, flipped], [4, 1, 2, 1, 1, 2]);
  assert.deepEqual(
    [places({ filter: 'wrong' }), places({ filter: 'unparsed' }), places({ filter: 'failed' })],
    [[1, 2], [2], [3]],
  );
  assert.deepEqual(
    [places({ filter: 'flipped' }, flips), places({ filter: 'worse' }, flips), places({ filter: 'better' }, flips)],
    [[0, 1], [1], [0]],
  );
  assert.deepEqual(places({ filter: 'flipped' }), []);
});

test('a search looks at ids, subjects and answers, and at what was found in texts', () => {
  assert.deepEqual(
    [places({ search: 'PARIS' }), places({ search: 'law' }), places({ search: 'a1' }), places({ search: 'zzz' })],
    [[1], [0, 2], [0], []],
  );
  assert.deepEqual(places({ search: 'zzz' }, null, new Set([3])), [3]);
  assert.deepEqual(
    [places({ subject: 'art' }), places({ subject: 'no such' }), places({ subject: 'law', filter: 'right' })],
    [[1], [], [0]],
  );
});

test('ids sort as people count; rows without a score stand last', () => {
  assert.deepEqual(
    [places({ sort: 'id' }), places({ sort: 'score' }), places({ sort: 'id', down: true })],
    [
      [1, 0, 2, 3],
      [2, 1, 0, 3],
      [3, 2, 0, 1],
    ],
  );
});

test('rows by their names: a key, then an id', () => {
  const drawn: PageList = { index: [4, 4], seed: [1, 1], sample: [0, 1], status: 'rr', prompts: '' };
  assert.deepEqual([keyOf(list, 3), keyOf(drawn, 1)], ['5', '4|1|1']);
  assert.deepEqual(
    [placeOf(list, '5'), placeOf(list, '1'), placeOf(list, 'b'), placeOf(list, '7'), placeOf(drawn, '4|1|1')],
    [3, 1, 2, -1, 1],
  );
  assert.deepEqual(
    [idOf(drawn, 0), subjectOf(list, 3), shortOf(2, true), shortOf(2, false), shortOf(null, true), shortOf('x', true)],
    ['4', '', 'C', '2', '', 'x'],
  );
});
