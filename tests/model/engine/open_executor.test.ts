/** Executors: the form that each mode gives, steps of decoding with kept caches, and plain scores. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openEngine } from '../../../nanoeval/model/engine/engine.ts';
import type { Executor, ExecutorOptions } from '../../../nanoeval/model/engine/executor.ts';
import type { TokenScore } from '../../../nanoeval/model/engine/naive.ts';
import { openExecutor } from '../../../nanoeval/model/engine/open_executor.ts';
import { chain } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { FIRST_IMAGE_ID, type Shown } from '../../../nanoeval/model/vision/album.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import {
  askAll,
  DECODER_CONFIG,
  type DecoderOptions,
  decoderFiles,
  distance,
  filesAt,
  openPlain,
  type Plain,
  pathTo,
  VOCAB,
} from '../attention_decoder.ts';
import { folderWith, settings, userError } from '../fixtures.ts';
import { each, gather, never } from '../hash_engine.ts';
import { graphWriter } from '../onnx_writer.ts';
import { draws, requestOf } from '../token_questions.ts';
import { favourites, TOY_CONFIG, type ToyOptions, toyDecoder, toyLogprob } from '../toy_decoder.ts';
import { attentionVlm, type Colour, cutOff, picture, TOKENS, toyVlm } from '../toy_vlm.ts';

const PROMPT = [3, 17, 42, 8, 55];
const STEPS = 8;

async function open(t: TestContext, mode: ExecutorOptions['mode'], options: DecoderOptions = {}) {
  const files = decoderFiles(t, options);
  const executor = await openExecutor(files, settings(), { mode, threads: 1 });
  t.after(() => executor.close());
  return { executor, plain: await openPlain(t, files) };
}

/** The tokens that full forward passes lead to. */
async function continued(plain: Plain, prompt: readonly number[]): Promise<number[]> {
  const all = [...prompt];
  for (let i = 0; i < STEPS; i += 1) all.push((await plain.after(all, 0)).best);
  return all.slice(prompt.length);
}

/** The tokens that steps lead to, each after the cache of the one before. */
async function stepped(executor: Executor, prompt: readonly number[]): Promise<number[]> {
  const found = [(await executor.next(prompt, null, 0)).token];
  while (found.length < STEPS) {
    const step = found.length;
    found.push((await executor.next([found.at(-1)!], step - 1, step)).token);
    await executor.free([step - 1]);
  }
  await executor.free([STEPS - 1]);
  return found;
}

const FORMS: [name: string, mode: ExecutorOptions['mode'], options: DecoderOptions, form: string][] = [
  ['plain attention', 'auto', {}, 'tree'],
  ['GroupQueryAttention', 'prefix_tree', { attention: 'gqa' }, 'tree'],
  ['four bits', 'auto', { weights: 'int4' }, 'tree'],
  ['no position_ids', 'auto', { positions: 'counted' }, 'batched'],
  ['a window', 'auto', { attention: 'gqa', attributes: { local_window_size: 40 } }, 'single'],
  ['a subgraph', 'auto', { subgraph: true }, 'naive'],
  ['a head that is no product', 'prefix_tree', { head: 'einsum' }, 'naive'],
  ['the plain path as asked for', 'naive', {}, 'naive'],
];

for (const [name, mode, options, form] of FORMS) {
  test(`${name}, ${mode}: ${form}; steps with kept caches lead to the tokens of full forward passes`, async (t) => {
    const { executor, plain } = await open(t, mode, options);
    const { info } = executor;
    assert.deepEqual([info.form, info.dynamic, info.half, info.hasCache], [form, false, false, true]);
    assert.deepEqual([info.vocab, info.bytesPerToken], form === 'naive' ? [null, 0] : [VOCAB, 512]);
    assert.equal(info.remarks.length > 0, form !== 'tree' && mode !== 'naive');
    assert.deepEqual(structuredClone(info), info);
    for (const prompt of [PROMPT, [60], [9, 9, 9, 9, 9, 9, 9, 9]])
      assert.deepEqual(await stepped(executor, prompt), await continued(plain, prompt));
  });
}

