/** The Vega-Lite spec of a chart: its colours, its layers, its words. */
import type * as vegaLite from 'vega-lite';
import type { TableRow } from '../types.ts';
import { ALL_KEY, LABEL_GAP, LABEL_SIZE, PLOT_WIDTH, type Plot, plotOf, VALUE_SIZE } from './chart_bars.ts';
import { checkFinite, fitsShare, shortNumber, type Unit } from './chart_values.ts';
import { type Faces, oneLine, widthOf, wrap } from './font.ts';
import {
  FONT_FAMILY,
  GRID,
  INK,
  PADDING,
  SOFT_INK,
  SUBTITLE_SIZE,
  TITLE_CONFIG,
  TITLE_PLACE,
  TITLE_SIZE,
} from './theme.ts';

/** What the two title lines say. */
export interface ChartTitle {
  model: string;
  task: string;
  recipe: string;
  /** Number of scored rows. */
  n: number;
  /** Further facts for the second line, put after the recipe: `q4`, `first 100 rows of each subject`. */
  details?: readonly string[];
}

/** What a chart is made of. */
export interface ChartInput {
  title: ChartTitle;
  /** The metric to draw; rows of other metrics are left out. */
  metric: string;
  /**
   * Of the metric. `share`: 0 to 1, on an axis from 0 to 100 %. `number`: as it is, on an axis made for the data, also
   * where all values happen to lie in 0..1 (bits per byte).
   */
  unit: Unit;
  /** Which values of the metric are good ones; the note below the chart says so when it is the low ones. */
  better: 'higher' | 'lower';
  /** Where the dashed line stands, in the metric's own unit; null for none. */
  chance: number | null;
  rows: readonly TableRow[];
}

const LEGEND_SIZE = 11.5;
/** Of the note, the axis labels and the chance label. */
const NOTE_SIZE = 10.5;
const LEGEND_ROW = 19;
const LEGEND_SYMBOL = 24;

const CHANCE = '#b42318';
const ALL_COLOUR = '#7b8794';
/** Light enough for a dark whisker to stand out. More groups than these all get the first, and no legend. */
const GROUP_COLOURS = [
  '#5a8fd0',
  '#ec9a57',
  '#57b387',
  '#b083c9',
  '#d6b443',
  '#dd7078',
  '#55b5c7',
  '#a98a6f',
  '#e398c0',
  '#9bab55',
] as const;

const CONFIG = {
  // Without this every bar carries a sentence for screen readers, which doubles the file; the CSV serves them better.
  aria: false,
  font: FONT_FAMILY,
  view: { stroke: null },
  title: TITLE_CONFIG,
  axisX: {
    domain: false,
    ticks: false,
    gridColor: GRID,
    labelColor: SOFT_INK,
    labelFontSize: NOTE_SIZE,
    labelPadding: 7,
    labelFlush: false,
    labelOverlap: false,
  },
  legend: {
    labelColor: INK,
    labelFontSize: LEGEND_SIZE,
    labelLimit: 0,
    symbolType: 'square',
    symbolSize: 110,
    symbolStrokeWidth: 0,
    symbolOpacity: 1,
  },
} satisfies vegaLite.Config;

type Layer = Extract<vegaLite.TopLevelSpec, { layer: unknown }>['layer'][number];

/**
 * The spec of one chart, its data included.
 *
 * Throws Error when no row has the metric, when a value is not finite, and when a share lies outside 0..1: the caller
 * has then taken the unit of another metric.
 */
