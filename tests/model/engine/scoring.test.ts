/**
 * Scores of a window when something falls over: passes are halved, tried again and given up, and nothing else is lost.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TokenQuestion } from '../../../nanoeval/model/engine/prefix_tree.ts';
import type { Answer } from '../../../nanoeval/model/engine/sheets.ts';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import { direct, each, gather, MEMORY, manyQuestions, never, open, PLAIN, underHeader } from '../hash_engine.ts';
import { directScore, type Faults, heldBytes } from '../hash_executor.ts';
import { draws } from '../token_questions.ts';

test('out of memory: passes are halved until they fit, and nothing is lost', async () => {
  const questions = [...underHeader(60, 100), ...manyQuestions(8, 60, 300)].map((q, place) => ({ ...q, place }));
  for (const lanes of [1, 2]) {
    for (const most of [1, 3]) {
      const before: Faults['before'] = ({ sequences }) => {
        if (sequences.length > most) throw new OutsideError(MEMORY);
      };
      const { engine, executors, lines, rest } = open({ lanes, before, batchTokens: 4000, cacheBytes: 1e6 });
      assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
      assert.ok(engine.stats.halved_passes > 0);
      assert.equal(lines.filter((line) => /halved/.test(line)).length, engine.stats.halved_passes);
      await rest();
      for (const executor of executors) assert.ok(heldBytes(executor) <= 1e6);
    }
  }
});

/** A request that shares nothing with others and holds the token that kills. */
const POISON = 61;
const isPoisoned = ({ requests }: TokenQuestion) => requests.some(({ input }) => input.includes(POISON));
function withPoison(questions: readonly TokenQuestion[], where: number): TokenQuestion[] {
  const clean = questions.map(({ place, requests }) => ({
    place,
    requests: requests.map(({ input, targets }) => ({ input: input.map((id) => (id === POISON ? 0 : id)), targets })),
  }));
  const { requests } = clean[where]!;
  const input = Int32Array.from([...requests[0]!.input.slice(0, -1), POISON]);
  return clean.with(where, { place: clean[where]!.place, requests: [{ input, targets: [3] }, ...requests.slice(1)] });
}

function checkOneLost(found: Map<number, Answer['scores']>, questions: readonly TokenQuestion[]): void {
  assert.equal(found.size, questions.length);
  for (const question of questions) {
    const scores = found.get(question.place)!;
    if (!isPoisoned(question)) assert.deepEqual(scores, question.requests.map(directScore));
    else assert.ok(scores instanceof RowError && scores.kind === 'memory', String(scores));
  }
}

for (const gone of [false, true]) {
  for (const form of ['batched', 'tree', 'single', 'whole', 'alone', 'naive'] as const) {
    const what = gone ? 'that kills its process' : 'that never fits';
    test(`${form}: an input ${what} fails for its question alone`, async () => {
      const questions = withPoison(underHeader(40, 100), 17);
      // As in a tree, where several questions may stand in one sequence, it is beside none here.
      const before: Faults['before'] = ({ sequences }) => {
        if (!sequences.some(({ ids }) => ids.includes(POISON))) return;
        throw gone ? new WorkerGone('SIGKILL') : new OutsideError(MEMORY);
      };
      for (const lanes of [1, 2]) {
        const { engine } = open({ form, lanes, before, batchTokens: 300 });
        checkOneLost(await gather(engine.score(each(questions), never)), questions);
      }
    });
  }
}

test('a prefix that falls over takes what waits for it along, and is made again', async () => {
  const questions = [...underHeader(80, 300), ...manyQuestions(22, 40, 700)].map((q, place) => ({ ...q, place }));
  for (const lanes of [1, 2]) {
    const failed = new Set<string>();
    const before: Faults['before'] = ({ past, sequences, keep }) => {
      const name = sequences[0]!.ids.join();
      if (keep === null || past !== null || failed.has(name)) return;
      failed.add(name);
      throw new OutsideError(MEMORY);
    };
    const { engine } = open({ lanes, before, batchTokens: 60 });
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    assert.ok(failed.size > 1, `${failed.size} prefixes`);
  }
});

test('a long text of which every token is scored goes in chunks, and its sum is that of the whole', async () => {
  const input = Int32Array.from(draws(40).tokens(3000, PLAIN));
  const request = { input, targets: [...input.subarray(1), 7] };
  for (const form of ['tree', 'batched', 'single'] as const) {
    const lengths: number[] = [];
    const before: Faults['before'] = ({ sequences }) => {
      lengths.push(...sequences.map(({ ids }) => ids.length));
    };
    const { engine } = open({ form, before });
    const found = await gather(engine.score(each([{ place: 0, requests: [request] }]), never));
    assert.deepEqual(found, new Map([[0, [directScore(request)]]]));
    assert.equal(
      lengths.reduce((sum, length) => sum + length, 0),
      3000,
    );
    assert.ok(Math.max(...lengths) <= 384, `${lengths}`);
  }
});
