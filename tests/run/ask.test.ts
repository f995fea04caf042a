import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { taskSchema } from '../../nanoeval/config/keys.ts';
import { resolveRecipe } from '../../nanoeval/config/recipe.ts';
import { openSplit } from '../../nanoeval/data/rows.ts';
import { type Example, makeRun, openShots, shardOf } from '../../nanoeval/run/ask.ts';
import {
  type FailedRow,
  type GenerationRequest,
  type Log,
  type Loglikelihood,
  type LoglikelihoodRequest,
  type Model,
  type Prediction,
  RowError,
  UserError,
} from '../../nanoeval/types.ts';
import { streams } from '../streams.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-run-'));
after(() => rmSync(folder, { recursive: true }));
const NAMES = ['a', 'b', 'c'];
writeFileSync(
  join(folder, 'test.jsonl'),
  Array.from({ length: 40 }, (_, i) => JSON.stringify({ n: i, key: NAMES[i % 3] })).join('\n'),
);
writeFileSync(
  join(folder, 'dev.jsonl'),
  Array.from({ length: 9 }, (_, i) => JSON.stringify({ n: i, key: NAMES[i % 3] })).join('\n'),
);

const log: Log = { info: () => {}, progress: () => {} };
const rule = { primary: 'acc', normalized: null, normalize_by_length: false };
const recipes = {
  lm_eval: { num_fewshot: 0, strategies: { rank_ll: rule, gen_letter: { ...rule, until: ['\n'], max_new_tokens: 7 } } },
};
const schema = taskSchema('toy', { dataset_id: 'a/b', subset_name: 'default', split: 'test' }, recipes);

/** A model whose log-likelihood is minus the length of the continuation, and which fails where it is told to. */
function model(fail: (text: string) => boolean = () => false): Model {
  const answer = ({ context, continuation }: { context: string; continuation: string }): Loglikelihood => {
    if (fail(context)) throw new RowError('nan', 'broken logits');
    return {
      logprob: -continuation.length,
      num_tokens: 2,
      is_greedy: false,
      num_context_tokens: context.length,
      truncated: continuation.endsWith('!'),
    };
  };
  const plain: Pick<Model, 'loglikelihood' | 'generateUntil'> = {
    loglikelihood: async (requests) => requests.map(answer),
    generateUntil: async (requests) =>
      requests.map(({ context, until, max_new_tokens }) => ({
        output: `${context}|${until.join()}|${max_new_tokens}`,
        finish_reason: 'stop',
        num_output_tokens: 3,
        num_context_tokens: 4,
        truncated: false,
      })),
  };
  return {
    ...plain,
    ...streams(plain),
    identity: { is_vlm: false } as Model['identity'],
    engine: { mode: 'naive', form: 'naive' },
    engineRemarks: [],
    engineStats: () => ({}),
    loglikelihoodRolling: async () => [],
    renderChat: (messages) => JSON.stringify(messages),
    imagePlaceholder: () => '<picture>',
    countTokens: (text) => text.length,
    close: async () => {},
  };
}

async function open(overrides: { dataset?: object; scoring?: object; report?: object } = {}, using = model()) {
  const config = schema.parse({
    task: 'toy',
    model: { model_id: 'm' },
    dataset: { path: folder, ...overrides.dataset },
    scoring: overrides.scoring,
    report: overrides.report,
  });
  const { signal } = new AbortController();
  const recipe = resolveRecipe({ name: 'toy', recipes }, config);
  const split = await openSplit({ ...config.dataset, path: config.dataset.path ?? null }, { log });
  const shots = await openShots('dev', config, recipe, { log, signal });
  return makeRun(config, recipe, using, { split, shots }, signal);
}

const example = (index: number, context: string, texts: string[], gold = 0): Example => ({
  id: `id${index}`,
  index,
  group: 'g',
  gold,
  context,
  choices: texts.map((text) => ({ text, continuation: ` ${text}` })),
});

