/** Answer sheets: a question is answered once, when all of its numbers are there or when it is settled otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Part } from '../../../nanoeval/model/engine/lane.ts';
import { plan } from '../../../nanoeval/model/engine/plan.ts';
import type { Group, Pass, TokenQuestion } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { type Answer, collect, finite, type Sheets, takeUnanswered } from '../../../nanoeval/model/engine/sheets.ts';
import { Trie } from '../../../nanoeval/model/engine/trie.ts';
import type { Job } from '../../../nanoeval/model/engine/work.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { requestOf } from '../token_questions.ts';

const question = (place: number, ...whole: number[][]): TokenQuestion => ({
  place,
  requests: whole.map((ids) => requestOf(ids, 2)),
});
const QUESTIONS = [question(7, [1, 2, 3, 4], [1, 2, 9, 8, 7]), question(3, [1, 2, 3, 5]), question(5, [30, 31, 32])];

/** The jobs of a window, and every pass of it. */
function planned(form: 'tree' | 'single', questions = QUESTIONS) {
  const trie = new Trie();
  for (const one of questions) trie.add(one);
  const root = plan(trie, { form, batchTokens: 8 });
  const jobs: Job[] = [];
  const visit = (group: Group): void => {
    for (const pass of group.passes) jobs.push({ group, pass, retried: false });
    for (const child of group.children) visit(child);
  };
  visit(root);
  const passes = jobs.flatMap(({ group, pass }) => [...group.chunks, pass!]);
  return { jobs, passes: [...new Set(passes)] };
}

/** Each number is minus the target, and likely where the target is even. */
const partOf = (pass: Pass, number = (target: number) => -target): Part => {
  const targets = pass.asks.map(({ request, target }) => request.request.targets[target]!);
  return { pass, logprobs: targets.map(number), greedy: targets.map((target) => target % 2 === 0) };
};

for (const form of ['tree', 'single'] as const) {
  test(`${form}: a question is answered with its last number, requests in their order`, () => {
    const { passes } = planned(form);
    const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
    for (const pass of passes) {
      collect(partOf(pass), sheets, answers);
      // What two executors computed counts once.
      collect(partOf(pass), sheets, answers);
    }
    assert.deepEqual(
      answers.sort((a, b) => a.place - b.place),
      [
        { place: 3, scores: [{ logprob: -8, numGreedy: 0 }] },
        { place: 5, scores: [{ logprob: -63, numGreedy: 1 }] },
        {
          place: 7,
          scores: [
            { logprob: -7, numGreedy: 1 },
            { logprob: -15, numGreedy: 1 },
          ],
        },
      ],
    );
  });
}

test('a number that is none fails its question, when all are there', () => {
  const { passes } = planned('tree');
  const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
  for (const pass of passes)
    collect(
      partOf(pass, (target) => (target === 5 ? Number.NaN : 0)),
      sheets,
      answers,
    );
  const nan = answers.find(({ place }) => place === 3)!.scores;
  assert.ok(nan instanceof RowError && nan.kind === 'nan');
  assert.ok(!(answers.find(({ place }) => place === 7)!.scores instanceof RowError));
  assert.equal(answers.length, 3);
});

test('what is taken is answered by others: once, and numbers that come later are passed over', () => {
  const { jobs, passes } = planned('single');
  const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
  const [job] = jobs;
  const taken = takeUnanswered(job!, sheets).map(({ place }) => place);
  assert.ok(taken.length > 0 && taken.length < 3, `${taken}`);
  assert.deepEqual(takeUnanswered(job!, sheets), []);
  for (const pass of passes) collect(partOf(pass), sheets, answers);
  assert.deepEqual([...answers.map(({ place }) => place), ...taken].sort(), [3, 5, 7]);
  assert.deepEqual(
    jobs.flatMap((one) => takeUnanswered(one, sheets)),
    [],
  );
  const fresh: Sheets = new Map();
  assert.deepEqual(new Set(jobs.flatMap((one) => takeUnanswered(one, fresh))), new Set(QUESTIONS));
});

test("a question whose answer is known gets none, and is nobody's to answer", () => {
  const known = QUESTIONS.map((one) => ({ ...one, done: one.place !== 3 }));
  const { jobs, passes } = planned('tree', known);
  const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
  for (const pass of passes) collect(partOf(pass), sheets, answers);
  assert.deepEqual(answers, [{ place: 3, scores: [{ logprob: -8, numGreedy: 0 }] }]);
  const fresh: Sheets = new Map();
  const taken = jobs.flatMap((one) => takeUnanswered(one, fresh));
  assert.deepEqual(
    taken.map(({ place }) => place),
    [3],
  );
});

test('finite: a score, or why it is none', () => {
  const score = { logprob: -3, numGreedy: 2 };
  assert.equal(finite(score), score);
  for (const logprob of [Number.NaN, Number.NEGATIVE_INFINITY])
    assert.throws(
      () => finite({ ...score, logprob }),
      (error) => error instanceof RowError && error.kind === 'nan',
    );
});
