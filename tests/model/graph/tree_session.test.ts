/** openTreeSession: which form a graph gets, and that every number of it is the untouched graph's. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CheckpointConfig } from '../../../nanoeval/model/checkpoint.ts';
import { chain, type Sequence } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { openEmbedder } from '../../../nanoeval/model/graph/embeddings.ts';
import { logSoftmaxAt } from '../../../nanoeval/model/graph/logits.ts';
import type { GraphFiles } from '../../../nanoeval/model/graph/session.ts';
import { type Opened, openTreeSession, type TreeSession } from '../../../nanoeval/model/graph/tree_session.ts';
import {
  askAll,
  attentionDecoder,
  DECODER_CONFIG,
  type DecoderOptions,
  decoderFiles,
  distance,
  filesAt,
  furthest,
  openPlain,
  type Plain,
  VOCAB,
} from '../attention_decoder.ts';
import { folderWith, readJson, SHARED, settings } from '../fixtures.ts';
import { toyDecoder } from '../toy_decoder.ts';

const STEM = [3, 17, 42, 8, 55, 21, 9];
const DEEPER = [30, 2, 51];
const TARGETS = [5, 40];
/** Forks at the past, at a token and below one; sequences of one token and of nine. */
const TREE: Sequence[] = [
  { ids: [12, 33, 7, 40, 40, 2], parents: [-1, 0, 1, 0, -1, 4] },
  { ids: [1], parents: [-1] },
  chain([60, 59, 58, 57, 12, 12, 3, 17, 42]),
  { ids: [9, 9, 9], parents: [-1, -1, -1] },
];
const CHAINS: Sequence[] = [chain([12, 33, 7, 40]), chain([1]), chain([60, 59, 58, 57, 12, 12, 3, 17, 42])];

async function open(t: TestContext, files: GraphFiles, share = false): Promise<Opened> {
  const embedder = await openEmbedder(files, settings(), 1);
  t.after(() => embedder?.close());
  const opened = await openTreeSession(files, settings(), 1, { share, embedder });
  t.after(() => opened.session?.close());
  return opened;
}

/** The furthest that any number of the session is from the untouched graph's, in all that its form can do. */
async function furthestOff(session: TreeSession, plain: Plain): Promise<number> {
  const found: number[] = [];
  const { form } = session;
  if (form === 'whole') {
    for (const sequence of CHAINS) {
      const order = askAll(null, [sequence], TARGETS);
      found.push(await distance(order, await session.pass(order), TARGETS, plain, []));
    }
    return Math.max(...found);
  }
  if (form === 'alone') {
    // Here a token's numbers depend on those behind it, so they are held against one pass of the whole sequence.
    for (const sequence of CHAINS) {
      const { logprobs } = await session.pass(askAll(null, [sequence], TARGETS));
      const rows = await plain.rows(sequence.ids);
      const wanted = rows.flatMap((logits) => TARGETS.map((id) => logSoftmaxAt(logits, 0, logits.length, id).logprob));
      found.push(furthest(logprobs, wanted));
    }
    return Math.max(...found);
  }
  const batches =
    form === 'tree' ? [TREE, CHAINS, [TREE[0]!]] : form === 'batched' ? [CHAINS] : CHAINS.map((sequence) => [sequence]);
  await session.pass({ past: null, sequences: [chain(STEM)], select: [], pairs: [], keep: 1 });
  await session.pass({ past: 1, sequences: [chain(DEEPER)], select: [], pairs: [], keep: 2 });
  const pasts: [number | null, number[]][] = [
    [null, []],
    [1, STEM],
    [2, [...STEM, ...DEEPER]],
    [1, STEM],
  ];
  for (const [past, before] of pasts) {
    for (const sequences of batches) {
      const order = askAll(past, sequences, TARGETS);
      found.push(await distance(order, await session.pass(order), TARGETS, plain, before));
    }
  }
  session.free([1, 2]);
  return Math.max(...found);
}

