/** From examples to rows: what is asked, in which windows, and what becomes of a reply. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type {
  Ask,
  ChatMessage,
  ContentPart,
  Example,
  FailedRow,
  GenerateAsk,
  LoglikelihoodAsk,
  Prediction,
} from '../../nanoeval/questions.ts';
import { askModel, type Part } from '../../nanoeval/run/ask.ts';
import { selectRows } from '../../nanoeval/run/selection.ts';
import type { Task } from '../../nanoeval/task.ts';
import { RowError, UserError } from '../../nanoeval/types.ts';
import { type CannedModel, cannedModel, ranked, renderMessages, rolled, said, words } from '../canned_model.ts';
import { collect, planOf, splitOf, type ToyConfig, toyRows, toyTask, upTo } from './toy.ts';

const NOTHING: Part['earlier'] = { scored: new Set(), failed: new Set() };

/** The rows of one part of a run over these examples, or over the toy's own. */
async function ask(
  examples: Example[] | null,
  sections: Record<string, object> = {},
  model: CannedModel = cannedModel(),
  part: Partial<Part> & { seed?: number } = {},
  over: Partial<Task<ToyConfig>> = {},
) {
  const own = examples === null ? {} : { examples: () => streamOf(examples) };
  const plan = planOf(sections, { task: toyTask({ ...own, ...over }), split: splitOf(toyRows(40)) });
  const selection = await selectRows(plan.task, plan.config, plan.split, part.seed ?? plan.config.scoring.seed);
  const { signal } = new AbortController();
  const { seed: _seed, ...rest } = part;
  return collect(askModel(plan, model, { selection, earlier: NOTHING, ...rest }, signal));
}

async function* streamOf(examples: Example[]): AsyncGenerator<Example> {
  yield* examples;
}

const example = (index: number, prompt: LoglikelihoodAsk['prompt'], texts: string[], gold: unknown = 0): Example => ({
  id: `id${index}`,
  index,
  group: 'g',
  gold,
  ask: { verb: 'loglikelihood', prompt, choices: texts.map((text) => ({ text, continuation: ` ${text}` })) },
});
const generated = (index: number, prompt: GenerateAsk['prompt'], rest: Partial<GenerateAsk> = {}): Example => ({
  ...example(index, '', []),
  ask: { verb: 'generate_until', prompt, until: ['\n'], max_new_tokens: 7, ...rest },
});
const sha = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('a ranked row has the sums and the three lengths of each choice, and the hash of its context', async () => {
  const model = cannedModel({
    reply: (asked, context) => {
      const { choices, ...rest } = ranked(asked, context);
      const num_context_tokens = [...context].length;
      return {
        ...rest,
        num_context_tokens,
        truncated: true,
        choices: choices.map((one) => ({ ...one, num_tokens: 2 })),
      };
    },
  });
  const [row] = await ask([example(3, 'Ä b', ['né😀', 'x!'], 1)], {}, model);
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
    prompt_sha256: sha('Ä b'),
  });
});

test('the prompt is kept when asked for, and tokens are', async () => {
  const [row] = (await ask([example(0, 'words', ['x'])], { report: { save_prompts: true } })) as Prediction[];
  assert.equal(row?.prompt, 'words');
  assert.ok(!('prompt_tokens' in row!) && !('tokens' in row.choices![0]!));
  const model = cannedModel();
  const [kept] = (await ask(
    [example(0, 'words', ['x', 'y'])],
    { report: { save_tokens: true } },
    model,
  )) as Prediction[];
  assert.equal(model.asked[0]?.content.keep_tokens, true);
  assert.deepEqual(kept?.prompt_tokens, [1, 2]);
  assert.deepEqual(
    kept?.choices?.map(({ tokens }) => tokens),
    [[3], [3]],
  );
  assert.ok(!('prompt' in kept!));
});

