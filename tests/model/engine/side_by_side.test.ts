/** Answers side by side: all of them, each as it would be by itself, whatever ends, fails or is stopped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { OutsideError, type RowError } from '../../../nanoeval/types.ts';
import { each, MEMORY, manyQuestions, never, open, type Setting, underHeader } from '../hash_engine.ts';
import { directAnswer, NAN_TOKEN } from '../hash_executor.ts';

const promptsOf = (questions: ReturnType<typeof manyQuestions>) =>
  questions.map(({ requests }, place) => ({ place, ids: [...requests[0]!.input] }));
const lengthOf = (place: number) => 1 + ((place * 7) % 12);

interface Asked {
  answers: Map<number, number[]>;
  ended: Map<number, RowError | null>;
  fault: unknown;
}

async function ask(
  setting: Setting,
  prompts: { place: number; ids: number[] }[],
  { signal = never, room }: { signal?: AbortSignal; room?: number } = {},
): Promise<Asked & ReturnType<typeof open>> {
  const opened = open({ sideBySide: true, ...setting });
  const asked: Asked = { answers: new Map(), ended: new Map(), fault: null };
  const questions = prompts.map(({ place, ids }) => ({
    place,
    ids,
    begin() {
      const answer: number[] = [];
      asked.answers.set(place, answer);
      const take = (token: number) => answer.push(token) >= lengthOf(place);
      return { take, watched: [], ...(room === undefined ? {} : { room }) };
    },
  }));
  try {
    for await (const { place, error } of opened.engine.generate(each(questions), signal)) {
      assert.ok(!asked.ended.has(place), `${place} ends once`);
      asked.ended.set(place, error);
    }
  } catch (error) {
    asked.fault = error;
  }
  await opened.rest();
  return { ...asked, ...opened };
}

/** Prompts whose answers, up to the longest, have numbers all along. */
const ALL = promptsOf([...underHeader(30), ...manyQuestions(3, 60)].map((question, place) => ({ ...question, place })))
  .filter(({ ids }) => !directAnswer(ids, 12).includes(NAN_TOKEN))
  .map(({ ids }, place) => ({ place, ids }));
const checkAnswers = ({ answers, ended }: Asked, prompts: typeof ALL) => {
  assert.deepEqual(
    [...ended.keys()].sort((a, b) => a - b),
    prompts.map(({ place }) => place),
  );
  for (const { place, ids } of prompts)
    assert.deepEqual(answers.get(place), directAnswer(ids, lengthOf(place)), `${place}`);
};

test('every answer is the one that it is by itself, on one lane and on two', async () => {
  for (const lanes of [1, 2]) {
    const asked = await ask({ lanes }, ALL);
    assert.equal(asked.fault, null);
    checkAnswers(asked, ALL);
    assert.ok(
      asked.executors.every(({ most }) => most > 8),
      'many side by side',
    );
    for (const { caches } of asked.executors) assert.equal(caches.size, 0);
  }
});

test('fewer than 8 prompts a lane are few answers; once ready for many, a lane stays so', async () => {
  for (const [lanes, count, ways] of [
    [1, 7, ['few answers']],
    [1, 8, ['answers']],
    [2, 15, ['few answers']],
    [2, 16, ['answers']],
  ] as const) {
    const asked = await ask({ lanes }, ALL.slice(0, count));
    checkAnswers(asked, ALL.slice(0, count));
    for (const executor of asked.executors) assert.deepEqual(executor.ways, ways, `${count} on ${lanes}`);
    const once = (prompts: typeof ALL) =>
      each(prompts.map((prompt) => ({ ...prompt, begin: () => ({ take: () => true, watched: [] }) })));
    for (const some of [ALL.slice(0, 20), ALL.slice(0, 2)])
      for await (const { error } of asked.engine.generate(once(some), never)) assert.equal(error, null);
    // A lane that was ready for few has another process for many.
    const [used, fresh] = [asked.executors.slice(0, lanes), asked.executors.slice(lanes)];
    for (const executor of used) assert.deepEqual(executor.ways, ways);
    assert.deepEqual(
      fresh.map((executor) => executor.ways),
      ways[0] === 'answers' ? [] : used.map(() => ['answers']),
    );
    if (fresh.length > 0)
      assert.ok(
        used.every(({ closed }) => closed),
        'the first ones are closed',
      );
  }
});

test('a source that was looked into is ended where the engine cannot be made ready', async () => {
  const opened = open({ sideBySide: true });
  opened.executors[0]!.turnTo = () => Promise.reject(new Error('no memory'));
  let ended = false;
  const source = async function* () {
    try {
      yield* ALL.map((prompt) => ({ ...prompt, begin: () => ({ take: () => true, watched: [] }) }));
    } finally {
      ended = true;
    }
  };
  await assert.rejects(async () => {
    for await (const _ of opened.engine.generate(source(), never)) assert.fail('an answer');
  }, /no memory/);
  assert.equal(ended, true);
});

test('scores and answers take turns on one engine', async () => {
  const { engine } = await ask({}, ALL.slice(0, 5));
  const scored: number[] = [];
  for await (const { place } of engine.score(each(manyQuestions(4, 6)), never)) scored.push(place);
  assert.equal(scored.length, 6);
});

