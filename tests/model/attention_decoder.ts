/**
 * A tiny decoder with real attention in the shapes that exporters give it: 2 layers, hidden size 64, 4 heads of size 16
 * in 2 groups, 64 tokens, random weights that depend on their name only. So every form of it computes the same
 * function, up to the precision of its weights.
 */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Tensor } from 'onnxruntime-node';
import type { CheckpointConfig } from '../../nanoeval/model/checkpoint.ts';
import type { PassAnswer, PassOrder, Sequence } from '../../nanoeval/model/engine/prefix_tree.ts';
import { argMax, logSoftmaxAt } from '../../nanoeval/model/graph/logits.ts';
import { emptyTensor, openDecoder } from '../../nanoeval/model/graph/onnx.ts';
import { type OnnxGraph, writeGraph } from '../../nanoeval/model/graph/onnx_graph.ts';
import {
  describe,
  type GraphFiles,
  type GraphSource,
  int64,
  openSession,
  refeedable,
} from '../../nanoeval/model/graph/session.ts';
import { folderWith, settings } from './fixtures.ts';
import {
  type Attribute,
  type ConstantType,
  type External,
  type GraphWriter,
  graphWriter,
  rawData,
} from './onnx_writer.ts';

export interface DecoderOptions {
  /** `plain`: products and a Softmax, as optimum writes it. `gqa`: com.microsoft.GroupQueryAttention. */
  attention?: 'plain' | 'gqa';
  /** float16: all inside is. int8: dynamically quantised products. int4: MatMulNBits. */
  weights?: 'float32' | 'float16' | 'int8' | 'int4';
  /** Element type of past and present; null, plain: there is none. */
  cache?: 'float32' | 'float16' | null;
  /** plain: false: every token sees those behind it too. */
  causal?: boolean;
  opset?: number;
  /**
   * `given`: the input position_ids. `three`: with three sections. `counted`: from the mask. `ranged`: by a Range over
   * the tokens. gqa has none of its own.
   */
  positions?: 'given' | 'three' | 'counted' | 'ranged';
  /** The mask is added to the scores, or chosen in their place by a condition. */
  mask?: 'add' | 'where';
  /** plain: the scores are scaled, or queries and keys by the root each, as torch's own attention is exported. */
  scale?: 'scores' | 'sides';
  /** plain: tokens further back than this are not seen. */
  window?: number;
  /** Of the products in four bits: 4 rounds activations to 8 bits, as onnxruntime-genai's builder has it. */
  accuracy?: number;
  /** A bias by distance on every score, which no input tells. */
  alibi?: boolean;
  /** With its newer name, that one. */
  numLogitsToKeep?: boolean | 'logits_to_keep';
  /** The head is the embedding, turned. */
  tied?: boolean;
  /** `einsum`: a head that is no matrix product by name. */
  head?: 'product' | 'einsum';
  /** gqa: queries, keys and values by one product. */
  packed?: boolean;
  /** gqa: more attributes of the operator. */
  attributes?: Record<string, Attribute>;
  headSize?: number;
  /** gqa: the rotary tables turn this much of a head. */
  rotary?: number;
  /** The logits are capped softly at 5. */
  capped?: boolean;
  /** The logits pass through an If. */
  subgraph?: boolean;
  /** The large weights lie in this file beside the graph. */
  side?: string;
  /** Type of `inputs_embeds`, which takes the place of `input_ids`: what `attentionEmbed` gives. */
  embeds?: 'float32' | 'float16';
}

const [LAYERS, HEADS, GROUPS, SIZE, INNER, BLOCK] = [2, 4, 2, 16, 96, 32];
export const HIDDEN = 64;
export const VOCAB = 64;
const LONGEST = 64;
const MICROSOFT = 'com.microsoft';

export const SIZES = { layers: LAYERS, heads: HEADS, groups: GROUPS, headSize: SIZE };
export const DECODER_CONFIG: CheckpointConfig = {
  model_type: 'llama',
  num_attention_heads: HEADS,
  num_key_value_heads: GROUPS,
  head_dim: SIZE,
  hidden_size: HIDDEN,
};

const drawn = new Map<string, number[]>();

