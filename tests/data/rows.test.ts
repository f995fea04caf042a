/** openSplit over the fixtures and made-up local folders, and over the local hub server. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { openSplit, type SplitSpec, sampleIndices } from '../../nanoeval/data/rows.ts';
import { Interrupted, type Log, OutsideError, type Split, UserError } from '../../nanoeval/types.ts';
import { collect, HUB_FILES, NO_HUB, startHub, temporaryFolder } from './hub_server.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/parquet/', import.meta.url));
const log: Log = { info() {}, progress() {} };

function open(path: string, spec: Partial<SplitSpec> = {}, signal?: AbortSignal) {
  const full = { dataset_id: 'no/matter', revision: 'main', subset_name: null, split: 'test', path, ...spec };
  return openSplit(full, { log, signal });
}

function folderOf(t: TestContext, files: Record<string, string>): string {
  const folder = temporaryFolder(t);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

function userError(key: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    return error.key === key;
  };
}

test('a single Parquet file is the split, whatever its name', async () => {
  const path = join(FIXTURES, 'rows_snappy.parquet');
  const split = await open(path, { subset_name: 'all', split: 'validation' });
  assert.deepEqual(
    [split.dataset_id, split.revision, split.commit, split.subset_name, split.split],
    [path, null, null, null, 'validation'],
  );
  assert.equal(split.files[0]?.sha256?.length, 64);
  assert.deepEqual([split.files[0]?.path, split.files[0]?.verified], ['rows_snappy.parquet', true]);
  assert.equal(await split.numRows(), 25);
  const rows = await collect(split.rows(['answer']));
  assert.deepEqual(rows[24], { index: 24, row: { answer: 0 } });
  assert.equal((await collect(split.rows(['answer']))).length, 25);
  await assert.rejects(collect(split.rows(['label'])), /rows_snappy.parquet: has no column "label"/);
});

test('an optional column that a Parquet file lacks is null', async () => {
  const split = await open(join(FIXTURES, 'rows_snappy.parquet'));
  const [first] = await collect(split.rows(['answer'], [24], ['label', 'question']));
  assert.deepEqual(Object.keys(first!.row).sort(), ['answer', 'label', 'question']);
  assert.deepEqual([first!.index, first!.row.answer, first!.row.label], [24, 0, null]);
  assert.match(String(first!.row.question), /^Question 24/);
});

test('shards in order, one running index, wanted rows', async (t) => {
  const split = await open(join(FIXTURES, 'shards'));
  assert.equal(await split.numRows(), 25);
  const rows = await collect(split.rows(['question']));
  assert.deepEqual(
    rows.map((row) => row.index),
    Array.from({ length: 25 }, (_, i) => i),
  );
  assert.ok(rows.every(({ index, row }) => String(row.question).startsWith(`Question ${index}?`)));
  const some = await collect(split.rows(['question'], [0, 11, 12, 24]));
  assert.deepEqual(
    some.map(({ index, row }) => [index, String(row.question).split('?')[0]]),
    [
      [0, 'Question 0'],
      [11, 'Question 11'],
      [12, 'Question 12'],
      [24, 'Question 24'],
    ],
  );
  assert.deepEqual(await collect(split.rows(['question'], [])), []);
  const half = temporaryFolder(t);
  cpSync(join(FIXTURES, 'shards', 'data', 'test-00000-of-00002.parquet'), join(half, 'test-00000-of-00002.parquet'));
  await assert.rejects(open(half), userError('dataset.split', /not whole: test-00001-of-00002.parquet is missing/));
});

test('folders: split files, config folders, README.md', async (t) => {
  const row = (name: string) => `{"name":"${name}"}\n`;
  const folder = folderOf(t, {
    'test.jsonl': row('plain'),
    'validation.csv': 'name\nv\n',
    'abstract/test.jsonl': row('abstract'),
    'abstract/dev-00000-of-00001.jsonl': row('dev'),
    'data/train-00000-of-00001.jsonl': row('train'),
  });
  const name = async (spec: Partial<SplitSpec>) =>
    (await collect((await open(folder, spec)).rows(['name'])))[0]?.row.name;
  assert.equal(await name({}), 'plain');
  assert.equal(await name({ subset_name: 'abstract' }), 'abstract');
  assert.equal(await name({ subset_name: 'abstract', split: 'dev' }), 'dev');
  assert.equal(await name({ subset_name: 'not there' }), 'plain');
  assert.equal(await name({ split: 'validation' }), 'v');
  assert.equal(await name({ split: 'train' }), 'train');
  await assert.rejects(
    open(folder, { split: 'dev' }),
    userError('dataset.split', /"dev" is not a split of .*It has: .*test/),
  );
  const card = 'configs:\n- config_name: a\n  data_files:\n  - split: test\n    path: rows/*.jsonl\n';
  const declared = folderOf(t, {
    'README.md': `---\n${card}---\n# x\n`,
    'rows/2.jsonl': row('two'),
    'rows/1.jsonl': row('one'),
  });
  const both = await collect((await open(declared)).rows(['name']));
  assert.deepEqual(
    both.map((one) => one.row.name),
    ['one', 'two'],
  );
});

test('a file that names no split is not read as train beside files that name one, and an error says so', async (t) => {
  const row = (name: string) => `{"name":"${name}"}\n`;
  const folder = folderOf(t, { 'train.jsonl': row('train'), 'extra.jsonl': row('extra'), 'b/more.csv': 'name\nm\n' });
  const lines: string[] = [];
  const spec = { dataset_id: 'no/matter', revision: 'main', subset_name: null, split: 'train', path: folder };
  const train = await openSplit(spec, { log: { ...log, info: (line) => void lines.push(line) } });
  assert.deepEqual(
    (await collect(train.rows(['name']))).map((one) => one.row.name),
    ['train'],
  );
  assert.deepEqual(lines, [`${folder}: the split "train" is read from train.jsonl, not from extra.jsonl`]);
  await assert.rejects(
    open(folder, { split: 'test' }),
    userError(
      'dataset.split',
      /It has: train\. Left out: b\/more\.csv, extra\.jsonl \(no split in the name, and other files have one\)\.$/,
    ),
  );
  const plain = folderOf(t, { '1.jsonl': row('one'), 'extra.jsonl': row('extra') });
  const all = await open(plain, { split: 'train' });
  assert.deepEqual(
    (await collect(all.rows(['name']))).map((one) => one.row.name),
    ['one', 'extra'],
  );
});

const textsOf = async (split: Split) => (await collect(split.rows(['text']))).map(({ row }) => row.text);

test('a text file is one row, whatever the split', async (t) => {
  const content = '\uFEFFOne\r\n\r\ntwo  \n';
  const path = join(folderOf(t, { 'story.txt': content }), 'story.txt');
  const split = await open(path, { subset_name: 'any', split: 'validation' });
  assert.deepEqual(await collect(split.rows(['text'])), [{ index: 0, row: { text: content.slice(1) } }]);
  assert.equal(await split.numRows(), 1);
  assert.deepEqual(split.files, [
    {
      path: 'story.txt',
      size: Buffer.byteLength(content),
      sha256: createHash('sha256').update(content).digest('hex'),
      verified: true,
    },
  ]);
  assert.deepEqual([split.dataset_id, split.subset_name, split.split], [path, null, 'validation']);
  await assert.rejects(collect(split.rows(['question'])), /story.txt: has no column "question". It has: text\./);
});

test('a folder of texts is one split in the order of the paths, whatever name is asked for', async (t) => {
  const folder = folderOf(t, { '10.txt': 'ten', '2.txt': 'two', 'b/1.txt': '', 'README.md': '# texts' });
  for (const split of ['test', 'anything']) {
    const opened = await open(folder, { split, subset_name: 'all' });
    assert.deepEqual(await textsOf(opened), ['ten', 'two', '']);
    assert.equal(await opened.numRows(), 3);
    assert.equal(opened.split, split);
  }
  const split = await open(folder);
  assert.deepEqual(
    split.files.map((file) => [file.path, file.size, file.sha256?.length, file.verified]),
    [
      ['10.txt', 3, 64, true],
      ['2.txt', 3, 64, true],
      ['b/1.txt', 0, 64, true],
    ],
  );
  assert.deepEqual(await collect(split.rows(['text'], [1])), [{ index: 1, row: { text: 'two' } }]);
});

test('texts in folders of splits and of subsets', async (t) => {
  const folder = folderOf(t, { 'test/b.txt': 'b', 'test/a.txt': 'a', 'train/c.txt': 'c', 'NOTICE.txt': 'n' });
  assert.deepEqual(await textsOf(await open(folder, { subset_name: 'a default of the task' })), ['a', 'b']);
  assert.deepEqual(await textsOf(await open(folder, { split: 'train' })), ['c']);
  await assert.rejects(
    open(folder, { split: 'dev' }),
    userError('dataset.split', /"dev" is not a split of .*It has: test, train\.$/),
  );
  const subsets = folderOf(t, { 'x/test/1.txt': 'x', 'y/test/1.txt': 'y' });
  assert.deepEqual(await textsOf(await open(subsets, { subset_name: 'y' })), ['y']);
  await assert.rejects(open(subsets), userError('dataset.subset_name', /one must be named. It has: x, y/));
});

test('texts beside files in other formats are no rows, and an error says so', async (t) => {
  const folder = folderOf(t, { 'test.jsonl': '{"text":"row"}', 'train.txt': 'no row' });
  assert.deepEqual(await textsOf(await open(folder)), ['row']);
  await assert.rejects(
    open(folder, { split: 'train' }),
    userError('dataset.split', /It has: test\. Its .txt files do not count beside files in other formats\.$/),
  );
  const card = '---\nconfigs:\n- config_name: a\n  data_files:\n  - split: test\n    path: "*.txt"\n---\n';
  const declared = folderOf(t, { 'README.md': card, '1.txt': 'one', '2.txt': 'two' });
  assert.deepEqual(await textsOf(await open(declared)), ['one', 'two']);
});

test('a text that cannot be one', async (t) => {
  const folder = folderOf(t, { 'a.txt': 'fine' });
  writeFileSync(join(folder, 'b.txt'), Buffer.from('caf\u00e9', 'latin1'));
  await assert.rejects(
    textsOf(await open(folder)),
    (error) => error instanceof UserError && /b.txt: not UTF-8. Save the file as UTF-8.$/.test(error.message),
  );
  const pointer = folderOf(t, { 'p.txt': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' });
  await assert.rejects(open(join(pointer, 'p.txt')), /p.txt: a Git-LFS pointer/);
});

test('rows of the config itself', async () => {
  const rows = [
    { question: 'Q1', choices: ['a', 'b'] },
    { question: 'Q2', answer: 1 },
  ];
  const spec = { dataset_id: 'no/matter', revision: 'main', subset_name: 'all', split: 'dev', path: null };
  const split = await openSplit({ ...spec, rows }, { log });
  assert.equal(await split.numRows(), 2);
  assert.deepEqual(await collect(split.rows(['answer'], [1])), [{ index: 1, row: { answer: 1 } }]);
  await assert.rejects(
    openSplit({ ...spec, rows, path: '/some/rows.jsonl' }, { log }),
    userError('dataset.rows', /^there is dataset.path \(\/some\/rows.jsonl\) too\. It would be one of the two/),
  );
  await assert.rejects(openSplit({ ...spec, rows: [] }, { log }), userError('dataset.rows', /an empty list/));
});

test('what is not there', async (t) => {
  await assert.rejects(open('/no/such/place'), userError('dataset.path', /no such file or folder/));
  const empty = folderOf(t, { 'notes.md': '' });
  const none = /nothing in it is one of .parquet, .jsonl, .json, .csv, .txt \(.*\). It has: notes.md\.$/;
  await assert.rejects(open(empty), userError('dataset.path', none));
  const other = /is none of .parquet, .jsonl, .json, .csv, .txt \(/;
  await assert.rejects(open(join(empty, 'notes.md')), userError('dataset.path', other));
  const several = folderOf(t, { 'a/test.jsonl': '{}', 'b/test.jsonl': '{}' });
  await assert.rejects(open(several), userError('dataset.subset_name', /one must be named. It has: a, b/));
});

test('hints where the way out is known', async (t) => {
  const saved = folderOf(t, { 'dataset_info.json': '{}', 'state.json': '{}', 'data-00000-of-00001.arrow': 'x' });
  await assert.rejects(
    open(saved),
    userError('dataset.path', /: Arrow files, .* datasets\.load_from_disk\("[^"]+"\)\.to_parquet\("test.parquet"\)$/),
  );
  const dict = folderOf(t, {
    'dataset_dict.json': '{}',
    'test/data-00000-of-00001.arrow': 'x',
    'test/state.json': '{}',
  });
  await assert.rejects(open(dict), userError('dataset.path', /load_from_disk\("[^"]+"\)\["test"\]\.to_parquet/));
  const arrow = join(saved, 'data-00000-of-00001.arrow');
  await assert.rejects(open(arrow), userError('dataset.path', /Arrow files, .*Dataset\.from_file\("/));

  const file = join(folderOf(t, { 'a.jsonl': '{}' }), 'a.jsonl');
  const slice =
    /^"test\[:25\]" is no split: .* It would be "test", with dataset.subset_size: 25 for its first 25 rows\.$/;
  for (const path of [file, null])
    await assert.rejects(open(path!, { split: 'test[:25]' }), userError('dataset.split', slice));
  await assert.rejects(open(file, { split: 'train+test' }), userError('dataset.split', /It would be "train"/));

  const id = folderOf(t, { 'test.jsonl': '{}' });
  await assert.rejects(
    openSplit({ dataset_id: id, revision: 'main', subset_name: null, split: 'test', path: null }, { log }),
    userError('dataset.dataset_id', new RegExp(`"${id}" lies on this machine: it would be dataset\\.path: ${id}$`)),
  );
});

test('which files are read is said where their names leave a choice', async (t) => {
  const said: string[] = [];
  const listen: Log = { info: (line) => void said.push(line), progress() {} };
  const folder = folderOf(t, { 'test.jsonl': '{"a":1}', 'test_hard.jsonl': '{"a":2}', 'test.csv': 'a\n3\n' });
  const spec = { dataset_id: 'no/matter', revision: 'main', subset_name: null, split: 'test', path: folder };
  const split = await openSplit(spec, { log: listen });
  assert.deepEqual(said, [`${folder}: the split "test" is read from test.jsonl, test_hard.jsonl, not from test.csv`]);
  assert.equal(await split.numRows(), 2);
});

test('packed files in a folder', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'test.jsonl.gz'), gzipSync('{"a":1}\n{"a":2}\n'));
  const split = await open(folder);
  assert.equal(await split.numRows(), 2);
  assert.deepEqual(await collect(split.rows(['a'], [1])), [{ index: 1, row: { a: 2 } }]);
  assert.equal(await (await open(join(folder, 'test.jsonl.gz'))).numRows(), 2);
});

test('JSON-lines columns: one row must have them, gaps are null', async (t) => {
  const folder = folderOf(t, { 'test.jsonl': '{"a":1,"b":2}\n{"a":3}\n' });
  const split = await open(folder);
  assert.deepEqual(await collect(split.rows(['b'])), [
    { index: 0, row: { b: 2 } },
    { index: 1, row: { b: null } },
  ]);
  await assert.rejects(collect(split.rows(['c'])), /test.jsonl: has no column "c". It has: a, b./);
  assert.equal(await split.numRows(), 2);
});

test('an abort ends the rows', async () => {
  const abort = new AbortController();
  const split = await open(join(FIXTURES, 'rows_none.parquet'), {}, abort.signal);
  await assert.rejects(async () => {
    for await (const { index } of split.rows(['answer'])) if (index === 3) abort.abort();
  }, Interrupted);
});

test('sampleIndices is sorted(random.Random(seed).sample(range(N), n))', () => {
  assert.deepEqual(sampleIndices(7473, 5, 1234), [61, 742, 957, 3610, 6374]);
  assert.deepEqual(sampleIndices(3, 3, 123), [0, 1, 2]);
  assert.throws(() => sampleIndices(3, 4, 1), userError('dataset.sample', /4 rows cannot be drawn from 3/));
});

describe('on the hub', { skip: NO_HUB, concurrency: 8 }, () => {
  test('every split of the mirror has its rows', async (t) => {
    const hub = await startHub(t, ['--gated', 'no/one']);
    interface Entry {
      configs: Record<string, Record<string, { rows: number; files: string[] }>>;
    }
    const index = JSON.parse(readFileSync(join(HUB_FILES, 'index.json'), 'utf8')) as Record<string, Entry>;
    const env = { HF_ENDPOINT: hub.url, HF_HOME: hub.home };
    let splits = 0;
    for (const [dataset_id, { configs }] of Object.entries(index)) {
      for (const [subset_name, bySplit] of Object.entries(configs)) {
        if (dataset_id === 'cais/mmlu' && !['all', 'virology'].includes(subset_name)) continue;
        for (const [split, { rows, files }] of Object.entries(bySplit)) {
          const opened = await openSplit(
            { dataset_id, revision: 'main', subset_name, split, path: null },
            { log, env },
          );
          assert.equal(await opened.numRows(), rows, `${dataset_id} ${subset_name} ${split}`);
          assert.deepEqual(
            opened.files.map((file) => file.path),
            files,
          );
          assert.equal(opened.subset_name, subset_name);
          splits++;
        }
      }
    }
    assert.ok(splits > 15, `${splits}`);
    const ifeval = { dataset_id: 'google/IFEval', subset_name: null, split: 'train', path: null };
    const parquet = await openSplit({ ...ifeval, revision: 'refs/convert/parquet' }, { log, env });
    const lines = await openSplit({ ...ifeval, revision: 'main' }, { log, env });
    const keys = async (split: typeof lines) => (await collect(split.rows(['key', 'prompt']))).map((one) => one.row);
    assert.deepEqual(await keys(parquet), await keys(lines));
  });

  test('a data set without readable files: its Parquet branch', async (t) => {
    const folder = temporaryFolder(t);
    const id = join(folder, 'datasets', 'some', 'arrows');
    const converted = join(folder, 'convert', 'datasets', 'some', 'arrows', 'default', 'test');
    const nothing = join(folder, 'datasets', 'some', 'nothing');
    for (const path of [id, converted, nothing]) mkdirSync(path, { recursive: true });
    writeFileSync(join(id, 'rows.arrow'), 'x');
    writeFileSync(join(nothing, 'README.md'), '# nothing');
    cpSync(join(FIXTURES, 'rows_snappy.parquet'), join(converted, '0000.parquet'));
    const hub = await startHub(t, ['--root', folder]);
    const outcome = await hub.run({ split: { dataset_id: 'some/arrows' }, columns: ['answer'] });
    assert.equal(outcome.exit, 0, outcome.done.error?.message);
    assert.match(outcome.stderr, /its rows come from refs\/convert\/parquet/);
    assert.equal(outcome.done.rows, 25);
    const none = await hub.run({ split: { dataset_id: 'some/nothing' } });
    assert.equal(none.exit, 2);
    assert.equal(none.done.error!.key, 'dataset.dataset_id');
  });

  test('packed files', async (t) => {
    const folder = temporaryFolder(t);
    const id = join(folder, 'datasets', 'some', 'packed');
    mkdirSync(id, { recursive: true });
    writeFileSync(join(id, 'test.jsonl.gz'), gzipSync('{"a":1}\n{"a":2}\n'));
    writeFileSync(join(id, 'train.csv.gz'), gzipSync('a\n1\n2\n3\n'));
    const hub = await startHub(t, ['--root', folder]);
    for (const [split, rows] of [
      ['test', 2],
      ['train', 3],
    ] as const) {
      const { exit, done } = await hub.run({ split: { dataset_id: 'some/packed', split }, columns: ['a'] });
      assert.deepEqual([exit, done.rows], [0, rows], done.error?.message);
    }
  });

  test('unknown subset and split', async (t) => {
    const hub = await startHub(t);
    const split = await hub.run({ split: { dataset_id: 'cais/mmlu', subset_name: 'all', split: 'tests' } });
    assert.deepEqual([split.exit, split.done.error!.key], [2, 'dataset.split']);
    assert.equal(
      split.done.error!.message,
      '"tests" is not a split of cais/mmlu (all). It has: test, validation, dev.',
    );
    const subset = await hub.run({ split: { dataset_id: 'openai/gsm8k', subset_name: 'socratic' } });
    assert.deepEqual([subset.exit, subset.done.error!.key], [2, 'dataset.subset_name']);
    assert.equal(subset.done.error!.message, '"socratic" is not a subset of openai/gsm8k. It has: main.');
  });

  test('a file that cannot be reached while rows are read', async (t) => {
    const hub = await startHub(t);
    await hub.arm({ fault: '503', match: '/resolve/.*parquet', retry_after: 0 });
    const outcome = await hub.run({
      split: { dataset_id: 'openai/gsm8k', subset_name: 'main' },
      columns: ['question'],
    });
    assert.equal(outcome.exit, 3);
    assert.equal(outcome.done.error!.name, OutsideError.name);
  });
});

test('asked for no columns but for all, a row is what its file has of it', async (t) => {
  const rows = async (path: string, wanted?: number[]) => collect((await open(path)).rows(null, wanted));
  const folder = folderOf(t, {
    'a.jsonl': '{"text": "a", "n": 1}\n{"other": null}\n{"text": "c"}\n',
    'a.csv': 'x,y\n1,\n2,b\n',
  });
  assert.deepEqual(await rows(join(folder, 'a.jsonl')), [
    { index: 0, row: { text: 'a', n: 1 } },
    { index: 1, row: { other: null } },
    { index: 2, row: { text: 'c' } },
  ]);
  assert.deepEqual(await rows(join(folder, 'a.jsonl'), [1]), [{ index: 1, row: { other: null } }]);
  assert.deepEqual(await rows(join(folder, 'a.csv')), [
    { index: 0, row: { x: '1', y: '' } },
    { index: 1, row: { x: '2', y: 'b' } },
  ]);
  const path = join(FIXTURES, 'rows_snappy.parquet');
  const [all] = await rows(path, [24]);
  const [named] = await collect((await open(path)).rows(Object.keys(all!.row), [24]));
  assert.ok(Object.keys(all!.row).length > 1);
  assert.deepEqual(all, named);
});

test('a task without a data set of its own asks for rows', async () => {
  const none = { dataset_id: 'own_rows', revision: 'main', subset_name: 'default', split: 'test', path: null };
  await assert.rejects(
    openSplit(none, { log }),
    userError(
      'dataset',
      /^no rows\. Give them as dataset\.rows, name a file as dataset\.path, or a data set of the hub\.$/,
    ),
  );
});
