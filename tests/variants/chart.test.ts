/** What is drawn of a report: a panel a task, one of the divergence, intervals where the difference is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variantsChart } from '../../nanoeval/variants/chart.ts';
import { madeMetric, madeReport, madeVariant } from './made.ts';

const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-9, `${a} ${b}`);

test('a panel of the task in percent with chance, and one of the divergence', () => {
  const { panels, title, subtitle } = variantsChart(madeReport())!;
  assert.equal(title, 'BROKEN: variants of a/small against fp32');
  assert.ok(subtitle.includes('cross: broken'));
  const [task, kl] = panels;
  assert.deepEqual([task!.title, task!.line], ['hellaswag acc_norm, %', { y: 25, label: 'chance' }]);
  assert.deepEqual(
    task!.points.map(({ label, size, broken }) => [label, size, broken]),
    [
      ['fp32', 538, false],
      ['fp16', 269, false],
      ['q8', 135, false],
      ['q4', 180, true],
    ],
  );
  near(task!.points[2]!.y, 40.6);
  near(task!.points[2]!.interval![0], 39.6);
  near(task!.points[2]!.interval![1], 41.6);
  assert.equal(task!.points[0]!.interval, null);
  assert.deepEqual([kl!.title, kl!.points[0]!.y, kl!.points.length], ['mean KL(fp32 || variant), nats a token', 0, 4]);
});

test('where lower is better the interval of the difference is turned', () => {
  const metric = madeMetric(-2, 'REGRESSED', {
    unit: 'number',
    better: 'lower',
    baseline: 20,
    current: 22,
    interval: [-3, -1],
  });
  const worse = madeVariant('q4', 180e6, metric);
  const variants = [madeVariant('fp32', 538e6, null), worse];
  for (const { scores } of variants)
    scores[0]!.primary = { name: 'acc_norm', unit: 'number', better: 'lower', chance: null };
  const [panel] = variantsChart(madeReport({ variants }))!.panels;
  assert.deepEqual([panel!.title, panel!.line], ['hellaswag acc_norm (lower is better)', null]);
  assert.deepEqual(panel!.points[1]!.interval, [21, 23]);
});

test('a variant without a size is left out; with none there is nothing to draw', () => {
  const served = madeVariant('served', null, madeMetric(0, 'HELD'));
  const { panels } = variantsChart(madeReport({ variants: [madeVariant('fp32', 1e6, null), served] }))!;
  assert.deepEqual([panels.length, panels[0]!.points.length], [1, 1]);
  assert.equal(variantsChart(madeReport({ variants: [served] })), null);
});
