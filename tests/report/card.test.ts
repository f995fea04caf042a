/** The chart of ours beside reported values. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardLines, cardSpec } from '../../nanoeval/report/card.ts';
import { drawCard } from '../../nanoeval/report/chart.ts';
import { FONT_FILES, readFace } from '../../nanoeval/report/font.ts';
import type { SuiteLine } from '../../nanoeval/report/suite_table.ts';

const faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
const line = (more: Partial<SuiteLine> = {}): SuiteLine => ({
  task: 'piqa',
  recipe: 'cloze',
  n: 1838,
  metric: 'acc_norm',
  estimate: { value: 0.6512, stderr: 0.011, ci95: [0.63, 0.672], n: 1838 },
  unit: 'share',
  reference: { value: 0.663, source: 'model card' },
  ...more,
});
const notRun = line({ task: 'MT-Bench', metric: null, estimate: null, unit: null, missing: 'a judge decides' });

test('lines are shares with a reported value, run or not', () => {
  const lines = [line(), line({ reference: undefined }), line({ unit: 'number' }), notRun];
  assert.deepEqual(cardLines(lines), [lines[0], notRun]);
  const judged = { ...notRun, reference: { value: 7.4, source: 'out of 10' } };
  assert.deepEqual(cardLines([judged]), [], 'what is no share is not drawn as one');
});

test('the picture says each line, both values in percent, and what is not run', async () => {
  const { svg, png } = await drawCard({
    title: 'paper: ours beside reported values',
    subtitle: ['a/b'],
    lines: [
      line(),
      notRun,
      line({ task: 'IFEval (Average)', metric: 'prompt_level_strict_acc, inst_level_strict_acc' }),
      line({ task: 'arc', estimate: null, unit: null, error: 'no network', reference: { value: 0.373, source: '' } }),
    ],
  });
  const names = ['piqa, acc_norm', 'MT-Bench', 'IFEval (Average)', 'arc, acc_norm', 'ours', 'reported'];
  for (const text of [...names, '65.1', '66.3', '66.3 (not run)', '37.3 (failed)'])
    assert.ok(svg.includes(`>${text}<`), text);
  assert.ok(png.length > 5000, `${png.length} bytes`);
});

test('bars: ours with its interval, the reported one without', () => {
  const spec = cardSpec({ title: 't', subtitle: [], lines: [line()] }, faces) as {
    data: { values: Record<string, unknown>[] };
  };
  assert.deepEqual(
    spec.data.values.map(({ kind, low, high }) => [kind, low, high]),
    [
      ['ours', 63, 67.2],
      ['reported', null, null],
    ],
  );
  assert.throws(() => cardSpec({ title: 't', subtitle: [], lines: [] }, faces), /nothing to draw/);
  const broken = line({ estimate: { value: Number.NaN, stderr: null, ci95: null, n: 1 } });
  assert.throws(() => cardSpec({ title: 't', subtitle: [], lines: [broken] }, faces), /not a finite number/);
});
