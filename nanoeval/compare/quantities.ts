/** The metrics of two paired runs, each as numbers row by row that a ratio of sums is made of. */
import type { Summary } from '../run/outcome.ts';
import { PERPLEXITIES, type PerplexityName } from '../score/perplexity.ts';
import type { Measure } from '../types.ts';
import { type Columns, TEXT_NUMBERS } from './columns.ts';
import type { Pairs } from './pair.ts';

/** A numerator and a denominator for each pair of rows. */
export interface Parts {
  num: Float64Array;
  /** null: 1 in every row, so that the ratio is the mean. */
  den: Float64Array | null;
}

/** A metric in both runs: `of(sum of num / sum of den)`, over the pairs. */
export interface Quantity extends Measure {
  name: string;
  baseline: Parts;
  current: Parts;
  /** Rising; the identity where it is absent. */
  of?: (ratio: number) => number;
  /** Every value is 0 or 1, and the ratio a mean: the pair has wins, losses and ties. */
  binary: boolean;
  /** There is a value for each question and not for each pair of rows; values of one cluster hang together. */
  questions?: { clusters: Int32Array | null };
  /** It follows from the choices' log-likelihoods and not from the verdicts: no run's summary has it. */
  derived?: boolean;
}

/** Mean log-likelihood (natural log) of the right choice. */
export const GOLD = 'gold_loglikelihood';

/** The metrics by row that both runs have, the primary one first. Throws Error for a value that is missing in some rows alone. */
export function quantitiesOf(pairs: Pairs, summary: Summary): Quantity[] {
  const found = [
    ...textQuantities(pairs),
    ...rowQuantities(pairs, summary),
    ...partQuantities(pairs),
    ...goldQuantity(pairs),
  ];
  const { name } = summary.primary;
  return [...found.filter((one) => one.name === name), ...found.filter((one) => one.name !== name)];
}

function take(values: Float64Array, places: Int32Array): Float64Array {
  const taken = new Float64Array(places.length);
  for (let i = 0; i < places.length; i += 1) taken[i] = values[places[i]!]!;
  return taken;
}

/** Perplexities and the share of greedy tokens: ratios of sums over texts. */
function textQuantities({ baseline, current, places }: Pairs): Quantity[] {
  const has = ({ texts, length }: Columns) => texts.logprob.length === length;
  if (!has(baseline) || !has(current)) return [];
  const numbers = (columns: Columns, own: Int32Array) =>
    Object.fromEntries(TEXT_NUMBERS.map((name) => [name, take(columns.texts[name].array(), own)])) as Record<
      (typeof TEXT_NUMBERS)[number],
      Float64Array
    >;
  const [before, now] = [numbers(baseline, places.baseline), numbers(current, places.current)];
  const isThere = (name: string) => baseline.metrics.has(name) && current.metrics.has(name);
  const names = Object.keys(PERPLEXITIES).filter(isThere);
  const perplexities = (names as PerplexityName[]).map((name): Quantity => {
    const { unit, of } = PERPLEXITIES[name];
    const parts = (own: typeof before): Parts => ({ num: own.logprob.map((value) => -value), den: own[unit] });
    return { name, unit: 'number', better: 'lower', baseline: parts(before), current: parts(now), of, binary: false };
  });
  const greedy = (own: typeof before): Parts => ({ num: own.num_greedy, den: own.num_tokens });
  return [
    ...perplexities,
    {
      name: 'token_acc',
      unit: 'share',
      better: 'higher',
      baseline: greedy(before),
      current: greedy(now),
      binary: false,
    },
  ];
}

/** Metrics of rows, and their plain means over subjects. */
function rowQuantities({ baseline, current, places }: Pairs, summary: Summary): Quantity[] {
  const { primary, pooled = [] } = summary;
  // A pooled metric is no mean of what its rows say.
  const names = [...baseline.metrics.keys()].filter((name) => current.metrics.has(name) && !pooled.includes(name));
  const weights = subjectWeights(baseline, places.baseline);
  return names.flatMap((name): Quantity[] => {
    const [before, now] = [
      take(baseline.metrics.get(name)!.array(), places.baseline),
      take(current.metrics.get(name)!.array(), places.current),
    ];
    // A metric that only some rows have is no metric of the run.
    if (before.some(Number.isNaN) || now.some(Number.isNaN)) return [];
    const binary = [before, now].every((values) => values.every((value) => value === 0 || value === 1));
    const measure: Measure =
      name === primary.name
        ? { unit: primary.unit, better: primary.better }
        : { unit: binary ? 'share' : 'number', better: primary.unit === 'share' ? 'higher' : primary.better };
    const own: Quantity = {
      name,
      ...measure,
      baseline: { num: before, den: null },
      current: { num: now, den: null },
      binary,
    };
    if (weights === null) return [own];
    const weighted = (values: Float64Array): Parts => ({
      num: values.map((value, i) => value * weights[i]!),
      den: weights,
    });
    return [own, { ...own, name: `${name}_macro`, baseline: weighted(before), current: weighted(now), binary: false }];
  });
}

