/** openDecoder over toy graphs whose logits are known beforehand (toy_decoder.ts). */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Checkpoint, CheckpointConfig } from '../../../nanoeval/model/checkpoint.ts';
import { type Decoder, emptyTensor, openDecoder } from '../../../nanoeval/model/graph/onnx.ts';
import { OutsideError } from '../../../nanoeval/types.ts';
import { folderWith, settings, userError } from '../fixtures.ts';
import { graphWriter } from '../onnx_writer.ts';
import { externalAxis, favourites, TOY_CONFIG, type ToyOptions, toyDecoder, toyEmbed } from '../toy_decoder.ts';

const VOCAB = 32;
const IDS = [5, 0, 17, 31, 17, 2, 9];

interface Toy extends ToyOptions {
  config?: CheckpointConfig;
  embed?: Uint8Array;
  files?: Record<string, Uint8Array>;
}

async function open(t: TestContext, toy: Toy = {}): Promise<Decoder> {
  const graph = toyDecoder({ vocab: VOCAB, ...toy });
  const { embed } = toy;
  const folder = folderWith(t, {
    'model.onnx': graph,
    ...(embed === undefined ? {} : { 'embed.onnx': embed }),
    ...toy.files,
  });
  const config: CheckpointConfig = toy.config ?? TOY_CONFIG;
  const graphs = {
    decoder: join(folder, 'model.onnx'),
    embed: embed === undefined ? null : join(folder, 'embed.onnx'),
    vision: null,
  };
  const checkpoint = { graphs, config, textConfig: config } as Checkpoint;
  const decoder = await openDecoder(checkpoint, settings(), 1);
  t.after(() => decoder.close());
  return decoder;
}

/** The rows that the graph must give: −|v − favourite| / 4. */
function expectedLogits(ids: readonly number[]): number[][] {
  return favourites(ids, VOCAB).map((best) => Array.from({ length: VOCAB }, (_, v) => 0 - Math.abs(v - best) / 4));
}

/** All rows of logits when `ids` go in cut into calls of these lengths. */
async function rowsOf(decoder: Decoder, ids: readonly number[], lengths: readonly number[]): Promise<number[][]> {
  const rows: number[][] = [];
  let cache = null;
  let done = 0;
  for (const length of lengths) {
    const part = ids.slice(done, done + length);
    done += length;
    const step = await decoder.forward(part, cache, done < ids.length);
    assert.deepEqual([step.rows, step.vocab, step.logits.length], [length, VOCAB, length * VOCAB]);
    assert.equal(step.cache?.length ?? null, done < ids.length ? done : null);
    cache = step.cache;
    for (let i = 0; i < length; i += 1)
      rows.push([...step.logits.subarray(i * VOCAB, (i + 1) * VOCAB)].map((x) => x + 0));
  }
  return rows;
}

const FORMS: Record<string, Toy> = {
  'position_ids and a float32 cache': {},
  'no position_ids': { positions: 'past' },
  'position_ids of three sections': { positions: 'three' },
  'a float16 cache': { cache: 'float16' },
  'a float16 cache and float16 logits': { cache: 'float16', logits: 'float16' },
  use_cache_branch: { useCacheBranch: true },
  num_logits_to_keep: { numLogitsToKeep: true },
  'logits_to_keep, a number': { numLogitsToKeep: { name: 'logits_to_keep', type: 'int64', dims: [] } },
  'logits_to_keep, a list of one int32': { numLogitsToKeep: { name: 'logits_to_keep', type: 'int32', dims: [1] } },
  'ids, mask and positions in int32': { integers: 'int32' },
  'int32 and three sections': { integers: 'int32', positions: 'three' },
  'an embedding graph that takes int32': { embeds: 'float32', embed: toyEmbed('float32', 'int32') },
  'a batch of 1 alone': { idDims: [1, 'sequence_length'] },
  'symbolic head size and number': { headDims: ['kv_heads', 'kv_cache_dim'] },
  'symbolic head size, sizes of a GPT-2 config': {
    headDims: ['kv_heads', 'kv_cache_dim'],
    config: { n_head: 2, n_embd: 8 },
  },
  'symbolic head size, head_dim derived from hidden_size': {
    headDims: [2, 'kv_cache_dim'],
    config: { num_attention_heads: 4, hidden_size: 16 },
  },
  inputs_embeds: { embeds: 'float32', embed: toyEmbed() },
  'float16 inputs_embeds and cache': { embeds: 'float16', cache: 'float16', embed: toyEmbed('float16') },
  'an external data file': { external: 'model.onnx_data', files: { 'model.onnx_data': externalAxis(VOCAB) } },
};

