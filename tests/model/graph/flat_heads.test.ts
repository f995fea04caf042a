/** Heads that are not set apart around the attention: what is taken out, what stays. Its numbers: decode_session.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { attentionSizes, fuseRotary } from '../../../nanoeval/model/graph/attention.ts';
import { editDecode } from '../../../nanoeval/model/graph/decode_graph.ts';
import { flattenHeads } from '../../../nanoeval/model/graph/flat_heads.ts';
import { readNamed } from '../../../nanoeval/model/graph/names.ts';
import { nodeOf, type OnnxGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { type DecoderOptions, decoderFiles } from '../attention_decoder.ts';

function edited(t: TestContext, options: DecoderOptions = {}, change: (graph: OnnxGraph) => void = () => undefined) {
  const files = decoderFiles(t, options);
  const graph = readNamed(files.graphs.decoder);
  const sizes = attentionSizes(graph, files);
  editDecode(graph, sizes);
  fuseRotary(graph, sizes);
  change(graph);
  return { graph, layers: sizes.layers };
}

const countOf = (graph: OnnxGraph, op: string) => graph.nodes.filter((node) => node.op === op).length;

test('no head is turned around the attention of any layer', (t) => {
  for (const options of [{}, { mask: 'where' }, { scale: 'sides' }] as DecoderOptions[]) {
    const { graph, layers } = edited(t, options);
    const before = countOf(graph, 'Transpose');
    const attentions = graph.nodes
      .filter(({ op }) => op === 'GroupQueryAttention')
      .map(({ outputs }) => outputs.slice(1));
    assert.equal(flattenHeads(graph), layers);
    assert.ok(countOf(graph, 'Transpose') <= before - 8 * layers, JSON.stringify(options));
    const now = graph.nodes.filter(({ op }) => op === 'GroupQueryAttention').map(({ outputs }) => outputs.slice(1));
    assert.deepEqual(now, attentions, 'caches are where they were');
    assert.equal(countOf(graph, 'RotaryEmbedding'), 2 * layers);
  }
});

test('queries that pass through something else stay as they are, and so does a result that others read', (t) => {
  const strange = edited(t, {}, (graph) => {
    const rotary = graph.nodes.find(({ op }) => op === 'RotaryEmbedding')!;
    graph.nodes.push(nodeOf('Tanh', [rotary.inputs[0]!], ['strange']));
    rotary.inputs[0] = 'strange';
  });
  assert.equal(flattenHeads(strange.graph), strange.layers - 1);
  const read = edited(t, {}, (graph) => {
    const attention = graph.nodes.find(({ op }) => op === 'GroupQueryAttention')!;
    const reader = graph.nodes.find(({ inputs }) => inputs[0] === attention.outputs[0])!;
    graph.nodes.push(
      nodeOf('Relu', [attention.outputs[0]!], ['copy']),
      nodeOf('Add', [reader.inputs[0]!, 'copy'], ['sum']),
    );
    reader.inputs[0] = 'sum';
  });
  assert.equal(flattenHeads(read.graph), read.layers - 1);
});

test('a graph that has the operator already is left alone', (t) => {
  const { graph } = edited(t, { attention: 'gqa' });
  assert.equal(flattenHeads(graph), 0);
});
