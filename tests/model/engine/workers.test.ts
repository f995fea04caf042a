/** Executors in processes of their own: the same answers, whatever happens to the process. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openEngine } from '../../../nanoeval/model/engine/engine.ts';
import type { Executor } from '../../../nanoeval/model/engine/executor.ts';
import { openExecutor } from '../../../nanoeval/model/engine/open_executor.ts';
import type { PassOrder, TokenQuestion } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { openWorker, WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import type { GraphFiles } from '../../../nanoeval/model/graph/session.ts';
import type { Shown } from '../../../nanoeval/model/vision/album.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import { filesAt } from '../attention_decoder.ts';
import { folderWith, settings } from '../fixtures.ts';
import { comes, DEMO_FILES, lives, workersOf } from '../processes.ts';
import { draws, randomQuestions } from '../token_questions.ts';
import { favourites, TOY_CONFIG, toyDecoder, toyLogprob } from '../toy_decoder.ts';
import { type Colour, cutOff, picture, TOKENS, toyVlm } from '../toy_vlm.ts';

const OPTIONS = { mode: 'auto', threads: 1 } as const;
const MINE = process.pid;
const never = new AbortController().signal;
const linux = process.platform === 'linux' ? false : 'reads /proc';

function toyFiles(t: TestContext): GraphFiles {
  const folder = folderWith(t, { 'model.onnx': toyDecoder() });
  return filesAt(join(folder, 'model.onnx'), TOY_CONFIG);
}

async function open(t: TestContext, files = DEMO_FILES, mode: 'auto' | 'naive' = 'auto'): Promise<Executor> {
  const worker = await openWorker(files, settings(), { mode, threads: 1 });
  t.after(() => worker.close());
  return worker;
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function answersOf(executors: Executor[], reopen: () => Promise<Executor>, questions: TokenQuestion[]) {
  const log = { info: () => {}, progress: () => {} };
  const engine = openEngine(executors, reopen, { batchTokens: 256, cacheBytes: 1e6, log });
  const answers = [];
  for await (const answer of engine.score(each(questions), never)) answers.push(answer);
  return { engine, answers: answers.sort((a, b) => a.place - b.place) };
}

/** Calls one after the other, as a worker takes them. */
function inOrder(executor: Executor): Executor {
  let last: Promise<unknown> = Promise.resolve();
  const turn = <T>(call: () => Promise<T>): Promise<T> => {
    const answer = last.then(call);
    last = answer.catch(() => undefined);
    return answer;
  };
  return {
    ...executor,
    pass: (order) => turn(() => executor.pass(order)),
    score: (input, targets) => turn(() => executor.score(input, targets)),
    next: (ids, past, keep, watched) => turn(() => executor.next(ids, past, keep, watched)),
    free: (caches) => turn(() => executor.free(caches)),
    see: (picture) => turn(() => executor.see(picture)),
    unsee: (firsts) => turn(() => executor.unsee(firsts)),
  };
}

const questions = () => randomQuestions(draws(1), 25, 100, 200);
const noReopen = () => Promise.reject(new Error('nothing to open again'));
const chain = (ids: readonly number[]) => ({ ids: [...ids], parents: ids.map((_, i) => i - 1) });
/** A pass of some length: `count` sequences of `length` tokens. */
function orderOf(count: number, length: number): PassOrder {
  const sequences = Array.from({ length: count }, (_, s) => chain(draws(s).tokens(length, 200)));
  return { past: null, sequences, select: [0, length - 1], pairs: [0, 7], keep: null };
}

