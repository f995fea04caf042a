/**
 * A checkpoint of SmolVLM-256M-Instruct's shape with random weights, in the hub's layout: good for speed and memory,
 * not for scores. Beside the float32 vision tower there are two of 8 bits, `_quantized` with uint8 weights and `_int8`,
 * written as onnxruntime's `quantize_dynamic` writes products with constants; the patches' Conv stays float32 in both.
 *
 * The tower takes every pixel for part of the picture: `pixel_attention_mask` is declared and not looked at.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../nanoeval/text/hash.ts';
import { type GraphWriter, graphWriter } from '../model/onnx_writer.ts';
import { keptFolder, partsOf, type TextShape, type WeightFile, weightFile, writeDecoder } from './random_graph.ts';
import { DEMO, readJson } from './random_model.ts';

/** The shape of a vision tower, by the names of config.json. */
export interface VisionShape {
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  intermediate_size: number;
  /** Side of a tile. */
  image_size: number;
  patch_size: number;
}

export interface VlmShape {
  vision: VisionShape;
  /** Patches along the side of the block that becomes one token. */
  scale_factor: number;
  /** Longest edge of the enlarged picture. */
  longest_edge: number;
  text: TextShape;
}

export const SMOLVLM_256M: VlmShape = {
  vision: {
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    image_size: 512,
    patch_size: 16,
  },
  scale_factor: 4,
  longest_edge: 2048,
  text: {
    num_hidden_layers: 30,
    hidden_size: 576,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    head_dim: 64,
    intermediate_size: 1536,
    vocab_size: 49280,
    rope_theta: 100000,
    rms_norm_eps: 1e-5,
  },
};

/** As many tiles as the real one, of half the side, and next to no weights. */
export const TINY: VlmShape = {
  ...SMOLVLM_256M,
  longest_edge: 1024,
  vision: {
    ...SMOLVLM_256M.vision,
    hidden_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    intermediate_size: 96,
    image_size: 256,
  },
  text: {
    ...SMOLVLM_256M.text,
    num_hidden_layers: 2,
    hidden_size: 64,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    intermediate_size: 128,
  },
};

/** Names of the folders change with it: what an older version wrote is left alone. */
const VERSION = 1;
const GLOBAL_ID = 49152;
const AROUND_ID = 49189;
const IMAGE_ID = 49190;
const CELLS = 6;

/** How the weights of the tower's products are stored. */
type TowerType = 'float32' | 'int8' | 'uint8';
const TOWERS: [suffix: string, type: TowerType][] = [
  ['', 'float32'],
  ['_quantized', 'uint8'],
  ['_int8', 'int8'],
];

/** Where the checkpoint of that shape lies; written when it is not there yet. */
export function randomVlm(shape: VlmShape = SMOLVLM_256M): string {
  const mark = sha256(JSON.stringify([VERSION, shape])).slice(0, 8);
  return keptFolder(`nanoeval-bench-vlm-${mark}`, (folder) => {
    const graphFile = (name: string, write: (g: GraphWriter, weights: WeightFile) => void) => {
      const path = join(folder, 'onnx', `${name}.onnx`);
      const weights = weightFile(`${path}_data`);
      const graph = graphWriter();
      write(graph, weights);
      weights.close();
      writeFileSync(path, graph.bytes());
    };
    for (const [suffix, type] of TOWERS)
      graphFile(`vision_encoder${suffix}`, (g, weights) => writeTower(g, weights, shape, type));
    graphFile('embed_tokens', (g, weights) => writeEmbedding(g, weights, shape.text));
    graphFile('decoder_model_merged', (g, weights) => writeDecoder(g, weights, shape.text, { embeds: true }));
    // config.json last: with it the folder counts as whole.
    for (const [name, content] of Object.entries(jsonFiles(shape)))
      writeFileSync(join(folder, name), JSON.stringify(content, null, 2));
  });
}