/** Numbers of a normal distribution that depend on the name alone. */
function normal(name: string, count: number, spread: number, mean = 0): number[] {
  const known = drawn.get(`${name} ${count}`);
  if (known !== undefined) return known;
  let state = 2166136261;
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 16777619);
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const numbers = Array.from(
    { length: count },
    () => mean + spread * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
  drawn.set(`${name} ${count}`, numbers);
  return numbers;
}

export function attentionDecoder(options: DecoderOptions = {}): { graph: Uint8Array; side: Uint8Array } {
  const {
    attention = 'plain',
    weights = 'float32',
    opset = 17,
    positions = 'given',
    mask = 'add',
    headSize: size = SIZE,
  } = options;
  const inner = weights === 'float16' ? 'float16' : 'float32';
  const cache = options.cache === undefined ? inner : options.cache;
  const g = graphWriter({ opset, domains: { [MICROSOFT]: 1 } });
  const side: Uint8Array[] = [];
  let sideLength = 0;
  const constants = new Map<string, string>();
  const elementOf = { float32: 1, float16: 10 } as const;

  /** A weight: in the side file when there is one. */
  const stored = (type: ConstantType, dims: number[], values: number[]) => {
    if (options.side === undefined) return g.init(type, dims, values);
    const data = rawData(type, values);
    const external: External = { location: options.side, offset: sideLength, length: data.length };
    side.push(data);
    sideLength += data.length;
    return g.init(type, dims, values, external);
  };
  const constant = (type: ConstantType, dims: number[], values: number[]) => {
    const key = `${type} ${dims} ${values}`;
    const known = constants.get(key) ?? g.init(type, dims, values);
    constants.set(key, known);
    return known;
  };
  const axes = (...values: number[]) => constant('int64', [values.length], values);
  const number = (value: number) => constant(inner, [], [value]);
  const cast = (name: string, type: 'float32' | 'float16') => g.node('Cast', [name], { to: elementOf[type] });
  const mul = (a: string, b: string) => g.node('Mul', [a, b]);
  const add = (a: string, b: string) => g.node('Add', [a, b]);

  const quantized = new Map<string, [string, string, string]>();
  /** x times the weight of that name, [rows, columns]. */
  const times = (x: string, name: string, rows: number, columns: number, values?: number[]): string => {
    const w = values ?? normal(name, rows * columns, 1.2 / Math.sqrt(rows));
    if (weights === 'int8') {
      const parts = quantized.get(x) ?? ([`${x}_q`, `${x}_scale`, `${x}_zero`] as [string, string, string]);
      if (!quantized.has(x)) g.nodeWith('DynamicQuantizeLinear', [x], parts);
      quantized.set(x, parts);
      const scale = w.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
      const whole = stored(
        'int8',
        [rows, columns],
        w.map((value) => Math.round(value / scale)),
      );
      const product = g.node('MatMulInteger', [parts[0], whole, parts[2], constant('int8', [], [0])]);
      return mul(cast(product, 'float32'), mul(parts[1], constant('float32', [], [scale])));
    }
    if (weights === 'int4') {
      const [packed, scales] = fourBits(w, rows, columns);
      const blocks = rows / BLOCK;
      const inputs = [
        x,
        stored('uint8', [columns, blocks, BLOCK / 2], packed),
        stored('float32', [columns * blocks], scales),
      ];
      return g.node(
        'MatMulNBits',
        inputs,
        { K: rows, N: columns, bits: 4, block_size: BLOCK, accuracy_level: options.accuracy ?? 0 },
        undefined,
        MICROSOFT,
      );
    }
    return g.node('MatMul', [x, stored(inner, [rows, columns], w)]);
  };
  const mean = (x: string) =>
    opset < 18
      ? g.node('ReduceMean', [x], { axes: [-1], keepdims: 1 })
      : g.node('ReduceMean', [x, axes(-1)], { keepdims: 1 });
  const normWeight = (name: string) => g.init(inner, [HIDDEN], normal(name, HIDDEN, 0.1, 1));
  const norm = (x: string, name: string) => {
    const spread = g.node('Sqrt', [add(mean(g.node('Pow', [x, number(2)])), number(1e-5))]);
    return mul(normWeight(name), g.node('Div', [x, spread]));
  };
  /** The sum of two values, and it normalised, by one operator; the values between are left out. */
  const skipNorm = (a: string, b: string, name: string): [normed: string, sum: string] => {
    const [normed, sum] = [`${name}_normed`, `${name}_sum`];
    const outputs = name === 'norm' ? [normed] : [normed, '', '', sum];
    const inputs = [a, b, normWeight(name)];
    g.nodeWith('SkipSimplifiedLayerNormalization', inputs, outputs, { epsilon: { float: 1e-5 } }, MICROSOFT);
    return [normed, sum];
  };

  const ids =
    options.embeds === undefined
      ? g.input('input_ids', 'int64', ['batch_size', 'sequence_length'])
      : g.input('inputs_embeds', options.embeds, ['batch_size', 'sequence_length', HIDDEN]);
  const seen = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const places =
    attention === 'gqa'
      ? ''
      : positions === 'given'
        ? g.input('position_ids', 'int64', ['batch_size', 'sequence_length'])
        : positions === 'three'
          ? g.node('Gather', [
              g.input('position_ids', 'int64', [3, 'batch_size', 'sequence_length']),
              g.init('int64', [], [1]),
            ])
          : positions === 'ranged'
            ? rangedPositions(g, ids, seen, axes)
            : countedPositions(g, ids, seen, axes);
  const embedding = normal('embedding', VOCAB * HIDDEN, 1);
  const table = stored(inner, [VOCAB, HIDDEN], embedding);
  let x = options.embeds === undefined ? g.node('Gather', [table, ids]) : cast(ids, inner);

  const kept = (layer: number, kind: 'key' | 'value') => {
    const type = cache ?? inner;
    const past = g.input(`past_key_values.${layer}.${kind}`, type, [
      'batch_size',
      GROUPS,
      'past_sequence_length',
      size,
    ]);
    g.output(`present.${layer}.${kind}`, type, ['batch_size', GROUPS, 'total_sequence_length', size]);
    return past;
  };
  /** The cache in the type of the graph's inside, with the new part behind it. */
  const joinedCache = (own: string, layer: number, kind: 'key' | 'value') => {
    if (cache === null) return own;
    const past = kept(layer, kind);
    const present = `present.${layer}.${kind}`;
    if (cache === inner) return g.node('Concat', [past, own], { axis: 2 }, present);
    const whole = g.node('Concat', [cast(past, inner), own], { axis: 2 });
    g.node('Cast', [whole], { to: elementOf[cache] }, present);
    return whole;
  };

  const sizeOf = (name: string, axis: number) => g.node('Gather', [g.node('Shape', [name]), axes(axis)]);
  const shared = attention === 'plain' ? plainParts() : null;

  function plainParts() {
    const [batch, length, total] = [sizeOf(ids, 0), sizeOf(ids, 1), sizeOf(seen, 1)];
    const zero = constant('int64', [], [0]);
    const one = constant('int64', [], [1]);
    const single = (name: string) => g.node('Squeeze', [name, axes(0)]);
    const from = single(g.node('Sub', [total, length]));
    const rows = g.node('Unsqueeze', [g.node('Range', [from, single(total), one]), axes(1)]);
    const columns = g.node('Unsqueeze', [g.node('Range', [zero, single(total), one]), axes(0)]);
    const behind = options.causal === false ? add(rows, sizeOf(seen, 1)) : rows;
    const causal = g.node('Not', [g.node('Greater', [columns, behind])]);
    const real = g.node('Unsqueeze', [g.node('Cast', [seen], { to: 9 }), axes(1, 2)]);
    let visible = g.node('And', [causal, real]);
    if (options.window !== undefined) {
      const reach = g.node('Add', [columns, constant('int64', [], [options.window])]);
      visible = g.node('And', [visible, g.node('Greater', [reach, rows])]);
    }
    const least = inner === 'float16' ? -65504 : -3.4028234663852886e38;
    const bias = mask === 'add' ? g.node('Where', [visible, number(0), number(least)]) : '';
    const frequencies = Array.from({ length: size / 2 }, (_, i) => 10000 ** ((-2 * i) / size));
    const at = g.node('Unsqueeze', [cast(places, 'float32'), axes(1)]);
    const turns = g.node('MatMul', [constant('float32', [1, size / 2, 1], frequencies), at]);
    const angles = g.node('Transpose', [turns], { perm: [0, 2, 1] });
    const both = g.node('Concat', [angles, angles], { axis: -1 });
    const turned = (op: string) =>
      g.node('Unsqueeze', [g.node('Cast', [g.node(op, [both])], { to: elementOf[inner] }), axes(1)]);
    const slopes = constant(inner, [1, HEADS, 1, 1], [0.5, 0.25, 0.125, 0.0625]);
    const alibi = options.alibi ? mul(cast(g.node('Sub', [columns, rows]), inner), slopes) : null;
    return { batch, total, visible, bias, cos: turned('Cos'), sin: turned('Sin'), alibi };
  }

  function plainAttention(h: string, layer: number): string {
    const { batch, total, visible, bias, cos, sin, alibi } = shared!;
    const split = (from: string, count: number) =>
      g.node('Transpose', [g.node('Reshape', [from, axes(0, 0, count, size)])], { perm: [0, 2, 1, 3] });
    const rotated = (from: string) => {
      const first = g.node('Slice', [from, axes(0), axes(size / 2), axes(3)]);
      const second = g.node('Slice', [from, axes(size / 2), axes(2 ** 31 - 1), axes(3)]);
      const half = g.node('Concat', [g.node('Neg', [second]), first], { axis: -1 });
      return add(mul(from, cos), mul(half, sin));
    };
    const wide = g.node('Concat', [batch, axes(GROUPS, HEADS / GROUPS), total, axes(size)], { axis: 0 });
    const repeated = (from: string) => {
      const expanded = g.node('Expand', [g.node('Unsqueeze', [from, axes(2)]), wide]);
      return g.node('Reshape', [expanded, axes(0, HEADS, -1, size)]);
    };
    const q = rotated(split(times(h, `${layer}.q`, HIDDEN, HEADS * size), HEADS));
    const key = joinedCache(rotated(split(times(h, `${layer}.k`, HIDDEN, GROUPS * size), GROUPS)), layer, 'key');
    const value = joinedCache(split(times(h, `${layer}.v`, HIDDEN, GROUPS * size), GROUPS), layer, 'value');
    const turned = g.node('Transpose', [repeated(key)], { perm: [0, 1, 3, 2] });
    let scores: string;
    if (options.scale === 'sides')
      scores = g.node('MatMul', [mul(q, number(size ** -0.25)), mul(turned, number(size ** -0.25))]);
    else scores = mul(g.node('MatMul', [q, turned]), number(1 / Math.sqrt(size)));
    if (alibi !== null) scores = add(scores, alibi);
    scores = mask === 'add' ? add(scores, bias) : g.node('Where', [visible, scores, number(Number.NEGATIVE_INFINITY)]);
    const mixed = g.node('MatMul', [g.node('Softmax', [scores], { axis: -1 }), repeated(value)]);
    return g.node('Reshape', [g.node('Transpose', [mixed], { perm: [0, 2, 1, 3] }), axes(0, 0, HEADS * size)]);
  }

  const queryGroups = attention === 'gqa' ? gqaParts() : null;

  function gqaParts() {
    const sum = g.node('ReduceSum', [seen, axes(1)], { keepdims: 0 });
    const last = g.node('Cast', [g.node('Sub', [sum, constant('int64', [], [1])])], { to: 6 });
    const total = g.node('Cast', [g.node('Squeeze', [sizeOf(seen, 1), axes(0)])], { to: 6 });
    const tableOf = (turn: (angle: number) => number) => {
      const turned = options.rotary ?? size;
      const values = Array.from({ length: (LONGEST * turned) / 2 }, (_, i) => {
        const [place, pair] = [Math.floor((2 * i) / turned), i % (turned / 2)];
        return turn(place * 10000 ** ((-2 * pair) / turned));
      });
      return stored(inner, [LONGEST, turned / 2], values);
    };
    return { last, total, cos: tableOf(Math.cos), sin: tableOf(Math.sin) };
  }

  function gqa(h: string, layer: number): string {
    const { last, total, cos, sin } = queryGroups!;
    const parts = ['q', 'k', 'v'].map((part) => ({
      name: `${layer}.${part}`,
      columns: (part === 'q' ? HEADS : GROUPS) * size,
    }));
    let given: string[];
    if (options.packed) {
      const all = parts.map(({ name, columns }) => normal(name, HIDDEN * columns, 1.2 / Math.sqrt(HIDDEN)));
      const rows = Array.from({ length: HIDDEN }, (_, row) =>
        all.map((values, p) => values.slice(row * parts[p]!.columns, (row + 1) * parts[p]!.columns)),
      );
      given = [times(h, 'qkv', HIDDEN, (HEADS + 2 * GROUPS) * size, rows.flat(2)), '', ''];
    } else given = parts.map(({ name, columns }) => times(h, name, HIDDEN, columns));
    const inputs = [...given, kept(layer, 'key'), kept(layer, 'value'), last, total, cos, sin];
    const outputs = [`${layer}_mixed`, `present.${layer}.key`, `present.${layer}.value`];
    const attributes = {
      num_heads: HEADS,
      kv_num_heads: GROUPS,
      do_rotary: 1,
      rotary_interleaved: 0,
      ...options.attributes,
    };
    g.nodeWith('GroupQueryAttention', inputs, outputs, attributes, MICROSOFT);
    return outputs[0]!;
  }

  const feedForward = (h: string, layer: number) => {
    const gate = times(h, `${layer}.gate`, HIDDEN, INNER);
    const both = mul(mul(gate, g.node('Sigmoid', [gate])), times(h, `${layer}.up`, HIDDEN, INNER));
    return times(both, `${layer}.down`, INNER, HIDDEN);
  };
  let h = '';
  let change = '';
  for (let layer = 0; layer < LAYERS; layer += 1) {
    if (attention === 'plain') {
      x = add(x, times(plainAttention(norm(x, `${layer}.norm_1`), layer), `${layer}.o`, HEADS * size, HIDDEN));
      x = add(x, feedForward(norm(x, `${layer}.norm_2`), layer));
    } else {
      if (layer === 0)
        h = g.node('SimplifiedLayerNormalization', [x, normWeight('0.norm_1')], { epsilon: { float: 1e-5 }, axis: -1 });
      else [h, x] = skipNorm(x, change, `${layer}.norm_1`);
      [h, x] = skipNorm(x, times(gqa(h, layer), `${layer}.o`, HEADS * size, HIDDEN), `${layer}.norm_2`);
      change = feedForward(h, layer);
    }
  }
  h = attention === 'plain' ? norm(x, 'norm') : skipNorm(x, change, 'norm')[0];
  if (options.numLogitsToKeep) {
    const keep = g.node('Neg', [
      g.input(options.numLogitsToKeep === true ? 'num_logits_to_keep' : options.numLogitsToKeep, 'int64', []),
    ]);
    h = g.node('Slice', [h, g.node('Unsqueeze', [keep, axes(0)]), axes(2 ** 31 - 1), axes(1)]);
  }
  let logits: string;
  if (options.tied) logits = g.node('MatMul', [mul(h, number(0.125)), g.node('Transpose', [table], { perm: [1, 0] })]);
  else if (options.head === 'einsum') {
    const head = stored(inner, [HIDDEN, VOCAB], normal('head', HIDDEN * VOCAB, 1.2 / Math.sqrt(HIDDEN)));
    logits = g.node('Einsum', [h, head], { equation: 'bsh,hv->bsv' });
  } else logits = times(h, 'head', HIDDEN, VOCAB);
  if (options.capped) logits = mul(g.node('Tanh', [g.node('Div', [logits, number(5)])]), number(5));
  if (options.subgraph) {
    const branch = (prefix: string) => {
      const inside = graphWriter({ prefix });
      inside.output(inside.node('Identity', [logits]), inner, ['batch_size', 'sequence_length', VOCAB]);
      return { graph: inside.graph() };
    };
    const truth = g.node('Cast', [constant('int64', [], [1])], { to: 9 });
    logits = g.node('If', [truth], { then_branch: branch('then'), else_branch: branch('else') });
  }
  g.node('Cast', [logits], { to: 1 }, 'logits');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', VOCAB]);
  return { graph: g.bytes(), side: Buffer.concat(side) };
}

