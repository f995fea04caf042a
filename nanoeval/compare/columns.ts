/** The rows of a run as columns of numbers: 100,000 rows stay small, and two runs are paired column by column. */
import { show } from '../config/messages.ts';
import type { ScoredRow } from '../questions.ts';
import type { JournalRow } from '../run/journal.ts';
import type { TextUnits } from '../score/perplexity.ts';
import { sha256 } from '../text/hash.ts';
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
/** Hexadecimal digits of a longer one's hash behind its beginning: so that other answers stay others. */
const ANSWER_DIGITS = 8;

const short = (text: string) =>
  text.length > LONGEST_ANSWER
    ? `${text.slice(0, LONGEST_ANSWER - ANSWER_DIGITS - 1)}…${sha256(text).slice(0, ANSWER_DIGITS)}`
    : text;

/** What a comparison needs of a scored row; null for a row that failed. Throws UserError for a row without a verdict; `where`: whose row. */
export function comparedRow(row: JournalRow, where: string): ComparedRow | null {
  if ('error' in row) return null;
  const lacks = missingIn(row as Partial<Record<keyof ScoredRow, unknown>>);
  if (lacks !== null)
    throw new UserError(
      `${where}: row ${show(row.index)} (id ${show(row.id)}) has no ${lacks}: it is not what a run stored. Run its config again.`,
    );
  const { index, id, seed, sample, subject, prediction, choices, gold, metrics } = row as ScoredRow;
  const found: ComparedRow = { index, id, prompt: row.prompt_sha256.slice(0, PROMPT_DIGITS), metrics };
  if (seed !== undefined) found.seed = seed;
  if (sample !== undefined) found.sample = sample;
  if (subject !== undefined) found.subject = subject;
  if (prediction !== undefined) found.prediction = typeof prediction === 'string' ? short(prediction) : prediction;
  const right = goldOf(gold);
  if (right !== undefined) found.gold = right;
  if (choices !== undefined) found.choices = choices.map(({ logprob }) => logprob);
  const text = textOf(row as ScoredRow);
  if (text !== undefined) found.text = text;
  const parts = partsOf(row as ScoredRow);
  if (parts !== undefined) found.parts = parts;
  return found;
}

/** What is right, where it is a number, a text or a class of several. */
function goldOf(gold: unknown): ComparedRow['gold'] {
  if (typeof gold === 'number') return gold;
  const text = typeof gold === 'object' && gold !== null ? (gold as { label?: unknown }).label : gold;
  return typeof text === 'string' ? short(text) : undefined;
}

const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function isMetrics(value: unknown): boolean {
  if (!isMap(value)) return false;
  for (const name in value) if (!isNumber(value[name])) return false;
  return true;
}

function isChoices(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const choice of value) if (!isNumber(choice?.logprob)) return false;
  return true;
}

function isParts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => isMetrics(one?.metrics));
}

/** The first field that a scored row lacks; null for a whole one. */
function missingIn(row: Partial<Record<keyof ScoredRow, unknown>>): string | null {
  const { index, id, seed, sample, subject, prompt_sha256, prediction, metrics, choices, parts } = row;
  if (!isCount(index)) return 'index that is a whole number from 0';
  if (typeof id !== 'string') return 'id that is a text';
  if (seed !== undefined && !Number.isSafeInteger(seed)) return 'seed that is a whole number';
  if (sample !== undefined && !isCount(sample)) return 'sample that is a whole number from 0';
  if (subject !== undefined && typeof subject !== 'string') return 'subject that is a text';
  if (typeof prompt_sha256 !== 'string') return 'prompt_sha256';
  if (prediction != null && typeof prediction !== 'string' && !isNumber(prediction))
    return 'prediction that is a text or a number';
  if (!isMetrics(metrics)) return 'metrics that are numbers';
  if (choices !== undefined && !isChoices(choices)) return 'log-likelihoods of its choices';
  if (parts !== undefined && !isParts(parts)) return 'metrics of its parts that are numbers';
  return missingInText(row);
}

function missingInText(row: Partial<Record<keyof ScoredRow, unknown>>): string | null {
  const { logprob, num_tokens, num_greedy, gold } = row;
  if (logprob !== undefined && !isNumber(logprob)) return 'logprob that is a number';
  if (num_tokens !== undefined && !isCount(num_tokens)) return 'num_tokens that is a whole number from 0';
  if (num_greedy !== undefined && !isCount(num_greedy)) return 'num_greedy that is a whole number from 0';
  if (!isMap(gold)) return null;
  const { words = 0, bytes = 0 } = gold;
  return isCount(words) && isCount(bytes) ? null : 'words and bytes that are whole numbers from 0';
}

/** Of a text, or of the only continuation of a row whose greedy tokens were counted. Units that nobody counted are 0. */
function textOf(row: ScoredRow): ComparedRow['text'] {
  const { choices, gold } = row;
  const { logprob, num_tokens, num_greedy } = choices?.length === 1 ? choices[0]! : row;
  if (logprob === undefined || num_tokens === undefined || num_greedy === undefined) return undefined;
  const { words = 0, bytes = 0 } = (gold ?? {}) as Partial<TextUnits>;
  return { logprob, num_tokens, num_greedy, words, bytes };
}

function partsOf({ parts }: ScoredRow): ComparedRow['parts'] {
  if (parts === undefined || parts.length === 0) return undefined;
  const sums: Record<string, [number, number]> = {};
  for (const { metrics } of parts) {
    for (const [name, value] of Object.entries(metrics)) {
      const [sum, count] = sums[name] ?? [0, 0];
      sums[name] = [sum + value, count + 1];
    }
  }
  return sums;
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
    this.ids.push(row.id);
    this.draws.push(row.seed === undefined && row.sample === undefined ? '' : `${row.seed ?? ''}|${row.sample ?? ''}`);
    this.prompts.push(row.prompt);
    this.subjects.push(row.subject);
    this.predictions.push(row.prediction);
    this.golds.push(row.gold);
    let count = 0;
    for (const name in row.metrics) {
      padded(this.metrics, name, place).push(row.metrics[name]!);
      count += 1;
    }
    if (count < this.metrics.size)
      for (const column of this.metrics.values()) if (column.length === place) column.push(Number.NaN);
    if (row.parts !== undefined || this.parts.size > 0) this.addParts(row, place);
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

  /** The place of the first row that stands there a second time; null where each stands once. */
  firstRepeated(): number | null {
    // A finished run has its rows in order: then nothing need be looked up.
    const indices = this.indices.array();
    let place = 1;
    while (place < this.length && indices[place]! > indices[place - 1]!) place += 1;
    if (place >= this.length) return null;
    const seen = new Set<string>();
    for (place = 0; place < this.length; place += 1) {
      const key = this.key(place);
      if (seen.has(key)) return place;
      seen.add(key);
    }
    return null;
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
export async function readColumns(batches: AsyncIterable<readonly (ComparedRow | null)[]>): Promise<Columns> {
  const columns = new Columns();
  for await (const rows of batches) {
    for (const row of rows) {
      if (row === null) columns.failed += 1;
      else columns.add(row);
    }
  }
  return columns;
}
