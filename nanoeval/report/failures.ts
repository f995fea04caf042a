/** The rows that are wrong and say why, as the summary holds them and as the table that a run prints. */
import type { ScoredRow } from '../questions.ts';
import type { Failure, Failures } from './summary.ts';
import { markdownTable } from './table.ts';

/** Failures that are kept and shown; all of them stand in the rows. */
const MOST = 50;

/** Why a wrong row is wrong: by its parts where these say it, by itself otherwise; empty for a row that is right. */
export function failuresIn(row: ScoredRow): Pick<Failure, 'check' | 'failure'>[] {
  const { correct, parts = [], failure, metrics } = row;
  if (correct !== 0) return [];
  const inside = parts.flatMap((part) =>
    part.failure === undefined ? [] : [{ check: part.name, failure: part.failure }],
  );
  if (inside.length > 0 || failure === undefined) return inside;
  return [{ check: Object.keys(metrics)[0] ?? '', failure }];
}

/** The wrong rows that say why, the first failures of them in the order of the rows; null where there are none. */
export function failuresOf(rows: readonly ScoredRow[]): Failures | null {
  const found: Failures = { rows: 0, of: rows.length, first: [] };
  for (const row of rows) {
    const own = failuresIn(row);
    if (own.length === 0) continue;
    const { id, index, seed, sample } = row;
    const which = { id, index, ...(seed === undefined ? {} : { seed }), ...(sample === undefined ? {} : { sample }) };
    found.rows += 1;
    found.first.push(...own.map((one) => ({ ...which, ...one })).slice(0, MOST - found.first.length));
  }
  return found.rows === 0 ? null : found;
}

/** What names a row to a reader: its id, and which draw of it. */
export function rowName({ id, seed, sample }: Pick<Failure, 'id' | 'seed' | 'sample'>): string {
  return [
    id,
    ...(seed === undefined ? [] : [`seed ${seed}`]),
    ...(sample === undefined ? [] : [`sample ${sample}`]),
  ].join(', ');
}

/** One line a failure: the row, the check, and what is wrong where. */
export function failureTable({ first }: Failures): string {
  return markdownTable({
    columns: [{ name: 'wrong row' }, { name: 'check' }, { name: 'why' }],
    rows: first.map((one) => [rowName(one), one.check, one.failure]),
  });
}