test("a generated row has the answer; stops and limit are the example's", async () => {
  const model = cannedModel({
    reply: (asked, context) => {
      const { until, max_new_tokens } = asked as GenerateAsk;
      return { ...said(`${context}|${until.join()}|${max_new_tokens}`, context), num_output_tokens: 3 };
    },
  });
  const [row] = await ask([generated(0, 'Q')], { scoring: { strategy: 'gen_letter' } }, model);
  assert.deepEqual(row, {
    task: 'toy',
    id: 'id0',
    index: 0,
    group: 'g',
    gold: 0,
    output: 'Q|\n|7',
    finish_reason: 'stop',
    num_output_tokens: 3,
    num_context_tokens: 1,
    truncated: false,
    prompt_sha256: sha('Q'),
  });
  // The toy's own examples take stops and limit from the rule unless the config limits the answer.
  const limits = async (scoring: object) => {
    const own = cannedModel();
    await ask(null, { dataset: { subset_size: 1 }, scoring: { strategy: 'gen_letter', ...scoring } }, own);
    const { until, max_new_tokens } = own.asked[0]!.content as GenerateAsk;
    return [until, max_new_tokens];
  };
  assert.deepEqual(await limits({}), [['\n'], 7]);
  assert.deepEqual(await limits({ max_new_tokens: 2 }), [['\n'], 2]);
});

test('a whole text: its sum, its tokens and its windows', async () => {
  const text: Example = {
    ...example(2, '', [], { any: ['thing'] }),
    ask: { verb: 'loglikelihood_rolling', text: 'a b c' },
  };
  const model = cannedModel({ reply: () => ({ ...rolled('a b c'), num_greedy: 2, num_windows: 4 }) });
  assert.deepEqual((await ask([text], {}, model))[0], {
    task: 'toy',
    id: 'id2',
    index: 2,
    group: 'g',
    gold: { any: ['thing'] },
    logprob: -3,
    num_tokens: 3,
    num_greedy: 2,
    num_windows: 4,
    num_context_tokens: 0,
    truncated: false,
    prompt_sha256: sha('a b c'),
  });
});

test('a classified row has a log-probability for each class; of a pair the hash is over the JSON of both', async () => {
  const asked = (pair?: string): Example => ({
    ...example(0, '', [], { label: 'a' }),
    ask: { verb: 'classify', text: 'a b', ...(pair === undefined ? {} : { pair }) },
  });
  const [one] = await ask([asked()], {}, cannedModel());
  assert.deepEqual(one, {
    task: 'toy',
    id: 'id0',
    index: 0,
    group: 'g',
    gold: { label: 'a' },
    label_logprobs: [Math.log(0.75), Math.log(0.25)],
    num_context_tokens: 2,
    truncated: false,
    prompt_sha256: sha('a b'),
  });
  const [two] = (await ask([asked('é')], { report: { save_prompts: true } }, cannedModel())) as Prediction[];
  assert.deepEqual([two?.prompt, two?.prompt_sha256], [['a b', 'é'], sha('["a b","é"]')]);
});

test('choices with contexts of their own: the hash is over the JSON of all, and all are kept', async () => {
  const own: Example = {
    ...example(0, '', []),
    ask: {
      verb: 'loglikelihood',
      prompt: 'shared',
      choices: ['one', 'two'].map((prompt) => ({ text: 'x', continuation: ' x', prompt })),
    },
  };
  const model = cannedModel({ reply: (asked, context) => ({ ...ranked(asked, context), prompts: ['one', 'two'] }) });
  const [row] = (await ask([own], { report: { save_prompts: true } }, model)) as Prediction[];
  assert.deepEqual(row?.prompt, ['one', 'two']);
  assert.equal(row?.prompt_sha256, sha('["one","two"]'));
});

test('a row that cannot be scored is a failed row, and the next one is answered', async () => {
  const model = cannedModel({
    reply: (asked, context) => (context === 'bad' ? new RowError('nan', 'broken logits') : ranked(asked, context)),
  });
  const rows = await ask([example(0, 'bad', ['x']), example(1, 'good', ['x'])], {}, model);
  assert.deepEqual(rows[0], {
    task: 'toy',
    id: 'id0',
    index: 0,
    error: { kind: 'nan', message: 'broken logits' },
  } satisfies FailedRow);
  assert.equal((rows[1] as Prediction).index, 1);
});

test('another error of the model ends the run', async () => {
  const model = cannedModel({ reply: () => Promise.reject(new TypeError('oh')) });
  await assert.rejects(ask([example(0, 'c', ['x'])], {}, model), TypeError);
});