for (const what of ['demo', 'toy'] as const) {
  test(`${what}: a worker answers as the executor in this process`, async (t) => {
    const files = what === 'demo' ? DEMO_FILES : toyFiles(t);
    const here = inOrder(await openExecutor(files, settings(), OPTIONS));
    t.after(() => here.close());
    const worker = await open(t, files);
    assert.deepEqual(worker.info, here.info);
    if (what === 'demo') assert.equal(worker.info.form, 'tree');
    const expected = await answersOf([here], noReopen, questions());
    const found = await answersOf([worker], noReopen, questions());
    assert.deepEqual(found.answers, expected.answers);
    assert.equal(found.answers.length, 25);
    const [a, b] = [[], []] as number[][];
    for (const [executor, tokens] of [
      [here, a!],
      [worker, b!],
    ] as const) {
      const { engine } = await answersOf([executor], noReopen, []);
      const prompt = {
        place: 0,
        ids: [5, 9, 2],
        begin: () => ({ take: (token: number) => tokens.push(token) === 5, watched: [] }),
      };
      for await (const { error } of engine.generate(each([prompt]), never)) assert.equal(error, null);
    }
    assert.deepEqual(b, a);
    assert.equal(a!.length, 5);
  });
}

test('a worker that is killed rejects what it was asked, and the engine goes on with another', {
  skip: linux,
}, async (t) => {
  const asked = questions();
  const worker = await open(t);
  const expected = await answersOf([worker], noReopen, asked);

  const victim = await openWorker(DEMO_FILES, settings(), OPTIONS);
  const [pid] = workersOf(MINE).slice(-1);
  const long = victim.pass(orderOf(64, 64));
  const behind = victim.pass(orderOf(1, 4));
  process.kill(pid!, 'SIGKILL');
  await assert.rejects(long, (error) => error instanceof WorkerGone && error instanceof OutsideError);
  await assert.rejects(behind, WorkerGone);
  await assert.rejects(victim.pass(orderOf(1, 4)), WorkerGone, 'and what comes later');
  await victim.close();

  let opened = 0;
  const start = async () => {
    opened += 1;
    return openWorker(DEMO_FILES, settings(), OPTIONS);
  };
  const before = new Set(workersOf(MINE));
  const first = await start();
  const mine = workersOf(MINE).find((one) => !before.has(one))!;
  let passes = 0;
  const watched: Executor = {
    ...first,
    pass(order) {
      passes += 1;
      const answer = first.pass(order);
      if (passes === 3) process.kill(mine, 'SIGKILL');
      return answer;
    },
  };
  const { engine, answers } = await answersOf([watched], start, asked);
  t.after(() => engine.close());
  assert.equal(opened, 2);
  assert.equal(answers.length, asked.length);
  for (const [i, { scores }] of answers.entries()) {
    const other = expected.answers[i]!.scores;
    assert.ok(!(scores instanceof RowError) && !(other instanceof RowError));
    // Halved passes are other shapes: the last digits may move.
    for (const [r, score] of scores.entries()) assert.ok(Math.abs(score.logprob - other[r]!.logprob) < 1e-3);
  }
});

test('a worker has no secrets, and close leaves no process behind', { skip: linux }, async (t) => {
  const names = ['HF_TOKEN', 'OPENAI_API_KEY', 'AWS_SECRET_ACCESS_KEY', 'NANOEVAL_PLAIN'];
  for (const name of names) process.env[name] = `hush-${name}`;
  t.after(() => {
    for (const name of names) delete process.env[name];
  });
  const before = new Set(workersOf(MINE));
  const workers = await Promise.all([1, 2].map(() => openWorker(DEMO_FILES, settings(), OPTIONS)));
  const pids = workersOf(MINE).filter((pid) => !before.has(pid));
  assert.equal(pids.length, 2);
  for (const pid of pids) {
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
    assert.ok(environment.includes('hush-NANOEVAL_PLAIN') && environment.includes('PATH='));
    for (const name of names.slice(0, 3)) assert.ok(!environment.includes(`hush-${name}`), name);
  }
  await Promise.all(workers.map((worker) => worker.close()));
  assert.deepEqual(pids.filter(lives), []);
  await workers[0]!.close();
  await assert.rejects(workers[0]!.pass(orderOf(1, 4)), WorkerGone);
});

test('a graph that cannot be opened leaves no process behind', { skip: linux }, async (t) => {
  const before = new Set(workersOf(MINE));
  const folder = folderWith(t, { 'model.onnx': 'not a graph' });
  const files = { ...DEMO_FILES, graphs: { decoder: join(folder, 'model.onnx'), embed: null, vision: null } };
  await assert.rejects(openWorker(files, settings(), OPTIONS));
  assert.ok(await comes(() => workersOf(MINE).every((pid) => before.has(pid))));
});

