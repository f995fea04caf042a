/** Which files make a split: README.md's `configs:` in all its spellings, and file names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  chooseConfig,
  chooseSplit,
  declaredLayout,
  frontMatter,
  globRegex,
  missingShard,
  namedLayout,
  textLayout,
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
    default: { dev: ['dev.jsonl'], test: ['test.csv'], train: ['contest.csv'] },
  });
});

test('missing shards', () => {
  assert.equal(missingShard(['a/x-00000-of-00002.parquet', 'a/x-00001-of-00002.parquet', 'b.csv']), null);
  assert.equal(missingShard(['a/x-00001-of-00002.parquet']), 'a/x-00000-of-00002.parquet');
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
  assert.throws(() => chooseSplit(named, 'default', 'test'), /a.txt is none of .parquet, .jsonl, .json, .csv\./);
  const arrow = new Map([['default', new Map([['test', ['a.arrow']]])]]);
  assert.throws(() => chooseSplit({ ...named, layout: arrow, isLocal: true }, 'default', 'test'), /.csv, .txt\./);
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
