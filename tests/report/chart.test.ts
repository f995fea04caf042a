import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inflateSync } from 'node:zlib';
import { drawChart } from '../../nanoeval/report/chart.ts';
import type { ChartInput } from '../../nanoeval/report/chart_spec.ts';
import type { Estimate, TableRow } from '../../nanoeval/types.ts';

function share(value: number, n: number): Estimate {
  const stderr = n > 1 ? Math.sqrt((value * (1 - value)) / (n - 1)) : null;
  return { value, stderr, ci95: stderr === null ? null : [value - 1.96 * stderr, value + 1.96 * stderr], n };
}

function row(label: string, level: TableRow['level'], value: number, n = 400, group = label): TableRow {
  return { label, level, group, metric: 'acc', estimate: share(value, n) };
}

function input(rows: TableRow[], rest: Partial<ChartInput> = {}): ChartInput {
  const title = { model: 'org/model', task: 'hellaswag', recipe: 'lm_eval', n: 10042 };
  return { title, metric: 'acc', unit: 'share', better: 'higher', chance: 0.25, rows, ...rest };
}

const three = [row('all', 'all', 0.431), row('activitynet', 'group', 0.47), row('wikihow', 'group', 0.4)];

/** The drawn elements of one layer. */
function marks(svg: string, layer: string): string[] {
  const group =
    svg.match(new RegExp(`<g class="mark-\\w+ role-mark ${layer}_marks"[^>]*(?<!/)>(.*?)</g>`, 's'))?.[1] ?? '';
  return group.match(/<(path|line|text)[^>]*>/g) ?? [];
}

function texts(svg: string): string[] {
  return [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map((m) => m[1]!);
}

/** Where the plot's corner stands in the picture. */
function origin(svg: string): { left: number; top: number } {
  const found = svg.match(/transform="translate\(([\d.]+),([\d.]+)\)"/)!;
  return { left: Number(found[1]), top: Number(found[2]) };
}

/** The pixels of an 8-bit RGBA PNG without interlace, which is what resvg writes. */
function decodePng(png: Buffer): { width: number; height: number; luminance(x: number, y: number): number } {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  assert.deepEqual([...png.subarray(24, 29)], [8, 6, 0, 0, 0]);
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const stride = width * 4;
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!;
    for (let i = 0; i < stride; i++) {
      const a = i >= 4 ? pixels[y * stride + i - 4]! : 0;
      const b = y > 0 ? pixels[(y - 1) * stride + i]! : 0;
      const c = i >= 4 && y > 0 ? pixels[(y - 1) * stride + i - 4]! : 0;
      const p = a + b - c;
      const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
      const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      const guess = [0, a, b, (a + b) >> 1, paeth][filter]!;
      pixels[y * stride + i] = raw[y * (stride + 1) + 1 + i]! + guess;
    }
  }
  return { width, height, luminance: (x, y) => pixels[y * stride + x * 4 + 1]! };
}

function darkPixels(png: Buffer, box: { x0: number; y0: number; x1: number; y1: number }): number {
  const { width, height, luminance } = decodePng(png);
  let dark = 0;
  for (let y = Math.max(0, Math.round(box.y0 * 2)); y < Math.min(height, box.y1 * 2); y++) {
    for (let x = Math.max(0, Math.round(box.x0 * 2)); x < Math.min(width, box.x1 * 2); x++) {
      if (luminance(x, y) < 110) dark++;
    }
  }
  return dark;
}

test('one bar, one whisker with two caps, one label and one value text a row', async () => {
  const { svg } = await drawChart(input(three));
  for (const layer of ['bar', 'interval', 'interval_low', 'interval_high', 'label', 'value']) {
    assert.equal(marks(svg, layer).length, 3, layer);
  }
  assert.ok(texts(svg).includes('47.0 ± 2.5'));
});

test('the title has the task and metric, then model, recipe and n', async () => {
  const { svg } = await drawChart(input(three));
  assert.ok(texts(svg).includes('hellaswag · acc'));
  assert.ok(texts(svg).includes('org/model · lm_eval · n = 10,042'));
});