for (const [name, toy] of Object.entries(FORMS)) {
  test(`${name}: logits as computed by hand, whole, in pieces and token by token`, async (t) => {
    const decoder = await open(t, toy);
    assert.equal(decoder.hasCache, true);
    const expected = expectedLogits(IDS);
    for (const lengths of [[7], [3, 4], [6, 1], [1, 1, 1, 1, 1, 1, 1]]) {
      assert.deepEqual(await rowsOf(decoder, IDS, lengths), expected, `cut ${lengths}`);
    }
  });
}

test('a graph without a cache says so and gives none', async (t) => {
  const decoder = await open(t, { cache: null });
  assert.equal(decoder.hasCache, false);
  assert.deepEqual(await rowsOf(decoder, IDS, [7]), expectedLogits(IDS));
});

test('one cache can be gone on from twice', async (t) => {
  for (const cache of ['float32', 'float16'] as const) {
    const decoder = await open(t, { cache });
    const head = await decoder.forward(IDS.slice(0, 4), null, true);
    for (const next of [3, 11, 3]) {
      const step = await decoder.forward([next], head.cache, true);
      const expected = expectedLogits([...IDS.slice(0, 4), next]).at(-1)!;
      assert.deepEqual(
        [...step.logits].map((x) => x + 0),
        expected,
      );
    }
  }
});

test('an input that nobody here knows is named', async (t) => {
  const dims = ['batch_size', 'audio_length'];
  await assert.rejects(
    open(t, { extraInput: { name: 'audio_features', type: 'float32', dims } }),
    userError('model.model_id', '"audio_features" (float32 [batch_size, audio_length])', 'position_ids'),
  );
});

test('states of convolutions beside keys and values (LFM2) are refused in words about the export', async (t) => {
  // By the hub's exports, onnxruntime-genai's builder, transformers' exporter; Mamba's.
  const names = ['past_conv.0', 'past.0.conv', 'input.cache.layers.0.conv_states.0', 'past_ssm.0'];
  for (const name of names) {
    const state = { name, type: 'float32', dims: ['batch_size', 8, 3] } as const;
    await assert.rejects(
      open(t, { extraInput: state }),
      userError('model.model_id', 'model.onnx', 'states of convolutions', `"${name}" [batch_size, 8, 3]`, 'LFM2'),
    );
  }
});

test('a known input of a type that is not fed here is named', async (t) => {
  const kept = { name: 'logits_to_keep', type: 'float32', dims: [] } as const;
  await assert.rejects(open(t, { extraInput: kept }), userError('model.model_id', '"logits_to_keep" (float32 [])'));
});

test('a past without its present, and a graph without logits, are named', async (t) => {
  await assert.rejects(
    open(t, { missing: 'present.0.value' }),
    userError('model.model_id', '"past_key_values.0.value"', '"present.0.value"'),
  );
  await assert.rejects(open(t, { missing: 'logits' }), userError('model.model_id', 'no output "logits"', 'scores'));
});

test('what an export cannot do is said when it is opened, in words about the export', async (t) => {
  const cases: [toy: Toy, words: string[]][] = [
    [
      { idDims: ['batch_size', 16] },
      ['takes 16 tokens and no other number (input_ids [batch_size, 16])', 'dynamic shapes'],
    ],
    [{ idDims: [2, 'sequence_length'] }, ['takes 2 texts at a time and no other number']],
    [{ rows: 'last' }, ['the logits of one position alone (logits [batch_size, 1, 32])', 'all positions']],
    [{ rows: 'last flat' }, ['the logits of one position alone (logits [batch_size, 32])']],
    [{ logits: 'bfloat16' }, ['computes in bfloat16', 'float32 or float16']],
    [{ writer: { ir: 99 } }, ['ONNX IR version 99', 'reads up to 13']],
    [{ writer: { opset: 99 } }, ['opset 99 of ai.onnx', 'Export it with opset']],
    [{ writer: { domains: { 'ai.onnx.ml': 99 } } }, ['opset 99 of ai.onnx.ml']],
  ];
  for (const [toy, words] of cases)
    await assert.rejects(open(t, toy), userError('model.model_id', 'model.onnx', ...words));
  // A graph that does not declare it shows it by its first two tokens.
  const decoder = await open(t, { rows: 'last undeclared' });
  const words = ['model.onnx (2 tokens)', 'the logits of one position alone (logits [1, 1, 32])'];
  await assert.rejects(decoder.forward([0, 0], null, false), userError('model.model_id', ...words));
});

