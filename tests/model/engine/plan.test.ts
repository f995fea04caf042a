/**
 * Laws of the plan: whatever the questions, each scored token is asked once, of a pass in which the right tokens stand
 * above it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanOptions } from '../../../nanoeval/model/engine/plan.ts';
import type { Group, Pass, TokenQuestion } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { checkAsks, FORMS, groupsOf, passesOf, pathOf, planOf } from '../plans.ts';
import { draws, randomQuestions, requestOf } from '../token_questions.ts';

const VOCAB = 50;
const CHUNK = 256;

function checkChunks(group: Group): void {
  let at = group.parent!.depth;
  for (const [i, chunk] of group.chunks.entries()) {
    assert.equal(chunk.group, group);
    assert.equal(chunk.sequences.length, 1);
    const [{ ids, parents }] = chunk.sequences as [Pass['sequences'][number]];
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
    for (const pass of group.passes) {
      assert.equal(pass.group, group);
      const padded = Math.max(...pass.sequences.map(({ ids }) => ids.length)) * pass.sequences.length;
      assert.ok(padded <= options.batchTokens || pass.sequences.length === 1, `${padded} tokens`);
      if (options.form === 'single' || options.form === 'whole') assert.equal(pass.sequences.length, 1);
      if (options.form !== 'tree')
        for (const { parents } of pass.sequences)
          assert.deepEqual(
            parents,
            parents.map((_, k) => k - 1),
            'no branches',
          );
      checkAsks(pass, past, counts);
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
  test(`${form}: each scored token is asked once, below its own tokens, in sequences of the right kind`, () => {
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

test('a long sequence beside short ones that share its stem across a multiple of 256', () => {
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
      // Sequences are made before and behind the cuts.
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

test('whole: one pass for each input that is no beginning of another, question by question', () => {
  const random = draws(11);
  const contexts = [40, 700, 20].map((length) => random.tokens(length, VOCAB));
  const letters = (context: number[], place: number) => ({
    place,
    requests: [1, 2, 3, 4].map((letter) => requestOf([...context, letter], 1)),
  });
  const [first, second, third] = contexts as [number[], number[], number[]];
  const endings = [
    [7, 8, 9],
    [7, 8],
    [7, 6],
  ].map((ending) => requestOf([...third, ...ending, 1], 1 + ending.length));
  // The last asks what the second did, and a beginning of it.
  const again = { place: 3, requests: [requestOf([...second, 5], 1), requestOf(second.slice(0, 300), 2)] };
  const questions = [letters(first, 0), letters(second, 1), { place: 2, requests: endings }, again];
  const { root } = planOf(questions, { form: 'whole', batchTokens: 768 });
  assert.deepEqual(
    [root.children, root.passes.map(({ sequences }) => sequences.map(({ ids }) => ids.length))],
    [[], [[40], [700], [23], [22]]],
  );
  checkPlan(questions, { form: 'whole', batchTokens: 768 });
});

/** A plan without its circles. */
const plainPlan = (group: Group): unknown => ({
  depth: group.depth,
  key: group.key,
  chunks: group.chunks.map(plainPass),
  passes: group.passes.map(plainPass),
  children: group.children.map(plainPlan),
});
const plainPass = ({ sequences, select, pairs, asks }: Pass) => ({
  sequences,
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
    for (const form of FORMS.filter((one) => one !== 'whole')) {
      const [a, b] = [1, 2].map((seed) => planOf(subject(seed, header, 40), { form, batchTokens: 768 }).root);
      const keys = [a, b].map((root) => root!.children.map((child) => child.key));
      assert.equal(keys[0]!.length, 1);
      assert.notEqual(keys[0]![0], null);
      assert.deepEqual(keys[0], keys[1]);
      const cuts = [a, b].map((root) => root!.children[0]!.chunks.map((chunk) => chunk.sequences));
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

test('a subject of MMLU is computed with one token in a hundred to spare', () => {
  const questions = subject(3, draws(3).tokens(500, 5000), 300);
  const { trie, root } = planOf(questions, { form: 'tree', batchTokens: 768 });
  const tokens = passesOf(root).flatMap(({ sequences }) => sequences.flatMap(({ ids }) => ids)).length;
  assert.ok(tokens >= trie.distinct && tokens <= trie.distinct * 1.01, `${tokens} tokens for ${trie.distinct}`);
});

test('a long text of which every token is scored goes in chunks, none of more than 384 tokens, where there is a cache', () => {
  const ids = draws(12).tokens(3001, VOCAB);
  const question = { place: 0, requests: [requestOf(ids, 3000)] };
  for (const form of FORMS) {
    const { root } = planOf([question], { form, batchTokens: 768 });
    const passes = passesOf(root);
    assert.deepEqual(
      passes.map(({ sequences }) => sequences.map((sequence) => sequence.ids.length)),
      form === 'whole' ? [[3000]] : [...new Array(11).fill([256]), [184]],
    );
    assert.equal(
      passes.reduce((sum, { asks }) => sum + asks.length, 0),
      3000,
    );
    checkPlan([question], { form, batchTokens: 768 });
  }
});
