/** The forest chart: what the spec holds, and that it is drawn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawForest } from '../../nanoeval/report/chart.ts';
import { FONT_FILES, readFace } from '../../nanoeval/report/font.ts';
import { type ForestInput, type ForestLine, forestSpec } from '../../nanoeval/report/forest.ts';

const faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
const line = (more: Partial<ForestLine> = {}): ForestLine => ({
  label: 'hellaswag acc_norm',
  difference: -4,
  interval: [-6.1, -1.9],
  allowed: 1,
  verdict: 'REGRESSED',
  ...more,
});
const input = (...panels: ForestLine[][]): ForestInput => ({
  title: 'REGRESSED: a/small q4',
  subtitle: ['against a/small fp32'],
  panels: panels.map((lines, i) => ({ unit: i === 0 ? 'percentage points' : 'percent of the baseline', lines })),
});

test('the picture says label, verdict, difference and interval of each line, and the unit of each panel', async () => {
  const { svg, png } = await drawForest(
    input(
      [line(), line({ label: 'mmlu acc', difference: 0.5, interval: [-0.2, 1.2], verdict: 'HELD' })],
      [line({ label: 'wiki word_perplexity', interval: null, difference: -0.7, verdict: 'SUSPECT' })],
    ),
  );
  for (const text of [
    'hellaswag acc_norm',
    'REGRESSED  -4.00  (-6.10 to -1.90)',
    'mmlu acc',
    'HELD  +0.50  (-0.20 to +1.20)',
    'SUSPECT  -0.70',
    'percentage points; below 0 is worse',
    'percent of the baseline; below 0 is worse',
    'against a/small fp32',
  ])
    assert.ok(svg.includes(`>${text}<`), text);
  assert.deepEqual([...png.subarray(1, 4)], [...Buffer.from('PNG')]);
});

test('every mark lies inside the axis: interval, allowed drop and 0', () => {
  const spec = forestSpec(input([line({ allowed: 9, interval: [-6, -2] })]), faces) as unknown as {
    vconcat: { layer: { name?: string; encoding: { x: { scale: { domain: [number, number] } } } }[] }[];
  };
  const { domain } = spec.vconcat[0]!.layer.find(({ name }) => name === 'interval_0')!.encoding.x.scale;
  assert.ok(domain[0] < -9 && domain[1] > 0, String(domain));
});

test('a panel without lines is left out, and without any there is nothing to draw', () => {
  const spec = forestSpec(input([line()], []), faces) as unknown as { vconcat: unknown[] };
  assert.equal(spec.vconcat.length, 1);
  assert.throws(() => forestSpec(input([], []), faces), /nothing to draw/);
  assert.throws(() => forestSpec(input([line({ difference: Number.NaN })]), faces), /not a finite number/);
});

test('the axis says whole numbers as they are', async () => {
  const { svg } = await drawForest(input([], [line({ difference: 40, interval: [30, 50] })]));
  assert.ok(svg.includes('>40<') && !/>[^<]*e\+/.test(svg));
});
