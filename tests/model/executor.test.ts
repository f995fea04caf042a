/** Executors: the form that each mode gives, steps of decoding with kept caches, and plain scores. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Executor, type ExecutorOptions, openExecutor } from '../../nanoeval/model/executor.ts';
import { OutsideError } from '../../nanoeval/types.ts';
import {
  askAll,
  chain,
  type DecoderOptions,
  decoderFiles,
  distance,
  openPlain,
  type Plain,
  VOCAB,
} from './attention_decoder.ts';
import { settings } from './fixtures.ts';

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
  const found = [await executor.next(prompt, null, 0)];
  while (found.length < STEPS) {
    const step = found.length;
    found.push(await executor.next([found.at(-1)!], step - 1, step));
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
      assert.equal(await executor.next(ids, 1, keep), best);
      assert.equal(await executor.next([7], keep, null), (await plain.after([...PROMPT, ...ids, 7], 0)).best);
    }
    await executor.free([1, 2, 3]);
  }
});

test('runs are for edited graphs, plain scores for the others', async (t) => {
  const tree = await open(t, 'auto');
  const order = askAll(null, [chain(PROMPT)], [5]);
  assert.ok((await distance(order, await tree.executor.run(order), [5], tree.plain, [])) < 1e-5);
  await assert.rejects(tree.executor.score(Int32Array.from(PROMPT), [5]), /tree executor scores by runs/);
  const naive = await open(t, 'naive');
  await assert.rejects(naive.executor.run(order), /no runs/);
  const targets = [11, 12];
  const { logprob, isGreedy } = await naive.executor.score(Int32Array.from(PROMPT), targets);
  const wanted = [await naive.plain.after(PROMPT.slice(0, -1), 11), await naive.plain.after(PROMPT, 12)];
  assert.ok(Math.abs(logprob - wanted[0]!.logprob - wanted[1]!.logprob) < 1e-5);
  assert.equal(
    isGreedy,
    wanted.every(({ best }, i) => best === targets[i]),
  );
});

test('dynamic int8: by itself the plain numbers, shared a tree', async (t) => {
  const alone = await open(t, 'auto', { weights: 'int8' });
  assert.deepEqual([alone.executor.info.form, alone.executor.info.dynamic], ['alone', true]);
  const order = askAll(null, [chain(PROMPT)], [5, 6]);
  // The numbers of a token depend on those behind it, so one pass of the whole row is what they are held against.
  const last = { ...order, select: order.select.slice(-2), pairs: [0, 5, 0, 6] };
  const { logprobs } = await alone.executor.run(last);
  for (const [i, target] of [5, 6].entries())
    assert.ok(Math.abs(logprobs[i]! - (await alone.plain.after(PROMPT, target)).logprob) < 1e-5);
  const shared = await open(t, 'prefix_tree', { weights: 'int8' });
  assert.deepEqual([shared.executor.info.form, shared.executor.info.dynamic], ['tree', true]);
});

test('float16 says so', async (t) => {
  const { executor } = await open(t, 'auto', { weights: 'float16' });
  assert.deepEqual([executor.info.form, executor.info.half], ['tree', true]);
});

test('a token beyond the vocabulary fails the run, and the next one is well', async (t) => {
  const { executor, plain } = await open(t, 'auto');
  await assert.rejects(executor.next([VOCAB], null, null), (error) => error instanceof OutsideError);
  assert.equal(await executor.next(PROMPT, null, null), (await plain.after(PROMPT, 0)).best);
});
