/** The engine and its lanes: over an executor whose answers are known, whatever falls over; and whole runs of the demo. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openEngine } from '../../../nanoeval/model/engine/engine.ts';
import type { Executor } from '../../../nanoeval/model/engine/executor.ts';
import type { TokenQuestion } from '../../../nanoeval/model/engine/prefix_tree.ts';
import type { Answer } from '../../../nanoeval/model/engine/sheets.ts';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import { OutsideError, RowError, type ScoredRow } from '../../../nanoeval/types.ts';
import { DEMO, ROOT, runWith, temporaryFolder } from '../../spawn.ts';
import {
  directAnswer,
  directScore,
  type Faults,
  type HashExecutor,
  hashExecutor,
  heldBytes,
  NAN_TOKEN,
  VOCAB,
} from '../hash_executor.ts';
import { draws, randomQuestions, requestOf } from '../token_questions.ts';

const never = new AbortController().signal;
const PLAIN = NAN_TOKEN;
const MEMORY = 'model.onnx: Failed to allocate memory for requested buffer of size 123';

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

interface Setting extends Faults {
  lanes?: number;
  cacheBytes?: number;
  batchTokens?: number;
}

function open({ lanes = 1, cacheBytes = 0, batchTokens = 768, ...faults }: Setting = {}) {
  const executors: HashExecutor[] = Array.from({ length: lanes }, () => hashExecutor(faults));
  const lines: string[] = [];
  const log = { info: (line: string) => lines.push(line), progress: () => {} };
  const reopen = async (): Promise<Executor> => {
    // A process takes a while to start.
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate);
    const executor = hashExecutor(faults);
    executors.push(executor);
    return executor;
  };
  const engine = openEngine([...executors], reopen, { batchTokens, cacheBytes, log });
  /** Waits for calls that nobody waits for, as `free` is. */
  const rest = async () => {
    while (executors.some(({ underWay }) => underWay > 0)) await new Promise(setImmediate);
  };
  return { engine, executors, lines, rest };
}

/** Answers by place; none twice. */
async function gather(stream: AsyncIterable<Answer>, answers: Answer[] = []): Promise<Map<number, Answer['scores']>> {
  for await (const answer of stream) answers.push(answer);
  const byPlace = new Map(answers.map(({ place, scores }) => [place, scores]));
  assert.equal(byPlace.size, answers.length, 'no place twice');
  return new Map([...byPlace].sort(([a], [b]) => a - b));
}

const direct = (questions: readonly TokenQuestion[]) =>
  new Map(questions.map(({ place, requests }) => [place, requests.map(directScore)]));

/** Questions of `count` kinds under headers, as many as fill windows. */
function manyQuestions(seed: number, count: number, longest = 60): TokenQuestion[] {
  const random = draws(seed);
  const questions: TokenQuestion[] = [];
  while (questions.length < count) questions.push(...randomQuestions(random, 40, longest, PLAIN));
  return questions.slice(0, count).map((question, place) => ({ ...question, place }));
}

for (const form of ['tree', 'batched', 'single', 'alone', 'naive'] as const) {
  test(`${form}: the answers are those of each input by itself, whatever the lanes and the caches`, async () => {
    const questions = [...manyQuestions(1, 150, 700), ...manyQuestions(2, 50, 40)].map((q, place) => ({ ...q, place }));
    const expected = direct(questions);
    for (const [lanes, cacheBytes] of [
      [1, 0],
      [1, 3000],
      [1, 1e9],
      [3, 0],
      [3, 1e9],
    ] as const) {
      const { engine, executors, rest } = open({ form, lanes, cacheBytes });
      assert.deepEqual(await gather(engine.score(each(questions), never)), expected);
      await rest();
      for (const executor of executors) assert.ok(heldBytes(executor) <= cacheBytes, `${heldBytes(executor)} bytes`);
      await engine.close();
      assert.ok(executors.every(({ closed }) => closed));
    }
  });
}

/** Questions of a few words under one header, more than a window holds. */
function underHeader(count: number, length = 320): TokenQuestion[] {
  const random = draws(9);
  const header = random.tokens(length, PLAIN);
  return Array.from({ length: count }, (_, place) => {
    const context = [...header, ...random.tokens(8, PLAIN)];
    return { place, requests: [0, 1].map(() => requestOf([...context, ...random.tokens(2, PLAIN)], 2)) };
  });
}

