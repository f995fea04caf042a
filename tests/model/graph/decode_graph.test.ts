/** The edit of a graph for decoding: one operator a layer, and what it refuses. Its numbers: decode_session.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attentionSizes } from '../../../nanoeval/model/graph/attention.ts';
import { DECODE, editDecode } from '../../../nanoeval/model/graph/decode_graph.ts';
import { NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { readNamed } from '../../../nanoeval/model/graph/names.ts';
import { nodeOf } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { type DecoderOptions, decoderFiles } from '../attention_decoder.ts';

test('attention of every layer is one operator over the past, and no mask is left', (t) => {
  const kinds: DecoderOptions[] = [{}, { mask: 'where' }, { scale: 'sides' }, { attention: 'gqa' }];
  for (const options of kinds) {
    const files = decoderFiles(t, options);
    const graph = readNamed(files.graphs.decoder);
    const sizes = attentionSizes(graph, files);
    editDecode(graph, sizes);
    const operators = graph.nodes.filter(({ op }) => op === 'GroupQueryAttention');
    assert.equal(operators.length, sizes.layers);
    for (const [layer, { inputs, outputs }] of operators.entries()) {
      assert.deepEqual(inputs.slice(3, 5), [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`]);
      assert.deepEqual(inputs.slice(5, 7), [DECODE.lengths, DECODE.longest]);
      assert.deepEqual(outputs.slice(1, 3), [`present.${layer}.key`, `present.${layer}.value`]);
    }
    assert.equal(graph.nodes.filter(({ op }) => op === 'Softmax').length, 0);
    const names = graph.inputs.map(({ name }) => name);
    assert.ok(names.includes(DECODE.lengths) && names.includes(DECODE.longest));
    assert.ok(!names.includes('attention_mask'), names.join(', '));
  }
});

test('windows, soft caps and positions that are no input are refused', (t) => {
  const refused = (
    message: RegExp,
    options: DecoderOptions,
    change: (graph: ReturnType<typeof readNamed>) => void,
    slides = false,
  ) => {
    const files = decoderFiles(t, options);
    const graph = readNamed(files.graphs.decoder);
    const sizes = attentionSizes(graph, files);
    change(graph);
    const own = slides ? { ...sizes, slides: [true, false] } : sizes;
    assert.throws(
      () => editDecode(graph, own),
      (error) => error instanceof NoEdit && message.test(error.message),
    );
  };
  refused(/slides over a window/, {}, () => undefined, true);
  refused(/position_ids is not an input/, { positions: 'counted' }, () => undefined);
  refused(/scores have a soft cap/, {}, (graph) => {
    const softmax = graph.nodes.find(({ op }) => op === 'Softmax')!;
    const add = graph.nodes.find(({ outputs }) => outputs[0] === softmax.inputs[0])!;
    graph.nodes.push(nodeOf('Tanh', [add.inputs[0]!], ['capped']));
  });
  refused(/is not its past and what is new/, {}, (graph) => {
    const concat = graph.nodes.find(({ outputs }) => outputs[0] === 'present.0.key')!;
    concat.inputs = [...concat.inputs].reverse();
  });
});
