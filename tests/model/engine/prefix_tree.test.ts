/** Laws of the plan: whatever the questions, each scored token is asked once, of a run in which the right tokens stand above it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Form,
  type Group,
  halves,
  type PlanOptions,
  plan,
  prefixTree,
  type Run,
  type TokenQuestion,
} from '../../../nanoeval/model/engine/prefix_tree.ts';
import { draws, randomQuestions, requestOf } from '../token_questions.ts';

const FORMS: Form[] = ['tree', 'batched', 'single'];
const VOCAB = 50;
const CHUNK = 256;

function planOf(questions: readonly TokenQuestion[], options: PlanOptions) {
  const tree = prefixTree();
  for (const question of questions) tree.add(question);
  return { tree, root: plan(tree, options) };
}

function groupsOf(root: Group): Group[] {
  return [root, ...root.children.flatMap(groupsOf)];
}

/** The tokens up to the end of the group's first `count` chunks. */
function pathOf(group: Group, count = group.chunks.length): number[] {
  if (group.parent === null) return [];
  return [...pathOf(group.parent), ...group.chunks.slice(0, count).flatMap((chunk) => chunk.rows[0]!.ids)];
}

/** The tokens above a place of a row, and the one there. */
function inRow(run: Run, row: number, position: number): number[] {
  const { ids, parents } = run.rows[row]!;
  const path: number[] = [];
  for (let at = position; at >= 0; at = parents[at]!) {
    assert.ok(parents[at]! < at, 'a token stands behind the one above it');
    path.push(ids[at]!);
  }
  return path.reverse();
}

