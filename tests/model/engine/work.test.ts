/** The tasks of a window: order, who takes what, when a group is done with, and prompts as tasks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lane } from '../../../nanoeval/model/engine/lane.ts';
import { type Group, plan, prefixTree } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { openWork, promptsUnder } from '../../../nanoeval/model/engine/work.ts';

/** Two headers of 100 tokens, `count` questions of 40 under each. */
function window(count: number, form: 'tree' | 'single' = 'tree') {
  const tree = prefixTree();
  const inputs: Int32Array[] = [];
  for (const header of [1, 2]) {
    for (let q = 0; q < count; q += 1) {
      const input = Int32Array.from({ length: 140 }, (_, i) => (i < 100 ? header : 10 + ((q * 31 + i) % 50)));
      inputs.push(input);
      tree.add({ place: inputs.length - 1, requests: [{ input, targets: [3] }] });
    }
  }
  return { root: plan(tree, { form, batchTokens: 100 }), inputs };
}

/** A lane as far as work looks at it: it holds the groups of the tasks that it took. */
function lane() {
  const groups = new Set<Group>();
  return { groups, holds: (group: Group) => group.parent === null || groups.has(group) } as unknown as Lane & {
    groups: Set<Group>;
  };
}

test('one lane does group after group, and each is done with when its last task is', () => {
  const { root } = window(6);
  const one = lane();
  const work = openWork(root, [one]);
  const seen: Group[] = [];
  const finished: Group[] = [];
  for (let task = work.take(one); task !== null; task = work.take(one)) {
    one.groups.add(task.group);
    if (seen.at(-1) !== task.group) seen.push(task.group);
    finished.push(...work.finish(task));
  }
  assert.equal(new Set(seen).size, seen.length, 'no group is come back to');
  assert.equal(finished.at(-1), root);
  for (const group of seen) assert.ok(finished.includes(group));
});

test('a second lane begins another group, and helps where much is left', () => {
  const { root } = window(60, 'single');
  const [one, two] = [lane(), lane()];
  const work = openWork(root, [one, two]);
  const first = work.take(one)!;
  one.groups.add(first.group);
  const second = work.take(two)!;
  two.groups.add(second.group);
  assert.notEqual(first.group, second.group);
  for (let task = work.take(one); task?.group === first.group; task = work.take(one)) {
    // The first lane's own group is emptied first.
  }
  assert.equal(work.take(one)?.group, second.group, 'then it helps');
});

test('a task that is put back is done before its group is done with', () => {
  const { root } = window(1);
  const one = lane();
  const work = openWork(root, [one]);
  const task = work.take(one)!;
  work.again([{ ...task, retried: true }]);
  assert.deepEqual(work.finish(task), []);
  const again = work.take(one)!;
  assert.deepEqual([again.retried, again.run], [true, task.run]);
  const rest = [];
  for (let next = work.take(one); next !== null; next = work.take(one)) rest.push(next);
  const finished = [again, ...rest].flatMap((next) => work.finish(next));
  assert.equal(finished.at(-1), root);
});

test('prompts: each is one task, and the group and what is left make up its ids', () => {
  const tree = prefixTree();
  const { inputs } = window(5, 'single');
  // One that ends inside the header, one that is the header, one that is there twice, one of one token.
  const all = [...inputs, inputs[0]!.subarray(0, 50), inputs[0]!.subarray(0, 96), inputs[1]!, Int32Array.of(7)];
  all.forEach((input, place) => {
    tree.add({ place, requests: [{ input, targets: [0] }] });
  });
  const root = promptsUnder(plan(tree, { form: 'single', batchTokens: 100 }));
  const found = new Map<number, number[]>();
  const path = (group: Group): number[] =>
    group.parent === null ? [] : [...path(group.parent), ...group.chunks.flatMap((chunk) => chunk.rows[0]!.ids)];
  const visit = (group: Group): void => {
    for (const chunk of group.chunks) assert.deepEqual(chunk.asks, []);
    for (const run of group.runs) {
      assert.ok(run.rows[0]!.ids.length > 0);
      const { place } = run.asks[0]!.request.question;
      assert.ok(!found.has(place), `prompt ${place} twice`);
      found.set(place, [...path(group), ...run.rows[0]!.ids]);
    }
    group.children.forEach(visit);
  };
  visit(root);
  assert.equal(found.size, all.length);
  all.forEach((input, place) => {
    assert.deepEqual(found.get(place), [...input]);
  });
  assert.ok(root.children.length >= 2, 'the headers are shared');
});

test('what is known is no task, but stays in the runs that hold something else', () => {
  for (const form of ['tree', 'single'] as const) {
    const tree = prefixTree();
    const { inputs } = window(6, form);
    inputs.forEach((input, place) => {
      tree.add({ place, requests: [{ input, targets: [3] }], done: place !== 2 });
    });
    const root = plan(tree, { form, batchTokens: 100 });
    const one = lane();
    const work = openWork(root, [one]);
    const tasks = [];
    for (let task = work.take(one); task !== null; task = work.take(one)) tasks.push(task);
    assert.equal(tasks.length, 1);
    const places = tasks[0]!.run!.asks.map(({ request }) => request.question.place);
    assert.ok(places.includes(2), `${places}`);
    assert.equal(work.finish(tasks[0]!).at(-1), root);
  }
});
