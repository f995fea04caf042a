/** Keys of one backend under another: refused by name, and their defaults left out. A second backend is made up here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BACKENDS,
  type BackendKeys,
  DEFAULT_BACKEND,
  foreignKey,
  withoutForeign,
} from '../../nanoeval/config/backends.ts';
import { modelSection } from '../../nanoeval/config/keys.ts';

const TWO: Record<string, BackendKeys> = {
  onnx: BACKENDS.onnx,
  server: { about: 'a server', model: ['url', 'device'], sections: ['limits'] },
};
const of = (model: object, sections: object = {}) => ({ task: 't', model: { model_id: 'a/b', ...model }, ...sections });
const first = (data: unknown) => foreignKey(data, TWO);

test('a key of the other backend is named with its value, where it stands and whose it is', () => {
  const alone = (key: string, of: string, here: string) =>
    `${key} is of the backend "${of}" alone, and this model has "${here}". Leave it out.`;
  assert.deepEqual(first(of({ backend: 'server', dtype: 'q4' })), {
    path: ['model', 'dtype'],
    message: `"q4", but ${alone('model.dtype', 'onnx', 'server')}`,
  });
  assert.deepEqual(first(of({ backend: 'server', dtype: { model: 'q4' } }))?.path, ['model', 'dtype']);
  assert.deepEqual(first(of({ backend: 'server', onnx_file: 'a.onnx' }))?.path, ['model', 'onnx_file']);
  assert.deepEqual(first(of({ backend: 'server' }, { engine: { mode: 'naive' } })), {
    path: ['engine'],
    message: alone('engine', 'onnx', 'server'),
  });
  // An empty section is written too.
  assert.deepEqual(first(of({ backend: 'server' }, { engine: {} }))?.path, ['engine']);
  assert.deepEqual(first(of({ url: 'http://x' })), {
    path: ['model', 'url'],
    message: `"http://x", but ${alone('model.url', 'server', 'onnx')}`,
  });
  assert.deepEqual(first(of({}, { limits: {} }))?.path, ['limits']);
});

test('own keys, shared ones, and those of no backend are none of it', () => {
  assert.equal(first(of({})), null);
  assert.equal(first(of({ dtype: 'q4', onnx_file: 'a.onnx', device: 'cuda' }, { engine: {} })), null);
  assert.equal(first(of({ backend: 'onnx', device: 'cuda' })), null);
  assert.equal(first(of({ backend: 'server', url: 'x', device: 'cuda' }, { limits: {} })), null);
  assert.equal(first(of({ backend: 'server', is_vlm: true, max_length: 3 }, { dataset: {}, run: {} })), null);
  // A suite of several checkpoints may have no shared model.
  assert.equal(first({ tasks: [] }), null);
  for (const data of [null, 5, [], { model: null }, { model: [] }]) assert.equal(first(data), null);
});

test('of the backends that there are: own keys pass, others are named with all whose they are, and every one is a key', () => {
  assert.equal(foreignKey(of({ dtype: 'q4', revision: 'v1' }, { engine: {} })), null);
  assert.equal(foreignKey(of({ backend: 'vllm', base_url: 'http://h', api_key_env: 'K' })), null);
  assert.equal(
    foreignKey(of({ base_url: 'http://h' }))?.message,
    '"http://h", but model.base_url is of the backends "vllm", "llama_cpp", "openai" alone, and this model has "onnx". Leave it out.',
  );
  assert.deepEqual(foreignKey(of({ backend: 'openai', revision: 'v1' }))?.path, ['model', 'revision']);
  assert.deepEqual(foreignKey(of({ backend: 'llama_cpp' }, { engine: {} }))?.path, ['engine']);
  assert.ok(DEFAULT_BACKEND in BACKENDS);
  for (const { model } of Object.values(BACKENDS)) for (const key of model) assert.ok(key in modelSection.shape, key);
});

test("defaults of another backend's keys are left out of the parsed config, and nothing else", () => {
  const parsed = {
    task: 't',
    model: { model_id: 'a/b', backend: 'server', dtype: 'fp32', device: 'cpu', max_length: 7 },
    engine: { mode: 'auto' },
    run: { score: true },
  };
  assert.deepEqual(withoutForeign(parsed, TWO), {
    task: 't',
    // `device` is a key of both.
    model: { model_id: 'a/b', backend: 'server', device: 'cpu', max_length: 7 },
    run: { score: true },
  });
  const onnx = { ...parsed, model: { ...parsed.model, backend: 'onnx', url: 'x' }, limits: {} };
  const { limits: _limits, ...kept } = onnx;
  const { url: _url, ...model } = onnx.model;
  assert.deepEqual(withoutForeign(onnx, TWO), { ...kept, model });
  assert.deepEqual(parsed.engine, { mode: 'auto' }, 'what was given stays');
  // Of the backends that there are, none of its own goes.
  const plain = { ...parsed, model: { ...parsed.model, backend: 'onnx' } };
  assert.deepEqual(withoutForeign(plain), plain);
  // Of data without a model nothing is known.
  assert.deepEqual(withoutForeign({ runs: ['a'], engine: {} }, TWO), { runs: ['a'], engine: {} });
});