interface Case extends DecoderOptions {
  form: TreeSession['form'];
  /** Of each remark. */
  remark?: RegExp;
  /** There is one. */
  always?: boolean;
  limit?: number;
  share?: boolean;
  config?: CheckpointConfig;
}

const NO_CACHE = /^the graph has no cache: no pass goes on from another$/;
const ADDED = 'numbers are the plain ones';
const CASES: Record<string, Case> = {
  'plain attention': { form: 'tree' },
  'a mask by Where': { form: 'tree', mask: 'where' },
  'queries and keys scaled': { form: 'tree', scale: 'sides' },
  num_logits_to_keep: { form: 'tree', numLogitsToKeep: true },
  logits_to_keep: { form: 'tree', numLogitsToKeep: 'logits_to_keep' },
  'a tied head': { form: 'tree', tied: true },
  'a side file': { form: 'tree', side: 'model.onnx_data' },
  'four bits': { form: 'tree', weights: 'int4' },
  'four bits, activations in eight': {
    form: 'tree',
    weights: 'int4',
    accuracy: 4,
    limit: 0.1,
    remark: /^activations are rounded/,
    always: false,
  },
  'GroupQueryAttention, four bits, activations in eight': {
    form: 'tree',
    attention: 'gqa',
    weights: 'int4',
    accuracy: 4,
    limit: 0.1,
    remark: /^activations are rounded/,
    always: false,
  },
  GroupQueryAttention: { form: 'tree', attention: 'gqa' },
  'GroupQueryAttention, packed, a side file': { form: 'tree', attention: 'gqa', packed: true, side: 'model.onnx_data' },
  'GroupQueryAttention, four bits, num_logits_to_keep': {
    form: 'tree',
    attention: 'gqa',
    weights: 'int4',
    numLogitsToKeep: true,
  },
  'float16 with a float16 cache': { form: 'tree', weights: 'float16', limit: 0.01 },
  'float16 with a float32 cache': { form: 'tree', weights: 'float16', cache: 'float32', limit: 0.01 },
  'float16 GroupQueryAttention': { form: 'tree', weights: 'float16', attention: 'gqa', limit: 0.01 },
  'no cache': { form: 'whole', cache: null, remark: NO_CACHE },
  'no cache, a head that is no product by name': {
    form: 'whole',
    cache: null,
    head: 'einsum',
    remark: /the graph has no cache|no streamlined whole passes: the product that makes the logits was not found/,
  },
  'no cache, four bits, a bias by distance': {
    form: 'whole',
    cache: null,
    weights: 'int4',
    alibi: true,
    remark: NO_CACHE,
  },
  'no cache, tokens behind count': {
    form: 'alone',
    cache: null,
    causal: false,
    remark: /the graph has no cache|no (streamlined )?whole passes: log-probabilities are \S+ off/,
  },
  'no cache, dynamic int8': { form: 'alone', cache: null, weights: 'int8' },
  'no cache, rotary factors that change': {
    form: 'alone',
    cache: null,
    config: {
      ...DECODER_CONFIG,
      original_max_position_embeddings: 8,
      rope_scaling: { type: 'longrope' },
    },
    remark: /^rotary factors change with the longest position \(longrope\): no pass tells of a shorter input$/,
  },
  'dynamic int8 by itself': { form: 'alone', weights: 'int8' },
  'dynamic int8 shared': { form: 'tree', weights: 'int8', share: true, limit: 0.5 },
  'a bias by distance': {
    form: 'batched',
    alibi: true,
    remark: /no (streamlined )?tree passes: log-probabilities are \d+\.\d+ off/,
  },
  'no position_ids': { form: 'batched', positions: 'counted', remark: /position_ids is not an input/ },
  'positions by a Range': { form: 'tree', positions: 'ranged' },
  'position_ids of three sections': { form: 'tree', positions: 'three', remark: /no streamlined tree passes/ },
  'opset 13': { form: 'batched', opset: 13, remark: /opset 13 is below 15/ },
  'opset 13, float16': { form: 'batched', opset: 13, weights: 'float16', remark: /opset 13/, limit: 0.01 },
  'a window in every layer': {
    form: 'tree',
    window: 12,
    config: { ...DECODER_CONFIG, model_type: 'mistral', sliding_window: 12, max_position_embeddings: 64 },
  },
  'a window in layers that config.json names': {
    form: 'tree',
    window: 6,
    config: { ...DECODER_CONFIG, sliding_window: 6, layer_types: ['sliding_attention', 'sliding_attention'] },
  },
  "a window by GPT-Neo's name": {
    form: 'tree',
    window: 12,
    config: { ...DECODER_CONFIG, window_size: 12, attention_layers: ['local', 'local'] },
  },
  'a window in layers that nobody names': {
    form: 'batched',
    window: 12,
    config: { ...DECODER_CONFIG, window_size: 12 },
    remark: /slides over 12 tokens, in which layers config.json does not say/,
  },
  'a window that the graph has in more layers than config.json says': {
    form: 'batched',
    window: 6,
    config: { ...DECODER_CONFIG, sliding_window: 6, layer_types: ['sliding_attention', 'full_attention'] },
    remark: /log-probabilities are \S+ off/,
  },
  'a window that the self-check sees': { form: 'batched', window: 6, remark: /log-probabilities are \S+ off/ },
  'a window as long as the context': {
    form: 'tree',
    config: { ...DECODER_CONFIG, sliding_window: 64, max_position_embeddings: 64 },
  },
  'a window that is switched off': {
    form: 'tree',
    config: { ...DECODER_CONFIG, sliding_window: 4, use_sliding_window: false },
  },
  'a config.json without sizes': { form: 'batched', config: {}, remark: /does not say how many heads/ },
  'GroupQueryAttention with a window': {
    form: 'single',
    attention: 'gqa',
    attributes: { local_window_size: 40 },
    remark: /slides over 40 tokens, config.json does not|batch_size must be 1/,
  },
};

