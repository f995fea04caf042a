import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { ALL_KEY, PLOT_WIDTH, plotOf } from '../../nanoeval/report/chart_bars.ts';
import { type Faces, FONT_FILES, readFace } from '../../nanoeval/report/font.ts';
import type { TableRow } from '../../nanoeval/types.ts';

let faces: Faces;
before(async () => {
  faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
});

function row(label: string, level: TableRow['level'], value: number, group = label, stderr: number | null = null) {
  const ci95: [number, number] | null = stderr === null ? null : [value - 2 * stderr, value + 2 * stderr];
  return { label, level, group, metric: 'm', estimate: { value, stderr, ci95, n: 9 } } satisfies TableRow;
}

test('rows in drawing order, one below the other', () => {
  const rows = [
    row('stem', 'group', 0.3),
    row('tort', 'subject', 0.2, 'law'),
    row('all', 'all', 0.3),
    row('law', 'group', 0.2),
    row('physics', 'subject', 0.3, 'stem'),
  ];
  const { bars, groups, height } = plotOf(rows, 'share', null, faces);
  assert.deepEqual(
    bars.map((bar) => bar.label),
    ['all', 'stem', 'physics', 'law', 'tort'],
  );
  assert.deepEqual(groups, ['stem', 'law']);
  assert.deepEqual(
    bars.map((bar) => bar.group),
    [ALL_KEY, 'stem', 'stem', 'law', 'law'],
  );
  assert.deepEqual(
    bars.map((bar) => bar.bold),
    [true, true, false, true, false],
  );
  for (const [i, bar] of bars.entries()) {
    assert.ok(bar.row_top >= (bars[i - 1]?.row_bottom ?? 0), `${i}`);
    assert.ok(bar.row_top < bar.top && bar.top < bar.middle && bar.middle < bar.bottom && bar.bottom < bar.row_bottom);
  }
  assert.equal(height, bars.at(-1)!.row_bottom);
});

test('many rows get a tighter step', () => {
  const rows = (n: number) => Array.from({ length: n }, (_, i) => row(`g${i}`, 'group', 0.3));
  assert.equal(plotOf(rows(16), 'share', null, faces).height, 16 * 26);
  assert.equal(plotOf(rows(17), 'share', null, faces).height, 17 * 20);
});

test('whiskers end with the axis of shares; other numbers have an axis that takes them in', () => {
  const [share] = plotOf([row('all', 'all', 0.95, 'all', 0.05)], 'share', null, faces).bars;
  assert.equal(share?.high, 1);
  const number = plotOf([row('all', 'all', 0.95, 'all', 0.05)], 'number', null, faces);
  assert.deepEqual([number.axis.start, number.axis.end, number.base], [0, 1.2, 0]);
  assert.equal(number.bars[0]?.high, 1.05);
});

test('values below 0: the bars begin at 0, the texts stand right of it', () => {
  const { axis, base, bars } = plotOf([row('all', 'all', -3.4)], 'number', null, faces);
  assert.deepEqual([axis.start, axis.end, base], [-4, 0, 0]);
  assert.ok(bars[0]!.text_x > 0);
});

test('a plate only where the chance line meets the value text', () => {
  const rows = [row('all', 'all', 0.2), row('a', 'group', 0.8)];
  const { bars } = plotOf(rows, 'share', 0.25, faces);
  assert.ok(bars[0]!.plate_start! < 0.25 && bars[0]!.plate_end! > 0.25);
  assert.equal(bars[1]!.plate_start, null);
  assert.equal(plotOf(rows, 'share', null, faces).bars[0]!.plate_start, null);
});

test('the figure is as wide as its longest label and its last text need', () => {
  const narrow = plotOf([row('all', 'all', 26)], 'number', null, faces);
  const wide = plotOf([row('all', 'all', 30), row('a much longer label', 'group', 40)], 'number', null, faces);
  assert.ok(wide.left > narrow.left);
  assert.equal(narrow.figureWidth, narrow.left + PLOT_WIDTH + 16);
  assert.ok(wide.figureWidth > wide.left + PLOT_WIDTH + 16, 'the bar of 40 fills the axis');
});