test('the labels are seen in the PNG, which has twice the size of the SVG', async () => {
  const { svg, png } = await drawChart(input(three));
  const { left, top } = origin(svg);
  const { width, height, luminance } = decodePng(png);
  assert.equal(width, 2 * Number(svg.match(/width="(\d+)"/)![1]));
  assert.equal(luminance(0, 0), 255);
  assert.equal(luminance(width - 1, height - 1), 255);
  // Left of the axis there is nothing but labels: "all" in the first row, "wikihow" in the last.
  assert.ok(darkPixels(png, { x0: 0, x1: left - 5, y0: top, y1: top + 26 }) > 40);
  assert.ok(darkPixels(png, { x0: 0, x1: left - 5, y0: top + 61, y1: top + 87 }) > 80);
  assert.ok(darkPixels(png, { x0: 0, x1: left + 300, y0: 10, y1: 40 }) > 200, 'title');
});

test('nothing dark touches the edge of the picture, however long the labels', async () => {
  const long = 'high_school_government_and_politics_'.repeat(3);
  const { svg, png } = await drawChart(input([row('all', 'all', 1, 30), row(long, 'group', 0.99, 5)]));
  const { width, height } = decodePng(png);
  assert.ok(texts(svg).includes(long), 'the label is not cut');
  assert.equal(darkPixels(png, { x0: 0, y0: 0, x1: 16, y1: height }), 0);
  assert.equal(darkPixels(png, { x0: width / 2 - 16, y0: 0, x1: width / 2, y1: height }), 0);
});

test('the chance line is there, with its label, only when there is a chance', async () => {
  const { svg } = await drawChart(input(three, { chance: 1 / 3 }));
  assert.equal(marks(svg, 'chance').length, 1);
  assert.match(marks(svg, 'chance')[0]!, /stroke-dasharray/);
  assert.ok(texts(svg).includes('chance 33.3 %'));
  const without = await drawChart(input(three, { chance: null }));
  assert.equal(marks(without.svg, 'chance').length, 0);
  assert.ok(!without.svg.includes('chance'));
});

test('without an interval there is no whisker, and the text is the value alone', async () => {
  const { svg } = await drawChart(input([row('all', 'all', 1, 1), row('a', 'group', 0.5, 10)]));
  assert.equal(marks(svg, 'bar').length, 2);
  assert.equal(marks(svg, 'interval').length, 1);
  assert.ok(texts(svg).includes('100.0'));
  const single = await drawChart(input([row('all', 'all', 1, 1)]));
  assert.equal(marks(single.svg, 'interval').length, 0);
  assert.ok(!single.svg.includes('95 %'));
});