test('two answers go on from one cache, several tokens at a time', async (t) => {
  for (const mode of ['auto', 'naive'] as const) {
    const { executor, plain } = await open(t, mode);
    await executor.next(PROMPT, null, 1);
    for (const [keep, ids] of [
      [2, [9, 30, 2]],
      [3, [44]],
    ] as const) {
      const { best } = await plain.after([...PROMPT, ...ids], 0);
      assert.equal((await executor.next(ids, 1, keep)).token, best);
      assert.equal((await executor.next([7], keep, null)).token, (await plain.after([...PROMPT, ...ids, 7], 0)).best);
    }
    await executor.free([1, 2, 3]);
  }
});

test('without a cache: a pass for each input that begins no other, a naive one for each choice; equal numbers', async (t) => {
  const random = draws(21);
  const [letters, endings] = [random.tokens(40, VOCAB), random.tokens(30, VOCAB)];
  const text = random.tokens(50, VOCAB);
  const questions = [
    [1, 2, 3, 4].map((letter) => requestOf([...letters, letter], 1)),
    [[5, 6, 7], [5, 6], [8]].map((ending) => requestOf([...endings, ...ending], ending.length)),
    // A text of two windows.
    [requestOf(text.slice(0, 33), 32), requestOf(text.slice(10), 18)],
  ].map((requests, place) => ({ place, requests }));
  const found: TokenScore[][] = [];
  for (const [mode, form, passes] of [
    ['auto', 'whole', 4],
    ['naive', 'naive', 9],
  ] as const) {
    const { executor } = await open(t, mode, { cache: null });
    assert.deepEqual([executor.info.form, executor.info.hasCache, executor.info.bytesPerToken], [form, false, 0]);
    const log = { info: () => {}, progress: () => {} };
    const engine = openEngine([executor], async () => executor, { batchTokens: 768, cacheBytes: 0, log });
    const scores = await gather(engine.score(each(questions), never));
    found.push([...scores.values()].flat() as TokenScore[]);
    assert.equal(engine.stats.passes, passes);
    assert.deepEqual([...scores.keys()], [0, 1, 2]);
  }
  const [whole, naive] = found as [TokenScore[], TokenScore[]];
  assert.deepEqual(
    whole.map(({ numGreedy }) => numGreedy),
    naive.map(({ numGreedy }) => numGreedy),
  );
  for (const [i, { logprob }] of whole.entries()) assert.ok(Math.abs(logprob - naive[i]!.logprob) < 1e-4, `${i}`);
});

test('without a cache: an answer grows by full forward passes', async (t) => {
  const { executor, plain } = await open(t, 'auto', { cache: null });
  const wanted = await continued(plain, PROMPT);
  const all = [...PROMPT];
  for (let i = 0; i < STEPS; i += 1) all.push((await executor.next(all, null, null)).token);
  assert.deepEqual(all.slice(PROMPT.length), wanted);
});

test('a window that the graph lost is said by the forms that have the mask of the graph', async (t) => {
  const config = { ...DECODER_CONFIG, model_type: 'mistral', sliding_window: 20, num_hidden_layers: 2 };
  for (const [mode, options, said] of [
    ['naive', {}, true],
    ['auto', {}, false],
    ['auto', { positions: 'counted' }, true],
    ['auto', { cache: null }, true],
    ['naive', { window: 20 }, false],
  ] as const) {
    const files = Object.assign(decoderFiles(t, options), { config, textConfig: config });
    const executor = await openExecutor(files, settings(), { mode, threads: 1 });
    const lines = executor.info.remarks.filter((remark) => /\(sliding_window\).* attends to everything/.test(remark));
    assert.equal(lines.length, said ? 1 : 0, executor.info.remarks.join('; '));
    await executor.close();
  }
});

