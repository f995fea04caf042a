/** Small pieces that the views are made of, and how numbers read. Texts become text nodes alone, whatever is in them. */
import { type ComponentChildren, createElement, type VNode } from 'preact';
import { shortNumber, valueText } from '../report/chart_values.ts';
import type { RowStatus } from '../report/page_shape.ts';
import type { Estimate, Primary } from '../types.ts';

interface Make {
  (type: string, props?: object | null, ...children: ComponentChildren[]): VNode;
  <P>(type: (props: P) => VNode | null, props: P & { key?: string | number }, ...children: ComponentChildren[]): VNode;
}

/** An element or a component. */
export const h = createElement as unknown as Make;

/** What a status is called, and its sign: colour alone tells nobody who does not see it. */
export const STATUS: Record<RowStatus, { name: string; sign: string }> = {
  r: { name: 'right', sign: '✓' },
  w: { name: 'wrong', sign: '✗' },
  u: { name: 'unparsed', sign: '?' },
  f: { name: 'failed', sign: '!' },
  s: { name: 'scored', sign: '·' },
  n: { name: 'no verdict', sign: '–' },
};

export function Status({ of, words = false }: { of: RowStatus; words?: boolean }): VNode {
  const { name, sign } = STATUS[of];
  return h('span', { class: `status status-${name.replace(' ', '-')}` }, [
    h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
    h('span', { class: words ? '' : 'unseen' }, name),
  ]);
}

/** A value of a metric with its standard error. */
export function valueWith({ value, stderr }: Estimate, unit: Primary['unit']): string {
  if (value === null || !Number.isFinite(value)) return 'not finite';
  return valueText(value, stderr, unit) + (unit === 'share' ? ' %' : '');
}

export const plain = (value: number, unit: Primary['unit']): string =>
  unit === 'share' ? `${(100 * value).toFixed(1)} %` : shortNumber(value);

/** The 95 % interval, `41.2 to 45.0 %`. */
export function intervalOf({ ci95 }: Pick<Estimate, 'ci95'>, unit: Primary['unit']): string {
  if (ci95 === null) return '';
  const [low, high] = ci95;
  return unit === 'share'
    ? `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)} %`
    : `${shortNumber(low)} to ${shortNumber(high)}`;
}

/** A share and its interval on a line from 0 to 1, with the mark of chance. */
export function Meter({ estimate, chance }: { estimate: Estimate; chance?: number | null }): VNode {
  const { value, ci95 } = estimate;
  const [low, high] = ci95 ?? [value, value];
  const at = (share: number) => `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
  return h('span', { class: 'meter', 'aria-hidden': 'true' }, [
    h('span', { class: 'meter-value', style: { width: at(value) } }),
    h('span', { class: 'meter-interval', style: { left: at(low), width: at(high - low) } }),
    chance == null ? null : h('span', { class: 'meter-chance', style: { left: at(chance) } }),
  ]);
}

export const count = (n: number): string => n.toLocaleString('en-US');

/** A text of a model or of the data: shown as it is, in its own direction, broken where it must be. */
export function Said({ text, class: name = '' }: { text: string; class?: string }): VNode {
  return h('div', { class: `said ${name}`, dir: 'auto', ...(name.includes('box') ? { tabIndex: 0 } : {}) }, text);
}

/** What may be wider than its place, and is then scrolled, by keys too. */
export function Wide({ name, children }: { name: string; children?: ComponentChildren }): VNode {
  return h('div', { class: 'wide', role: 'region', tabIndex: 0, 'aria-label': name }, children);
}

/** A heading with what belongs under it. */
export function Part({ title, note, children }: { title: string; note?: string; children?: ComponentChildren }): VNode {
  return h('section', { class: 'part' }, [
    h('h4', null, [title, note ? h('small', null, ` ${note}`) : null]),
    children,
  ]);
}
