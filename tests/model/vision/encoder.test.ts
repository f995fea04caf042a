/**
 * The vision encoder: over toy graphs whose features are known, and tiny_smolvlm of ../shared against transformers'
 * answers.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { engineSection } from '../../../nanoeval/config/keys.ts';
import { openFolder } from '../../../nanoeval/data/hub.ts';
import { openCheckpoint } from '../../../nanoeval/model/checkpoint.ts';
import { openModel } from '../../../nanoeval/model/model.ts';
import { openTokenizer } from '../../../nanoeval/model/tokenizer.ts';
import { openVisionEncoder } from '../../../nanoeval/model/vision/encoder.ts';
import { familyOf, TILES } from '../../../nanoeval/model/vision/family.ts';
import { imageSize } from '../../../nanoeval/model/vision/image.ts';
import type { ChatMessage, GenerateAsk, GenerationReply, Model } from '../../../nanoeval/questions.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { workersHere } from '../../here_workers.ts';
import { each, generate, scoreOne, unending } from '../ask_one.ts';
import { folderWith, readJson, SHARED, settings, userError } from '../fixtures.ts';
import { graphWriter } from '../onnx_writer.ts';
import { type Colour, cutOff, picture, toyVlm, type VisionOptions } from '../toy_vlm.ts';

const RED: Colour = [200, 10, 3];

async function look(t: TestContext, options: VisionOptions, bytes: Uint8Array, files = toyVlm(t, {}, options)) {
  const encoder = await openVisionEncoder(files, settings(), 1);
  t.after(() => encoder.close());
  return encoder.look(bytes);
}

const FORMS: Record<string, VisionOptions> = {
  'tiles of four dimensions': {},
  'tiles of five dimensions': { batched: true },
  'a pixel_attention_mask': { batched: true, mask: true },
  'float16 pixels': { type: 'float16' },
  'float16 pixels and features, a mask': { type: 'float16', features: 'float16', batched: true, mask: true },
  'features by another name': { output: 'last_hidden_state' },
};

for (const [name, options] of Object.entries(FORMS)) {
  test(`${name}: the features of a picture of one colour`, async (t) => {
    const { features, tiles, ...times } = await look(t, options, await picture(RED));
    assert.deepEqual(
      [...features],
      RED.flatMap((value) => [value, -value]),
    );
    assert.equal(tiles, 1);
    for (const took of Object.values(times)) assert.ok(took >= 0);
  });
}

test('many tiles go through the graph some at a time, and their features come in order', async (t) => {
  // An idefics3 that cuts a picture of 4 x 4 pixels into 16 tiles of 8 x 8, and adds a small one.
  const files = {
    ...toyVlm(t),
    config: { model_type: 'idefics3', image_token_id: 320 },
    preprocessor: {
      size: { longest_edge: 32 },
      max_image_size: { longest_edge: 8 },
      // A box: enlarged by a whole number, pixels are repeated.
      resample: 4,
      do_rescale: false,
      do_normalize: false,
    },
    processor: { image_seq_len: 3 },
  };
  const pixels = Buffer.from(Array.from({ length: 3 * 16 }, (_, i) => 5 * i));
  const bytes = await sharp(pixels, { raw: { width: 4, height: 4, channels: 3 } })
    .png()
    .toBuffer();
  const encoder = await openVisionEncoder(files, settings(), 1);
  t.after(() => encoder.close());
  const { features, tiles } = await encoder.look(bytes);
  const firsts = Array.from({ length: features.length / 2 }, (_, i) => features[2 * i]!);
  assert.deepEqual([tiles, tiles > 4 * TILES, firsts.length], [17, true, 51]);
  assert.deepEqual(firsts.slice(0, 48), [...pixels]);
});

test('a file that is no picture is the row’s fault', async (t) => {
  for (const bytes of [await cutOff(), new Uint8Array(0)])
    await assert.rejects(look(t, {}, bytes), (error) => error instanceof RowError && error.kind === 'image');
});

test('what a checkpoint lacks, or its graph wants beyond what is known, is named', async (t) => {
  const files = toyVlm(t);
  const open = (given: typeof files) => openVisionEncoder(given, settings(), 1);
  await assert.rejects(
    open({ ...files, graphs: { ...files.graphs, vision: null } }),
    userError('model.model_id', 'no vision_encoder graph'),
  );
  const silent = { ...files, preprocessor: null, processor: null };
  assert.throws(() => familyOf(silent), userError('model.model_id', 'no preprocessor_config.json'));
  await assert.rejects(open(silent), userError('model.model_id', 'no preprocessor_config.json'));
  assert.equal(familyOf({ ...files, preprocessor: null }).placeholder, '<image>');
  const g = graphWriter();
  g.node('Identity', [g.input('pixel_position_ids', 'int64', ['n'])], {}, 'image_features');
  g.output('image_features', 'int64', ['n']);
  const strange = join(folderWith(t, { 'vision.onnx': g.bytes() }), 'vision.onnx');
  await assert.rejects(
    open({ ...files, graphs: { ...files.graphs, vision: strange } }),
    userError('model.model_id', '"pixel_position_ids" (int64 [n])', 'pixel_values'),
  );
  // Flattened patches are another kind of pixel_values.
  const flat = graphWriter();
  flat.node('Identity', [flat.input('pixel_values', 'float32', ['patches', 588])], {}, 'image_features');
  flat.output('image_features', 'float32', ['patches', 588]);
  const path = join(folderWith(t, { 'vision.onnx': flat.bytes() }), 'vision.onnx');
  await assert.rejects(
    open({ ...files, graphs: { ...files.graphs, vision: path } }),
    userError('model.model_id', '"pixel_values" (float32 [patches, 588])'),
  );
});

// ---------------------------------------------------------------- tiny_smolvlm

const VLM = join(SHARED, 'models/tiny_smolvlm');
const skip = existsSync(VLM) ? false : 'needs ../shared/models/tiny_smolvlm';
const LETTERS = [...'ABCDEFGHIJ'];

interface Asked {
  id: string;
  images: string[];
  /** Pictures without their bytes. */
  messages: { role: ChatMessage['role']; content: ({ type: 'text'; text: string } | { type: 'image' })[] }[];
  prompt: string;
  num_tokens: number;
  num_image_tokens: number;
  input_ids_rle: (number | [id: number, times: number])[];
  greedy_ids: number[];
  greedy_gaps: number[];
}
interface Case extends Asked {
  do_image_splitting: boolean;
  image_features?: { shape: number[]; probes: number[] };
  first_logits_top20: [id: number, value: number][];
}
interface Letter {
  letter: string;
  gap: number;
}
interface Posed extends Asked {
  num_options: number;
  logits_plain: number[];
  logits_space: number[];
  letter_plain: Letter;
  letter_space: Letter;
  greedy_text: string;
}
const references = () => readJson<{ cases: Case[]; questions: Posed[] }>(join(VLM, 'references.json'));
const bytesOf = (path: string) => new Uint8Array(readFileSync(join(VLM, path)));

