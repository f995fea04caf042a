import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { judge } from '../../nanoeval/compare/judge.ts';
import { openSet } from '../../nanoeval/compare/sources.ts';
import { compareSchema } from '../../nanoeval/config/compare.ts';
import { differingTerms, flipsOf, whyApart, worthOf } from '../../nanoeval/page/pair.ts';
import type { PageList, PageRun } from '../../nanoeval/report/page_shape.ts';
import { temporaryFolder } from '../spawn.ts';
import { plantRanked } from './planted.ts';

const folder = temporaryFolder('pair');
after(folder.remove);

const listOf = (status: string, change: Partial<PageList> = {}): PageList => ({
  index: [...status].map((_, i) => i),
  status,
  prompts: [...status].map((one, i) => (one === 'f' ? ' '.repeat(8) : String(i).padStart(8, '0'))).join(''),
  ...change,
});

test('flips are rows that one of two has right and the other wrong; failed and other rows are none', () => {
  const flips = flipsOf(listOf('rrwwuf'), listOf('rwrwrr'));
  assert.deepEqual([...flips.of], [0, 1, -1, 0, -1, 0]);
  assert.deepEqual([flips.better, flips.worse, flips.n, flips.left, flips.judged], [1, 2, 5, 0, true]);
  assert.equal(flips.other[5], 5, 'a failed row stands beside its other');
  assert.equal(flipsOf(listOf('ss'), listOf('ss')).judged, false);
});

test('rows are paired by index, draw, id and prompt, in whatever order', () => {
  const beside = listOf('rwr', { index: [2, 0, 9], prompts: '000000020000000000000009' });
  const flips = flipsOf(listOf('rrr'), beside);
  assert.deepEqual([[...flips.other], [...flips.of], flips.left], [[1, -1, 0], [1, 0, 0], 2]);
  const otherPrompt = flipsOf(listOf('r'), listOf('w', { prompts: 'ffffffff' }));
  assert.deepEqual([otherPrompt.n, otherPrompt.left], [0, 2]);
  assert.equal(flipsOf(listOf('r', { id: ['a'] }), listOf('w', { id: ['b'] })).n, 0);
  assert.equal(
    flipsOf(
      listOf('rw', { sample: [0, 1], index: [3, 3] }),
      listOf('wr', { sample: [1, 0], index: [3, 3], prompts: '0000000100000000' }),
    ).n,
    2,
  );
});

test('the difference, its interval and the word are those of compare.ts', async () => {
  const [before, now] = [
    await plantRanked(join(folder.path, 'a'), 'made/a', (index) => index % 4 !== 0, 400),
    await plantRanked(join(folder.path, 'b'), 'made/b', (index) => index % 7 !== 0, 400),
  ];
  const result = await judge(
    await openSet(before, 'baseline'),
    await openSet(now, 'current'),
    compareSchema.parse({}),
    { info: () => {}, progress: () => {} },
  );
  const [metric] = result.tasks[0]!.metrics;
  const status = (every: number) => Array.from({ length: 400 }, (_, i) => (i % every === 0 ? 'w' : 'r')).join('');
  const worth = worthOf(flipsOf(listOf(status(7)), listOf(status(4))))!;
  assert.equal(worth.outcome, metric!.verdict);
  assert.ok(Math.abs(worth.difference - metric!.difference) < 1e-12);
  assert.deepEqual([worth.interval.low, worth.interval.high], metric!.interval);
  assert.equal(worthOf(flipsOf(listOf('s'), listOf('s'))), null);
});

test('runs that were asked otherwise do not stand side by side, and it is said in what they differ', () => {
  assert.deepEqual(differingTerms({ a: 1, b: { c: [1, 2] }, d: null }, { a: 1, b: { c: [1, 3] } }), ['b.c.1']);
  const run = (terms: object, more = {}) => ({ name: 'x', status: 'complete', terms, ...more }) as unknown as PageRun;
  assert.equal(whyApart(run({ task: 'a' }), run({ task: 'a' })), null);
  assert.match(whyApart(run({ recipe: { name: 'a' } }), run({ recipe: { name: 'b' } }))!, /differ in recipe\.name/);
  assert.match(whyApart(run({}), run({}, { error: 'no' }))!, /x failed/);
  assert.match(whyApart(run({}), run({}, { status: 'unscored' }))!, /no scores/);
});
