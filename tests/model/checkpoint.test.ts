import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { openFolder } from '../../nanoeval/data/hub.ts';
import { abilities, type Checkpoint, dtypeText, identify, openCheckpoint } from '../../nanoeval/model/checkpoint.ts';
import type { Repo } from '../../nanoeval/types.ts';
import { attentionDecoder } from './attention_decoder.ts';
import { folderWith, settings, tokenizerJson, userError } from './fixtures.ts';

type Files = Record<string, unknown>;
/** Graphs are not opened by this layer: any text does. */
const BASE: Files = { 'config.json': { max_position_embeddings: 64 }, 'tokenizer.json': tokenizerJson() };

async function open(t: TestContext, files: Files, keys: Parameters<typeof settings>[0] = {}): Promise<Checkpoint> {
  const folder = folderWith(t, { ...BASE, ...files });
  return openCheckpoint(await openFolder(folder, 'model'), settings({ model_id: folder, ...keys }));
}
const paths = ({ files }: Checkpoint) => files.map(({ path }) => path);

test('a dtype is a file suffix, looked for in the places of the hub in turn', async (t) => {
  const SUFFIX = { fp32: '', fp16: '_fp16', q8: '_quantized', int8: '_int8', uint8: '_uint8', q4: '_q4' } as const;
  const more = { q4f16: '_q4f16', bnb4: '_bnb4' } as const;
  const all = Object.entries({ ...SUFFIX, ...more }) as [keyof typeof SUFFIX, string][];
  const files = Object.fromEntries(all.map(([dtype, suffix]) => [`onnx/model${suffix}.onnx`, dtype]));
  for (const [dtype, suffix] of all) {
    assert.deepEqual(paths(await open(t, files, { dtype })), [`onnx/model${suffix}.onnx`]);
  }
  assert.deepEqual(paths(await open(t, { 'model.onnx': 'x', 'onnx/decoder_model_merged.onnx': 'y' })), [
    'onnx/decoder_model_merged.onnx',
  ]);
  assert.deepEqual(paths(await open(t, { 'model.onnx': 'x', 'onnx/model.onnx': 'y' })), ['onnx/model.onnx']);
  assert.deepEqual(paths(await open(t, { 'model_q4.onnx': 'x' }, { dtype: 'q4' })), ['model_q4.onnx']);
});

test("transformers' own export: decode.onnx where there is no other graph; prefill.onnx alone is refused, or named", async (t) => {
  const own = { 'decode.onnx': 'xy', 'decode.onnx.data': 'zzz', 'prefill.onnx': 'p', 'prefill.onnx.data': 'q' };
  assert.deepEqual(paths(await open(t, own)), ['decode.onnx', 'decode.onnx.data']);
  assert.deepEqual(paths(await open(t, { ...own, 'model.onnx': 'x' })), ['model.onnx']);
  assert.deepEqual(paths(await open(t, { ...own, 'onnx/model.onnx': 'x' })), ['onnx/model.onnx']);
  await assert.rejects(open(t, own, { dtype: 'q4' }), userError('model.dtype', 'It has: fp32.'));
  const first = { 'prefill.onnx': 'p', 'prefill.onnx.data': 'q' };
  await assert.rejects(
    open(t, first),
    userError('model.model_id', 'has prefill.onnx without decode.onnx', 'model.onnx_file: prefill.onnx'),
  );
  assert.deepEqual(paths(await open(t, first, { onnx_file: 'prefill.onnx' })), ['prefill.onnx', 'prefill.onnx.data']);
});

test('a dtype that is not there is refused with a list of those that are', async (t) => {
  const files = { 'onnx/model.onnx': 'x', 'onnx/model_q4.onnx': 'x', 'onnx/model_quantized.onnx': 'x' };
  await assert.rejects(
    open(t, files, { dtype: 'fp16' }),
    userError('model.dtype', 'fp16 (onnx/model_fp16.onnx) is not in', 'It has: fp32, q8, q4.'),
  );
  await assert.rejects(
    open(t, { 'model.safetensors': 'x' }),
    userError('model.model_id', 'has no ONNX export', 'model.safetensors'),
  );
});

