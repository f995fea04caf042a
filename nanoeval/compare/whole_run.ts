/** Metrics of two paired runs that are no mean over rows: of the samples of each question, and of all rows at once. */
import type { Summary } from '../run/outcome.ts';
import { MACRO_F1, macroF1OfCells } from '../score/classification.ts';
import { cellCounts, type Kinds, kindsOf } from '../score/kinds.ts';
import { type Sample, sampleStatistics } from '../score/samples.ts';
import type { Measure } from '../types.ts';
import type { Pairs } from './pair.ts';
import type { Quantity } from './quantities.ts';

/** A metric of all rows at once, in both runs: it is computed anew from the rows of each resample. */
export interface WholeRun extends Measure {
  name: string;
  binary: false;
  kinds: Kinds;
  /** The metric of either run from the counts of the cells. */
  baseline: (counts: Float64Array) => number;
  current: (counts: Float64Array) => number;
  /** Rows that only the current run has right, that only the baseline has right, and all. */
  wins: number;
  losses: number;
  rows: number;
  /** Rows of which the two runs say something else. */
  differing: number;
}

const SHARE: Measure = { unit: 'share', better: 'higher' };

/** The question that each pair belongs to, counted from 0 as they come; null where each is a question of its own. */
export function clustersOf({ baseline, places }: Pairs): Int32Array | null {
  const indices = baseline.indices.array();
  const own = places.baseline;
  let i = 1;
  // Questions in order, each once, as most runs have them.
  while (i < own.length && indices[own[i]!]! > indices[own[i - 1]!]!) i += 1;
  return i >= own.length ? null : numbered(Array.from(own, (place) => indices[place]!));
}

/** A number from 0 for each value, as they come; null where each comes once. */
function numbered(values: readonly number[]): Int32Array | null {
  const numbers = new Map<number, number>();
  const found = new Int32Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i]!;
    let number = numbers.get(value);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(value, number);
    }
    found[i] = number;
  }
  return numbers.size === values.length ? null : found;
}

/** Their names. A baseline's summary may be of a day on which it did not list them (`over_samples`). */
const OVER_SAMPLES = /^(?:pass|avg|maj)_at_\d+$/;

/**
 * `pass_at_k`, `avg_at_n` and `maj_at_n` of the primary metric over the questions that have all their samples in both runs,
 * where the run has such metrics: a value for each question (and seed). `primary`: by row, in the order of the pairs.
 */
export function sampleQuantities(pairs: Pairs, summary: Summary, primary: Quantity): Quantity[] {
  if (!primary.binary || !Object.keys(summary.metrics).some((name) => OVER_SAMPLES.test(name))) return [];
  const { baseline, current, places } = pairs;
  const indices = baseline.indices.array();
  const questions = new Map<string, { index: number; before: Sample[]; now: Sample[] }>();
  for (let i = 0; i < places.baseline.length; i += 1) {
    const [here, there] = [places.baseline[i]!, places.current[i]!];
    const index = indices[here]!;
    const key = `${index}|${baseline.draws[here]!.split('|', 1)[0]}`;
    const question = questions.get(key) ?? { index, before: [], now: [] };
    questions.set(key, question);
    const sample = (value: number, prediction: Sample['prediction']) => ({ correct: value as 0 | 1, prediction });
    question.before.push(sample(primary.baseline.num[i]!, baseline.predictions[here]));
    question.now.push(sample(primary.current.num[i]!, current.predictions[there]));
  }
  const n = Math.max(...Array.from(questions.values(), ({ before }) => before.length));
  if (n < 2) return [];
  const whole = [...questions.values()].filter(({ before }) => before.length === n);
  const clusters = numbered(whole.map(({ index }) => index));
  const answers = [baseline, current].every(({ predictions }) => predictions.some((one) => one !== undefined));
  return Object.entries(sampleStatistics(n, answers)).map(([name, of]): Quantity => {
    const [before, now] = [whole.map((one) => of(one.before)), whole.map((one) => of(one.now))];
    return {
      name,
      ...SHARE,
      baseline: { num: Float64Array.from(before), den: null },
      current: { num: Float64Array.from(now), den: null },
      binary: [...before, ...now].every((value) => value === 0 || value === 1),
      questions: { clusters },
    };
  });
}

/** Macro-F1, where the run has it and rows say their class and the one they were taken for. `clusters`: as `clustersOf`. */
export function macroF1Quantity(pairs: Pairs, summary: Summary, clusters: Int32Array | null): WholeRun[] {
  if (!(MACRO_F1 in summary.metrics)) return [];
  const { baseline, current, places } = pairs;
  const numbers = new Map<string, number>();
  const numberOf = (label: string): number => {
    const known = numbers.get(label) ?? numbers.size;
    numbers.set(label, known);
    return known;
  };
  /** Gold and said of the baseline, then of the current run: a cell for each four of these. */
  const cells = { fours: [] as number[][], numbers: new Map<string, number>() };
  const cellOf = (four: readonly number[]): number => {
    const key = four.join(' ');
    const known = cells.numbers.get(key);
    if (known !== undefined) return known;
    cells.numbers.set(key, cells.fours.length);
    cells.fours.push([...four]);
    return cells.fours.length - 1;
  };
  const n = places.baseline.length;
  const questions: number[][] = [];
  const counts = { wins: 0, losses: 0, differing: 0 };
  for (let i = 0; i < n; i += 1) {
    const [here, there] = [places.baseline[i]!, places.current[i]!];
    const texts = [baseline.golds[here], baseline.predictions[here], current.golds[there], current.predictions[there]];
    if (!texts.every((text) => typeof text === 'string')) return [];
    const [gold, said, goldNow, saidNow] = texts.map(numberOf) as [number, number, number, number];
    const question = clusters === null ? i : clusters[i]!;
    questions[question] ??= [];
    questions[question].push(cellOf([gold, said, goldNow, saidNow]));
    const [wasRight, isRight] = [gold === said, goldNow === saidNow];
    if (isRight && !wasRight) counts.wins += 1;
    else if (wasRight && !isRight) counts.losses += 1;
    if (said !== saidNow || gold !== goldNow) counts.differing += 1;
  }
  // The twin of a cell may be one that no row is in.
  const seen = cells.fours.length;
  const twins = Array.from({ length: seen }, (_, cell) => {
    const [gold, said, goldNow, saidNow] = cells.fours[cell] as [number, number, number, number];
    return cellOf([goldNow, saidNow, gold, said]);
  });
  for (let cell = seen; cell < cells.fours.length; cell += 1) twins.push(twins.indexOf(cell));
  const kinds = kindsOf(questions, Int32Array.from(twins));
  const column = (place: number) => Int32Array.from(cells.fours, (four) => four[place]!);
  const of = (gold: number, said: number) => macroF1OfCells(column(gold), column(said), numbers.size);
  return [
    { name: MACRO_F1, ...SHARE, binary: false, kinds, baseline: of(0, 1), current: of(2, 3), ...counts, rows: n },
  ];
}

/** The metric of either run over all rows. */
export function wholeRunValues({ kinds, baseline, current }: WholeRun): { baseline: number; current: number } {
  const counts = cellCounts(kinds);
  return { baseline: baseline(counts), current: current(counts) };
}
