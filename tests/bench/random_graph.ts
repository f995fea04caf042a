/**
 * What checkpoints of random weights are made of: files of weights, the graph of a Llama decoder, folders that are
 * kept.
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { External, GraphWriter } from '../model/onnx_writer.ts';

/**
 * The folder of that name under the system's temporary one, filled by `write` where it has no config.json yet. `write`
 * gets another folder, which then becomes this one.
 */
export function keptFolder(name: string, write: (folder: string) => void): string {
  const folder = join(tmpdir(), name);
  if (existsSync(join(folder, 'config.json'))) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(join(fresh, 'onnx'), { recursive: true });
  write(fresh);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    // Another bench was faster.
    rmSync(fresh, { recursive: true });
    if (!existsSync(join(folder, 'config.json'))) throw error;
  }
  return folder;
}

/** Weights of 8 bits: each is `scale` times the byte less `zero`. */
export interface Bytes {
  external: External;
  scale: number;
  zero: number;
}

export interface WeightFile {
  /** Appends `count` random numbers around `mean` as float32 and says where they lie. */
  add(count: number, spread: number, mean: number): External;
  /**
   * Appends as bytes what `add` would have appended, quantised as onnxruntime's `quantize_dynamic` does it: `int8` with
   * 0 in the middle, `uint8` from the least to the greatest number.
   */
  addBytes(count: number, spread: number, type: 'int8' | 'uint8'): Bytes;
  close(): void;
}

/** A file of weights; the numbers are the same in every one. */
export function weightFile(path: string): WeightFile {
  const file = openSync(path, 'w');
  const location = basename(path);
  const block = new Float32Array(1 << 18);
  let end = 0;
  let state = 0x9e3779b9;
  const draw = (spread: number, mean: number): number => {
    // xorshift32; uniform numbers of that standard deviation.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return mean + spread * Math.sqrt(3) * (state / 2 ** 31);
  };
  const next = () => Math.ceil(end / 4096) * 4096;
  return {
    add(count, spread, mean) {
      const offset = next();
      for (let done = 0; done < count; done += block.length) {
        const part = block.subarray(0, Math.min(block.length, count - done));
        for (let i = 0; i < part.length; i += 1) part[i] = draw(spread, mean);
        writeSync(file, part, 0, part.byteLength, offset + 4 * done);
      }
      end = offset + 4 * count;
      return { location, offset, length: 4 * count };
    },
    addBytes(count, spread, type) {
      const offset = next();
      const numbers = Float32Array.from({ length: count }, () => draw(spread, 0));
      let [least, greatest] = [0, 0];
      for (const number of numbers) {
        least = Math.min(least, number);
        greatest = Math.max(greatest, number);
      }
      const signed = type === 'int8';
      const scale = Math.fround(signed ? Math.max(-least, greatest) / 127 : (greatest - least) / 255);
      const zero = signed ? 0 : Math.round(-least / scale);
      const bytes = new Uint8Array(count);
      const [low, high] = signed ? [-127, 127] : [0, 255];
      for (let i = 0; i < count; i += 1)
        bytes[i] = Math.min(high, Math.max(low, Math.round(numbers[i]! / scale) + zero));
      writeSync(file, bytes, 0, count, offset);
      end = offset + count;
      return { external: { location, offset, length: count }, scale, zero };
    },
    close: () => closeSync(file),
  };
}

const sizeOf = (dims: readonly number[]) => dims.reduce((size, dim) => size * dim, 1);

/** What graphs are written with: constants of one value are there once, weights lie in their file. */
export function partsOf(g: GraphWriter, weights: WeightFile) {
  const known = new Map<string, string>();
  const constant = (type: 'float32' | 'int64', dims: readonly number[], values: readonly number[]) => {
    const key = `${type} ${dims} ${values}`;
    if (!known.has(key)) known.set(key, g.init(type, dims, values));
    return known.get(key)!;
  };
  return {
    op: g.node,
    constant,
    ints: (...values: number[]) => constant('int64', [values.length], values),
    float: (value: number) => constant('float32', [], [value]),
    weight: (dims: readonly number[], spread = 0.04, mean = 0) =>
      g.init('float32', dims, [], weights.add(sizeOf(dims), spread, mean)),
  };
}

/** The shape of a Llama decoder, by the names of config.json. */
export interface TextShape {
  num_hidden_layers: number;
  hidden_size: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  intermediate_size: number;
  vocab_size: number;
  rope_theta: number;
  rms_norm_eps: number;
}

/**
 * The graph of a decoder as an optimum export writes it. `embeds`: it takes embeddings, and its head is not tied to
 * any.
 */