test('a gold outside the choices of the first row stops the run, it is never a wrong answer', async () => {
  const fault = (gold: unknown, count: number) =>
    new UserError(`toy row 24 (id id24): gold ${gold} is outside its ${count} choices.`);
  for (const gold of [5, 2, -1, 0.5, Number.NaN])
    await assert.rejects(ask([example(24, 'c', ['x', 'y'], gold)]), fault(gold, 2));
  // Lettered options count in place of choices.
  const lettered = (gold: number): Example => ({ ...generated(24, 'c'), options: ['x', 'y', 'z'], gold });
  await assert.rejects(ask([lettered(3)]), fault(3, 3));
  assert.equal((await ask([lettered(2)])).length, 1);
  // A number is no index where there is nothing to choose from, and a text never is one.
  for (const free of [{ ...generated(0, 'c'), gold: 42 }, example(0, 'c', ['x'], '5'), example(0, 'c', ['x'], null)])
    assert.deepEqual(((await ask([free]))[0] as Prediction).gold, free.gold);
});

test('a row has the group of its subject, unless the task says another', async () => {
  const of = (subject: string | undefined, group?: string): Example => {
    const { group: _g, ...rest } = example(0, 'c', ['x']);
    return { ...rest, ...(subject === undefined ? {} : { subject }), ...(group === undefined ? {} : { group }) };
  };
  const groups = async (...examples: Example[]) => ((await ask(examples)) as Prediction[]).map(({ group }) => group);
  assert.deepEqual(await groups(of('b'), of('c'), of('nobody'), of('a', 'own'), of(undefined)), [
    'letters',
    'other',
    'unknown',
    'own',
    undefined,
  ]);
  const plan = planOf({}, { task: toyTask({ examples: () => streamOf([of('b')]) }) });
  const { subjects: _none, ...without } = plan.task;
  const selection = { seed: 1, indices: null, count: 1 };
  const part = { selection, earlier: NOTHING };
  const rows = await collect(askModel({ ...plan, task: without }, cannedModel(), part, new AbortController().signal));
  assert.ok(!('group' in rows[0]!), 'a task without subjects has no groups of them');
});

// ---------------------------------------------------------------- chat, pictures

const picture = (...bytes: number[]) => Uint8Array.from(bytes);
const shown = (index: number, images: Uint8Array[], verb: 'rank' | 'generate', chat = false): Example => {
  const parts: ContentPart[] = [
    { type: 'text', text: `context ${index} ` },
    ...images.map((bytes): ContentPart => ({ type: 'image', bytes })),
  ];
  const prompt = chat ? [{ role: 'user' as const, content: parts }] : parts;
  return verb === 'rank' ? example(index, prompt, ['x', 'y']) : generated(index, prompt);
};

test('the context that the model rendered is what is hashed and kept: a conversation, or parts in a row', async () => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'Q' }];
  const texts = async (one: Example) =>
    (await ask([one], { report: { save_prompts: true } })).map((row) => {
      const { prompt, prompt_sha256 } = row as Prediction;
      assert.equal(prompt_sha256, sha(prompt as string));
      return prompt;
    })[0];
  assert.equal(await texts(generated(0, messages)), renderMessages(messages));
  assert.equal(await texts(generated(0, 'plain')), 'plain');
  assert.equal(await texts(shown(0, [picture(1, 2)], 'generate')), 'context 0 <picture 2>');
  assert.equal(await texts(shown(0, [picture(1, 2)], 'rank', true)), '<user>context 0 <picture 2></user><assistant>');
});

test('what a task has at hand: the config, the window, whether to converse, and tokens counted as the model does', async () => {
  const seen: unknown[] = [];
  const task: Partial<Task<ToyConfig>> = {
    async *examples(run) {
      seen.push(
        run.config.task,
        run.recipe.primary,
        run.chat,
        run.maxLength,
        await run.countTokens('three words here'),
      );
      seen.push(await run.countTokens([{ role: 'user', content: 'a b' }]));
      yield* streamOf([]);
    },
  };
  const model = cannedModel({ max_length: 77 });
  assert.deepEqual(await ask(null, { model: { chat_template: true } }, model, {}, task), []);
  assert.deepEqual(seen, ['toy', 'acc', true, 77, 3, words('<user>a b</user><assistant>')]);
});

