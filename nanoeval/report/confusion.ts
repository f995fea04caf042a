/** The picture of a confusion matrix: a row a gold label, a column a predicted one, counts in the cells. */
import type * as vegaLite from 'vega-lite';
import type { Confusion } from '../types.ts';
import { type Faces, oneLine, widthOf, wrap } from './font.ts';
import { FONT_FAMILY, GRID, INK, PADDING, SOFT_INK, TITLE_CONFIG, TITLE_PLACE } from './theme.ts';

export interface ConfusionInput extends Confusion {
  title: string;
  subtitle: readonly string[];
}

/** Of a cell, by its share of the row's gold label. */
const COLOURS = ['#ffffff', '#2f6db5'];
/** Cells with more of their row than this have white numbers. */
const DARK = 0.55;
/** Pixels of a label beside the cells. */
const LABEL_WIDTH = 180;
/** Labels up to which cells are wide enough for their counts. */
const COUNTED = 40;

/** The spec, its data included. Throws Error for no labels and for counts that are not whole numbers from 0. */
export function confusionSpec(
  { title, subtitle, labels, counts }: ConfusionInput,
  faces: Faces,
): vegaLite.TopLevelSpec {
  const n = labels.length;
  if (n === 0) throw new Error('report/confusion: there is nothing to draw.');
  if (counts.length !== n || counts.some((row) => row.length !== n || row.some((count) => !isCount(count))))
    throw new Error(`report/confusion: counts have to be ${n} times ${n} whole numbers from 0.`);
  const size = 11;
  const digits = String(Math.max(...counts.flat())).length;
  const cell = n > COUNTED ? 9 : Math.max(26, Math.min(64, 480 / n), digits * size * 0.65 + 12);
  const shown = labels.map((label) => cut(oneLine(label), faces));
  const values = counts.flatMap((row, gold) => {
    const sum = row.reduce((all, count) => all + count, 0);
    return row.map((count, said) => ({ gold, said, count: String(count), share: sum === 0 ? 0 : count / sum }));
  });
  const width = Math.max(n * cell, 260);
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: '#ffffff',
    padding: PADDING,
    title: {
      text: wrap([title], width + LABEL_WIDTH, faces.bold, 16),
      subtitle: wrap(subtitle, width + LABEL_WIDTH, faces.regular, 12),
      ...TITLE_PLACE,
    },
    width: n * cell,
    height: n * cell,
    data: { values },
    layer: [
      {
        name: 'cell',
        mark: { type: 'rect', stroke: GRID, strokeWidth: 1 },
        encoding: {
          x: axis('said', 'predicted', shown, n * cell),
          y: axis('gold', 'gold', shown, n * cell),
          color: {
            field: 'share',
            type: 'quantitative',
            scale: { domain: [0, 1], range: COLOURS, interpolate: 'rgb' },
            legend: { title: 'share of the row', format: '.0%', values: [0, 0.5, 1], gradientLength: 90 },
          },
        },
      },
      ...(n > COUNTED ? [] : [numbers(size)]),
    ],
    config: CONFIG,
  };
}

const isCount = (count: number) => Number.isInteger(count) && count >= 0;

/** A label as it is, or its beginning where it is longer than there is room for. */
function cut(label: string, { regular }: Faces): string {
  if (widthOf(regular, label, 11) <= LABEL_WIDTH) return label;
  const signs = [...label];
  while (signs.length > 1 && widthOf(regular, `${signs.join('')}…`, 11) > LABEL_WIDTH) signs.pop();
  return `${signs.join('')}…`;
}

/** Labels by their places: two that are cut to one text stay two. */
function axis(field: 'gold' | 'said', title: string, labels: readonly string[], most: number) {
  const isColumn = field === 'said';
  const words = `${JSON.stringify(labels)}[datum.value]`;
  return {
    field,
    type: 'ordinal' as const,
    scale: { range: [0, most] as [number, number], paddingInner: 0, paddingOuter: 0 },
    axis: {
      title,
      labelExpr: words,
      orient: isColumn ? ('top' as const) : ('left' as const),
      ...(isColumn ? { labelAngle: -45 } : {}),
    },
  };
}

/** The counts; their axes are those of the cells. */
function numbers(fontSize: number) {
  return {
    name: 'count',
    mark: { type: 'text' as const, fontSize, baseline: 'middle' as const },
    encoding: {
      x: { field: 'said', type: 'ordinal' as const },
      y: { field: 'gold', type: 'ordinal' as const },
      text: { field: 'count', type: 'nominal' as const },
      color: { condition: { test: `datum.share > ${DARK}`, value: '#ffffff' }, value: INK },
    },
  };
}

const CONFIG = {
  aria: false,
  font: FONT_FAMILY,
  view: { stroke: GRID },
  title: TITLE_CONFIG,
  axis: {
    domain: false,
    ticks: false,
    grid: false,
    labelColor: INK,
    labelFontSize: 11,
    labelLimit: 0,
    labelOverlap: false,
    labelPadding: 6,
    titleColor: SOFT_INK,
    titleFontSize: 12,
    titleFontWeight: 400,
    titlePadding: 10,
  },
  legend: {
    titleColor: SOFT_INK,
    titleFontSize: 10.5,
    titleFontWeight: 400,
    labelColor: SOFT_INK,
    labelFontSize: 10.5,
  },
} satisfies vegaLite.Config;
