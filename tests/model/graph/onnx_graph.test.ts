/** Graphs that are read, pruned and written again, on the weights of the original file. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  floatOf,
  type GraphNode,
  intsOf,
  nodeOf,
  type OnnxGraph,
  prune,
  readGraph,
  tensorValue,
  writeGraph,
} from '../../../nanoeval/model/graph/onnx_graph.ts';
import { bytesField, intField, joined, textField } from '../../../nanoeval/model/graph/protobuf.ts';
import { attentionDecoder, type DecoderOptions, decoderFiles, filesAt, fullLogits } from '../attention_decoder.ts';
import { folderWith } from '../fixtures.ts';
import { graphWriter } from '../onnx_writer.ts';

const IDS = [3, 17, 42, 8, 55, 21, 9, 30];

async function sameLogits(files: ReturnType<typeof filesAt>, change: (graph: OnnxGraph) => void = () => {}) {
  const path = files.graphs.decoder;
  const graph = readGraph(path);
  change(graph);
  const edited = writeGraph(graph);
  assert.deepEqual(await fullLogits(files, IDS, { path, edited }), await fullLogits(files, IDS));
  return edited;
}

const FORMS: Record<string, DecoderOptions> = {
  plain: {},
  'opset 13': { opset: 13 },
  'GroupQueryAttention, packed': { attention: 'gqa', packed: true },
  float16: { weights: 'float16' },
  'dynamic int8': { weights: 'int8' },
  'four bits': { weights: 'int4', attention: 'gqa' },
  'a tied head': { tied: true },
  num_logits_to_keep: { numLogitsToKeep: true },
  'weights in a side file': { side: 'model.onnx_data' },
};

for (const [name, options] of Object.entries(FORMS)) {
  test(`${name}: read and written again, pruned or not, the logits are bit by bit the same`, async (t) => {
    const files = decoderFiles(t, options);
    await sameLogits(files);
    const { bytes, folder } = await sameLogits(files, prune);
    const { graph, side } = attentionDecoder(options);
    assert.ok(bytes.length < (graph.length + side.length) / 3, `${bytes.length} of ${graph.length + side.length}`);
    assert.ok(folder !== null);
    for (const tensor of readGraph(files.graphs.decoder).initializers.values()) {
      assert.ok((tensor.stored === null) !== (tensor.proto === null), tensor.name);
      assert.ok(tensor.proto === null || tensor.proto.length < 1200, tensor.name);
    }
  });
}

/** A repository in the hub's cache: files are links to blobs. Returns the graph's path in the snapshot. */
function cached(t: TestContext, options: DecoderOptions): string {
  const { graph, side } = attentionDecoder(options);
  const folder = folderWith(t, { 'blobs/0a1b': graph, 'blobs/2c3d': side });
  const onnx = join(folder, 'snapshots', 'main', 'onnx');
  mkdirSync(onnx, { recursive: true });
  symlinkSync('../../../blobs/0a1b', join(onnx, 'model.onnx'));
  if (options.side !== undefined) symlinkSync('../../../blobs/2c3d', join(onnx, options.side));
  return join(onnx, 'model.onnx');
}

test('through the links of the hub cache, weights inside and beside the graph', async (t) => {
  for (const options of [{}, { side: 'model.onnx_data' }, { side: 'model.onnx_data', attention: 'gqa' }] as const) {
    const path = cached(t, options);
    const { folder } = await sameLogits(filesAt(path));
    assert.match(folder!, /blobs$/);
  }
});

test('weights in two folders cannot be written, for a session looks in one', (t) => {
  const graph = readGraph(decoderFiles(t).graphs.decoder);
  const other = readGraph(decoderFiles(t).graphs.decoder);
  const large = [...other.initializers.values()].find((tensor) => tensor.stored !== null)!;
  graph.initializers.set('from_elsewhere', { ...large, name: 'from_elsewhere' });
  assert.throws(() => writeGraph(graph), /several folders/);
});

test('a graph without large weights needs no folder', (t) => {
  const g = graphWriter();
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  g.node('Gather', [g.init('float32', [4, 1], [0, 1, 2, 3]), ids], {}, 'logits');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', 1]);
  const path = join(folderWith(t, { 'model.onnx': g.bytes() }), 'model.onnx');
  assert.equal(writeGraph(readGraph(path)).folder, null);
});