/** ids -> the vectors that the decoder begins with. */
export function attentionEmbed(): Uint8Array {
  const g = graphWriter();
  const table = g.init('float32', [VOCAB, HIDDEN], normal('embedding', VOCAB * HIDDEN, 1));
  g.node('Gather', [table, g.input('input_ids', 'int64', ['batch_size', 'sequence_length'])], {}, 'inputs_embeds');
  g.output('inputs_embeds', 'float32', ['batch_size', 'sequence_length', HIDDEN]);
  return g.bytes();
}

/** Positions from the mask, as exports without position_ids have them. */
function countedPositions(g: GraphWriter, ids: string, seen: string, axes: (...values: number[]) => string): string {
  const counted = g.node('Sub', [g.node('CumSum', [seen, axes(1)]), axes(1)]);
  const length = g.node('Neg', [g.node('Gather', [g.node('Shape', [ids]), axes(1)])]);
  return g.node('Slice', [counted, length, axes(2 ** 31 - 1), axes(1)]);
}

/** Positions by a Range, as optimum exports Gemma. */
function rangedPositions(g: GraphWriter, ids: string, seen: string, axes: (...values: number[]) => string): string {
  const sizeOf = (name: string) => g.node('Squeeze', [g.node('Gather', [g.node('Shape', [name]), axes(1)]), axes(0)]);
  const total = sizeOf(seen);
  const from = g.node('Sub', [total, sizeOf(ids)]);
  return g.node('Unsqueeze', [g.node('Range', [from, total, g.init('int64', [], [1])]), axes(0)]);
}

