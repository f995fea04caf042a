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
import { type CardInput, cardSpec } from './card.ts';
import { type ChartInput, chartSpec } from './chart_spec.ts';
import { type ConfusionInput, confusionSpec } from './confusion.ts';
import { type Faces, FONT_FILES, readFace } from './font.ts';
import { type ForestInput, forestSpec } from './forest.ts';
import { measureWith } from './measure.ts';
import { type ScatterInput, scatterSpec } from './scatter.ts';

/** One picture in two formats. */
export interface Chart {
  /** The document as text, white behind, with its text as text in the family Inter. */
  svg: string;
  /** The same picture at twice the size in pixels. */
  png: Buffer;
}

const PNG_ZOOM = 2;

/**
 * Draws one bar a label of `metric`: `all` first, then each group followed by its subjects, in the order given. The
 * same input gives the same bytes. Throws Error when there is nothing to draw, when a value is not finite or does not
 * fit the unit, and when a font file of the package is missing or is none.
 */
export const drawChart = (input: ChartInput): Promise<Chart> => draw((faces) => chartSpec(input, faces));

/** Draws paired differences with their intervals. Errors as `drawChart`. */
export const drawForest = (input: ForestInput): Promise<Chart> => draw((faces) => forestSpec(input, faces));

/** Draws models by size, quality and speed. Errors as `drawChart`. */
export const drawScatter = (input: ScatterInput): Promise<Chart> => draw((faces) => scatterSpec(input, faces));

/** Draws how often rows of one class were taken for another. Errors as `drawChart`. */
export const drawConfusion = (input: ConfusionInput): Promise<Chart> => draw((faces) => confusionSpec(input, faces));

/** Draws reported values beside ours. Errors as `drawChart`. */
export const drawCard = (input: CardInput): Promise<Chart> => draw((faces) => cardSpec(input, faces));

async function draw(specOf: (faces: Faces) => vegaLite.TopLevelSpec): Promise<Chart> {
  const faces: Faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
  measureWith(faces);

  const spec = vegaLite.compile(specOf(faces)).spec;
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