/** [batch, images, 3, side, side] -> [tiles, tokens, the text's hidden size]. */
function writeTower(g: GraphWriter, weights: WeightFile, shape: VlmShape, type: TowerType): void {
  const { op, ints, float, weight } = partsOf(g, weights);
  const { hidden_size: hidden, num_attention_heads: heads, intermediate_size: wide } = shape.vision;
  const { image_size: side, patch_size: patch, num_hidden_layers: layers } = shape.vision;
  const [grid, block, size] = [side / patch, shape.scale_factor, hidden / heads];
  const width = shape.text.hidden_size;
  const product = type === 'float32' ? floatProduct : quantised(type);

  const dims = ['batch_size', 'num_images'];
  const pixels = g.input('pixel_values', 'float32', [...dims, 3, side, side]);
  g.input('pixel_attention_mask', 'bool', [...dims, side, side]);
  const tokens = (grid / block) ** 2;
  g.output('image_features', 'float32', ['num_tiles', tokens, width]);

  const tiles = op('Reshape', [pixels, ints(-1, 3, side, side)]);
  const kernel = weight([hidden, 3, patch, patch], 1 / Math.sqrt(3 * patch * patch));
  const strides = { kernel_shape: [patch, patch], strides: [patch, patch] };
  const patches = op('Conv', [tiles, kernel, weight([hidden], 0.02)], strides);
  const flat = op('Transpose', [op('Reshape', [patches, ints(0, hidden, -1)])], { perm: [0, 2, 1] });
  let x = op('Add', [flat, weight([grid * grid, hidden], 0.1)]);

  const norm = (name: string) =>
    op('LayerNormalization', [name, weight([hidden], 0.1, 1), weight([hidden], 0.02)], {
      axis: -1,
      epsilon: { float: 1e-6 },
    });
  const linear = (name: string, from: number, to: number) => op('Add', [weight([to], 0.02), product(name, from, to)]);
  const byHead = (name: string, perm: number[]) =>
    op('Transpose', [op('Reshape', [name, ints(0, 0, heads, size)])], { perm });
  for (let layer = 0; layer < layers; layer += 1) {
    const h = norm(x);
    const query = byHead(linear(h, hidden, hidden), [0, 2, 1, 3]);
    const key = byHead(linear(h, hidden, hidden), [0, 2, 3, 1]);
    const value = byHead(linear(h, hidden, hidden), [0, 2, 1, 3]);
    const scores = op('Mul', [op('MatMul', [query, key]), float(size ** -0.5)]);
    const mixed = op('MatMul', [op('Softmax', [scores], { axis: -1 }), value]);
    const joint = op('Reshape', [op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), ints(0, 0, hidden)]);
    x = op('Add', [x, linear(joint, hidden, hidden)]);
    x = op('Add', [x, linear(gelu(linear(norm(x), hidden, wide)), wide, hidden)]);
  }

  // A square of block x block patches becomes one token.
  const across = op('Reshape', [norm(x), ints(-1, grid, grid / block, block * hidden)]);
  const turned = op('Transpose', [across], { perm: [0, 2, 1, 3] });
  const squares = op('Reshape', [turned, ints(-1, grid / block, grid / block, block * block * hidden)]);
  const back = op('Transpose', [squares], { perm: [0, 2, 1, 3] });
  const shuffled = op('Reshape', [back, ints(-1, tokens, block * block * hidden)]);
  op('Identity', [product(shuffled, block * block * hidden, width)], {}, 'image_features');

  /** The approximation by tanh, as torch exports it. */
  function gelu(name: string): string {
    const cube = op('Mul', [op('Pow', [name, float(3)]), float(0.044715)]);
    const inner = op('Mul', [op('Add', [name, cube]), float(Math.sqrt(2 / Math.PI))]);
    const one = op('Add', [op('Tanh', [inner]), float(1)]);
    return op('Mul', [op('Mul', [name, float(0.5)]), one]);
  }

  function floatProduct(name: string, from: number, to: number): string {
    return op('MatMul', [name, weight([from, to], from ** -0.5)]);
  }

  /** Activations are quantised at run time, once for all products that take them. */
  function quantised(kind: 'int8' | 'uint8') {
    const activations = new Map<string, [string, string, string]>();
    return (name: string, from: number, to: number): string => {
      const made: [string, string, string] = activations.get(name) ?? [`${name}_8`, `${name}_scale`, `${name}_zero`];
      if (!activations.has(name)) g.nodeWith('DynamicQuantizeLinear', [name], made);
      activations.set(name, made);
      const [bytes, scale, zero] = made;
      const stored = weights.addBytes(from * to, from ** -0.5, kind);
      const matrix = g.init(kind, [from, to], [], stored.external);
      const sums = op('MatMulInteger', [bytes, matrix, zero, g.init(kind, [], [stored.zero])]);
      const scales = op('Mul', [scale, float(stored.scale)]);
      return op('Mul', [op('Cast', [sums], { to: 1 }), scales]);
    };
  }
}

