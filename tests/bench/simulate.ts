#!/usr/bin/env -S npx tsx
/**
 * How often the gate is right, by simulation: pairs of runs of which the true difference is known, their intervals, and
 * what the gate makes of them. Prints markdown tables; takes two or three minutes of one core.
 *
 *     npx tsx tests/bench/simulate.ts [--pairs 2000] [--seed 1]
 *
 * Rows alone (`differenceInterval`): a row is a win with probability q / 2, a loss with q / 2 + drop. Clusters
 * (`bootstrapMean`, 2,000 draws): four samples of a question, whose probability of being right in the baseline is the
 * question's own, even on (drop, 1), and less by the drop in the current run. Values (`bootstrapMean`): differences of a
 * skewed metric.
 */
import { parseArgs } from 'node:util';
import { bootstrapMean } from '../../nanoeval/score/bootstrap.ts';
import { gateOutcome, type Interval, type Outcome } from '../../nanoeval/score/gate.ts';
import { differenceInterval } from '../../nanoeval/score/paired.ts';
import { type Arms, powerOf, smallestDrop, smallestMeanDrop } from '../../nanoeval/score/power.ts';
import { Random } from '../../nanoeval/score/random.ts';
import { clusteredEstimate } from '../../nanoeval/score/statistics.ts';

const { values: given } = parseArgs({
  options: { pairs: { type: 'string', default: '2000' }, seed: { type: 'string', default: '1' } },
});
const PAIRS = Number(given.pairs);
const random = new Random(Number(given.seed));
const LEVEL = 0.95;
const DRAWS = 2000;
const ALLOWED = 0.01;

/** The interval of one simulated pair of runs, with the rows that differ. */
type Pair = () => { interval: Interval; differing: number };
/** One whose differences have a mean; `arms` draws another pair, and says how far its interval reaches from that. */
type MeanPair = Pair & { arms: () => Arms };

/** Shares of the pairs with each outcome, and of the intervals that hold the true difference. */
function simulate(pair: Pair, truth: number, allowed: number): Record<Outcome | 'covered', number> {
  const counts = { REGRESSED: 0, IMPROVED: 0, HELD: 0, SUSPECT: 0, UNDERPOWERED: 0, covered: 0 };
  for (let i = 0; i < PAIRS; i += 1) {
    const { interval, differing } = pair();
    counts[gateOutcome(interval, allowed, differing)] += 1 / PAIRS;
    if (interval.low <= truth && truth <= interval.high) counts.covered += 1 / PAIRS;
  }
  return counts;
}

const meanOf = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function print(head: readonly string[], rows: readonly (readonly string[])[]): void {
  for (const row of [head, head.map(() => '---'), ...rows]) process.stdout.write(`| ${row.join(' | ')} |\n`);
  process.stdout.write('\n');
}

const known = new Map<string, Interval>();
function intervalOf(wins: number, losses: number, n: number): Interval {
  const key = `${wins} ${losses} ${n}`;
  const found = known.get(key) ?? differenceInterval(wins, losses, n, LEVEL);
  known.set(key, found);
  return found;
}

function rows(n: number, discordance: number, drop: number): Pair {
  return () => {
    const wins = random.binomial(n, discordance / 2);
    const losses = random.binomial(n - wins, (discordance / 2 + drop) / (1 - discordance / 2));
    return { interval: intervalOf(wins, losses, n), differing: wins + losses };
  };
}

function rowsTable(): void {
  const lines: string[][] = [];
  for (const n of [200, 1000, 10_000])
    for (const discordance of [0.02, 0.1, 0.3]) {
      const none = simulate(rows(n, discordance, 0), 0, 0);
      const atAllowed = simulate(rows(n, discordance, ALLOWED), -ALLOWED, ALLOWED);
      const atTwo = simulate(rows(n, discordance, 2 * ALLOWED), -2 * ALLOWED, 2 * ALLOWED);
      const model = { discordance, allowed: 0, level: LEVEL };
      const drop = smallestDrop(n, model)!;
      const found = simulate(rows(n, discordance, drop), -drop, 0);
      const wide = smallestDrop(n, { ...model, allowed: ALLOWED })!;
      const foundBeyond = simulate(rows(n, discordance, wide), -wide, ALLOWED);
      lines.push([
        `${n}`,
        percent(discordance),
        percent(none.covered),
        percent(none.REGRESSED),
        percent(atAllowed.covered),
        percent(atAllowed.HELD + atAllowed.IMPROVED),
        percent(atAllowed.REGRESSED),
        percent(atTwo.HELD + atTwo.IMPROVED),
        `${drop.toFixed(4)}: ${percent(found.REGRESSED)} (exact ${percent(powerOf(n, drop, model))})`,
        `${wide.toFixed(4)}: ${percent(foundBeyond.REGRESSED)}`,
      ]);
    }
  process.stdout.write(`Rows alone, Tango's interval at ${LEVEL}, corrected for skewness, ${PAIRS} pairs a cell.\n\n`);
  print(
    [
      'rows',
      'discordance',
      'coverage, no drop',
      'REGRESSED, no drop, d = 0',
      'coverage, drop 0.01',
      'HELD, drop = d = 0.01',
      'REGRESSED, drop = d = 0.01',
      'HELD, drop = d = 0.02',
      'smallest drop found, d = 0: REGRESSED',
      'the same, d = 0.01',
    ],
    lines,
  );
}