test('a header that windows share is run once where there is room to keep it', async () => {
  const shared = underHeader(1400);
  // The last one ends where the header does: what is kept gives no answers.
  const header = shared[0]!.requests[0]!.input.slice(0, 320);
  const questions = [...shared, { place: 1400, requests: [{ input: header, targets: [7] }] }];
  const run: number[] = [];
  for (const cacheBytes of [0, 1e6]) {
    const { engine, executors, rest } = open({ cacheBytes });
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    run.push(engine.stats.tokens_run);
    await rest();
    assert.equal(executors[0]!.caches.size, cacheBytes === 0 ? 0 : 1);
    // The same questions once more: the header is still there.
    const before = engine.stats.tokens_run;
    await gather(engine.score(each(questions.slice(0, 100)), never));
    const again = engine.stats.tokens_run - before;
    if (cacheBytes === 0) assert.ok(again >= 320 + 100 * 9);
    else assert.ok(again <= 16 + 100 * 13, `${again} tokens`);
  }
  const saved = run[0]! - run[1]!;
  assert.ok(saved >= 304 && saved % 304 <= 16 * 3, `${saved} tokens saved`);
});

test('kept caches stay within their bytes; the least recently used goes first', async () => {
  const random = draws(4);
  const headers = Array.from({ length: 6 }, () => random.tokens(160, PLAIN));
  const questions = headers.map((header, h) =>
    Array.from({ length: 60 }, (_, i) => ({
      place: h * 60 + i,
      requests: [requestOf([...header, i, ...random.tokens(6, PLAIN)], 2)],
    })),
  );
  const { engine, executors, rest } = open({ cacheBytes: 3500 });
  const tokens = async (h: number) => {
    const before = engine.stats.tokens_run;
    await gather(engine.score(each(questions[h]!), never));
    await rest();
    assert.ok(heldBytes(executors[0]!) <= 3500);
    return engine.stats.tokens_run - before;
  };
  const first = await tokens(0);
  await tokens(1);
  assert.equal(await tokens(0), first - 160, 'two headers have room');
  await tokens(2);
  assert.equal(await tokens(0), first - 160, '0 was used after 1');
  assert.equal(await tokens(1), first, 'and 1 had to go');
});

test('statistics add up', async () => {
  const questions = manyQuestions(6, 90);
  const { engine } = open();
  await gather(engine.score(each(questions), never));
  const inputs = questions.flatMap(({ requests }) => requests.map(({ input }) => input));
  const { tokens_asked, tokens_distinct, tokens_run, tokens_padded, runs, halved_runs } = engine.stats;
  assert.equal(
    tokens_asked,
    inputs.reduce((sum, input) => sum + input.length, 0),
  );
  const prefixes = new Set(inputs.flatMap((input) => Array.from(input, (_, i) => input.slice(0, i + 1).join())));
  assert.equal(tokens_distinct, prefixes.size);
  assert.ok(tokens_run >= tokens_distinct && tokens_run < tokens_asked);
  assert.ok(tokens_padded >= tokens_run && runs > 0);
  assert.equal(halved_runs, 0);
});

test('greedy answers, those that share a prompt and those that are one token long', async () => {
  const prompts = [...underHeader(20), ...manyQuestions(3, 20)].map(({ requests }, place) => ({
    place,
    ids: [...requests[0]!.input],
  }));
  for (const form of ['tree', 'single', 'naive'] as const) {
    for (const lanes of [1, 2]) {
      const { engine, executors, rest } = open({ form, lanes });
      const answers = new Map<number, number[]>();
      const asked = prompts.map(({ place, ids }) => ({
        place,
        ids,
        begin() {
          const answer: number[] = [];
          answers.set(place, answer);
          return { take: (token: number) => answer.push(token) > place % 5, watched: [] };
        },
      }));
      const ended: number[] = [];
      for await (const { place, error } of engine.generate(each(asked), never)) {
        assert.equal(error, null);
        ended.push(place);
      }
      assert.deepEqual(
        ended.sort((a, b) => a - b),
        prompts.map(({ place }) => place),
      );
      for (const { place, ids } of prompts) assert.deepEqual(answers.get(place), directAnswer(ids, (place % 5) + 1));
      await rest();
      for (const { caches } of executors) assert.equal(caches.size, 0);
    }
  }
});

// ---------------------------------------------------------------- what falls over

