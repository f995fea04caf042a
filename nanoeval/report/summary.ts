/** run.json and summary.json: what identifies a run, and what came out of it. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { OutsideError, type Scores, type TableRow } from '../types.ts';

/** Health of a run: counts of rows. `empty` answers are a part of `unparsed`. */
export interface Health {
  rows: number;
  failed: number;
  unparsed: number;
  truncated: number;
  empty: number;
}

/** The names of the files that a run writes into its folder. */
export function artefactNames(report: {
  predictions_filename: string;
  summary_filename: string;
  table_filename: string;
  plot_filename: string;
}): string[] {
  const svg = report.plot_filename.replace(/\.png$/, '.svg');
  return [
    'run.json',
    report.predictions_filename,
    report.summary_filename,
    report.table_filename,
    report.plot_filename,
    svg,
  ];
}

/**
 * Writes a file whole: under another name first, then renamed, so that a reader never sees half of one.
 * Throws OutsideError when the disk refuses.
 */
export function writeWhole(path: string, content: string | Uint8Array): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, content);
    renameSync(`${path}.new`, path);
  } catch (cause) {
    throw new OutsideError(`${path} could not be written: ${(cause as Error).message}.`, { cause });
  }
}

/** `writeWhole` of a value as indented JSON. */
export function writeJson(path: string, value: unknown): void {
  writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** The scores as lines: every metric over all rows, then each group and its subjects. Used by the CSV and the chart. */
export function tableRows(scores: Scores): TableRow[] {
  const rows: TableRow[] = [];
  const add = (label: string, level: TableRow['level'], group: string, metrics: Scores['metrics']) => {
    for (const [metric, estimate] of Object.entries(metrics)) rows.push({ label, level, group, metric, estimate });
  };
  add('all', 'all', 'all', scores.metrics);
  for (const [group, metrics] of Object.entries(scores.groups)) {
    add(group, 'group', group, metrics);
    for (const [subject, inner] of Object.entries(scores.subjects)) {
      if (scores.subject_groups[subject] === group) add(subject, 'subject', group, inner);
    }
  }
  return rows;
}