test('an answer to a prompt that opens the thoughts says so, a ranked row and any other answer do not', async () => {
  const open = '<|assistant|>\n<think>\n';
  const rows = (await ask([
    generated(0, open),
    generated(1, `${open}\n</think>\n\n`),
    generated(2, 'Q'),
    example(3, open, ['x']),
  ])) as Prediction[];
  assert.deepEqual(
    rows.map(({ index, think_opened }) => [index, think_opened]),
    [
      [0, true],
      [1, undefined],
      [2, undefined],
      [3, undefined],
    ],
  );
});

test('a row that cannot be asked fails with its reason and is not asked; the others are, and none is lost', async () => {
  const fault = (message: string) => new RowError('image', message);
  const rows = (verb: 'rank' | 'generate'): Example[] => [
    { ...shown(0, [], verb), ask: fault('no first') },
    shown(1, [picture(1)], verb),
    { ...shown(2, [], verb), ask: fault('no second') },
    shown(3, [], verb),
    { ...shown(4, [], verb), ask: fault('no last') },
  ];
  for (const verb of ['rank', 'generate'] as const) {
    const model = cannedModel();
    const found = await ask(rows(verb), {}, model);
    assert.deepEqual(found.map((row) => [row.index, row.id, 'error' in row ? row.error : null]).sort(), [
      [0, 'id0', { kind: 'image', message: 'no first' }],
      [1, 'id1', null],
      [2, 'id2', { kind: 'image', message: 'no second' }],
      [3, 'id3', null],
      [4, 'id4', { kind: 'image', message: 'no last' }],
    ]);
    assert.deepEqual(
      model.asked.map(({ content }) => ((content as LoglikelihoodAsk).prompt[0] as { text: string }).text),
      ['context 1 ', 'context 3 '],
    );
  }
});

test('no row can be asked: all fail, nothing is asked', async () => {
  const model = cannedModel();
  const bad = [0, 1].map((index) => ({ ...example(index, '', ['x']), ask: new RowError('image', 'none') }));
  const rows = await ask(bad, {}, model);
  assert.deepEqual(
    rows.map((row) => [row.index, 'error' in row]),
    [
      [0, true],
      [1, true],
    ],
  );
  assert.deepEqual(model.asked, []);
});

test('a row that could not be asked and has a verdict from before is left alone', async () => {
  const bad = [0, 1].map((index) => ({ ...example(index, '', ['x']), ask: new RowError('image', 'none') }));
  const rows = await ask(bad, {}, cannedModel(), { earlier: { scored: new Set(['0']), failed: new Set() } });
  assert.deepEqual(
    rows.map(({ index }) => index),
    [1],
  );
});

test('pictures go to the model with the question, and the row keeps their hashes, tags and no bytes', async () => {
  const images = [picture(1, 2), picture(3)];
  for (const verb of ['rank', 'generate'] as const) {
    for (const chat of [false, true]) {
      const model = cannedModel();
      const rows = (await ask(
        [
          { ...shown(0, images, verb, chat), tags: ['Tables'] },
          { ...shown(1, [], verb), ask: example(1, 'text', ['x']).ask },
        ],
        {},
        model,
      )) as Prediction[];
      const { prompt } = model.asked[0]!.content as LoglikelihoodAsk;
      const parts = (chat ? (prompt as ChatMessage[])[0]!.content : prompt) as ContentPart[];
      assert.deepEqual(
        parts.flatMap((part) => (part.type === 'image' ? [part.bytes] : [])),
        images,
      );
      assert.deepEqual(rows[0]?.image_sha256, images.map(sha));
      assert.deepEqual(rows[0]?.tags, ['Tables']);
      assert.ok(!('image_sha256' in rows[1]!) && !('tags' in rows[1]!) && !JSON.stringify(rows).includes('bytes":{'));
    }
  }
});