test('out of memory: runs are halved until they fit, and nothing is lost', async () => {
  const questions = [...underHeader(60, 100), ...manyQuestions(8, 60, 300)].map((q, place) => ({ ...q, place }));
  for (const lanes of [1, 2]) {
    for (const most of [1, 3]) {
      const before: Faults['before'] = ({ rows }) => {
        if (rows.length > most) throw new OutsideError(MEMORY);
      };
      const { engine, executors, lines, rest } = open({ lanes, before, batchTokens: 4000, cacheBytes: 1e6 });
      assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
      assert.ok(engine.stats.halved_runs > 0);
      assert.equal(lines.filter((line) => /halved/.test(line)).length, engine.stats.halved_runs);
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
  for (const form of ['batched', 'tree', 'single', 'alone', 'naive'] as const) {
    const what = gone ? 'that kills its process' : 'that never fits';
    test(`${form}: an input ${what} fails for its question alone`, async () => {
      const questions = withPoison(underHeader(40, 100), 17);
      // As in a tree, where several questions may stand in one row, it is beside none here.
      const before: Faults['before'] = ({ rows }) => {
        if (!rows.some(({ ids }) => ids.includes(POISON))) return;
        throw gone ? new WorkerGone('SIGKILL') : new OutsideError(MEMORY);
      };
      for (const lanes of [1, 2]) {
        const { engine } = open({ form, lanes, before, batchTokens: 300 });
        checkOneLost(await gather(engine.score(each(questions), never)), questions);
      }
    });
  }
}

test('a process that ends is replaced, its caches are made again and the answers are complete', async () => {
  const questions = [...underHeader(60, 100), ...manyQuestions(12, 90, 300)].map((q, place) => ({ ...q, place }));
  for (const lanes of [1, 2]) {
    for (const every of [3, 10, 31]) {
      let runs = 0;
      let deaths = 0;
      const before = () => {
        runs += 1;
        if (runs % every !== 0 || deaths === 4) return;
        deaths += 1;
        throw new WorkerGone('SIGKILL');
      };
      const { engine, executors, rest } = open({ lanes, before, cacheBytes: 1e6 });
      assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions), `every ${every}`);
      assert.equal(executors.length, lanes + deaths, 'each death starts one process');
      assert.ok(deaths > 0);
      await rest();
      await engine.close();
      const open_ = executors.filter(({ closed }) => !closed);
      assert.equal(open_.length, deaths, 'those that ended and no other are left unclosed');
    }
  }
});

test('what was kept goes with the process', async () => {
  const questions = underHeader(150);
  const others = manyQuestions(23, 5);
  let dies = false;
  const before = () => {
    if (!dies) return;
    dies = false;
    throw new WorkerGone('SIGKILL');
  };
  const { engine, executors, rest } = open({ before, cacheBytes: 1e6 });
  for (let turn = 0; turn < 3; turn += 1) {
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    await rest();
    assert.equal(executors.at(-1)!.caches.size, 1);
    dies = true;
    assert.deepEqual(await gather(engine.score(each(others), never)), direct(others));
  }
  assert.equal(executors.length, 4);
});

test('a prefix that falls over takes what waits for it along, and is made again', async () => {
  const questions = [...underHeader(80, 300), ...manyQuestions(22, 40, 700)].map((q, place) => ({ ...q, place }));
  for (const lanes of [1, 2]) {
    const failed = new Set<string>();
    const before: Faults['before'] = ({ past, rows, keep }) => {
      const name = rows[0]!.ids.join();
      if (keep === null || past !== null || failed.has(name)) return;
      failed.add(name);
      throw new OutsideError(MEMORY);
    };
    const { engine } = open({ lanes, before, batchTokens: 60 });
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    assert.ok(failed.size > 1, `${failed.size} prefixes`);
  }
});

test('an answer whose process ends is begun anew on another', async () => {
  const prompts = underHeader(60).map(({ requests }, place) => ({ place, ids: [...requests[0]!.input] }));
  for (const form of ['tree', 'alone', 'naive'] as const) {
    for (const lanes of [1, 2]) {
      let runs = 0;
      let deaths = 0;
      const before = () => {
        runs += 1;
        // So seldom that nothing dies twice.
        if (runs % 80 !== 0) return;
        deaths += 1;
        throw new WorkerGone('SIGKILL');
      };
      const { engine, executors } = open({ form, lanes, before });
      const answers = new Map<number, number[]>();
      const asked = prompts.map(({ place, ids }) => ({
        place,
        ids,
        begin() {
          const answer: number[] = [];
          answers.set(place, answer);
          return { take: (token: number) => answer.push(token) === 4, watched: [] };
        },
      }));
      for await (const { place, error } of engine.generate(each(asked), never)) assert.equal(error, null, `${place}`);
      assert.deepEqual(answers, new Map(prompts.map(({ place, ids }) => [place, directAnswer(ids, 4)])));
      assert.ok(deaths >= 2);
      assert.equal(executors.length, lanes + deaths);
    }
  }
});

test('a process that ends again and again ends the stream with a reason', async () => {
  const before = () => {
    throw new WorkerGone('SIGKILL');
  };
  const { engine } = open({ before, batchTokens: 1 });
  await assert.rejects(gather(engine.score(each(manyQuestions(5, 100)), never)), OutsideError);
});

test('any other error ends the stream with it, after what was under way', async () => {
  const questions = manyQuestions(14, 200, 700);
  for (const lanes of [1, 3]) {
    let runs = 0;
    const broken = new Error('broken');
    const before = () => {
      runs += 1;
      if (runs === 12) throw broken;
    };
    const { engine, executors, rest } = open({ lanes, before });
    const answers: Answer[] = [];
    await assert.rejects(gather(engine.score(each(questions), never), answers), (error) => error === broken);
    const expected = direct(questions);
    for (const { place, scores } of answers) assert.deepEqual(scores, expected.get(place));
    await rest();
    for (const { caches } of executors) assert.equal(caches.size, 0, 'no cache is left behind');
  }
});

test('an abort ends the stream with its reason after what was under way; nothing more starts', async () => {
  const questions = manyQuestions(15, 400, 700);
  for (const form of ['tree', 'naive'] as const) {
    for (const lanes of [1, 2]) {
      const stop = new AbortController();
      const reason = new Error('enough');
      let started = 0;
      let startedAtStop = 0;
      const before = () => {
        started += 1;
      };
      const { engine, executors, rest } = open({ form, lanes, before });
      const answers: Answer[] = [];
      const take = async () => {
        for await (const answer of engine.score(each(questions), stop.signal)) {
          answers.push(answer);
          if (answers.length !== 5) continue;
          startedAtStop = started;
          stop.abort(reason);
        }
      };
      await assert.rejects(take(), (error) => error === reason);
      assert.ok(answers.length >= 5 && answers.length < questions.length, `${answers.length} answers`);
      const expected = direct(questions);
      for (const { place, scores } of answers) assert.deepEqual(scores, expected.get(place));
      await rest();
      assert.ok(started <= startedAtStop + lanes * 30, 'what waited at an executor, with what leads to it');
      for (const { caches } of executors) assert.equal(caches.size, 0, 'no cache is left behind');
    }
  }
  const stopped = AbortSignal.abort(new Error('before it began'));
  const { engine } = open();
  await assert.rejects(gather(engine.score(each(questions), stopped)), /before it began/);
  assert.equal(engine.stats.runs, 0);
});

test('a consumer that goes away leaves nothing under way, and the source is closed', async () => {
  for (const form of ['tree', 'naive'] as const) {
    const { engine, executors, rest } = open({ form, lanes: 2 });
    let [read, closed] = [0, false];
    const source = async function* () {
      try {
        for (const question of manyQuestions(16, 1200, 700)) {
          read += 1;
          yield question;
        }
      } finally {
        closed = true;
      }
    };
    let count = 0;
    for await (const _answer of engine.score(source(), never)) {
      count += 1;
      if (count === 7) break;
    }
    const readAtBreak = read;
    await rest();
    for (let i = 0; i < 5000 && !closed; i += 1) await new Promise(setImmediate);
    assert.ok(closed);
    assert.ok(read < 1200 && read <= readAtBreak + 2, `${read} of the source, ${readAtBreak} then`);
    for (const { caches } of executors) assert.equal(caches.size, 0, 'no cache is left behind');
    const questions = manyQuestions(17, 30);
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions), 'and it goes on');
  }
});