/** What is asked, the pictures in their places. */
function conversation({ messages, images }: Asked): ChatMessage[] {
  const files = images.map(bytesOf);
  return messages.map(({ role, content }) => ({
    role,
    content: content.map((part) => (part.type === 'text' ? part : { ...part, bytes: files.shift()! })),
  }));
}

/** The checkpoint as it lies there, or one that does not cut pictures into tiles. */
function folderOf(t: TestContext, splitting: boolean): string {
  if (splitting) return VLM;
  const name = 'preprocessor_config.json';
  const folder = folderWith(t, { [name]: { ...readJson<object>(join(VLM, name)), do_image_splitting: false } });
  for (const other of readdirSync(VLM)) if (other !== name) symlinkSync(join(VLM, other), join(folder, other));
  return folder;
}

type Keys = Parameters<typeof settings>[0];

async function openAs(t: TestContext, mode: 'auto' | 'naive', splitting: boolean, keys: Keys = {}) {
  const folder = folderOf(t, splitting);
  const repo = await openFolder(folder, 'model');
  const asked = settings({ model_id: folder, ...keys });
  const checkpoint = await openCheckpoint(repo, asked);
  const own = openTokenizer(checkpoint.tokenizerJson, checkpoint.tokenizerConfig);
  const log = { info: () => {}, progress: () => {} };
  t.after(workersHere());
  const model = await openModel(repo, asked, engineSection.parse({ mode }), log);
  t.after(() => model.close());
  return { model, own, files: checkpoint };
}

interface Limits {
  /** Differences of two first-step logits. */
  logits: number;
  /** Steps and letters whose two best lie closer are not compared. */
  gap: number;
}

