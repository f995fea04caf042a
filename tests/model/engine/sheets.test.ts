/** Answer sheets: a question is answered once, when all of its numbers are there or when it is settled otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Part } from '../../../nanoeval/model/engine/lane.ts';
import {
  type Group,
  plan,
  prefixTree,
  type Run,
  type TokenQuestion,
} from '../../../nanoeval/model/engine/prefix_tree.ts';
import { type Answer, collect, finite, type Sheets, takeUnanswered } from '../../../nanoeval/model/engine/sheets.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { requestOf } from '../token_questions.ts';

const question = (place: number, ...whole: number[][]): TokenQuestion => ({
  place,
  requests: whole.map((ids) => requestOf(ids, 2)),
});
const QUESTIONS = [question(7, [1, 2, 3, 4], [1, 2, 9, 8, 7]), question(3, [1, 2, 3, 5]), question(5, [30, 31, 32])];

/** The groups that have runs, with every run that leads to them. */
function planned(form: 'tree' | 'single', questions = QUESTIONS) {
  const tree = prefixTree();
  for (const one of questions) tree.add(one);
  const root = plan(tree, { form, batchTokens: 8 });
  const tasks: { group: Group; run: Run | null; retried: boolean }[] = [];
  const visit = (group: Group): void => {
    for (const run of group.runs) tasks.push({ group, run, retried: false });
    for (const child of group.children) visit(child);
  };
  visit(root);
  const runs = tasks.flatMap(({ group, run }) => [...group.chunks, run!]);
  return { tasks, runs: [...new Set(runs)] };
}

/** Each number is minus the target, and likely where the target is even. */
const partOf = (run: Run, number = (target: number) => -target): Part => {
  const targets = run.asks.map(({ request, target }) => request.request.targets[target]!);
  return { run, logprobs: targets.map(number), greedy: targets.map((target) => target % 2 === 0) };
};

for (const form of ['tree', 'single'] as const) {
  test(`${form}: a question is answered with its last number, requests in their order`, () => {
    const { runs } = planned(form);
    const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
    for (const run of runs) {
      collect(partOf(run), sheets, answers);
      // What two executors computed counts once.
      collect(partOf(run), sheets, answers);
    }
    assert.deepEqual(
      answers.sort((a, b) => a.place - b.place),
      [
        { place: 3, scores: [{ logprob: -8, isGreedy: false }] },
        { place: 5, scores: [{ logprob: -63, isGreedy: false }] },
        {
          place: 7,
          scores: [
            { logprob: -7, isGreedy: false },
            { logprob: -15, isGreedy: false },
          ],
        },
      ],
    );
  });
}

test('a number that is none fails its question, when all are there', () => {
  const { runs } = planned('tree');
  const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
  for (const run of runs)
    collect(
      partOf(run, (target) => (target === 5 ? Number.NaN : 0)),
      sheets,
      answers,
    );
  const nan = answers.find(({ place }) => place === 3)!.scores;
  assert.ok(nan instanceof RowError && nan.kind === 'nan');
  assert.ok(!(answers.find(({ place }) => place === 7)!.scores instanceof RowError));
  assert.equal(answers.length, 3);
});

test('what is taken is answered by others: once, and numbers that come later are passed over', () => {
  const { tasks, runs } = planned('single');
  const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
  const [task] = tasks;
  const taken = takeUnanswered(task!, sheets).map(({ place }) => place);
  assert.ok(taken.length > 0 && taken.length < 3, `${taken}`);
  assert.deepEqual(takeUnanswered(task!, sheets), []);
  for (const run of runs) collect(partOf(run), sheets, answers);
  assert.deepEqual([...answers.map(({ place }) => place), ...taken].sort(), [3, 5, 7]);
  assert.deepEqual(
    tasks.flatMap((one) => takeUnanswered(one, sheets)),
    [],
  );
  const fresh: Sheets = new Map();
  assert.deepEqual(new Set(tasks.flatMap((one) => takeUnanswered(one, fresh))), new Set(QUESTIONS));
});

test("a question whose answer is known gets none, and is nobody's to answer", () => {
  const known = QUESTIONS.map((one) => ({ ...one, done: one.place !== 3 }));
  const { tasks, runs } = planned('tree', known);
  const [sheets, answers]: [Sheets, Answer[]] = [new Map(), []];
  for (const run of runs) collect(partOf(run), sheets, answers);
  assert.deepEqual(answers, [{ place: 3, scores: [{ logprob: -8, isGreedy: false }] }]);
  const fresh: Sheets = new Map();
  const taken = tasks.flatMap((one) => takeUnanswered(one, fresh));
  assert.deepEqual(
    taken.map(({ place }) => place),
    [3],
  );
});

test('finite: a score, or why it is none', () => {
  const score = { logprob: -3, isGreedy: true };
  assert.equal(finite(score), score);
  for (const logprob of [Number.NaN, Number.NEGATIVE_INFINITY])
    assert.throws(
      () => finite({ ...score, logprob }),
      (error) => error instanceof RowError && error.kind === 'nan',
    );
});