test('an error of the source comes through after the windows that were complete', async () => {
  const questions = manyQuestions(18, 1300, 20);
  const broken = new Error('no more rows');
  const source = async function* () {
    yield* questions;
    throw broken;
  };
  const { engine } = open();
  const answers: Answer[] = [];
  await assert.rejects(gather(engine.score(source(), never), answers), (error) => error === broken);
  assert.ok(answers.length >= 1024, `${answers.length} answers`);
  const naive = open({ form: 'naive' });
  const all: Answer[] = [];
  await assert.rejects(gather(naive.engine.score(source(), never), all), (error) => error === broken);
  assert.equal(all.length, questions.length);
});

test('a token beyond the vocabulary, and a NaN, fail for their question alone', async () => {
  for (const form of ['tree', 'naive'] as const) {
    const clean = manyQuestions(19, 60);
    const beyond = { place: 60, requests: [{ input: Int32Array.of(1, 2), targets: [3, VOCAB] }] };
    const nan = { place: 61, requests: [{ input: Int32Array.of(1, NAN_TOKEN), targets: [3, 4] }] };
    const behind = { place: 62, requests: [{ input: Int32Array.of(1, NAN_TOKEN, 5), targets: [3] }] };
    const { engine } = open({ form });
    const found = await gather(engine.score(each([beyond, nan, ...clean, behind]), never));
    const kinds = [60, 61].map((place) => (found.get(place) as RowError).kind);
    assert.deepEqual(kinds, ['tokens', 'nan']);
    found.delete(60);
    found.delete(61);
    assert.deepEqual(found, direct([...clean, behind]));
    const alone = await gather(engine.score(each([beyond]), never));
    assert.equal((alone.get(60) as RowError).kind, 'tokens', 'a window of nothing else');
  }
});