for (const [name, { form, remark, limit = 1e-5, share = false, config, always = true, ...options }] of Object.entries(
  CASES,
)) {
  test(`${name}: ${form}, and ${ADDED}`, async (t) => {
    const files = decoderFiles(t, options);
    if (config !== undefined) Object.assign(files, { config, textConfig: config });
    const { session, remarks, dynamic, half } = await open(t, files, share);
    assert.equal(session?.form, form, remarks.join('; '));
    assert.deepEqual([dynamic, half], [options.weights === 'int8', options.weights === 'float16']);
    if (remark === undefined) assert.deepEqual(remarks, []);
    else assert.ok((remarks.length > 0 || !always) && remarks.every((text) => remark.test(text)), remarks.join('; '));
    assert.equal(new Set(remarks).size, remarks.length, 'each reason is told once');
    const cache = options.cache === undefined && options.weights === 'float16' ? 'float16' : options.cache;
    const bytes = cache === null ? 0 : cache === 'float16' ? 2 : 4;
    // Keys and values of 2 layers, 2 groups of size 16.
    assert.deepEqual([session.vocab, session.bytesPerToken], [VOCAB, 2 * 2 * 2 * 16 * bytes]);
    const off = await furthestOff(session, await openPlain(t, files));
    assert.ok(off <= limit, `${off} off`);
  });
}