async function* stream(examples: Example[]): AsyncGenerator<Example> {
  yield* examples;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

test('a ranked row has the sums and the three lengths of each choice, and the hash of its context', async () => {
  const run = await open();
  const [row] = (await collect(run.answer(stream([example(3, 'Ä b', ['né😀', 'x!'], 1)])))) as Prediction[];
  assert.deepEqual(row, {
    task: 'toy',
    id: 'id3',
    index: 3,
    group: 'g',
    gold: 1,
    choices: [
      { logprob: -5, num_tokens: 2, num_chars: 3, num_bytes: 7, is_greedy: false },
      { logprob: -3, num_tokens: 2, num_chars: 2, num_bytes: 2, is_greedy: false },
    ],
    num_context_tokens: 3,
    truncated: true,
    prompt_sha256: createHash('sha256').update('Ä b', 'utf8').digest('hex'),
  });
});

test('the prompt is kept when asked for', async () => {
  const run = await open({ report: { save_prompts: true } });
  const [row] = (await collect(run.answer(stream([example(0, 'words', ['x'])])))) as Prediction[];
  assert.equal(row?.prompt, 'words');
});

test("a generated row has the answer, ended as the recipe's rule says unless the config limits it", async () => {
  const texts = async (scoring: object) => {
    const run = await open({ scoring: { strategy: 'gen_letter', ...scoring } });
    return ((await collect(run.answer(stream([example(0, 'Q', ['A'])])))) as Prediction[]).map((row) => row.output);
  };
  assert.deepEqual(await texts({}), ['Q|\n|7']);
  assert.deepEqual(await texts({ max_new_tokens: 2 }), ['Q|\n|2']);
});

test('a row that cannot be scored is a failed row, and the next one is answered', async () => {
  const run = await open(
    {},
    model((context) => context === 'bad'),
  );
  const rows = await collect(run.answer(stream([example(0, 'bad', ['x']), example(1, 'good', ['x'])])));
  assert.deepEqual(rows[0], {
    task: 'toy',
    id: 'id0',
    index: 0,
    error: { kind: 'nan', message: 'broken logits' },
  } satisfies FailedRow);
  assert.equal((rows[1] as Prediction).index, 1);
});

test('a gold outside the choices stops the run with the row, it is never a wrong answer', async () => {
  const run = await open();
  await assert.rejects(
    collect(run.answer(stream([example(24, 'c', ['x', 'y'], 5)]))),
    new UserError('toy row 24 (id id24): gold 5 is outside its 2 choices.'),
  );
});

const numbers = async (rows: AsyncIterable<{ index: number; row: { n?: unknown } }>) =>
  (await collect(rows)).map(({ index, row }) => [index, row.n]);

test('all rows come in order; a sample is what Python draws with the same seed', async () => {
  assert.deepEqual(
    await numbers((await open()).rows(['n'])),
    Array.from({ length: 40 }, (_, i) => [i, i]),
  );
  // python3.11: sorted(random.Random(123).sample(range(40), 6)) and the same with seed 7
  const drawn = { 123: [3, 5, 6, 17, 26, 38], 7: [3, 4, 9, 20, 25, 34] };
  for (const [seed, indices] of Object.entries(drawn)) {
    const run = await open({ dataset: { sample: 6 }, scoring: { seed: Number(seed) } });
    assert.deepEqual(
      (await numbers(run.rows(['n']))).map(([index]) => index),
      indices,
    );
  }
  const tooMany = await open({ dataset: { sample: 41 } });
  await assert.rejects(
    numbers(tooMany.rows(['n'])),
    (error) => error instanceof UserError && error.key === 'dataset.sample',
  );
});

test('shots by key: the first n of each key of the other split, in file order', async () => {
  const run = await open({ scoring: { num_fewshot: 2 } });
  const shots = await run.firstShots(
    ['n', 'key'],
    ({ row }) => row as { n: number; key: string },
    (row) => row.key,
  );
  assert.deepEqual(
    shots('b').map(({ n }) => n),
    [1, 4],
  );
  assert.throws(() => shots('z'), /2, but the split "dev" has 0 rows of z/);
});

test("drawn shots are those of lm-eval's default sampler, whichever rows are asked for", async () => {
  const draw = async () => (await open({ scoring: { num_fewshot: 3 } })).drawnShots(['n'], ({ row }) => Number(row.n));
  const all = await draw();
  const sequence = Array.from({ length: 5 }, (_, i) => all(i));
  // python3.11: r = random.Random(1234); [r.sample(range(9), 4)[:3] for _ in range(5)]
  assert.deepEqual(sequence, [
    [7, 1, 0],
    [0, 1, 8],
    [3, 0, 7],
    [5, 7, 4],
    [2, 1, 7],
  ]);
  const some = await draw();
  assert.deepEqual([some(1), some(4)], [sequence[1], sequence[4]]);
});

test('shots from a single file are refused: it has one split', async () => {
  await assert.rejects(
    open({ dataset: { path: join(folder, 'test.jsonl') }, scoring: { num_fewshot: 3 } }),
    (error) => error instanceof UserError && /is one file/.test(error.message),
  );
});

// ---------------------------------------------------------------- pictures

const picture = (...bytes: number[]) => Uint8Array.from(bytes);

/** A model that writes down what it was asked, and knows a log-probability for `A` and ` B` alone. */
function listening(is_vlm = false): { model: Model; asked: (GenerationRequest | LoglikelihoodRequest)[] } {
  const asked: (GenerationRequest | LoglikelihoodRequest)[] = [];
  const plain: Pick<Model, 'loglikelihood' | 'generateUntil'> = {
    loglikelihood: async (requests) => {
      asked.push(...requests);
      return requests.map(() => ({
        logprob: -1,
        num_tokens: 1,
        is_greedy: false,
        num_context_tokens: 1,
        truncated: false,
      }));
    },
    generateUntil: async (requests) =>
      requests.map((request) => {
        asked.push(request);
        const first_logprobs = request.first_tokens?.map((text) => (text === 'A' ? -1 : text === ' B' ? -2 : null));
        const answer = {
          output: 'B',
          finish_reason: 'stop' as const,
          num_output_tokens: 1,
          num_context_tokens: 9,
          truncated: false,
        };
        return first_logprobs === undefined ? answer : { ...answer, first_logprobs };
      }),
  };
  return { model: { ...model(), ...plain, ...streams(plain), identity: { is_vlm } as Model['identity'] }, asked };
}

const shown = (index: number, images: (Uint8Array | null)[]): Example => ({
  ...example(index, `context ${index}`, ['x', 'y']),
  images,
});

test('a row that lacks a picture fails with its place and is not asked; the others are, and none is lost', async () => {
  const one = picture(1);
  for (const strategy of ['rank_ll', 'gen_letter']) {
    const { model, asked } = listening();
    const run = await open({ scoring: { strategy } }, model);
    const rows = await collect(
      run.answer(
        stream([shown(0, [null]), shown(1, [one]), shown(2, [one, null, null]), shown(3, []), shown(4, [one, null])]),
      ),
    );
    assert.deepEqual(rows.map((row) => [row.index, row.id, 'error' in row ? row.error : null]).sort(), [
      [0, 'id0', { kind: 'image', message: 'the question shows 1 pictures, and the row lacks the one at place 1.' }],
      [1, 'id1', null],
      [2, 'id2', { kind: 'image', message: 'the question shows 3 pictures, and the row lacks the one at place 2.' }],
      [3, 'id3', null],
      [4, 'id4', { kind: 'image', message: 'the question shows 2 pictures, and the row lacks the one at place 2.' }],
    ]);
    assert.deepEqual([...new Set(asked.map(({ context }) => context))], ['context 1', 'context 3']);
  }
});

test('all rows lack a picture: all fail, nothing is asked', async () => {
  const { model, asked } = listening();
  const run = await open({}, model);
  const rows = await collect(run.answer(stream([shown(0, [null]), shown(1, [null])])));
  assert.deepEqual(
    rows.map((row) => [row.index, 'error' in row]),
    [
      [0, true],
      [1, true],
    ],
  );
  assert.deepEqual(asked, []);
});

test('pictures go to the model with every request, and the row keeps their hashes, tags and no bytes', async () => {
  const images = [picture(1, 2), picture(3)];
  for (const strategy of ['rank_ll', 'gen_letter']) {
    const { model, asked } = listening();
    const run = await open({ scoring: { strategy } }, model);
    const rows = (await collect(
      run.answer(stream([{ ...shown(0, images), tags: ['Tables'] }, example(1, 'text', ['x'])])),
    )) as Prediction[];
    assert.deepEqual(
      asked.map((request) => request.images ?? []),
      strategy === 'rank_ll' ? [images, images, []] : [images, []],
    );
    assert.deepEqual(
      rows[0]?.image_sha256,
      images.map((bytes) => createHash('sha256').update(bytes).digest('hex')),
    );
    assert.deepEqual(rows[0]?.tags, ['Tables']);
    assert.ok(!('image_sha256' in rows[1]!) && !('tags' in rows[1]!) && !('images' in rows[0]!));
  }
});

test('by letter: the texts of the choices, and two forms of each letter', async () => {
  const { model, asked } = listening();
  const run = await open({ scoring: { strategy: 'gen_letter' } }, model);
  const [row, plain] = (await collect(
    run.answer(stream([{ ...shown(0, []), byLetter: true }, shown(1, [])])),
  )) as Prediction[];
  assert.deepEqual((asked[0] as GenerationRequest).first_tokens, ['A', ' A', 'B', ' B']);
  assert.deepEqual(row?.options, ['x', 'y']);
  assert.deepEqual(row?.letter_logprobs, [
    [-1, null],
    [null, -2],
  ]);
  assert.ok(!('first_logprobs' in row!));
  assert.equal((asked[1] as GenerationRequest).first_tokens, undefined);
  assert.ok(!('options' in plain!) && !('letter_logprobs' in plain!));
});

test("render: the chat template where it is used, else the parts in a row with the checkpoint's placeholder", async () => {
  const parts = [
    { type: 'text' as const, text: 'a ' },
    { type: 'image' as const },
    { type: 'text' as const, text: ' b' },
  ];
  const chat = JSON.stringify([{ role: 'user', content: parts }]);
  const render = async (is_vlm: boolean, chat_template?: boolean) => {
    const config = schema.parse({
      task: 'toy',
      model: { model_id: 'm', chat_template },
      dataset: { path: folder },
    });
    const recipe = resolveRecipe({ name: 'toy', recipes }, config);
    const split = await openSplit({ ...config.dataset, path: folder }, { log });
    return makeRun(
      config,
      recipe,
      listening(is_vlm).model,
      { split, shots: null },
      new AbortController().signal,
    ).render(parts);
  };
  assert.equal(await render(false), 'a <picture> b');
  assert.equal(await render(true), chat);
  assert.equal(await render(true, false), 'a <picture> b');
  assert.equal(await render(false, true), chat);
});

// ---------------------------------------------------------------- windows, and what is known already

/** Writes down the windows in which questions come, and which of them are done. */
async function planned(
  overrides: Parameters<typeof open>[0],
  part: {
    seed?: number;
    manySeeds?: boolean;
    scored?: string[];
    failed?: string[];
    only?: number[];
    rowsTogether?: number;
  },
  shard?: string,
) {
  const seen: [index: string, window: number | undefined, done: boolean][] = [];
  const listener: Model = {
    ...model(),
    // biome-ignore lint/correctness/useYield: it never answers
    async *loglikelihoods(questions) {
      for await (const { content, window, done } of questions) seen.push([content[0]!.context, window, done === true]);
    },
    // biome-ignore lint/correctness/useYield: it never answers
    async *generations(questions) {
      for await (const { content, window, done } of questions)
        seen.push([`${content.context} ${content.sampling?.stream}`, window, done === true]);
    },
  };
  const config = schema.parse({
    task: 'toy',
    model: { model_id: 'm' },
    dataset: { path: folder, ...overrides?.dataset },
    scoring: overrides?.scoring,
    run: { shard },
  });
  const split = await openSplit({ ...config.dataset, path: folder }, { log });
  const { scored = [], failed = [], ...rest } = part;
  const earlier = { scored: new Set(scored), failed: new Set(failed) };
  const recipe = resolveRecipe({ name: 'toy', recipes }, config);
  const { signal } = new AbortController();
  const run = makeRun(config, recipe, listener, { split, shots: null }, signal, { ...rest, earlier });
  const read: number[] = [];
  const examples = async function* () {
    for await (const { index } of run.rows(['n'])) {
      read.push(index);
      yield example(index, `${index}`, ['x', 'y']);
    }
  };
  assert.deepEqual(await collect(run.answer(examples())), []);
  return { seen, read };
}

const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => from + i);

