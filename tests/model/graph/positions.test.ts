/** Positions that an export counts itself; its numbers with them as an input are held in tree_session.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { exposePositions } from '../../../nanoeval/model/graph/positions.ts';
import { type DecoderOptions, decoderFiles } from '../attention_decoder.ts';

test('positions by a Range become an input, which the rotary embeddings alone read; other graphs are left alone', (t) => {
  const graphOf = (positions: DecoderOptions['positions']) => readGraph(decoderFiles(t, { positions }).graphs.decoder);
  const inputs = (positions: DecoderOptions['positions']) => {
    const graph = graphOf(positions);
    exposePositions(graph);
    return graph.inputs.filter(({ name }) => name === 'position_ids').length;
  };
  assert.deepEqual([inputs('ranged'), inputs('given'), inputs('counted')], [1, 1, 0]);
  const graph = graphOf('ranged');
  const before = graph.nodes.filter(({ op }) => op === 'Range').length;
  exposePositions(graph);
  assert.ok(graph.nodes.some((node) => node.inputs.includes('position_ids')));
  assert.equal(graph.nodes.filter(({ op }) => op === 'Range').length, before);
});
