/** Sessions of onnxruntime: what they declare, how they fail, and the element types that JavaScript does not have. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Tensor } from 'onnxruntime-node';
import {
  describe,
  type GraphSource,
  halfToFloat,
  int64,
  openSession,
  refeedable,
  runGraph,
  runInto,
  toFloat32,
  UNREADABLE,
} from '../../../nanoeval/model/graph/session.ts';
import { OutsideError } from '../../../nanoeval/types.ts';
import { folderWith, settings, userError } from '../fixtures.ts';
import { graphWriter, rawData } from '../onnx_writer.ts';

/** y = x + weights, where x is [rows, 2]; the weights in a side file where it is named. */
function graph(side?: string): Uint8Array {
  const g = graphWriter();
  const external = side === undefined ? undefined : { location: side, offset: 0, length: 8 };
  const weights = g.init('float32', [2], [10, 20], external);
  g.node('Add', [g.input('x', 'float32', ['rows', 2]), weights], {}, 'y');
  g.output('y', 'float32', ['rows', 2]);
  return g.bytes();
}

async function open(t: TestContext, source: GraphSource, keys: Parameters<typeof settings>[0] = {}) {
  const session = await openSession(source, settings(keys), 1);
  t.after(() => session.release());
  return session;
}

const x = () => new Tensor('float32', [1, 2], [1, 2]);

test('a graph as a file, and as bytes whose weights lie in a folder', async (t) => {
  const side = rawData('float32', [10, 20]);
  const folder = folderWith(t, { 'a.onnx': graph(), 'b.onnx': graph('side'), side });
  const sources: GraphSource[] = [
    { path: join(folder, 'a.onnx') },
    { path: join(folder, 'b.onnx') },
    { path: 'nowhere', edited: { bytes: graph(), folder: null } },
    { path: 'nowhere', edited: { bytes: graph('side'), folder }, options: { graphOptimizationLevel: 'disabled' } },
  ];
  for (const source of sources) {
    const session = await open(t, source);
    assert.deepEqual(describe(session.inputMetadata), [{ name: 'x', type: 'float32', dims: ['rows', 2] }]);
    const { y } = await runGraph(session, { x: x() }, ['y'], source.path);
    assert.deepEqual([...(y!.data as Float32Array)], [11, 22]);
  }
});

test('a file that will not do is the user’s, with what onnxruntime said of it on one line', async (t) => {
  const folder = folderWith(t, { 'cut.onnx': graph().subarray(0, 40), 'side.onnx': graph('missing') });
  await assert.rejects(
    open(t, { path: join(folder, 'cut.onnx') }),
    userError('model.model_id', 'cut.onnx', /cannot load it: .*[Pp]rotobuf/),
  );
  await assert.rejects(open(t, { path: join(folder, 'side.onnx') }), userError('model.model_id', /external data/i));
});

test('a device that is not in this build is named with those that are', {
  skip: process.platform === 'darwin' ? 'coreml is there on a Mac' : false,
}, async (t) => {
  const source = { path: 'x', edited: { bytes: graph(), folder: null } };
  await assert.rejects(open(t, source, { device: 'coreml' }), userError('model.device', '"coreml"', 'cpu'));
});

test('a pass that fails names the graph', async (t) => {
  const session = await open(t, { path: 'x', edited: { bytes: graph(), folder: null } });
  const wrong = new Tensor('float32', [1, 2, 3], [1, 3]);
  await assert.rejects(runGraph(session, { x: wrong }, ['y'], 'my.onnx'), (error) => {
    assert.ok(error instanceof OutsideError);
    assert.match(error.message, /^my\.onnx: onnxruntime failed: /);
    return !error.message.includes('\n');
  });
});

test('int64: small numbers and picture tokens', () => {
  const values = [0, 1, 49_151, 2 ** 31 - 1];
  const tensor = int64(values, [2, 2]);
  assert.deepEqual(
    [tensor.type, tensor.dims, [...(tensor.data as BigInt64Array)]],
    ['int64', [2, 2], values.map(BigInt)],
  );
  assert.deepEqual([...(int64(Int32Array.of(7), [1]).data as BigInt64Array)], [7n]);
});

test('toFloat32: float32 as it is, float16 by its bits, and nothing else', () => {
  const plain = new Tensor('float32', [1.5, -2], [2]);
  assert.equal(toFloat32(plain), plain.data);
  const half = new Tensor('float16', Uint16Array.of(0x3c00, 0xc000), [2]);
  assert.deepEqual([...toFloat32(refeedable(half))], [1, -2]);
  assert.equal(refeedable(plain), plain);
  assert.throws(() => toFloat32(int64([1], [1])), userError(undefined, 'int64', 'neither float32 nor float16'));
});

test('halfToFloat: all kinds of float16', () => {
  const cases: [bits: number, value: number][] = [
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xbc00, -1],
    [0x3555, 0.333251953125],
    [0x7bff, 65504],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
  ];
  const found = halfToFloat(Uint16Array.from(cases, ([bits]) => bits));
  assert.deepEqual(
    [...found],
    cases.map(([, value]) => value),
  );
});

test('a graph that fits nowhere is the user’s too, in whatever words onnxruntime says it', async (t) => {
  const g = graphWriter();
  const weights = g.init('float32', [3, 2], [1, 2, 3, 4, 5, 6]);
  g.node('MatMul', [g.input('x', 'float32', ['rows', 2]), weights], {}, 'y');
  g.output('y', 'float32', ['rows', 2]);
  const folder = folderWith(t, { 'memory.onnx': g.bytes() });
  await assert.rejects(
    open(t, { path: join(folder, 'memory.onnx') }),
    userError('model.model_id', 'memory.onnx: onnxruntime cannot load it: ', /[Ii]ncompatible dimensions/),
  );
});

test('outputs stand in the memory that was given for them, and what fails is an error all the same', async (t) => {
  const g = graphWriter();
  g.node('SequenceEmpty', [], {}, UNREADABLE);
  g.node('Add', [g.input('x', 'float32', ['rows', 2]), g.init('float32', [2], [10, 20])], {}, 'y');
  g.sequenceOutput(UNREADABLE, 'float32');
  g.output('y', 'float32', ['rows', 2]);
  const session = await open(t, { path: 'nowhere', edited: { bytes: g.bytes(), folder: null } });
  const y = new Tensor('float32', new Float32Array(2), [1, 2]);
  await runInto(session, { x: x() }, { y }, 'a graph');
  assert.deepEqual([...(y.data as Float32Array)], [11, 22]);
  const wide = new Tensor('float32', new Float32Array(3), [1, 3]);
  await assert.rejects(runInto(session, { x: wide }, { y }, 'a graph'), (error) => {
    assert.ok(error instanceof OutsideError);
    assert.match(error.message, /^a graph: onnxruntime failed: /);
    return true;
  });
  const narrow = new Tensor('float32', new Float32Array(1), [1, 1]);
  await assert.rejects(runInto(session, { x: x() }, { y: narrow }, 'a graph'), /onnxruntime failed/);
});
