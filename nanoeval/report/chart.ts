/**
 * `accuracy.svg` and `accuracy.png`: one bar a label with its 95 % interval and the chance line, from one Vega-Lite
 * spec.
 *
 * The chart brings its own font (`fonts/`, Inter 4, SIL OFL) and no other: without one, resvg draws a picture without
 * any text and says nothing. Inter has Latin, Greek and Cyrillic. Signs that it lacks (CJK, Arabic, Thai, emoji) are
 * empty boxes in the PNG; the SVG keeps them as text, and whoever shows it takes them from a font of its own.
 */
import { Resvg } from '@resvg/resvg-js';
import * as vega from 'vega';
import * as vegaLite from 'vega-lite';
import type { TableRow } from '../types.ts';
import { checkFinite, fitsShare, numberDomain, shortNumber, valueText } from './chart_values.ts';
import { type Faces, FONT_FILES, measureWith, oneLine, readFace, widthOf, wrap } from './font.ts';

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

export interface ChartInput {
  title: ChartTitle;
  /** The metric to draw; rows of other metrics are left out. */
  metric: string;
  /** Where the dashed line stands, in the metric's own unit; null for none. */
  chance: number | null;
  rows: readonly TableRow[];
  /**
   * `share`: 0 to 1, shown as 0 to 100 %. `number`: as it is, on an axis made for the data. By default `share` when all
   * values and `chance` lie in 0..1; bits per byte and the like may do so too, and want `number`.
   */
  scale?: 'share' | 'number';
}

export interface Chart {
  /** The document as text, white behind, with its text as text in the family Inter. */
  svg: string;
  /** The same picture at twice the size in pixels. */
  png: Buffer;
}

/**
 * Draws one bar a label of `metric`: `all` first, then each group followed by its subjects, in the order given. The
 * same input gives the same bytes. Throws when there is nothing to draw, when a value is not finite, and when a font
 * file of the package is missing or is none.
 */
export async function drawChart(input: ChartInput): Promise<Chart> {
  const faces: Faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
  measureWith(faces);

  const spec = vegaLite.compile(chartSpec(input, faces)).spec;
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  let svg: string;
  try {
    svg = await view.toSVG();
  } finally {
    view.finalize();
  }

  const font = { loadSystemFonts: false, fontFiles: Object.values(FONT_FILES), defaultFontFamily: 'Inter' };
  const png = new Resvg(svg, { font, background: '#ffffff', fitTo: { mode: 'zoom', value: PNG_ZOOM } })
    .render()
    .asPng();
  return { svg, png };
}

// ---------------------------------------------------------------- looks

const PNG_ZOOM = 2;
/** SVG viewers without Inter take the next; the widths in this file are Inter's, which is wider than both Arials. */
const FONT_FAMILY = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif";

/** Pixels from 0 to the end of the axis. */
const PLOT_WIDTH = 480;
const LABEL_SIZE = 12;
const VALUE_SIZE = 11;
const TITLE_SIZE = 16;
const SUBTITLE_SIZE = 12;
const LEGEND_SIZE = 11.5;
const NOTE_SIZE = 10.5;
/** Between a label and the axis, and between the end of a whisker and its value text. */
const LABEL_GAP = 9;
const VALUE_GAP = 7;
/** Extra room between `all`, and each group that has subjects. */
const BLOCK_GAP = 9;
const BAR_SHARE = 0.68;
const LEGEND_ROW = 19;
const LEGEND_SYMBOL = 24;

const INK = '#1f2933';
const SOFT_INK = '#52606d';
const GRID = '#e4e7eb';
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

// ---------------------------------------------------------------- spec

/** One bar, ready to draw: lengths in pixels, x in the metric's unit. */
interface Bar {
  label: string;
  group: string;
  bold: boolean;
  opacity: number;
  value: number;
  /** The whisker, cut to the axis; null when there is no interval. */
  low: number | null;
  high: number | null;
  text: string;
  /** x of the value text, and of the white plate that keeps the chance line out of it (null: not needed). */
  text_x: number;
  plate_start: number | null;
  plate_end: number | null;
  row_top: number;
  row_bottom: number;
  top: number;
  middle: number;
  bottom: number;
}