test('onnx_file goes before dtype; one that is not there is refused with a list', async (t) => {
  const files = { 'onnx/model.onnx': 'x', 'cpu/int4/model.onnx': 'y', 'cpu/int4/model.onnx.data': 'z' };
  const found = await open(t, files, { onnx_file: 'cpu/int4/model.onnx', dtype: 'q4' });
  assert.deepEqual(paths(found), ['cpu/int4/model.onnx', 'cpu/int4/model.onnx.data']);
  await assert.rejects(
    open(t, files, { onnx_file: 'onnx/model_q3.onnx' }),
    userError('model.onnx_file', 'onnx/model_q3.onnx is not in', 'onnx/model.onnx', 'cpu/int4/model.onnx'),
  );
});

test('side files of the chosen graph, and of no other, belong to the checkpoint', async (t) => {
  const files = {
    'onnx/model.onnx': 'a',
    'onnx/model.onnx_data': 'bb',
    'onnx/model.onnx_data_1': 'ccc',
    'onnx/model_q4.onnx': 'd',
    'onnx/model_q4.onnx_data': 'e',
  };
  const { files: found, graphs } = await open(t, files);
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  assert.deepEqual(found, [
    { path: 'onnx/model.onnx', size: 1, sha256: sha256('a') },
    { path: 'onnx/model.onnx_data', size: 2, sha256: sha256('bb') },
    { path: 'onnx/model.onnx_data_1', size: 3, sha256: sha256('ccc') },
  ]);
  assert.match(graphs.decoder, /onnx.model\.onnx$/);
  assert.deepEqual([graphs.embed, graphs.vision], [null, null]);
});

test('weights in a file of any name belong to the checkpoint; outside of it they are refused', async (t) => {
  const at = (location: string) => attentionDecoder({ side: location }).graph;
  const files = { 'onnx/weights.bin': 'abc', 'onnx/parts/w.bin': 'd', 'weights.bin': 'other' };
  for (const [location, path] of [
    ['weights.bin', 'onnx/weights.bin'],
    ['./parts/../parts/w.bin', 'onnx/parts/w.bin'],
    ['../weights.bin', 'weights.bin'],
  ] as const)
    assert.deepEqual(paths(await open(t, { ...files, 'onnx/model.onnx': at(location) })), ['onnx/model.onnx', path]);
  for (const location of ['../../w.bin', 'parts/../../../w.bin', '/etc/hostname', '..\\w.bin', 'C:\\w.bin'])
    await assert.rejects(
      open(t, { ...files, 'onnx/model.onnx': at(location) }),
      userError(
        'model.model_id',
        'onnx/model.onnx: weights lie in',
        JSON.stringify(location),
        'outside of the checkpoint',
      ),
    );
});

test('JSON as Python writes it: Infinity and NaN in config.json and beside it', async (t) => {
  const files = {
    'onnx/model.onnx': 'x',
    'config.json': '{"max_position_embeddings": 64, "time_step_limit": [0.0, Infinity], "x": NaN}',
    'tokenizer_config.json': '{"model_max_length": Infinity, "other": 1000000000000000019884624838656}',
  };
  const { config, maxLength, tokenizerConfig } = await open(t, files);
  assert.deepEqual(config, { max_position_embeddings: 64, time_step_limit: [0, Infinity], x: Number.NaN });
  assert.deepEqual(tokenizerConfig, { model_max_length: Infinity, other: 1e30 });
  assert.equal(maxLength, 64);
  assert.equal((await open(t, { ...files, 'config.json': '{"n_positions": Infinity}' })).maxLength, 2048);
});

test('missing and broken side files of JSON are named', async (t) => {
  const { 'config.json': config, 'tokenizer.json': tokenizer } = BASE;
  const graph = { 'onnx/model.onnx': 'x' };
  const openOnly = async (files: Files) => {
    const folder = folderWith(t, files);
    return openCheckpoint(await openFolder(folder, 'model'), settings());
  };
  await assert.rejects(
    openOnly({ ...graph, 'tokenizer.json': tokenizer }),
    userError('model.model_id', 'no config.json'),
  );
  await assert.rejects(openOnly({ ...graph, 'config.json': config }), userError('model.model_id', 'no tokenizer.json'));
  await assert.rejects(
    open(t, { ...graph, 'config.json': '{"a":' }),
    userError('model.model_id', 'config.json: not JSON'),
  );
  await assert.rejects(
    open(t, { ...graph, 'generation_config.json': 'no' }),
    userError('model.model_id', 'generation_config.json: not JSON'),
  );
});