test('passes of a plan are for edited graphs, plain scores for the others', async (t) => {
  const tree = await open(t, 'auto');
  const order = askAll(null, [chain(PROMPT)], [5]);
  assert.ok((await distance(order, await tree.executor.pass(order), [5], tree.plain, [])) < 1e-5);
  await assert.rejects(tree.executor.score(Int32Array.from(PROMPT), [5]), /tree executor scores by passes/);
  const naive = await open(t, 'naive');
  await assert.rejects(naive.executor.pass(order), /no passes/);
  const targets = [11, 12];
  const { logprob, numGreedy } = await naive.executor.score(Int32Array.from(PROMPT), targets);
  const wanted = [await naive.plain.after(PROMPT.slice(0, -1), 11), await naive.plain.after(PROMPT, 12)];
  assert.ok(Math.abs(logprob - wanted[0]!.logprob - wanted[1]!.logprob) < 1e-5);
  assert.equal(numGreedy, wanted.filter(({ best }, i) => best === targets[i]).length);
});

test('dynamic int8: by itself the plain numbers, shared a tree', async (t) => {
  const alone = await open(t, 'auto', { weights: 'int8' });
  assert.deepEqual([alone.executor.info.form, alone.executor.info.dynamic], ['alone', true]);
  const order = askAll(null, [chain(PROMPT)], [5, 6]);
  // The numbers of a token depend on those behind it, so one pass of the whole sequence is what they are held against.
  const last = { ...order, select: order.select.slice(-2), pairs: [0, 5, 0, 6] };
  const { logprobs } = await alone.executor.pass(last);
  for (const [i, target] of [5, 6].entries())
    assert.ok(Math.abs(logprobs[i]! - (await alone.plain.after(PROMPT, target)).logprob) < 1e-5);
  const shared = await open(t, 'prefix_tree', { weights: 'int8' });
  assert.deepEqual([shared.executor.info.form, shared.executor.info.dynamic], ['tree', true]);
});

test('float16 says so', async (t) => {
  const { executor } = await open(t, 'auto', { weights: 'float16' });
  assert.deepEqual([executor.info.form, executor.info.half], ['tree', true]);
});

test('a token beyond the vocabulary fails the pass, and the next one is well', async (t) => {
  const { executor, plain } = await open(t, 'auto');
  await assert.rejects(executor.next([VOCAB], null, null), (error) => error instanceof OutsideError);
  assert.equal((await executor.next(PROMPT, null, null)).token, (await plain.after(PROMPT, 0)).best);
});

// ---------------------------------------------------------------- pictures

const [RED, GREEN]: [Colour, Colour] = [
  [200, 10, 3],
  [9, 180, 77],
];
const shownAs = (bytes: Uint8Array, first = FIRST_IMAGE_ID): Shown => ({ first, tokens: TOKENS, bytes });
const idsOf = ({ first, tokens }: Shown) => Array.from({ length: tokens }, (_, i) => first + i);

