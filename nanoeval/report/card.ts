/** A chart of reported values beside ours: two bars a line, ours with its 95 % interval. */
import type * as vegaLite from 'vega-lite';
import { type Faces, widthOf, wrap } from './font.ts';
import { isOfShares, type SuiteLine } from './suite_table.ts';
import { FONT_FAMILY, GRID, INK, PADDING, SOFT_INK, TITLE_CONFIG, TITLE_PLACE, TITLE_SIZE } from './theme.ts';

export interface CardInput {
  title: string;
  subtitle: readonly string[];
  lines: readonly SuiteLine[];
}

const OURS = '#2f6db5';
const REPORTED = '#c3ccd6';
const BAR = 15;
const SIZE = 12;
const PLOT_WIDTH = 420;
/** Pixels between two lines, their bars included. */
const STEP = 2 * BAR + 14;

/** The lines that the chart shows: shares with a reported value, run or not. */
export function cardLines(lines: readonly SuiteLine[]): SuiteLine[] {
  return lines.filter((line) => line.reference !== undefined && isOfShares(line));
}

/** The mean of several metrics goes by its name alone. */
const labelOf = ({ task, metric }: SuiteLine) =>
  metric === null || metric.includes(', ') ? task : `${task}, ${metric}`;

/** The spec, its data included; shares in percent. Throws Error for no lines and for values that are not finite. */
export function cardSpec({ title, subtitle, lines }: CardInput, faces: Faces): vegaLite.TopLevelSpec {
  const shown = cardLines(lines);
  if (shown.length === 0) throw new Error('report/card: there is nothing to draw.');
  const bars = shown.flatMap((line, place) => {
    const [label, { estimate, reference, missing }] = [labelOf(line), line];
    const reported = { label, place, kind: 'reported', value: 100 * reference!.value, low: null, high: null };
    if (estimate === null)
      return [{ ...reported, text: `${percent(reference!.value)} (${missing === undefined ? 'failed' : 'not run'})` }];
    const [low, high] = estimate.ci95 ?? [null, null];
    const scaled = (value: number | null) => (value === null ? null : 100 * value);
    const ours = { label, place, kind: 'ours', value: 100 * estimate.value, low: scaled(low), high: scaled(high) };
    return [
      { ...ours, text: percent(estimate.value) },
      { ...reported, text: percent(reference!.value) },
    ];
  });
  const numbers = bars.flatMap(({ value, low, high }) => [value, low ?? 0, high ?? 0]);
  if (!numbers.every(Number.isFinite)) throw new Error('report/card: a value is not a finite number.');
  const labelWidth = Math.max(...bars.map(({ label }) => widthOf(faces.regular, label, SIZE)));
  const width = labelWidth + PLOT_WIDTH;
  const order: { field: string; sort: string[] } = { field: 'kind', sort: ['ours', 'reported'] };
  const y = {
    field: 'label',
    type: 'nominal',
    sort: [...new Set(bars.map(({ label }) => label))],
    title: null,
  } as const;
  const labels = { labelFontSize: SIZE, labelColor: INK, labelLimit: 0, domain: false, ticks: false, labelPadding: 8 };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: '#ffffff',
    padding: PADDING,
    width: PLOT_WIDTH,
    height: STEP * shown.length,
    title: {
      text: wrap([title], width, faces.bold, TITLE_SIZE),
      subtitle: wrap([...subtitle, 'percent; whiskers: 95 % interval of ours'], width, faces.regular, SIZE),
      ...TITLE_PLACE,
    },
    data: { values: bars },
    encoding: { y: { ...y, axis: labels }, yOffset: order },
    layer: [
      {
        mark: { type: 'bar', height: BAR },
        encoding: {
          x: {
            field: 'value',
            type: 'quantitative',
            scale: { domainMin: 0 },
            axis: { title: null, grid: true, gridColor: GRID, domain: false, ticks: false, labelColor: SOFT_INK },
          },
          color: {
            field: 'kind',
            type: 'nominal',
            scale: { domain: ['ours', 'reported'], range: [OURS, REPORTED] },
            legend: { title: null, orient: 'top', labelFontSize: SIZE, labelColor: INK, symbolType: 'square' },
          },
        },
      },
      {
        transform: [{ filter: 'datum.low !== null' }],
        mark: { type: 'rule', color: INK, strokeWidth: 1.5, yOffset: { expr: `bandwidth('yOffset') / 2` } },
        encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
      },
      {
        transform: [{ calculate: 'datum.high === null ? datum.value : max(datum.value, datum.high)', as: 'end' }],
        mark: {
          type: 'text',
          align: 'left',
          dx: 6,
          fontSize: 11,
          color: SOFT_INK,
          yOffset: { expr: `bandwidth('yOffset') / 2` },
        },
        encoding: { x: { field: 'end', type: 'quantitative' }, text: { field: 'text', type: 'nominal' } },
      },
    ],
    config: { aria: false, font: FONT_FAMILY, view: { stroke: null }, title: TITLE_CONFIG },
  };
}

const percent = (value: number) => (100 * value).toFixed(1);
