/** What an export cannot do. Whole graphs that cannot be opened are in onnx.test.ts. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkShapes,
  contradictions,
  embeddingRows,
  lastPositionAlone,
  loadFault,
  longRope,
  roundings,
  runFault,
  switchesRotary,
} from '../../../nanoeval/model/graph/export.ts';
import { nodeOf, readGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { UserError } from '../../../nanoeval/types.ts';
import { type DecoderOptions, decoderFiles } from '../attention_decoder.ts';
import { folderWith } from '../fixtures.ts';
import { graphWriter } from '../onnx_writer.ts';
import { type ToyOptions, toyDecoder } from '../toy_decoder.ts';

test('a past of one length alone is refused; a size that is open, unnamed or 1 in the batch is not', () => {
  const ids = { name: 'input_ids', dims: ['b', 's'] };
  const past = (length: number | string) => ({ name: 'past_key_values.0.key', dims: ['b', 2, length, 4] });
  const logits = { name: 'logits', dims: ['b', 's', 32] };
  assert.throws(
    () => checkShapes('m.onnx', [ids, past(2048)], [logits]),
    new UserError(
      'm.onnx: the export takes 2048 tokens of a past and no other number (past_key_values.0.key [b, 2, 2048, 4]). Export it with dynamic shapes (dynamic_axes).',
      { key: 'model.model_id' },
    ),
  );
  for (const dims of [
    ['', ''],
    [-1, -1],
    [1, 's'],
  ])
    checkShapes('m.onnx', [{ name: 'input_ids', dims }, past('p')], [logits, { name: 'present', dims: [1] }]);
  assert.match(
    lastPositionAlone('m.onnx', [1, 1, 32]).message,
    /^m\.onnx: the export gives .* \(logits \[1, 1, 32\]\)/,
  );
});

test('another reason than the export is none of it', (t) => {
  const folder = folderWith(t, { 'model.onnx': toyDecoder({ vocab: 8 }), 'text.onnx': 'no graph' });
  for (const name of ['model.onnx', 'text.onnx', 'none.onnx'])
    assert.equal(loadFault(join(folder, name), 'something else'), null);
});

test('an operator that does not take its inputs is said by its name, another end of the first pass as it is', () => {
  const words = 'm.onnx: onnxruntime failed: Non-zero status code returned while running ';
  assert.equal(
    runFault('m.onnx', `${words}Gather node. Name:'/embed' Status Message: indices element out of data bounds, idx=0.`),
    'm.onnx: the export does not run: its operator Gather (/embed) does not take what the graph gives it: indices element out of data bounds, idx=0. Get the file again, or export it with another version of the exporter.',
  );
  assert.equal(
    runFault('m.onnx', `${words}Gather node. Name:''`),
    'm.onnx: the export does not run: its operator Gather does not take what the graph gives it. Get the file again, or export it with another version of the exporter.',
  );
  assert.equal(
    runFault('m.onnx', 'm.onnx: onnxruntime failed: no feed'),
    'm.onnx: onnxruntime failed: no feed. Not even two tokens go through the graph: get the file again, or export it anew.',
  );
});

test('rows of the table that ids are looked up in: of floats, behind a cast, of scaled bytes; null without a table', (t) => {
  const bytes = graphWriter();
  const ids = bytes.node('Cast', [bytes.input('input_ids', 'int32', ['b', 's'])], { to: 7 });
  const table = bytes.init('uint8', [12, 2], new Array(24).fill(1));
  const scaled = bytes.node('DequantizeLinear', [table, bytes.init('float32', [], [0.5])]);
  bytes.node('Gather', [scaled, ids], {}, 'out');
  bytes.output('out', 'float32', ['b', 's', 2]);
  const folder = folderWith(t, {
    'model.onnx': toyDecoder({ vocab: 32, table: 40 }),
    'bytes.onnx': bytes.bytes(),
    'none.onnx': toyDecoder({ vocab: 32 }),
    'text.onnx': 'no graph',
  });
  const rows = (name: string) => embeddingRows(join(folder, name));
  assert.deepEqual(['model.onnx', 'bytes.onnx', 'none.onnx', 'text.onnx'].map(rows), [40, 12, null, null]);
});

test('a soft cap or a switch of rotary factors that config.json tells and the graph lacks is said', (t) => {
  const capped = { attn_logit_softcapping: 50 };
  const of = (config: object, options: Parameters<typeof decoderFiles>[1] = {}) =>
    contradictions(decoderFiles(t, options).graphs.decoder, config as Record<string, unknown>, true);
  const line = "config.json caps attention scores at 50 and the graph does not: its numbers are not the checkpoint's";
  assert.deepEqual(of(capped), [line]);
  assert.deepEqual(of(capped, { attention: 'gqa' }), [line]);
  assert.deepEqual(of(capped, { attention: 'gqa', attributes: { softcap: { float: 50 } } }), []);
  assert.deepEqual(of({ attn_logit_softcapping: null }), []);
  const rope = { rope_scaling: { type: 'longrope' }, original_max_position_embeddings: 4096 };
  assert.match(of(rope)[0]!, /^config.json changes the rotary factors beyond 4096 tokens \(longrope\)/);
  assert.deepEqual(of({ rope_scaling: { type: 'yarn' }, original_max_position_embeddings: 4096 }), []);
  assert.deepEqual(contradictions('/nowhere/model.onnx', rope, false), []);
});

test('a window that config.json tells and the graph lacks is said by its key, where the graph has its own mask', (t) => {
  const line = (key: string) =>
    `config.json has attention slide over 20 tokens (${key}) and the graph attends to everything: rows of more than 20 tokens have other numbers than the checkpoint's`;
  const of = (config: object, options: DecoderOptions = {}, masked = false) =>
    contradictions(decoderFiles(t, options).graphs.decoder, config as Record<string, unknown>, masked);
  const mistral = { model_type: 'mistral', sliding_window: 20, num_hidden_layers: 2, max_position_embeddings: 64 };
  assert.deepEqual(of(mistral), [line('sliding_window')]);
  assert.deepEqual(of(mistral, { attention: 'gqa' }), [line('sliding_window')]);
  assert.deepEqual(of(mistral, { cache: null }), [line('sliding_window')]);
  assert.deepEqual(of({ window_size: 20, attention_layers: ['global', 'local'] }), [line('window_size')]);
  for (const [config, options, masked] of [
    // The form applies config.json's.
    [mistral, {}, true],
    [mistral, { window: 20 }, false],
    [mistral, { attention: 'gqa', attributes: { local_window_size: 20 } }, false],
    // No layer slides, or nobody says which.
    [{ ...mistral, max_position_embeddings: 20 }, {}, false],
    [{ ...mistral, sliding_window: null }, {}, false],
    [{ ...mistral, use_sliding_window: false }, {}, false],
    [{ ...mistral, model_type: 'unheard_of' }, {}, false],
  ] as const)
    assert.deepEqual(of(config, options, masked), []);
});

test('logits in float16 are said', (t) => {
  const of = (toy: ToyOptions) => roundings(join(folderWith(t, { 'model.onnx': toyDecoder(toy) }), 'model.onnx'));
  assert.match(
    of({ logits: 'float16' }).join(),
    /^the graph gives its logits in float16: .* by 0\.008 where it is 16 to 32/,
  );
  assert.deepEqual(of({ logits: 'float32', cache: 'float16' }), []);
  assert.deepEqual(roundings('/nowhere/model.onnx'), []);
});

test('a graph that chooses by its largest position is known', (t) => {
  const graph = readGraph(decoderFiles(t).graphs.decoder);
  assert.equal(switchesRotary(graph), false);
  graph.nodes.push(nodeOf('ReduceMax', ['position_ids'], ['largest']));
  assert.equal(switchesRotary(graph), true);
  assert.equal(longRope({ rope_parameters: { rope_type: 'longrope', original_max_position_embeddings: 8 } }), 8);
  assert.equal(longRope({ rope_parameters: { rope_type: 'llama3', original_max_position_embeddings: 8 } }), null);
});
