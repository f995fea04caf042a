/** A scatter chart: what models lose against how large they are, coloured by how fast they run. */
import type * as vegaLite from 'vega-lite';
import { type Faces, widthOf, wrap } from './font.ts';
import { FONT_FAMILY, GRID, INK, PADDING, SOFT_INK, TITLE_CONFIG, TITLE_PLACE } from './theme.ts';

/** One model in a panel. */
export interface ScatterPoint {
  label: string;
  /** In the unit of the panel's vertical axis. */
  y: number;
  /** null: none is drawn. */
  interval: [number, number] | null;
  /** Megabytes. */
  size: number;
  /** Tokens a second; null: grey. */
  speed: number | null;
  /** The point is drawn as a cross. */
  broken: boolean;
}

export interface ScatterPanel {
  /** What the vertical axis says. */
  title: string;
  points: readonly ScatterPoint[];
  /** A dashed line, for example chance. */
  line: { y: number; label: string } | null;
}

export interface ScatterInput {
  title: string;
  subtitle: readonly string[];
  panels: readonly ScatterPanel[];
}

const NOT_MEASURED = '#9aa5b1';
const [WIDTH, HEIGHT] = [400, 260];
/** Panels side by side. */
const COLUMNS = 2;

type Spec = Extract<vegaLite.TopLevelSpec, { concat: unknown }>;
type Panel = Spec['concat'][number];
type Layers = Extract<Panel, { layer: unknown }>['layer'];

/** The spec, its data included. Throws Error for no points and for values that are not finite. */
export function scatterSpec({ title, subtitle, panels }: ScatterInput, faces: Faces): vegaLite.TopLevelSpec {
  const filled = panels.filter(({ points }) => points.length > 0);
  if (filled.length === 0) throw new Error('report/scatter: there is nothing to draw.');
  const points = filled.flatMap((panel) => panel.points);
  const numbers = points.flatMap(({ y, interval, size, speed }) => [y, size, speed ?? 0, ...(interval ?? [])]);
  if (!numbers.every(Number.isFinite)) throw new Error('report/scatter: a value is not a finite number.');
  const width = Math.min(filled.length, COLUMNS) * (WIDTH + 60) + 60;
  const speeds = points.flatMap(({ speed }) => speed ?? []);
  const sizes = points.map(({ size }) => size);
  const axes = { speeds: speeds.length === 0 ? null : extent(speeds, 0), sizes: extent(sizes, 0.12) };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: '#ffffff',
    padding: PADDING,
    title: {
      text: wrap([title], width, faces.bold, 16),
      subtitle: wrap(subtitle, width, faces.regular, 12),
      ...TITLE_PLACE,
    },
    columns: Math.min(filled.length, COLUMNS),
    spacing: 30,
    concat: filled.map((panel, i) => panelSpec(panel, i, axes, faces)),
    config: {
      aria: false,
      font: FONT_FAMILY,
      view: { stroke: null },
      title: TITLE_CONFIG,
      axis: {
        domain: false,
        ticks: false,
        gridColor: GRID,
        labelColor: SOFT_INK,
        labelFontSize: 10.5,
        labelPadding: 7,
        titleColor: SOFT_INK,
        titleFontSize: 11,
        titleFontWeight: 400,
        titlePadding: 8,
      },
      legend: {
        labelColor: SOFT_INK,
        titleColor: SOFT_INK,
        titleFontWeight: 400,
        titleFontSize: 11,
        labelFontSize: 10.5,
        orient: 'bottom',
        gradientLength: WIDTH - 40,
        gradientThickness: 9,
      },
    },
  };
}

/** The ends of an axis over the values, with room on both sides: a share of their range. */
function extent(values: readonly number[], room: number): [number, number] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const margin = room * (most - least || Math.abs(most) || 1);
  return [least - margin, most + margin];
}

