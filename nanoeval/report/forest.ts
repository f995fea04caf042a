/** A forest chart: paired differences with their intervals, and how much each was allowed to drop. */
import type * as vegaLite from 'vega-lite';
import { type Faces, widthOf, wrap } from './font.ts';
import { FONT_FAMILY, GRID, INK, PADDING, SOFT_INK, TITLE_CONFIG, TITLE_PLACE } from './theme.ts';

/** One line of the chart. Numbers in the panel's unit; below 0 is worse. */
export interface ForestLine {
  label: string;
  difference: number;
  interval: [number, number] | null;
  /** 0 or more: the mark stands at minus this. */
  allowed: number;
  /** Written behind, and what the point is coloured by. */
  verdict: string;
}

/** Lines that share an axis. */
export interface ForestPanel {
  /** What the axis says: `percentage points`. */
  unit: string;
  lines: readonly ForestLine[];
}

export interface ForestInput {
  title: string;
  subtitle: readonly string[];
  panels: readonly ForestPanel[];
}

const ALLOWED = '#b42318';
/** Of the points, by verdict; others are grey. */
const COLOURS: Record<string, string> = {
  REGRESSED: '#b42318',
  SUSPECT: '#c8760a',
  UNDERPOWERED: '#7b8794',
  HELD: '#2f6db5',
  IMPROVED: '#2a8f5d',
};
const ROW = 26;
const SIZE = 12;
const NOTE = 10.5;
const PLOT_WIDTH = 380;

type Spec = Extract<vegaLite.TopLevelSpec, { vconcat: unknown }>;
type Panel = Spec['vconcat'][number];

/** The spec, its data included. Throws Error for no lines and for values that are not finite. */
export function forestSpec({ title, subtitle, panels }: ForestInput, faces: Faces): vegaLite.TopLevelSpec {
  const filled = panels.filter(({ lines }) => lines.length > 0);
  const all = filled.flatMap(({ lines }) => lines);
  if (all.length === 0) throw new Error('report/forest: there is nothing to draw.');
  const numbers = all.flatMap(({ difference, interval, allowed }) => [difference, allowed, ...(interval ?? [])]);
  if (!numbers.every(Number.isFinite)) throw new Error('report/forest: a value is not a finite number.');
  const labelWidth = Math.max(...all.map(({ label }) => widthOf(faces.regular, label, SIZE)));
  const textWidth = Math.max(...all.map((line) => widthOf(faces.regular, textOf(line), SIZE)));
  const width = labelWidth + PLOT_WIDTH + textWidth;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: '#ffffff',
    padding: PADDING,
    title: {
      text: wrap([title], width, faces.bold, 16),
      subtitle: wrap(subtitle, width, faces.regular, SIZE),
      ...TITLE_PLACE,
    },
    vconcat: filled.map((panel, i) => panelSpec(panel, i, labelWidth, textWidth)),
    spacing: 18,
    config: {
      aria: false,
      font: FONT_FAMILY,
      view: { stroke: null },
      title: TITLE_CONFIG,
      axisX: {
        domain: false,
        ticks: false,
        gridColor: GRID,
        labelColor: SOFT_INK,
        labelFontSize: NOTE,
        labelPadding: 7,
        titleColor: SOFT_INK,
        titleFontSize: NOTE,
        titleFontWeight: 400,
        titlePadding: 8,
      },
    },
  };
}

const number = (value: number): string => {
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
  return Number(text) > 0 ? `+${text}` : text.replace(/^-(0\.00)$/, '$1');
};

const textOf = ({ verdict, difference, interval }: ForestLine): string =>
  `${verdict}  ${number(difference)}${interval === null ? '' : `  (${interval.map(number).join(' to ')})`}`;

/** `index`: of the panel; names of marks have to differ over all panels. */
function panelSpec({ unit, lines }: ForestPanel, index: number, labelWidth: number, textWidth: number): Panel {
  const height = lines.length * ROW;
  const values = lines.map((line, i) => ({
    label: line.label,
    text: textOf(line),
    difference: line.difference,
    low: line.interval?.[0] ?? null,
    high: line.interval?.[1] ?? null,
    mark: -line.allowed,
    middle: (i + 0.5) * ROW,
    top: i * ROW + 5,
    bottom: (i + 1) * ROW - 5,
    colour: COLOURS[line.verdict] ?? COLOURS.UNDERPOWERED!,
  }));
  const ends = values.flatMap(({ difference, low, high, mark }) => [difference, low ?? 0, high ?? 0, mark, 0]);
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const margin = 0.06 * (most - least || 1);
  const x = (field: string) => ({
    field,
    type: 'quantitative' as const,
    scale: { domain: [least - margin, most + margin], nice: false, zero: false },
    axis: { title: `${unit}; below 0 is worse`, tickCount: 6, format: '~f' },
  });
  const y = (field: string) => ({ field, type: 'quantitative' as const, scale: null, axis: null });
  const colour = { field: 'colour', type: 'nominal' as const, scale: null, legend: null };
  const text = (field: string) => ({ field, type: 'nominal' as const });
  const words = { type: 'text', baseline: 'middle', fontSize: SIZE, color: INK } as const;
  return {
    width: PLOT_WIDTH,
    height,
    data: { values },
    layer: [
      {
        data: { values: [{}] },
        mark: { type: 'rule', color: SOFT_INK, strokeWidth: 1 },
        encoding: { x: { datum: 0, type: 'quantitative' }, y: { value: 0 }, y2: { value: height } },
      },
      {
        name: `interval_${index}`,
        transform: [{ filter: 'datum.low !== null' }],
        mark: { type: 'rule', strokeWidth: 2 },
        encoding: { x: x('low'), x2: { field: 'high' }, y: y('middle'), color: colour },
      },
      {
        name: `difference_${index}`,
        mark: { type: 'point', filled: true, size: 70, opacity: 1 },
        encoding: { x: x('difference'), y: y('middle'), color: colour },
      },
      {
        name: `allowed_${index}`,
        mark: { type: 'rule', color: ALLOWED, strokeWidth: 1.4, strokeDash: [3, 2] },
        encoding: { x: x('mark'), y: y('top'), y2: { field: 'bottom' } },
      },
      {
        name: `label_${index}`,
        mark: { ...words, align: 'right' },
        encoding: { x: { value: -12 }, y: y('middle'), text: text('label') },
      },
      {
        name: `text_${index}`,
        mark: { ...words, align: 'left' },
        encoding: { x: { value: PLOT_WIDTH + 12 }, y: y('middle'), text: text('text') },
      },
      // Room for the texts on both sides: an empty mark at each end.
      ...[-12 - labelWidth, PLOT_WIDTH + 12 + textWidth].map((place) => ({
        data: { values: [{}] },
        mark: { type: 'text' as const, text: '' },
        encoding: { x: { value: place }, y: { value: 0 } },
      })),
    ],
  };
}
