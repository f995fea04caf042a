/** What makes two runs comparable, and their rows beside each other. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkComparable, pairRows } from '../../nanoeval/compare/pair.ts';
import { type ComparedRun, openSet } from '../../nanoeval/compare/sources.ts';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { IncomparableError, UserError } from '../../nanoeval/types.ts';
import { type Planted, plantRun, rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('pair');
after(folder.remove);
let count = 0;

async function run(planted: Partial<Planted> = {}): Promise<ComparedRun> {
  count += 1;
  const path = join(folder.path, `run${count}`);
  await plantRun(path, { rows: [0, 1, 2, 3].map((i) => rankedRow(i, i, i)), ...planted });
  return (await openSet(path, 'current')).runs[0]!;
}

const refuses = (what: () => unknown, message: RegExp) =>
  assert.rejects(
    async () => what(),
    (error) => {
      assert.ok(error instanceof IncomparableError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    },
  );

type Change = (summary: Record<string, Record<string, unknown>>) => void;
const OTHERS: [what: string, change: Change, message: RegExp][] = [
  [
    'recipe',
    (s) => void Object.assign(s.recipe!, { name: 'cloze' }),
    /recipe\.name is "lm_eval" there and "cloze" now/,
  ],
  [
    "recipe's words",
    (s) => void Object.assign(s.recipe!, { sha256: 'f'.repeat(64) }),
    /recipe\.sha256 is [0-9a-f]{12}\.\.\. there and ffffffffffff\.\.\. now/,
  ],
  [
    'number of shots',
    (s) => void Object.assign(s.recipe!, { num_fewshot: 5 }),
    /recipe\.num_fewshot is 0 there and 5 now/,
  ],
  [
    "data set's commit",
    (s) => void Object.assign(s.dataset!, { commit: 'b'.repeat(40) }),
    /dataset\.commit is aaaaaaaaaaaa\.\.\. there/,
  ],
  [
    'selection',
    (s) => void Object.assign(s.selection!, { sample: 2 }),
    /selection\.sample is null there and 2 now.* Set `rows: common`/,
  ],
  [
    'temperature',
    (s) => void Object.assign(s.scoring!, { temperature: 1 }),
    /scoring\.temperature is 0 there and 1 now/,
  ],
];

for (const [what, change, message] of OTHERS) {
  test(`runs of another ${what} are not compared`, async () => {
    const [before, now] = [await run(), await run({ summary: (summary) => change(summary as never) })];
    await refuses(() => checkComparable(before, now, 'all'), message);
  });
}

test('another primary metric and another checkpoint may be compared', async () => {
  const now = await run({
    model: 'made/small',
    summary: (summary) => void Object.assign(summary.scoring as object, { primary: 'acc' }),
  });
  checkComparable(await run(), now, 'all');
});

test('another selection of the same data may be compared over the rows in common', async () => {
  const now = await run({ summary: (summary) => void Object.assign(summary.selection as object, { sample: 2 }) });
  checkComparable(await run(), now, 'common');
});

test('invalid runs, unscored ones and those with failed rows are not compared', async () => {
  const whole = await run();
  const invalid = await run({
    summary: (summary) => Object.assign(summary, { status: 'invalid', faults: ['9 of 10 rows failed'] }),
  });
  await refuses(() => checkComparable(whole, invalid, 'all'), /hellaswag is invalid: 9 of 10 rows failed\.$/);
  const unscored = await run({ summary: (summary) => Object.assign(summary, { status: 'unscored' }) });
  await refuses(
    () => checkComparable(whole, unscored, 'all'),
    /hellaswag has no scores\. Give them by rescore\.ts first\.$/,
  );
  const failed = await run({
    rows: [rankedRow(0, 0, 0), { task: 'hellaswag', id: '1', index: 1, error: { kind: 'nan', message: 'NaN' } }],
    summary: (summary) => void Object.assign(summary.dataset as object, { num_rows: 4 }),
  });
  await refuses(() => checkComparable(whole, failed, 'all'), /1 rows failed and have no verdict/);
  checkComparable(whole, failed, 'common');
});

test('rows are paired by what names them, in whatever order they come', async () => {
  const rows = [0, 1, 2, 3].map((i) => rankedRow(i, i, i));
  const { places, left } = await pairRows(await run({ rows }), await run({ rows: rows.toReversed() }), 'all');
  assert.deepEqual(
    [[...places.baseline], [...places.current]],
    [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
    ],
  );
  assert.deepEqual(left, { baseline: 0, current: 0, other_prompt: 0 });
});

test('samples and seeds of a row are paired with their own', async () => {
  const drawn = (order: number[]) => order.map((sample) => rankedRow(0, 1, sample, { seed: 5, sample }));
  const { places } = await pairRows(
    await run({ rows: drawn([0, 1, 2]) }),
    await run({ rows: drawn([2, 0, 1]) }),
    'all',
  );
  assert.deepEqual([...places.current], [1, 2, 0]);
});

const LACKS: [what: string, rows: ScoredRow[], message: RegExp][] = [
  [
    'a row less',
    [0, 1, 2].map((i) => rankedRow(i, i, i)),
    /row 3 \(id 3\) is not in the current run\. Set `rows: common`/,
  ],
  ['a row more', [0, 1, 2, 3, 4].map((i) => rankedRow(i, i, i)), /1 rows of the current run are not in the baseline/],
  [
    'another prompt',
    [0, 1, 2, 3].map((i) => rankedRow(i, i, i, i === 2 ? { prompt_sha256: 'e'.repeat(64) } : {})),
    /row 2 \(id 2\) was asked with another prompt \(its SHA-256 begins with [0-9a-f]{12} there and e{12} now\)/,
  ],
  [
    'another id',
    [0, 1, 2, 3].map((i) => rankedRow(i, i, i, i === 1 ? { id: 'new' } : {})),
    /row 1 \(id 1\) has the id "new" now/,
  ],
];

for (const [what, rows, message] of LACKS) {
  test(`a run with ${what} is refused, and compared over the common rows where that is asked for`, async () => {
    const [before, now] = [await run(), await run({ rows })];
    await refuses(() => pairRows(before, now, 'all'), message);
    const { places } = await pairRows(before, now, 'common');
    assert.equal(places.baseline.length, what === 'a row more' ? 4 : 3);
  });
}

test('a run with a row twice is refused, in order or not', async () => {
  const rows = [0, 1, 2, 3].map((i) => rankedRow(i, i, i));
  for (const twice of [
    [rows[0]!, rows[1]!, rows[1]!, rows[2]!, rows[3]!],
    [...rows, rows[1]!],
  ])
    await assert.rejects(pairRows(await run(), await run({ rows: twice }), 'all'), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /: row 1 \(id 1\) stands there twice\. Run its config again\.$/);
      return true;
    });
});

test('runs without a common row are refused', async () => {
  const now = await run({ rows: [rankedRow(9, 1, 1)] });
  await refuses(async () => pairRows(await run(), now, 'common'), /they have no row in common\.$/);
});