test('`all` comes first, then each group with its subjects, in the order given', async () => {
  const rows = [
    row('stem', 'group', 0.3),
    row('law', 'group', 0.3),
    row('all', 'all', 0.3),
    row('tort', 'subject', 0.3, 9, 'law'),
    row('physics', 'subject', 0.3, 9, 'stem'),
    row('algebra', 'subject', 0.3, 9, 'stem'),
  ];
  const { svg } = await drawChart(input(rows));
  const labels = svg.match(/ label_marks"[^>]*>(.*?)<\/g>/s)![1]!;
  assert.deepEqual(texts(labels), ['all', 'stem', 'physics', 'algebra', 'law', 'tort']);
});

test('a subject may have the name of its group', async () => {
  const { svg } = await drawChart(
    input([row('all', 'all', 0.3), row('Art', 'group', 0.3), row('Art', 'subject', 0.3)]),
  );
  assert.equal(marks(svg, 'bar').length, 3);
});

test('a legend only with more than one group, and not with more groups than colours', async () => {
  const groups = (n: number) => Array.from({ length: n }, (_, i) => row(`g${i}`, 'group', 0.3));
  const draw = async (n: number) => (await drawChart(input([row('all', 'all', 0.3), ...groups(n)]))).svg;
  assert.ok((await draw(2)).includes('role-legend'));
  assert.ok(!(await draw(1)).includes('role-legend'));
  assert.ok(!(await draw(11)).includes('role-legend'));
});

test('the value text stands clear of the whisker, and a plate keeps the chance line out of it', async () => {
  // 0.2 ± 0.02 ends left of chance at 0.25, so that the text lies across the line.
  const { svg } = await drawChart(input([row('all', 'all', 0.2, 400), row('a', 'group', 0.5, 400)]));
  assert.equal(marks(svg, 'plate').length, 1);
  const x = (element: string) => Number(element.match(/translate\(([\d.]+),/)![1]);
  const ends = marks(svg, 'interval_high').map(x);
  const starts = marks(svg, 'value').map(x);
  for (const i of [0, 1]) assert.ok(starts[i]! - ends[i]! > 5, `${starts[i]} after ${ends[i]}`);
});

test('an interval beyond 0..1 is cut to the axis', async () => {
  const { svg } = await drawChart(input([row('all', 'all', 0.9, 5), row('a', 'group', 0.05, 5)]));
  const x = (element: string) => Number(element.match(/translate\(([-\d.]+),/)![1]);
  assert.equal(x(marks(svg, 'interval_high')[0]!), 480);
  assert.equal(x(marks(svg, 'interval_low')[1]!), 0);
});

test('a perplexity: an axis for the data from 0, no percent, no chance line, a note that lower is better', async () => {
  const estimate = (value: number, stderr: number): Estimate => {
    return { value, stderr, ci95: [value - 1.96 * stderr, value + 1.96 * stderr], n: 62 };
  };
  const metric = 'word_perplexity';
  const rows: TableRow[] = [
    { label: 'all', level: 'all', group: 'all', metric, estimate: estimate(31.1, 0.9) },
    { label: 'wiki', level: 'group', group: 'wiki', metric, estimate: estimate(37.7, 1.4) },
  ];
  const { svg } = await drawChart(input(rows, { metric, unit: 'number', better: 'lower', chance: null }));
  const seen = texts(svg);
  assert.ok(seen.includes('31.10 ± 0.90') && seen.includes('37.7 ± 1.4'), seen.join('|'));
  for (const label of ['0', '10', '20', '30', '40', '50']) assert.ok(seen.includes(label), label);
  const note = 'Values, ± one standard error; whiskers: 95 % interval; lower is better.';
  assert.deepEqual(
    seen.filter((t) => t.includes('%')),
    [note],
  );
  assert.equal(marks(svg, 'chance').length, 0);
  const starts = marks(svg, 'bar').map((bar) => bar.match(/d="M0,[\d.]+h([\d.]+)v/)?.[1] ?? bar);
  assert.ok(
    starts.every((width) => Number(width) > 250 && Number(width) < 400),
    starts.join('|'),
  );
});

test('bits per byte: one bar inside 0..1 is drawn as it is, its note without a word of intervals', async () => {
  const estimate: Estimate = { value: 0.98, stderr: null, ci95: null, n: 62 };
  const rows: TableRow[] = [{ label: 'all', level: 'all', group: 'all', metric: 'bits_per_byte', estimate }];
  const { svg } = await drawChart(
    input(rows, { metric: 'bits_per_byte', unit: 'number', better: 'lower', chance: null }),
  );
  for (const label of ['0.98', '0.0', '0.2', '1.0', 'Values; lower is better.'])
    assert.ok(texts(svg).includes(label), label);
});

test('values below 0 and a chance that is no share', async () => {
  const estimate: Estimate = { value: -3, stderr: 0.5, ci95: [-4, -2], n: 62 };
  const rows: TableRow[] = [{ label: 'all', level: 'all', group: 'all', metric: 'score', estimate }];
  const { svg } = await drawChart(input(rows, { metric: 'score', unit: 'number', chance: -5 }));
  assert.ok(texts(svg).includes('chance −5'));
  assert.ok(texts(svg).includes('−4'));
});

test('a path of 120 characters is broken into lines, none lost', async () => {
  const model = `/home/somebody/checkpoints/${'x'.repeat(93)}`;
  const { svg } = await drawChart(input(three, { title: { model, task: 'mmlu', recipe: 'lm_eval', n: 3 } }));
  const subtitle = svg.match(/role-title-subtitle"[^>]*>(.*?)<\/g>/s)![1]!;
  const lines = [...subtitle.matchAll(/<tspan[^>]*>([^<]*)</g)].map((m) => m[1]!);
  assert.ok(lines.length >= 2);
  assert.equal(lines.join(''), `${model} · lm_eval · n = 3`);
  assert.ok(Number(svg.match(/width="(\d+)"/)![1]) < 700);
});

test('62 bars of MMLU: all labels whole, narrow margins', async () => {
  const rows = [row('all', 'all', 0.3)];
  for (let g = 0; g < 4; g++) {
    rows.push(row(`group_${g}`, 'group', 0.3));
    for (let s = 0; s < 14 + (g === 0 ? 1 : 0); s++) {
      rows.push(
        row(
          s === 0 ? `high_school_government_and_politics_${g}` : `subject_${g}_${s}`,
          'subject',
          0.25,
          100,
          `group_${g}`,
        ),
      );
    }
  }
  assert.equal(rows.length, 62);
  const { svg } = await drawChart(input(rows));
  assert.equal(marks(svg, 'bar').length, 62);
  assert.ok(!svg.includes('…'));
  // The longest label is 243 pixels wide in Inter at 12; Vega's own guess would be 355.
  const { left } = origin(svg);
  assert.ok(left > 240 && left < 290, `left margin ${left}`);
});

test('labels with markup and control characters keep the SVG well-formed', async () => {
  const { svg, png } = await drawChart(input([row('all', 'all', 0.3), row('<b> & "x"\u0007\n_y_ 你好', 'group', 0.3)]));
  assert.ok(
    texts(svg).some((t) => t.includes('&lt;b&gt; &amp; "x" _y_ 你好')),
    texts(svg).join('|'),
  );
  assert.ok(png.length > 1000);
});

test('the SVG names the font family and the same input gives the same bytes', async () => {
  const [a, b] = await Promise.all([drawChart(input(three)), drawChart(input(structuredClone(three)))]);
  assert.equal(a.svg, b.svg);
  assert.ok(a.png.equals(b.png));
  const families = new Set([...a.svg.matchAll(/font-family="([^"]*)"/g)].map((m) => m[1]!));
  assert.equal(families.size, 1);
  assert.match([...families][0]!, /^Inter, .*sans-serif$/);
});

test('nothing to draw, or a value that is not a number, is an error', async () => {
  await assert.rejects(drawChart(input(three, { metric: 'acc_norm' })), /no row has the metric "acc_norm"/);
  await assert.rejects(drawChart(input([row('all', 'all', Number.NaN)])), /all: acc holds NaN/);
});

// A copy of chart.ts and its parts in a folder of its own, where its fonts can be taken away.
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nanoeval-chart-'));
  const root = fileURLToPath(new URL('../../', import.meta.url));
  await mkdir(join(folder, 'report'));
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  // Every source of the folder, whatever the chart is made of.
  for (const name of (await readdir(join(root, 'nanoeval/report'))).filter((one) => one.endsWith('.ts')))
    await cp(join(root, 'nanoeval/report', name), join(folder, 'report', name));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
});
after(() => rm(folder, { recursive: true }));

test('a missing font, or a file that is none, is an error that names it', async () => {
  const copy: { drawChart: typeof drawChart } = await import(pathToFileURL(join(folder, 'report/chart.ts')).href);
  await assert.rejects(copy.drawChart(input(three)), /Inter_400Regular\.ttf: the chart's font cannot be read/);
  await mkdir(join(folder, 'report/fonts'));
  await writeFile(join(folder, 'report/fonts/Inter_400Regular.ttf'), 'wOF2 and so on');
  await assert.rejects(copy.drawChart(input(three)), /Inter_400Regular\.ttf: no TrueType header/);
});