/** Asks all, holds every answer against the references; the largest difference of a logit, and what was compared. */
async function compare(
  { model, own, files }: Awaited<ReturnType<typeof openAs>>,
  asked: readonly (Case | Posed)[],
  limits: Limits,
) {
  const counts = { prompts: 0, letters: 0, tokens: 0, worst: 0 };
  const family = familyOf(files);
  const watch = (one: Case | Posed): { texts: string[]; logits: number[] } => {
    if ('logits_plain' in one) {
      const texts = [...LETTERS, ...LETTERS.map((letter) => ` ${letter}`)];
      return { texts, logits: [...one.logits_plain, ...one.logits_space] };
    }
    const sayable = one.first_logits_top20.filter(([id]) => own.encodePlain(own.decode([id], true)).join() === `${id}`);
    assert.ok(sayable.length > 10);
    return { texts: sayable.map(([id]) => own.decode([id], true)), logits: sayable.map(([, value]) => value) };
  };
  const sure = (one: Asked) => {
    const unsure = one.greedy_gaps.findIndex((gap) => gap < limits.gap);
    const end = one.greedy_ids.indexOf(files.eosTokens[0]!);
    const most = unsure < 0 ? one.greedy_ids.length : unsure;
    return end < 0 ? most : Math.min(most, end + 1);
  };
  const asks: { place: number; content: GenerateAsk }[] = [];
  for (const [place, one] of asked.entries()) {
    const expanded: string[] = [];
    for (const path of one.images) expanded.push(family.expand(await imageSize(bytesOf(path))).text);
    const text = one.prompt.split('<image>').reduce((all, part, i) => all + expanded[i - 1]! + part);
    const wanted = one.input_ids_rle.flatMap((run) => (typeof run === 'number' ? run : new Array(run[1]).fill(run[0])));
    assert.deepEqual(own.encode(text), wanted, one.id);
    const content: GenerateAsk = {
      verb: 'generate_until',
      prompt: conversation(one),
      until: [],
      max_new_tokens: Math.max(1, sure(one)),
      first_tokens: watch(one).texts,
    };
    asks.push({ place, content });
  }
  for await (const { place, content } of model.answer(each(asks), unending)) {
    if (content instanceof RowError) throw content;
    check(asked[place]!, content as GenerationReply);
  }
  assert.equal(counts.prompts, asked.length);
  return counts;

  function check(one: Case | Posed, found: GenerationReply): void {
    counts.prompts += 1;
    assert.deepEqual(found.prompts, [one.prompt], one.id);
    assert.equal(found.num_context_tokens, one.num_tokens, one.id);
    const { texts, logits } = watch(one);
    const logprobs = texts.map((text) => found.first_logprobs![text]!);
    for (const [i, value] of logits.entries())
      counts.worst = Math.max(counts.worst, Math.abs(logprobs[i]! - logprobs[0]! - (value - logits[0]!)));
    assert.ok(counts.worst < limits.logits, `${one.id}: ${counts.worst}`);
    const count = sure(one);
    counts.tokens += count;
    if (count > 0) assert.equal(found.output, own.decode(one.greedy_ids.slice(0, count)), one.id);
    if (!('letter_plain' in one)) return;
    for (const [from, { letter, gap }] of [
      [0, one.letter_plain],
      [LETTERS.length, one.letter_space],
    ] as const) {
      const options = logprobs.slice(from, from + one.num_options);
      if (gap <= limits.gap) continue;
      assert.equal(LETTERS[options.indexOf(Math.max(...options))], letter, one.id);
      counts.letters += 1;
    }
  }
}

const told = ({ prompts, letters, tokens, worst }: Awaited<ReturnType<typeof compare>>, model: Model) =>
  `${prompts} prompts, ${letters} letters, ${tokens} tokens; a logit is off by ${worst.toExponential(1)}; ` +
  JSON.stringify(model.stats());
const FP32 = { logits: 1e-2, gap: 0.02 };
const FP16 = { logits: 0.1, gap: 0.2 };
/** Every so many of them. */
const some = <T>(items: readonly T[], step: number) => items.filter((_, i) => i % step === 0);

/** NANOEVAL_TEST_ALL=1 compares everything that there is; a third of it otherwise. */
const STEP = process.env.NANOEVAL_TEST_ALL === '1' ? 1 : 3;

test("tiny_smolvlm fp32, auto: cases and questions have transformers' logits, tokens and letters", {
  skip,
}, async (t) => {
  const { cases, questions } = references();
  assert.deepEqual([cases.length, questions.length], [38, 65]);
  const split = await openAs(t, 'auto', true);
  assert.equal(split.model.engine.form, 'tree');
  const all = [...cases.filter((one) => one.do_image_splitting), ...questions];
  const found = await compare(split, some(all, STEP), FP32);
  t.diagnostic(told(found, split.model));
  assert.ok(found.letters >= 125 / STEP - 8 && found.letters <= 130, `${found.letters} letters`);
  const whole = await openAs(t, 'auto', false);
  const rest = cases.filter((one) => !one.do_image_splitting);
  const others = await compare(whole, some(rest, STEP), FP32);
  t.diagnostic(told(others, whole.model));
  assert.equal(found.prompts + others.prompts, Math.ceil(all.length / STEP) + Math.ceil(rest.length / STEP));
  assert.equal(all.length + rest.length, 103);
});

