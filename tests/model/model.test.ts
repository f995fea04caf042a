/** openModel over whole checkpoint folders: toy ones made here, and tiny_smolvlm of ../shared as a text-only checkpoint. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { engineSection } from '../../nanoeval/config/keys.ts';
import { openFolder } from '../../nanoeval/data/hub.ts';
import { openCheckpoint } from '../../nanoeval/model/checkpoint.ts';
import { openDecoder } from '../../nanoeval/model/graph/onnx.ts';
import { openModel } from '../../nanoeval/model/model.ts';
import { openTokenizer } from '../../nanoeval/model/tokenizer.ts';
import { TILES } from '../../nanoeval/model/vision/family.ts';
import { sha256 } from '../../nanoeval/text/hash.ts';
import type { ChatMessage, Model } from '../../nanoeval/types.ts';
import {
  BOS_TEMPLATE,
  byteLevelTokenizer,
  folderWith,
  readJson,
  SHARED,
  settings,
  tokenizerJson,
  userError,
} from './fixtures.ts';
import { favourites, TOY_CONFIG, toyAnswer, toyDecoder, toyEmbed, toyLogprob } from './toy_decoder.ts';
import { type Colour, picture, toyVision, toyVlmFolder } from './toy_vlm.ts';

const VOCAB = 320;
const ENGINE = engineSection.parse({ mode: 'naive', threads_per_worker: 1 });
const log = { info: () => {}, progress: () => {} };
const TEMPLATE = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:';
const tokenizer = byteLevelTokenizer();

function toyFiles(): Record<string, unknown> {
  return {
    'config.json': { ...TOY_CONFIG, max_position_embeddings: 64 },
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': { bos_token: '<s>', eos_token: { content: '</s>' } },
    'onnx/model.onnx': toyDecoder({ vocab: VOCAB }),
  };
}

async function open(t: TestContext, folder: string, keys: Parameters<typeof settings>[0] = {}): Promise<Model> {
  const model = await openModel(
    await openFolder(folder, 'model'),
    settings({ model_id: folder, ...keys }),
    ENGINE,
    log,
  );
  t.after(() => model.close());
  return model;
}

test('the three verbs answer in the order of the requests', async (t) => {
  const model = await open(t, folderWith(t, toyFiles()));
  const continuations = [' Paris', ' London', ' A'];
  const requests = continuations.map((continuation) => ({ context: 'The capital is', continuation }));
  const answers = await model.loglikelihood(requests);
  answers.forEach((answer, i) => {
    const { context, continuation } = tokenizer.encodePair('The capital is', continuations[i]!);
    const all = [...context, ...continuation];
    const best = favourites(all, VOCAB);
    const scored = all.slice(1).map((id, at) => toyLogprob(best[at]!, id, VOCAB));
    const expected = scored.slice(context.length - 1).reduce((a, b) => a + b);
    assert.ok(Math.abs(answer.logprob - expected) < 1e-9);
  });
  const one = await Promise.all(requests.map(async (request) => (await model.loglikelihood([request]))[0]));
  assert.deepEqual(one, answers);
  const contexts = ['The', 'Answer:'];
  const outputs = await model.generateUntil(contexts.map((context) => ({ context, until: [], max_new_tokens: 4 })));
  const expected = contexts.map((context) => tokenizer.decode(toyAnswer(tokenizer.encode(context), 4, VOCAB)));
  assert.deepEqual(
    outputs.map(({ output }) => output),
    expected,
  );
  const [a, b] = await model.loglikelihoodRolling(['The capital', 'Paris']);
  assert.deepEqual(
    [[a, b], await model.loglikelihoodRolling([])],
    [[...(await model.loglikelihoodRolling(['The capital'])), ...(await model.loglikelihoodRolling(['Paris']))], []],
  );
});

test('what identifies the checkpoint', async (t) => {
  const files = { ...toyFiles(), 'chat_template.jinja': TEMPLATE };
  const folder = folderWith(t, files);
  const model = await open(t, folder, { max_length: 32 });
  const graph = toyDecoder({ vocab: VOCAB });
  assert.deepEqual(model.identity, {
    model_id: folder,
    revision: null,
    commit: null,
    backend: 'onnx',
    dtype: 'fp32',
    device: 'cpu',
    max_length: 32,
    is_vlm: false,
    files: [{ path: 'onnx/model.onnx', size: graph.length, sha256: sha256(graph) }],
    config_sha256: model.identity.config_sha256,
    tokenizer_sha256: sha256(JSON.stringify(tokenizerJson())),
    chat_template_sha256: sha256(TEMPLATE),
  });
  assert.deepEqual(model.engine, { mode: 'naive', form: 'naive' });
  assert.match(model.identity.config_sha256, /^[0-9a-f]{64}$/);
  // Another end of answers is another checkpoint.
  const ended = folderWith(t, { ...files, 'generation_config.json': '{"eos_token_id":[1,2]}' });
  assert.notEqual((await open(t, ended, { max_length: 32 })).identity.config_sha256, model.identity.config_sha256);
  const bare = await open(t, folderWith(t, toyFiles()), { onnx_file: 'onnx/model.onnx', dtype: 'q4' });
  assert.deepEqual([bare.identity.dtype, bare.identity.chat_template_sha256], ['onnx/model.onnx', null]);
});

test('chat: rendered with the template, refused with one line where there is none', async (t) => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
  const model = await open(t, folderWith(t, { ...toyFiles(), 'chat_template.json': { chat_template: TEMPLATE } }));
  assert.equal(model.renderChat(messages), 'user: Hello\nassistant:');
  const bare = await open(t, folderWith(t, toyFiles()));
  assert.throws(() => bare.renderChat(messages), userError('model.chat_template', 'true, but', 'has no chat template'));
});

test('countTokens counts a context as loglikelihood does', async (t) => {
  const model = await open(t, folderWith(t, { ...toyFiles(), 'tokenizer.json': tokenizerJson(BOS_TEMPLATE) }));
  for (const context of ['The capital is', '<s>The capital is']) {
    const [answer] = await model.loglikelihood([{ context, continuation: ' A' }]);
    assert.equal(model.countTokens(context), answer?.num_context_tokens);
  }
  assert.equal(model.countTokens('<s>The'), model.countTokens('The'));
});

test("an answer ends at the tokenizer's EOS, and at those of generation_config.json", async (t) => {
  const [first, second] = toyAnswer(tokenizer.encode('Answer:'), 2, VOCAB);
  const endAt = async (files: Record<string, unknown>) => {
    const model = await open(t, folderWith(t, { ...toyFiles(), ...files }));
    const [found] = await model.generateUntil([{ context: 'Answer:', until: [], max_new_tokens: 8 }]);
    return [found?.finish_reason, found?.num_output_tokens];
  };
  assert.deepEqual(await endAt({ 'generation_config.json': { eos_token_id: [2, first] } }), ['stop', 1]);
  assert.deepEqual(await endAt({ 'generation_config.json': { eos_token_id: second } }), ['stop', 2]);
  const eos_token = tokenizer.decode([first!], true);
  assert.deepEqual(await endAt({ 'tokenizer_config.json': { eos_token } }), ['stop', 1]);
  assert.deepEqual(await endAt({ 'special_tokens_map.json': { eos_token: '</s>' } }), ['length', 8]);
});

test('special_tokens_map.json gives the prefix token where tokenizer_config.json has none', async (t) => {
  const files = { ...toyFiles(), 'tokenizer_config.json': {} };
  const request = { context: '', continuation: ' Paris' };
  const bare = await open(t, folderWith(t, files));
  await assert.rejects(bare.loglikelihood([request]), /neither a BOS nor an EOS/);
  await assert.rejects(bare.loglikelihoodRolling(['Paris']), /neither a BOS nor an EOS/);
  const mapped = await open(
    t,
    folderWith(t, { ...files, 'special_tokens_map.json': { bos_token: { content: '<s>' } } }),
  );
  const usual = await open(t, folderWith(t, toyFiles()));
  assert.deepEqual(await mapped.loglikelihood([request]), await usual.loglikelihood([request]));
});

test('a vision-language layout: embed_tokens and a decoder of embeddings, sizes from text_config', async (t) => {
  const { 'onnx/model.onnx': _, ...files } = toyFiles();
  const folder = folderWith(t, {
    ...files,
    'config.json': { vision_config: {}, text_config: { ...TOY_CONFIG, max_position_embeddings: 64 } },
    'onnx/embed_tokens.onnx': toyEmbed(),
    'onnx/decoder_model_merged.onnx': toyDecoder({ vocab: VOCAB, embeds: 'float32', headDims: ['h', 'd'] }),
  });
  const model = await open(t, folder);
  assert.deepEqual(
    [model.identity.is_vlm, model.identity.files.map(({ path }) => path)],
    [true, ['onnx/decoder_model_merged.onnx', 'onnx/embed_tokens.onnx']],
  );
  const usual = await open(t, folderWith(t, toyFiles()));
  const request = { context: 'The capital of France is', until: [], max_new_tokens: 6 };
  assert.deepEqual(await model.generateUntil([request]), await usual.generateUntil([request]));
});

test('a vision-language checkpoint answers about pictures, and says how it came to it', async (t) => {
  const folder = folderWith(t, {
    ...toyVlmFolder(),
    'onnx/vision_encoder_fp16.onnx': toyVision({ type: 'float16' }),
    'chat_template.json': {
      chat_template:
        '{% for m in messages %}{% for p in m.content %}{% if p.type == "image" %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}',
    },
  });
  const colour: Colour = [200, 10, 3];
  const images = [await picture(colour)];
  const content = [{ type: 'text', text: 'What is ' }, { type: 'image' }, { type: 'text', text: '?' }] as const;
  for (const [dtype, words, file] of [
    ['fp32', 'fp32', 'onnx/vision_encoder.onnx'],
    [{ vision_encoder: 'fp16' }, 'vision_encoder fp16', 'onnx/vision_encoder_fp16.onnx'],
  ] as const) {
    const model = await open(t, folder, { dtype });
    assert.equal(model.identity.dtype, words);
    assert.deepEqual(
      model.identity.files.map(({ path }) => path),
      ['onnx/decoder_model_merged.onnx', 'onnx/embed_tokens.onnx', file],
    );
    assert.equal(model.engine.vision_tiles, TILES);
    const context = model.renderChat([{ role: 'user', content }]);
    assert.equal(context, 'What is <image>?');
    const [found] = await model.generateUntil([{ context, images, until: [], max_new_tokens: 4 }]);
    const ids = [...tokenizer.encode('What is '), ...colour, ...tokenizer.encode('?')];
    assert.equal(found?.output, tokenizer.decode(toyAnswer(ids, 4, VOCAB)));
    assert.equal(model.engineStats().images, 1);
  }
});

test('a picture for a checkpoint that takes none is refused on one line', async (t) => {
  const images = [await picture([1, 2, 3])];
  const model = await open(t, folderWith(t, toyFiles()));
  await assert.rejects(
    model.loglikelihood([{ context: '<image>', images, continuation: ' A' }]),
    userError('model.model_id', 'no preprocessor_config.json'),
  );
  const { 'onnx/vision_encoder.onnx': _, ...blind } = toyVlmFolder();
  const texts = await open(t, folderWith(t, blind));
  assert.ok(!('vision_tiles' in texts.engine));
  await assert.rejects(
    texts.generateUntil([{ context: '<image>', images, until: [], max_new_tokens: 1 }]),
    userError('model.model_id', 'no vision_encoder graph'),
  );
});

// ---------------------------------------------------------------- tiny_smolvlm, text only

const VLM = join(SHARED, 'models/tiny_smolvlm');
const noVlm = existsSync(VLM) ? false : 'needs ../shared/models/tiny_smolvlm';
interface Case {
  id: string;
  images: unknown[];
  messages: { role: ChatMessage['role']; content: { text: string }[] }[];
  prompt: string;
  num_tokens: number;
  first_logits_top20: [id: number, value: number][];
  greedy_ids: number[];
  greedy_gaps: number[];
  greedy_stop: number | null;
  greedy_text: string;
  onnx: Record<string, { greedy_ids?: number[] }>;
}
const textCases = () =>
  readJson<{ cases: Case[] }>(join(VLM, 'references.json')).cases.filter(({ images }) => images.length === 0);

/** The tokens to compare: up to the first step whose two best logits lie closer than this (README there). */
const sureTokens = ({ greedy_gaps }: Case, gap: number) => {
  const unsure = greedy_gaps.findIndex((one) => one < gap);
  return unsure < 0 ? greedy_gaps.length : unsure;
};

