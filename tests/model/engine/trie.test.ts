/** The trie: its counts, its nodes after cuts, and the order in which they are walked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, measure, subtree, Trie, whole } from '../../../nanoeval/model/engine/trie.ts';
import { draws, randomQuestions } from '../token_questions.ts';

test('the trie counts all tokens, and each distinct prefix once', () => {
  const questions = randomQuestions(draws(11), 50, 300, 20);
  const trie = new Trie();
  for (const question of questions) trie.add(question);
  const inputs = questions.flatMap(({ requests }) => requests.map(({ input }) => input));
  const prefixes = new Set(inputs.flatMap((input) => Array.from(input, (_, i) => input.slice(0, i + 1).join())));
  assert.equal(trie.count, questions.length);
  assert.equal(
    trie.asked,
    inputs.reduce((sum, input) => sum + input.length, 0),
  );
  assert.equal(trie.distinct, prefixes.size);
});

/** Three inputs: two that part after three tokens, one that ends where they part. */
function small(): Trie {
  const trie = new Trie();
  for (const [place, ids] of [
    [1, 2, 3, 4, 5],
    [1, 2, 3, 9],
    [1, 2, 3],
  ].entries())
    trie.add({ place, requests: [{ input: Int32Array.from(ids), targets: [0] }] });
  measure(trie.root);
  return trie;
}

test('nodes: edges, questions at or below, sizes and leaves; each before its children', () => {
  const nodes = subtree(small().root).map(({ tokens, depth, questions, size, leaves, ended }) => ({
    tokens: [...tokens],
    depth,
    questions,
    size,
    leaves,
    ended: ended.map(({ question }) => question.place),
  }));
  assert.deepEqual(nodes, [
    { tokens: [], depth: 0, questions: 3, size: 6, leaves: 2, ended: [] },
    { tokens: [1, 2, 3], depth: 0, questions: 3, size: 6, leaves: 2, ended: [2] },
    { tokens: [4, 5], depth: 3, questions: 1, size: 2, leaves: 1, ended: [0] },
    { tokens: [9], depth: 3, questions: 1, size: 1, leaves: 1, ended: [1] },
  ]);
});

test('a cut leaves the upper part in its place; the lower one has what hung below', () => {
  const { root } = small();
  const node = root.children.get(1)!;
  const below = [...node.children.values()];
  const lower = cut(node, 2);
  assert.deepEqual([[...node.tokens], [...lower.tokens], lower.depth, lower.size], [[1, 2], [3], 2, 4]);
  assert.deepEqual([...node.children.values()], [lower]);
  assert.deepEqual([...lower.children.values()], below);
  for (const child of below) assert.equal(child.parent, lower);
  assert.deepEqual([node.ended.length, lower.ended.length, lower.questions], [0, 1, 3]);
  assert.deepEqual(whole(node), [node]);
  node.rest = lower;
  lower.rest = cut(lower.children.get(4)!, 1);
  assert.deepEqual(whole(node), [node, lower, lower.rest]);
});
