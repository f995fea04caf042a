/** Vega told to measure texts with the chart's own font. */
import * as vega from 'vega';
import { type Faces, widthOf } from './font.ts';

/**
 * Has Vega measure with our font. Its own guess of 0.8 em a character makes margins half as wide again as the text, and
 * with node-canvas on the machine it would measure with whatever font that finds: the bytes would depend on the
 * machine. The setting is Vega's only one and global; nothing else in this program uses Vega.
 */
export function measureWith(faces: Faces): void {
  textMetrics.width = (item, text) => {
    const face = item.fontWeight === 600 || item.fontWeight === 'bold' ? faces.bold : faces.regular;
    return widthOf(face, String(text ?? item.text ?? ''), item.fontSize ?? 11);
  };
}

/** Exported by vega-scenegraph through vega, but missing from vega's types (6.4). */
const { textMetrics } = vega as unknown as {
  textMetrics: {
    width: (item: { text?: unknown; fontSize?: number; fontWeight?: number | string }, text?: unknown) => number;
  };
};
