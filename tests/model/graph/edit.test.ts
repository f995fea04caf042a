/** editHead: log-probabilities and arg-max from inside the graph are those of the untouched graph's logits. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Tensor } from 'onnxruntime-node';
import { EDITED, editHead, isDynamicallyQuantized, NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { argMax, logSoftmaxAt } from '../../../nanoeval/model/graph/logits.ts';
import { nodeOf, type OnnxGraph, readGraph, tensorValue } from '../../../nanoeval/model/graph/onnx_graph.ts';
import {
  type DecoderOptions,
  decoderFiles,
  filesAt,
  fullLogits,
  furthest,
  openGraph,
  VOCAB,
} from '../attention_decoder.ts';
import { folderWith } from '../fixtures.ts';
import { graphWriter } from '../onnx_writer.ts';

const IDS = [3, 17, 42, 8, 55, 21, 9, 30];
/** Places in the order in which they are selected: not that of the sequence, and one twice. */
const PLACES = [7, 0, 4, 4];
/** Place in PLACES, target. */
const PAIRS = [
  [0, 5],
  [2, 63],
  [0, 0],
  [3, 17],
  [1, 30],
];

const int64 = (values: number[][]) =>
  new Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [values.length, values[0]!.length]);

/** What an edited graph answers about `ids`. */
async function asked(
  t: TestContext,
  files: ReturnType<typeof filesAt>,
  graph: OnnxGraph,
  ids = IDS,
  places = PLACES,
  pairs = PAIRS,
) {
  const feeds = {
    [EDITED.select]: int64(places.map((place) => [0, place])),
    [EDITED.pairs]: int64(pairs.map((pair) => [0, ...pair])),
  };
  const run = await openGraph(t, files, graph);
  const results = await run(ids, { feeds });
  return {
    logprobs: results[EDITED.logprob]!.data as Float32Array,
    best: Array.from(results[EDITED.best]!.data as BigInt64Array, Number),
    results,
  };
}

const FORMS: Record<string, DecoderOptions> = {
  plain: {},
  GroupQueryAttention: { attention: 'gqa' },
  'opset 13': { opset: 13 },
  'opset 18': { opset: 18 },
  float16: { weights: 'float16' },
  'four bits': { weights: 'int4' },
  'a tied head with a scale': { tied: true },
  'soft capped logits': { capped: true },
  num_logits_to_keep: { numLogitsToKeep: true },
  'dynamic int8': { weights: 'int8' },
};

for (const [name, options] of Object.entries(FORMS)) {
  test(`${name}: states picked before the head and after it`, async (t) => {
    const files = decoderFiles(t, options);
    const logits = await fullLogits(files, IDS);
    const expected = PAIRS.map(
      ([place, target]) => logSoftmaxAt(logits, PLACES[place!]! * VOCAB, VOCAB, target!).logprob,
    );
    const best = PLACES.map((place) => argMax(logits, place * VOCAB, VOCAB));
    for (const before of [true, false]) {
      const graph = readGraph(files.graphs.decoder);
      editHead(graph, before);
      assert.ok(graph.outputs.every((output) => output.name !== 'logits'));
      const found = await asked(t, files, graph);
      // The scale of a quantised head is taken over the picked states alone.
      const limit = before && options.weights === 'int8' ? 0.1 : options.weights === 'float16' ? 5e-3 : 1e-5;
      const off = furthest(found.logprobs, expected);
      assert.ok(off <= limit, `before ${before}: ${off}`);
      if (limit === 1e-5) assert.deepEqual(found.best, best);
      assert.equal(found.results['present.1.key']?.dims[2], IDS.length);
    }
  });
}

test('the first of several most likely tokens, as argMax takes', async (t) => {
  const g = graphWriter();
  const ids = g.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const columns = [
    [0, 1, 3, 3, 1, 3, 0, 3],
    [2, 2, 2, 2, 2, 2, 2, 2],
  ];
  const x = g.node('Gather', [g.init('float32', [3, 2], [1, 0, 0, 1, -1, 0]), ids]);
  g.node('MatMul', [x, g.init('float32', [2, 8], columns.flat())], {}, 'logits');
  g.output('logits', 'float32', ['batch_size', 'sequence_length', 8]);
  const files = filesAt(join(folderWith(t, { 'model.onnx': g.bytes() }), 'model.onnx'));
  for (const before of [true, false]) {
    const graph = readGraph(files.graphs.decoder);
    editHead(graph, before);
    const { best, logprobs } = await asked(t, files, graph, [0, 1, 2], [0, 1, 2], [[1, 6]]);
    assert.deepEqual(best, [2, 0, 0]);
    assert.ok(Math.abs(logprobs[0]! + Math.log(8)) < 1e-6);
  }
});

test('a graph that the edit does not fit is told why', (t) => {
  const graphOf = (options: DecoderOptions = {}) => readGraph(decoderFiles(t, options).graphs.decoder);
  const refused = (graph: OnnxGraph, reason: RegExp, before = true) =>
    assert.throws(
      () => editHead(graph, before),
      (error) => error instanceof NoEdit && reason.test(error.message),
    );
  refused(graphOf({ head: 'einsum' }), /product that makes the logits was not found/);
  const old = graphOf();
  old.opsets.set('', 12);
  refused(old, /opset 12/);
  const nameless = graphOf();
  nameless.outputs = nameless.outputs.filter((output) => output.name !== 'logits');
  refused(nameless, /no output "logits"/, false);
  const shared = graphOf({ weights: 'int8' });
  const head = shared.nodes.findLast((node) => node.op === 'MatMulInteger')!;
  shared.nodes.push(nodeOf('Identity', [head.inputs[0]!], ['states']));
  shared.outputs.push(tensorValue('states', 2));
  refused(shared, /shares its quantised input/);
});

test('an Einsum head can be picked behind', async (t) => {
  const files = decoderFiles(t, { head: 'einsum' });
  const graph = readGraph(files.graphs.decoder);
  editHead(graph, false);
  const logits = await fullLogits(files, IDS);
  const { logprobs } = await asked(t, files, graph);
  assert.ok(Math.abs(logprobs[0]! - logSoftmaxAt(logits, 7 * VOCAB, VOCAB, 5).logprob) < 1e-5);
});

test('dynamic quantisation is seen; weights of few bits are none', (t) => {
  const dynamic = (options: DecoderOptions) =>
    isDynamicallyQuantized(readGraph(decoderFiles(t, options).graphs.decoder));
  assert.deepEqual(
    (['float32', 'float16', 'int4', 'int8'] as const).map((weights) => dynamic({ weights })),
    [false, false, false, true],
  );
});

test('logits that are made from themselves are an error, and not looked through for ever', (t) => {
  const graph = readGraph(decoderFiles(t).graphs.decoder);
  const maker = graph.nodes.find((node) => node.outputs[0] === 'logits')!;
  maker.outputs = ['first'];
  graph.nodes.push(nodeOf('Add', ['logits', 'first'], ['logits']));
  assert.throws(() => editHead(graph, true), /value logits is made from itself/);
});
