/** Two runs of the same rows: whether they may be compared, the rows that flipped, and what the difference is worth. */
import { type PageList, type PageRun, PROMPT_DIGITS } from '../report/page_shape.ts';
import { gateOutcome, type Interval, type Outcome } from '../score/gate.ts';
import { differenceInterval, mcNemar } from '../score/paired.ts';
import { type Flips, idOf, keyOf } from './rows.ts';

/** Keys in which two runs that were asked otherwise differ, dotted; empty where they may be compared. */
export function differingTerms(a: unknown, b: unknown, path = ''): string[] {
  const isMap = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (!isMap(a) || !isMap(b)) return Object.is(a ?? null, b ?? null) ? [] : [path];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key) => differingTerms(a[key], b[key], path === '' ? key : `${path}.${key}`));
}

/** Why two runs cannot stand side by side; null where they can. */
export function whyApart(run: PageRun, other: PageRun): string | null {
  for (const { error, status, name } of [run, other]) {
    if (error !== undefined) return `${name} failed`;
    if (status === 'unscored') return `${name} has no scores`;
  }
  const keys = differingTerms(run.terms, other.terms);
  return keys.length === 0 ? null : `not comparable: they differ in ${keys.slice(0, 4).join(', ')}`;
}

const RIGHT = { r: 1, w: 0, u: 0 } as const;
const rightOf = (list: PageList, place: number): 0 | 1 | null => RIGHT[list.status[place] as 'r'] ?? null;
const promptOf = ({ prompts }: PageList, place: number) =>
  prompts.slice(place * PROMPT_DIGITS, (place + 1) * PROMPT_DIGITS);

/** Pairs the rows of two runs by index, seed and sample, where id and prompt are the same (as compare.ts does). */
export function flipsOf(list: PageList, beside: PageList): Flips {
  const { length } = list.index;
  const flips: Flips = {
    of: new Int8Array(length),
    other: new Int32Array(length).fill(-1),
    better: 0,
    worse: 0,
    n: 0,
    left: 0,
    judged: false,
  };
  let places: Map<string, number> | null = null;
  const find = (key: string): number => {
    places ??= new Map(beside.index.map((_, place) => [keyOf(beside, place), place]));
    return places.get(key) ?? -1;
  };
  for (let place = 0; place < length; place += 1) {
    const key = keyOf(list, place);
    // Runs of the same rows have them in the same order.
    const there = beside.index[place] === list.index[place] && keyOf(beside, place) === key ? place : find(key);
    if (there < 0 || idOf(list, place) !== idOf(beside, there)) continue;
    const [own, its] = [promptOf(list, place), promptOf(beside, there)];
    // A failed row has no prompt; its other may still be looked at.
    if (own !== its && own.trim() !== '' && its.trim() !== '') continue;
    flips.other[place] = there;
    const [here, other] = [rightOf(list, place), rightOf(beside, there)];
    if (here === null || other === null) continue;
    flips.n += 1;
    flips.of[place] = here - other;
    if (here > other) flips.better += 1;
    if (here < other) flips.worse += 1;
  }
  flips.judged = flips.n > 0;
  const paired = flips.other.reduce((sum, other) => sum + (other >= 0 ? 1 : 0), 0);
  flips.left = length - paired + beside.index.length - paired;
  return flips;
}

/** What a difference of two runs is worth; of shares of rows that are right or wrong. */
export interface Worth {
  difference: number;
  interval: Interval;
  p: number;
  outcome: Outcome;
}

/** The drop that is allowed by default, as in compare.ts. */
export const ALLOWED = 0.01;

/** Run less the one beside it, over the rows that have a verdict in both; null where none has. */
export function worthOf({ better, worse, n }: Flips): Worth | null {
  if (n === 0) return null;
  const interval = differenceInterval(better, worse, n, 0.95);
  return {
    difference: (better - worse) / n,
    interval,
    p: mcNemar(better, worse),
    outcome: gateOutcome(interval, ALLOWED, better + worse),
  };
}