/** Blocks of 32 rows of a column -> two numbers a byte, and a scale each. */
function fourBits(values: readonly number[], rows: number, columns: number): [packed: number[], scales: number[]] {
  const packed: number[] = [];
  const scales: number[] = [];
  for (let column = 0; column < columns; column += 1) {
    for (let start = 0; start < rows; start += BLOCK) {
      const block = Array.from({ length: BLOCK }, (_, i) => values[(start + i) * columns + column]!);
      const scale = Math.max(...block.map(Math.abs)) / 7;
      const whole = block.map((value) => Math.round(value / scale) + 8);
      for (let i = 0; i < BLOCK; i += 2) packed.push(whole[i]! | (whole[i + 1]! << 4));
      scales.push(scale);
    }
  }
  return [packed, scales];
}

/** The graph in a folder that is removed after the test. */
export function decoderFiles(t: TestContext, options: DecoderOptions = {}): GraphFiles {
  const { graph, side } = attentionDecoder(options);
  const folder = folderWith(t, {
    'model.onnx': graph,
    ...(options.side === undefined ? {} : { [options.side]: side }),
  });
  return filesAt(join(folder, 'model.onnx'));
}

export const filesAt = (decoder: string, config: CheckpointConfig = DECODER_CONFIG): GraphFiles => ({
  graphs: { decoder, embed: null, vision: null },
  config,
  textConfig: config.text_config ?? config,
  preprocessor: null,
  processor: null,
});

