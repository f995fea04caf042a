/** The rows of a run as columns of numbers: 100,000 rows stay small, and two runs are paired column by column. */
import type { ScoredRow } from '../questions.ts';
import type { JournalRow } from '../run/journal.ts';
import type { TextUnits } from '../score/perplexity.ts';
import { UserError } from '../types.ts';

/** What a comparison needs of one row, whatever kind of file it came from. */
export interface ComparedRow {
  index: number;
  id: string;
  seed?: number;
  sample?: number;
  /** The first digits of the prompt's SHA-256. */
  prompt: string;
  subject?: string;
  /** What was read of the answer; null where nothing could be, undefined where there is nothing to read. */
  prediction?: number | string | null;
  /** What is right, for whoever reads about the row. */
  gold?: number | string;
  metrics: Readonly<Record<string, number>>;
  /** Log-likelihood of each choice (natural log). */
  choices?: readonly number[];
  /** Of a text: its log-likelihood and what that is divided by. */
  text?: TextUnits & { logprob: number; num_tokens: number; num_greedy: number };
  /** Metric of the row's parts -> sum over the parts that have it, and their number. */
  parts?: Readonly<Record<string, readonly [sum: number, count: number]>>;
}

/** Hexadecimal digits of a prompt's hash that are compared. */
export const PROMPT_DIGITS = 12;

/** Longest text of an answer that is kept, in UTF-16 units. */
const LONGEST_ANSWER = 60;

const short = (text: string) => (text.length > LONGEST_ANSWER ? `${text.slice(0, LONGEST_ANSWER - 1)}…` : text);

/** What a comparison needs of a scored row; null for a row that failed. Throws UserError for a row without a verdict; `where`: whose row. */
export function comparedRow(row: JournalRow, where: string): ComparedRow | null {
  if ('error' in row) return null;
  const lacks = missingIn(row);
  if (lacks !== null)
    throw new UserError(
      `${where}: row ${row.index} (id ${row.id}) has no ${lacks}: it is not what a run stored. Run its config again.`,
    );
  const { index, id, seed, sample, subject, prediction, choices, gold, metrics = {} } = row;
  return {
    index,
    id,
    ...(seed === undefined ? {} : { seed }),
    ...(sample === undefined ? {} : { sample }),
    prompt: row.prompt_sha256.slice(0, PROMPT_DIGITS),
    ...(subject === undefined ? {} : { subject }),
    ...(prediction === undefined
      ? {}
      : { prediction: typeof prediction === 'string' ? short(prediction) : prediction }),
    ...(typeof gold === 'number' ? { gold } : typeof gold === 'string' ? { gold: short(gold) } : {}),
    metrics,
    ...(choices === undefined ? {} : { choices: choices.map(({ logprob }) => logprob) }),
    ...textOf(row as ScoredRow),
    ...partsOf(row as ScoredRow),
  };
}

/** The first field that a scored row lacks; null for a whole one. */
function missingIn({ index, prompt_sha256, metrics, choices }: Partial<ScoredRow>): string | null {
  if (!Number.isInteger(index)) return 'index that is a whole number';
  if (typeof prompt_sha256 !== 'string') return 'prompt_sha256';
  const isNumbers = (values: unknown[]) => values.every((value) => typeof value === 'number');
  if (typeof metrics !== 'object' || metrics === null || !isNumbers(Object.values(metrics))) return 'metrics';
  const isChoices = choices === undefined || (Array.isArray(choices) && isNumbers(choices.map((one) => one?.logprob)));
  return isChoices ? null : 'log-likelihoods of its choices';
}

/** Of a text, or of the only continuation of a row whose greedy tokens were counted. Units that nobody counted are 0. */
function textOf({ choices, gold, ...row }: ScoredRow): Pick<ComparedRow, 'text'> {
  const { logprob, num_tokens, num_greedy } = choices?.length === 1 ? choices[0]! : row;
  if (logprob === undefined || num_tokens === undefined || num_greedy === undefined) return {};
  const { words = 0, bytes = 0 } = (gold ?? {}) as Partial<TextUnits>;
  return { text: { logprob, num_tokens, num_greedy, words, bytes } };
}

function partsOf({ parts }: ScoredRow): Pick<ComparedRow, 'parts'> {
  if (parts === undefined || parts.length === 0) return {};
  const sums: Record<string, [number, number]> = {};
  for (const { metrics } of parts) {
    for (const [name, value] of Object.entries(metrics)) {
      const [sum, count] = sums[name] ?? [0, 0];
      sums[name] = [sum + value, count + 1];
    }
  }
  return { parts: sums };
}