test('one stream after the other, of either kind, keeps the same number of calls under way', async () => {
  for (const form of ['tree', 'naive'] as const) {
    const { engine, executors } = open({ form });
    for (let turn = 0; turn < 4; turn += 1) {
      const prompts = manyQuestions(20, 5).map(({ place }) => ({
        place,
        ids: [1, 2, 3],
        begin: () => ({ take: () => true, watched: [] }),
      }));
      for await (const { error } of engine.generate(each(prompts), never)) assert.equal(error, null);
      let most = 0;
      for await (const _answer of engine.score(each(manyQuestions(21, 60, 20)), never))
        most = Math.max(most, executors[0]!.underWay);
      // Two calls, what leads to their groups, and caches that are given back.
      assert.ok(most <= 40, `${most} calls in turn ${turn}`);
    }
  }
});

// ---------------------------------------------------------------- pictures

const FORMS = ['tree', 'batched', 'single', 'alone', 'naive'] as const;
const CORRUPT = 255;
const isCorrupt = ({ bytes }: { bytes: Uint8Array }) => bytes[0] === CORRUPT;
const look: Faults['look'] = (picture) => {
  if (isCorrupt(picture)) throw new RowError('image', 'the picture cannot be decoded.');
};

type Engine = ReturnType<typeof open>['engine'];
/** Prompts of a few tokens, each about one of the pictures: text, the picture, text. */
function pictured(engine: Engine, pictures: readonly number[], tokens = 5): TokenQuestion[] {
  const random = draws(31);
  return pictures.map((value, place) => {
    const { first } = engine.album.enter(Uint8Array.of(value), tokens);
    const context = [1, 2, 3, ...Array.from({ length: tokens }, (_, i) => first + i), ...random.tokens(6, PLAIN)];
    return { place, requests: [0, 1, 2].map(() => requestOf([...context, ...random.tokens(3, PLAIN)], 3)) };
  });
}

/** Greedy answers of three tokens, or the reason why there is none, by place. */
async function answersTo(engine: Engine, prompts: readonly number[][], watched: readonly number[] = []) {
  const found = new Map<number, number[] | RowError>();
  const heard = new Map<number, readonly number[]>();
  const asked = prompts.map((ids, place) => ({
    place,
    ids,
    begin() {
      const answer: number[] = [];
      found.set(place, answer);
      const take = (token: number, logprobs: readonly number[]) => {
        if (answer.length === 0) heard.set(place, logprobs);
        return answer.push(token) === 3;
      };
      return { take, watched };
    },
  }));
  for await (const { place, error } of engine.generate(each(asked), never)) if (error !== null) found.set(place, error);
  return { found, heard };
}

for (const form of FORMS) {
  test(`${form}: a picture that cannot be shown fails for its question alone, and is shown to nobody twice`, async () => {
    for (const lanes of [1, 2]) {
      for (const [tokens, batchTokens] of [
        [5, 768],
        [5, 30],
        [100, 768],
      ] as const) {
        const { engine, rest } = open({ form, lanes, look, batchTokens });
        const pictures = [1, 2, CORRUPT, 3, 1, CORRUPT, 4, 2, 1];
        const questions = [...pictured(engine, pictures, tokens), ...manyQuestions(24, 20)].map((q, place) => ({
          ...q,
          place,
        }));
        const found = await gather(engine.score(each(questions), never));
        assert.equal(found.size, questions.length);
        for (const question of questions) {
          const scores = found.get(question.place)!;
          if (pictures[question.place] === CORRUPT) assert.ok(scores instanceof RowError && scores.kind === 'image');
          else assert.deepEqual(scores, question.requests.map(directScore), `${question.place}`);
        }
        assert.equal(engine.stats.halved_runs, 0, 'that is for memory');
        assert.ok(engine.stats.images >= 4 && engine.stats.images <= 4 * lanes, `${engine.stats.images}`);
        assert.equal(engine.stats.image_tiles, 2 * engine.stats.images);

        const prompts = questions.map(({ requests }) => [...requests[0]!.input]);
        const { found: answers } = await answersTo(engine, prompts);
        for (const [place, ids] of prompts.entries()) {
          const answer = answers.get(place)!;
          if (pictures[place] === CORRUPT) assert.ok(answer instanceof RowError && answer.kind === 'image');
          else assert.deepEqual(answer, directAnswer(ids, 3));
        }
        await rest();
      }
    }
  });
}