/** The weight of each row in the plain mean over subjects; null where there are not several. */
function subjectWeights({ subjects }: Columns, places: Int32Array): Float64Array | null {
  const counts = new Map<string, number>();
  for (const place of places) {
    const subject = subjects[place];
    if (subject === undefined) return null;
    counts.set(subject, (counts.get(subject) ?? 0) + 1);
  }
  if (counts.size < 2) return null;
  return Float64Array.from(places, (place) => 1 / (counts.size * counts.get(subjects[place]!)!));
}

/** Means over the parts of all rows. */
function partQuantities({ baseline, current, places }: Pairs): Quantity[] {
  const names = [...baseline.parts.keys()].filter((name) => current.parts.has(name));
  return names.map((name) => {
    const parts = (columns: Columns, own: Int32Array): Parts => {
      const { sums, counts } = columns.parts.get(name)!;
      return { num: take(sums.array(), own), den: take(counts.array(), own) };
    };
    return {
      name,
      unit: 'share',
      better: 'higher',
      baseline: parts(baseline, places.baseline),
      current: parts(current, places.current),
      binary: false,
    };
  });
}

/** The log-likelihood of the right choice, where each row has one. */
function goldQuantity({ baseline, current, places }: Pairs): Quantity[] {
  const values = (columns: Columns, own: Int32Array): Float64Array | null => {
    const ends = columns.choiceEnds.array();
    const choices = columns.choices.array();
    const gold = new Float64Array(own.length);
    for (let i = 0; i < own.length; i += 1) {
      const place = own[i]!;
      const index = columns.golds[place];
      const start = place === 0 ? 0 : ends[place - 1]!;
      if (typeof index !== 'number' || !(start + index < ends[place]!)) return null;
      gold[i] = choices[start + index]!;
    }
    return gold;
  };
  const [before, now] = [values(baseline, places.baseline), values(current, places.current)];
  if (before === null || now === null) return [];
  return [
    {
      name: GOLD,
      unit: 'number',
      better: 'higher',
      baseline: { num: before, den: null },
      current: { num: now, den: null },
      binary: false,
      derived: true,
    },
  ];
}

/** How far two models are apart whatever is right: they tell a change long before a verdict flips. */
export interface Drift {
  /** Kullback-Leibler divergence of the current from the baseline's distribution over the choices of a row, in nats. */
  kl: { mean: number; p99: number; largest: number } | null;
  /** Mean of |change| of a choice's log-likelihood, in nats. */
  mean_abs_change: number | null;
  /** Share of the rows whose answer is read the same in both. */
  same_prediction: number | null;
}

/** Drift over the pairs; null where rows have no choices or no answers. */
export function driftOf({ baseline, current, places }: Pairs): Drift {
  const n = places.baseline.length;
  const [before, after] = [choicesOf(baseline), choicesOf(current)];
  let same = 0;
  let answers = 0;
  const kl = new Float64Array(n);
  let change = 0;
  let choices = 0;
  for (let i = 0; i < n; i += 1) {
    const [here, there] = [places.baseline[i]!, places.current[i]!];
    const [was, is] = [baseline.predictions[here], current.predictions[there]];
    if (was !== undefined && is !== undefined) {
      answers += 1;
      if (was === is) same += 1;
    }
    const [p, q] = [before.start(here), after.start(there)];
    const count = before.ends[here]! - p;
    if (count === 0 || count !== after.ends[there]! - q) continue;
    kl[i] = divergenceAt(before.values, p, after.values, q, count);
    for (let k = 0; k < count; k += 1) change += Math.abs(before.values[p + k]! - after.values[q + k]!);
    choices += count;
  }
  const sorted = choices === 0 ? null : kl.sort();
  return {
    kl:
      sorted === null
        ? null
        : {
            mean: sorted.reduce((sum, value) => sum + value, 0) / n,
            p99: sorted[Math.min(n - 1, Math.ceil(0.99 * n) - 1)]!,
            largest: sorted[n - 1]!,
          },
    mean_abs_change: choices === 0 ? null : change / choices,
    same_prediction: answers === 0 ? null : same / answers,
  };
}

/** The log-likelihoods of all choices, and where those of the row at a place begin and end. */
function choicesOf({ choices, choiceEnds }: Columns) {
  const ends = choiceEnds.array();
  return { values: choices.array(), ends, start: (place: number) => (place === 0 ? 0 : ends[place - 1]!) };
}

/** KL(p || q) in nats of the distributions over choices that two lists of log-likelihoods stand for. Never below 0. */
export function divergence(p: Float64Array, q: Float64Array): number {
  return divergenceAt(p, 0, q, 0, p.length);
}

/** The same of `count` log-likelihoods from a place on in each of two longer lists. */
function divergenceAt(p: Float64Array, pStart: number, q: Float64Array, qStart: number, count: number): number {
  const [a, b] = [normalizer(p, pStart, count), normalizer(q, qStart, count)];
  let sum = 0;
  for (let k = 0; k < count; k += 1) {
    const logP = p[pStart + k]! - a;
    const weight = Math.exp(logP);
    if (weight > 0) sum += weight * (logP - (q[qStart + k]! - b));
  }
  return Math.max(0, sum);
}

/** log of the sum of exponentials of `count` values. */
function normalizer(values: Float64Array, start: number, count: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let k = start; k < start + count; k += 1) largest = Math.max(largest, values[k]!);
  let sum = 0;
  for (let k = start; k < start + count; k += 1) sum += Math.exp(values[k]! - largest);
  return largest + Math.log(sum);
}
