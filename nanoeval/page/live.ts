/** A run under way: the server is asked for new rows every other second, until the run ends or the server is gone. */
import type { Book, PageList } from '../report/page_shape.ts';
import type { Estimate } from '../types.ts';
import { type Held, served } from './data.ts';

const PAUSE_MS = 2_000;
/** Times in a row that nothing answers before it counts as gone. */
const GONE = 5;

/** A list with more rows behind it. */
export function joined(list: PageList, more: PageList): PageList {
  const length = list.index.length;
  const column = <T>(a: T[] | undefined, b: T[] | undefined, none: (i: number, of: PageList) => T): T[] | undefined => {
    if (a === undefined && b === undefined) return undefined;
    const filled = a ?? list.index.map((_, i) => none(i, list));
    return [...filled, ...(b ?? more.index.map((_, i) => none(i, more)))];
  };
  const nothing = () => null;
  const all = {
    index: [...list.index, ...more.index],
    id: column(list.id, more.id, (i, of) => String(of.index[i])),
    seed: column(list.seed, more.seed, nothing),
    sample: column(list.sample, more.sample, nothing),
    subject: column(list.subject, more.subject, () => -1),
    subjects: more.subjects ?? list.subjects,
    status: list.status + more.status,
    score: column(list.score, more.score, nothing),
    read: column(list.read, more.read, nothing),
    gold: column(list.gold, more.gold, nothing),
    prompts: list.prompts + more.prompts,
  };
  return length === 0 ? more : (all as PageList);
}

/** The mean of the rows so far, with its standard error and interval as of independent rows. */
export function soFar({ score = [] }: PageList): Estimate | null {
  const known = score.filter((one): one is number => one !== null);
  const n = known.length;
  if (n === 0) return null;
  const value = known.reduce((sum, one) => sum + one, 0) / n;
  if (n === 1) return { value, stderr: null, ci95: null, n };
  const variance = known.reduce((sum, one) => sum + (one - value) ** 2, 0) / (n - 1);
  const stderr = Math.sqrt(variance / n);
  const isShare = known.every((one) => one >= 0 && one <= 1);
  const [low, high] = [value - 1.96 * stderr, value + 1.96 * stderr];
  return { value, stderr, ci95: isShare ? [Math.max(0, low), Math.min(1, high)] : [low, high], n };
}

/** Draws the page of a run under way, again and again. */
export function follow(book: Book, draw: (change: { held: Held[]; version: number; state: string }) => void): void {
  const source = served('');
  let list: PageList = { index: [], status: '', prompts: '' };
  let version = 0;
  let misses = 0;
  const own = { ...source, list: async () => list };
  const [first] = book.runs;
  const show = (state: string) => {
    const estimate = soFar(list);
    const { primary } = first!.scores;
    const run = {
      ...first!,
      rows: list.index.length,
      health: [['rows so far', list.index.length]] as [string, number][],
      scores: { ...first!.scores, metrics: estimate === null ? {} : { [primary.name]: estimate } },
    };
    // The same object as long as the numbers are the same: what is drawn stays.
    held = [{ run, source: own, at: 0 }];
    draw({ held, version, state });
  };
  let held: Held[] = [];
  const look = async (): Promise<void> => {
    let next = PAUSE_MS;
    try {
      const { done, total, ...more } = await source.more(list.index.length);
      misses = 0;
      if (more.index.length > 0) {
        list = joined(list, more);
        version += 1;
      }
      show(`live: ${list.index.length} of ${total} rows${done ? ', done' : ''}`);
      if (done) return;
      // A long list comes in pieces.
      if (more.index.length >= 5_000) next = 0;
    } catch {
      misses += 1;
      show(misses < GONE ? 'live: no answer' : 'the run has ended, or was stopped: nothing answers here any more');
      if (misses >= GONE) return;
    }
    setTimeout(() => void look(), next);
  };
  void look();
}