/** Numbers that come one by one, in memory that doubles. */
export class Numbers {
  private values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      const wider = new Float64Array(2 * this.length);
      wider.set(this.values);
      this.values = wider;
    }
    this.values[this.length] = value;
    this.length += 1;
  }

  array(): Float64Array {
    return this.values.subarray(0, this.length);
  }
}

/** Names of the numbers of a text, in the order in which `Columns.texts` has them. */
export const TEXT_NUMBERS = ['logprob', 'num_tokens', 'num_greedy', 'words', 'bytes'] as const;

/** A run as columns. What a row does not have is NaN in its column. */
export class Columns {
  readonly indices = new Numbers();
  readonly ids: string[] = [];
  /** Seed and sample as text; empty where rows have neither. */
  readonly draws: string[] = [];
  readonly prompts: string[] = [];
  readonly subjects: (string | undefined)[] = [];
  readonly predictions: ComparedRow['prediction'][] = [];
  readonly golds: ComparedRow['gold'][] = [];
  readonly metrics = new Map<string, Numbers>();
  /** Sums over the parts of a row, and how many these are. */
  readonly parts = new Map<string, { sums: Numbers; counts: Numbers }>();
  /** Log-likelihoods of all choices of all rows, one after the other; row i has those from `choiceEnds[i - 1]` on. */
  readonly choices = new Numbers();
  readonly choiceEnds = new Numbers();
  readonly texts: Record<(typeof TEXT_NUMBERS)[number], Numbers> = {
    logprob: new Numbers(),
    num_tokens: new Numbers(),
    num_greedy: new Numbers(),
    words: new Numbers(),
    bytes: new Numbers(),
  };
  /** Rows that have no verdict: failed ones. */
  failed = 0;
  private places: Map<string, number> | null = null;

  get length(): number {
    return this.ids.length;
  }

  add(row: ComparedRow): void {
    const place = this.length;
    this.indices.push(row.index);
    // An id that is the row's place in the split need not be kept twice.
    this.ids.push(row.id);
    this.draws.push(row.seed === undefined && row.sample === undefined ? '' : `${row.seed ?? ''}|${row.sample ?? ''}`);
    this.prompts.push(row.prompt);
    this.subjects.push(row.subject);
    this.predictions.push(row.prediction);
    this.golds.push(row.gold);
    for (const [name, value] of Object.entries(row.metrics)) padded(this.metrics, name, place).push(value);
    for (const column of this.metrics.values()) if (column.length === place) column.push(Number.NaN);
    this.addParts(row, place);
    for (const logprob of row.choices ?? []) this.choices.push(logprob);
    this.choiceEnds.push(this.choices.length);
    if (row.text !== undefined) for (const name of TEXT_NUMBERS) this.texts[name].push(row.text[name]);
  }

  private addParts({ parts = {} }: ComparedRow, place: number): void {
    for (const [name, [sum, count]] of Object.entries(parts)) {
      let own = this.parts.get(name);
      if (own === undefined) {
        own = { sums: new Numbers(), counts: new Numbers() };
        this.parts.set(name, own);
      }
      for (; own.sums.length < place; own.counts.push(0)) own.sums.push(0);
      own.sums.push(sum);
      own.counts.push(count);
    }
    for (const { sums, counts } of this.parts.values()) {
      if (sums.length > place) continue;
      sums.push(0);
      counts.push(0);
    }
  }

  /** What names the row at a place: its index, seed and sample. */
  key(place: number): string {
    const index = this.indices.array()[place]!;
    return this.draws[place] === '' ? String(index) : `${index}|${this.draws[place]}`;
  }

  /** Where the row of a key stands; undefined where it does not. */
  placeOf(key: string): number | undefined {
    this.places ??= new Map(Array.from({ length: this.length }, (_, i) => [this.key(i), i]));
    return this.places.get(key);
  }
}

function padded(columns: Map<string, Numbers>, name: string, length: number): Numbers {
  let column = columns.get(name);
  if (column === undefined) {
    column = new Numbers();
    for (let i = 0; i < length; i += 1) column.push(Number.NaN);
    columns.set(name, column);
  }
  return column;
}

/** Reads rows into columns. */
export async function readColumns(rows: AsyncIterable<ComparedRow | null>): Promise<Columns> {
  const columns = new Columns();
  for await (const row of rows) {
    if (row === null) columns.failed += 1;
    else columns.add(row);
  }
  return columns;
}
