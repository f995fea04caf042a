/**
 * Rows sorted into classes: the class that a saved row chooses, and what precision, recall and F1 make of all of them.
 * Definitions and names are scikit-learn's (`precision_recall_fscore_support`, `f1_score(average='macro')`), with
 * `zero_division=0`: a share of nothing is 0. As there, a class that is neither gold nor predicted in any row has no scores.
 */
import type { Prediction, ScoredRow, Verdict } from '../questions.ts';
import { type Confusion, type Estimate, RowError, type Scores } from '../types.ts';
import { rank } from './loglikelihood.ts';
import { clusteredEstimate, estimate, interval, mean, ratioEstimate } from './statistics.ts';
import { type PrimaryRule, summarizeRows } from './summarize.ts';

/** The right class of a row, and the classes that there are, in the order of the choices or of the head's ids. */
export interface ClassGold {
  label: string;
  labels: readonly string[];
}

/**
 * The class of a row that was ranked: the most likely label. With as many choices again, those are the labels after a prompt
 * without content, and their log-likelihoods are subtracted first (contextual calibration: Zhao et al. 2021,
 * https://arxiv.org/abs/2102.09690, section 5, with W = diag(p_cf)^-1 and b = 0); `acc_raw` is then without it.
 * Throws RowError for another number of choices and for log-likelihoods that are not finite.
 */
export function rankedVerdict({ choices = [], gold }: Pick<Prediction<ClassGold>, 'choices' | 'gold'>): Verdict {
  const { labels } = gold;
  const [own, empty] = [choices.slice(0, labels.length), choices.slice(labels.length)];
  if (own.length < labels.length || (empty.length > 0 && empty.length !== labels.length))
    throw new RowError('choices', `${choices.length} choices for ${labels.length} labels.`);
  const raw = rank(own, false).acc!;
  if (empty.length === 0) return verdictOf(raw, gold);
  const left = own.map((choice, i) => ({ ...choice, logprob: choice.logprob - empty[i]!.logprob }));
  return verdictOf(rank(left, false).acc!, gold, { acc_raw: labels[raw] === gold.label ? 1 : 0 });
}

/** The class that a head finds most likely, the first of equals. Throws RowError where its numbers are not those of the labels. */
export function headVerdict({
  label_logprobs = [],
  gold,
}: Pick<Prediction<ClassGold>, 'label_logprobs' | 'gold'>): Verdict {
  if (label_logprobs.length !== gold.labels.length)
    throw new RowError('labels', `${label_logprobs.length} log-probabilities for ${gold.labels.length} labels.`);
  if (!label_logprobs.every(Number.isFinite)) throw new RowError('nan', 'a log-probability is not a number.');
  return verdictOf(label_logprobs.indexOf(Math.max(...label_logprobs)), gold);
}

function verdictOf(place: number, { label, labels }: ClassGold, more: Record<string, number> = {}): Verdict {
  const prediction = labels[place]!;
  const correct = prediction === label ? 1 : 0;
  return { prediction, correct, metrics: { acc: correct, ...more } };
}

type Row = ScoredRow<ClassGold>;

/** How often each class was taken for each; labels in the order in which rows name them. */
export function confusionOf(rows: readonly Row[]): Confusion {
  const places = new Map<string, number>();
  for (const { gold } of rows) for (const label of gold.labels) if (!places.has(label)) places.set(label, places.size);
  const labels = [...places.keys()];
  const counts = labels.map(() => labels.map(() => 0));
  for (const { gold, prediction } of rows) counts[places.get(gold.label)!]![places.get(String(prediction))!]! += 1;
  return { labels, counts };
}

/** What of a class a row has: F1 = 2 hits / (gold + predicted), each a sum over rows. */
const partsOf = (rows: readonly Row[], label: string) =>
  rows
    .map(({ index, gold, prediction }) => ({ index, isGold: gold.label === label, isSaid: prediction === label }))
    .filter(({ isGold, isSaid }) => isGold || isSaid);

const within = (estimate: Estimate): Estimate => ({
  ...estimate,
  ci95: estimate.ci95 === null ? null : [Math.max(0, estimate.ci95[0]), Math.min(1, estimate.ci95[1])],
});