test('a generated row keeps the lettered options and the first tokens; a ranked row has its choices instead', async () => {
  const first_tokens = ['A', ' A', 'B', ' B'];
  const first_logprobs = { A: -1, ' A': null, B: null, ' B': -2 };
  const model = cannedModel({
    reply: (asked, context) =>
      asked.verb === 'loglikelihood'
        ? ranked(asked, context)
        : { ...said('B', context), ...((asked as GenerateAsk).first_tokens ? { first_logprobs } : {}) },
  });
  const options = ['x', 'y'];
  const [row, plain, choices] = (await ask(
    [{ ...generated(0, 'Q', { first_tokens }), options }, generated(1, 'Q'), { ...example(2, 'Q', options), options }],
    {},
    model,
  )) as Prediction[];
  assert.deepEqual((model.asked[0]!.content as GenerateAsk).first_tokens, first_tokens);
  assert.deepEqual(row?.options, options);
  assert.deepEqual(row?.first_logprobs, first_logprobs);
  assert.ok(!('options' in plain!) && !('first_logprobs' in plain!));
  assert.ok(!('options' in choices!) && choices?.choices?.length === 2);
});

// ---------------------------------------------------------------- windows, and what is known already

type Seen = [text: string, window: number | undefined, done: boolean];

/** The questions in their windows, which of them are done, and the rows that were read. Every window is of 16 rows. */
async function planned(
  sections: Record<string, object>,
  part: { seed?: number; scored?: string[]; failed?: string[]; only?: number[] } = {},
) {
  const model = cannedModel();
  const { scored = [], failed = [], ...rest } = part;
  const earlier = { scored: new Set(scored), failed: new Set(failed) };
  const split = splitOf(toyRows(40));
  const plan = planOf(sections, { task: toyTask({ images: true }), split });
  const selection = await selectRows(plan.task, plan.config, split, part.seed ?? plan.config.scoring.seed);
  split.read.length = 0;
  await collect(askModel(plan, model, { selection, earlier, ...rest }, new AbortController().signal));
  const textOf = (content: Ask) => {
    const { prompt } = content as LoglikelihoodAsk;
    const { sampling } = content as GenerateAsk;
    return `${(prompt as string).slice(1)}${sampling === undefined ? '' : ` ${sampling.stream}`}`;
  };
  const seen = model.asked.map(({ content, window, done }): Seen => [textOf(content), window, done === true]);
  return { seen, read: split.read[0]!.given, asked: model.asked };
}

test('rows are planned in windows by position: what is left to do changes no cut', async () => {
  const whole = await planned({});
  assert.deepEqual(
    whole.seen,
    upTo(40).map((i) => [`${i}`, Math.floor(i / 16), false]),
  );
  // Broken off in the second window: the first is not even read, the second is planned as it was.
  const later = await planned({}, { scored: upTo(20).map(String) });
  assert.deepEqual(later.read, upTo(40, 16));
  assert.deepEqual(
    later.seen,
    upTo(40, 16).map((i) => [`${i}`, Math.floor(i / 16), i < 20]),
  );
  // Answers of a window come in any order.
  const odd = await planned({}, { scored: [...upTo(16).map(String), '31', '17'] });
  assert.deepEqual(
    odd.seen.filter(([, , done]) => done).map(([context]) => context),
    ['17', '31'],
  );
});

test('a window with a failed row is planned again, with the rows that stand', async () => {
  const scored = upTo(40)
    .filter((i) => i !== 3)
    .map(String);
  const { read, seen } = await planned({}, { scored, failed: ['3'] });
  assert.deepEqual(read, upTo(16));
  assert.deepEqual(
    seen.filter(([, , done]) => !done),
    [['3', 0, false]],
  );
});