test('the second question about a picture computes no features again, nor does a later stream', async () => {
  for (const form of FORMS) {
    const { engine, executors, rest } = open({ form });
    const questions = pictured(engine, [1, 2, 1, 2, 1]);
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    assert.equal(engine.stats.images, 2);
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    assert.equal(engine.stats.images, 2);
    await answersTo(
      engine,
      questions.map(({ requests }) => [...requests[0]!.input]),
    );
    assert.equal(engine.stats.images, 2);
    // Dropped from the album: the executors let go of it too.
    for (let value = 10; value < 15; value += 1) engine.album.leave(engine.album.enter(Uint8Array.of(value), 1));
    for (const value of [1, 1, 1, 2, 2]) {
      const shown = engine.album.enter(Uint8Array.of(value), 5);
      engine.album.leave(shown);
      engine.album.leave(shown);
    }
    for (let value = 10; value < 15; value += 1) engine.album.leave(engine.album.enter(Uint8Array.of(value), 1));
    await rest();
    assert.equal(executors[0]!.pictures.size, 0);
  }
});

test('prompts share a prefix up to their pictures, and beyond where they show the same one', async () => {
  const run = async (pictures: readonly number[]) => {
    const { engine } = open();
    const tokens = 200;
    const questions = pictures.map((value, place) => {
      const { first } = engine.album.enter(Uint8Array.of(value), tokens);
      const shown = Array.from({ length: tokens }, (_, i) => first + i);
      return { place, requests: [requestOf([1, 2, 3, ...shown, 20 + place, 5], 1)] };
    });
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    return [engine.stats.tokens_distinct, engine.stats.tokens_run, engine.stats.tokens_asked];
  };
  const asked = 4 * (3 + 200 + 1);
  assert.deepEqual(await run([1, 1, 1, 1]), [3 + 200 + 4, 3 + 200 + 4, asked]);
  const [distinct, tokens] = await run([1, 2, 3, 4]);
  assert.equal(distinct, 3 + 4 * 201);
  assert.ok(tokens! >= distinct! && tokens! <= asked, `${tokens} tokens`);
  assert.equal((await run([1, 2, 1, 2]))[0], 3 + 2 * 200 + 4);
});

test('a process that ends is shown the pictures again, and the answers are complete', async () => {
  for (const form of FORMS) {
    for (const lanes of [1, 2]) {
      let runs = 0;
      let deaths = 0;
      const before = () => {
        runs += 1;
        if (runs !== 2) return;
        deaths += 1;
        throw new WorkerGone('SIGKILL');
      };
      const { engine, executors } = open({ form, lanes, before, batchTokens: 60 });
      const questions = pictured(engine, [1, 2, 1, 3, 2, 1, 1, 3, 4, 5, 1, 2], 100);
      assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions), form);
      assert.ok(deaths > 0 && executors.length === lanes + deaths, `${form}, ${lanes} lanes: ${deaths} deaths`);
      // What the other lane was showing when the window began may come after the death.
      assert.ok(engine.stats.images >= 7 - lanes, `${form}: ${engine.stats.images} pictures`);
    }
  }
});

test('watched tokens have the log-probability that scoring gives them', async () => {
  for (const form of FORMS) {
    const { engine } = open({ form });
    const prompts = pictured(engine, [1, 2, 1, 3]).map(({ requests }) => [...requests[0]!.input]);
    const watched = [4, 40, 0];
    const { heard } = await answersTo(engine, prompts, watched);
    const requests = prompts.map((ids) =>
      watched.map((target) => ({ input: Int32Array.from(ids), targets: [target] })),
    );
    const questions = requests.map((one, place) => ({ place, requests: one }));
    const scores = await gather(engine.score(each(questions), never));
    for (const [place, found] of scores) {
      assert.ok(!(found instanceof RowError));
      assert.deepEqual(
        heard.get(place),
        found.map(({ logprob }) => logprob),
      );
    }
  }
});

