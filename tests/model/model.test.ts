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
import type { Ask, ChatMessage, Model, Prompt } from '../../nanoeval/questions.ts';
import { sha256 } from '../../nanoeval/text/hash.ts';
import { RowError } from '../../nanoeval/types.ts';
import { workersHere } from '../here_workers.ts';
import { askAll, askEach, askOne, choice, generate, scoreOne } from './ask_one.ts';
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
import { type Colour, picture, TOKENS, toyVision, toyVlmFolder } from './toy_vlm.ts';

const VOCAB = 320;
const ENGINE = engineSection.parse({ mode: 'naive', threads_per_worker: 1 });
const log = { info: () => {}, progress: () => {} };
const TEMPLATE = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:';
const SEEING_TEMPLATE =
  '{% for m in messages %}{% for p in m.content %}{% if p.type == "image" %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}';
const tokenizer = byteLevelTokenizer();
const pathsOf = ({ identity }: Model) => (identity.source.files as { path: string }[]).map(({ path }) => path);

function toyFiles(): Record<string, unknown> {
  return {
    'config.json': { ...TOY_CONFIG, max_position_embeddings: 64 },
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': { bos_token: '<s>', eos_token: { content: '</s>' } },
    'onnx/model.onnx': toyDecoder({ vocab: VOCAB }),
  };
}

async function open(t: TestContext, folder: string, keys: Parameters<typeof settings>[0] = {}): Promise<Model> {
  t.after(workersHere());
  const model = await openModel(
    await openFolder(folder, 'model'),
    settings({ model_id: folder, ...keys }),
    ENGINE,
    log,
  );
  t.after(() => model.close());
  return model;
}

test('a checkpoint whose configs name no token that ends an answer says so', async (t) => {
  const none = { ...toyFiles(), 'tokenizer_config.json': {} };
  const files: [ends: boolean, files: object][] = [
    [true, toyFiles()],
    [true, { ...none, 'generation_config.json': { eos_token_id: [2] } }],
    [false, none],
  ];
  for (const [ends, given] of files) {
    const model = await open(t, folderWith(t, given as Record<string, unknown>));
    assert.equal(model.can.ends, ends);
    await model.close();
  }
});

test('a token beyond the table of embeddings fails its row alone, and is said at the start', async (t) => {
  // The tokenizer has 320 ids; " A" is 278, "The" 270, "Paris" 269 and 275.
  const model = await open(
    t,
    folderWith(t, { ...toyFiles(), 'onnx/model.onnx': toyDecoder({ vocab: VOCAB, table: 276 }) }),
  );
  assert.deepEqual(model.remarks, [
    "the tokenizer has 44 ids beyond the 276 rows of the model's table: a row that holds one of them fails",
  ]);
  const beyond = "token 278 is beyond the 276 rows of the model's table of embeddings.";
  const ranked = (prompt: string, continuation: string): Ask => ({
    verb: 'loglikelihood',
    prompt,
    choices: [choice(continuation)],
  });
  const generated = (prompt: string): Ask => ({ verb: 'generate_until', prompt, until: [], max_new_tokens: 1 });
  const asked: [ask: Ask, failed: string | null][] = [
    [ranked('The A', 'Paris'), beyond],
    [ranked('The', 'Paris'), null],
    // The last token is scored and never fed.
    [ranked('The', ' A'), null],
    [generated('The A'), beyond],
    [generated('The'), null],
    [{ verb: 'loglikelihood_rolling', text: 'The A A' }, beyond],
    [{ verb: 'loglikelihood_rolling', text: 'The' }, null],
  ];
  for (const [ask, failed] of asked) {
    const [found] = await askEach(model, [ask]);
    assert.equal(found instanceof RowError ? found.message : null, failed, JSON.stringify(ask));
  }
});

test('logits in float16 are said to whoever reads the numbers, on the plain path too', async (t) => {
  const files = { ...toyFiles(), 'onnx/model.onnx': toyDecoder({ vocab: VOCAB, logits: 'float16' }) };
  const model = await open(t, folderWith(t, files));
  assert.equal(model.remarks.length, 1);
  assert.match(model.remarks[0]!, /^the graph gives its logits in float16: /);
});

