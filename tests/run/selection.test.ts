/** Which rows a run asks about, in which order, and which of them are planned together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWindows, type Selection, selectRows, shardOf } from '../../nanoeval/run/selection.ts';
import { UserError } from '../../nanoeval/types.ts';
import { splitOf, subjects, toyConfig, toyRows, upTo } from './toy.ts';

/** The rows that these sections select of 40 (or `rows`), whose subjects are a, b, c in turn. */
async function select(
  sections: Record<string, object>,
  { seed = 123, subsetOfEach = false, rows = 40 }: { seed?: number; subsetOfEach?: boolean; rows?: number } = {},
) {
  const split = splitOf(toyRows(rows));
  const task = { name: 'toy', subjects: { ...subjects, subsetOfEach } };
  const selection = await selectRows(task, toyConfig(sections), split, seed);
  return { ...selection, read: split.read };
}
/** python3.11: sorted(random.Random(123).sample(range(40), 20)); subjects b c a b c a b b c a b a b c a c a c b c. */
const DRAWN = [1, 2, 3, 4, 5, 6, 7, 10, 17, 21, 22, 24, 25, 26, 27, 29, 30, 35, 37, 38];

test('all rows are no list of them, and nothing is read for it', async () => {
  assert.deepEqual(await select({}), { seed: 123, indices: null, count: 40, read: [] });
  assert.deepEqual(await select({ scoring: { seed: 9 } }, { seed: 9 }), {
    seed: 9,
    indices: null,
    count: 40,
    read: [],
  });
});

test('a sample is what Python draws with the same seed, order kept', async () => {
  // python3.11: sorted(random.Random(123).sample(range(40), 6)) and the same with seed 7
  const drawn = { 123: [3, 5, 6, 17, 26, 38], 7: [3, 4, 9, 20, 25, 34] };
  for (const [seed, indices] of Object.entries(drawn)) {
    const found = await select({ dataset: { sample: 6 } }, { seed: Number(seed) });
    assert.deepEqual(found, { seed: Number(seed), indices, count: 6, read: [] });
  }
  await assert.rejects(
    select({ dataset: { sample: 41 } }),
    (error) => error instanceof UserError && error.key === 'dataset.sample',
  );
});

test('subset_size takes the first rows, as many as there are', async () => {
  assert.deepEqual((await select({ dataset: { subset_size: 3 } })).indices, [0, 1, 2]);
  const all = await select({ dataset: { subset_size: 50 } });
  assert.deepEqual([all.indices, all.count], [upTo(40), 40]);
});

test('subjects keep their rows, and their column alone is read, once', async () => {
  const one = await select({ dataset: { subjects: 'c' } }, { rows: 9 });
  assert.deepEqual(one, { seed: 123, indices: [2, 5, 8], count: 3, read: [{ columns: ['subject'], given: upTo(9) }] });
  assert.deepEqual((await select({ dataset: { subjects: 'letters' } }, { rows: 9 })).indices, [0, 1, 3, 4, 6, 7]);
  assert.deepEqual((await select({ dataset: { subjects: ['other', 'a'] } }, { rows: 7 })).indices, [0, 2, 3, 5, 6]);
  // A subject without rows leaves none.
  const none = await select({ dataset: { subjects: 'c' } }, { rows: 2 });
  assert.deepEqual([none.indices, none.count], [[], 0]);
});

test('a subject may be a part of what its column says', async () => {
  const rows = ['dev_Art_1', 'dev_Art_Theory_2', 'dev_Math_3'].map((id) => ({ id }));
  const part = {
    column: 'id',
    of: (id: string) => id.split('_').slice(1, -1).join('_'),
    groups: { art: ['Art', 'Art_Theory'] },
  };
  for (const [subjects, indices] of [
    ['Art', [0]],
    ['art', [0, 1]],
  ] as const) {
    const config = { ...toyConfig({}), dataset: { ...toyConfig({}).dataset, subjects } };
    const chosen = await selectRows({ name: 'toy', subjects: part }, config, splitOf(rows), 1);
    assert.deepEqual(chosen.indices, indices, subjects);
  }
});

