/** summary.json: what came out of a run; and its scores as the lines of a table. */
import type { Estimate, Scores, TableRow } from '../types.ts';

/** Health of a run: counts of rows. */
export interface Health {
  rows: number;
  /** Rows of the data set that have an answer; several samples and seeds of one are one. */
  questions: number;
  failed: number;
  unparsed: number;
  truncated: number;
  /** Answers of blanks alone, thoughts aside. */
  empty: number;
}

/** What became of generated answers. */
export interface Generation {
  answers: number;
  /** Answers that were cut (`finish_reason: length`). */
  cut: number;
  /** Questions of which every answer was cut, over all samples and seeds. */
  never_stopped: number;
  /** Answers that think first (`<think>`): that is kept in the row and not scored. */
  reasoning: number;
  /** Those of them that think to their end and say nothing. */
  reasoning_cut: number;
}

/** Why a row is wrong, for whoever reads about it. */
export interface Failure {
  id: string;
  index: number;
  seed?: number;
  sample?: number;
  /** The part that failed; the metric where the row has one verdict. */
  check: string;
  failure: string;
}

/** The wrong rows that say why: how many, and the first of their failures. */
export interface Failures {
  rows: number;
  of: number;
  first: Failure[];
}

/** What a summary says of the scores. Without any (`run.score: false`) there are no metrics. */
export interface SummaryScores extends Scores {
  /** With several seeds: each one's metrics, and how they differ. */
  by_seed?: Record<string, Record<string, number>>;
  between_seeds?: Record<string, { mean: number; std: number | null; n: number }>;
  /** `scoring.reduce`, where it is not the mean. */
  reduce?: 'sum' | 'none';
}

/** Each row's scores by themselves, with `scoring.reduce: none`. */
export const SCORES_FILE = 'scores.csv';

/** The confusion matrix, where scores have one: the table, and the chart with the `.svg` beside it. */
export const CONFUSION_TABLE = 'confusion.csv';
export const CONFUSION_PLOT = 'confusion.png';

/** The page to read a run's rows in, and what it shows of them beside the predictions. */
export const PAGE_FILE = 'report.html';
export const COMPANION_FILE = 'page.jsonl';

/** The names of the files that a run writes into its folder. `own`: the task's own ones, by name. */
export function artefactNames(
  report: {
    predictions_filename: string;
    summary_filename: string;
    table_filename: string;
    plot_filename: string;
  },
  own: object = {},
): string[] {
  const svg = report.plot_filename.replace(/\.png$/, '.svg');
  return [
    'run.json',
    report.predictions_filename,
    report.summary_filename,
    report.table_filename,
    report.plot_filename,
    svg,
    SCORES_FILE,
    CONFUSION_TABLE,
    CONFUSION_PLOT,
    CONFUSION_PLOT.replace(/\.png$/, '.svg'),
    PAGE_FILE,
    COMPANION_FILE,
    ...Object.keys(own),
  ];
}

/** The scores as lines: every metric over all rows, then each group and its subjects, then tags. Used by the CSV and the chart. */
export function tableRows(scores: Scores): TableRow[] {
  const rows: TableRow[] = [];
  const add = (label: string, level: TableRow['level'], group: string, metrics: Record<string, Estimate>) => {
    for (const [metric, estimate] of Object.entries(metrics)) rows.push({ label, level, group, metric, estimate });
  };
  add('all', 'all', 'all', scores.metrics);
  for (const [group, metrics] of Object.entries(scores.groups)) {
    add(group, 'group', group, metrics);
    for (const [subject, inner] of Object.entries(scores.subjects)) {
      if (scores.subject_groups[subject] === group) add(subject, 'subject', group, inner);
    }
  }
  for (const [tag, metrics] of Object.entries(scores.tags ?? {})) add(tag, 'tag', tag, metrics);
  return rows;
}
