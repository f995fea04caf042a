/** The rule that turns an interval of a difference into one word: did it get worse? */

export type Outcome = 'REGRESSED' | 'IMPROVED' | 'HELD' | 'SUSPECT' | 'UNDERPOWERED';

/** Ends of an interval, low <= high. */
export interface Interval {
  low: number;
  high: number;
}

/**
 * The outcome for an interval of D = current - baseline, in which higher is better (turn the sign of a loss
 * beforehand). `allowed` >= 0 is the drop that is put up with; `differing` counts the rows whose value is not the same
 * in both runs. The first line that holds decides:
 *
 * - REGRESSED: high < -allowed, the drop is surely larger than the allowed one;
 * - IMPROVED: low > 0;
 * - HELD: low >= -allowed, or no row differs: a drop beyond the allowed one is ruled out;
 * - SUSPECT: high < 0, surely a drop, which may be an allowed one or more;
 * - UNDERPOWERED: everything else, too few rows to tell.
 *
 * Throws RangeError on ends that are no numbers or the wrong way round, and on a negative `allowed`.
 */
export function gateOutcome({ low, high }: Interval, allowed: number, differing: number): Outcome {
  if (!(low <= high)) throw new RangeError(`an interval from ${low} to ${high}: the lower end first`);
  if (!(allowed >= 0)) throw new RangeError(`an allowed drop of ${allowed}: a number from 0`);
  if (high < -allowed) return 'REGRESSED';
  if (low > 0) return 'IMPROVED';
  if (low >= -allowed || differing === 0) return 'HELD';
  return high < 0 ? 'SUSPECT' : 'UNDERPOWERED';
}
