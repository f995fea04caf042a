/** Files that hold a graph's weights. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { externalLocations } from '../../../nanoeval/model/graph/external.ts';
import { bytesField, intField, joined, textField } from '../../../nanoeval/model/graph/protobuf.ts';
import { attentionDecoder } from '../attention_decoder.ts';
import { folderWith } from '../fixtures.ts';
import { toyDecoder } from '../toy_decoder.ts';

/** A TensorProto whose data lies elsewhere; `flagged`: it says so. */
function tensor(location: string, flagged = true): Uint8Array {
  const entry = (key: string, value: string) => bytesField(13, joined([textField(1, key), textField(2, value)]));
  return joined([textField(8, 'w'), entry('offset', '0'), entry('location', location), intField(14, flagged ? 1 : 0)]);
}

test('the files that a graph names, each once, wherever the tensor stands', (t) => {
  const node = (...attribute: Uint8Array[]) => bytesField(1, joined([bytesField(5, joined(attribute))]));
  const inside = bytesField(5, tensor('branch.bin'));
  const graph = joined([
    bytesField(5, tensor('weights.bin')),
    bytesField(5, tensor('weights.bin')),
    bytesField(5, tensor('no.bin', false)),
    node(textField(1, 'value'), bytesField(5, tensor('../constant.bin'))),
    node(textField(1, 'then_branch'), bytesField(6, inside)),
  ]);
  const folder = folderWith(t, {
    'made.onnx': bytesField(7, graph),
    'side.onnx': attentionDecoder({ side: 'model.onnx_data' }).graph,
    'plain.onnx': toyDecoder(),
    'text.onnx': 'no graph',
    'cut.onnx': bytesField(7, graph).subarray(0, 60),
  });
  const at = (name: string) => externalLocations(join(folder, name));
  assert.deepEqual(at('made.onnx'), ['weights.bin', '../constant.bin', 'branch.bin']);
  assert.deepEqual(at('side.onnx'), ['model.onnx_data']);
  for (const name of ['plain.onnx', 'text.onnx', 'cut.onnx']) assert.deepEqual(at(name), [], name);
  assert.throws(() => at('none.onnx'), { code: 'ENOENT' });
});
