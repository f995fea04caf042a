/** openRepoSplit over a repository made up here: which files are fetched, hashed, counted, and read by ranges. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { OpenRepo } from '../../nanoeval/data/hub_repo.ts';
import { openRepoSplit } from '../../nanoeval/data/repo_split.ts';
import { Interrupted, type Log, UserError } from '../../nanoeval/types.ts';
import { collect, temporaryFolder } from './hub_server.ts';

const PARQUET = fileURLToPath(new URL('../fixtures/parquet/rows_snappy.parquet', import.meta.url));
const log: Log = { info() {}, progress() {} };

/** A repository on the hub, its files in a temporary folder; `asked` says what was fetched and read by ranges. */
function repoOf(t: TestContext, files: Record<string, string | Buffer>, cached: string[] = []) {
  const folder = temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const asked: string[] = [];
  const repo: OpenRepo = {
    kind: 'dataset',
    id: 'some/rows',
    revision: 'main',
    commit: 'c'.repeat(40),
    note: '',
    files: Object.keys(files).map((path) => ({ path, size: statSync(join(folder, path)).size, sha256: null })),
    async fetch(path) {
      asked.push(`fetch ${path}`);
      return join(folder, path);
    },
    cached: async (path) => (cached.includes(path) ? join(folder, path) : null),
    ranges(path) {
      asked.push(`ranges ${path}`);
      const bytes = readFileSync(join(folder, path));
      const slice = async (start: number, end?: number) => new Uint8Array(bytes.subarray(start, end)).buffer;
      return { byteLength: bytes.byteLength, slice };
    },
  };
  return { repo, asked };
}

const place = (repo: OpenRepo) => ({
  repo,
  config: 'all',
  split: 'test',
  paths: repo.files.map((file) => file.path),
});

test('files of every format, one running index, wanted rows across them', async (t) => {
  const { repo } = repoOf(t, {
    'a.jsonl': '{"text":"a0"}\n\n{"text":"a1"}\n',
    'b.csv': 'text\nb0\nb1\n',
    'c.txt': 'c0\n',
    'd.json': '[{"text":"d0"},{"other":1}]',
  });
  const split = await openRepoSplit(place(repo), { log });
  assert.deepEqual(
    [split.dataset_id, split.revision, split.commit, split.subset_name],
    ['some/rows', 'main', repo.commit, 'all'],
  );
  const rows = await collect(split.rows(['text']));
  assert.deepEqual(
    rows.map(({ index, row }) => [index, row.text]),
    ['a0', 'a1', 'b0', 'b1', 'c0\n', 'd0', null].map((text, i) => [i, text]),
  );
  assert.equal(await split.numRows(), 7);
  const some = await collect(split.rows(['text'], [1, 4, 5]));
  assert.deepEqual(
    some.map(({ index, row }) => [index, row.text]),
    [
      [1, 'a1'],
      [4, 'c0\n'],
      [5, 'd0'],
    ],
  );
  await assert.rejects(
    collect(split.rows(['label'])),
    /some\/rows\/a.jsonl and 1 more: has no column "label". It has: text, other\./,
  );
});

test('a key that rows in JSON lack is null, in the first row and in the first file too', async (t) => {
  const { repo } = repoOf(t, {
    'a.jsonl': '{"id":1}\n{"id":2,"x":"y"}\n',
    'b.json': '[{"id":3,"late":0},{"__proto__":1}]',
    'c.csv': 'id,x,late\n4,5,6\n',
  });
  const split = await openRepoSplit(place(repo), { log });
  const rows = async (columns: string[]) => (await collect(split.rows(columns))).map(({ row }) => Object.values(row));
  assert.deepEqual(await rows(['id', 'x', 'late']), [
    [1, null, null],
    [2, 'y', null],
    [3, null, 0],
    [null, null, null],
    ['4', '5', '6'],
  ]);
  assert.deepEqual(
    (await collect(split.rows(['x'], [0, 2]))).map(({ row }) => row),
    [{ x: null }, { x: null }],
  );
  for (const column of ['no', 'toString'])
    await assert.rejects(
      collect(split.rows(['id', column])),
      new RegExp(
        `^UserError: some/rows/a.jsonl and 1 more: has no column "${column}". It has: id, x, late, __proto__\\.$`,
      ),
    );
});