/** Names of marks are the whole chart's: with those of another panel again, Vega-Lite draws one panel's data in both. */
function panelSpec(
  { title, points, line }: ScatterPanel,
  place: number,
  { speeds, sizes }: { speeds: [number, number] | null; sizes: [number, number] },
  faces: Faces,
): Panel {
  const ends = points.flatMap(({ y, interval }) => [y, ...(interval ?? [])]);
  const heights = extent([...ends, ...(line === null ? [] : [line.y])], 0.12);
  const values = placed(points, sizes, heights, faces);
  const x = {
    field: 'size',
    type: 'quantitative' as const,
    scale: { domain: sizes, nice: false, zero: false },
    axis: { title: 'weights, MB', tickCount: 6 },
  };
  const y = (field: string) => ({
    field,
    type: 'quantitative' as const,
    scale: { domain: heights, nice: false, zero: false },
    axis: { title, tickCount: 6 },
  });
  const colour =
    speeds === null
      ? { value: NOT_MEASURED }
      : {
          condition: { test: 'datum.speed === null', value: NOT_MEASURED },
          field: 'speed',
          type: 'quantitative' as const,
          scale: { domain: speeds, range: ['#c9dcf2', '#5a97d4', '#123f77'] },
          legend: { title: 'tokens a second' },
        };
  const shape = {
    field: 'shape',
    type: 'nominal' as const,
    scale: { domain: ['circle', 'cross'], range: ['circle', 'cross'] },
    legend: null,
  };
  return {
    width: WIDTH,
    height: HEIGHT,
    data: { values },
    layer: [
      ...(line === null ? [] : lineLayers(line, y('y'))),
      {
        name: `interval ${place}`,
        transform: [{ filter: 'datum.low !== null' }],
        mark: { type: 'rule', color: SOFT_INK, strokeWidth: 1.4 },
        encoding: { x, y: y('low'), y2: { field: 'high' } },
      },
      {
        name: `point ${place}`,
        mark: { type: 'point', filled: true, size: 150, opacity: 1, stroke: SOFT_INK, strokeWidth: 0.6 },
        encoding: { x, y: y('y'), color: colour, shape },
      },
      ...(['left', 'right'] as const).map((side) => ({
        name: `label ${side} ${place}`,
        transform: [{ filter: `datum.side === '${side}'` }],
        mark: {
          type: 'text' as const,
          align: side === 'right' ? ('left' as const) : ('right' as const),
          baseline: 'middle' as const,
          dx: side === 'right' ? GAP : -GAP,
          fontSize: LABEL,
          color: INK,
        },
        encoding: { x, y: { ...y('y'), field: 'textY' }, text: { field: 'label', type: 'nominal' as const } },
      })),
    ],
  };
}

/** A dashed line over the whole width, and what it is. */
function lineLayers(line: NonNullable<ScatterPanel['line']>, y: object): Layers {
  const data = { values: [line] };
  const dashed = { type: 'rule' as const, color: SOFT_INK, strokeDash: [3, 3] };
  const words = {
    type: 'text',
    fontSize: 11,
    color: SOFT_INK,
    align: 'left',
    baseline: 'bottom',
    dx: 3,
    dy: -3,
  } as const;
  return [
    { data, mark: dashed, encoding: { y } },
    { data, mark: words, encoding: { x: { value: 0 }, y, text: { field: 'label', type: 'nominal' } } },
  ];
}

/** Pixels between a point and its label, and the size of the label's letters. */
const GAP = 11;
const LABEL = 12;

/** The points with a side and a height for each label: none leaves the panel, and none lies on another one's label or point. */
function placed(
  points: readonly ScatterPoint[],
  [left, right]: [number, number],
  [bottom, top]: [number, number],
  faces: Faces,
) {
  const pixels = (value: number, low: number, high: number, length: number) => ((value - low) / (high - low)) * length;
  const taken: { from: number; to: number; y: number }[] = points.map(({ size, y }) => {
    const at = pixels(size, left, right, WIDTH);
    return { from: at - 8, to: at + 8, y: pixels(y, bottom, top, HEIGHT) };
  });
  return points.map((point, i) => {
    const at = pixels(point.size, left, right, WIDTH);
    const height = pixels(point.y, bottom, top, HEIGHT);
    const width = widthOf(faces.regular, point.label, LABEL);
    const others = [...taken.slice(0, i), ...taken.slice(i + 1)];
    const tries = [0, 15, -15, 30, -30, 45, -45].flatMap((shift) =>
      (['right', 'left'] as const).map((side) => {
        const from = side === 'right' ? at + GAP : at - GAP - width;
        return { side, from, to: from + width, y: height + shift };
      }),
    );
    const isFree = ({ from, to, y }: (typeof tries)[number]) =>
      from >= 0 &&
      to <= WIDTH &&
      y >= 0 &&
      y <= HEIGHT &&
      others.every((one) => to < one.from || from > one.to || Math.abs(one.y - y) >= LABEL + 2);
    const found = tries.find(isFree) ?? tries[0]!;
    taken.push(found);
    return {
      label: point.label,
      y: point.y,
      low: point.interval?.[0] ?? null,
      high: point.interval?.[1] ?? null,
      size: point.size,
      speed: point.speed,
      shape: point.broken ? 'cross' : 'circle',
      side: found.side,
      textY: bottom + (found.y / HEIGHT) * (top - bottom),
    };
  });
}