export function writeDecoder(g: GraphWriter, weights: WeightFile, shape: TextShape, { embeds = false } = {}): void {
  const { op, constant, ints, float, weight } = partsOf(g, weights);
  const { num_hidden_layers: layers, hidden_size: hidden, num_attention_heads: heads, head_dim: size } = shape;
  const { num_key_value_heads: groups, intermediate_size: wide, vocab_size: vocab, rope_theta, rms_norm_eps } = shape;

  const dims = ['batch_size', 'sequence_length'];
  const given = embeds
    ? g.input('inputs_embeds', 'float32', [...dims, hidden])
    : g.input('input_ids', 'int64', [...dims]);
  const mask = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const places = g.input('position_ids', 'int64', [...dims]);
  g.output('logits', 'float32', [...dims, vocab]);

  const axis = (name: string, at: number) => op('Gather', [op('Shape', [name]), ints(at)], { axis: 0 });
  const batch = axis(given, 0);
  const total = axis(mask, 1);
  const single = (name: string) => op('Squeeze', [name]);
  const range = (from: string, to: string) => op('Range', [from, to, constant('int64', [], [1])]);
  const past = op('Sub', [total, axis(given, 1)]);
  const rows = op('Unsqueeze', [range(single(past), single(total)), ints(1)]);
  const columns = op('Unsqueeze', [range(constant('int64', [], [0]), single(total)), ints(0)]);
  const seen = op('Unsqueeze', [op('Cast', [mask], { to: 9 }), ints(1, 2)]);
  const allowed = op('And', [op('LessOrEqual', [columns, rows]), seen]);
  const bias = op('Where', [allowed, float(0), float(-3e38)]);

  const speeds = Array.from({ length: size / 2 }, (_, i) => rope_theta ** ((-2 * i) / size));
  const floats = op('Cast', [places], { to: 1 });
  const half = op('Mul', [op('Unsqueeze', [floats, ints(2)]), constant('float32', [size / 2], speeds)]);
  const angles = op('Concat', [half, half], { axis: -1 });
  const cosines = op('Unsqueeze', [op('Cos', [angles]), ints(1)]);
  const sines = op('Unsqueeze', [op('Sin', [angles]), ints(1)]);
  const rotated = (x: string) => {
    const first = op('Slice', [x, ints(0), ints(size / 2), ints(3)]);
    const second = op('Slice', [x, ints(size / 2), ints(size), ints(3)]);
    const turned = op('Concat', [op('Neg', [second]), first], { axis: -1 });
    return op('Add', [op('Mul', [x, cosines]), op('Mul', [turned, sines])]);
  };
  const repeats = op('Concat', [batch, ints(groups, heads / groups), total, ints(size)], { axis: 0 });
  const repeated = (x: string) =>
    op('Reshape', [op('Expand', [op('Unsqueeze', [x, ints(2)]), repeats]), ints(0, heads, -1, size)]);
  const norm = (x: string) => {
    const variance = op('ReduceMean', [op('Pow', [x, float(2)]), ints(-1)], { keepdims: 1 });
    const root = op('Sqrt', [op('Add', [variance, float(rms_norm_eps)])]);
    return op('Mul', [weight([hidden], 0.1, 1), op('Div', [x, root])]);
  };
  const product = (x: string, from: number, to: number) => op('MatMul', [x, weight([from, to])]);
  const byHead = (x: string, count: number) =>
    op('Transpose', [op('Reshape', [x, ints(0, 0, count, size)])], { perm: [0, 2, 1, 3] });

  const embedding = embeds ? null : weight([vocab, hidden], 0.1);
  let x = embedding === null ? given : op('Gather', [embedding, given], { axis: 0 });
  for (let layer = 0; layer < layers; layer += 1) {
    const cached = (kind: 'key' | 'value', own: string) => {
      const name = g.input(`past_key_values.${layer}.${kind}`, 'float32', ['batch_size', groups, 'past_length', size]);
      g.output(`present.${layer}.${kind}`, 'float32', ['batch_size', groups, 'total_sequence_length', size]);
      return op('Concat', [name, own], { axis: 2 }, `present.${layer}.${kind}`);
    };
    const h = norm(x);
    const query = rotated(byHead(product(h, hidden, heads * size), heads));
    const key = cached('key', rotated(byHead(product(h, hidden, groups * size), groups)));
    const value = cached('value', byHead(product(h, hidden, groups * size), groups));
    const scores = op('MatMul', [query, op('Transpose', [repeated(key)], { perm: [0, 1, 3, 2] })]);
    const masked = op('Add', [op('Mul', [scores, float(size ** -0.5)]), bias]);
    const mixed = op('MatMul', [op('Softmax', [masked], { axis: -1 }), repeated(value)]);
    const joint = op('Reshape', [op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), ints(0, 0, heads * size)]);
    x = op('Add', [x, product(joint, heads * size, hidden)]);
    const normed = norm(x);
    const gate = product(normed, hidden, wide);
    const active = op('Mul', [op('Mul', [gate, op('Sigmoid', [gate])]), product(normed, hidden, wide)]);
    x = op('Add', [x, product(active, wide, hidden)]);
  }
  const last = norm(x);
  const head = embedding === null ? weight([hidden, vocab]) : op('Transpose', [embedding], { perm: [1, 0] });
  op('MatMul', [last, head], {}, 'logits');
}
