/** A split of rows that stand in the config itself, under `dataset.rows`. */
import { createHash } from 'node:crypto';
import { show } from '../config/messages.ts';
import { type IndexedRow, Interrupted, type Row, type Split, UserError } from '../types.ts';

const KEY = 'dataset.rows';

/**
 * The rows as a split; `split` is the name that was asked for, and any name gives these rows. Its one file is the JSON
 * of the rows as `JSON.stringify` writes it, so that run.json has their hash. Columns are those of all rows together;
 * where a row lacks one it is null. Asked for no columns but for all (null), a row comes as it stands.
 *
 * Throws UserError (key `dataset.rows`, `dataset.rows[3]`) for an empty list and for a row that is no mapping. `rows`
 * throws UserError (key `dataset.rows`) for a column that no row has, and Interrupted.
 */
export function openConfigRows(rows: readonly Row[], split: string, signal?: AbortSignal): Split {
  if (rows.length === 0)
    throw new UserError('an empty list. It would be rows, each with its columns: [{ text: ... }].', { key: KEY });
  const columns = new Set<string>();
  for (const [i, row] of rows.entries()) {
    if (!isMapping(row))
      throw new UserError(`${show(row)} is no row. It would be a mapping of columns: { text: ... }.`, {
        key: `${KEY}[${i}]`,
      });
    for (const column of Object.keys(row)) columns.add(column);
  }

  async function* pick(
    required: readonly string[] | null,
    wanted?: readonly number[],
    optional: readonly string[] = [],
  ): AsyncGenerator<IndexedRow> {
    const asked = required === null ? null : [...required, ...optional];
    const missing = required?.find((column) => !columns.has(column));
    if (missing !== undefined)
      throw new UserError(`no row has the column "${missing}". They have: ${[...columns].join(', ') || 'none'}.`, {
        key: KEY,
      });
    for (const index of wanted ?? rows.keys()) {
      if (signal?.aborted) throw new Interrupted();
      const row = rows[index];
      if (row === undefined) return; // rising indices: no later one is there either
      const value = (column: string) => (Object.hasOwn(row, column) ? (row[column] ?? null) : null);
      yield {
        index,
        row: asked === null ? { ...row } : Object.fromEntries(asked.map((column) => [column, value(column)])),
      };
    }
  }

  const json = JSON.stringify(rows);
  const sha256 = createHash('sha256').update(json).digest('hex');
  return {
    dataset_id: KEY,
    revision: null,
    commit: null,
    subset_name: null,
    split,
    files: [{ path: KEY, size: Buffer.byteLength(json), sha256, verified: true }],
    numRows: async () => rows.length,
    rows: pick,
  };
}

/** A mapping of YAML; a list, a text, a date and the like are none. */
function isMapping(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Object]';
}