test('no more run side by side than their caches have room for', async () => {
  const room = 1000;
  const widest = Math.max(...ALL.map(({ ids }) => ids.length)) + room;
  const asked = await ask({ decodeBytes: 4 * widest * 10 }, ALL, { room });
  checkAnswers(asked, ALL);
  assert.ok(asked.executors[0]!.most >= 3 && asked.executors[0]!.most <= 5, String(asked.executors[0]!.most));
});

/** Prompts of some hundred tokens, and short ones before and behind them. */
const LONG = ALL.slice(-14).map(({ ids }, place) => ({
  place,
  ids: place < 6 || place > 8 ? ids : Array.from({ length: 700 + place }, (_, i) => 2 + ((i * 7 + place) % 90)),
}));

test('a long prompt is computed in parts, between which others answer', async () => {
  const passes: { rows: number; tokens: number }[] = [];
  const before = ({ sequences }: { sequences: { ids: ArrayLike<number> }[] }) => {
    passes.push({ rows: sequences.length, tokens: sequences[0]!.ids.length });
  };
  const asked = await ask({ before }, LONG);
  assert.equal(asked.fault, null);
  checkAnswers(asked, LONG);
  assert.deepEqual(
    passes.filter(({ tokens }) => tokens > 256),
    [],
  );
  const parts = passes.flatMap(({ tokens }, i) => (tokens === 256 ? [i] : []));
  assert.equal(parts.length, 6);
  // Two parts a prompt. Nobody answers yet when the first prompt is computed.
  for (const first of [2, 4])
    assert.ok(
      passes.slice(parts[first]! + 1, parts[first + 1]).some(({ tokens }) => tokens === 1),
      'a step between the two',
    );
  for (const { caches } of asked.executors) assert.equal(caches.size, 0);
});

test('a process that ends between the parts of a prompt takes no answer with it', async () => {
  let steps = 0;
  const before = ({ sequences }: { sequences: { ids: ArrayLike<number> }[] }) => {
    steps += 1;
    if (sequences.length > 3 && steps > 8) throw new WorkerGone('killed');
  };
  const asked = await ask({ before }, LONG);
  assert.equal(asked.fault, null);
  checkAnswers(asked, LONG);
  assert.ok(asked.executors.length > 1);
});

test('a prompt and an answer without numbers fail by themselves', async () => {
  const prompts = ALL.map(({ place, ids }) => ({ place, ids: place === 7 ? [...ids, NAN_TOKEN] : ids }));
  const asked = await ask({}, prompts);
  assert.equal(asked.ended.get(7)?.kind, 'nan');
  checkAnswers(
    { ...asked, ended: new Map([...asked.ended].filter(([place]) => place !== 7)) },
    prompts.filter(({ place }) => place !== 7),
  );
});

test('a process that ends takes no answer with it: they begin anew, fewer at a time', async () => {
  let steps = 0;
  const before = ({ sequences }: { sequences: unknown[] }) => {
    steps += 1;
    if (sequences.length > 8 && steps > 20) throw new WorkerGone('killed');
  };
  const asked = await ask({ before }, ALL);
  assert.equal(asked.fault, null);
  checkAnswers(asked, ALL);
  assert.ok(asked.executors.length > 1);
});

test('an answer that does not fit even alone is given up, the others are not', async () => {
  const heavy = ALL[4]!.ids.at(-1);
  const before = ({ sequences, keep }: { sequences: { ids: number[] }[]; keep: number | null }) => {
    const last = sequences[0]!.ids;
    if (keep !== null && keep < 0 && last.length === ALL[4]!.ids.length && last.at(-1) === heavy)
      throw new OutsideError(MEMORY);
  };
  const prompts = [ALL[4]!, ...ALL.slice(-9)].map(({ ids }, place) => ({ place, ids }));
  const asked = await ask({ before }, prompts);
  assert.equal(asked.fault, null);
  const failed = [...asked.ended].filter(([, error]) => error !== null);
  for (const [, error] of failed) assert.equal(error?.kind, 'memory');
  assert.ok(failed.length <= 1);
  assert.equal(asked.ended.size, prompts.length);
});

test('what is no memory ends the stream', async () => {
  const before = () => {
    throw new OutsideError('model.onnx: onnxruntime failed: broken');
  };
  const { fault } = await ask({ before }, ALL.slice(0, 3));
  assert.match((fault as Error).message, /broken/);
});

test('when it is stopped the answers under way are left, those that ended were given', async () => {
  const stop = new AbortController();
  let steps = 0;
  const before = () => {
    steps += 1;
    if (steps === 60) stop.abort(new Error('stopped'));
  };
  const asked = await ask({ before }, ALL, { signal: stop.signal });
  assert.equal((asked.fault as Error).message, 'stopped');
  assert.ok(asked.ended.size < ALL.length);
  for (const [place, error] of asked.ended) {
    assert.equal(error, null);
    assert.deepEqual(asked.answers.get(place), directAnswer(ALL[place]!.ids, lengthOf(place)));
  }
});
