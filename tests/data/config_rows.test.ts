/** Rows in the config itself: their columns, their hash, and what is none. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { openConfigRows } from '../../nanoeval/data/config_rows.ts';
import { Interrupted, type Row, UserError } from '../../nanoeval/types.ts';
import { collect } from './hub_server.ts';

const ROWS: Row[] = [{ text: 'Größe', label: 1 }, { text: 'two' }, { more: [1, 'x'], text: null }];

test('the split: what it is, its hash, its rows', async () => {
  const split = openConfigRows(ROWS, 'validation');
  const { dataset_id, revision, commit, subset_name, files } = split;
  assert.deepEqual([dataset_id, revision, commit, subset_name], ['dataset.rows', null, null, null]);
  assert.equal(split.split, 'validation');
  const json = '[{"text":"Größe","label":1},{"text":"two"},{"more":[1,"x"],"text":null}]';
  const sha256 = createHash('sha256').update(json).digest('hex');
  assert.deepEqual(files, [{ path: 'dataset.rows', size: Buffer.byteLength(json), sha256, verified: true }]);
  assert.equal(await split.numRows(), 3);
  assert.deepEqual(await collect(split.rows(['label', 'more'])), [
    { index: 0, row: { label: 1, more: null } },
    { index: 1, row: { label: null, more: null } },
    { index: 2, row: { label: null, more: [1, 'x'] } },
  ]);
  assert.equal((await collect(split.rows(['text']))).length, 3);
});

test('asked for no columns but for all, a row comes as it stands', async () => {
  const split = openConfigRows(ROWS, 'test');
  assert.deepEqual(
    (await collect(split.rows(null, [0, 2]))).map(({ row }) => row),
    [ROWS[0], ROWS[2]],
  );
});

test('wanted rows alone, and none beyond the last', async () => {
  const split = openConfigRows(ROWS, 'test');
  const indices = async (wanted: number[]) => (await collect(split.rows(['text'], wanted))).map(({ index }) => index);
  assert.deepEqual(await indices([0, 2]), [0, 2]);
  assert.deepEqual(await indices([]), []);
  assert.deepEqual(await indices([1, 3]), [1]);
});

const refuses = (key: string, message: string) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.deepEqual([error.key, error.message], [key, message]);
  return true;
};

test('an optional column that no row has is null', async () => {
  const rows = await collect(openConfigRows(ROWS, 'test').rows(['text'], [0], ['answer', 'label']));
  assert.deepEqual(rows, [{ index: 0, row: { text: ROWS[0]!.text, answer: null, label: ROWS[0]!.label ?? null } }]);
});

test('a column that no row has', async () => {
  await assert.rejects(
    collect(openConfigRows(ROWS, 'test').rows(['text', 'answer'])),
    refuses('dataset.rows', 'no row has the column "answer". They have: text, label, more.'),
  );
  await assert.rejects(collect(openConfigRows([{}], 'test').rows(['toString'])), /They have: none\./);
  const odd = openConfigRows([{ constructor: 1 }, {}], 'test');
  assert.deepEqual((await collect(odd.rows(['constructor'])))[1]?.row, { constructor: null });
});

test('an empty list, and rows that are none', () => {
  assert.throws(
    () => openConfigRows([], 'test'),
    refuses('dataset.rows', 'an empty list. It would be rows, each with its columns: [{ text: ... }].'),
  );
  for (const [value, shown] of [
    ['abc', '"abc"'],
    [null, 'null'],
    [['a'], '["a"]'],
    [7, '7'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ] as const) {
    assert.throws(
      () => openConfigRows([{ text: 'a' }, value as unknown as Row], 'test'),
      refuses('dataset.rows[1]', `${shown} is no row. It would be a mapping of columns: { text: ... }.`),
    );
  }
});

test('an abort ends the rows', async () => {
  const abort = new AbortController();
  const split = openConfigRows(ROWS, 'test', abort.signal);
  await assert.rejects(async () => {
    for await (const _ of split.rows(['text'])) abort.abort();
  }, Interrupted);
});
