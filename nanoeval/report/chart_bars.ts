/** Where everything in a chart stands: rows in drawing order, one bar each, in pixels and in the metric's unit. */
import type { TableRow } from '../types.ts';
import { type Axis, axisOf, type Unit, valueText } from './chart_values.ts';
import { type Faces, oneLine, widthOf } from './font.ts';

/** Pixels from the start to the end of the axis. */
export const PLOT_WIDTH = 480;
/** Font sizes in pixels of the labels left of the axis and of the values behind the bars. */
export const LABEL_SIZE = 12;
export const VALUE_SIZE = 11;
/** Pixels between a label and the axis. */
export const LABEL_GAP = 9;
/** Pixels between the end of a whisker and its value text. */
const VALUE_GAP = 7;
/** Extra room below `all`, and above each group that has subjects. */
const BLOCK_GAP = 9;
/** Of its row's height. */
const BAR_SHARE = 0.68;

/** Stands for `all` among the groups: a group may be called `all` too, none is called this. */
export const ALL_KEY = '\u0000all';

/** One bar, ready to draw: y in pixels from the top of the plot, x in the metric's unit. */
export interface Bar {
  label: string;
  /** What colours it: its group, or `ALL_KEY`. */
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

/** The bars of one chart and what they need of room. */
export interface Plot {
  axis: Axis;
  /** Where the bars begin: 0, or the end of the axis that is nearest to it. */
  base: number;
  bars: Bar[];
  /** Names of the groups, in the order in which they first come up. */
  groups: string[];
  /** Of the plot, in pixels. */
  height: number;
  /** From the left edge of the labels to the axis, in pixels. */
  left: number;
  /** From there to the end of the longest value text. */
  figureWidth: number;
}

/** Lays out the rows of one metric, one at least, their values finite and fit for the unit. */
export function plotOf(table: readonly TableRow[], unit: Unit, chance: number | null, faces: Faces): Plot {
  const rows = inDrawingOrder(table);
  const axis = axisOf(unit, rows, chance);
  const hasSubjects = rows.some((row) => row.level === 'subject');
  // 62 rows of 26 pixels would be a picture of two screens: the many get the tighter step.
  const step = rows.length > 16 ? 20 : 26;

  const bars: Bar[] = [];
  let y = 0;
  for (const [i, row] of rows.entries()) {
    const before = rows[i - 1];
    const startsBlock = row.level === 'group' && hasSubjects;
    if (before !== undefined && (startsBlock || (before.level === 'all' && row.level !== 'all'))) y += BLOCK_GAP;
    bars.push({
      label: oneLine(row.label),
      group: row.level === 'all' ? ALL_KEY : row.group,
      bold: row.level === 'all' || startsBlock,
      opacity: row.level === 'subject' ? 0.6 : 1,
      ...across(row, axis, unit, chance, faces),
      row_top: y,
      row_bottom: y + step,
      top: y + (step * (1 - BAR_SHARE)) / 2,
      middle: y + step / 2,
      bottom: y + (step * (1 + BAR_SHARE)) / 2,
    });
    y += step;
  }

  const left =
    LABEL_GAP + Math.max(...bars.map((b) => widthOf(b.bold ? faces.bold : faces.regular, b.label, LABEL_SIZE)));
  const lastPixel = Math.max(
    PLOT_WIDTH + 16,
    ...bars.map((b) => (b.text_x - axis.start) * pixelsOf(axis) + widthOf(faces.regular, b.text, VALUE_SIZE)),
  );
  const groups = [...new Set(rows.filter((row) => row.level !== 'all').map((row) => row.group))];
  return { axis, base: clamp(0, axis), bars, groups, height: y, left, figureWidth: left + lastPixel };
}

/** Pixels to one of the metric's unit. */
function pixelsOf(axis: Axis): number {
  return PLOT_WIDTH / (axis.end - axis.start);
}

function clamp(x: number, axis: Axis): number {
  return Math.min(Math.max(x, axis.start), axis.end);
}

type Across = Pick<Bar, 'value' | 'low' | 'high' | 'text' | 'text_x' | 'plate_start' | 'plate_end'>;

/** What stands along the axis at one bar: its length, its whisker, and its text behind both. */
function across(row: TableRow, axis: Axis, unit: Unit, chance: number | null, faces: Faces): Across {
  const { value, ci95, stderr } = row.estimate;
  const pixel = pixelsOf(axis);
  const low = ci95 === null ? null : clamp(ci95[0], axis);
  const high = ci95 === null ? null : clamp(ci95[1], axis);
  const text = valueText(value, stderr, unit);
  const start = Math.max(value, high ?? value, Math.max(0, axis.start)) + VALUE_GAP / pixel;
  const end = start + widthOf(faces.regular, text, VALUE_SIZE) / pixel;
  const margin = 3 / pixel;
  const isCut = chance !== null && chance > start - margin && chance < end + margin;
  return {
    value,
    low,
    high,
    text,
    text_x: start,
    plate_start: isCut ? start - margin : null,
    plate_end: isCut ? end + margin : null,
  };
}

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
