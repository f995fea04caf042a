/** The scatter chart: each panel has its own points, and no label lies on another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawScatter } from '../../nanoeval/report/chart.ts';
import { FONT_FILES, readFace } from '../../nanoeval/report/font.ts';
import { type ScatterPanel, type ScatterPoint, scatterSpec } from '../../nanoeval/report/scatter.ts';

const faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
const point = (label: string, more: Partial<ScatterPoint> = {}): ScatterPoint => ({
  label,
  y: 40,
  interval: null,
  size: 500,
  speed: 300,
  broken: false,
  ...more,
});
const panel = (title: string, points: ScatterPoint[], more: Partial<ScatterPanel> = {}): ScatterPanel => ({
  title,
  points,
  line: null,
  ...more,
});
const input = (...panels: ScatterPanel[]) => ({ title: 'HELD', subtitle: ['a', 'b'], panels });

test('each panel draws its own points, under its own title', async () => {
  const { svg, png } = await drawScatter(
    input(
      panel('accuracy, %', [point('fp32'), point('q4', { size: 180, y: 38, interval: [36, 40], speed: 500 })], {
        line: { y: 25, label: 'chance' },
      }),
      panel('mean KL', [point('other', { y: 0 }), point('q4', { size: 180, y: 0.2, broken: true, speed: null })]),
    ),
  );
  for (const text of ['accuracy, %', 'mean KL', 'fp32', 'other', 'chance', 'weights, MB', 'tokens a second'])
    assert.ok(svg.includes(`>${text}<`), text);
  assert.equal(svg.split('>q4<').length, 3);
  assert.deepEqual([...png.subarray(1, 4)], [...Buffer.from('PNG')]);
});

test('labels of points on each other lie apart, and inside the panel', () => {
  const points = ['full', 'copy', 'little', 'another'].map((label, i) => point(label, { y: 40 + i / 100 }));
  const spec = scatterSpec(input(panel('a', [...points, point('far', { y: 10, size: 100 })])), faces) as unknown as {
    concat: { data: { values: { label: string; side: string; textY: number }[] } }[];
  };
  const { values } = spec.concat[0]!.data;
  for (const side of ['left', 'right']) {
    const heights = values.filter((one) => one.side === side && one.label !== 'far').map(({ textY }) => textY);
    heights.sort((a, b) => a - b);
    // The panel's 260 pixels stand for some 37 units: labels are at least 14 pixels apart.
    for (const [i, y] of heights.entries()) if (i > 0) assert.ok(y - heights[i - 1]! > 1.5, `${side}: ${heights}`);
  }
});

test('nothing to draw, and values that are no numbers, are errors; without any speed points are grey', async () => {
  assert.throws(() => scatterSpec(input(panel('a', [])), faces), /nothing to draw/);
  assert.throws(() => scatterSpec(input(panel('a', [point('b', { y: Number.NaN })])), faces), /not a finite number/);
  const { svg } = await drawScatter(input(panel('a', [point('b', { speed: null })])));
  assert.ok(!svg.includes('tokens a second'));
});
