/** Which files make a split: README.md's `configs:` in all its spellings, and file names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  choiceNote,
  chooseConfig,
  chooseSplit,
  declaredLayout,
  doubleShard,
  formatOf,
  frontMatter,
  globRegex,
  missingShard,
  namedLayout,
  textLayout,
  unnamedFiles,
  unnamedNote,
} from '../../nanoeval/data/split_files.ts';
import { UserError } from '../../nanoeval/types.ts';

const plain = (layout: Map<string, Map<string, string[]>>) =>
  Object.fromEntries([...layout].map(([config, splits]) => [config, Object.fromEntries(splits)]));

test('patterns', () => {
  const fits = (pattern: string, path: string) => globRegex(pattern).test(path);
  assert.ok(fits('standard (10 options)/test-*', 'standard (10 options)/test-00000-of-00002.parquet'));
  assert.ok(!fits('data/*', 'data/deep/x.parquet'));
  assert.ok(fits('data/**', 'data/deep/x.parquet'));
  assert.ok(fits('**/*.csv', 'x.csv') && fits('**/*.csv', 'a/b/x.csv'));
  assert.ok(fits('x[0-9]?.csv', 'x1a.csv') && !fits('x[!0-9].csv', 'x1.csv'));
  assert.ok(!fits('a.csv', 'abcsv'));
});

test('front matter', () => {
  assert.deepEqual(frontMatter('# no block', 'x'), {});
  assert.deepEqual(frontMatter('---\r\na: 1\r\n---\r\ntext', 'x'), { a: 1 });
  assert.throws(() => frontMatter('---\na: [\n---\n', 'x'), UserError);
});

const PATHS = ['README.md', 'a/test-0.csv', 'a/train.csv', 'b/one.csv', 'b/two.csv', 'c/test.jsonl'];

test('configs in README.md', () => {
  const readme = `---
configs:
- config_name: list
  data_files:
  - split: test
    path: a/test-*
  - split: both
    path: [b/two.csv, "b/*"]
- config_name: text
  default: true
  data_files: b/*.csv
- config_name: texts
  data_files: [a/train.csv, b/one.csv]
- config_name: mapping
  data_files: {train: a/train.csv, gone: z/*}
- config_name: folder
  data_dir: c
---
`;
  const found = declaredLayout(readme, PATHS, 'x')!;
  assert.equal(found.byDefault, 'text');
  assert.deepEqual(plain(found.layout), {
    list: { test: ['a/test-0.csv'], both: ['b/two.csv', 'b/one.csv'] },
    text: { train: ['b/one.csv', 'b/two.csv'] },
    texts: { train: ['a/train.csv', 'b/one.csv'] },
    mapping: { train: ['a/train.csv'], gone: [] },
    folder: { test: ['c/test.jsonl'] },
  });
  assert.equal(declaredLayout('---\nlicense: mit\n---\n', PATHS, 'x'), null);
  const choice = { ...found, where: 'x', note: '', isLocal: false };
  assert.equal(chooseConfig(choice, null), 'text');
  assert.throws(() => chooseSplit(choice, 'mapping', 'gone'), /no file of split "gone" is there/);
});

test('file names', () => {
  const paths = [
    'README.md',
    'dataset_infos.json',
    '.hidden/test.csv',
    'data/train-00000-of-00002.parquet',
    'data/train-00001-of-00002.parquet',
    'data/train.csv',
    'sub set/dev-00000-of-00001.parquet',
    'conv/validation/0001.parquet',
    'conv/validation/0000.parquet',
    'my-val.jsonl',
    'deep/test/part.jsonl',
  ];
  assert.deepEqual(plain(namedLayout(paths)), {
    default: {
      train: ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
      validation: ['my-val.jsonl'],
    },
    'sub set': { dev: ['sub set/dev-00000-of-00001.parquet'] },
    conv: { validation: ['conv/validation/0000.parquet', 'conv/validation/0001.parquet'] },
    deep: { test: ['deep/test/part.jsonl'] },
  });
  assert.deepEqual(plain(namedLayout(['rows.jsonl'])), { default: { train: ['rows.jsonl'] } });
  assert.deepEqual(plain(namedLayout(['dev.jsonl', 'test.csv', 'contest.csv'])), {
    default: { dev: ['dev.jsonl'], test: ['test.csv'] },
  });
});

// As `get_data_patterns` of `datasets` 5.2.0, whose pattern `**` for `train` is tried where no other one finds a file.
test('files that name no split are train where none names one, and in no split beside files that do', () => {
  const layout = (...paths: string[]) => plain(namedLayout(paths));
  assert.deepEqual(layout('b.jsonl', 'a.jsonl', 'README.md'), { default: { train: ['a.jsonl', 'b.jsonl'] } });
  assert.deepEqual(layout('train.jsonl', 'extra.jsonl'), { default: { train: ['train.jsonl'] } });
  // In another format, another folder, as a shard.
  assert.deepEqual(layout('test.csv', 'extra.jsonl'), { default: { test: ['test.csv'] } });
  assert.deepEqual(layout('a/test.csv', 'b/rows.csv'), { a: { test: ['a/test.csv'] } });
  assert.deepEqual(layout('data/test-00000-of-00001.parquet', 'rows.parquet'), {
    default: { test: ['data/test-00000-of-00001.parquet'] },
  });
  // The word may be that of a folder further up; the innermost one counts.
  assert.deepEqual(layout('en/train/a/x.jsonl', 'en/test/train/b/y.jsonl', 'z.jsonl'), {
    en: { train: ['en/train/a/x.jsonl'] },
    'en/test': { train: ['en/test/train/b/y.jsonl'] },
  });
  // What is no file of rows names nothing.
  assert.deepEqual(layout('test.py', '.test.jsonl', 'test/metadata.json', 'rows.jsonl'), {
    default: { train: ['rows.jsonl'] },
  });
  assert.deepEqual(unnamedFiles(['test.csv', 'x.csv', 'b/y.jsonl', 'README.md', 'notes.txt']), ['x.csv', 'b/y.jsonl']);
  assert.deepEqual(unnamedFiles(['x.csv', 'b/y.jsonl']), []);
  assert.equal(unnamedNote(['x.csv']), '');
  assert.equal(
    unnamedNote(['test.csv', 'x.csv', 'y.csv']),
    ' Left out: x.csv, y.csv (no split in the name, and other files have one).',
  );
});

test('missing shards', () => {
  assert.equal(missingShard(['a/x-00000-of-00002.parquet', 'a/x-00001-of-00002.parquet', 'b.csv']), null);
  assert.equal(missingShard(['a/x-00001-of-00002.parquet']), 'a/x-00000-of-00002.parquet');
});

test('shards with a hash in their names', () => {
  const [one, two] = ['data/test-00000-of-00002-4b1f6c2a9d0e7f35.parquet', 'data/test-00001-of-00002-0a.parquet'];
  const hard = 'data/test_hard-00000-of-00001-9c8b7a6f5e4d3c2b.parquet';
  assert.deepEqual(plain(namedLayout([one, two, hard])), { default: { test: [one, two], test_hard: [hard] } });
  assert.equal(missingShard([one, two, hard]), null);
  assert.equal(missingShard([one]), 'data/test-00001-of-00002-*.parquet');
  assert.equal(missingShard(['x-00001-of-00002.jsonl.gz']), 'x-00000-of-00002.jsonl.gz');
  const choice = { layout: namedLayout([one]), byDefault: null, where: 'x', note: '', isLocal: true };
  assert.throws(
    () => chooseSplit(choice, 'default', 'test'),
    (error) =>
      error instanceof UserError &&
      error.message === 'x: split "test" is not whole: data/test-00001-of-00002-*.parquet is missing.',
  );
});

test('a split that is there twice, as two sets of shards, is refused on this machine', () => {
  const [one, other] = ['test-00000-of-00001-aa.parquet', 'test-00000-of-00001-bb.parquet'];
  const more = ['test-00000-of-00002.parquet', 'test-00001-of-00002.parquet'];
  assert.deepEqual(doubleShard([one, other]), [one, other]);
  assert.deepEqual(doubleShard(['test-00000-of-00001.parquet', ...more]), ['test-00000-of-00001.parquet', more[0]]);
  assert.equal(doubleShard([...more, 'en/test-00000-of-00002.parquet', 'plain.parquet']), null);
  const choice = { layout: namedLayout([one, other]), byDefault: null, where: 'x', note: '', isLocal: true };
  assert.throws(
    () => chooseSplit(choice, 'default', 'test'),
    /^UserError: x: split "test" is there twice: test-00000-of-00001-aa.parquet and test-\S+. It would be one of the two sets\.$/,
  );
  assert.deepEqual(chooseSplit({ ...choice, isLocal: false }, 'default', 'test'), [one, other]);
});

test('what is read is said where file names leave a choice', () => {
  const note = (paths: string[], split = 'test') =>
    choiceNote(paths, 'default', split, namedLayout(paths).get('default')!.get(split)!);
  assert.equal(note(['test.parquet', 'test.jsonl']), 'the split "test" is read from test.parquet, not from test.jsonl');
  assert.equal(
    note(['test.jsonl', 'test_hard.jsonl', 'train.csv']),
    'the split "test" is read from test.jsonl, test_hard.jsonl',
  );
  assert.equal(
    note(['train.csv', 'extra.csv', 'test.csv'], 'train'),
    'the split "train" is read from train.csv, not from extra.csv',
  );
  assert.equal(note(['a.csv', 'b.csv'], 'train'), 'the split "train" is read from a.csv, b.csv');
  for (const paths of [
    ['test.jsonl', 'train.csv', 'en/test.parquet', '.test.csv'],
    ['test-00000-of-00002-a.parquet', 'test-00001-of-00002-b.parquet', 'test_hard-00000-of-00001-c.parquet'],
    ['test/0000.parquet', 'test/0001.parquet'],
    ['test_1.csv', 'test_2.csv'],
  ])
    assert.equal(note(paths), null);
});

test('packed files: their format, and the split that their name says', () => {
  assert.deepEqual(
    [
      'a.jsonl.gz',
      'a.ndjson.zst',
      'a.json.gz',
      'a.csv.zst',
      'a.parquet',
      'a.txt',
      'a.parquet.gz',
      'a.gz',
      'a.csv.xz',
    ].map(formatOf),
    ['json', 'json', 'json', 'csv', 'parquet', 'txt', null, null, null],
  );
  assert.deepEqual(plain(namedLayout(['test.jsonl.gz', 'b/val-00000-of-00001.csv.zst', 'c/rows.json.gz'])), {
    default: { test: ['test.jsonl.gz'] },
    b: { val: ['b/val-00000-of-00001.csv.zst'] },
  });
});

test('choosing', () => {
  const layout = namedLayout(['a/test.csv', 'b/test.csv']);
  const choice = { layout, byDefault: null, where: 'x', note: ' (note)', isLocal: false };
  assert.throws(() => chooseConfig(choice, null), /one must be named. It has: a, b. \(note\)/);
  assert.throws(
    () => chooseConfig(choice, 'c'),
    (error) => error instanceof UserError && error.key === 'dataset.subset_name',
  );
  assert.throws(
    () => chooseSplit(choice, 'a', 'train'),
    (error) => error instanceof UserError && error.key === 'dataset.split',
  );
  assert.deepEqual(chooseSplit(choice, 'a', 'test'), ['a/test.csv']);
  const texts = { default: new Map([['test', ['a.txt']]]) };
  const named = { ...choice, layout: new Map(Object.entries(texts)) };
  assert.deepEqual(chooseSplit({ ...named, isLocal: true }, 'default', 'test'), ['a.txt']);
  assert.throws(() => chooseSplit(named, 'default', 'test'), /a.txt is none of .parquet, .jsonl, .json, .csv \(/);
  const arrow = new Map([['default', new Map([['test', ['a.arrow']]])]]);
  assert.throws(() => chooseSplit({ ...named, layout: arrow, isLocal: true }, 'default', 'test'), /.csv, .txt \(/);
});

test('texts without a split in their paths, in the order of code points', () => {
  const paths = ['b/2.txt', 'b/10.txt', 'the_test_of_time.txt', 'B.txt', '\u{1f600}.txt', '\uff5e.txt', 'é.txt'];
  assert.deepEqual(textLayout([...paths, 'README.md', '.hidden.txt', '__x/a.txt']), {
    texts: ['B.txt', 'b/10.txt', 'b/2.txt', 'the_test_of_time.txt', 'é.txt', '\uff5e.txt', '\u{1f600}.txt'],
    layout: null,
  });
  assert.deepEqual(textLayout(['a.csv']), { texts: [], layout: null });
});

test('texts whose folders or whole names say a split', () => {
  const { texts, layout } = textLayout([
    'LICENSE.txt',
    'test/b.txt',
    'test/a/x.txt',
    'data/val.txt',
    'train-00001-of-00002.txt',
    'train-00000-of-00002.txt',
    'books/test/1.txt',
    'test/train/1.txt',
    '_test/1.txt',
  ]);
  assert.equal(texts.length, 9);
  assert.deepEqual(plain(layout!), {
    default: {
      validation: ['data/val.txt'],
      test: ['test/a/x.txt', 'test/b.txt'],
      train: ['train-00000-of-00002.txt', 'train-00001-of-00002.txt'],
    },
    books: { test: ['books/test/1.txt'] },
    test: { train: ['test/train/1.txt'] },
  });
});
