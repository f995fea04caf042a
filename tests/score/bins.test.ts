import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binEdges, binOf } from '../../nanoeval/score/bins.ts';
import { Random } from '../../nanoeval/score/random.ts';

/** Share of the scatter that is left inside the bins. */
function within(values: Float64Array, edges: Float64Array): number {
  const groups = Array.from(edges, () => [] as number[]);
  for (const value of values) groups[binOf(edges, value)]!.push(value);
  const scatter = (group: ArrayLike<number>) => {
    const all = Array.from(group);
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    return all.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  };
  return groups.reduce((sum, group) => sum + scatter(group), 0) / scatter(values);
}

test('a few distinct values get a bin each', () => {
  const edges = binEdges(Float64Array.of(1, 0, -1, 0, 0, 1, 0.25, 0.5));
  assert.deepEqual([...edges], [-1, 0, 0.25, 0.5, 1]);
  assert.deepEqual(
    [-1, 0, 0.25, 1].map((value) => binOf(edges, value)),
    [0, 1, 2, 4],
  );
  assert.deepEqual([...binEdges(Float64Array.of(2, 2, 2))], [2]);
  // One value in a million, next to others that make nearly all of the scatter.
  const rare = new Float64Array(1e6).fill(-1, 0, 4e5);
  rare[999_999] = 0.5;
  assert.deepEqual([...binEdges(rare)], [-1, 0, 0.5]);
});

test('little scatter is left inside the bins, of heavy tails too, and none is empty', () => {
  const random = new Random(3);
  const shapes: ((u: number) => number)[] = [
    (u) => u,
    (u) => -Math.log(u),
    (u) => 1 / (u - 0.5),
    (u) => 1e9 + u * 1e-3,
    (u) => (u < 0.9 ? Math.floor(u * 4) : u),
  ];
  for (const shape of shapes) {
    const values = Float64Array.from({ length: 20_000 }, () => shape(random.uniform()));
    const edges = binEdges(values.slice());
    assert.ok(edges.length <= 256);
    assert.ok(within(values, edges) < 1.05e-3, `${shape}: ${within(values, edges)}`);
    assert.equal(new Set(Array.from(values, (value) => binOf(edges, value))).size, edges.length);
  }
});