test('tiny_smolvlm fp32, naive: a dozen of them', { skip }, async (t) => {
  const { cases, questions } = references();
  const whole = await openAs(t, 'naive', false);
  t.diagnostic(
    told(
      await compare(
        whole,
        some(
          cases.filter((one) => !one.do_image_splitting),
          2,
        ),
        FP32,
      ),
      whole.model,
    ),
  );
  const split = await openAs(t, 'naive', true);
  t.diagnostic(told(await compare(split, some(questions, 17), FP32), split.model));
});

test('tiny_smolvlm, decoder fp16: within the tolerance of its weights', { skip }, async (t) => {
  const { cases, questions } = references();
  const dtype = { decoder_model_merged: 'fp16' } as const;
  const whole = await openAs(t, 'auto', false, { dtype });
  t.diagnostic(
    told(
      await compare(
        whole,
        cases.filter((one) => !one.do_image_splitting),
        FP16,
      ),
      whole.model,
    ),
  );
  const split = await openAs(t, 'auto', true, { dtype });
  t.diagnostic(told(await compare(split, some(questions, 22), FP16), split.model));
});

test("tiny_smolvlm: features are transformers'", { skip }, async (t) => {
  const { cases } = references();
  let worst = 0;
  let compared = 0;
  for (const splitting of [true, false]) {
    const folder = folderOf(t, splitting);
    const asked = settings({ model_id: folder });
    const encoder = await openVisionEncoder(
      await openCheckpoint(await openFolder(folder, 'model'), asked),
      asked,
      undefined,
    );
    t.after(() => encoder.close());
    const known = new Map<string, Promise<Float32Array>>();
    const featuresOf = (path: string) => {
      const found = known.get(path) ?? encoder.look(bytesOf(path)).then(({ features }) => features);
      known.set(path, found);
      return found;
    };
    const seeing = cases.filter((one) => one.do_image_splitting === splitting && one.image_features !== undefined);
    // The others are in the logits above.
    for (const one of some(seeing, splitting ? 4 : 1)) {
      const parts: Float32Array[] = [];
      for (const path of one.images) parts.push(await featuresOf(path));
      const { shape, probes } = one.image_features!;
      const size = parts.reduce((sum, part) => sum + part.length, 0);
      assert.equal(
        size,
        shape.reduce((a, b) => a * b),
      );
      for (const [i, wanted] of probes.entries()) {
        let at = Math.floor(((2 * i + 1) * size) / (2 * probes.length));
        const part = parts.find((each) => {
          if (at < each.length) return true;
          at -= each.length;
          return false;
        })!;
        worst = Math.max(worst, Math.abs(part[at]! - wanted));
      }
      compared += 1;
    }
  }
  t.diagnostic(`${compared} cases, the largest difference is ${worst.toExponential(1)}`);
  assert.equal(compared, 17 + 5);
  assert.ok(worst < 1e-4, `${worst}`);
});

test('tiny_smolvlm, quantised: finite numbers; a dynamically quantised decoder takes each sequence alone', {
  skip,
}, async (t) => {
  const prompt = conversation(references().questions[0]!);
  for (const [dtype, form] of [
    [{ vision_encoder: 'q8' }, 'tree'],
    [{ vision_encoder: 'fp16' }, 'tree'],
    [{ decoder_model_merged: 'q8' }, 'alone'],
    [{ decoder_model_merged: 'q8', embed_tokens: 'q8', vision_encoder: 'q8' }, 'alone'],
  ] as const) {
    const { model } = await openAs(t, 'auto', false, { dtype });
    assert.equal(model.engine.form, form);
    const found = await generate(model, prompt, 2, { first_tokens: LETTERS });
    assert.ok(found.num_output_tokens! > 0);
    const logprobs = LETTERS.map((letter) => found.first_logprobs![letter]);
    assert.ok(logprobs.every(Number.isFinite), JSON.stringify(dtype));
    const { logprob } = await scoreOne(model, prompt, ' A');
    assert.ok(Number.isFinite(logprob));
    const one = await generate(model, prompt, 1, { first_tokens: [' A'] });
    assert.ok(Math.abs(one.first_logprobs![' A']! - logprob) < 1e-3, `${form}: watched and scored`);
  }
});