test('a picture counts as the tokens that its features say; what is not shown any more is missed', async (t) => {
  for (const embeds of ['float32', 'float16'] as const) {
    const files = toyVlm(t, { embeds });
    const executor = await openExecutor(files, settings(), { mode: 'naive', threads: 1 });
    t.after(() => executor.close());
    const red = shownAs(await picture(RED));
    const green = shownAs(await picture(GREEN), FIRST_IMAGE_ID + TOKENS);
    const { tiles, ...times } = await executor.see(red);
    assert.equal(tiles, 1);
    assert.deepEqual(Object.keys(times), ['decode_ms', 'tiles_ms', 'encode_ms']);
    await executor.see(green);
    const prompt = [5, ...idsOf(red), 8, ...idsOf(green), 1];
    const known = [5, ...RED, 8, ...GREEN, 1];
    const best = favourites(known, 320);
    assert.deepEqual(await executor.next(prompt, null, null), { token: best.at(-1)!, logprobs: [] });
    const { token, logprobs } = await executor.next(prompt, null, 1, { watched: [7, best.at(-1)!, 319] });
    assert.equal(token, best.at(-1)!);
    const wanted = [7, best.at(-1)!, 319].map((target) => toyLogprob(best.at(-1)!, target, 320));
    for (const [i, value] of wanted.entries()) assert.ok(Math.abs(logprobs[i]! - value) < 1e-9);
    // Half a picture in the cache, half of it behind.
    await executor.next(prompt.slice(0, 7), null, 2);
    assert.equal((await executor.next(prompt.slice(7), 2, null)).token, best.at(-1)!);
    const { logprob } = await executor.score(Int32Array.from(prompt), [3]);
    assert.ok(Math.abs(logprob - toyLogprob(best.at(-1)!, 3, 320)) < 1e-9);
    await executor.unsee([red.first]);
    await assert.rejects(executor.next(prompt, null, null), /no features for the picture token/);
    await executor.unsee([red.first, 12345]);
    assert.equal((await executor.next(idsOf(green), null, null)).token, favourites(GREEN, 320).at(-1)!);
  }
});

test('shared sequences with pictures in them give the plain numbers, and so do watched tokens', async (t) => {
  const files = attentionVlm(t);
  const open = async (mode: ExecutorOptions['mode']) => {
    const executor = await openExecutor(files, settings(), { mode, threads: 1 });
    t.after(() => executor.close());
    return executor;
  };
  const [tree, naive] = [await open('auto'), await open('naive')];
  assert.deepEqual([tree.info.form, naive.info.form, tree.info.remarks], ['tree', 'naive', []]);
  const red = shownAs(await picture(RED));
  const green = shownAs(await picture(GREEN), FIRST_IMAGE_ID + TOKENS);
  for (const executor of [tree, naive]) for (const one of [red, green]) await executor.see(one);
  const targets = [4, 40];
  const after = async (path: number[]) => {
    const rest: number[] = [];
    for (const target of targets) rest.push((await naive.score(Int32Array.from(path), [target])).logprob);
    return rest;
  };
  const [a, b] = [idsOf(red), idsOf(green)];
  await tree.pass({ past: null, sequences: [chain([3, ...a.slice(0, 2)])], select: [], pairs: [], keep: 1 });
  const before = [3, ...a.slice(0, 2)];
  const sequences = [chain([a[2]!, 9, ...b, 11]), { ids: [a[2]!, 50, 9, b[0]!, b[1]!], parents: [-1, 0, 0, 2, 3] }];
  const order = askAll(1, sequences, targets);
  const { logprobs } = await tree.pass(order);
  let [at, moved] = [0, 0];
  for (const sequence of sequences) {
    for (let i = 0; i < sequence.ids.length; i += 1) {
      for (const value of await after([...before, ...pathTo(sequence, i)])) {
        assert.ok(Math.abs(logprobs[at]! - value) < 1e-4, `${logprobs[at]} ${value}`);
        at += 1;
      }
    }
  }
  const other = await after([3, ...b]);
  for (const [i, value] of (await after([3, ...a])).entries()) moved = Math.max(moved, Math.abs(value - other[i]!));
  assert.ok(moved > 0.1, 'the pictures are seen');
  const [one, two] = await Promise.all(
    [tree, naive].map((executor) => executor.next([3, ...a, 9], null, null, { watched: targets })),
  );
  assert.equal(one!.token, two!.token);
  const wanted = await after([3, ...a, 9]);
  for (const [i, value] of wanted.entries())
    for (const found of [one!, two!]) assert.ok(Math.abs(found.logprobs[i]! - value) < 1e-4);
});