test('subset_size after subjects: the first of those that are left, or of each subject', async () => {
  const dataset = { subjects: 'letters', subset_size: 3 };
  assert.deepEqual((await select({ dataset })).indices, [0, 1, 3]);
  assert.deepEqual((await select({ dataset }, { subsetOfEach: true })).indices, [0, 1, 3, 4, 6, 7]);
  const each = await select({ dataset: { subset_size: 2 } }, { subsetOfEach: true });
  assert.deepEqual([each.indices, each.count], [[0, 1, 2, 3, 4, 5], 6]);
  assert.deepEqual(each.read, [{ columns: ['subject'], given: upTo(40) }]);
});

test('sample first, then subjects: only drawn rows are looked at', async () => {
  const drawn = await select({ dataset: { sample: 20, subjects: ['b'] } });
  assert.deepEqual(drawn.read, [{ columns: ['subject'], given: DRAWN }]);
  // Those of the drawn ones with 1 as the rest of a division by 3.
  assert.deepEqual(drawn.indices, [1, 4, 7, 10, 22, 25, 37]);
});

test('a shard is a block of what everything before it left: sample, subjects, subset of each subject', async () => {
  const shards = async (sections: Record<string, object>, count: number, more: { subsetOfEach?: boolean } = {}) => {
    const parts = [];
    for (let number = 1; number <= count; number += 1)
      parts.push((await select({ ...sections, run: { shard: `${number}/${count}` } }, more)).indices);
    return parts;
  };
  assert.deepEqual(await shards({}, 3), [upTo(13), upTo(26, 13), upTo(40, 26)]);
  assert.deepEqual(await shards({ dataset: { subset_size: 5 } }, 2), [
    [0, 1],
    [2, 3, 4],
  ]);
  assert.deepEqual(await shards({ dataset: { sample: 20 } }, 3), [
    DRAWN.slice(0, 6),
    DRAWN.slice(6, 13),
    DRAWN.slice(13),
  ]);
  assert.deepEqual(await shards({ dataset: { sample: 20, subjects: ['b'] } }, 2), [
    [1, 4, 7],
    [10, 22, 25, 37],
  ]);
  assert.deepEqual(await shards({ dataset: { subjects: 'letters', subset_size: 2 } }, 2, { subsetOfEach: true }), [
    [0, 1],
    [3, 4],
  ]);
  // More shards than rows: some are empty, and all rows are there.
  assert.deepEqual(await shards({ dataset: { subset_size: 2 } }, 3), [[], [0], [1]]);
});

test('a benchmark without subjects counts all rows, whatever the column is called', async () => {
  const split = splitOf(toyRows(9));
  const { indices } = await selectRows({ name: 'toy' }, toyConfig({ dataset: { subset_size: 2 } }), split, 1);
  assert.deepEqual([indices, split.read], [[0, 1], []]);
});

test('a row whose subject is no text is told by its place', async () => {
  const rows = [{ subject: 'a' }, { subject: 7 }];
  await assert.rejects(
    selectRows({ name: 'toy', subjects }, toyConfig({ dataset: { subjects: 'a' } }), splitOf(rows), 1),
    new UserError('toy row 1: subject is 7. It has to be a text.'),
  );
});

test('a shard is a number of how many', () => {
  assert.deepEqual(shardOf('2/8'), { number: 2, count: 8 });
  assert.deepEqual(shardOf('12/100'), { number: 12, count: 100 });
});

// ---------------------------------------------------------------- windows

interface Left {
  scored?: string[];
  pictured?: boolean;
  manySeeds?: boolean;
  samples?: number;
}
const all = (count: number, seed = 1): Selection => ({ seed, indices: null, count });
const windowsOf = (
  selection: Selection,
  { scored = [], pictured = false, manySeeds = false, samples = 1 }: Left = {},
) => openWindows(selection, { scored: new Set(scored) }, { pictured, manySeeds, samples });
const strings = (numbers: number[]) => numbers.map(String);

