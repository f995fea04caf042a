/** The nouns that cross a file boundary, and the errors that end a run. Imports nothing of the project. */

/** Of the files in a run's folder. Raised by hand when a program of today could not read what an earlier one wrote. */
export const FORMAT = 2;

// ---------------------------------------------------------------- errors

/** A message is one line: what would end it or move the cursor, as a name out of a damaged file may, is a blank. */
const inOneLine = (message: string) => message.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');

/**
 * Input that a user can mend: a config, a name, a file. The program prints the message alone and exits with 2.
 * The message reads `where: what, with the value. What would be right.`
 */
export class UserError extends Error {
  /** Dotted config key at fault (`dataset.split`): whoever knows the YAML puts `file:line:column: key: ` in front. */
  readonly key: string | undefined;
  constructor(message: string, options: { key?: string; cause?: unknown } = {}) {
    super(inOneLine(message), { cause: options.cause });
    this.name = 'UserError';
    this.key = options.key;
  }
}

/** Something outside failed after all retries (network, disk, server). The message alone is printed; exit code 3. */
export class OutsideError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(inOneLine(message), options);
    this.name = 'OutsideError';
  }
}

/** One row cannot be scored (a NaN, an empty continuation). The row is stored as failed; the run goes on. */
export class RowError extends Error {
  readonly kind: string;
  constructor(kind: string, message: string, options: { cause?: unknown } = {}) {
    super(inOneLine(message), options);
    this.name = 'RowError';
    this.kind = kind;
  }
}

/** Two runs that may not be compared: what they would have to share is not the same. Exit code 5. */
export class IncomparableError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(inOneLine(message), options);
    this.name = 'IncomparableError';
  }
}

/** The user asked to stop (SIGINT, SIGTERM, SIGHUP). Exit code 128 and the signal's number, everything written so far kept. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

// ---------------------------------------------------------------- log

/** Work under way, for one progress line. `total` is null when nobody knows it yet. */
export interface Progress {
  /** What is counted: `model.onnx`, `hellaswag`. */
  label: string;
  done: number;
  total: number | null;
  /** `MB` for downloads (done and total are then bytes), `rows` for a run. */
  unit: 'MB' | 'rows';
  /** Shown behind the counts, for example `acc_norm 0.431`. */
  note?: string;
}

/** Where the layers below the programs say what they are doing. Everything goes to stderr. */
export interface Log {
  /** One line. */
  info(line: string): void;
  /** A moving line: called as often as the work likes; the log decides how often it is drawn. */
  progress(progress: Progress): void;
}

// ---------------------------------------------------------------- repositories and rows

/** One file of a repository, as the listing gives it. */
export interface RepoFile {
  /** Path inside the repository, with `/`. */
  path: string;
  /** Bytes. */
  size: number;
  /** Known from the listing for LFS files only; null otherwise. */
  sha256: string | null;
}

