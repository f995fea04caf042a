/** `metrics.csv`, and the tables that a run and a suite print at their end. */
import { stringify } from 'csv-stringify/sync';
import type { ScoredRow } from '../questions.ts';
import type { Confusion, TableRow } from '../types.ts';

const CSV_COLUMNS = ['label', 'metric', 'value', 'stderr', 'n'] as const;

/**
 * `label,metric,value,stderr,n` and one line a row, in the order given. Numbers keep all their digits (what is read
 * back is the same double); `stderr` is empty where there is none. Throws when a number is not finite.
 */
export function metricsCsv(rows: readonly TableRow[]): string {
  const records = rows.map(({ label, metric, estimate: { value, stderr, n } }) => {
    for (const x of [value, stderr ?? 0, n]) {
      if (!Number.isFinite(x))
        throw new Error(`report/table: ${label}: ${metric} holds ${x}. It must be a finite number.`);
    }
    return [label, metric, value, stderr ?? '', n];
  });
  // csv-stringify quotes for its own line end alone; other readers take a lone \r for one too.
  return stringify([CSV_COLUMNS, ...records], { record_delimiter: '\n', quoted_match: /[\r\n]/ });
}

/** One line a row (and sample): `id,index,seed,sample` and its metrics, in the order of the rows. */
export function scoresCsv(rows: readonly ScoredRow[]): string {
  const names = Object.keys(rows[0]?.metrics ?? {});
  const records = rows.map(({ id, index, seed, sample, metrics }) => [
    id,
    index,
    seed ?? '',
    sample ?? '',
    ...names.map((name) => metrics[name] ?? ''),
  ]);
  const head = ['id', 'index', 'seed', 'sample', ...names];
  return stringify([head, ...records], { record_delimiter: '\n', quoted_match: /[\r\n]/ });
}

/** A confusion matrix: `gold` and the predicted labels as head, then a line a gold label. */
export function confusionCsv({ labels, counts }: Confusion): string {
  const records = labels.map((label, i) => [label, ...counts[i]!]);
  return stringify([['gold', ...labels], ...records], { record_delimiter: '\n', quoted_match: /[\r\n]/ });
}

export interface Column {
  name: string;
  /** Numbers stand at the right. Default `left`. */
  align?: 'left' | 'right';
}

/**
 * A Markdown table that reads as plain text too: cells are padded to the widest of their column (counted in code
 * points: double-width signs stand out), pipes escaped, line breaks made blanks. Ends with a line break. Throws when a
 * row has another number of cells than there are columns.
 */
export function markdownTable(table: { columns: readonly Column[]; rows: readonly (readonly string[])[] }): string {
  const { columns, rows } = table;
  const head = columns.map((column) => cell(column.name));
  const body = rows.map((row, i) => {
    if (row.length !== columns.length) {
      throw new Error(`report/table: row ${i} has ${row.length} cells. There are ${columns.length} columns.`);
    }
    return row.map(cell);
  });
  // Three at least: `--:` is the shortest line that every Markdown reader takes for a column.
  const widths = columns.map((_, c) => Math.max(3, ...[head, ...body].map((row) => length(row[c]!))));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const padded = (row: readonly string[]) =>
    line(
      row.map((text, c) => {
        const blanks = ' '.repeat(widths[c]! - length(text));
        return columns[c]!.align === 'right' ? blanks + text : text + blanks;
      }),
    );
  const rule = widths.map((width, c) =>
    columns[c]!.align === 'right' ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return `${[padded(head), line(rule), ...body.map(padded)].join('\n')}\n`;
}

/**
 * What a run prints: one line a label and metric, in the order of `rows`, values with 4 decimals. A missing standard
 * error is `-`.
 */
export function resultTable(result: { task: string; recipe: string; rows: readonly TableRow[] }): string {
  return markdownTable({
    columns: [
      { name: 'task' },
      { name: 'recipe' },
      { name: 'group' },
      { name: 'n', align: 'right' },
      { name: 'metric' },
      { name: 'value', align: 'right' },
      { name: '± stderr', align: 'right' },
    ],
    rows: result.rows.map(({ label, metric, estimate }) => [
      result.task,
      result.recipe,
      label,
      String(estimate.n),
      metric,
      decimals(estimate.value),
      decimals(estimate.stderr),
    ]),
  });
}

// ---------------------------------------------------------------- cells

/** With four decimals; `-` for none. */
export function decimals(value: number | null): string {
  return value === null ? '-' : value.toFixed(4);
}

function cell(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ').replaceAll('|', '\\|');
}

function length(text: string): number {
  return [...text].length;
}