for (const [dtype, gap, tolerance] of [
  ['fp32', 0.02, 1e-2],
  ['fp16', 0.2, 0.1],
  [{ decoder_model_merged: 'q4' }, 0, 1e-4],
] as const) {
  const decoderType = typeof dtype === 'string' ? dtype : dtype.decoder_model_merged;
  test(`tiny_smolvlm ${decoderType}, text only: logits and answers are those of its references`, {
    skip: noVlm,
  }, async (t) => {
    const repo = await openFolder(VLM, 'model');
    const asked = settings({ model_id: VLM, dtype });
    const checkpoint = await openCheckpoint(repo, asked);
    const decoder = await openDecoder(checkpoint, asked, 1);
    t.after(() => decoder.close());
    const model = await open(t, VLM, { dtype });
    const own = openTokenizer(checkpoint.tokenizerJson, checkpoint.tokenizerConfig);
    const cases = textCases();
    assert.equal(cases.length, 4);
    let [largestCache, largest] = [0, 0];
    for (const one of cases) {
      const messages = one.messages.map(({ role, content }) => ({ role, content: content[0]?.text ?? '' }));
      const prompt = model.renderChat(messages);
      assert.equal(prompt, one.prompt);
      const ids = own.encode(prompt);
      assert.equal(ids.length, one.num_tokens);

      const whole = await decoder.forward(ids, null, true);
      const last = whole.logits.subarray((whole.rows - 1) * whole.vocab);
      if (decoderType !== 'q4') {
        for (const [id, value] of one.first_logits_top20) largest = Math.max(largest, Math.abs(last[id]! - value));
      }
      let cache = null;
      for (let i = 0; i < ids.length; i += 1) {
        const step = await decoder.forward([ids[i]!], cache, true);
        cache = step.cache;
        const row = whole.logits.subarray(i * whole.vocab);
        for (let v = 0; v < step.vocab; v += 1)
          largestCache = Math.max(largestCache, Math.abs(step.logits[v]! - row[v]!));
      }

      const greedy = one.onnx[decoderType]?.greedy_ids ?? one.greedy_ids;
      const sure = decoderType === 'q4' ? greedy.length : sureTokens(one, gap);
      const end = greedy.indexOf(checkpoint.eosTokens[0]!);
      const count = end < 0 ? sure : Math.min(sure, end + 1);
      if (count === 0) continue;
      const [found] = await model.generateUntil([{ context: prompt, until: [], max_new_tokens: count }]);
      assert.equal(found?.output, own.decode(greedy.slice(0, count)), one.id);
      assert.equal(found?.finish_reason, end >= 0 && end < count ? 'stop' : 'length');
    }
    t.diagnostic(
      `cached and whole differ by ${largestCache.toExponential(2)}, references by ${largest.toExponential(2)}`,
    );
    assert.ok(largest < tolerance);
    assert.ok(largestCache < (decoderType === 'fp16' ? 0.1 : 1e-3), `${largestCache}`);
  });
}