/** The logits of a full forward pass of `ids` by the untouched graph, or by `source`. */
export async function fullLogits(
  files: GraphFiles,
  ids: readonly number[],
  source?: GraphSource,
): Promise<Float32Array> {
  const decoder = await openDecoder(files, settings(), 1, source === undefined ? {} : { source });
  try {
    return (await decoder.forward(ids, null, false)).logits;
  } finally {
    await decoder.close();
  }
}

export interface GivenPast {
  /** Input name -> [1, groups, length, size]. */
  tensors: Map<string, Tensor>;
  length: number;
}

export interface FeedOptions {
  /** What goes before `ids`; none when left out. */
  past?: GivenPast;
  /** The place in `ids` before each token, -1 for the past; a chain when left out. */
  parents?: readonly number[];
  /** More inputs. */
  feeds?: Record<string, Tensor>;
}

/** All outputs for one sequence of `ids`. What the graph does not take is not fed. */
export type RunGraph = (ids: readonly number[], options?: FeedOptions) => Promise<Record<string, Tensor>>;

/** A session of an edited graph that is closed after the test. */
export async function openGraph(t: TestContext, files: GraphFiles, graph: OnnxGraph): Promise<RunGraph> {
  const source = { path: files.graphs.decoder, edited: writeGraph(graph) };
  const session = await openSession(source, settings(), 1);
  t.after(() => session.release());
  return async (ids, { past, parents = ids.map((_, i) => i - 1), feeds: more = {} } = {}) => {
    const before = past?.length ?? 0;
    const total = before + ids.length;
    const bias = new Float32Array(ids.length * total);
    const depths: number[] = [];
    for (const [i, parent] of parents.entries()) {
      depths.push(parent < 0 ? 0 : depths[parent]! + 1);
      bias.fill(-1e9, i * total + before, (i + 1) * total);
      for (let at = i; at >= 0; at = parents[at]!) bias[i * total + before + at] = 0;
    }
    const positions = depths.map((depth) => before + depth);
    const known: Record<string, Tensor> = {
      input_ids: int64(ids, [1, ids.length]),
      attention_mask: int64(new Array(total).fill(1), [1, total]),
      position_ids: int64(positions, [1, ids.length]),
      num_logits_to_keep: new Tensor('int64', BigInt64Array.of(0n), []),
      nanoeval_bias: new Tensor('float32', bias, [1, 1, ids.length, total]),
      ...more,
    };
    const feeds = describe(session.inputMetadata).map((input) => {
      const kept = past?.tensors.get(input.name.replace('past_key_values', 'present'));
      return [input.name, refeedable(known[input.name] ?? kept ?? emptyTensor(input, files))] as const;
    });
    return (await session.run(Object.fromEntries(feeds))) as Record<string, Tensor>;
  };
}

