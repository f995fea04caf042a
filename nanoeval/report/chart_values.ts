/** The numbers of a chart: what may be drawn, how far the axis goes, how a value reads. */
import type { TableRow } from '../types.ts';

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

/** By the values alone: the interval of a share near 1 on few rows may well pass 1. */
export function fitsShare(rows: readonly TableRow[], chance: number | null): boolean {
  return [...rows.map((row) => row.estimate.value), chance ?? 0].every((x) => x >= 0 && x <= 1);
}

/** Ends of the axis: 0 and all that is drawn, widened to round numbers. */
export function numberDomain(rows: readonly TableRow[], chance: number | null): readonly [number, number] {
  const drawn = [0, chance ?? 0, ...rows.flatMap(({ estimate }) => [estimate.value, ...(estimate.ci95 ?? [])])];
  const [low, high] = [Math.min(...drawn), Math.max(...drawn)];
  if (low === high) return [0, 1];
  const unit = 10 ** Math.floor(Math.log10((high - low) / 5));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => (high - low) / s <= 6) ?? 10 * unit;
  return [Math.floor(low / step) * step, Math.ceil(high / step) * step];
}

/** `43.1 ± 0.5` for shares; other numbers have as many decimals as two digits of the standard error ask for. */
export function valueText(value: number, stderr: number | null, isShare: boolean): string {
  if (isShare) return stderr === null ? percent(value) : `${percent(value)} ± ${percent(stderr)}`;
  if (stderr === null || stderr === 0) return shortNumber(value);
  const digits = Math.min(Math.max(1 - Math.floor(Math.log10(stderr)), 0), 6);
  return `${decimals(value, digits)} ± ${decimals(stderr, digits)}`;
}

function percent(x: number): string {
  return (x * 100).toFixed(1);
}

/** Four significant digits; whole numbers from 1000 on. */
export function shortNumber(x: number): string {
  const digits = x === 0 ? 0 : 3 - Math.floor(Math.log10(Math.abs(x)));
  return decimals(Number(x.toPrecision(4)), 0, Math.min(Math.max(digits, 0), 12));
}

function decimals(x: number, least: number, most = least): string {
  const text = x.toLocaleString('en-US', { minimumFractionDigits: least, maximumFractionDigits: most });
  return text.replace('-', '−'); // the minus sign that the axis has
}