test('the three verbs, each choice and each question by itself', async (t) => {
  const model = await open(t, folderWith(t, toyFiles()));
  const continuations = [' Paris', ' London', ' A'];
  const reply = await askOne(model, {
    verb: 'loglikelihood',
    prompt: 'The capital is',
    choices: continuations.map((continuation) => choice(continuation)),
  });
  reply.choices.forEach((answer, i) => {
    const { context, continuation } = tokenizer.encodePair('The capital is', continuations[i]!);
    const all = [...context, ...continuation];
    const best = favourites(all, VOCAB);
    const scored = all.slice(1).map((id, at) => toyLogprob(best[at]!, id, VOCAB));
    const expected = scored.slice(context.length - 1).reduce((a, b) => a + b);
    assert.ok(Math.abs(answer.logprob - expected) < 1e-9);
  });
  const one = await Promise.all(continuations.map((continuation) => scoreOne(model, 'The capital is', continuation)));
  assert.deepEqual(
    one.map(({ logprob, num_tokens, is_greedy }) => ({ logprob, num_tokens, is_greedy })),
    reply.choices,
  );
  const contexts = ['The', 'Answer:'];
  const outputs = await askAll(
    model,
    contexts.map((prompt) => ({ verb: 'generate_until' as const, prompt, until: [], max_new_tokens: 4 })),
  );
  const expected = contexts.map((context) => tokenizer.decode(toyAnswer(tokenizer.encode(context), 4, VOCAB)));
  assert.deepEqual(
    outputs.map(({ output }) => output),
    expected,
  );
  const rolling = (text: string) => ({ verb: 'loglikelihood_rolling' as const, text });
  const both = await askAll(model, [rolling('The capital'), rolling('Paris')]);
  assert.deepEqual(both, [await askOne(model, rolling('The capital')), await askOne(model, rolling('Paris'))]);
  assert.deepEqual(await askAll(model, []), []);
  assert.deepEqual(model.can.verbs, ['loglikelihood', 'generate_until', 'loglikelihood_rolling']);
});

test('what identifies the checkpoint', async (t) => {
  const files = { ...toyFiles(), 'chat_template.jinja': TEMPLATE };
  const folder = folderWith(t, files);
  const model = await open(t, folder, { max_length: 32 });
  const graph = toyDecoder({ vocab: VOCAB });
  const { config_sha256 } = model.identity.source;
  assert.deepEqual(model.identity, {
    label: folder,
    variant: 'fp32',
    backend: 'onnx',
    max_length: 32,
    is_vlm: false,
    chat_template_sha256: sha256(TEMPLATE),
    sha256: model.identity.sha256,
    source: {
      model_id: folder,
      revision: null,
      commit: null,
      dtype: 'fp32',
      device: 'cpu',
      files: [{ path: 'onnx/model.onnx', size: graph.length, sha256: sha256(graph) }],
      config_sha256,
      tokenizer_sha256: sha256(JSON.stringify(tokenizerJson())),
    },
  });
  assert.deepEqual(model.engine, { mode: 'naive', form: 'naive' });
  assert.deepEqual(model.remarks, []);
  assert.match(String(config_sha256), /^[0-9a-f]{64}$/);
  // Another end of answers is another checkpoint.
  const ended = folderWith(t, { ...files, 'generation_config.json': '{"eos_token_id":[1,2]}' });
  const other = (await open(t, ended, { max_length: 32 })).identity;
  assert.notEqual(other.source.config_sha256, config_sha256);
  assert.notEqual(other.sha256, model.identity.sha256);
  const bare = await open(t, folderWith(t, toyFiles()), { onnx_file: 'onnx/model.onnx', dtype: 'q4' });
  assert.deepEqual(
    [bare.identity.variant, bare.identity.source.dtype, bare.identity.chat_template_sha256],
    ['onnx/model.onnx', 'onnx/model.onnx', null],
  );
});

test('what it can be asked, and what it has done', async (t) => {
  const plain = await open(t, folderWith(t, toyFiles()));
  assert.deepEqual([plain.can.images, plain.can.chat], [false, false]);
  const before = plain.stats();
  await generate(plain, 'Answer:', 3);
  const { workers, threads_per_worker, passes, halved_passes } = plain.stats();
  assert.deepEqual([workers, threads_per_worker, halved_passes], [1, 1, 0]);
  assert.ok(passes! > before.passes!, `${before.passes} passes, then ${passes}`);
  const { 'onnx/vision_encoder.onnx': _, ...blind } = toyVlmFolder();
  for (const [files, images] of [
    [toyVlmFolder(), true],
    [blind, false],
  ] as const)
    assert.equal((await open(t, folderWith(t, { ...files }))).can.images, images);
  const template = { ...toyFiles(), 'chat_template.json': { chat_template: TEMPLATE } };
  assert.equal((await open(t, folderWith(t, template))).can.chat, true);
});