test('rows are planned in windows by position: what is left to do changes no cut', async () => {
  const whole = await planned({}, { rowsTogether: 16 });
  assert.deepEqual(
    whole.seen,
    upTo(40).map((i) => [`${i}`, Math.floor(i / 16), false]),
  );
  // Broken off in the second window: the first is not even read, the second is planned as it was.
  const scored = upTo(20).map(String);
  const later = await planned({}, { rowsTogether: 16, scored });
  assert.deepEqual(later.read, upTo(40, 16));
  assert.deepEqual(
    later.seen,
    upTo(40, 16).map((i) => [`${i}`, Math.floor(i / 16), i < 20]),
  );
  // Answers of a window come in any order.
  const odd = await planned({}, { rowsTogether: 16, scored: [...upTo(16).map(String), '31', '17'] });
  assert.deepEqual(
    odd.seen.filter(([, , done]) => done).map(([context]) => context),
    ['17', '31'],
  );
});

test('a window with a failed row is planned again, with the rows that stand', async () => {
  const scored = upTo(40)
    .filter((i) => i !== 3)
    .map(String);
  const { read, seen } = await planned({}, { rowsTogether: 8, scored, failed: ['3'] });
  assert.deepEqual(read, [...upTo(8), ...upTo(40, 32)]);
  assert.deepEqual(
    seen.filter(([, , done]) => !done),
    [['3', 0, false]],
  );
});