test('inputs and outputs with their types and sizes', (t) => {
  const { inputs, outputs, opsets, irVersion } = readGraph(decoderFiles(t, { weights: 'float16' }).graphs.decoder);
  const told = (values: typeof inputs) =>
    Object.fromEntries(values.map(({ name, type, dims }) => [name, [type, dims]]));
  const { input_ids: ids, 'past_key_values.1.value': past } = told(inputs);
  assert.deepEqual(ids, [7, ['batch_size', 'sequence_length']]);
  assert.deepEqual(past, [10, ['batch_size', 2, 'past_sequence_length', 16]]);
  assert.deepEqual(told(outputs).logits, [1, ['batch_size', 'sequence_length', 64]]);
  assert.deepEqual(
    [[...opsets], irVersion],
    [
      [
        ['', 17],
        ['com.microsoft', 1],
      ],
      9,
    ],
  );
});

test('a truncated file, a text, a missing side file and a missing file are errors', (t) => {
  const { graph } = attentionDecoder();
  const pathOf = (content: string | Uint8Array) => join(folderWith(t, { 'model.onnx': content }), 'model.onnx');
  for (const length of [graph.length - 40, graph.length >> 1, 1000, 10])
    assert.throws(() => readGraph(pathOf(graph.subarray(0, length))), /past the end|has no end/, `${length}`);
  assert.throws(() => readGraph(pathOf('version https://git-lfs.github.com/spec/v1\n')));
  assert.throws(() => readGraph(pathOf('')), /no graph/);
  assert.throws(() => readGraph(pathOf(attentionDecoder({ side: 'gone.onnx_data' }).graph)), /gone\.onnx_data/);
  assert.throws(() => readGraph(join(folderWith(t, {}), 'model.onnx')), /ENOENT/);
});

test('subgraphs and sparse weights are refused', (t) => {
  assert.throws(() => readGraph(decoderFiles(t, { subgraph: true }).graphs.decoder), /If_\S+ has a subgraph/);
  const sparse = bytesField(7, bytesField(15, intField(3, 4)));
  const path = join(folderWith(t, { 'model.onnx': sparse }), 'model.onnx');
  assert.throws(() => readGraph(path), /sparse/);
});

test('an external weight that does not say its length is an error', (t) => {
  const location = bytesField(13, joined([textField(1, 'location'), textField(2, 'side')]));
  const tensor = joined([intField(1, 4), intField(2, 1), textField(8, 'w'), location, intField(14, 1)]);
  const folder = folderWith(t, { 'model.onnx': bytesField(7, bytesField(5, tensor)), side: new Uint8Array(16) });
  assert.throws(() => readGraph(join(folder, 'model.onnx')), /tensor w .*how long/);
});

test('weights among the inputs, as in old exports, are not inputs', (t) => {
  const g = graphWriter();
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const table = g.init('float32', [4, 1], [0, 1, 2, 3]);
  g.input(table, 'float32', [4, 1]);
  g.node('Gather', [table, ids], {}, 'logits');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', 1]);
  const path = join(folderWith(t, { 'model.onnx': g.bytes() }), 'model.onnx');
  const graph = readGraph(path);
  assert.deepEqual(
    graph.inputs.map((input) => input.name),
    ['input_ids'],
  );
});

test('local functions and large weights that are not raw bytes are carried along', async (t) => {
  const g = graphWriter({ domains: { local: 1 } });
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  g.node('Twice', [g.node('Gather', ['table', ids])], {}, 'logits', 'local');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', 8]);
  const values = Float32Array.from({ length: 64 * 8 }, (_, i) => i / 7);
  const table = joined([
    intField(1, 64),
    intField(1, 8),
    intField(2, 1),
    bytesField(4, new Uint8Array(values.buffer)),
    textField(8, 'table'),
  ]);
  const body = joined([textField(1, 'x'), textField(1, 'x'), textField(2, 'y'), textField(4, 'Add')]);
  const twice = joined([
    textField(1, 'Twice'),
    textField(4, 'x'),
    textField(5, 'y'),
    bytesField(7, body),
    bytesField(9, joined([textField(1, ''), intField(2, 18)])),
    textField(10, 'local'),
  ]);
  // A second graph field adds to the first one: protocol buffers merge messages.
  const model = joined([g.bytes(), bytesField(25, twice)]);
  const path = join(folderWith(t, { 'model.onnx': model }), 'model.onnx');
  const graph = readGraph(path);
  graph.initializers.set('table', { name: 'table', dims: [64, 8], type: 1, stored: null, proto: table });
  writeFileSync(path, writeGraph(graph).bytes);
  await sameLogits(filesAt(path));
  assert.ok(Math.abs((await fullLogits(filesAt(path), [5]))[2]! - 12) < 1e-5);
});

