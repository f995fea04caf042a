/** Which program is started as a server, and what cannot be. */
import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { modelSection } from '../../../nanoeval/config/keys.ts';
import { checkStarted, commandFor, graceMs } from '../../../nanoeval/model/server/command.ts';
import { UserError } from '../../../nanoeval/types.ts';

const HERE = fileURLToPath(import.meta.url);
const settings = (backend: string, server: object, more: object = {}) =>
  modelSection.parse({ model_id: 'toy', backend, server, ...more });
const command = (backend: string, server: object, more: object = {}, key: string | null = null) => {
  const model = settings(backend, server, more);
  return commandFor(model, model.server!, 8123, key);
};

test('llama-server: the file under the name of the model, the config’s arguments behind ours, the key in the environment', () => {
  const found = command('llama_cpp', { model: HERE, args: ['-c', 4096] }, {}, 'sk-1');
  assert.deepEqual(found, {
    program: 'llama-server',
    args: ['-m', HERE, '--alias', 'toy', '--host', '127.0.0.1', '--port', '8123', '-c', '4096'],
    env: { LLAMA_API_KEY: 'sk-1' },
  });
  const hub = command('llama_cpp', { model: 'org/toy-GGUF:Q4_K_M', command: '/opt/llama-server' });
  assert.deepEqual(
    [hub.program, ...hub.args.slice(0, 4)],
    ['/opt/llama-server', '-hf', 'org/toy-GGUF:Q4_K_M', '--alias', 'toy'],
  );
  assert.deepEqual(hub.env, {});
  assert.equal(command('vllm', { command: ['~/bin/vllm'] }).program, join(homedir(), 'bin/vllm'));
});

test('vLLM: `serve` with neutral settings and the window of the config; a program may be several words', () => {
  const found = command('vllm', { command: ['uv', 'run', 'vllm'] }, { max_length: 2048 }, 'sk-1');
  assert.deepEqual(
    [found.program, ...found.args].join(' '),
    'uv run vllm serve toy --served-model-name toy --host 127.0.0.1 --port 8123 --generation-config vllm --max-model-len 2048',
  );
  assert.deepEqual(found.env, { VLLM_API_KEY: 'sk-1' });
  assert.deepEqual(command('vllm', { model: 'org/toy' }).args.slice(0, 4), [
    'serve',
    'org/toy',
    '--served-model-name',
    'toy',
  ]);
  assert.deepEqual([graceMs('vllm'), graceMs('llama_cpp'), graceMs('openai')], [30_000, 10_000, 10_000]);
});

test('any server: its own arguments, in which port, host, model and name are filled in', () => {
  const found = command('openai', {
    command: 'serve',
    model: '/m',
    args: ['--at={host}:{port}', '{model}', '{name}', '{x}', '{}'],
  });
  assert.deepEqual(found, { program: 'serve', args: ['--at=127.0.0.1:8123', '/m', 'toy', '{x}', '{}'], env: {} });
});

test('what cannot be started is one line that names the key', () => {
  const faults: [string, object, string, RegExp][] = [
    ['llama_cpp', { model: 'no.gguf' }, 'model', /^there is no file "no\.gguf"\. It has to be a GGUF file/],
    ['llama_cpp', { model: './no/model' }, 'model', /^there is no file/],
    ['llama_cpp', { model: 'org/model.gguf' }, 'model', /^there is no file/],
    ['openai', {}, 'command', /^missing\. The backend "openai" is any server: name its program/],
    ['openai', { command: 'x' }, 'args', /^nothing tells the server its port\. Write \{port\}/],
    ['vllm', { autostart: false }, 'port', /^"auto", but with autostart: false/],
    [
      'vllm',
      { args: ['--api-key=sk-secret'] },
      'args',
      /^"--api-key" would put a key into files\. .* model\.api_key_env\.$/,
    ],
    ['vllm', { args: ['--api_key', 'sk-secret'] }, 'args', /^"--api_key" would/],
  ];
  for (const [backend, server, key, message] of faults) {
    const model = settings(backend, server);
    assert.throws(
      () => checkStarted(model, model.server!),
      (error) => error instanceof UserError && error.key === `model.server.${key}` && message.test(error.message),
      JSON.stringify(server),
    );
  }
  for (const [backend, server] of [
    ['openai', { command: 'x', port: 8000 }],
    ['openai', { autostart: false, port: 8000 }],
    ['llama_cpp', { autostart: false, port: 8000, model: join(HERE, 'no.gguf') }],
  ] as const) {
    const model = settings(backend, server);
    checkStarted(model, model.server!);
    assert.equal(model.server!.port, 8000);
  }
});