/** The untouched graph's log-probabilities and arg-max: one full forward pass a path, nothing shared. */
export interface Plain {
  /** Logits of every token of `ids`, by one pass of them all. */
  rows(ids: readonly number[]): Promise<Float32Array[]>;
  /** Logits of the last token of `path`. */
  last(path: readonly number[]): Promise<Float32Array>;
  /** Log-probability of `target` after `path`, and the most likely token there. */
  after(path: readonly number[], target: number): Promise<{ logprob: number; best: number }>;
}

export async function openPlain(t: TestContext, files: GraphFiles): Promise<Plain> {
  const decoder = await openDecoder(files, settings(), 1);
  t.after(() => decoder.close());
  const known = new Map<string, Float32Array>();
  const last: Plain['last'] = async (path) => {
    const found = known.get(`${path}`);
    if (found !== undefined) return found;
    const { logits, vocab } = await decoder.forward(path, null, false);
    const row = logits.slice((path.length - 1) * vocab);
    known.set(`${path}`, row);
    return row;
  };
  return {
    last,
    async rows(ids) {
      const { logits, vocab } = await decoder.forward(ids, null, false);
      return ids.map((_, i) => logits.slice(i * vocab, (i + 1) * vocab));
    },
    async after(path, target) {
      const row = await last(path);
      return { logprob: logSoftmaxAt(row, 0, row.length, target).logprob, best: argMax(row, 0, row.length) };
    },
  };
}

