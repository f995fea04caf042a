/** Which layers of a decoder slide over a window, by config.json. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { ELEMENT, nodeOf, readGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { attendsToAll, slidingCaches, slidingLayers } from '../../../nanoeval/model/graph/window.ts';
import { type DecoderOptions, decoderFiles } from '../attention_decoder.ts';

/** 1 for a layer that slides. */
const layers = (config: object, count = 6) =>
  slidingLayers({ sliding_window: 16, max_position_embeddings: 64, ...config }, count)
    ?.slides.map(Number)
    .join('');

test('the layers that slide, as transformers has them for each model type', () => {
  assert.equal(layers({ model_type: 'mistral' }), '111111');
  assert.equal(layers({ model_type: 'gemma2' }), '101010');
  assert.equal(layers({ model_type: 'gemma3_text' }), '111110');
  assert.equal(layers({ model_type: 'gemma3_text', sliding_window_pattern: 3 }), '110110');
  assert.equal(layers({ model_type: 'qwen2', use_sliding_window: true, max_window_layers: 4 }), '000011');
  const layer_types = ['sliding_attention', 'full_attention', 'sliding_attention'];
  assert.equal(layers({ model_type: 'gemma2', layer_types }, 3), '101');
});

test('no layer slides: no window, one that is off, one as long as the context, or none of the layers', () => {
  for (const config of [
    { sliding_window: null },
    { model_type: 'qwen2', use_sliding_window: false, max_window_layers: 2 },
    { model_type: 'mistral', sliding_window: 64 },
    { layer_types: Array(6).fill('full_attention') },
  ])
    assert.equal(layers(config), undefined);
});

test('what config.json does not say is not guessed', () => {
  assert.throws(() => layers({ model_type: 'unheard_of' }), NoEdit);
  assert.throws(() => layers({ model_type: 'llama4_text', attention_chunk_size: 8 }), NoEdit);
});

test('caches that have their full size from the start are found in the graph', (t) => {
  const plain = decoderFiles(t, { attention: 'gqa' });
  assert.equal(slidingCaches(plain.graphs.decoder).size, 0);
  const sliding = decoderFiles(t, { attention: 'gqa', attributes: { local_window_size: 8, sliding_window_cache: 1 } });
  const places = slidingCaches(sliding.graphs.decoder);
  assert.equal(places.size, 4);
  assert.equal(places.get('past_key_values.1.value'), 8);
  assert.equal(slidingCaches('/nowhere/model.onnx').size, 0);
});

test('caches of which the graph does not say how large they are have no size from the start', (t) => {
  const sizes: Record<string, number>[] = [{}, { local_window_size: -8 }];
  for (const more of sizes) {
    const attributes = { sliding_window_cache: 1, ...more };
    const { graphs } = decoderFiles(t, { attention: 'gqa', attributes });
    assert.equal(slidingCaches(graphs.decoder).size, 0);
  }
});
test('a graph without a window: no edge that positions are compared with, no window of an operator, no stored mask', (t) => {
  const of = (options: DecoderOptions) => readGraph(decoderFiles(t, options).graphs.decoder);
  for (const options of [{}, { mask: 'where' }, { cache: null }, { attention: 'gqa' }, { alibi: true }] as const)
    assert.equal(attendsToAll(of(options), 12), true);
  assert.equal(attendsToAll(of({ window: 12 }), 12), false);
  assert.equal(attendsToAll(of({ attention: 'gqa', attributes: { local_window_size: 12 } }), 12), false);
  assert.equal(attendsToAll(of({ attention: 'gqa', attributes: { local_window_size: -1 } }), 12), true);
  // Another number than the window's is none of its edges; torch counts from one further, or down.
  assert.equal(attendsToAll(of({ window: 12 }), 32), true);
  for (const edge of [11, 13, -12]) {
    const graph = of({});
    graph.nodes.push(nodeOf('Constant', [], ['edge'], { value_int: edge }), nodeOf('Sub', ['a', 'edge'], ['b']));
    assert.equal(attendsToAll(graph, 12), false, `${edge}`);
  }
});

test('a mask that is stored whole may hold the window', (t) => {
  const withTable = (type: 'bool' | 'float32', dims: number[]) => {
    const graph = readGraph(decoderFiles(t).graphs.decoder);
    graph.initializers.set('mask', { name: 'mask', dims, type: ELEMENT[type], stored: null, proto: null });
    return graph;
  };
  assert.equal(attendsToAll(withTable('bool', [1, 1, 64, 64]), 12), false);
  assert.equal(attendsToAll(withTable('bool', [64, 64]), 12), false);
  assert.equal(attendsToAll(withTable('float32', [1, 1, 64, 64]), 12), false);
  assert.equal(attendsToAll(withTable('float32', [64, 64]), 12), true);
});