test('a sample and a shard have positions of their own', async () => {
  // python3.11: sorted(random.Random(123).sample(range(40), 6))
  const sample = await planned({ dataset: { sample: 6 } }, { rowsTogether: 4, scored: ['3', '5', '6'] });
  assert.deepEqual(sample.seen, [
    ['3', 0, true],
    ['5', 0, true],
    ['6', 0, true],
    ['17', 0, false],
    ['26', 1, false],
    ['38', 1, false],
  ]);
  const shards = [];
  for (const n of [1, 2, 3]) shards.push(await planned({}, { rowsTogether: 8 }, `${n}/3`));
  assert.deepEqual(
    shards.map(({ read }) => [read[0], read.length]),
    [
      [0, 13],
      [13, 13],
      [26, 14],
    ],
  );
  assert.deepEqual(shards[1]!.seen[8], ['21', 1, false]);
});

test('each seed and each sample is known by itself, and has random numbers of its own', async () => {
  const scoring = { strategy: 'gen_letter', seeds: [1, 2], samples_per_prompt: 2, temperature: 0.5 };
  const part = { manySeeds: true, rowsTogether: 16 };
  const scored = ['0|1|0', '0|1|1', '1|1|0', '0|2|1'];
  const first = await planned({ scoring }, { ...part, seed: 1, scored });
  assert.deepEqual(first.seen.slice(0, 4), [
    ['0 1:id0:0', 0, true],
    ['0 1:id0:1', 0, true],
    ['1 1:id1:0', 0, true],
    ['1 1:id1:1', 0, false],
  ]);
  const second = await planned({ scoring }, { ...part, seed: 2, scored });
  assert.deepEqual(
    second.seen.slice(0, 3).map(([context, , done]) => [context, done]),
    [
      ['0 2:id0:0', false],
      ['0 2:id0:1', true],
      ['1 2:id1:0', false],
    ],
  );
  const third = await planned({ scoring }, { ...part, seed: 3, scored });
  assert.ok(third.seen.length === 80 && third.seen.every(([, , done]) => !done));
});

test('rows that are checked again are each in a window of their own', async () => {
  const { seen } = await planned({}, { only: [3, 4, 20] });
  assert.deepEqual(seen, [
    ['3', 0, false],
    ['4', 1, false],
    ['20', 2, false],
  ]);
});

test('a shard is a number of how many', () => {
  assert.deepEqual(shardOf('2/8'), { number: 2, count: 8 });
});