test('inputs_embeds without an embed_tokens graph is named', async (t) => {
  await assert.rejects(open(t, { embeds: 'float32' }), userError('model.model_id', 'inputs_embeds', 'embed_tokens'));
});

test('an open head size that config.json does not give is named', async (t) => {
  const toy: Toy = { headDims: [2, 'kv_cache_dim'], config: { model_type: 'x' } };
  await assert.rejects(open(t, toy), userError('model.model_id', 'past_key_values.0.key', 'config.json'));
});

test('a truncated file, a text and a missing side file are errors of the file, on one line', async (t) => {
  const whole = toyDecoder({ vocab: VOCAB });
  const toy = (files: Record<string, Uint8Array>): Toy => ({ files });
  const cut = toy({ 'model.onnx': whole.subarray(0, whole.length >> 1) });
  await assert.rejects(
    open(t, cut),
    userError('model.model_id', 'model.onnx', /cannot load it: .*Protobuf parsing failed/),
  );
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n';
  const lfs = toy({ 'model.onnx': Buffer.from(pointer) });
  await assert.rejects(open(t, lfs), userError('model.model_id', 'Protobuf parsing failed'));
  await assert.rejects(
    open(t, { external: 'model.onnx_data' }),
    userError('model.model_id', /external data/i, 'model.onnx_data'),
  );
});

const MAC = process.platform === 'darwin' ? 'coreml is there on a Mac' : false;

test('a device that is not in this build is an error that lists those that are', { skip: MAC }, async (t) => {
  const folder = folderWith(t, { 'model.onnx': toyDecoder({ vocab: VOCAB }) });
  const graphs = { decoder: join(folder, 'model.onnx'), embed: null, vision: null };
  const checkpoint = { graphs, config: {}, textConfig: {} } as unknown as Checkpoint;
  const asked = settings({ device: 'coreml' });
  await assert.rejects(openDecoder(checkpoint, asked, undefined), userError('model.device', '"coreml"', 'cpu'));
});

test('a failing pass is an outside error with the graph and the reason', async (t) => {
  const decoder = await open(t, { files: { 'model.onnx': gatherGraph() } });
  const step = await decoder.forward([7], null, false);
  assert.deepEqual([...step.logits], [7]);
  await assert.rejects(decoder.forward([8], null, false), (error) => {
    assert.ok(error instanceof OutsideError, String(error));
    assert.match(error.message, /model\.onnx: onnxruntime failed: .*out of data bounds/);
    return !error.message.includes('\n');
  });
});

/** logits = the row of an embedding of 8 rows: what a tokenizer with more tokens than the graph runs into. */
function gatherGraph(): Uint8Array {
  const g = graphWriter();
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  g.node('Gather', [g.init('float32', [8, 1], [0, 1, 2, 3, 4, 5, 6, 7]), ids], {}, 'logits');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', 1]);
  return g.bytes();
}

test('NaN logits reach the caller as NaN', async (t) => {
  const decoder = await open(t, { nanToken: 31 });
  const step = await decoder.forward(IDS, null, false);
  const isNan = IDS.map((_, i) => Number.isNaN(step.logits[i * VOCAB]));
  assert.deepEqual(
    isNan,
    IDS.map((id) => id === 31),
  );
});

test('an empty past of sizes that cannot be: refused, and not made', () => {
  const past = (config: CheckpointConfig, capacity?: number) =>
    emptyTensor(
      { name: 'past_key_values.0.key', type: 'float32', dims: ['batch', 'heads', 'past', 'size'] },
      { graphs: { decoder: 'm.onnx', embed: null, vision: null }, textConfig: config } as Checkpoint,
      capacity,
    );
  assert.deepEqual(past(TOY_CONFIG).dims, [1, 2, 0, 4]);
  assert.deepEqual(past(TOY_CONFIG, 3).dims, [1, 2, 3, 4]);
  for (const wrong of [{ num_key_value_heads: -2 }, { head_dim: 0 }, { head_dim: 1e300 }, { head_dim: 'x' }])
    assert.throws(
      () => past({ ...TOY_CONFIG, ...wrong }),
      userError('model.model_id', 'm.onnx', 'past_key_values.0.key is [batch, heads, past, size]', 'config.json'),
    );
  assert.throws(() => past(TOY_CONFIG, 2 ** 40), userError('model.model_id', '1 x 2 x 1099511627776 x 4 numbers'));
});