test('a window ends after some questions with pictures: their files are held', async () => {
  const { engine } = open();
  let read = 0;
  const source = async function* () {
    for (const question of pictured(
      engine,
      Array.from({ length: 100 }, (_, i) => i),
    )) {
      read += 1;
      yield question;
    }
  };
  for await (const _answer of engine.score(source(), never)) break;
  assert.ok(read <= 2 * 16 + 2, `${read} questions`);
});

// ---------------------------------------------------------------- windows that the asker cuts, and what is known already

/** The answers, and what the executor was told to run. */
async function recorded(questions: readonly TokenQuestion[], form: Faults['form'] & string) {
  const runs: string[] = [];
  const before: Faults['before'] = ({ rows, select, pairs }) => void runs.push(JSON.stringify([rows, select, pairs]));
  const { engine } = open({ form, before });
  const answers = await gather(engine.score(each(questions), never));
  const stats = { ...engine.stats };
  await engine.close();
  return { runs, answers, stats };
}

for (const form of ['tree', 'batched', 'single', 'alone', 'naive'] as const) {
  test(`${form}: what is known is planned and not answered; the rest runs as in the whole`, async () => {
    const questions = manyQuestions(3, 120, 300).map((one) => ({ ...one, window: Math.floor(one.place / 40) }));
    const whole = await recorded(questions, form);
    assert.deepEqual(whole.answers, direct(questions));
    const random = draws(5);
    for (const share of [0.3, 0.95, 1]) {
      const some = questions.map((one) => (random.chance(share) ? { ...one, done: true } : one));
      const left = await recorded(some, form);
      const open = some.filter((one) => !('done' in one)).map(({ place }) => place);
      assert.deepEqual([...left.answers.keys()], open);
      for (const place of open) assert.deepEqual(left.answers.get(place), whole.answers.get(place));
      for (const run of left.runs) assert.ok(whole.runs.includes(run), 'a run that the whole has not');
      assert.ok(left.runs.length < whole.runs.length);
      if (share === 1) assert.equal(left.runs.length, 0);
    }
  });
}

test('questions of one window are planned together and apart from others, however few', async () => {
  const once = manyQuestions(4, 30, 200);
  const both = [...once, ...once].map((one, place) => ({ ...one, place }));
  const distinct = async (windowOf: (place: number) => number | undefined) => {
    const questions = both.map((one) => {
      const window = windowOf(one.place);
      return window === undefined ? one : { ...one, window };
    });
    return (await recorded(questions, 'tree')).stats.tokens_distinct;
  };
  const together = await distinct(() => 0);
  assert.equal(await distinct((place) => Math.floor(place / 30)), 2 * together);
  assert.equal(await distinct((place) => (place < 30 ? 7 : 3)), 2 * together, 'any numbers');
  assert.equal(await distinct(() => undefined), together);
});

for (const form of ['tree', 'alone', 'naive'] as const) {
  test(`${form}: answers that are known are not written again`, async () => {
    const { engine } = open({ form, lanes: 2 });
    const random = draws(8);
    const written = new Map<number, number[]>();
    const header = random.tokens(300, PLAIN);
    const prompts = Array.from({ length: 40 }, (_, place) => {
      const ids = [...header, ...random.tokens(5, PLAIN)];
      const begin = () => {
        const answer: number[] = [];
        written.set(place, answer);
        return { take: (token: number) => answer.push(token) === 4, watched: [] };
      };
      return { place, ids, begin, window: place >> 4, ...(place % 3 === 0 ? { done: true } : {}) };
    });
    const ended: number[] = [];
    for await (const { place, error } of engine.generate(each(prompts), never)) {
      assert.equal(error, null);
      ended.push(place);
    }
    const open_ = prompts.filter((one) => !('done' in one));
    assert.deepEqual(
      ended.sort((a, b) => a - b),
      open_.map(({ place }) => place),
    );
    assert.equal(written.size, open_.length);
    for (const { place, ids } of open_) assert.deepEqual(written.get(place), directAnswer(ids, 4));
    await engine.close();
  });
}

// ---------------------------------------------------------------- whole runs of the demo

const folder = temporaryFolder('engine');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const DATA = 'nanoeval/demo/data/hellaswag';

function run(name: string, engine = '', rows = 24, path = DATA) {
  mkdirSync(at(name));
  const yaml = `task: hellaswag
model: { model_id: ${DEMO} }
engine: { threads_per_worker: 1${engine} }
dataset: { path: ${path}, subset_size: ${rows} }
report: { output_dir: ${at(name, 'run')}, save_plot: false }
`;
  return runWith('run_hellaswag', at(name), yaml);
}