test('a window that config.json tells and the graph lacks: config.json holds, and it is said', async (t) => {
  const config = { ...DECODER_CONFIG, model_type: 'mistral', sliding_window: 20, max_position_embeddings: 64 };
  const files = decoderFiles(t);
  Object.assign(files, { config, textConfig: config });
  const { session, remarks } = await open(t, files);
  assert.equal(session?.form, 'tree');
  assert.equal(session.window, 20);
  assert.match(remarks.join('; '), /^config.json has attention slide over 20 tokens and the graph does otherwise: /);
  // As the graph of the same weights that has the window.
  const ids = Array.from({ length: 50 }, (_, i) => (7 * i) % VOCAB);
  const order = { ...askAll(null, [chain(ids)], TARGETS), keep: null };
  const found = (await session.pass(order)).logprobs;
  const right = await open(t, Object.assign(decoderFiles(t, { window: 20 }), { config, textConfig: config }));
  const wanted = (await right.session!.pass(order)).logprobs;
  assert.ok(found.every((logprob, i) => Math.abs(logprob - wanted[i]!) < 1e-5));
  assert.deepEqual(right.remarks, []);
});

test('a number does not depend on what is computed beside it', async (t) => {
  for (const options of [{}, { attention: 'gqa', weights: 'int4' }] as const) {
    const { session } = await open(t, decoderFiles(t, options));
    await session!.pass({ past: null, sequences: [chain(STEM)], select: [], pairs: [], keep: 1 });
    const together = (await session!.pass(askAll(1, TREE, TARGETS))).logprobs;
    const apart: number[] = [];
    for (const sequence of TREE) apart.push(...(await session!.pass(askAll(1, [sequence], TARGETS))).logprobs);
    for (const [i, logprob] of together.entries()) assert.ok(Math.abs(logprob - apart[i]!) < 1e-5, `${i}`);
  }
});

test('states are picked and asked in any order, some more than once, some not at all', async (t) => {
  const files = decoderFiles(t);
  const { session } = await open(t, files);
  const plain = await openPlain(t, files);
  const [long, short] = [chain([9, 8, 7, 6]), chain([5, 4])];
  const order = {
    past: null,
    sequences: [long, short],
    select: [1, 1, 0, 3, 0, 0],
    pairs: [2, 7, 0, 1, 2, 7],
    keep: null,
  };
  const { logprobs, best } = await session!.pass(order);
  const wanted = [await plain.after([9], 7), await plain.after([5, 4], 1), await plain.after([9], 7)];
  for (const [i, { logprob }] of wanted.entries()) assert.ok(Math.abs(logprobs[i]! - logprob) < 1e-5);
  assert.deepEqual(best, [
    (await plain.after([5, 4], 0)).best,
    (await plain.after([9, 8, 7, 6], 0)).best,
    wanted[0]!.best,
  ]);
  const none = await session!.pass({ past: null, sequences: [short], select: [], pairs: [], keep: null });
  assert.deepEqual(none, { logprobs: [], best: [] });
});

test('a cache that was freed, or never kept, is not gone on from', async (t) => {
  const { session } = await open(t, decoderFiles(t));
  await session!.pass({ past: null, sequences: [chain(STEM)], select: [], pairs: [], keep: 1 });
  const two = askAll(1, CHAINS, TARGETS);
  await session!.pass(two);
  session!.free([1, 5]);
  await assert.rejects(session!.pass(two), /no cache 1/);
  await assert.rejects(session!.pass(askAll(1, [CHAINS[0]!], TARGETS)), /no cache 1/);
  // The number is used again, for something else, and the batch that was made of the first is not.
  await session!.pass({ past: null, sequences: [chain(DEEPER)], select: [], pairs: [], keep: 1 });
  const plain = await openPlain(t, decoderFiles(t));
  const off = await distance(two, await session!.pass(two), TARGETS, plain, DEEPER);
  assert.ok(off < 1e-5, `${off}`);
});

test('a cache that is kept under a number in use takes its place', async (t) => {
  const files = decoderFiles(t);
  const { session } = await open(t, files);
  const two = askAll(1, CHAINS, TARGETS);
  await session!.pass({ past: null, sequences: [chain(STEM)], select: [], pairs: [], keep: 1 });
  await session!.pass(two);
  await session!.pass({ past: 1, sequences: [chain(DEEPER)], select: [], pairs: [], keep: 1 });
  const off = await distance(two, await session!.pass(two), TARGETS, await openPlain(t, files), [...STEM, ...DEEPER]);
  assert.ok(off < 1e-5, `${off}`);
});