/** Of one class. `n`: the rows that were taken for it (precision), that are of it (recall, support), or both (F1). */
function scoresOfLabel(parts: ReturnType<typeof partsOf>): Record<string, Estimate> {
  const shareOf = (some: typeof parts): Estimate => {
    if (some.length === 0) return { value: 0, stderr: null, ci95: null, n: 0 };
    const hits = some.map(({ isGold, isSaid }) => (isGold && isSaid ? 1 : 0));
    const clusters = some.map(({ index }) => index);
    return new Set(clusters).size < clusters.length ? clusteredEstimate(hits, clusters) : estimate(hits);
  };
  const f1 = ratioEstimate(
    parts.map(({ isGold, isSaid }) => (isGold && isSaid ? 2 : 0)),
    parts.map(({ isGold, isSaid }) => Number(isGold) + Number(isSaid)),
    parts.map(({ index }) => index),
  );
  const ofIt = parts.filter(({ isGold }) => isGold);
  return {
    precision: shareOf(parts.filter(({ isSaid }) => isSaid)),
    recall: shareOf(ofIt),
    f1: within(f1),
    support: { value: ofIt.length, stderr: null, ci95: null, n: ofIt.length },
  };
}

/**
 * The plain mean of the classes' F1. Its standard error is the linearised one: a row moves the F1 of its class and of the one
 * it was taken for by (2 hit - F1 (gold + predicted)) / (sum of gold + predicted), and rows of one index hang together.
 */
function macroF1(rows: readonly Row[], byLabel: Readonly<Record<string, Record<string, Estimate>>>): Estimate {
  const { labels, counts } = confusionOf(rows);
  const total = (place: number) =>
    counts[place]!.reduce((sum, count) => sum + count, 0) + counts.reduce((sum, row) => sum + row[place]!, 0);
  const of = new Map(labels.map((label, i) => [label, { f1: byLabel[label]?.f1?.value ?? 0, weight: total(i) }]));
  const moves = new Map<number, number>();
  for (const { index, gold, prediction } of rows) {
    const [own, said] = [of.get(gold.label)!, of.get(String(prediction))!];
    const move = own === said ? (2 - 2 * own.f1) / own.weight : -own.f1 / own.weight - said.f1 / said.weight;
    moves.set(index, (moves.get(index) ?? 0) + move);
  }
  const values = Object.values(byLabel).map(({ f1 }) => f1!.value);
  const [value, count] = [mean(values), moves.size];
  const squares = [...moves.values()].reduce((sum, move) => sum + (move / values.length) ** 2, 0);
  const stderr = count < 2 ? null : Math.sqrt((count / (count - 1)) * squares);
  return within({ value, stderr, ci95: interval(value, stderr, count, false), n: rows.length });
}

/** The name of the plain mean of the classes' F1. */
export const MACRO_F1 = 'macro_f1';

/**
 * Macro-F1 from counts of cells, each of which has rows of one class that were taken for one class (places from 0 to below
 * `classes`): the plain mean over the classes that are gold or predicted in a row. For who computes it again and again.
 */
export function macroF1OfCells(gold: Int32Array, said: Int32Array, classes: number): (counts: Float64Array) => number {
  const hits = new Float64Array(classes);
  const totals = new Float64Array(classes);
  return (counts) => {
    hits.fill(0);
    totals.fill(0);
    for (let cell = 0; cell < gold.length; cell += 1) {
      const [own, taken, count] = [gold[cell]!, said[cell]!, counts[cell]!];
      totals[own]! += count;
      totals[taken]! += count;
      if (own === taken) hits[own]! += count;
    }
    let [sum, there] = [0, 0];
    for (let place = 0; place < classes; place += 1) {
      if (totals[place] === 0) continue;
      sum += (2 * hits[place]!) / totals[place]!;
      there += 1;
    }
    return sum / there;
  };
}

/** Means over rows, `macro_f1`, the scores of each class as those of a tag, and the confusion matrix. */
export function summarizeClasses(rows: readonly Row[], rule: PrimaryRule): Scores {
  const chance = mean(rows.map(({ gold }) => 1 / gold.labels.length));
  const scores = summarizeRows(rows, rule, chance);
  const confusion = confusionOf(rows);
  const byLabel = Object.fromEntries(
    confusion.labels
      .map((label) => [label, partsOf(rows, label)] as const)
      .filter(([, parts]) => parts.length > 0)
      .map(([label, parts]) => [label, scoresOfLabel(parts)]),
  );
  return {
    ...scores,
    metrics: { ...scores.metrics, [MACRO_F1]: macroF1(rows, byLabel) },
    tags: byLabel,
    pooled: [MACRO_F1, 'precision', 'recall', 'f1', 'support'],
    confusion,
  };
}
