/** The rows of a run as its page holds them: columns for the list, and what is read when a row is opened. */
import type { ScoredRow } from '../questions.ts';
import { type PageList, PROMPT_DIGITS, type RowStatus } from '../report/page_shape.ts';
import type { JournalRow } from './journal.ts';

/** Longest text of an answer or of what is right in the list, in UTF-16 units. */
const SHORT = 80;

const short = (text: string) => (text.length > SHORT ? `${text.slice(0, SHORT - 1)}…` : text);

/** What is right, where a few words say it. */
function goldOf(gold: unknown): string | number | null {
  if (typeof gold === 'number') return gold;
  if (typeof gold === 'string') return short(gold);
  if (typeof gold !== 'object' || gold === null) return null;
  const { label, target, answer } = gold as Record<string, unknown>;
  const found = label ?? target ?? answer;
  return typeof found === 'number' ? found : typeof found === 'string' ? short(found) : null;
}

export function statusOf(row: JournalRow): RowStatus {
  if ('error' in row) return 'f';
  if (row.metrics === undefined) return 'n';
  if (row.prediction === null) return 'u';
  return row.correct === undefined ? 's' : row.correct === 1 ? 'r' : 'w';
}

/** The columns of `PageList`, row by row. `primary`: the metric that is shown. */
export class ListColumns {
  private readonly indices: number[] = [];
  private readonly ids: string[] = [];
  private readonly seeds: (number | null)[] = [];
  private readonly samples: (number | null)[] = [];
  private readonly ofSubject: number[] = [];
  private readonly subjects = new Map<string, number>();
  private readonly status: string[] = [];
  private readonly scores: (number | null)[] = [];
  private readonly read: (string | number | null)[] = [];
  private readonly golds: (string | number | null)[] = [];
  private readonly prompts: string[] = [];
  private readonly primary: string;

  constructor(primary: string) {
    this.primary = primary;
  }

  get length(): number {
    return this.indices.length;
  }

  add(row: JournalRow): void {
    const known: Partial<ScoredRow> = 'error' in row ? {} : row;
    const { subject, group, metrics, prediction, prompt_sha256 = ' '.repeat(PROMPT_DIGITS) } = known;
    this.indices.push(row.index);
    this.ids.push(row.id);
    this.seeds.push(row.seed ?? null);
    this.samples.push(row.sample ?? null);
    this.ofSubject.push(this.placeOf(subject ?? group));
    this.status.push(statusOf(row));
    this.scores.push(metrics?.[this.primary] ?? null);
    this.read.push(typeof prediction === 'string' ? short(prediction) : (prediction ?? null));
    this.golds.push(goldOf(known.gold));
    this.prompts.push(prompt_sha256.slice(0, PROMPT_DIGITS));
  }

  private placeOf(subject: string | undefined): number {
    if (subject === undefined) return -1;
    const place = this.subjects.get(subject) ?? this.subjects.size;
    this.subjects.set(subject, place);
    return place;
  }

  /** The rows from `from` up to `to`; places of subjects are those of all. */
  list(from = 0, to = this.length): PageList {
    const some = <T>(column: readonly T[], isThere: (value: T, i: number) => boolean) =>
      column.some(isThere) ? column.slice(from, to) : undefined;
    const { indices } = this;
    const list: { [K in keyof PageList]: PageList[K] | undefined } = {
      index: indices.slice(from, to),
      id: some(this.ids, (id, i) => id !== String(indices[i])),
      seed: some(this.seeds, (seed) => seed !== null),
      sample: some(this.samples, (sample) => sample !== null),
      subject: some(this.ofSubject, (place) => place >= 0),
      subjects: this.subjects.size > 0 ? [...this.subjects.keys()] : undefined,
      status: this.status.slice(from, to).join(''),
      score: some(this.scores, (score) => score !== null),
      read: some(this.read, (one) => one !== null),
      gold: some(this.golds, (one) => one !== null),
      prompts: this.prompts.slice(from, to).join(''),
    };
    return list as PageList;
  }
}

/** Digits that a page shows and sorts by; a log-likelihood has no more than float32 gives. */
const DIGITS = 8;
const rounded = (value: number) => Number(value.toPrecision(DIGITS));
const roundedAll = <T extends object>(values: T): T =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'number' ? rounded(value) : value]),
  ) as T;

/** A row as it is opened: its line in predictions.jsonl less what the page has elsewhere. */
export function detailOf(row: JournalRow): object {
  if ('error' in row) return { error: row.error };
  const { task: _t, id: _i, index: _x, seed: _s, sample: _n, prompt_sha256: _p, tokens: _ids, ...rest } = row;
  const { prompt_tokens: _c, choices, metrics, label_logprobs, first_logprobs, ...detail } = rest;
  return {
    ...detail,
    ...(choices === undefined
      ? {}
      : {
          choices: choices.map(({ tokens: _o, prompt_tokens: _q, ...choice }) => ({
            ...choice,
            logprob: rounded(choice.logprob),
          })),
        }),
    ...(metrics === undefined ? {} : { metrics: roundedAll(metrics) }),
    ...(label_logprobs === undefined ? {} : { label_logprobs: label_logprobs.map(rounded) }),
    ...(first_logprobs === undefined ? {} : { first_logprobs: roundedAll(first_logprobs) }),
  };
}
