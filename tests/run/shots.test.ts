/** Few-shot examples: where they come from, and which of them each question gets. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ResolvedRecipe } from '../../nanoeval/config/recipe.ts';
import { openSplit } from '../../nanoeval/data/rows.ts';
import { checkApart, openShotPools, openShots } from '../../nanoeval/run/shots.ts';
import { type Split, UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from '../spawn.ts';
import { openSaid, recipes, splitOf, toyConfig, toyRecipe, toyRows } from './toy.ts';

const folder = temporaryFolder('shots');
after(folder.remove);
for (const [name, count] of Object.entries({ test: 40, dev: 9 }))
  writeFileSync(
    join(folder.path, `${name}.jsonl`),
    toyRows(count)
      .map((row) => JSON.stringify(row))
      .join('\n'),
  );

const signal = new AbortController().signal;
function open(dataset: object, num_fewshot: number, name: string | undefined = 'dev') {
  const config = toyConfig({ dataset, scoring: { num_fewshot } });
  return openShots(name, config, toyRecipe(config), { log: openSaid().log, signal });
}
const refused = (what: Promise<unknown>, key: string, message: string) =>
  assert.rejects(what, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.deepEqual([error.key, error.message], [key, message]);
    return true;
  });

test('the split is opened where shots are wanted, and only there', async () => {
  const path = folder.path;
  assert.equal((await open({ path }, 2))?.split, 'dev');
  assert.equal(await open({ path }, 0), null);
  const config = toyConfig({ dataset: { path }, scoring: { num_fewshot: 2 } });
  assert.equal(await openShots(undefined, config, toyRecipe(config), { log: openSaid().log, signal }), null);
  // A recipe with worked examples of its own wants none: one file is enough.
  const fixed = { lm_eval: { ...recipes.lm_eval!, fixed_shots: [{ question: 'q', answer: 'a' }] } };
  const single = toyConfig({ dataset: { path: join(path, 'test.jsonl') }, scoring: { num_fewshot: 1 } });
  assert.equal(await openShots('dev', single, toyRecipe(single, fixed), { log: openSaid().log, signal }), null);
});

test('a single file and rows in the config have one split: shots of another are refused', async () => {
  const path = join(folder.path, 'test.jsonl');
  const remedy = 'Give a folder with a file for each split, or set scoring.num_fewshot: 0.';
  await refused(
    open({ path }, 3),
    'dataset.path',
    `${path} is one file, and 3 shots come from a split "dev". ${remedy}`,
  );
  await refused(
    open({ rows: [{ n: 1 }] }, 3),
    'dataset.rows',
    `dataset.rows is one list, and 3 shots come from a split "dev". ${remedy}`,
  );
  assert.equal(await open({ path }, 0), null);
});

test('a split that is not there says what it is wanted for', async () => {
  await assert.rejects(
    open({ path: folder.path }, 2, 'train'),
    (error) =>
      error instanceof UserError &&
      error.key === 'scoring.num_fewshot' &&
      /^2 shots come from a split "train", but "train" is not a split of .*It has: dev, test\.$/.test(error.message),
  );
});

test('shots from a file of the split under test are refused, by its path and by its content', () => {
  const of = (
    split: string,
    files: [path: string, sha256: string | null][],
    revision: string | null = null,
  ): Split => ({
    ...splitOf([], split),
    revision,
    files: files.map(([path, sha256]) => ({ path, size: 9, sha256, verified: sha256 !== null })),
  });
  const test = of('test', [
    ['a.txt', '1'],
    ['b.txt', '2'],
  ]);
  const recipe = { numFewshot: 3 } as ResolvedRecipe;
  const told = (shots: Split | null) => () => checkApart(test, shots, recipe);
  const line = (what: string) =>
    `3 shots come from the split "dev", and its ${what} of the split "test": rows would see their own answers. Give each split files of its own, or set scoring.num_fewshot: 0.`;
  const isOf = (key: string, what: string) => (error: unknown) => {
    assert.ok(error instanceof UserError);
    assert.deepEqual([error.key, error.message], [key, line(what)]);
    return true;
  };
  assert.throws(
    told(
      of('dev', [
        ['c.txt', '3'],
        ['b.txt', null],
      ]),
    ),
    isOf('dataset.path', 'b.txt is also a file'),
  );
  assert.throws(told(of('dev', [['c.txt', '1']])), isOf('dataset.path', 'c.txt holds the same as a.txt'));
  assert.throws(told(of('dev', [['a.txt', '1']], 'main')), isOf('dataset.split', 'a.txt is also a file'));
  told(
    of('dev', [
      ['c.txt', '3'],
      ['d.txt', null],
    ]),
  )();
  told(null)();
});

test('a folder whose splits are one file is refused', async () => {
  const own = temporaryFolder('one-file');
  after(own.remove);
  writeFileSync(
    join(own.path, 'README.md'),
    '---\nconfigs:\n- config_name: default\n  data_files:\n  - { split: test, path: rows.jsonl }\n  - { split: dev, path: rows.jsonl }\n---\n',
  );
  writeFileSync(join(own.path, 'rows.jsonl'), '{"text":"a"}\n');
  const options = { log: { info() {}, progress() {} }, signal: new AbortController().signal };
  const spec = { dataset_id: 'a/b', revision: 'main', subset_name: 'default', path: own.path };
  const [test, shots] = await Promise.all(['test', 'dev'].map((split) => openSplit({ ...spec, split }, options)));
  assert.throws(
    () => checkApart(test!, shots!, { numFewshot: 1 } as ResolvedRecipe),
    /^UserError: 1 shots come from the split "dev", and its rows\.jsonl is also a file of the split "test"/,
  );
});

const dev = () => splitOf(toyRows(9), 'dev');
const readShot = ({ row }: { row: Record<string, unknown> }) => row as { n: number; subject: string };

test('shots by key: the first n of each key of the other split, in file order', async () => {
  const split = dev();
  const shots = await openShotPools(split, 2).firstShots(['n', 'subject'], readShot, (row) => row.subject);
  assert.deepEqual(
    shots('b').map(({ n }) => n),
    [1, 4],
  );
  assert.deepEqual(
    shots('a').map(({ n }) => n),
    [0, 3],
  );
  assert.deepEqual(split.read[0]?.columns, ['n', 'subject']);
  assert.throws(
    () => shots('z'),
    (error) =>
      error instanceof UserError &&
      error.key === 'scoring.num_fewshot' &&
      error.message === '2, but the split "dev" has 0 rows of z.',
  );
  const many = await openShotPools(dev(), 4).firstShots(['n', 'subject'], readShot, (row) => row.subject);
  assert.throws(() => many('b'), /^UserError: 4, but the split "dev" has 3 rows of b\.$/);
});

test("drawn shots are those of lm-eval's default sampler, whichever rows are asked for", async () => {
  const draw = () => openShotPools(dev(), 3).drawnShots(['n'], ({ row }) => Number(row.n), 1);
  const all = await draw();
  const sequence = Array.from({ length: 5 }, (_, i) => all(i));
  // python3.11: r = random.Random(1234); [r.sample(range(9), 4)[:3] for _ in range(5)]
  assert.deepEqual(sequence, [
    [7, 1, 0],
    [0, 1, 8],
    [3, 0, 7],
    [5, 7, 4],
    [2, 1, 7],
  ]);
  const some = await draw();
  assert.deepEqual([some(1), some(4)], [sequence[1], sequence[4]]);
});

test('with or without a spare row: other draws, and as many rows as are drawn have to be there', async () => {
  const drawn = (count: number, spare: 0 | 1) =>
    openShotPools(dev(), count).drawnShots(['n'], ({ row }) => Number(row.n), spare);
  const without = await drawn(3, 0);
  // python3.11: r = random.Random(1234); [r.sample(range(9), 3) for _ in range(5)]
  assert.deepEqual(
    Array.from({ length: 5 }, (_, i) => without(i)),
    [
      [7, 1, 0],
      [1, 0, 5],
      [1, 8, 6],
      [5, 3, 0],
      [0, 8, 2],
    ],
  );
  assert.equal((await drawn(8, 1))(0).length, 8);
  await refused(drawn(9, 1), 'scoring.num_fewshot', '9, but the split "dev" has 9 rows.');
  assert.equal((await drawn(9, 0))(0).length, 9);
  await refused(drawn(10, 0), 'scoring.num_fewshot', '10, but the split "dev" has 9 rows.');
});

test('a run without shots gives none, whatever is asked', async () => {
  const { firstShots, drawnShots } = openShotPools(null, 0);
  const never = () => assert.fail('nothing is read');
  assert.deepEqual((await firstShots(['n'], never, never))('b'), []);
  assert.deepEqual((await drawnShots(['n'], never, 1))(3), []);
});