/** Mean over samples of questions; the true standard error by `deviation` is measured, not assumed. */
function clusters(questions: number, samples: number, drop: number): MeanPair & { stderr: () => number } {
  const ids = Float64Array.from({ length: questions * samples }, (_, i) => Math.floor(i / samples));
  const differences = new Float64Array(questions * samples);
  const draw = () => {
    for (let q = 0; q < questions; q += 1) {
      const right = drop + random.uniform() * (1 - drop);
      for (let s = 0; s < samples; s += 1) {
        const before = random.uniform() < right ? 1 : 0;
        differences[q * samples + s] = (random.uniform() < right - drop ? 1 : 0) - before;
      }
    }
  };
  const pair: Pair = () => {
    draw();
    const interval = bootstrapMean(differences, { level: LEVEL, seed: random.bits(), draws: DRAWS }, ids)!;
    return { interval, differing: differences.reduce((sum, value) => sum + Math.abs(value), 0) };
  };
  const stderr = () => {
    draw();
    return clusteredEstimate([...differences], [...ids]).stderr!;
  };
  return Object.assign(pair, { stderr, arms: () => armsOf(pair().interval, differences) });
}

/** Differences of a skewed metric, standard deviation 1: an exponential less its mean and the drop. */
function values(n: number, drop: number): MeanPair {
  const differences = new Float64Array(n);
  const pair: Pair = () => {
    for (let i = 0; i < n; i += 1) differences[i] = -Math.log(random.uniform()) - 1 - drop;
    return { interval: bootstrapMean(differences, { level: LEVEL, seed: random.bits(), draws: DRAWS })!, differing: n };
  };
  return Object.assign(pair, { arms: () => armsOf(pair().interval, differences) });
}

function armsOf({ low, high }: Interval, differences: Float64Array): Arms {
  const mean = meanOf(differences);
  return { above: high - mean, below: mean - low };
}

function bootstrapTable(): void {
  const lines: string[][] = [];
  const cell = (name: string, make: (drop: number) => MeanPair, allowed: number, stderr: number) => {
    const drawn = Array.from({ length: 100 }, make(0).arms);
    const mean = (side: keyof Arms) => drawn.reduce((sum, one) => sum + one[side], 0) / drawn.length;
    const arms = { above: mean('above'), below: mean('below') };
    const drop = smallestMeanDrop(stderr, { allowed: 0, level: LEVEL, arms });
    const none = simulate(make(0), 0, 0);
    const atAllowed = simulate(make(allowed), -allowed, allowed);
    const found = simulate(make(drop), -drop, 0);
    lines.push([
      name,
      percent(none.covered),
      percent(none.REGRESSED),
      `${allowed}: ${percent(atAllowed.HELD + atAllowed.IMPROVED)}`,
      `${drop.toFixed(4)}: ${percent(found.REGRESSED)}`,
    ]);
  };
  for (const questions of [200, 1000]) {
    const stderrs = Array.from({ length: 40 }, clusters(questions, 4, 0).stderr);
    const stderr = stderrs.reduce((sum, one) => sum + one, 0) / stderrs.length;
    cell(`${questions} questions x 4 samples`, (drop) => clusters(questions, 4, drop), ALLOWED, stderr);
  }
  for (const n of [200, 1000]) cell(`${n} rows, exponential`, (drop) => values(n, drop), 0.1, 1 / Math.sqrt(n));
  process.stdout.write(`Bootstrap at ${LEVEL}, ${DRAWS} draws, ${PAIRS} pairs a cell.\n\n`);
  print(
    ['rows', 'coverage, no drop', 'REGRESSED, no drop, d = 0', 'd: HELD, drop = d', 'smallest drop found: REGRESSED'],
    lines,
  );
}

rowsTable();
bootstrapTable();