test('a worker that dies over a picture: the vision graph is named, in what waits behind it too', {
  skip: linux,
}, async (t) => {
  const before = new Set(workersOf(MINE));
  const files = toyVlm(t);
  const worker = await openWorker(files, settings(), OPTIONS);
  const [pid] = workersOf(MINE).filter((one) => !before.has(one));
  // Stopped, it takes no call any more: what kills it comes while the first one is under way.
  process.kill(pid!, 'SIGSTOP');
  const seen = worker.see({ first: 1e6, tokens: TOKENS, bytes: await picture([1, 2, 3]) });
  const behind = worker.pass(orderOf(1, 4));
  process.kill(pid!, 'SIGKILL');
  for (const call of [seen, behind])
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof WorkerGone);
      assert.equal(error.message, `the worker process ended: SIGKILL while ${files.graphs.vision} was given a picture`);
      return true;
    });
});

test('a worker that dies while it opens the graph: one line that names the file', { skip: linux }, async (t) => {
  const before = new Set(workersOf(MINE));
  const files = toyFiles(t);
  const opening = openWorker(files, settings(), OPTIONS);
  const refused = assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof OutsideError && !(error instanceof WorkerGone));
    assert.equal(
      error.message,
      `${files.graphs.decoder}: the worker process ended: SIGSEGV while onnxruntime opened the graph. The file is damaged, or the memory does not do.`,
    );
    return true;
  });
  const fresh = () => workersOf(MINE).filter((pid) => !before.has(pid));
  assert.ok(await comes(() => fresh().length > 0));
  process.kill(fresh()[0]!, 'SIGSEGV');
  await refused;
  assert.deepEqual(fresh(), []);
});

test('the thread of the program stays free while a pass computes', async (t) => {
  const worker = await open(t);
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, 5);
  t.after(() => clearInterval(timer));
  await worker.pass(orderOf(48, 200));
  assert.ok(ticks > 0);
});

test('pictures: what crosses to a worker and back, and a new worker in place of one that is killed sees them again', {
  skip: linux,
}, async (t) => {
  const files = toyVlm(t);
  const colours: Colour[] = [
    [200, 10, 3],
    [9, 180, 77],
  ];
  const before = new Set(workersOf(MINE));
  const start = () => openWorker(files, settings(), { mode: 'naive', threads: 1 });
  const worker = await start();
  const mine = workersOf(MINE).find((one) => !before.has(one))!;
  const log = { info: () => {}, progress: () => {} };
  const engine = openEngine([worker], start, { batchTokens: 256, cacheBytes: 1e6, log });
  t.after(() => engine.close());
  const broken = engine.album.enter(await cutOff(), TOKENS);
  const shown: Shown[] = [];
  for (const colour of colours) shown.push(engine.album.enter(await picture(colour), TOKENS));
  const idsOf = (first: number) => Array.from({ length: TOKENS }, (_, i) => first + i);
  const ask = async () => {
    const all = [...shown.map(({ first }) => idsOf(first)), idsOf(broken.first)];
    const asked = all.map((ids, place) => ({
      place,
      requests: [{ input: Int32Array.from([5, ...ids]), targets: [7] }],
    }));
    const scores = [];
    for await (const answer of engine.score(each(asked), never)) scores.push(answer.scores);
    return scores;
  };
  for (const images of [2, 4]) {
    const [red, green, none] = await ask();
    for (const [i, found] of [red!, green!].entries()) {
      assert.ok(!(found instanceof RowError), String(found));
      const best = favourites([5, ...colours[i]!], 320).at(-1)!;
      assert.ok(Math.abs(found[0]!.logprob - toyLogprob(best, 7, 320)) < 1e-9);
    }
    assert.ok(none instanceof RowError && none.kind === 'image', String(none));
    assert.equal(engine.stats.images, images);
    if (images === 2) process.kill(mine, 'SIGKILL');
  }
});
