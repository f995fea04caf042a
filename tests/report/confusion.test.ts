/** The confusion matrix: what the spec holds, and that it is drawn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawConfusion } from '../../nanoeval/report/chart.ts';
import { type ConfusionInput, confusionSpec } from '../../nanoeval/report/confusion.ts';
import { FONT_FILES, readFace } from '../../nanoeval/report/font.ts';

const faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
const input = (more: Partial<ConfusionInput> = {}): ConfusionInput => ({
  title: 'classification: confusion',
  subtitle: ['a/small'],
  labels: ['good', 'Ω bad'],
  counts: [
    [31, 2],
    [0, 17],
  ],
  ...more,
});

test('the picture says both axes, each label on both of them, and each count in its cell', async () => {
  const { svg, png } = await drawConfusion(input());
  for (const [text, times] of [
    ['gold', 1],
    ['predicted', 1],
    ['good', 2],
    ['Ω bad', 2],
    ['31', 1],
    ['2', 1],
    ['0', 1],
    ['17', 1],
    ['a/small', 1],
  ] as const)
    assert.equal(svg.split(`>${text}<`).length - 1, times, text);
  assert.deepEqual([...png.subarray(1, 4)], [...Buffer.from('PNG')]);
});

interface Spec {
  layer: { name: string }[];
  data: { values: { gold: number; said: number; count: string; share: number }[] };
}

test('colours are shares of the gold label; a label without rows has none', () => {
  const counts = [
    [3, 1],
    [0, 0],
  ];
  const { data } = confusionSpec(input({ counts }), faces) as unknown as Spec;
  assert.deepEqual(
    data.values.map(({ gold, said, share }) => [gold, said, share]),
    [
      [0, 0, 0.75],
      [0, 1, 0.25],
      [1, 0, 0],
      [1, 1, 0],
    ],
  );
});

test('long labels are cut and stay apart; many labels have colours alone', async () => {
  const long = 'the same beginning of a label that is far longer than there is room for, ';
  const { svg } = await drawConfusion(input({ labels: [`${long}one`, `${long}two`] }));
  assert.equal(svg.split('>the same beginning').length - 1, 4);
  assert.ok(!svg.includes('room for, one'));
  const many = Array.from({ length: 60 }, (_, i) => `l${i}`);
  const spec = confusionSpec(
    input({ labels: many, counts: many.map(() => many.map(() => 1)) }),
    faces,
  ) as unknown as Spec;
  assert.deepEqual(
    spec.layer.map(({ name }) => name),
    ['cell'],
  );
});

test('nothing to draw, and counts that are none, are errors', () => {
  assert.throws(() => confusionSpec(input({ labels: [], counts: [] }), faces), /nothing to draw/);
  for (const counts of [
    [[1, 2]],
    [[1], [2]],
    [
      [1, -1],
      [0, 0],
    ],
    [
      [1, 0.5],
      [0, 0],
    ],
  ])
    assert.throws(() => confusionSpec(input({ counts }), faces), /2 times 2 whole numbers/);
});
