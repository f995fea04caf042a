/** The numbers of a chart: what may be drawn, how far the axis goes, how a value reads. */
import type { TableRow } from '../types.ts';

/** `share`: 0 to 1, shown as 0 to 100 %. `number`: as it is (a perplexity, bits per byte). */
export type Unit = 'share' | 'number';

/** The value axis. `start` < `end`, in the metric's own unit; each tick has a grid line and its text in `labels`. */
export interface Axis {
  start: number;
  end: number;
  ticks: number[];
  labels: string[];
}

/** Throws Error that names the first value that cannot be drawn. */
export function checkFinite(rows: readonly TableRow[], chance: number | null): void {
  for (const { label, metric, estimate } of rows) {
    for (const x of [estimate.value, estimate.stderr ?? 0, ...(estimate.ci95 ?? [])]) {
      if (!Number.isFinite(x))
        throw new Error(`report/chart: ${label}: ${metric} holds ${x}. It must be a finite number.`);
    }
  }
  if (chance !== null && !Number.isFinite(chance))
    throw new Error(`report/chart: chance is ${chance}, not a finite number.`);
}

/** True when all values and `chance` lie in 0..1. Intervals do not count: that of a share near 1 may well pass 1. */
export function fitsShare(rows: readonly TableRow[], chance: number | null): boolean {
  return [...rows.map((row) => row.estimate.value), chance ?? 0].every((x) => x >= 0 && x <= 1);
}

/** The axis for these rows and this chance: see `shareAxis` and `numberAxis`. */
export function axisOf(unit: Unit, rows: readonly TableRow[], chance: number | null): Axis {
  return unit === 'share' ? shareAxis() : numberAxis(rows, chance);
}

/** From 0 to 1 with a tick every tenth, in percent, whatever the data: charts of shares can be laid side by side. */
function shareAxis(): Axis {
  const percents = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
  return { start: 0, end: 1, ticks: percents.map((p) => p / 100), labels: percents.map((p) => `${p} %`) };
}

/**
 * From 0 to the largest thing drawn (value, interval, chance), or from the smallest one below 0, widened to whole steps
 * of 1, 2 or 5 times a power of ten. At most eight ticks, labels with the decimals that the step has.
 */
export function numberAxis(rows: readonly TableRow[], chance: number | null): Axis {
  const drawn = [0, chance ?? 0, ...rows.flatMap(({ estimate }) => [estimate.value, ...(estimate.ci95 ?? [])])];
  const [low, high] = [Math.min(...drawn), Math.max(...drawn)];
  if (low === high) return { start: 0, end: 1, ticks: [0, 1], labels: ['0', '1'] };

  const power = 10 ** Math.floor(Math.log10((high - low) / 5));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => (high - low) / s <= 6) ?? 10 * power;
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  // Rounded to 12 digits, since 3 * 0.2 is 0.6000000000000001.
  const tick = (i: number) => Number(((first + i) * step).toPrecision(12));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => tick(i));

  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const isOrdinary = Math.max(-low, high) < LARGE && step >= SMALL;
  const labels = ticks.map((t) => (isOrdinary ? decimals(t, digits) : shortNumber(t)));
  return { start: ticks[0]!, end: ticks.at(-1)!, ticks, labels };
}

/**
 * `43.1 ± 0.5` for shares; other numbers have as many decimals as two digits of the standard error ask for, and without
 * one read as `shortNumber` has them.
 */
export function valueText(value: number, stderr: number | null, unit: Unit): string {
  if (unit === 'share') return stderr === null ? percent(value) : `${percent(value)} ± ${percent(stderr)}`;
  if (stderr === null || stderr === 0) return shortNumber(value);
  if (Math.max(Math.abs(value), stderr) >= LARGE) return `${shortNumber(value)} ± ${shortNumber(stderr)}`;
  const digits = Math.min(Math.max(1 - Math.floor(Math.log10(stderr)), 0), 6);
  return `${decimals(value, digits)} ± ${decimals(stderr, digits)}`;
}

function percent(x: number): string {
  return (x * 100).toFixed(1);
}

/** From here on, and below `SMALL`, numbers have an exponent: the perplexity of a broken model can have 30 digits. */
const LARGE = 1e9;
const SMALL = 1e-6;

/** Four significant digits (`0.98`, `31.08`), whole numbers from 1000 on (`37,661`), `1.235e9` for very large ones. */
export function shortNumber(x: number): string {
  const size = Math.abs(x);
  if (size >= LARGE || (size < SMALL && x !== 0)) {
    const [mantissa, exponent] = x.toExponential(3).split('e') as [string, string];
    return `${Number(mantissa)}e${Number(exponent)}`.replaceAll('-', MINUS);
  }
  const digits = x === 0 ? 0 : 3 - Math.floor(Math.log10(size));
  return decimals(size >= 1000 ? x : Number(x.toPrecision(4)), 0, Math.min(Math.max(digits, 0), 12));
}

/** The minus sign, which is as wide as a digit; a hyphen is not. */
const MINUS = '−';

/** Grouped by commas, with `least` to `most` decimals. */
function decimals(x: number, least: number, most = least): string {
  const text = x.toLocaleString('en-US', { minimumFractionDigits: least, maximumFractionDigits: most });
  return text.replace('-', MINUS);
}