function chartSpec(input: ChartInput, faces: Faces): vegaLite.TopLevelSpec {
  const { chance, metric } = input;
  const rows = inDrawingOrder(input.rows.filter((row) => row.metric === metric));
  if (rows.length === 0)
    throw new Error(`report/chart: no row has the metric "${metric}". There must be one at least.`);
  checkFinite(rows, chance);

  const isShare = (input.scale ?? (fitsShare(rows, chance) ? 'share' : 'number')) === 'share';
  if (isShare && !fitsShare(rows, chance)) {
    throw new Error(`report/chart: ${metric} has values outside 0..1. Such a metric takes the scale "number".`);
  }
  const [start, end] = isShare ? ([0, 1] as const) : numberDomain(rows, chance);
  const pixel = PLOT_WIDTH / (end - start);
  const clamp = (x: number) => Math.min(Math.max(x, start), end);

  const groups = [...new Set(rows.filter((row) => row.level !== 'all').map((row) => row.group))];
  const hasSubjects = rows.some((row) => row.level === 'subject');
  // 62 rows of 26 pixels would be a picture of two screens: the many get the tighter step.
  const step = rows.length > 16 ? 20 : 26;

  const bars: Bar[] = [];
  let y = 0;
  for (const [i, row] of rows.entries()) {
    const { value, ci95, stderr } = row.estimate;
    const before = rows[i - 1];
    const startsBlock = row.level === 'group' && hasSubjects;
    if (before !== undefined && (startsBlock || (before.level === 'all' && row.level !== 'all'))) y += BLOCK_GAP;
    const low = ci95 === null ? null : clamp(ci95[0]);
    const high = ci95 === null ? null : clamp(ci95[1]);
    const text = valueText(value, stderr, isShare);
    const textX = Math.max(value, high ?? value, Math.max(0, start)) + VALUE_GAP / pixel;
    const textEnd = textX + widthOf(faces.regular, text, VALUE_SIZE) / pixel;
    const margin = 3 / pixel;
    const cut = chance !== null && chance > textX - margin && chance < textEnd + margin;
    bars.push({
      label: oneLine(row.label),
      group: row.level === 'all' ? ALL_KEY : row.group,
      bold: row.level === 'all' || startsBlock,
      opacity: row.level === 'subject' ? 0.6 : 1,
      value,
      low,
      high,
      text,
      text_x: textX,
      plate_start: cut ? textX - margin : null,
      plate_end: cut ? textEnd + margin : null,
      row_top: y,
      row_bottom: y + step,
      top: y + (step * (1 - BAR_SHARE)) / 2,
      middle: y + step / 2,
      bottom: y + (step * (1 + BAR_SHARE)) / 2,
    });
    y += step;
  }
  const height = y;

  const left =
    LABEL_GAP + Math.max(...bars.map((b) => widthOf(b.bold ? faces.bold : faces.regular, b.label, LABEL_SIZE)));
  const lastPixel = Math.max(
    PLOT_WIDTH + 16,
    ...bars.map((b) => (b.text_x - start) * pixel + widthOf(faces.regular, b.text, VALUE_SIZE)),
  );
  const figureWidth = left + lastPixel;

  const colours = groups.length > GROUP_COLOURS.length ? groups.map(() => GROUP_COLOURS[0]) : GROUP_COLOURS;
  const legend =
    groups.length > 1 && groups.length <= GROUP_COLOURS.length ? legendOf(groups, figureWidth, faces) : null;
  const chanceRoom = chance === null ? 4 : 20;
  const x = (field: string) => ({ field, type: 'quantitative' as const });
  const pixels = (field: string) => ({ field, type: 'quantitative' as const, scale: null, axis: null });
  const only = (condition: string) => [{ filter: condition }];
  const whisker = { type: 'rule' as const, color: INK, strokeWidth: 1.2 };

  const facts = [input.title.model, input.title.recipe, ...(input.title.details ?? [])];
  const subtitle = [...facts, `n = ${input.title.n.toLocaleString('en-US')}`];
  const note = noteText(rows, isShare);

  const axisFormat = isShare ? { values: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] } : { tickCount: 6 };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: '#ffffff',
    padding: { left: 20, right: 20, top: 16, bottom: 16 },
    width: PLOT_WIDTH,
    height,
    title: {
      text: wrap([input.title.task, metric], figureWidth, faces.bold, TITLE_SIZE),
      subtitle: wrap(subtitle, figureWidth, faces.regular, SUBTITLE_SIZE),
      anchor: 'start',
      frame: 'bounds',
      offset: 14,
      subtitlePadding: 6,
    },
    data: { values: bars },
    layer: [
      {
        name: 'bar',
        mark: { type: 'rect' },
        encoding: {
          x: {
            ...x('value'),
            scale: { domain: [start, end], nice: false, zero: false },
            axis: {
              ...axisFormat,
              ...(isShare ? { labelExpr: "format(datum.value * 100, '.0f') + ' %'" } : {}),
              title: null,
            },
          },
          x2: { datum: clamp(0) },
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
            legend: legend === null ? null : { ...legend.spec, legendX: -left, legendY: -chanceRoom - legend.height },
          },
        },
      },
      {
        name: 'baseline',
        data: { values: [{}] },
        mark: { type: 'rule', color: SOFT_INK, strokeWidth: 1 },
        encoding: { x: { datum: clamp(0) }, y: { value: 0 }, y2: { value: height } },
      },
      ...(chance === null ? [] : chanceLayers(chance, isShare, height)),
      {
        name: 'plate',
        transform: only('datum.plate_start !== null'),
        mark: { type: 'rect', color: '#ffffff' },
        encoding: {
          x: x('plate_start'),
          x2: { field: 'plate_end' },
          y: pixels('row_top'),
          y2: { field: 'row_bottom' },
        },
      },
      {
        name: 'interval',
        transform: only('datum.low !== null'),
        mark: whisker,
        encoding: { x: x('low'), x2: { field: 'high' }, y: pixels('middle') },
      },
      ...(['low', 'high'] as const).map((side) => ({
        name: `interval_${side}`,
        transform: [
          ...only('datum.low !== null'),
          { calculate: 'datum.middle - 3', as: 'cap_top' },
          { calculate: 'datum.middle + 3', as: 'cap_bottom' },
        ],
        mark: whisker,
        encoding: { x: x(side), y: pixels('cap_top'), y2: { field: 'cap_bottom' } },
      })),
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
        encoding: { x: { value: -LABEL_GAP }, y: pixels('middle'), text: { field: 'label', type: 'nominal' } },
      },
      {
        name: 'value',
        mark: { type: 'text', align: 'left', baseline: 'middle', fontSize: VALUE_SIZE, color: INK },
        encoding: { x: x('text_x'), y: pixels('middle'), text: { field: 'text', type: 'nominal' } },
      },
      {
        name: 'note',
        data: { values: [{ note }] },
        mark: { type: 'text', align: 'left', baseline: 'top', fontSize: NOTE_SIZE, color: SOFT_INK },
        encoding: { x: { value: 0 }, y: { value: height + 30 }, text: { field: 'note', type: 'nominal' } },
      },
    ],
    config: {
      // Without this every bar carries a sentence for screen readers, which doubles the file; the CSV serves them better.
      aria: false,
      font: FONT_FAMILY,
      view: { stroke: null },
      title: {
        fontSize: TITLE_SIZE,
        fontWeight: 600,
        color: INK,
        subtitleFontSize: SUBTITLE_SIZE,
        subtitleColor: SOFT_INK,
        subtitleLineHeight: 17,
        lineHeight: 21,
      },
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
    },
  };
}

