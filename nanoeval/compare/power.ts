/** What so many rows can tell: of a comparison, and as a table before a run. */
import type { CompareConfig } from '../config/compare.ts';
import { markdownTable } from '../report/table.ts';
import { criticalValue, normalQuantile } from '../score/distributions.ts';
import { discordanceOf, smallestDrop, smallestMeanDrop } from '../score/power.ts';
import benchmarkRows from './benchmark_rows.json' with { type: 'json' };
import type { Difference } from './difference.ts';

/** How often a drop is to be found. */
const POWER = 0.8;

/** More rows than anybody runs: no number is named then. */
const MOST_ROWS = 1e8;

/**
 * What a comparison of such rows could find. `smallest_drop`: the smallest true drop that is REGRESSED four times in five, from
 * the rows that differ now (the spread of the differences for metrics that are not right or wrong by row). `rows_needed`: rows at
 * which a true difference like the one seen would be told from the allowed drop four times in five; null where the two are too
 * near to each other.
 */
export function reachOf(
  { difference, interval, wins, losses, ties }: Difference,
  { exact, allowed, level }: { exact: boolean; allowed: number; level: number },
): { smallest_drop: number | null; rows_needed: number | null } {
  if (interval === null) return { smallest_drop: null, rows_needed: null };
  const n = wins + losses + ties;
  const z = criticalValue(level);
  const [low, high] = interval;
  const distance = Math.abs(difference + allowed);
  const half = difference < -allowed ? high - difference : difference - low;
  const rows = Math.ceil(n * ((half * (z + normalQuantile(POWER))) / z / distance) ** 2);
  const stderr = (high - low) / 2 / z;
  const arms = { above: Math.max(0, high - difference), below: Math.max(0, difference - low) };
  return {
    smallest_drop: exact
      ? smallestDrop(n, { discordance: Math.min((wins + losses) / n, 1 - 1e-9), allowed, level, power: POWER })
      : smallestMeanDrop(stderr, { allowed, level, power: POWER, arms }),
    rows_needed: Number.isFinite(rows) && rows <= MOST_ROWS ? Math.max(rows, n) : null,
  };
}

/** The table that `power` asks for: a row for each number of rows, a column for each accuracy. Drops as shares. */
export function powerTable({ n, accuracy, discordance, max_drop }: CompareConfig['power'] & object): string {
  const known = Object.entries(benchmarkRows as Record<string, number>);
  const sizes: [string, number][] = n === undefined ? known : [n].flat().map((rows) => ['', rows]);
  const accuracies = [accuracy].flat();
  const drop = (rows: number, share: number): string => {
    const q = discordance ?? discordanceOf(share);
    const found = smallestDrop(rows, { discordance: q, allowed: max_drop, level: 0.95, power: POWER, accuracy: share });
    return found === null ? 'none' : found.toFixed(4);
  };
  const columns = [
    ...(n === undefined ? [{ name: 'benchmark' }] : []),
    { name: 'rows', align: 'right' as const },
    ...accuracies.map((share) => ({ name: `accuracy ${share}`, align: 'right' as const })),
  ];
  const rows = sizes.map(([name, count]) => [
    ...(n === undefined ? [name] : []),
    String(count),
    ...accuracies.map((share) => drop(count, share)),
  ]);
  const model =
    discordance === undefined
      ? 'verdicts of rows correlated by 0.5 between checkpoints that are equally good (Miller 2024)'
      : `${discordance} of the rows differing between checkpoints that are equally good`;
  return (
    `The smallest true drop of a share that is REGRESSED four times in five, with max_drop ${max_drop}, one metric at 95 %, ` +
    `and ${model}.\n\n${markdownTable({ columns, rows })}`
  );
}
