/**
 * Toy vision-language checkpoints. A picture of one colour takes three tokens, whose features begin with its red, its green
 * and its blue (0 to 255): over the decoder of toy_decoder.ts it counts as three tokens of these ids, so what a prompt with
 * pictures must come to is known beforehand. `attentionVlm` is the same over the decoder of attention_decoder.ts.
 */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import sharp from 'sharp';
import type { CheckpointConfig } from '../../nanoeval/model/checkpoint.ts';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { attentionDecoder, attentionEmbed, DECODER_CONFIG, type DecoderOptions, HIDDEN } from './attention_decoder.ts';
import { folderWith, tokenizerJson } from './fixtures.ts';
import { graphWriter } from './onnx_writer.ts';
import { TOY_CONFIG, type ToyOptions, toyDecoder, toyEmbed } from './toy_decoder.ts';

export const IMAGE = '<image>';
export const IMAGE_ID = 320;
export const TOKENS = 3;
export type Colour = [red: number, green: number, blue: number];

/** A PNG of one colour. */
export async function picture([r, g, b]: Colour, width = 6, height = 5): Promise<Uint8Array> {
  const made = sharp({ create: { width, height, channels: 3, background: { r, g, b } } });
  return new Uint8Array(await made.png().toBuffer());
}

/** Its header is read well, and what comes behind is cut off. */
export async function cutOff(): Promise<Uint8Array> {
  const pixels = Buffer.from(Array.from({ length: 3 * 32 * 32 }, (_, i) => (i * 7919) % 251));
  const whole = await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } })
    .png()
    .toBuffer();
  return new Uint8Array(whole.subarray(0, whole.length >> 1));
}

/** LLaVA: one tile of 4 x 4 pixels, 2 x 2 patches, one of them left out. Bytes stay the numbers that they are. */
export const PREPROCESSOR = {
  size: { shortest_edge: 4 },
  crop_size: 4,
  do_rescale: false,
  do_normalize: false,
};
export const PROCESSOR = { patch_size: 2, vision_feature_select_strategy: 'default', num_additional_image_tokens: 0 };

export interface VisionOptions {
  /** Element type of pixel_values. */
  type?: 'float32' | 'float16';
  /** [batch, images, 3, height, width] instead of [images, 3, height, width]. */
  batched?: boolean;
  /** pixel_attention_mask is declared; where it is not 1 the features are off. */
  mask?: boolean;
  /** Numbers of a feature: the colour and its opposite, or this many by a random product. */
  hidden?: number;
  /** Element type of the features. */
  features?: 'float32' | 'float16';
  output?: string;
}

/** pixel_values -> the mean red, green and blue of each tile as three features. */
export function toyVision(options: VisionOptions = {}): Uint8Array {
  const { type = 'float32', batched = false, mask = false, hidden = 2, features = 'float32' } = options;
  const g = graphWriter();
  const axes = (...values: number[]) => g.init('int64', [values.length], values);
  const dims = ['num_images', 3, 'height', 'width'];
  let pixels = g.node('Cast', [g.input('pixel_values', type, batched ? ['batch_size', ...dims] : dims)], { to: 1 });
  if (batched) pixels = g.node('Squeeze', [pixels, axes(0)]);
  if (mask) {
    const given = g.input('pixel_attention_mask', 'bool', ['batch_size', 'num_images', 'height', 'width']);
    const ones = g.node('Squeeze', [g.node('Cast', [given], { to: 1 }), axes(0)]);
    pixels = g.node('Mul', [pixels, g.node('Unsqueeze', [ones, axes(1)])]);
  }
  const means = g.node('ReduceMean', [pixels, axes(2, 3)], { keepdims: 0 });
  const tall = g.node('Unsqueeze', [means, axes(2)]);
  let vectors = g.node('Concat', [tall, g.node('Neg', [tall])], { axis: 2 });
  if (hidden !== 2) {
    const weights = Array.from({ length: 2 * hidden }, (_, i) => Math.sin(1 + 12.9898 * i) / 60);
    const turned = g.node('MatMul', [vectors, g.init('float32', [2, hidden], weights)]);
    vectors = g.node('Sin', [turned]);
  }
  const output = options.output ?? 'image_features';
  g.node('Cast', [vectors], { to: features === 'float16' ? 10 : 1 }, output);
  g.output(output, features, ['num_images', 3, hidden]);
  return g.bytes();
}

const configOf = (text: CheckpointConfig): CheckpointConfig => ({
  model_type: 'llava',
  image_token_index: IMAGE_ID,
  vision_config: {},
  text_config: { ...text, max_position_embeddings: 64 },
});

/** Everything that a checkpoint folder holds; the tokenizer knows `<image>`. */
export function toyVlmFolder(toy: ToyOptions = {}, vision: VisionOptions = {}): Record<string, unknown> {
  const tokenizer = tokenizerJson() as { added_tokens: object[] };
  const image = { ...tokenizer.added_tokens[1], id: IMAGE_ID, content: IMAGE };
  return {
    'config.json': configOf(TOY_CONFIG),
    'preprocessor_config.json': PREPROCESSOR,
    'processor_config.json': PROCESSOR,
    'tokenizer.json': { ...tokenizer, added_tokens: [...tokenizer.added_tokens, image] },
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>' },
    'onnx/decoder_model_merged.onnx': toyDecoder({ vocab: 320, embeds: 'float32', ...toy }),
    'onnx/embed_tokens.onnx': toyEmbed(),
    'onnx/vision_encoder.onnx': toyVision(vision),
  };
}

function filesOf(t: TestContext, text: CheckpointConfig, parts: Record<string, Uint8Array>): GraphFiles {
  const folder = folderWith(t, parts);
  const config = configOf(text);
  return {
    graphs: {
      decoder: join(folder, 'decoder.onnx'),
      embed: join(folder, 'embed.onnx'),
      vision: join(folder, 'vision.onnx'),
    },
    config,
    textConfig: config.text_config!,
    preprocessor: PREPROCESSOR,
    processor: PROCESSOR,
  };
}

/** The graphs of the toy decoder. */
export function toyVlm(t: TestContext, toy: ToyOptions = {}, vision: VisionOptions = {}): GraphFiles {
  return filesOf(t, TOY_CONFIG, {
    'decoder.onnx': toyDecoder({ vocab: 320, embeds: 'float32', ...toy }),
    'embed.onnx': toyEmbed(toy.embeds === 'float16' ? 'float16' : 'float32'),
    'vision.onnx': toyVision(vision),
  });
}

/** The graphs of the decoder with real attention. */
export function attentionVlm(t: TestContext, options: DecoderOptions = {}): GraphFiles {
  return filesOf(
    t,
    { ...DECODER_CONFIG, vocab_size: 64 },
    {
      'decoder.onnx': attentionDecoder({ embeds: 'float32', ...options }).graph,
      'embed.onnx': attentionEmbed(),
      'vision.onnx': toyVision({ hidden: HIDDEN }),
    },
  );
}