/** Random access to one file; the input type of hyparquet. */
export interface RandomAccess {
  byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** A model or data-set repository on the hub at one commit, or a local folder in the same layout. */
export interface Repo {
  kind: 'model' | 'dataset';
  /** Hub id, or the path of a local folder. */
  id: string;
  /** What was asked for: a branch, a tag, a commit; null for a local folder. */
  revision: string | null;
  /** The 40 hex digits that `revision` stood for; null for a local folder. */
  commit: string | null;
  files: RepoFile[];
  /**
   * Path on this machine of one file, downloaded into the cache and verified first when need be.
   * Throws UserError when the repository has no such file.
   */
  fetch(path: string): Promise<string>;
}

/** A published row: column name -> value. int64 arrive as numbers, absent values as null. */
export type Row = Record<string, unknown>;

/** A row and its place in the split as published, from 0. */
export interface IndexedRow {
  index: number;
  row: Row;
}

/** One file that rows were read from, for run.json. */
export interface DatasetFile {
  path: string;
  size: number;
  /** null when the file was read by ranges and so never seen whole. */
  sha256: string | null;
  verified: boolean;
}

/** One split of a data set, opened but not read. */
export interface Split {
  /** Hub id, or the local path. */
  dataset_id: string;
  revision: string | null;
  commit: string | null;
  /** Config (subset) name; null for local files. */
  subset_name: string | null;
  split: string;
  files: DatasetFile[];
  /** Rows in the split; counted without decoding them (Parquet footers, lines). */
  numRows(): Promise<number>;
  /**
   * The rows in published order, one row group in memory at a time. Can be called again for another pass.
   * `columns` are read and no others; a missing one is a UserError that lists what there is. null: whatever the row has,
   * which in JSON differs from row to row. With `wanted`, rising indices, only those rows come, and row groups without any
   * are not read. `optional` columns come beside `columns`, null where the data has none of that name.
   */
  rows(
    columns: readonly string[] | null,
    wanted?: readonly number[],
    optional?: readonly string[],
  ): AsyncGenerator<IndexedRow>;
}

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

// ---------------------------------------------------------------- questions

/** How the tokens of an answer are drawn. */
export interface Sampling {
  /** Above 0: log-probabilities are divided by it. */
  temperature: number;
  /** Of the most likely tokens those that together reach this share may be drawn; 1: all. */
  top_p: number;
  /** Names the random numbers: the same name draws the same answer, whatever runs before or beside it. */
  stream: string;
}

/** One of a stream of questions, or the answer to it; answers come as they are known, in any order. */
export interface Question<T> {
  /** Counted by whoever asks. */
  place: number;
  content: T;
  /**
   * Questions with one number are planned together, and apart from others; they follow each other. So what is computed with
   * what is the asker's to say, and the same in every run. Without it the engine cuts where it likes.
   */
  window?: number;
  /** The answer is known from an earlier run: it is planned with its window and not answered. */
  done?: boolean;
}

// ---------------------------------------------------------------- scores

/** A metric with its uncertainty. */
export interface Estimate {
  value: number;
  /** Standard error; null when one row is too few for it. */
  stderr: number | null;
  /** 95 % interval; null where there is no standard error. */
  ci95: [number, number] | null;
  /** Rows (parts of rows, questions) behind it. */
  n: number;
}

/** Unit and direction of a metric. */
export interface Measure {
  /** `share`: from 0 to 1, shown as percent; `number`: as it is. */
  unit: 'share' | 'number';
  better: 'higher' | 'lower';
}

/** The metric that a run is judged by. */
export interface Primary extends Measure {
  name: string;
  /** Expected value under random answers; null where there is none. */
  chance: number | null;
}

/** One line of metrics.csv and one bar of the chart. */
export interface TableRow {
  /** `all`, a group, a subject. */
  label: string;
  /** What kind of label it is; bars are coloured by `group`, tags have none. */
  level: 'all' | 'group' | 'subject' | 'tag';
  /** The group that the label belongs to; the label itself for `all` and groups. */
  group: string;
  metric: string;
  estimate: Estimate;
}

/** What a task makes of its scored rows. */
export interface Scores {
  primary: Primary;
  /** Name -> estimate over all rows; the primary one first. */
  metrics: Record<string, Estimate>;
  groups: Record<string, Record<string, Estimate>>;
  subjects: Record<string, Record<string, Estimate>>;
  /** Subject -> group, where there are subjects. */
  subject_groups: Record<string, string>;
  /** By tag and by the name of a part, where rows have any; a row counts in each of its tags. */
  tags?: Record<string, Record<string, Estimate>>;
  /** Metrics that are no mean over rows (a perplexity): `scoring.reduce: sum` leaves them as they are. */
  pooled?: readonly string[];
  /** Metrics over the samples of each question (`pass_at_k`), which the runner adds: shares of the questions. */
  over_samples?: readonly string[];
  /** Where rows are sorted into classes. */
  confusion?: Confusion;
}

/** How often rows of one class were taken for another. */
export interface Confusion {
  labels: string[];
  /** `counts[gold][predicted]`, by the places of the labels. */
  counts: number[][];
}
