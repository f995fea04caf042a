/**
 * How small a drop two paired runs would find. "Found" is the outcome REGRESSED of gate.ts: the upper end of the
 * interval of the difference lies below -allowed.
 *
 * The model, for a metric of 0 and 1: `discordance` is the share of rows that differ between runs of models that are
 * equally good, half of them wins and half losses. A drop adds losses and leaves the wins as they are. So a row is a
 * win with probability discordance / 2, a loss with discordance / 2 + drop, else the same in both runs. A change that
 * turns wins into losses as well leaves fewer rows that differ and is found a little more often.
 */
import { binomialMass, binomialUpper, criticalValue, normalCdf, normalQuantile } from './distributions.ts';
import { correctedStatistic, scoreDeviation } from './paired.ts';

export interface PowerModel {
  /** Share of rows that differ with no true difference, from 0 to below 1. */
  discordance: number;
  /** The drop that is put up with, >= 0. */
  allowed: number;
  /** Of the interval. */
  level: number;
  /** Wanted probability of finding the drop, 0.8 without it. */
  power?: number;
  /** The baseline's accuracy, where known: no more rows than are right can be lost. */
  accuracy?: number;
}

const POWER = 0.8;
/** Expected rows that differ above which the normal approximation stands in; it is within 0.003 of the sum there. */
const MANY = 10_000;
/** Standard deviations of the wins that are added up. */
const REACH = 8;
const MOST_ROWS = 1e8;
const STEPS = 40;

/**
 * Share of rows that differ between two equally good runs, 2 p (1 - p) (1 - correlation), from their accuracy p and the
 * correlation of their rows' values (Miller 2024, "Adding Error Bars to Evals", on paired differences). Correlation 0:
 * runs that have nothing to do with each other. Without it 0.5, a guess for two checkpoints of one training; a
 * quantised and a full model agree more. Throws RangeError on values outside [0, 1].
 */
export function discordanceOf(accuracy: number, correlation = 0.5): number {
  if (!(accuracy >= 0 && accuracy <= 1)) throw new RangeError(`accuracy ${accuracy}: from 0 to 1`);
  if (!(correlation >= 0 && correlation <= 1)) throw new RangeError(`correlation ${correlation}: from 0 to 1`);
  return 2 * accuracy * (1 - accuracy) * (1 - correlation);
}

function checkModel({ discordance, allowed, power = POWER, accuracy = 1 }: PowerModel): void {
  if (!(discordance >= 0 && discordance < 1)) throw new RangeError(`discordance ${discordance}: from 0 to below 1`);
  if (!(allowed >= 0)) throw new RangeError(`an allowed drop of ${allowed}: a number from 0`);
  if (!(power > 0 && power < 1)) throw new RangeError(`power ${power}: above 0 and below 1`);
  if (!(accuracy >= 0 && accuracy <= 1)) throw new RangeError(`accuracy ${accuracy}: from 0 to 1`);
}

/** The largest drop that the model has room for. */
const largestDrop = ({ discordance, accuracy = 1 }: PowerModel) =>
  Math.min(1 - discordance, accuracy - discordance / 2);

