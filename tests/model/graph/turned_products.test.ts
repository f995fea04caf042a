/** Products with the sides exchanged: which ones, and how rows are grouped. Their numbers: decode_session.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { attentionSizes } from '../../../nanoeval/model/graph/attention.ts';
import { editChoice, editDecode } from '../../../nanoeval/model/graph/decode_graph.ts';
import { editHead } from '../../../nanoeval/model/graph/edit.ts';
import { readNamed } from '../../../nanoeval/model/graph/names.ts';
import type { OnnxGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { fullGroups, groupsOf, TURNED, turnProducts } from '../../../nanoeval/model/graph/turned_products.ts';
import { type DecoderOptions, decoderFiles } from '../attention_decoder.ts';

function edited(t: TestContext, options: DecoderOptions = {}): OnnxGraph {
  const files = decoderFiles(t, options);
  const graph = readNamed(files.graphs.decoder);
  const sizes = attentionSizes(graph, files);
  editHead(graph, true);
  editChoice(graph);
  editDecode(graph, sizes);
  return graph;
}

const countOf = (graph: OnnxGraph, op: string) => graph.nodes.filter((node) => node.op === op).length;

test('what lies between two products is not turned back, and the head is none of them', (t) => {
  const graph = edited(t);
  const products = countOf(graph, 'MatMul');
  // Of each of two layers: queries, keys, values, the attention's result, gate, rise, fall.
  assert.equal(turnProducts(graph, 1), 14);
  assert.deepEqual([countOf(graph, 'MatMul'), countOf(graph, 'FusedMatMul')], [products - 14, 14]);
  const inputs = graph.inputs.map(({ name }) => name);
  for (const name of Object.values(TURNED)) assert.ok(inputs.includes(name), name);
  const read = graph.nodes.filter(({ op }) => op === 'FusedMatMul').map((node) => node.inputs[1]!);
  const reshaped = new Set(graph.nodes.filter(({ op }) => op === 'Reshape').flatMap(({ outputs }) => outputs));
  assert.equal(
    read.filter((name) => !reshaped.has(name)).length,
    2,
    'the last product of each layer reads turned rows',
  );
  assert.equal(new Set(read).size, 8, 'products of one input read the same rows');
});

test('narrow products, and those that are no plain float32 ones, stay as they are', (t) => {
  for (const options of [{}, { weights: 'int4' }, { weights: 'float16', cache: 'float16' }] as DecoderOptions[]) {
    const graph = edited(t, options);
    const before = graph.nodes.map(({ name }) => name);
    assert.equal(turnProducts(graph, options.weights === undefined ? undefined : 1), 0, JSON.stringify(options));
    assert.deepEqual(new Set(graph.nodes.map(({ name }) => name)), new Set(before));
    assert.ok(!graph.inputs.some(({ name }) => name === TURNED.groups), 'no input is added');
  }
});

test('of enough columns are those that are told', (t) => {
  // 64 of queries, of the attention's result and of the fall, 32 of keys and values, 96 of gate and rise.
  for (const [least, count] of [
    [33, 10],
    [65, 4],
    [97, 0],
  ] as const)
    assert.equal(turnProducts(edited(t), least), count, `${least}`);
});

test('rows in groups of 32 at most, alike in size, and all in one where they do not divide', () => {
  for (let rows = 1; rows <= 300; rows += 1) {
    const [groups, each] = groupsOf(rows);
    assert.equal(groups * each, rows);
    assert.ok(each <= 32 || groups === 1, `${rows}: ${groups} of ${each}`);
    const full = fullGroups(rows);
    assert.ok(full >= rows && full - rows < Math.ceil(rows / 32), `${rows}: ${full}`);
    assert.ok(groupsOf(full)[1] <= 32, `${rows}: ${groupsOf(full)}`);
  }
  assert.deepEqual([groupsOf(64), groupsOf(33), fullGroups(33), groupsOf(34)], [[2, 32], [1, 33], 34, [2, 17]]);
});