function writeEmbedding(g: GraphWriter, weights: WeightFile, { vocab_size, hidden_size }: TextShape): void {
  const { weight } = partsOf(g, weights);
  const dims = ['batch_size', 'sequence_length'];
  const ids = g.input('input_ids', 'int64', dims);
  g.output('inputs_embeds', 'float32', [...dims, hidden_size]);
  g.node('Gather', [weight([vocab_size, hidden_size], 0.5), ids], { axis: 0 }, 'inputs_embeds');
}

/**
 * The demo checkpoint's tokenizer with the tokens that stand around pictures at SmolVLM's own ids in place of its own.
 */
function jsonFiles({ vision, scale_factor, longest_edge, text }: VlmShape): Record<string, unknown> {
  const tokenizer = readJson(join(DEMO, 'tokenizer.json')) as {
    added_tokens: { id: number }[];
    model: { vocab: Record<string, number> };
  };
  const words = Object.keys(tokenizer.model.vocab).length;
  const plain = tokenizer.added_tokens.filter(({ id }) => id < words);
  const {
    chat_template: _template,
    added_tokens_decoder: _added,
    ...tokenizerConfig
  } = readJson(join(DEMO, 'tokenizer_config.json'));
  const cells = Array.from({ length: CELLS * CELLS }, (_, i) => ({
    id: GLOBAL_ID + 1 + i,
    content: `<row_${Math.floor(i / CELLS) + 1}_col_${(i % CELLS) + 1}>`,
  }));
  const added = [
    { id: GLOBAL_ID, content: '<global-img>' },
    ...cells,
    { id: AROUND_ID, content: '<fake_token_around_image>' },
    { id: IMAGE_ID, content: '<image>' },
  ].map((token) => ({ ...plain[0], ...token }));
  const side = vision.image_size;
  return {
    'tokenizer.json': { ...tokenizer, added_tokens: [...plain, ...added] },
    'tokenizer_config.json': { ...tokenizerConfig, model_max_length: 8192 },
    'preprocessor_config.json': {
      image_processor_type: 'Idefics3ImageProcessor',
      do_convert_rgb: true,
      do_image_splitting: true,
      do_normalize: true,
      do_pad: true,
      do_rescale: true,
      do_resize: true,
      image_mean: [0.5, 0.5, 0.5],
      image_std: [0.5, 0.5, 0.5],
      max_image_size: { longest_edge: side },
      resample: 1,
      rescale_factor: 1 / 255,
      size: { longest_edge },
    },
    'processor_config.json': {
      processor_class: 'Idefics3Processor',
      image_seq_len: (side / vision.patch_size / scale_factor) ** 2,
    },
    'config.json': {
      architectures: ['Idefics3ForConditionalGeneration'],
      model_type: 'idefics3',
      image_token_id: IMAGE_ID,
      scale_factor,
      vision_config: { model_type: 'idefics3_vision', ...vision },
      text_config: { model_type: 'llama', max_position_embeddings: 8192, bos_token_id: 1, ...text },
    },
  };
}
