/** Rows of the list: which ones pass the filters, in which order. */
import type { PageList, RowStatus } from '../report/page_shape.ts';
import type { Filter, Shown } from './address.ts';

/** The rows of a run beside those of another one. */
export interface Flips {
  /** 1: right here and wrong there; -1: the other way round; 0: neither. By the places of the first run. */
  of: Int8Array;
  /** The same row's place in the other run; -1: it is not there, or was asked with another prompt. */
  other: Int32Array;
  better: number;
  worse: number;
  /** Rows with a verdict in both. */
  n: number;
  /** Rows that only one of them has, or that were asked otherwise. */
  left: number;
  /** Right or wrong is said of the rows: otherwise none flips. */
  judged: boolean;
}

/** Names a row: its index, and where answers are drawn seed and number of the sample. */
export function keyOf({ index, seed, sample }: PageList, place: number): string {
  const [own, drawn] = [seed?.[place] ?? null, sample?.[place] ?? null];
  return own === null && drawn === null ? String(index[place]) : `${index[place]}|${own ?? ''}|${drawn ?? ''}`;
}

/** The data set's own id of a row. */
export const idOf = ({ id, index }: PageList, place: number): string => id?.[place] ?? String(index[place]);

export const subjectOf = ({ subject, subjects }: PageList, place: number): string =>
  subjects?.[subject?.[place] ?? -1] ?? '';

/** An index into the choices as its letter, a text as it is; nothing for null. */
export function shortOf(value: string | number | null | undefined, isChoice: boolean): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  return isChoice && value >= 0 && value < 26 ? String.fromCharCode(65 + value) : String(value);
}

/** Place of a row by its key, else by its id; -1 where there is none. */
export function placeOf(list: PageList, name: string): number {
  const { index } = list;
  // Rows stand in the order of the data set: most often a row's place is its index.
  const guess = Number(name);
  if (Number.isInteger(guess) && index[guess] === guess && keyOf(list, guess) === name) return guess;
  for (let place = 0; place < index.length; place += 1) if (keyOf(list, place) === name) return place;
  return list.id?.indexOf(name) ?? -1;
}

/** Statuses that pass a filter; an answer that could not be read is wrong too. */
const PASSES: Partial<Record<Filter, string>> = { right: 'r', wrong: 'wu', unparsed: 'u', failed: 'f' };

/** How many rows each filter has; of flips only with a run beside. */
export function countsOf(list: PageList, flips: Flips | null): Record<Filter, number> {
  const of: Partial<Record<RowStatus, number>> = {};
  for (const status of list.status as Iterable<RowStatus>) of[status] = (of[status] ?? 0) + 1;
  const { r = 0, w = 0, u = 0, f = 0 } = of;
  const [worse, better] = [flips?.worse ?? 0, flips?.better ?? 0];
  return {
    all: list.index.length,
    right: r,
    wrong: w + u,
    unparsed: u,
    failed: f,
    flipped: worse + better,
    worse,
    better,
  };
}

/** Text of a row that a search looks at before the answers are unpacked. */
function listed(list: PageList, place: number): string {
  const words = [idOf(list, place), subjectOf(list, place), list.read?.[place], list.gold?.[place]];
  return words
    .filter((word) => typeof word === 'string')
    .join('\n')
    .toLowerCase();
}

/**
 * Places of the rows that are shown, in their order. `found`: places whose answers or prompts have the text that is searched
 * for, as far as they were looked at.
 */
export function placesOf(
  list: PageList,
  { filter, subject, search, sort, down }: Pick<Shown, 'filter' | 'subject' | 'search' | 'sort' | 'down'>,
  flips: Flips | null,
  found: ReadonlySet<number>,
): number[] {
  const passes = PASSES[filter];
  // A subject that no row has is no place of any.
  const wanted = subject === null ? null : list.subjects?.includes(subject) ? list.subjects.indexOf(subject) : -2;
  const text = search.trim().toLowerCase();
  const places: number[] = [];
  for (let place = 0; place < list.index.length; place += 1) {
    if (passes !== undefined && !passes.includes(list.status[place]!)) continue;
    if (filter === 'flipped' && !flips?.of[place]) continue;
    if (filter === 'worse' && flips?.of[place] !== -1) continue;
    if (filter === 'better' && flips?.of[place] !== 1) continue;
    if (wanted !== null && list.subject?.[place] !== wanted) continue;
    if (text !== '' && !found.has(place) && !listed(list, place).includes(text)) continue;
    places.push(place);
  }
  sortPlaces(list, places, sort);
  return down ? places.reverse() : places;
}

function sortPlaces(list: PageList, places: number[], sort: Shown['sort']): void {
  if (sort === 'order') return;
  if (sort === 'score') {
    // Rows without a score stand last.
    const score = (place: number) => list.score?.[place] ?? Number.POSITIVE_INFINITY;
    places.sort((a, b) => score(a) - score(b) || a - b);
    return;
  }
  const name = sort === 'id' ? idOf : subjectOf;
  const { compare } = new Intl.Collator('en', { numeric: true });
  places.sort((a, b) => compare(name(list, a), name(list, b)) || a - b);
}