test('a sample and a shard have positions of their own', async () => {
  // python3.11: sorted(random.Random(123).sample(range(40), 20))
  const drawn = [1, 2, 3, 4, 5, 6, 7, 10, 17, 21, 22, 24, 25, 26, 27, 29, 30, 35, 37, 38];
  const sample = await planned({ dataset: { sample: 20 } }, { scored: drawn.slice(0, 17).map(String) });
  assert.deepEqual(
    sample.seen,
    drawn.slice(16).map((index, i) => [`${index}`, 1, i === 0]),
  );
  const shards = [];
  for (const n of [1, 2, 3]) shards.push(await planned({ run: { shard: `${n}/3` } }));
  assert.deepEqual(
    shards.map(({ read }) => [read[0], read.length]),
    [
      [0, 13],
      [13, 13],
      [26, 14],
    ],
  );
  const halves = await planned({ run: { shard: '2/2' } });
  assert.deepEqual(
    [halves.seen[15], halves.seen[16]],
    [
      ['35', 0, false],
      ['36', 1, false],
    ],
  );
});

test('each seed and each sample is known by itself, and has random numbers of its own', async () => {
  const scoring = { strategy: 'gen_letter', seeds: [1, 2], samples_per_prompt: 2, temperature: 0.5, top_p: 0.9 };
  const scored = ['0|1|0', '0|1|1', '1|1|0', '0|2|1'];
  const first = await planned({ scoring }, { seed: 1, scored });
  assert.deepEqual(first.seen.slice(0, 4), [
    ['0 1:id0:0', 0, true],
    ['0 1:id0:1', 0, true],
    ['1 1:id1:0', 0, true],
    ['1 1:id1:1', 0, false],
  ]);
  const { sampling } = first.asked[0]!.content as GenerateAsk;
  assert.deepEqual(sampling, { temperature: 0.5, top_p: 0.9, stream: '1:id0:0' });
  const second = await planned({ scoring }, { seed: 2, scored });
  assert.deepEqual(
    second.seen.slice(0, 3).map(([context, , done]) => [context, done]),
    [
      ['0 2:id0:0', false],
      ['0 2:id0:1', true],
      ['1 2:id1:0', false],
    ],
  );
  const third = await planned({ scoring }, { seed: 3, scored });
  assert.ok(third.seen.length === 80 && third.seen.every(([, , done]) => !done));
});

test('rows say their seed where there are several, and their sample where there are several', async () => {
  const which = async (scoring: object, seed = 123) => {
    const sections = { dataset: { subset_size: 1 }, scoring: { strategy: 'gen_letter', ...scoring } };
    const rows = await ask(null, sections, cannedModel(), { seed });
    return rows.map(({ seed: own, sample }) => [own, sample]);
  };
  assert.deepEqual(await which({}), [[undefined, undefined]]);
  assert.deepEqual(await which({ seed: 5, temperature: 1 }), [[undefined, undefined]]);
  assert.deepEqual(await which({ temperature: 1, samples_per_prompt: 2 }), [
    [undefined, 0],
    [undefined, 1],
  ]);
  assert.deepEqual(await which({ seeds: [7] }, 7), [[7, undefined]]);
  const failing = cannedModel({ reply: () => new RowError('nan', 'x') });
  const scoring = { strategy: 'gen_letter', seeds: [7], temperature: 1, samples_per_prompt: 2 };
  const failed = await ask(null, { dataset: { subset_size: 1 }, scoring }, failing, { seed: 7 });
  assert.deepEqual(
    failed.map((row) => [row.seed, row.sample, 'error' in row]),
    [
      [7, 0, true],
      [7, 1, true],
    ],
  );
});

/** Examples of rows 0 to 4, of which those in `bad` cannot be read. */
async function withBad(bad: readonly number[], sections: Record<string, object> = {}, part: Partial<Part> = {}) {
  const model = cannedModel();
  const rows = await ask(null, { dataset: { subset_size: 5 }, ...sections }, model, part, {
    async *examples(run) {
      const read = ({ index }: { index: number }) => {
        if (bad.includes(index)) throw new UserError(`toy row ${index}: text is null. It has to be a text.`);
        return `Q${index}`;
      };
      for await (const { index, row } of run.rows(['text'], read)) yield example(index, row, ['x', 'y']);
    },
  });
  return { rows: rows.toSorted((a, b) => a.index - b.index), asked: model.asked.length };
}
const failedAt = (index: number) => ({
  task: 'toy',
  id: String(index),
  index,
  error: { kind: 'row', message: `toy row ${index}: text is null. It has to be a text.` },
});