/** The fewest losses beside `wins` that put the interval's upper end below -allowed; n - wins + 1 where none do. */
function fewestLosses(wins: number, n: number, allowed: number, z: number, from: number): number {
  let [low, high] = [from, n - wins + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (correctedStatistic(wins, middle, n, -allowed, z) < -z) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** P(REGRESSED), summed over the counts of wins; the losses beside each are a binomial tail. */
function exactPower(n: number, win: number, loss: number, allowed: number, z: number): number {
  const reach = REACH * Math.sqrt(n * win * (1 - win)) + REACH;
  const last = Math.min(n, Math.ceil(n * win + reach));
  let sum = 0;
  let losses = 0;
  for (let wins = Math.max(0, Math.floor(n * win - reach)); wins <= last; wins += 1) {
    losses = fewestLosses(wins, n, allowed, z, losses);
    const rest = n - wins;
    if (losses <= rest) sum += binomialMass(wins, n, win) * binomialUpper(losses, rest, Math.min(1, loss / (1 - win)));
    else break;
  }
  return Math.min(1, sum);
}

/** The same from the normal distribution of wins - losses, with the score test's variance at the expected counts. */
function normalPower(n: number, win: number, loss: number, allowed: number, z: number): number {
  const drop = loss - win;
  const [wins, losses] = [n * win, n * loss];
  const underHypothesis = scoreDeviation(wins, losses, n, -allowed);
  const underTruth = Math.sqrt(n * (win + loss - drop * drop));
  return normalCdf((n * (drop - allowed) - z * underHypothesis) / underTruth);
}

/**
 * Probability that `n` rows find a true `drop`. A sum over all counts (to 1e-12); above 10,000 expected rows that
 * differ a normal approximation, within 0.003 of it. Throws RangeError on values out of range and on a drop that the
 * model has no room for.
 */
export function powerOf(n: number, drop: number, model: PowerModel): number {
  checkModel(model);
  if (!(Number.isSafeInteger(n) && n >= 1)) throw new RangeError(`${n} rows: a whole number from 1`);
  if (!(drop >= 0 && drop <= largestDrop(model) + 1e-12))
    throw new RangeError(`a drop of ${drop}: from 0 to ${largestDrop(model)}`);
  const win = model.discordance / 2;
  const z = criticalValue(model.level);
  const count = n * (2 * win + drop) > MANY ? normalPower : exactPower;
  return count(n, win, win + drop, model.allowed, z);
}

/**
 * The smallest true drop that `n` rows find with the wanted probability, to 1e-9. null where even the largest drop the
 * model has room for (every row that can be lost is lost) is found less often: too few rows, or `allowed` too large.
 * Throws RangeError on values out of range.
 */
export function smallestDrop(n: number, model: PowerModel): number | null {
  checkModel(model);
  const wanted = model.power ?? POWER;
  let [low, high] = [model.allowed, largestDrop(model)];
  if (low >= high || powerOf(n, high, model) < wanted) return null;
  // More drop adds losses alone, so the probability rises with it.
  for (let step = 0; step < STEPS && high - low > 1e-9; step += 1) {
    const middle = (low + high) / 2;
    if (powerOf(n, middle, model) < wanted) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * Rows with which a true `drop` is found with the wanted probability; one row fewer finds it less often. Counts are
 * whole, so the probability rises with the rows in small saw teeth, and somewhat more rows may fall short by a percent
 * or two. null where no number up to 1e8 is enough: `drop` is at or too near the allowed one. Throws RangeError on
 * values out of range.
 */
export function rowsNeeded(drop: number, model: PowerModel): number | null {
  const wanted = model.power ?? POWER;
  const enough = (n: number) => powerOf(n, drop, model) >= wanted;
  let [few, many] = [0, 1];
  if (drop <= model.allowed) {
    powerOf(1, drop, model);
    return null;
  }
  while (!enough(many)) {
    if (many >= MOST_ROWS) return null;
    [few, many] = [many, Math.min(2 * many, MOST_ROWS)];
  }
  while (many - few > 1) {
    const middle = Math.floor((few + many) / 2);
    if (enough(middle)) many = middle;
    else few = middle;
  }
  return many;
}

/** How far an interval reaches from the value on either side. */
export interface Arms {
  above: number;
  below: number;
}

/**
 * The same for the mean of any metric, from the standard error of its paired difference (clustered where rows hang
 * together): allowed + arm above + (z of the power) * (standard error of the interval's upper end). `arms`: a bootstrap of skewed
 * values has arms of two lengths. Without them the normal approximation. Throws RangeError on values out of range.
 *
 * Of a skewed metric the mean and its standard error rise and fall together, so the interval's end varies by
 * 1 + z * skewness times the mean's variance. The arms tell the mean's skewness (Cornish and Fisher 1938): they are
 * stderr * (z + skewness * (z^2 - 1) / 6) above and the same with a minus below.
 */
export function smallestMeanDrop(
  stderr: number,
  { allowed, level, power = POWER, arms }: Pick<PowerModel, 'allowed' | 'level' | 'power'> & { arms?: Arms },
): number {
  if (!(stderr >= 0)) throw new RangeError(`a standard error of ${stderr}: a number from 0`);
  checkModel({ discordance: 0, allowed, level, power });
  const z = criticalValue(level);
  const { above, below } = arms ?? { above: z * stderr, below: z * stderr };
  const skewness = stderr === 0 ? 0 : (3 * (above - below)) / (stderr * (z * z - 1));
  return allowed + above + normalQuantile(power) * stderr * Math.sqrt(Math.max(0, 1 + z * skewness));
}