export function chartSpec(input: ChartInput, faces: Faces): vegaLite.TopLevelSpec {
  const { chance, metric, title, unit } = input;
  const rows = input.rows.filter((row) => row.metric === metric);
  if (rows.length === 0)
    throw new Error(`report/chart: no row has the metric "${metric}". There must be one at least.`);
  checkFinite(rows, chance);
  if (unit === 'share' && !fitsShare(rows, chance))
    throw new Error(`report/chart: ${metric} has values outside 0..1. Such a metric has the unit "number".`);

  const plot = plotOf(rows, unit, chance, faces);
  const { figureWidth, height } = plot;
  const facts = [title.model, title.recipe, ...(title.details ?? []), `n = ${title.n.toLocaleString('en-US')}`];
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: '#ffffff',
    padding: PADDING,
    width: PLOT_WIDTH,
    height,
    title: {
      text: wrap([title.task, metric], figureWidth, faces.bold, TITLE_SIZE),
      subtitle: wrap(facts, figureWidth, faces.regular, SUBTITLE_SIZE),
      ...TITLE_PLACE,
    },
    data: { values: plot.bars },
    // In drawing order: the plate covers the chance line, whiskers and texts lie above both.
    layer: [
      barLayer(plot, legendAbove(plot, chance, faces)),
      baseline(plot),
      ...(chance === null ? [] : chanceLayers(chance, unit, height)),
      PLATE,
      ...INTERVAL,
      ...TEXTS,
      noteLayer(noteText(rows, unit, input.better), height),
    ],
    config: CONFIG,
  };
}

// ---------------------------------------------------------------- layers

/** A field along the axis, and one in pixels from the top of the plot. */
const x = (field: string) => ({ field, type: 'quantitative' as const });
const pixels = (field: string) => ({ field, type: 'quantitative' as const, scale: null, axis: null });
const text = (field: string) => ({ field, type: 'nominal' as const });
/** Keeps the bars of which the condition holds. */
const only = (condition: string) => [{ filter: condition }];

/** The bars, and with them the axis and the colours. */
function barLayer({ axis, base, groups }: Plot, legend: Legend | null): Layer {
  const colours = groups.length > GROUP_COLOURS.length ? groups.map(() => GROUP_COLOURS[0]) : GROUP_COLOURS;
  // `labels` are ours, so that the axis and the bars write a number in the same way.
  const place = `round((datum.value - ${axis.start}) / ${axis.end - axis.start} * ${axis.ticks.length - 1})`;
  return {
    name: 'bar',
    mark: { type: 'rect' },
    encoding: {
      x: {
        ...x('value'),
        scale: { domain: [axis.start, axis.end], nice: false, zero: false },
        axis: { values: axis.ticks, labelExpr: `${JSON.stringify(axis.labels)}[${place}]`, title: null },
      },
      x2: { datum: base },
      y: pixels('top'),
      y2: { field: 'bottom' },
      opacity: { field: 'opacity', type: 'quantitative', scale: null },
      color: {
        field: 'group',
        type: 'nominal',
        scale: {
          domain: [ALL_KEY, ...groups],
          range: [ALL_COLOUR, ...groups.map((_, i) => colours[i % colours.length]!)],
        },
        legend,
      },
    },
  };
}

/** The line at which the bars begin. */
function baseline({ base, height }: Plot): Layer {
  return {
    name: 'baseline',
    data: { values: [{}] },
    mark: { type: 'rule', color: SOFT_INK, strokeWidth: 1 },
    encoding: { x: { datum: base }, y: { value: 0 }, y2: { value: height } },
  };
}

/** The dashed line across all bars, its label above it. */
function chanceLayers(chance: number, unit: Unit, height: number): Layer[] {
  const label = `chance ${unit === 'share' ? `${Number((chance * 100).toFixed(1))} %` : shortNumber(chance)}`;
  const at = { datum: chance };
  return [
    {
      name: 'chance',
      data: { values: [{}] },
      mark: { type: 'rule', color: CHANCE, strokeWidth: 1.2, strokeDash: [5, 4] },
      encoding: { x: at, y: { value: -3 }, y2: { value: height } },
    },
    {
      name: 'chance_label',
      data: { values: [{ label }] },
      mark: { type: 'text', align: 'center', baseline: 'bottom', fontSize: NOTE_SIZE, color: CHANCE },
      encoding: { x: at, y: { value: -5 }, text: text('label') },
    },
  ];
}

/** White behind the value texts that the chance line would run through. */
const PLATE: Layer = {
  name: 'plate',
  transform: only('datum.plate_start !== null'),
  mark: { type: 'rect', color: '#ffffff' },
  encoding: { x: x('plate_start'), x2: { field: 'plate_end' }, y: pixels('row_top'), y2: { field: 'row_bottom' } },
};