/** Holds every pair of a run against the request that it is for, and counts it. */
function checkAsks(run: Run, past: readonly number[], counts: Map<string, number>): void {
  assert.equal(run.pairs.length, 2 * run.asks.length);
  const states = new Set<string>();
  for (let i = 0; i < run.select.length; i += 2) states.add(`${run.select[i]} ${run.select[i + 1]}`);
  assert.equal(states.size, run.select.length / 2, 'no state is projected twice');
  for (const [i, { request, target }] of run.asks.entries()) {
    const { question, place, request: asked } = request;
    assert.equal(question.requests[place], asked);
    const selected = run.pairs[2 * i]!;
    const path = [...past, ...inRow(run, run.select[2 * selected]!, run.select[2 * selected + 1]!)];
    const length = asked.input.length - asked.targets.length + target + 1;
    assert.deepEqual(path, [...asked.input.subarray(0, length)], `question ${question.place}, request ${place}`);
    assert.equal(run.pairs[2 * i + 1], asked.targets[target]);
    const name = `${question.place} ${place} ${target}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
}

function checkChunks(group: Group): void {
  let at = group.parent!.depth;
  for (const [i, chunk] of group.chunks.entries()) {
    assert.equal(chunk.group, group);
    assert.equal(chunk.rows.length, 1);
    const [{ ids, parents }] = chunk.rows as [Run['rows'][number]];
    assert.deepEqual(
      parents,
      ids.map((_, k) => k - 1),
      'a chain',
    );
    at += ids.length;
    assert.ok(ids.length > 0);
    if (i < group.chunks.length - 1) assert.equal(at % CHUNK, 0, `a cut at ${at}`);
  }
  assert.equal(at, group.depth);
}

function checkPlan(questions: readonly TokenQuestion[], options: PlanOptions): void {
  const { root } = planOf(questions, options);
  const counts = new Map<string, number>();
  for (const group of groupsOf(root)) {
    if (group.parent === null) assert.deepEqual([group.depth, group.chunks.length], [0, 0]);
    else checkChunks(group);
    for (const [i, chunk] of group.chunks.entries()) checkAsks(chunk, pathOf(group, i), counts);
    const past = pathOf(group);
    for (const run of group.runs) {
      assert.equal(run.group, group);
      const padded = Math.max(...run.rows.map((row) => row.ids.length)) * run.rows.length;
      assert.ok(padded <= options.batchTokens || run.rows.length === 1, `${padded} tokens`);
      if (options.form === 'single') assert.equal(run.rows.length, 1);
      if (options.form !== 'tree')
        for (const { parents } of run.rows)
          assert.deepEqual(
            parents,
            parents.map((_, k) => k - 1),
            'no branches',
          );
      checkAsks(run, past, counts);
    }
  }
  const wanted = questions.flatMap(({ place, requests }) =>
    requests.flatMap(({ targets }, r) => targets.map((_, t) => `${place} ${r} ${t}`)),
  );
  assert.deepEqual([...counts.keys()].sort(), wanted.sort(), 'all and no other');
  assert.ok(
    [...counts.values()].every((count) => count === 1),
    'each once',
  );
}

for (const form of FORMS) {
  test(`${form}: each scored token is asked once, below its own tokens, in rows of the right kind`, () => {
    for (let seed = 1; seed <= 120; seed += 1) {
      const random = draws(seed);
      const longest = random.pick([30, 300, 900]);
      const questions = randomQuestions(random, random.between(1, 30), longest, random.pick([2, VOCAB]));
      try {
        checkPlan(questions, { form, batchTokens: random.pick([1, 64, 768, 4000]) });
      } catch (error) {
        (error as Error).message = `seed ${seed}: ${(error as Error).message}`;
        throw error;
      }
    }
  });
}

test('a long row beside short ones that share its stem across a multiple of 256', () => {
  const random = draws(5);
  const header = random.tokens(220, VOCAB);
  const others = Array.from({ length: 8 }, (_, i) => [...header, VOCAB + i, ...random.tokens(30, VOCAB)]);
  for (const [shared, stem] of [
    [20, 290],
    [60, 0],
    [30, 300],
    [2, 340],
  ] as const) {
    const pair = [...header, 2 * VOCAB, ...random.tokens(shared - 1, VOCAB)];
    const second = [...pair, 1, ...random.tokens(20, VOCAB)];
    for (const lengths of [
      [2, 384 - stem - 8],
      [384 - stem - 8, 2],
      [10, 400, 12],
      [3, 500, 700, 2],
    ]) {
      const first = [...pair, 2, ...random.tokens(stem, VOCAB)];
      // Rows are made before and behind the cuts.
      const ends = lengths.map((length, i) => [...first, 3 * VOCAB + i, ...random.tokens(length, VOCAB)]);
      const rest = [second, ...others].map((ids, i) => ({ place: 100 + i, requests: [requestOf(ids, 3)] }));
      const one = { place: 0, requests: ends.map((ids) => requestOf(ids, 2)) };
      const each = ends.map((ids, place) => ({ place, requests: [requestOf(ids, 2)] }));
      for (const form of FORMS) {
        checkPlan([one, ...rest], { form, batchTokens: 768 });
        checkPlan([...each, ...rest], { form, batchTokens: 768 });
        checkPlan([...rest, one], { form, batchTokens: 768 });
      }
    }
  }
});

/** A plan without its circles. */
const plainPlan = (group: Group): unknown => ({
  depth: group.depth,
  key: group.key,
  chunks: group.chunks.map(plainRun),
  runs: group.runs.map(plainRun),
  children: group.children.map(plainPlan),
});
const plainRun = ({ rows, select, pairs, asks }: Run) => ({
  rows,
  select,
  pairs,
  asks: asks.map(({ request, target }) => [request.question.place, request.place, target]),
});

test('the plan follows from the requests alone', () => {
  for (const form of FORMS) {
    const twice = [1, 2].map(() => planOf(randomQuestions(draws(7), 60, 900, 20), { form, batchTokens: 768 }).root);
    assert.deepEqual(plainPlan(twice[0]!), plainPlan(twice[1]!));
  }
});

test('the trie counts all tokens, and each distinct prefix once', () => {
  const questions = randomQuestions(draws(11), 50, 300, 20);
  const { tree } = planOf(questions, { form: 'tree', batchTokens: 768 });
  const inputs = questions.flatMap(({ requests }) => requests.map(({ input }) => input));
  const prefixes = new Set(inputs.flatMap((input) => Array.from(input, (_, i) => input.slice(0, i + 1).join())));
  assert.equal(tree.count, questions.length);
  assert.equal(
    tree.asked,
    inputs.reduce((sum, input) => sum + input.length, 0),
  );
  assert.equal(tree.distinct, prefixes.size);
});

/** As MMLU asks: each question ends in the same way, and its four choices are four targets after one input. */
function subject(seed: number, header: readonly number[], count: number): TokenQuestion[] {
  const random = draws(seed);
  const openings = Array.from({ length: 12 }, () => random.tokens(random.between(1, 6), 5000));
  return Array.from({ length: count }, (_, place) => {
    const own = [...random.pick(openings), ...random.tokens(random.between(54, 114), 5000)];
    const ids = [...header, ...own];
    return { place, requests: [0, 1, 2, 3].map((target) => ({ input: Int32Array.from(ids), targets: [target] })) };
  });
}

test('windows with one header give it one name, with the same cuts', () => {
  for (const length of [64, 100, 384, 385, 500, 769, 900]) {
    const header = draws(length).tokens(length, 5000);
    for (const form of FORMS) {
      const [a, b] = [1, 2].map((seed) => planOf(subject(seed, header, 40), { form, batchTokens: 768 }).root);
      const keys = [a, b].map((root) => root!.children.map((child) => child.key));
      assert.equal(keys[0]!.length, 1);
      assert.notEqual(keys[0]![0], null);
      assert.deepEqual(keys[0], keys[1]);
      const cuts = [a, b].map((root) => root!.children[0]!.chunks.map((chunk) => chunk.rows));
      assert.deepEqual(cuts[0], cuts[1]);
    }
    const [other] = planOf(subject(1, [...header.slice(0, 10), 5001, ...header.slice(11)], 40), {
      form: 'tree',
      batchTokens: 768,
    }).root.children;
    const [same] = planOf(subject(1, header, 40), { form: 'tree', batchTokens: 768 }).root.children;
    assert.notEqual(other!.key, same!.key, 'another header, another name');
  }
});

test('a header keeps its name where the questions of one window begin alike by accident', () => {
  const header = draws(1).tokens(500, 5000);
  const [plain, alike] = [header, [...header, 17, 4]].map(
    (start) => planOf(subject(4, start, 40), { form: 'tree', batchTokens: 768 }).root.children,
  );
  assert.deepEqual([plain!.length, alike!.length], [1, 1]);
  assert.notEqual(plain![0]!.key, null);
  assert.equal(plain![0]!.key, alike![0]!.key);
});

test('a subject of MMLU is run with one token in a hundred to spare', () => {
  const questions = subject(3, draws(3).tokens(500, 5000), 300);
  const { tree, root } = planOf(questions, { form: 'tree', batchTokens: 768 });
  const runs = groupsOf(root).flatMap(({ chunks, runs }) => [...chunks, ...runs]);
  const run = runs.reduce((sum, { rows }) => sum + rows.reduce((all, row) => all + row.ids.length, 0), 0);
  assert.ok(run >= tree.distinct && run <= tree.distinct * 1.01, `${run} tokens for ${tree.distinct}`);
});

test("a run's halves ask the same, each thing once", () => {
  let halved = 0;
  for (let seed = 1; seed <= 20; seed += 1) {
    for (const form of FORMS) {
      const { root } = planOf(randomQuestions(draws(seed), 30, 100, VOCAB), { form, batchTokens: 768 });
      for (const group of groupsOf(root)) {
        for (const run of group.runs) {
          const parts = halves(run);
          assert.equal(parts === null, run.rows.length === 1);
          if (parts === null) continue;
          halved += 1;
          assert.ok(Math.abs(parts[0].rows.length - parts[1].rows.length) <= 1);
          assert.deepEqual([...parts[0].rows, ...parts[1].rows], run.rows);
          const [whole, sum] = [new Map<string, number>(), new Map<string, number>()];
          checkAsks(run, pathOf(group), whole);
          for (const part of parts) {
            assert.equal(part.group, group);
            checkAsks(part, pathOf(group), sum);
          }
          assert.deepEqual(new Map([...sum].sort()), new Map([...whole].sort()));
        }
      }
    }
  }
  assert.ok(halved > 50, `${halved}`);
});