/** Stands for `all` among the groups: a group may be called `all` too, none is called this. */
const ALL_KEY = '\u0000all';

function chanceLayers(chance: number, isShare: boolean, height: number) {
  const label = isShare ? `chance ${Number((chance * 100).toFixed(1))} %` : `chance ${shortNumber(chance)}`;
  const at = { datum: chance };
  return [
    {
      name: 'chance',
      data: { values: [{}] },
      mark: { type: 'rule' as const, color: CHANCE, strokeWidth: 1.2, strokeDash: [5, 4] },
      encoding: { x: at, y: { value: -3 }, y2: { value: height } },
    },
    {
      name: 'chance_label',
      data: { values: [{ label }] },
      mark: {
        type: 'text' as const,
        align: 'center' as const,
        baseline: 'bottom' as const,
        fontSize: NOTE_SIZE,
        color: CHANCE,
      },
      encoding: { x: at, y: { value: -5 }, text: { field: 'label', type: 'nominal' as const } },
    },
  ];
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

/** What the text and the whisker at a bar are. */
function noteText(rows: readonly TableRow[], isShare: boolean): string {
  const unit = isShare ? 'Values in percent' : 'Values';
  const spread = rows.some((row) => row.estimate.stderr !== null) ? ', ± one standard error' : '';
  const whisker = rows.some((row) => row.estimate.ci95 !== null) ? '; whiskers: 95 % interval' : '';
  return `${unit}${spread}${whisker}.`;
}

// ---------------------------------------------------------------- rows and numbers

/** `all`, then each group followed by its subjects; groups in the order in which they first come up. */
function inDrawingOrder(rows: readonly TableRow[]): TableRow[] {
  const blocks = new Map<string, { head: TableRow[]; subjects: TableRow[] }>();
  const all: TableRow[] = [];
  for (const row of rows) {
    if (row.level === 'all') {
      all.push(row);
      continue;
    }
    const block = blocks.get(row.group) ?? { head: [], subjects: [] };
    blocks.set(row.group, block);
    (row.level === 'group' ? block.head : block.subjects).push(row);
  }
  return [...all, ...[...blocks.values()].flatMap((block) => [...block.head, ...block.subjects])];
}