test('a graph that takes no edit gets no session, with the reason', async (t) => {
  const cases: [DecoderOptions, RegExp][] = [
    [{ head: 'einsum' }, /the product that makes the logits was not found/],
    [{ subgraph: true }, /cannot be edited: node \S+ has a subgraph/],
    [{ side: 'gone.onnx_data' }, /gone\.onnx_data/],
  ];
  for (const [options, reason] of cases) {
    const files =
      options.side === undefined
        ? decoderFiles(t, options)
        : filesAt(join(folderWith(t, { 'model.onnx': attentionDecoder(options).graph }), 'model.onnx'));
    const { session, remarks } = await open(t, files);
    assert.equal(session, null);
    assert.ok(remarks.length > 0 && remarks.every((text) => reason.test(text)), remarks.join('; '));
  }
});

test('a graph without attention and one without a product are left alone', async (t) => {
  const files = filesAt(join(folderWith(t, { 'model.onnx': toyDecoder({ vocab: VOCAB }) }), 'model.onnx'));
  const { session, remarks } = await open(t, files);
  assert.equal(session, null);
  assert.match(remarks.join('; '), /no single passes/);
});

test('through the links of the hub cache', async (t) => {
  const { graph, side } = attentionDecoder({ side: 'model.onnx_data' });
  const folder = folderWith(t, { 'blobs/0a1b': graph, 'blobs/2c3d': side });
  const onnx = join(folder, 'snapshots', 'main', 'onnx');
  mkdirSync(onnx, { recursive: true });
  symlinkSync('../../../blobs/0a1b', join(onnx, 'model.onnx'));
  symlinkSync('../../../blobs/2c3d', join(onnx, 'model.onnx_data'));
  const files = filesAt(join(onnx, 'model.onnx'));
  const { session, remarks } = await open(t, files);
  assert.equal(session?.form, 'tree', remarks.join('; '));
  const off = await furthestOff(session, await openPlain(t, files));
  assert.ok(off < 1e-5, `${off}`);
});

/**
 * Checkpoints as exporters make them: name, files in onnx/, and how far the numbers may be. Logits of 20 in float16 lie
 * 0.016 apart.
 */
const CHECKPOINTS: [name: string, decoder: string, embed: string | null, form: string, limit: number][] = [
  ['stories260K', 'model', null, 'tree', 1e-4],
  ['tiny_smolvlm', 'decoder_model_merged', 'embed_tokens', 'tree', 1e-4],
  ['tiny_smolvlm', 'decoder_model_merged_q4', 'embed_tokens', 'tree', 1e-4],
  ['tiny_smolvlm', 'decoder_model_merged_fp16', 'embed_tokens_fp16', 'tree', 0.05],
  ['tiny_smolvlm', 'decoder_model_merged_q4f16', 'embed_tokens_fp16', 'tree', 0.1],
  ['tiny_smolvlm', 'decoder_model_merged_quantized', 'embed_tokens_quantized', 'alone', 1e-4],
];

for (const [name, decoder, embed, form, limit] of CHECKPOINTS) {
  const folder = join(SHARED, 'models', name);
  const skip = existsSync(folder) ? false : `there is no ${name} beside the checkout`;
  test(`${name}, ${decoder}: ${form}, and ${ADDED}`, { skip }, async (t) => {
    const files = filesAt(join(folder, 'onnx', `${decoder}.onnx`), readJson(join(folder, 'config.json')));
    if (embed !== null) files.graphs.embed = join(folder, 'onnx', `${embed}.onnx`);
    const { session, remarks } = await open(t, files);
    assert.equal(session?.form, form, remarks.join('; '));
    const off = await furthestOff(session, await openPlain(t, files));
    assert.ok(off <= limit, `${off} off`);
  });
}