test('dynamic int8 with pictures: each sequence alone', async (t) => {
  const executor = await openExecutor(attentionVlm(t, { weights: 'int8' }), settings(), { mode: 'auto', threads: 1 });
  t.after(() => executor.close());
  assert.equal(executor.info.form, 'alone');
  const red = shownAs(await picture(RED));
  await executor.see(red);
  const { logprobs } = await executor.next([3, ...idsOf(red)], null, null, { watched: [4, 5] });
  assert.ok(logprobs.every((value) => value < 0));
});

test('a file that is no picture fails by itself, and the next picture is well', async (t) => {
  const executor = await openExecutor(toyVlm(t), settings(), { mode: 'naive', threads: 1 });
  t.after(() => executor.close());
  for (const bytes of [await cutOff(), Uint8Array.of(1, 2, 3)])
    await assert.rejects(executor.see(shownAs(bytes)), (error) => error instanceof RowError && error.kind === 'image');
  await executor.see(shownAs(await picture(RED)));
});

test('a checkpoint that cannot show pictures says so when it is asked to, answers texts, and closes', async (t) => {
  const files = toyVlm(t);
  const cases = [
    [{ ...files, graphs: { ...files.graphs, vision: null } }, 'no vision_encoder graph'],
    [{ ...files, preprocessor: null, processor: null }, 'no preprocessor_config.json'],
  ] as const;
  for (const [broken, words] of cases) {
    const executor = await openExecutor(broken, settings(), { mode: 'naive', threads: 1 });
    for (let turn = 0; turn < 2; turn += 1)
      await assert.rejects(executor.see(shownAs(await picture(RED))), userError('model.model_id', words));
    assert.equal((await executor.next([5, 6], null, null)).token, favourites([5, 6], 320).at(-1)!);
    await executor.close();
  }
});

test('an export that gives one row of logits is refused when it is opened, and a table says how long it is', async (t) => {
  const open = (mode: ExecutorOptions['mode'], toy: ToyOptions) => {
    const decoder = join(folderWith(t, { 'model.onnx': toyDecoder({ vocab: 32, ...toy }) }), 'model.onnx');
    const files = { graphs: { decoder, embed: null, vision: null }, config: TOY_CONFIG, textConfig: TOY_CONFIG };
    return openExecutor({ ...files, preprocessor: null, processor: null }, settings(), { mode, threads: 1 });
  };
  for (const mode of ['auto', 'naive'] as const)
    await assert.rejects(
      open(mode, { rows: 'last undeclared' }),
      userError('model.model_id', 'the export gives the logits of one position alone'),
    );
  const executor = await open('naive', { table: 40 });
  t.after(() => executor.close());
  assert.equal(executor.info.tableRows, 40);
});

test('a graph that opens and through which not even two tokens go is refused, by its name', async (t) => {
  const g = graphWriter();
  const ids = g.node('Cast', [g.input('input_ids', 'int64', ['batch_size', 'sequence_length'])], { to: 1 });
  g.node('Reshape', [ids, g.init('int64', [3], [1, -1, 7])], {}, 'logits');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', 7]);
  const files = filesAt(join(folderWith(t, { 'model.onnx': g.bytes() }), 'model.onnx'));
  for (const mode of ['auto', 'naive'] as const)
    await assert.rejects(
      openExecutor(files, settings(), { mode, threads: 1 }),
      userError('model.model_id', /model\.onnx: the export does not run: its operator Reshape .*does not take what/),
    );
});

test('rotary tables that GroupQueryAttention does not take are said of the export', async (t) => {
  for (const mode of ['auto', 'naive'] as const)
    await assert.rejects(
      openExecutor(decoderFiles(t, { attention: 'gqa', rotary: 8 }), settings(), { mode, threads: 1 }),
      userError(
        'model.model_id',
        /model\.onnx: the export does not run: its operator GroupQueryAttention .*does not take what the graph gives it: cos_cache/,
        'has to be a multiple of 16',
        'such as optimum',
      ),
    );
});