test('a row in the middle that cannot be read fails alone, with its gold as with its columns', async () => {
  const { rows, asked } = await withBad([2, 4]);
  assert.equal(asked, 3);
  assert.deepEqual(
    rows.map((row) => ('error' in row ? row : row.index)),
    [0, 1, failedAt(2), 3, failedAt(4)],
  );
  const [, failed] = await ask([example(0, 'c', ['x', 'y']), example(1, 'd', ['x', 'y'], 2)]);
  assert.deepEqual(failed, {
    task: 'toy',
    id: 'id1',
    index: 1,
    error: { kind: 'row', message: 'toy row 1 (id id1): gold 2 is outside its 2 choices.' },
  });
});

test('the first row ends a new run, unless rows may fail or it was known before', async () => {
  await assert.rejects(withBad([0]), new UserError('toy row 0: text is null. It has to be a text.'));
  const all = [failedAt(0), 1, 2, 3, 4];
  const told = async (...given: Parameters<typeof withBad>) =>
    (await withBad(...given)).rows.map((row) => ('error' in row ? row : row.index));
  assert.deepEqual(await told([0], { run: { max_failed: 0.5 } }), all);
  assert.deepEqual(await told([0], {}, { earlier: { scored: new Set(), failed: new Set(['0']) } }), all);
  const later = { selection: { seed: 9, indices: [0, 1, 2, 3, 4], count: 5 } };
  assert.deepEqual(await told([0], {}, later), all);
});

test('a row that cannot be read fails in each of its samples', async () => {
  const scoring = { strategy: 'gen_letter', temperature: 1, samples_per_prompt: 2 };
  const rows = await ask(
    null,
    { dataset: { subset_size: 2 }, scoring },
    cannedModel(),
    {},
    {
      async *examples(run) {
        const read = ({ index }: { index: number }) => {
          if (index === 1) throw new UserError('2, but there are none.', { key: 'scoring.num_fewshot' });
          return index;
        };
        for await (const { index } of run.rows(['text'], read)) yield generated(index, 'c');
      },
    },
  );
  assert.deepEqual(
    rows.flatMap((row) => ('error' in row ? [[row.index, row.sample, row.error.message]] : [])),
    [
      [1, 0, 'scoring.num_fewshot: 2, but there are none.'],
      [1, 1, 'scoring.num_fewshot: 2, but there are none.'],
    ],
  );
});

test('rows that are checked again are each in a window of their own', async () => {
  const { seen, read } = await planned({}, { only: [3, 4, 20] });
  assert.deepEqual(seen, [
    ['3', 0, false],
    ['4', 1, false],
    ['20', 2, false],
  ]);
  assert.deepEqual(read, [3, 4, 20]);
});

test('an abort ends the reading of rows with its reason', async () => {
  const stop = new AbortController();
  const plan = planOf();
  const selection = await selectRows(plan.task, plan.config, plan.split, 0);
  const model = cannedModel();
  const rows: unknown[] = [];
  await assert.rejects(async () => {
    for await (const row of askModel(plan, model, { selection, earlier: NOTHING }, stop.signal)) {
      rows.push(row);
      if (rows.length === 3) stop.abort(new Error('stopped'));
    }
  }, /^Error: stopped$/);
  assert.ok(rows.length < 40 && model.asked.length < 40, `${rows.length} rows`);
});

test('greedy tokens of a choice are stored where the task asked for them', async () => {
  const model = cannedModel({
    reply: (asked, context) => {
      const { choices, ...rest } = ranked(asked, context);
      const counted = asked.verb === 'loglikelihood' && asked.count_greedy ? { num_greedy: 1 } : {};
      return { ...rest, choices: choices.map((one) => ({ ...one, ...counted })) };
    },
  });
  const plain = example(0, 'a', ['x']);
  const counting = { ...plain, index: 1, ask: { ...(plain.ask as LoglikelihoodAsk), count_greedy: true } };
  const [first, second] = (await ask([plain, counting], {}, model)) as Prediction[];
  assert.deepEqual(Object.keys(first!.choices![0]!), ['logprob', 'num_tokens', 'num_chars', 'num_bytes', 'is_greedy']);
  assert.equal(second!.choices![0]!.num_greedy, 1);
});