test('windows: 128 rows, the rest up to 1024, then 1024 each; 16 where rows have pictures', async () => {
  const { of, wanted } = await windowsOf(all(5000));
  assert.deepEqual([0, 127, 128, 1023, 1024, 2047, 2048].map(of), [0, 0, 1, 1, 2, 2, 3]);
  assert.equal(wanted, null);
  const pictured = await windowsOf(all(5000), { pictured: true });
  assert.deepEqual([0, 15, 16, 31, 32, 4999].map(pictured.of), [0, 0, 1, 1, 2, 312]);
});

test("a window follows from a row's position in the selection, not from its index", async () => {
  const indices = upTo(300).map((i) => i * 10);
  const { of, wanted } = await windowsOf({ seed: 1, indices, count: 300 });
  assert.deepEqual([0, 1270, 1280, 2990].map(of), [0, 0, 1, 1]);
  assert.deepEqual(wanted, indices);
  const pictured = await windowsOf({ seed: 1, indices, count: 300 }, { pictured: true });
  assert.deepEqual([150, 160].map(pictured.of), [0, 1]);
});

test('after an interruption: a window is open while it lacks the verdict of any row', async () => {
  const { isOpen, wanted } = await windowsOf(all(3000), { scored: strings(upTo(1030)) });
  assert.deepEqual([0, 127, 128, 1023, 1024, 2047, 2048].map(isOpen), [false, false, false, false, true, true, true]);
  assert.deepEqual(wanted, upTo(3000, 1024));
  // Replies come in any order: from a verdict in a later window nothing follows about earlier ones.
  const odd = await windowsOf(all(3000), { scored: ['2047'] });
  assert.deepEqual(odd.wanted, upTo(3000));
  const late = await windowsOf(all(3000), { scored: strings([...upTo(127), ...upTo(1024, 128)]) });
  assert.deepEqual(late.wanted, [...upTo(128), ...upTo(3000, 1024)]);
  const whole = await windowsOf(all(3000), { scored: strings(upTo(1024)) });
  assert.deepEqual(whole.wanted, upTo(3000, 1024));
  const done = await windowsOf(all(300), { scored: strings(upTo(300)) });
  assert.deepEqual(done.wanted, []);
});

test('a row without a verdict, for it failed, keeps its window open, and no other', async () => {
  const scored = strings(upTo(3000).filter((i) => i !== 200));
  const { isOpen, wanted } = await windowsOf(all(3000), { scored });
  assert.deepEqual([127, 128, 1023, 1024, 2047, 2048].map(isOpen), [false, true, true, false, false, false]);
  assert.deepEqual(wanted, upTo(1024, 128));
});

test('of a selection that is a list only its rows are wanted; others that were known have no say', async () => {
  const indices = upTo(40).map((i) => 2 * i);
  const left = { pictured: true, scored: strings([...upTo(16).map((i) => 2 * i), 40]) };
  const { wanted } = await windowsOf({ seed: 1, indices, count: 40 }, left);
  // 40 is at position 20, in the second window of 16.
  assert.deepEqual(wanted, indices.slice(16));
  const foreign = await windowsOf({ seed: 1, indices, count: 40 }, { pictured: true, scored: ['41', '999'] });
  assert.deepEqual(foreign.wanted, indices);
});

test('each of several seeds has its own windows; a single one has rows without a seed', async () => {
  const scored = [...upTo(16).map((i) => `${i}|1|`), '0|2|'];
  const of = async (seed: number) =>
    (await windowsOf(all(40, seed), { pictured: true, manySeeds: true, scored })).wanted;
  assert.deepEqual(await of(1), upTo(40, 16));
  assert.deepEqual(await of(2), upTo(40));
  assert.equal(await of(3), null);
});

test('a window wants every sample of its rows', async () => {
  // Samples of a single seed: the seed's place is empty.
  const both = upTo(16).flatMap((i) => [`${i}||0`, `${i}||1`]);
  const done = await windowsOf(all(40), { pictured: true, samples: 2, scored: both });
  assert.deepEqual(done.wanted, upTo(40, 16));
  const lacking = await windowsOf(all(40), { pictured: true, samples: 2, scored: both.slice(0, -1) });
  assert.deepEqual(lacking.wanted, upTo(40));
});
