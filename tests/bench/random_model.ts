/**
 * A checkpoint of SmolLM2-135M's shape with random weights, in the hub's layout, for machines that have no real one: good
 * for speed, not for scores. The graph is written out as plain operators, as an optimum export is, and its weights lie in
 * one external file that is streamed to disk.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type GraphWriter, graphWriter } from '../model/onnx_writer.ts';

const LAYERS = 30;
const HIDDEN = 576;
const HEADS = 9;
const GROUPS = 3;
const HEAD = 64;
const MLP = 1536;
const VOCAB = 49152;

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  num_hidden_layers: LAYERS,
  hidden_size: HIDDEN,
  num_attention_heads: HEADS,
  num_key_value_heads: GROUPS,
  head_dim: HEAD,
  intermediate_size: MLP,
  vocab_size: VOCAB,
  max_position_embeddings: 8192,
  rope_theta: 100000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 2,
};

const DEMO = fileURLToPath(new URL('../../nanoeval/demo/checkpoint/', import.meta.url));

/** Where the checkpoint lies; written when it is not there yet. */
export function randomModel(): string {
  const folder = join(tmpdir(), 'nanoeval-bench-135m');
  if (existsSync(join(folder, 'config.json'))) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(join(fresh, 'onnx'), { recursive: true });
  const weights = weightFile(join(fresh, 'onnx', 'model.onnx_data'));
  const graph = graphWriter();
  writeGraph(graph, weights);
  weights.close();
  writeFileSync(join(fresh, 'onnx', 'model.onnx'), graph.bytes());
  // Its ids lie within the vocabulary.
  copyFileSync(join(DEMO, 'tokenizer.json'), join(fresh, 'tokenizer.json'));
  copyFileSync(join(DEMO, 'tokenizer_config.json'), join(fresh, 'tokenizer_config.json'));
  writeFileSync(join(fresh, 'config.json'), JSON.stringify(CONFIG, null, 2));
  try {
    renameSync(fresh, folder);
  } catch (error) {
    // Another run was faster.
    rmSync(fresh, { recursive: true });
    if (!existsSync(join(folder, 'config.json'))) throw error;
  }
  return folder;
}

interface WeightFile {
  path: string;
  /** Appends `count` numbers around `mean` and says where they lie. */
  add(count: number, spread: number, mean: number): { location: string; offset: number; length: number };
  close(): void;
}

function weightFile(path: string): WeightFile {
  const file = openSync(path, 'w');
  const block = new Float32Array(1 << 18);
  let end = 0;
  let state = 0x9e3779b9;
  return {
    path,
    add(count, spread, mean) {
      const offset = Math.ceil(end / 4096) * 4096;
      for (let done = 0; done < count; done += block.length) {
        const part = block.subarray(0, Math.min(block.length, count - done));
        for (let i = 0; i < part.length; i += 1) {
          // xorshift32; uniform numbers of that standard deviation.
          state ^= state << 13;
          state ^= state >>> 17;
          state ^= state << 5;
          part[i] = mean + spread * Math.sqrt(3) * (state / 2 ** 31);
        }
        writeSync(file, part, 0, part.byteLength, offset + 4 * done);
      }
      end = offset + 4 * count;
      return { location: 'model.onnx_data', offset, length: 4 * count };
    },
    close: () => closeSync(file),
  };
}