test('chat: rendered with the template, refused with one line where there is none', async (t) => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
  const model = await open(t, folderWith(t, { ...toyFiles(), 'chat_template.json': { chat_template: TEMPLATE } }));
  assert.equal(await model.renderChat(messages), 'user: Hello\nassistant:');
  assert.deepEqual((await scoreOne(model, messages, ' A')).prompts, ['user: Hello\nassistant:']);
  assert.deepEqual(
    await generate(model, messages, 3),
    await generate(model, 'user: Hello\nassistant:', 3),
    'a conversation is asked as its text',
  );
  const bare = await open(t, folderWith(t, toyFiles()));
  const refused = userError('model.chat_template', 'true, but', 'has no chat template');
  await assert.rejects(bare.renderChat(messages), refused);
  await assert.rejects(generate(bare, messages, 3), refused);
  await assert.rejects(bare.countTokens(messages), refused);
});

test('chat: the template is told whether to think', async (t) => {
  const messages: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
  const template = `${TEMPLATE}{{ enable_thinking is defined and enable_thinking }}`;
  const folder = folderWith(t, { ...toyFiles(), 'chat_template.json': { chat_template: template } });
  const model = await open(t, folder, { enable_thinking: true });
  assert.equal(await model.renderChat(messages), 'user: Hello\nassistant:True');
  assert.equal(model.can.thinking_switch, true);
  assert.equal(await (await open(t, folder)).renderChat(messages), 'user: Hello\nassistant:False');
});

test('countTokens counts a context as loglikelihood does', async (t) => {
  const model = await open(t, folderWith(t, { ...toyFiles(), 'tokenizer.json': tokenizerJson(BOS_TEMPLATE) }));
  for (const context of ['The capital is', '<s>The capital is']) {
    const answer = await scoreOne(model, context, ' A');
    assert.equal(await model.countTokens(context), answer.num_context_tokens);
  }
  assert.equal(await model.countTokens('<s>The'), await model.countTokens('The'));
});

test('countTokens counts the pictures of a prompt as an answer does, through the template and without it', async (t) => {
  const folder = folderWith(t, { ...toyVlmFolder(), 'chat_template.json': { chat_template: SEEING_TEMPLATE } });
  const model = await open(t, folder);
  const [red, green] = [await picture([200, 10, 3]), await picture([9, 180, 77], 9, 2)];
  const parts = [
    { type: 'text', text: 'What are ' },
    { type: 'image', bytes: red },
    { type: 'text', text: ' and ' },
    { type: 'image', bytes: green },
    { type: 'text', text: '?' },
  ] as const;
  const prompts: Prompt[] = [parts, [{ role: 'user', content: parts }], [parts[4]], 'What are', parts.slice(1, 2)];
  const counts = [];
  for (const prompt of prompts) {
    const count = await model.countTokens(prompt);
    assert.equal(count, (await scoreOne(model, prompt, ' A')).num_context_tokens);
    assert.equal(count, (await generate(model, prompt, 2)).num_context_tokens);
    counts.push(count);
  }
  const words = tokenizer.encode('What are ').length + tokenizer.encode(' and ').length + tokenizer.encode('?').length;
  assert.deepEqual([counts[0], counts[1], counts.at(-1)], [words + 2 * TOKENS, words + 2 * TOKENS, TOKENS]);
  const broken = { type: 'image', bytes: Uint8Array.of(1, 2) } as const;
  await assert.rejects(model.countTokens([broken]), (error) => error instanceof RowError && error.kind === 'image');
});

test("an answer ends at the tokenizer's EOS, and at those of generation_config.json", async (t) => {
  const [first, second] = toyAnswer(tokenizer.encode('Answer:'), 2, VOCAB);
  const endAt = async (files: Record<string, unknown>) => {
    const model = await open(t, folderWith(t, { ...toyFiles(), ...files }));
    const found = await generate(model, 'Answer:', 8);
    return [found.finish_reason, found.num_output_tokens];
  };
  assert.deepEqual(await endAt({ 'generation_config.json': { eos_token_id: [2, first] } }), ['stop', 1]);
  assert.deepEqual(await endAt({ 'generation_config.json': { eos_token_id: second } }), ['stop', 2]);
  const eos_token = tokenizer.decode([first!], true);
  assert.deepEqual(await endAt({ 'tokenizer_config.json': { eos_token } }), ['stop', 1]);
  assert.deepEqual(await endAt({ 'special_tokens_map.json': { eos_token: '</s>' } }), ['length', 8]);
});

