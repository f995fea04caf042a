import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type ChartInput, chartSpec } from '../../nanoeval/report/chart_spec.ts';
import { type Faces, FONT_FILES, readFace } from '../../nanoeval/report/font.ts';
import type { TableRow } from '../../nanoeval/types.ts';

let faces: Faces;
before(async () => {
  faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
});

function row(label: string, level: TableRow['level'], value: number, stderr: number | null = null): TableRow {
  const ci95: [number, number] | null = stderr === null ? null : [value - 2 * stderr, value + 2 * stderr];
  return { label, level, group: label, metric: 'acc', estimate: { value, stderr, ci95, n: 9 } };
}

/** The part of a spec that the tests look at. */
interface Looked {
  title: { text: string[]; subtitle: string[] };
  data: { values: { label: string }[] };
  layer: { name: string; data?: { values: { note?: string; label?: string }[] }; encoding: { color?: object } }[];
}

function specOf(rows: TableRow[], rest: Partial<ChartInput> = {}): Looked {
  const title = { model: 'org/model', task: 'hellaswag', recipe: 'lm_eval', n: 10042 };
  const input: ChartInput = { title, metric: 'acc', unit: 'share', better: 'higher', chance: null, rows, ...rest };
  return chartSpec(input, faces) as unknown as Looked;
}

const noteOf = (spec: Looked) => spec.layer.find(({ name }) => name === 'note')?.data?.values[0]?.note;

test('the note says what is drawn, and which way is good only when it is down', () => {
  const [exact, spread] = [[row('all', 'all', 0.5)], [row('all', 'all', 0.5, 0.1)]];
  const number = { unit: 'number', better: 'lower' } as const;
  assert.equal(noteOf(specOf(exact)), 'Values in percent.');
  assert.equal(noteOf(specOf(spread)), 'Values in percent, ± one standard error; whiskers: 95 % interval.');
  assert.equal(
    noteOf(specOf(spread, number)),
    'Values, ± one standard error; whiskers: 95 % interval; lower is better.',
  );
  assert.equal(noteOf(specOf(exact, number)), 'Values; lower is better.');
  assert.equal(noteOf(specOf(exact, { unit: 'number' })), 'Values.');
});

test('layers in drawing order, those of the chance line only with one', () => {
  const names = (chance: number | null) => specOf([row('all', 'all', 0.5)], { chance }).layer.map(({ name }) => name);
  const rest = ['plate', 'interval', 'interval_low', 'interval_high', 'label', 'value', 'note'];
  assert.deepEqual(names(null), ['bar', 'baseline', ...rest]);
  assert.deepEqual(names(0.25), ['bar', 'baseline', 'chance', 'chance_label', ...rest]);
  const label = (unit: 'share' | 'number', chance: number) =>
    specOf([row('all', 'all', 0.5)], { unit, chance }).layer[3]?.data?.values[0]?.label;
  assert.equal(label('share', 1 / 3), 'chance 33.3 %');
  assert.equal(label('number', 1000.5), 'chance 1,001');
});

test('rows of other metrics are left out', () => {
  const spec = specOf([row('all', 'all', 0.5), { ...row('all', 'all', 0.4), metric: 'acc_norm' }]);
  assert.equal(spec.data.values.length, 1);
});

test('the title lines', () => {
  const title = { model: 'm', task: 't', recipe: 'r', n: 1234, details: ['q4', '5-shot'] };
  const spec = specOf([row('all', 'all', 0.5)], { title });
  assert.deepEqual(spec.title.text, ['t · acc']);
  assert.deepEqual(spec.title.subtitle, ['m · r · q4 · 5-shot · n = 1,234']);
});

test('a legend for two to ten groups', () => {
  const legend = (n: number) => {
    const groups = Array.from({ length: n }, (_, i) => row(`g${i}`, 'group', 0.3));
    return (specOf(groups).layer[0]!.encoding.color as { legend: object | null }).legend !== null;
  };
  assert.deepEqual([1, 2, 10, 11].map(legend), [false, true, true, false]);
});

test('nothing to draw, a value that is not finite, a share outside 0..1', () => {
  assert.throws(() => specOf([], {}), /no row has the metric "acc"/);
  assert.throws(() => specOf([row('all', 'all', Number.NaN)]), /all: acc holds NaN/);
  assert.throws(() => specOf([row('all', 'all', 24)]), /acc has values outside 0\.\.1.* "number"/);
  assert.throws(() => specOf([row('all', 'all', 0.5)], { chance: 4 }), /outside 0\.\.1/);
});
