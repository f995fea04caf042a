/** Constants of a graph: initializers and nodes, in every way in which a file may hold one integer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constantOf } from '../../../nanoeval/model/graph/constants.ts';
import { constant, ELEMENT, type GraphNode, nodeOf } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { bytesField, intField, joined, textField } from '../../../nanoeval/model/graph/protobuf.ts';

/** A Constant node whose tensor (TensorProto: 1 dims, 2 type, 5 and 7 values, 9 raw) is these fields. */
function made(...tensor: Uint8Array[]): GraphNode {
  const node = nodeOf('Constant', [], ['c']);
  node.attributes.set('value', joined([textField(1, 'value'), bytesField(5, joined(tensor))]));
  return node;
}
const bytesOf = (values: BigInt64Array | Int32Array) => new Uint8Array(values.buffer);

test('initializers: the integer of one element; none of several, and none of floats', () => {
  const of = (type: 'int64' | 'float32', dims: number[], values: number[]) =>
    constantOf(constant('c', type, dims, values));
  assert.deepEqual(of('int64', [], [-16]), { type: ELEMENT.int64, dims: [], value: -16 });
  assert.deepEqual(of('int64', [1], [4096]), { type: ELEMENT.int64, dims: [1], value: 4096 });
  assert.equal(of('int64', [2], [1, 2])?.value, null);
  assert.equal(of('float32', [], [16])?.value, null);
  const stored = { name: 'c', dims: [64, 64], type: ELEMENT.bool, stored: null, proto: null };
  assert.deepEqual(constantOf(stored), { type: ELEMENT.bool, dims: [64, 64], value: null });
});

test('Constant nodes: raw bytes, typed values, integers as attributes', () => {
  const int64 = intField(2, ELEMENT.int64);
  const int32 = intField(2, ELEMENT.int32);
  assert.deepEqual(constantOf(made(int64, bytesField(9, bytesOf(BigInt64Array.of(-16n))))), {
    type: ELEMENT.int64,
    dims: [],
    value: -16,
  });
  assert.equal(constantOf(made(int32, bytesField(9, bytesOf(Int32Array.of(16)))))?.value, 16);
  assert.equal(constantOf(made(int64, intField(7, 300)))?.value, 300);
  // Packed: 300 as a varint; 2 and 3.
  assert.equal(constantOf(made(int64, bytesField(7, Uint8Array.of(0xac, 2))))?.value, 300);
  assert.equal(constantOf(made(int32, bytesField(5, Uint8Array.of(2, 3))))?.value, null);
  assert.deepEqual(constantOf(made(intField(1, 1), intField(1, 8), intField(2, ELEMENT.bool))), {
    type: ELEMENT.bool,
    dims: [1, 8],
    value: null,
  });
  assert.equal(constantOf(nodeOf('Constant', [], ['c'], { value_int: 7 }))?.value, 7);
  assert.equal(constantOf(nodeOf('Constant', [], ['c'], { value_ints: [7, 8] }))?.value, null);
});

test('any other node is no constant, nor is one of a text', () => {
  assert.equal(constantOf(nodeOf('Add', ['a', 'b'], ['c'])), null);
  assert.equal(constantOf(nodeOf('Constant', [], ['c'], { value_string: 'x' })), null);
});
