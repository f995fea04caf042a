import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as vega from 'vega';
import { FONT_FILES, readFace, widthOf } from '../../nanoeval/report/font.ts';
import { measureWith } from '../../nanoeval/report/measure.ts';

test('Vega measures in the own font, bold texts in the bold one', async () => {
  const faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
  measureWith(faces);
  const { textMetrics } = vega as unknown as { textMetrics: { width(item: object, text?: string): number } };
  assert.equal(textMetrics.width({ fontSize: 12 }, 'Aim'), widthOf(faces.regular, 'Aim', 12));
  assert.equal(textMetrics.width({ fontSize: 12, fontWeight: 600, text: 'Aim' }), widthOf(faces.bold, 'Aim', 12));
});