function writeGraph(g: GraphWriter, weights: WeightFile): void {
  const weight = (dims: readonly number[], spread = 0.04, mean = 0) =>
    g.init(
      'float32',
      dims,
      [],
      weights.add(
        dims.reduce((size, dim) => size * dim, 1),
        spread,
        mean,
      ),
    );
  const known = new Map<string, string>();
  const constant = (type: 'float32' | 'int64', dims: readonly number[], values: readonly number[]) => {
    const key = `${type} ${dims} ${values}`;
    if (!known.has(key)) known.set(key, g.init(type, dims, values));
    return known.get(key)!;
  };
  const ints = (...values: number[]) => constant('int64', [values.length], values);
  const float = (value: number) => constant('float32', [], [value]);
  const op = g.node;

  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const mask = g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const places = g.input('position_ids', 'int64', ['batch_size', 'sequence_length']);
  g.output('logits', 'float32', ['batch_size', 'sequence_length', VOCAB]);

  const sizeOf = (name: string, axis: number) => op('Gather', [op('Shape', [name]), ints(axis)], { axis: 0 });
  const batch = sizeOf(ids, 0);
  const total = sizeOf(mask, 1);
  const single = (name: string) => op('Squeeze', [name]);
  const range = (from: string, to: string) => op('Range', [from, to, constant('int64', [], [1])]);
  const past = op('Sub', [total, sizeOf(ids, 1)]);
  const rows = op('Unsqueeze', [range(single(past), single(total)), ints(1)]);
  const columns = op('Unsqueeze', [range(constant('int64', [], [0]), single(total)), ints(0)]);
  const seen = op('Unsqueeze', [op('Cast', [mask], { to: 9 }), ints(1, 2)]);
  const allowed = op('And', [op('LessOrEqual', [columns, rows]), seen]);
  const bias = op('Where', [allowed, float(0), float(-3e38)]);

  const speeds = Array.from({ length: HEAD / 2 }, (_, i) => CONFIG.rope_theta ** ((-2 * i) / HEAD));
  const floats = op('Cast', [places], { to: 1 });
  const half = op('Mul', [op('Unsqueeze', [floats, ints(2)]), constant('float32', [HEAD / 2], speeds)]);
  const angles = op('Concat', [half, half], { axis: -1 });
  const cosines = op('Unsqueeze', [op('Cos', [angles]), ints(1)]);
  const sines = op('Unsqueeze', [op('Sin', [angles]), ints(1)]);
  const rotated = (x: string) => {
    const first = op('Slice', [x, ints(0), ints(HEAD / 2), ints(3)]);
    const second = op('Slice', [x, ints(HEAD / 2), ints(HEAD), ints(3)]);
    const turned = op('Concat', [op('Neg', [second]), first], { axis: -1 });
    return op('Add', [op('Mul', [x, cosines]), op('Mul', [turned, sines])]);
  };
  const repeats = op('Concat', [batch, ints(GROUPS, HEADS / GROUPS), total, ints(HEAD)], { axis: 0 });
  const repeated = (x: string) =>
    op('Reshape', [op('Expand', [op('Unsqueeze', [x, ints(2)]), repeats]), ints(0, HEADS, -1, HEAD)]);
  const norm = (x: string) => {
    const variance = op('ReduceMean', [op('Pow', [x, float(2)]), ints(-1)], { keepdims: 1 });
    const size = op('Sqrt', [op('Add', [variance, float(CONFIG.rms_norm_eps)])]);
    return op('Mul', [weight([HIDDEN], 0.1, 1), op('Div', [x, size])]);
  };
  const product = (x: string, from: number, to: number) => op('MatMul', [x, weight([from, to])]);
  const byHead = (x: string, count: number) =>
    op('Transpose', [op('Reshape', [x, ints(0, 0, count, HEAD)])], { perm: [0, 2, 1, 3] });

  const embedding = weight([VOCAB, HIDDEN], 0.1);
  let x = op('Gather', [embedding, ids], { axis: 0 });
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const cached = (kind: 'key' | 'value', own: string) => {
      const name = g.input(`past_key_values.${layer}.${kind}`, 'float32', ['batch_size', GROUPS, 'past_length', HEAD]);
      g.output(`present.${layer}.${kind}`, 'float32', ['batch_size', GROUPS, 'total_sequence_length', HEAD]);
      return op('Concat', [name, own], { axis: 2 }, `present.${layer}.${kind}`);
    };
    const h = norm(x);
    const query = rotated(byHead(product(h, HIDDEN, HEADS * HEAD), HEADS));
    const key = cached('key', rotated(byHead(product(h, HIDDEN, GROUPS * HEAD), GROUPS)));
    const value = cached('value', byHead(product(h, HIDDEN, GROUPS * HEAD), GROUPS));
    const scores = op('MatMul', [query, op('Transpose', [repeated(key)], { perm: [0, 1, 3, 2] })]);
    const masked = op('Add', [op('Mul', [scores, float(HEAD ** -0.5)]), bias]);
    const mixed = op('MatMul', [op('Softmax', [masked], { axis: -1 }), repeated(value)]);
    const joint = op('Reshape', [op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), ints(0, 0, HEADS * HEAD)]);
    x = op('Add', [x, product(joint, HEADS * HEAD, HIDDEN)]);
    const wide = norm(x);
    const gate = product(wide, HIDDEN, MLP);
    const active = op('Mul', [op('Mul', [gate, op('Sigmoid', [gate])]), product(wide, HIDDEN, MLP)]);
    x = op('Add', [x, product(active, MLP, HIDDEN)]);
  }
  op('MatMul', [norm(x), op('Transpose', [embedding], { perm: [1, 0] })], {}, 'logits');
}

/** Bytes of the weights of a checkpoint's graph, with its side file. */
export function sizeOfGraph(path: string): number {
  return [path, `${path}_data`].reduce((sum, file) => sum + (existsSync(file) ? statSync(file).size : 0), 0);
}

/** A JSON file's content. */
export const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