test('attributes: numbers, lists, texts and floats, as written here and packed', () => {
  const node = nodeOf('Any', [], ['y'], { axis: -1, perm: [0, 2, -3], mode: 'x', epsilon: { float: 0.25 }, none: [] });
  assert.deepEqual(intsOf(node, 'axis'), [-1]);
  assert.deepEqual(intsOf(node, 'perm'), [0, 2, -3]);
  assert.deepEqual(intsOf(node, 'none'), []);
  assert.equal(floatOf(node, 'epsilon'), 0.25);
  assert.deepEqual(
    [intsOf(node, 'absent'), floatOf(node, 'absent'), floatOf(node, 'axis')],
    [undefined, undefined, undefined],
  );
  const minus = intField(8, -2).subarray(1);
  const packed = joined([textField(1, 'axes'), bytesField(8, joined([Uint8Array.of(3, 0xac, 0x02), minus]))]);
  const other: GraphNode = { ...node, attributes: new Map([['axes', packed]]) };
  assert.deepEqual(intsOf(other, 'axes'), [3, 300, -2]);
});

function small(nodes: GraphNode[], outputs: string[], inputs = ['a', 'b']): OnnxGraph {
  const values = (names: string[]) => names.map((name) => tensorValue(name, 1));
  return {
    nodes,
    initializers: new Map(),
    inputs: values(inputs),
    outputs: values(outputs),
    opsets: new Map([['', 17]]),
    irVersion: 9,
    rest: [],
  };
}

const names = (graph: OnnxGraph) => graph.nodes.map((node) => node.outputs[0]);

test('prune keeps what the outputs need, in the order in which it can be computed', () => {
  const graph = small(
    [
      nodeOf('Add', ['x', 'y'], ['out']),
      nodeOf('Neg', ['b'], ['dead']),
      nodeOf('Mul', ['x', 'x'], ['y']),
      nodeOf('Neg', ['dead'], ['dead_too']),
      nodeOf('Neg', ['a'], ['x']),
    ],
    ['out'],
  );
  prune(graph);
  assert.deepEqual(names(graph), ['x', 'y', 'out']);
  assert.deepEqual(
    graph.inputs.map((input) => input.name),
    ['a'],
  );
});

test('prune drops constants that nobody reads, and names a value that nobody makes', (t) => {
  const graph = readGraph(decoderFiles(t).graphs.decoder);
  const before = graph.initializers.size;
  graph.outputs = graph.outputs.filter((output) => output.name === 'present.0.key');
  prune(graph);
  assert.ok(graph.initializers.size < before / 2, `${graph.initializers.size} of ${before}`);
  assert.ok(graph.inputs.every((input) => input.name !== 'past_key_values.1.key'));
  assert.throws(() => prune(small([nodeOf('Add', ['a', 'nowhere'], ['out'])], ['out'])), /makes the value nowhere/);
});

test('inputs and outputs that are left out connect nothing', (t) => {
  const graph = small(
    [
      nodeOf('Clip', ['a', '', 'b'], ['first']),
      nodeOf('Skip', ['first'], ['second', '', 'third']),
      nodeOf('Neg', ['a'], ['', '']),
    ],
    ['third'],
  );
  prune(graph);
  assert.deepEqual(names(graph), ['first', 'second']);
  const real = readGraph(decoderFiles(t, { attention: 'gqa', packed: true }).graphs.decoder);
  prune(real);
  const made = new Set([...real.initializers.keys(), ...real.inputs.map((input) => input.name), '']);
  for (const node of real.nodes) {
    for (const input of node.inputs) assert.ok(made.has(input), `${node.name} reads ${input} before it is made`);
    for (const output of node.outputs) made.add(output);
  }
});

