/** What so many rows can tell. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Difference } from '../../nanoeval/compare/difference.ts';
import { powerTable, reachOf } from '../../nanoeval/compare/power.ts';
import { compareSchema } from '../../nanoeval/config/compare.ts';
import { differenceInterval } from '../../nanoeval/score/paired.ts';
import { discordanceOf, powerOf, smallestDrop } from '../../nanoeval/score/power.ts';

function seen(wins: number, losses: number, n: number): Difference {
  const { low, high } = differenceInterval(wins, losses, n, 0.95);
  const counts = { values_of: 'rows', wins, losses, ties: n - wins - losses, differing: wins + losses } as const;
  return {
    baseline: 0.5,
    current: 0.5,
    difference: (wins - losses) / n,
    interval: [low, high],
    method: '',
    p_value: null,
    test: null,
    ...counts,
  };
}

test('the smallest drop is the one that is found four times in five', () => {
  const { smallest_drop } = reachOf(seen(50, 50, 1000), { exact: true, allowed: 0.01, level: 0.95 });
  const model = { discordance: 0.1, allowed: 0.01, level: 0.95 };
  assert.ok(Math.abs(powerOf(1000, smallest_drop!, model) - 0.8) < 1e-3);
});

test('the drop of a mean counts the arm of its interval that lies above the difference', () => {
  const skewed = { ...seen(50, 50, 1000), difference: 0, interval: [-0.02, 0.03] as [number, number] };
  const { smallest_drop } = reachOf(skewed, { exact: false, allowed: 0.01, level: 0.95 });
  // stderr = 0.05 / 2 / 1.959964: 0.01 + 0.03 + 0.841621 * stderr * sqrt(1 + 1.959964 * 3 * 0.01 / (stderr * 2.841459))
  assert.ok(Math.abs(smallest_drop! - 0.0573841) < 1e-6, `${smallest_drop}`);
});

test('so many rows as are needed would tell: the interval there ends on one side of the allowed drop', () => {
  const few = seen(40, 50, 500);
  const { rows_needed } = reachOf(few, { exact: true, allowed: 0.01, level: 0.95 });
  // The same shares on that many rows.
  const scale = rows_needed! / 500;
  const { low, high } = differenceInterval(Math.round(40 * scale), Math.round(50 * scale), rows_needed!, 0.95);
  assert.ok(rows_needed! > 500);
  assert.ok(low > -0.01 || high < -0.01, `${low} to ${high} at ${rows_needed}`);
});

test('a difference that is the allowed drop is never told from it', () => {
  assert.equal(reachOf(seen(40, 45, 500), { exact: true, allowed: 0.01, level: 0.95 }).rows_needed, null);
  const none = { smallest_drop: null, rows_needed: null };
  assert.deepEqual(reachOf({ ...seen(1, 0, 2), interval: null }, { exact: true, allowed: 0.01, level: 0.95 }), none);
});

const config = (power: object) => compareSchema.parse({ power }).power!;

test('the table has a row for each number of rows and a column for each accuracy', () => {
  const table = powerTable(config({ n: [200, 10_000], accuracy: [0.4, 0.9], max_drop: 0 }));
  const drop = (n: number, accuracy: number) =>
    smallestDrop(n, { discordance: discordanceOf(accuracy), allowed: 0, level: 0.95, accuracy })!.toFixed(4);
  const lines = table.trimEnd().split('\n');
  assert.deepEqual(lines.slice(-4), [
    '|  rows | accuracy 0.4 | accuracy 0.9 |',
    '| ----: | -----------: | -----------: |',
    `|   200 |       ${drop(200, 0.4)} |       ${drop(200, 0.9)} |`,
    `| 10000 |       ${drop(10_000, 0.4)} |       ${drop(10_000, 0.9)} |`,
  ]);
});

test('without a number of rows the benchmarks stand there; where no drop can be found it says none', () => {
  assert.match(powerTable(config({ accuracy: 0.5 })), /\| hellaswag +\| 10042 \|/);
  assert.match(powerTable(config({ n: 2, accuracy: 0.5 })), /\| +2 \| +none \|/);
  assert.match(powerTable(config({ n: 500, accuracy: 0.5, discordance: 0.04 })), /0\.04 of the rows differing/);
});
