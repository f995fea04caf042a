/** Plans of questions, and what must hold of each of their passes. */
import assert from 'node:assert/strict';
import { type PlanOptions, plan } from '../../nanoeval/model/engine/plan.ts';
import type { Form, Group, Pass, TokenQuestion } from '../../nanoeval/model/engine/prefix_tree.ts';
import { Trie } from '../../nanoeval/model/engine/trie.ts';

export const FORMS: Form[] = ['tree', 'batched', 'single', 'whole'];

export function planOf(questions: readonly TokenQuestion[], options: PlanOptions) {
  const trie = new Trie();
  for (const question of questions) trie.add(question);
  return { trie, root: plan(trie, options) };
}

export function groupsOf(root: Group): Group[] {
  return [root, ...root.children.flatMap(groupsOf)];
}

/** The tokens up to the end of the group's first `count` chunks. */
export function pathOf(group: Group, count = group.chunks.length): number[] {
  if (group.parent === null) return [];
  return [...pathOf(group.parent), ...group.chunks.slice(0, count).flatMap((chunk) => chunk.sequences[0]!.ids)];
}

/** The tokens above a place of a sequence, and the one there. */
export function above(pass: Pass, sequence: number, position: number): number[] {
  const { ids, parents } = pass.sequences[sequence]!;
  const path: number[] = [];
  for (let at = position; at >= 0; at = parents[at]!) {
    assert.ok(parents[at]! < at, 'a token stands behind the one above it');
    path.push(ids[at]!);
  }
  return path.reverse();
}

/** Holds every pair of a pass against the request that it is for, and counts it. */
export function checkAsks(pass: Pass, past: readonly number[], counts: Map<string, number>): void {
  assert.equal(pass.pairs.length, 2 * pass.asks.length);
  const states = new Set<string>();
  for (let i = 0; i < pass.select.length; i += 2) states.add(`${pass.select[i]} ${pass.select[i + 1]}`);
  assert.equal(states.size, pass.select.length / 2, 'no state is projected twice');
  for (const [i, { request, target }] of pass.asks.entries()) {
    const { question, place, request: asked } = request;
    assert.equal(question.requests[place], asked);
    const selected = pass.pairs[2 * i]!;
    const path = [...past, ...above(pass, pass.select[2 * selected]!, pass.select[2 * selected + 1]!)];
    const length = asked.input.length - asked.targets.length + target + 1;
    assert.deepEqual(path, [...asked.input.subarray(0, length)], `question ${question.place}, request ${place}`);
    assert.equal(pass.pairs[2 * i + 1], asked.targets[target]);
    const name = `${question.place} ${place} ${target}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
}

/** All passes under a group, those that lead to it included. */
export function passesOf(root: Group): Pass[] {
  return groupsOf(root).flatMap(({ chunks, passes }) => [...chunks, ...passes]);
}
