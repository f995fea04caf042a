/** Rows computed again at the end of a run: which, and what is said of those that differ. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { taskSchema } from '../../nanoeval/config/keys.ts';
import { resolveRecipe } from '../../nanoeval/config/recipe.ts';
import type { Run } from '../../nanoeval/run/ask.ts';
import { checkRows } from '../../nanoeval/run/determinism.ts';
import type { JournalRow } from '../../nanoeval/run/journal.ts';
import type { FailedRow, Prediction, Verdict } from '../../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-determinism-'));
after(() => rmSync(folder, { recursive: true }));

const rule = { primary: 'acc', normalized: null, normalize_by_length: false };
const recipes = { lm_eval: { num_fewshot: 0, strategies: { rank_ll: rule, gen_letter: { ...rule, until: [] } } } };
const schema = taskSchema('toy', { dataset_id: 'a/b', subset_name: 'default', split: 'test' }, recipes);

const ranked = (index: number, logprobs: number[]): Prediction => ({
  task: 'toy',
  id: `id${index}`,
  index,
  group: 'g',
  gold: 0,
  choices: logprobs.map((logprob) => ({ logprob, num_tokens: 1, num_chars: 1, num_bytes: 1, is_greedy: false })),
  num_context_tokens: 1,
  truncated: false,
  prompt_sha256: '',
});
const written = (index: number, output: string, rest: object = {}): Prediction => {
  const { choices: _none, ...row } = ranked(index, []);
  return { ...row, output, ...rest };
};

const score = ({ choices, output = '' }: Prediction): Verdict => {
  const logprobs = choices?.map(({ logprob }) => logprob);
  const prediction = logprobs === undefined ? output.length : logprobs.indexOf(Math.max(...logprobs));
  return { prediction, correct: 0, metrics: { acc: 0 } };
};

/** Checks a journal of `rows` against a model that answers `second` of a row; tells which rows it was asked. */
async function check(
  rows: JournalRow[],
  second: (row: Prediction) => Prediction | FailedRow,
  sections: { run?: object; scoring?: object } = {},
) {
  writeFileSync(join(folder, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const config = schema.parse({ task: 'toy', model: { model_id: 'm' }, report: { output_dir: folder }, ...sections });
  const recipe = resolveRecipe({ name: 'toy', recipes }, config);
  let asked: readonly number[] = [];
  const seed = config.scoring.seeds?.[0];
  const task = {
    score,
    async *predict(run: Run) {
      asked = (run as unknown as { only: readonly number[] }).only;
      for (const row of rows)
        if (!('error' in row) && row.seed === seed && asked.includes(row.index)) yield second(row);
    },
  };
  const found = await checkRows(task, config, recipe, (only) => ({ only }) as unknown as Run<typeof config>);
  return { found, asked };
}

const ROWS = Array.from({ length: 30 }, (_, i) => ranked(i, [-1, -2 - i / 100]));

test('exact rows: four of them, no difference, no flip', async () => {
  const { found, asked } = await check(ROWS, (row) => row);
  assert.deepEqual(found, { rows: 4, largest_difference: 0, flips: 0, flipped: [] });
  // python3.11: sorted(random.Random(0).sample(range(30), 4))
  assert.deepEqual(asked, [12, 24, 27, 28]);
});

test('the same rows are chosen each time, as many as are asked for and there are', async () => {
  const ten = await check(ROWS, (row) => row, { run: { check_rows: 10 } });
  assert.deepEqual([ten.asked, ten.found?.rows], [[1, 8, 9, 12, 13, 15, 16, 24, 27, 28], 10]);
  assert.deepEqual((await check(ROWS, (row) => row, { run: { check_rows: 10 } })).asked, ten.asked);
  const all = await check(ROWS, (row) => row, { run: { check_rows: 1000 } });
  assert.equal(all.found?.rows, 30);
});

test('check_rows: 0 asks nothing', async () => {
  const { found, asked } = await check(ROWS, (row) => row, { run: { check_rows: 0 } });
  assert.deepEqual([found, asked], [null, []]);
});

test('a planted difference and a planted flip are found', async () => {
  const [first, other] = [12, 24, 27, 28];
  const { found } = await check(ROWS, (row) => {
    if (row.index === first) return ranked(first, [-1, -2 - first / 100 + 0.125]);
    if (row.index === other) return ranked(other, [-1.5, -1.25]);
    return row;
  });
  const difference = Math.abs(-1.25 - (-2 - other / 100));
  assert.deepEqual(found, { rows: 4, largest_difference: difference, flips: 1, flipped: [`id${other}`] });
});

test('a difference that moves no verdict is no flip', async () => {
  const { found } = await check(ROWS, (row) => ranked(row.index, [-1 + 1e-6, -2 - row.index / 100]));
  assert.ok(Math.abs(found!.largest_difference! - 1e-6) < 1e-12);
  assert.deepEqual([found?.flips, found?.flipped], [0, []]);
});

test('a generated text that differs is a flip, though the choice read from it is the same', async () => {
  const rows = [0, 1, 2].map((index) => written(index, 'A'));
  const scoring = { strategy: 'gen_letter' };
  const same = await check(rows, (row) => row, { scoring });
  assert.deepEqual(same.found, { rows: 3, largest_difference: null, flips: 0, flipped: [] });
  const { found } = await check(rows, (row) => (row.index === 1 ? { ...row, output: 'B' } : row), { scoring });
  assert.deepEqual([found?.flips, found?.flipped], [1, ['id1']]);
});

test("the letters' log-probabilities are looked at where the texts are all there is besides", async () => {
  const letters = (value: number) => ({
    letter_logprobs: [
      [-1, null],
      [value, -3],
    ],
  });
  const rows = [0, 1].map((index) => written(index, 'A', letters(-2)));
  const { found } = await check(rows, (row) => ({ ...row, ...letters(-2.25) }), {
    scoring: { strategy: 'gen_letter' },
  });
  assert.deepEqual(found, { rows: 2, largest_difference: 0.25, flips: 0, flipped: [] });
});

test('failed rows are not computed again; one that fails the second time is not counted', async () => {
  const failed = (index: number): FailedRow => ({
    task: 'toy',
    id: `id${index}`,
    index,
    error: { kind: 'nan', message: '' },
  });
  const { found, asked } = await check([failed(0), ranked(1, [-1]), failed(2), ranked(3, [-1])], (row) =>
    row.index === 3 ? failed(3) : row,
  );
  assert.deepEqual([asked, found?.rows], [[1, 3], 1]);
});

test('of several seeds the first one is looked at, every sample of its rows', async () => {
  const rows = [7, 8].flatMap((seed) =>
    [0, 1].flatMap((index) => [0, 1, 2].map((sample) => written(index, `${seed}${sample}`, { seed, sample }))),
  );
  const { found, asked } = await check(rows, (row) => (row.sample === 2 ? { ...row, output: 'other' } : row), {
    scoring: { strategy: 'gen_letter', seeds: [7, 8], samples_per_prompt: 3, temperature: 1 },
  });
  assert.deepEqual(asked, [0, 1]);
  assert.deepEqual(found, { rows: 6, largest_difference: null, flips: 2, flipped: ['id0', 'id1'] });
});