async function rowsOf(name: string, ...rest: [engine?: string, rows?: number, path?: string]): Promise<string> {
  const { code, stderr } = await run(name, ...rest).finished;
  assert.equal(code, 0, stderr);
  return readFileSync(at(name, 'run/predictions.jsonl'), 'utf8');
}

const parsed = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow);

function checkClose(found: ScoredRow[], expected: ScoredRow[]): void {
  assert.equal(found.length, expected.length);
  for (const [i, row] of found.entries()) {
    const other = expected[i]!;
    assert.deepEqual(
      [row.prediction, row.correct, row.gold],
      [other.prediction, other.correct, other.gold],
      `row ${i}`,
    );
    assert.equal(row.prompt_sha256, other.prompt_sha256);
    for (const [c, choice] of row.choices!.entries()) {
      const off = Math.abs(choice.logprob - other.choices![c]!.logprob);
      assert.ok(off <= 1e-4, `row ${i}, choice ${c}: ${off}`);
      assert.equal(choice.is_greedy, other.choices![c]!.is_greedy);
    }
  }
}

test('workers and kept caches change no byte; the plain path, batches and the order of rows no verdict', async () => {
  const [one, two] = await Promise.all([rowsOf('one', ', workers: 1, kv_cache_mb: 0'), rowsOf('two', ', workers: 2')]);
  assert.equal(two, one);
  const lines = readFileSync(join(ROOT, DATA, 'validation.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(0, 24);
  writeFileSync(at('reversed.jsonl'), lines.toReversed().join('\n'));
  const reversed = await rowsOf('reversed', '', 24, at('reversed.jsonl'));
  checkClose(parsed(reversed).reverse(), parsed(one));
  const texts = await Promise.all([rowsOf('naive', ', mode: naive'), rowsOf('small', ', batch_tokens: 64')]);
  texts.push(await rowsOf('large', ', batch_tokens: 2000'));
  for (const text of texts) checkClose(parsed(text), parsed(one));
});

test('rows of a run that was interrupted are those of the whole run', async () => {
  const whole = new Set((await rowsOf('whole', '', 200)).trimEnd().split('\n'));
  assert.equal(whole.size, 200);
  const path = at('broken/run/predictions.jsonl');
  const broken = run('broken', ', workers: 2', 200);
  const poll = setInterval(() => {
    if (!existsSync(path) || readFileSync(path, 'utf8').split('\n').length <= 4) return;
    broken.kill('SIGINT');
    clearInterval(poll);
  }, 5);
  const { code, stderr } = await broken.finished;
  clearInterval(poll);
  assert.equal(code, 130, stderr);
  const text = readFileSync(path, 'utf8');
  assert.ok(text.endsWith('\n'));
  const lines = text.trimEnd().split('\n');
  assert.ok(lines.length >= 4 && lines.length < 200, `${lines.length} rows`);
  for (const line of lines) assert.ok(whole.has(line), line);
  assert.equal(new Set(lines).size, lines.length);
});

test('no answer is lost when two tasks end while the last answer is being taken', async () => {
  // Replies that come together, the second some turns of the microtask queue after the first.
  for (const lag of [0, 1, 2, 4, 8, 12, 16]) {
    const base = hashExecutor();
    let held: (() => void)[] = [];
    const together = async () => {
      const all = held;
      held = [];
      for (const give of all) {
        give();
        for (let turn = 0; turn < lag; turn += 1) await null;
      }
    };
    const executor: Executor = {
      ...base,
      run: (order) =>
        new Promise((resolve, reject) => {
          base.run(order).then((answer) => {
            if (held.push(() => resolve(answer)) === 1) setTimeout(together, 5);
          }, reject);
        }),
    };
    const log = { info: () => {}, progress: () => {} };
    const engine = openEngine([executor], async () => executor, { batchTokens: 60, cacheBytes: 0, log });
    const questions = async function* (): AsyncGenerator<TokenQuestion> {
      for (let place = 0; place < 20; place += 1) {
        const input = Int32Array.from({ length: 50 }, (_, i) => (i * 7 + (place % 2) * 13 + (place >> 1)) % 60);
        yield { place, window: place >> 1, requests: [{ input, targets: [1] }] };
      }
    };
    const through = async function* <T>(source: AsyncIterable<T>, depth: number): AsyncGenerator<T> {
      if (depth === 0) yield* source;
      else for await (const one of through(source, depth - 1)) yield one;
    };
    let answered = 0;
    for await (const _ of through(engine.score(questions(), new AbortController().signal), 3)) answered += 1;
    assert.equal(answered, 20, `lag ${lag}`);
  }
});