/** The tokens from the start of a sequence up to one of its places. */
export function pathTo({ ids, parents }: Sequence, place: number): number[] {
  const path: number[] = [];
  for (let at = place; at >= 0; at = parents[at]!) path.unshift(ids[at]!);
  return path;
}

/** Two targets for every token of every sequence. */
export function askAll(past: number | null, sequences: Sequence[], targets: readonly number[]): PassOrder {
  const select = sequences.flatMap(({ ids }, s) => ids.flatMap((_, i) => [s, i]));
  const pairs = Array.from({ length: select.length / 2 }, (_, i) => targets.flatMap((target) => [i, target])).flat();
  return { past, sequences, select, pairs, keep: null };
}

/**
 * How far the answer to `askAll` is from the untouched graph's numbers, the place of the arg-max counted by its worth.
 */
export async function distance(
  { sequences }: PassOrder,
  answer: PassAnswer,
  targets: readonly number[],
  plain: Plain,
  before: readonly number[],
): Promise<number> {
  const expected: number[] = [];
  const worth: number[] = [];
  const most: number[] = [];
  for (const sequence of sequences) {
    for (let i = 0; i < sequence.ids.length; i += 1) {
      const path = [...before, ...pathTo(sequence, i)];
      for (const target of targets) expected.push((await plain.after(path, target)).logprob);
      const { best } = await plain.after(path, 0);
      worth.push((await plain.after(path, answer.best[worth.length]!)).logprob);
      most.push((await plain.after(path, best)).logprob);
    }
  }
  if (answer.best.length !== most.length) return Number.NaN;
  return Math.max(furthest(answer.logprobs, expected), furthest(worth, most));
}

export function furthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  let most = 0;
  // A NaN stays one.
  for (let i = 0; i < a.length; i += 1) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}