/** What is wrong with a graph of one initializer that is these fields. */
function readTensor(t: TestContext, ...parts: Uint8Array[]): OnnxGraph {
  const folder = folderWith(t, { 'model.onnx': bytesField(7, bytesField(5, joined(parts))), side: new Uint8Array(16) });
  return readGraph(join(folder, 'model.onnx'));
}

test('weights in the place of sizes, and sizes without an end, are errors', (t) => {
  const named = textField(8, 'w');
  assert.deepEqual(
    readTensor(t, named, bytesField(1, Uint8Array.of(2, 0x80, 1))).initializers.get('w')!.dims,
    [2, 128],
  );
  assert.throws(() => readTensor(t, named, bytesField(1, new Uint8Array(200_000))), /200000 bytes of sizes/);
  assert.throws(() => readTensor(t, named, bytesField(1, new Uint8Array(600))), /tensor w has 600 axes/);
  assert.throws(() => readTensor(t, named, bytesField(1, new Uint8Array(600).fill(0xff))), /has no end/);
  assert.throws(() => readTensor(t, bytesField(8, new Uint8Array(200_000))), /a name of 200000 bytes/);
});

test('an external weight of which place and length are no numbers, or whose file can have no name, is an error', (t) => {
  const external = (entries: Record<string, string>) =>
    readTensor(
      t,
      textField(8, 'w'),
      ...Object.entries(entries).map(([key, value]) =>
        bytesField(13, joined([textField(1, key), textField(2, value)])),
      ),
      intField(14, 1),
    );
  const { stored } = external({ location: 'side', length: '8' }).initializers.get('w')!;
  assert.deepEqual([stored!.offset, stored!.length], [0, 8]);
  const wrong: Record<string, string>[] = [{ offset: 'x' }, { offset: '-8' }, { length: '1e400' }, { length: '8.5' }];
  for (const entries of wrong)
    assert.throws(() => external({ location: 'side', length: '8', ...entries }), /tensor w does not say where/);
  assert.throws(() => external({ location: 'si\0de', length: '8' }), /tensor w .* zero byte/);
});

test('what an axis means may stand beside its size', (t) => {
  const axis = (...parts: Uint8Array[]) => bytesField(1, joined(parts));
  const shape = joined([axis(intField(1, 4), textField(3, 'CHANNEL')), axis(textField(2, 'n'), textField(3, 'BATCH'))]);
  const type = bytesField(2, bytesField(1, joined([intField(1, 1), bytesField(2, shape)])));
  const value = bytesField(11, joined([textField(1, 'x'), type]));
  const path = join(folderWith(t, { 'model.onnx': bytesField(7, value) }), 'model.onnx');
  assert.deepEqual(readGraph(path).inputs[0]!.dims, [4, 'n']);
});

test('attributes of another type than their name says have no numbers; long lists have all of theirs', () => {
  const node = nodeOf('Any', [], ['y']);
  const withField = (field: Uint8Array): GraphNode => ({ ...node, attributes: new Map([['a', field]]) });
  // A float's number that is a varint, at the end of the bytes.
  assert.equal(floatOf(withField(intField(2, 1)), 'a'), undefined);
  assert.deepEqual(intsOf(withField(bytesField(3, Uint8Array.of(5))), 'a'), []);
  assert.equal(intsOf(withField(bytesField(8, new Uint8Array(300_000).fill(7))), 'a')!.length, 300_000);
  assert.throws(() => intsOf(withField(bytesField(8, new Uint8Array(50).fill(0xff))), 'a'), /has no end/);
});

test('prune: a value that is made from itself is an error', () => {
  assert.throws(() => prune(small([nodeOf('Cast', ['x'], ['x'])], ['x'])), /value x is made from itself/);
  const ring = [nodeOf('Neg', ['z'], ['x']), nodeOf('Neg', ['x'], ['y']), nodeOf('Add', ['y', 'a'], ['z'])];
  assert.throws(() => prune(small(ring, ['y'])), /is made from itself/);
});