test('special_tokens_map.json gives the prefix token where tokenizer_config.json has none', async (t) => {
  const files = { ...toyFiles(), 'tokenizer_config.json': {} };
  const bare = await open(t, folderWith(t, files));
  await assert.rejects(scoreOne(bare, '', ' Paris'), /neither a BOS nor an EOS/);
  const rolling = { verb: 'loglikelihood_rolling', text: 'Paris' } as const;
  await assert.rejects(askOne(bare, rolling), /neither a BOS nor an EOS/);
  const mapped = await open(
    t,
    folderWith(t, { ...files, 'special_tokens_map.json': { bos_token: { content: '<s>' } } }),
  );
  const usual = await open(t, folderWith(t, toyFiles()));
  assert.deepEqual(await scoreOne(mapped, '', ' Paris'), await scoreOne(usual, '', ' Paris'));
  assert.deepEqual(await askOne(mapped, rolling), await askOne(usual, rolling));
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
    [model.identity.is_vlm, pathsOf(model)],
    [true, ['onnx/decoder_model_merged.onnx', 'onnx/embed_tokens.onnx']],
  );
  const usual = await open(t, folderWith(t, toyFiles()));
  const prompt = 'The capital of France is';
  assert.deepEqual(await generate(model, prompt, 6), await generate(usual, prompt, 6));
});

test('a vision-language checkpoint answers about pictures, and says how it came to it', async (t) => {
  const folder = folderWith(t, {
    ...toyVlmFolder(),
    'onnx/vision_encoder_fp16.onnx': toyVision({ type: 'float16' }),
    'chat_template.json': { chat_template: SEEING_TEMPLATE },
  });
  const colour: Colour = [200, 10, 3];
  const image = { type: 'image', bytes: await picture(colour) } as const;
  const content = [{ type: 'text', text: 'What is ' }, image, { type: 'text', text: '?' }] as const;
  const messages: ChatMessage[] = [{ role: 'user', content }];
  for (const [dtype, words, file] of [
    ['fp32', 'fp32', 'onnx/vision_encoder.onnx'],
    [{ vision_encoder: 'fp16' }, 'vision_encoder fp16', 'onnx/vision_encoder_fp16.onnx'],
  ] as const) {
    const model = await open(t, folder, { dtype });
    assert.deepEqual([model.identity.variant, model.identity.source.dtype], [words, words]);
    assert.deepEqual(pathsOf(model), ['onnx/decoder_model_merged.onnx', 'onnx/embed_tokens.onnx', file]);
    assert.equal(model.engine.vision_tiles, TILES);
    assert.equal(await model.renderChat(messages), 'What is <image>?');
    const found = await generate(model, messages, 4);
    assert.deepEqual(found.prompts, ['What is <image>?']);
    const ids = [...tokenizer.encode('What is '), ...colour, ...tokenizer.encode('?')];
    assert.equal(found.output, tokenizer.decode(toyAnswer(ids, 4, VOCAB)));
    assert.equal(found.num_context_tokens, ids.length);
    assert.equal(model.stats().images, 1);
  }
});

test('a picture for a checkpoint that takes none is refused on one line', async (t) => {
  const prompt = [{ type: 'image', bytes: await picture([1, 2, 3]) }] as const;
  const model = await open(t, folderWith(t, toyFiles()));
  const refused = userError('model.model_id', 'takes no pictures', 'no vision-language checkpoint');
  await assert.rejects(scoreOne(model, prompt, ' A'), refused);
  await assert.rejects(model.countTokens(prompt), refused);
  const { 'onnx/vision_encoder.onnx': _, ...blind } = toyVlmFolder();
  const texts = await open(t, folderWith(t, { ...blind, 'chat_template.json': { chat_template: SEEING_TEMPLATE } }));
  assert.ok(!('vision_tiles' in texts.engine));
  const blindly = userError('model.model_id', 'takes no pictures', 'vision_encoder');
  await assert.rejects(generate(texts, prompt, 1), blindly);
  await assert.rejects(generate(texts, [{ role: 'user', content: prompt }], 1), blindly);
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
      const prompt = await model.renderChat(messages);
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
      const found = await generate(model, messages, count);
      assert.deepEqual(found.prompts, [prompt]);
      assert.equal(found.output, own.decode(greedy.slice(0, count)), one.id);
      assert.equal(found.finish_reason, end >= 0 && end < count ? 'stop' : 'length');
    }
    t.diagnostic(
      `cached and whole differ by ${largestCache.toExponential(2)}, references by ${largest.toExponential(2)}`,
    );
    assert.ok(largest < tolerance);
    assert.ok(largestCache < (decoderType === 'fp16' ? 0.1 : 1e-3), `${largestCache}`);
  });
}
