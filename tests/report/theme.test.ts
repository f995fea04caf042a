/** What all charts share stands in every one of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FONT_FILES, readFace } from '../../nanoeval/report/font.ts';
import { forestSpec } from '../../nanoeval/report/forest.ts';
import { FONT_FAMILY, PADDING, TITLE_CONFIG, TITLE_PLACE } from '../../nanoeval/report/theme.ts';

test('a chart has the shared font, title and padding', async () => {
  const faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
  const lines = [{ label: 'a', difference: 1, interval: null, allowed: 1, verdict: 'HELD' }];
  const spec = forestSpec({ title: 'x', subtitle: ['y'], panels: [{ unit: 'points', lines }] }, faces);
  assert.equal(spec.config?.font, FONT_FAMILY);
  assert.deepEqual(spec.config?.title, TITLE_CONFIG);
  assert.deepEqual(spec.padding, PADDING);
  const { text: _text, subtitle: _subtitle, ...place } = spec.title as unknown as Record<string, unknown>;
  assert.deepEqual(place, TITLE_PLACE);
  // The chart's own font comes first: no other is loaded for the picture.
  assert.match(FONT_FAMILY, /^Inter,/);
});