test('a Git-LFS pointer in place of a graph is named as one', async (t) => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 538395114\n`;
  await assert.rejects(open(t, { 'onnx/model.onnx': pointer }), userError(undefined, 'model.onnx', 'Git-LFS pointer'));
  await assert.rejects(
    open(t, { 'onnx/model.onnx': 'x', 'onnx/model.onnx_data': pointer }),
    userError(undefined, 'model.onnx_data', 'Git-LFS pointer'),
  );
});

test('is_vlm comes from config.json; a value that contradicts it is refused', async (t) => {
  const text = { 'onnx/model.onnx': 'x' };
  const vlm = {
    'config.json': { vision_config: {}, text_config: { max_position_embeddings: 32, eos_token_id: 9 } },
    'onnx/decoder_model_merged.onnx': 'x',
    'onnx/embed_tokens.onnx': 'y',
  };
  assert.equal((await open(t, text)).isVlm, false);
  assert.equal((await open(t, text, { is_vlm: false })).isVlm, false);
  await assert.rejects(open(t, text, { is_vlm: true }), userError('model.is_vlm', 'true, but', 'a text checkpoint'));
  const found = await open(t, vlm);
  assert.deepEqual([found.isVlm, found.maxLength, found.eosTokens], [true, 32, [9]]);
  await assert.rejects(open(t, vlm, { is_vlm: false }), userError('model.is_vlm', 'false, but', 'vision-language'));
});

const PARTS: Files = {
  'config.json': { vision_config: {}, text_config: {} },
  'onnx/decoder_model_merged.onnx': 'a',
  'onnx/decoder_model_merged_fp16.onnx': 'b',
  'onnx/decoder_model_merged_q4.onnx': 'c',
  'onnx/embed_tokens.onnx': 'd',
  'onnx/embed_tokens_fp16.onnx': 'e',
  'onnx/vision_encoder.onnx': 'f',
  'onnx/vision_encoder_fp16.onnx': 'g',
  'onnx/vision_encoder_quantized.onnx': 'h',
};
const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(PARTS).filter(([name]) => !names.includes(name)));

test('the graphs of an export in parts have one dtype, or each its own by a mapping; fp32 where it says nothing', async (t) => {
  const pathsOf = async (dtype: ReturnType<typeof settings>['dtype']) => paths(await open(t, PARTS, { dtype }));
  const named = (decoder: string, embed: string, vision: string) => [
    `onnx/decoder_model_merged${decoder}.onnx`,
    `onnx/embed_tokens${embed}.onnx`,
    `onnx/vision_encoder${vision}.onnx`,
  ];
  assert.deepEqual(await pathsOf('fp32'), named('', '', ''));
  assert.deepEqual(await pathsOf('fp16'), named('_fp16', '_fp16', '_fp16'));
  assert.deepEqual(await pathsOf({}), named('', '', ''));
  assert.deepEqual(await pathsOf({ decoder_model_merged: 'q4' }), named('_q4', '', ''));
  const all = { decoder_model_merged: 'fp16', embed_tokens: 'fp32', vision_encoder: 'q8' } as const;
  assert.deepEqual(await pathsOf(all), named('_fp16', '', '_quantized'));
  const { graphs } = await open(t, PARTS, { dtype: all });
  assert.match(graphs.embed ?? '', /embed_tokens\.onnx$/);
  assert.match(graphs.vision ?? '', /vision_encoder_quantized\.onnx$/);
});

test('a mapping names graphs and dtypes that there are', () => {
  assert.deepEqual(settings({ dtype: { vision_encoder: 'q8' } }).dtype, { vision_encoder: 'q8' });
  for (const dtype of [{ vision: 'fp32' }, { vision_encoder: 'fp31' }, 'fp31', ['fp32']])
    assert.throws(() => settings({ dtype: dtype as 'fp32' }));
});

test('a dtype that a part does not come in is refused, and told of the mapping', async (t) => {
  await assert.rejects(
    open(t, PARTS, { dtype: 'q4' }),
    userError(
      'model.dtype',
      'q4 (onnx/embed_tokens_q4.onnx) is not in',
      'embed_tokens comes as: fp32, fp16.',
      '{ decoder_model_merged: q4, embed_tokens: fp32 }',
    ),
  );
  await assert.rejects(
    open(t, PARTS, { dtype: { decoder_model_merged: 'fp16', vision_encoder: 'q4' } }),
    userError(
      'model.dtype',
      'q4 (onnx/vision_encoder_q4.onnx) is not in',
      'fp32, fp16, q8.',
      '{ decoder_model_merged: fp16, vision_encoder: fp32 }',
    ),
  );
  await assert.rejects(
    open(t, PARTS, { dtype: { decoder_model_merged: 'q8' } }),
    userError('model.dtype', 'q8', 'It has: fp32, fp16, q4.'),
  );
  const bare = without('onnx/embed_tokens.onnx', 'onnx/embed_tokens_fp16.onnx');
  await assert.rejects(open(t, bare), userError('model.model_id', 'onnx/embed_tokens.onnx'));
});

test('without a vision graph a checkpoint answers texts; a graph of the other layout is no part of it', async (t) => {
  const names = Object.keys(PARTS).filter((name) => name.includes('vision_encoder'));
  assert.equal((await open(t, without(...names), { dtype: 'fp16' })).graphs.vision, null);
  await assert.rejects(
    open(t, PARTS, { dtype: { model: 'fp16' } }),
    userError('model.dtype', 'model, but the graphs of', 'decoder_model_merged, embed_tokens, vision_encoder'),
  );
  const text = { 'onnx/model.onnx': 'x', 'onnx/model_q4.onnx': 'y' };
  assert.deepEqual(paths(await open(t, text, { dtype: { model: 'q4' } })), ['onnx/model_q4.onnx']);
  await assert.rejects(
    open(t, text, { dtype: { vision_encoder: 'fp16' } }),
    userError('model.dtype', 'vision_encoder, but the graphs of', 'are: model.'),
  );
});

test('what stands for the dtype in the records', () => {
  const text = (keys: Parameters<typeof settings>[0]) => dtypeText(settings(keys));
  assert.equal(text({}), 'fp32');
  assert.equal(text({ dtype: 'q8' }), 'q8');
  assert.equal(text({ dtype: {} }), 'fp32');
  assert.equal(
    text({ dtype: { decoder_model_merged: 'q4', vision_encoder: 'fp16' } }),
    'decoder_model_merged q4, vision_encoder fp16',
  );
  assert.equal(text({ dtype: 'q8', onnx_file: 'a.onnx' }), 'a.onnx');
});

test('preprocessor_config.json and processor_config.json are handed on, and count for the identity', async (t) => {
  const bare = await open(t, PARTS);
  assert.deepEqual([bare.preprocessor, bare.processor], [null, null]);
  const files = { 'preprocessor_config.json': { do_resize: true }, 'processor_config.json': { image_seq_len: 4 } };
  const found = await open(t, { ...PARTS, ...files });
  assert.deepEqual([found.preprocessor, found.processor], Object.values(files));
  assert.notEqual(found.configSha256, bare.configSha256);
});

test('the window: n_positions, max_position_embeddings, n_ctx, the tokenizer, 2048; never more than that', async (t) => {
  const windowOf = async (config: object, model_max_length?: number, max_length?: number) => {
    const files = { 'config.json': config, 'tokenizer_config.json': { model_max_length }, 'onnx/model.onnx': 'x' };
    return (await open(t, files, max_length === undefined ? {} : { max_length })).maxLength;
  };
  assert.equal(await windowOf({ n_ctx: 3, max_position_embeddings: 2, n_positions: 1 }, 9), 1);
  assert.equal(await windowOf({ n_ctx: 3, max_position_embeddings: 2 }, 9), 2);
  assert.equal(await windowOf({ n_ctx: 3 }, 9), 3);
  assert.equal(await windowOf({}, 512), 512);
  assert.equal(await windowOf({}, 1e30), 2048);
  assert.equal(await windowOf({}), 2048);
  assert.equal(await windowOf({ max_position_embeddings: null }, 77), 77);
  assert.equal(await windowOf({ max_position_embeddings: 8192, text_config: { max_position_embeddings: 100 } }), 100);
  assert.equal(await windowOf({ max_position_embeddings: 100 }, 50, 100), 100);
  await assert.rejects(
    windowOf({ max_position_embeddings: 100 }, undefined, 101),
    userError('model.max_length', '101 is more than the 100 tokens of'),
  );
});

test('1000000000000000019884624838656 of a tokenizer_config.json means no limit', async (t) => {
  const tokenizer_config = '{"model_max_length": 1000000000000000019884624838656}';
  const files = { 'config.json': {}, 'tokenizer_config.json': tokenizer_config, 'onnx/model.onnx': 'x' };
  assert.equal((await open(t, files)).maxLength, 2048);
});

test('end-of-sequence tokens: of generation_config.json and config.json, a number or a list, each once', async (t) => {
  const eosOf = async (generation: object | null, config: object) => {
    const extra = generation === null ? {} : { 'generation_config.json': generation };
    return (await open(t, { 'config.json': config, 'onnx/model.onnx': 'x', ...extra })).eosTokens;
  };
  assert.deepEqual(await eosOf({ eos_token_id: [7, 2] }, { eos_token_id: 2 }), [7, 2]);
  assert.deepEqual(await eosOf({ eos_token_id: 7 }, { eos_token_id: [2, 7] }), [7, 2]);
  assert.deepEqual(await eosOf(null, { text_config: { eos_token_id: 5 } }), [5]);
  assert.deepEqual(await eosOf({}, { eos_token_id: null }), []);
  assert.deepEqual(await eosOf({ eos_token_id: 0 }, {}), [0]);
});

test('the chat template files and special_tokens_map.json are handed on', async (t) => {
  const found = await open(t, {
    'onnx/model.onnx': 'x',
    'chat_template.jinja': 'jinja',
    'chat_template.json': { chat_template: 'json' },
    'special_tokens_map.json': { bos_token: '<s>' },
  });
  assert.deepEqual(found.chat, { jinja: 'jinja', json: { chat_template: 'json' } });
  assert.deepEqual(found.specialTokens, { bos_token: '<s>' });
  const bare = await open(t, { 'onnx/model.onnx': 'x' });
  assert.deepEqual([bare.chat, bare.specialTokens, bare.tokenizerConfig], [{ jinja: null, json: null }, {}, {}]);
});

const repoOf = (id: string, revision: string | null, commit: string | null): Repo => ({
  kind: 'model',
  id,
  revision,
  commit,
  files: [],
  fetch: async () => assert.fail('nothing is fetched'),
});

test('identify: its hash is over what decides answers, and over nothing that may move', async (t) => {
  const files = {
    'onnx/model.onnx': 'x',
    'onnx/model_q4.onnx': 'x',
    'tokenizer_config.json': { chat_template: 'one' },
  };
  const found = async (changed: Files = {}, keys: Parameters<typeof settings>[0] = {}) => {
    const checkpoint = await open(t, { ...files, ...changed }, keys);
    return identify(repoOf('org/name', 'main', 'ab'.repeat(20)), checkpoint, settings(keys));
  };
  const base = await found();
  assert.deepEqual(
    [base.label, base.variant, base.backend, base.max_length, base.is_vlm],
    ['org/name', 'fp32', 'onnx', 64, false],
  );
  const { model_id, revision, commit, dtype, device } = base.source;
  assert.deepEqual([model_id, revision, commit, dtype, device], ['org/name', 'main', 'ab'.repeat(20), 'fp32', 'cpu']);
  assert.equal((await found()).sha256, base.sha256);
  const others: [string, Files, Parameters<typeof settings>[0]?][] = [
    ['weights', { 'onnx/model.onnx': 'y' }],
    ['side files', { 'onnx/model.onnx_data': 'y' }],
    ['dtype', {}, { dtype: 'q4' }],
    ['window', {}, { max_length: 32 }],
    ['config', { 'generation_config.json': { eos_token_id: 5 } }],
    ['tokenizer', { 'tokenizer.json': { ...tokenizerJson(), note: 'another' } }],
    ['template', { 'chat_template.jinja': 'two' }],
    ['no thoughts', {}, { enable_thinking: false }],
    ['thoughts', {}, { enable_thinking: true }],
  ];
  const hashes = new Set([base.sha256]);
  for (const [what, changed, keys] of others) {
    const { sha256 } = await found(changed, keys);
    assert.ok(!hashes.has(sha256), what);
    hashes.add(sha256);
  }
  assert.equal((await found({}, { enable_thinking: false })).source.enable_thinking, false);
  assert.ok(!('enable_thinking' in base.source));
  // The same files under another name, branch and commit are the same checkpoint.
  const checkpoint = await open(t, files);
  assert.equal(identify(repoOf('a/copy', null, null), checkpoint, settings()).sha256, base.sha256);
});

test('a sequence-classification head: its classes and one verb; its window is what tokenizer and positions hold', async (t) => {
  const config = { architectures: ['BertForSequenceClassification'], max_position_embeddings: 64 };
  const files = { 'onnx/model.onnx': 'x', 'config.json': { ...config, id2label: { 0: 'no', 1: 'yes' } } };
  const found = await open(t, files);
  assert.deepEqual(abilities(found), { verbs: ['classify'], images: false, chat: false, labels: ['no', 'yes'] });
  assert.equal(found.maxLength, 64);
  const cut = await open(t, { ...files, 'tokenizer_config.json': { model_max_length: 32 } });
  assert.equal(cut.maxLength, 32);
  assert.equal((await open(t, files, { max_length: 8 })).maxLength, 8);
  await assert.rejects(
    open(t, files, { max_length: 65 }),
    userError('model.max_length', '65 is more than the 64 tokens'),
  );
  const bad = open(t, { ...files, 'config.json': { ...config, problem_type: 'regression' } });
  await assert.rejects(bad, userError('model.model_id', 'problem_type is regression'));
});

test('abilities: every verb; pictures with a vision graph, a template where there is one', async (t) => {
  const verbs = ['loglikelihood', 'generate_until', 'loglikelihood_rolling'];
  const text = { 'onnx/model.onnx': 'x' };
  assert.deepEqual(abilities(await open(t, text)), { verbs, images: false, chat: false });
  assert.deepEqual(abilities(await open(t, PARTS)), { verbs, images: true, chat: false });
  const names = Object.keys(PARTS).filter((name) => name.includes('vision_encoder'));
  assert.equal(abilities(await open(t, without(...names))).images, false);
  for (const file of [
    { 'chat_template.jinja': 'x' },
    { 'chat_template.json': { chat_template: 'x' } },
    { 'tokenizer_config.json': { chat_template: 'x' } },
  ])
    assert.equal(abilities(await open(t, { ...text, ...file })).chat, true);
});

test('a folder of onnxruntime-genai without config.json is told what it is and what it lacks', async (t) => {
  const folder = folderWith(t, { 'genai_config.json': {}, 'model.onnx': 'x', 'tokenizer.json': tokenizerJson() });
  const opened = openCheckpoint(await openFolder(folder, 'model'), settings({ model_id: folder }));
  await assert.rejects(
    opened,
    userError(
      'model.model_id',
      folder,
      'an export for onnxruntime-genai (genai_config.json), without config.json',
      'Put config.json',
    ),
  );
  const whole = await open(t, { 'genai_config.json': {}, 'model.onnx': 'x' });
  assert.deepEqual(paths(whole), ['model.onnx']);
});

test('a window that is no whole number of tokens from 1 is refused with the file that says it', async (t) => {
  const graph = { 'onnx/model.onnx': 'x' };
  for (const n of [-192, 0, 10.5])
    await assert.rejects(
      open(t, { ...graph, 'config.json': { max_position_embeddings: n } }),
      userError('model.model_id', `: config.json: a window of ${n} tokens`, 'a whole number from 1'),
    );
  const files = { ...graph, 'config.json': {}, 'tokenizer_config.json': { model_max_length: -1 } };
  await assert.rejects(open(t, files), userError('model.model_id', 'tokenizer_config.json: a window of -1 tokens'));
});

test('a JSON file of another shape is refused with its place', async (t) => {
  const files = { 'onnx/model.onnx': 'x', 'generation_config.json': { eos_token_id: 'x' } };
  await assert.rejects(open(t, files), userError('model.model_id', 'generation_config.json: eos_token_id: expected'));
});
