/** `metrics.csv`, and the tables that a run and a suite print at their end. */
import { stringify } from 'csv-stringify/sync';
import type { ScoredRow } from '../questions.ts';
import type { Confusion, Estimate, TableRow } from '../types.ts';

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

/** One task of a suite. */
export interface SuiteTask {
  /** Its name in the suite. */
  task: string;
  recipe: string;
  /** Scored rows; null when the task failed before there were any. */
  n: number | null;
  /** The primary metric; null when the task failed before it was known. */
  metric: string | null;
  /** null: the task failed. */
  estimate: Estimate | null;
  /** Why it failed. The table shows the first line, cut. */
  error?: string;
  /** A published value in the same unit as ours (0.431, not 43.1), and where it is from. */
  reference?: { value: number; source: string };
}

/**
 * What a suite prints: one line a task. With at least one reference there are three more columns: the reference, ours
 * minus the reference, and its source.
 */
export function suiteTable(tasks: readonly SuiteTask[]): string {
  const hasReference = tasks.some((task) => task.reference !== undefined);
  const columns: Column[] = [
    { name: 'task' },
    { name: 'recipe' },
    { name: 'n', align: 'right' },
    { name: 'metric' },
    { name: 'value', align: 'right' },
    { name: '± stderr', align: 'right' },
  ];
  if (hasReference) {
    columns.push({ name: 'reference', align: 'right' }, { name: 'difference', align: 'right' }, { name: 'source' });
  }
  const rows = tasks.map(({ task, recipe, n, metric, estimate, error, reference }) => {
    const value = estimate === null ? failure(error) : decimals(estimate.value);
    const cells = [
      task,
      recipe,
      n === null ? '-' : String(n),
      metric ?? '-',
      value,
      decimals(estimate?.stderr ?? null),
    ];
    if (!hasReference) return cells;
    if (reference === undefined) return [...cells, '-', '-', '-'];
    const difference = estimate === null ? '-' : signed(estimate.value - reference.value);
    return [...cells, decimals(reference.value), difference, reference.source];
  });
  return markdownTable({ columns, rows });
}

// ---------------------------------------------------------------- cells

/** Longest reason of a failure in the table, in code points; the whole of it is in the log. */
const MAX_REASON = 48;

function failure(error: string | undefined): string {
  const reason = [...(error ?? '').trim().split('\n', 1)[0]!.trim()];
  if (reason.length === 0) return 'failed';
  return `failed: ${reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON - 1).join('')}…` : reason.join('')}`;
}

function decimals(value: number | null): string {
  return value === null ? '-' : value.toFixed(4);
}

function signed(difference: number): string {
  const text = difference.toFixed(4);
  return text.startsWith('-') ? text.replace('-0.0000', '0.0000') : `+${text}`.replace('+0.0000', '0.0000');
}

function cell(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ').replaceAll('|', '\\|');
}

function length(text: string): number {
  return [...text].length;
}