test('an optional column is null where a file of any format has none, and read where one has it', async (t) => {
  const { repo } = repoOf(t, { 'a.jsonl': '{"b":1}\n{"b":2,"c":3}\n', 'b.csv': 'b,x\n4,5\n' });
  const split = await openRepoSplit(place(repo), { log });
  const rows = await collect(split.rows(['b'], undefined, ['c', 'd']));
  assert.deepEqual(
    rows.map(({ row }) => row),
    [
      { b: 1, c: null, d: null },
      { b: 2, c: 3, d: null },
      { b: '4', c: null, d: null },
    ],
  );
  await assert.rejects(collect(split.rows(['b', 'd'], undefined, ['c'])), /has no column "d"/);
});

test('a column that a CSV lacks is refused, whatever other files have', async (t) => {
  const { repo } = repoOf(t, { 'a.csv': 'a\n1\n', 'b.csv': 'a,b\n1,2\n' });
  const split = await openRepoSplit(place(repo), { log });
  await assert.rejects(collect(split.rows(['b'])), /^UserError: some\/rows\/a.csv: has no column "b". It has: a\.$/);
});

test('files without a row are said to have none', async (t) => {
  const parquet = readFileSync(fileURLToPath(new URL('../fixtures/parquet/no_rows.parquet', import.meta.url)));
  for (const [name, content] of [
    ['a.parquet', parquet],
    ['a.jsonl', '\n'],
    ['a.json', '[]'],
    ['a.csv', 'a,b\n'],
  ] as const) {
    const split = await openRepoSplit(place(repoOf(t, { [name]: content }).repo), { log });
    await assert.rejects(
      split.numRows(),
      (error) => error instanceof UserError && error.message === `some/rows/${name}: no rows in it.`,
    );
  }
});

test('a large Parquet file is read by ranges, its footer once, and has no hash', async (t) => {
  const { repo, asked } = repoOf(t, { 'r.parquet': readFileSync(PARQUET) });
  const split = await openRepoSplit(place(repo), { log, wholeFileBytes: 100 });
  assert.deepEqual(split.files, [{ path: 'r.parquet', size: statSync(PARQUET).size, sha256: null, verified: false }]);
  assert.deepEqual(asked, []);
  assert.equal(await split.numRows(), 25);
  assert.equal((await collect(split.rows(['answer']))).length, 25);
  assert.deepEqual(asked, ['ranges r.parquet']);
});

test('a large Parquet file that is in the cache is read from there', async (t) => {
  const { repo, asked } = repoOf(t, { 'r.parquet': readFileSync(PARQUET) }, ['r.parquet']);
  const split = await openRepoSplit(place(repo), { log, wholeFileBytes: 100 });
  assert.deepEqual([split.files[0]?.sha256?.length, split.files[0]?.verified], [64, true]);
  assert.deepEqual([...new Set(asked)], ['fetch r.parquet']);
});

test('later files are not opened when no wanted row lies in them', async (t) => {
  const { repo, asked } = repoOf(t, { 'a.txt': 'a', 'b.txt': 'b', 'c.txt': 'c' });
  const split = await openRepoSplit(place(repo), { log });
  asked.length = 0;
  assert.equal((await collect(split.rows(['text'], [1]))).length, 1);
  assert.ok(!asked.includes('fetch c.txt'), asked.join());
});

test('an abort ends the rows', async (t) => {
  const { repo } = repoOf(t, { 'a.jsonl': '{"text":"a0"}\n{"text":"a1"}\n' });
  const abort = new AbortController();
  const split = await openRepoSplit(place(repo), { log, signal: abort.signal });
  await assert.rejects(async () => {
    for await (const _ of split.rows(['text'])) abort.abort();
  }, Interrupted);
});