const WHISKER = { type: 'rule', color: INK, strokeWidth: 1.2 } as const;

/** The whiskers, then the caps at their ends. */
const INTERVAL: Layer[] = [
  {
    name: 'interval',
    transform: only('datum.low !== null'),
    mark: WHISKER,
    encoding: { x: x('low'), x2: { field: 'high' }, y: pixels('middle') },
  },
  ...(['low', 'high'] as const).map((side) => ({
    name: `interval_${side}`,
    transform: [
      ...only('datum.low !== null'),
      { calculate: 'datum.middle - 3', as: 'cap_top' },
      { calculate: 'datum.middle + 3', as: 'cap_bottom' },
    ],
    mark: WHISKER,
    encoding: { x: x(side), y: pixels('cap_top'), y2: { field: 'cap_bottom' } },
  })),
];

/** The label left of each bar and the value right of it. */
const TEXTS: Layer[] = [
  {
    name: 'label',
    mark: {
      type: 'text',
      align: 'right',
      baseline: 'middle',
      fontSize: LABEL_SIZE,
      fontWeight: { expr: 'datum.bold ? 600 : 400' },
      color: INK,
    },
    encoding: { x: { value: -LABEL_GAP }, y: pixels('middle'), text: text('label') },
  },
  {
    name: 'value',
    mark: { type: 'text', align: 'left', baseline: 'middle', fontSize: VALUE_SIZE, color: INK },
    encoding: { x: x('text_x'), y: pixels('middle'), text: text('text') },
  },
];

function noteLayer(note: string, height: number): Layer {
  return {
    name: 'note',
    data: { values: [{ note }] },
    mark: { type: 'text', align: 'left', baseline: 'top', fontSize: NOTE_SIZE, color: SOFT_INK },
    encoding: { x: { value: 0 }, y: { value: height + 30 }, text: text('note') },
  };
}

/** What the text and the whisker at a bar are, and which way is good when that is not the usual one. */
function noteText(rows: readonly TableRow[], unit: Unit, better: 'higher' | 'lower'): string {
  const values = unit === 'share' ? 'Values in percent' : 'Values';
  const spread = rows.some((row) => row.estimate.stderr !== null) ? ', ± one standard error' : '';
  const whisker = rows.some((row) => row.estimate.ci95 !== null) ? '; whiskers: 95 % interval' : '';
  return `${values}${spread}${whisker}${better === 'lower' ? '; lower is better' : ''}.`;
}

// ---------------------------------------------------------------- legend

type Legend = ReturnType<typeof legendOf>['spec'] & { legendX: number; legendY: number };

/** The legend above the plot and the chance label; null for a single group, and for more groups than colours. */
function legendAbove({ groups, figureWidth, left }: Plot, chance: number | null, faces: Faces): Legend | null {
  if (groups.length <= 1 || groups.length > GROUP_COLOURS.length) return null;
  const { spec, height } = legendOf(groups, figureWidth, faces);
  const chanceRoom = chance === null ? 4 : 20;
  return { ...spec, legendX: -left, legendY: -chanceRoom - height };
}

/** A legend across the top, in as many columns as fit into `width`; `height` is in pixels. */
function legendOf(groups: readonly string[], width: number, faces: Faces) {
  const gap = 14;
  const widths = groups.map((g) => widthOf(faces.regular, oneLine(g), LEGEND_SIZE) + LEGEND_SYMBOL);
  const widthIn = (columns: number) => {
    const widest = Array.from({ length: columns }, (_, c) => Math.max(...widths.filter((_w, i) => i % columns === c)));
    return widest.reduce((sum, w) => sum + w + gap, -gap);
  };
  let columns = groups.length;
  while (columns > 1 && widthIn(columns) > width) columns--;
  const direction = 'horizontal' as const;
  return {
    height: Math.ceil(groups.length / columns) * LEGEND_ROW + 4,
    spec: { orient: 'none' as const, direction, title: null, values: [...groups], columns, columnPadding: gap },
  };
}
