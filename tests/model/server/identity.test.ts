/** Who stands behind an address: by the shape of its routes, and whether it is still the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Passing, Refusal, Unusable } from '../../../nanoeval/model/server/faults.ts';
import { changeOf, checkSame, identifyServer, markOf } from '../../../nanoeval/model/server/identity.ts';
import { OutsideError } from '../../../nanoeval/types.ts';
import { userError } from '../fixtures.ts';
import { stub } from './asking.ts';

const recorded = (name: string) => {
  const file = new URL(`../../fixtures/servers/llama_server/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).pairs[0].response.body;
};
const absent = () => {
  throw new Refusal(404, '', 'x: 404');
};
/** A server by what its routes answer. */
const server = (routes: Record<string, unknown>) =>
  stub((path) => {
    const found = routes[path];
    if (found instanceof Error) throw found;
    return found ?? absent();
  }).send;
const models = (one: object) => ({ data: [{ id: 'm', ...one }] });
const who = (routes: Record<string, unknown>, wanted = 'm') => identifyServer(server(routes), wanted, 'http://h');

test('llama-server, from what a real one said', async () => {
  const routes = { '/v1/models': recorded('models'), '/props': recorded('props') };
  const found = await who(routes, 'smollm2-135m-instruct');
  const { template, ...rest } = found;
  assert.deepEqual(rest, {
    kind: 'llama.cpp',
    version: 'b0-0c1e57098',
    model: 'smollm2-135m-instruct',
    about: {
      n_vocab: 49152,
      n_embd: 576,
      n_params: 134515008,
      size: 96576768,
      ftype: 'Q4_1',
      file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    },
    context: 2048,
    slots: 2,
  });
  assert.match(template!, /^\{% for message in messages %\}/);
  // What differs from start to start is no part of it.
  const later = structuredClone(routes);
  later['/v1/models'].data[0].created += 100;
  later['/props'].media_marker = 'other';
  assert.equal(markOf(await who(later, 'smollm2-135m-instruct')), markOf(found));
});

test('vLLM, Ollama, SGLang and others, by their routes', async () => {
  const vllm = { '/v1/models': models({ max_model_len: 4096, root: '/srv/m' }), '/version': { version: '0.33.0' } };
  assert.deepEqual(await who(vllm), {
    kind: 'vllm',
    version: '0.33.0',
    model: 'm',
    about: { root: '/srv/m' },
    context: 4096,
    slots: null,
    template: null,
  });
  const ollama = { '/v1/models': models({}), '/api/version': { version: '0.9' } };
  assert.equal((await who(ollama)).kind, 'ollama');
  const sglang = { '/v1/models': models({ max_model_len: 8 }), '/model_info': { model_path: 'x' } };
  assert.deepEqual([(await who(sglang)).kind, (await who(sglang)).context], ['sglang', 8]);
  assert.deepEqual((await who({ '/v1/models': models({}) })).kind, 'unknown');
});

test('routes that are not there may say so in any way', async () => {
  for (const other of [
    new Passing('garbled', 'a page'),
    new Passing('error', '500'),
    new Unusable('403', 'model.api_key_env'),
    new Refusal(501, '', 'x'),
  ])
    assert.equal((await who({ '/v1/models': models({}), '/props': other, '/version': other })).kind, 'unknown');
  const gone = new Passing('unreachable', 'x');
  await assert.rejects(who({ '/v1/models': models({}), '/props': gone }), gone);
});

test('a model that is not served is named with those that are', async () => {
  await assert.rejects(who({ '/v1/models': models({}) }, 'n'), userError('model.model_id', '"n" is not served', '"m"'));
  await assert.rejects(who({ '/v1/models': {} }), userError('model.model_id', 'It has: none'));
  const aliased = models({ aliases: ['n'] });
  assert.equal((await who({ '/v1/models': aliased }, 'n')).model, 'm');
});

test('another model, another build and another context are other servers, and said to be', async () => {
  const routes = (length: number, version: string) => ({
    '/v1/models': models({ max_model_len: length }),
    '/version': { version },
  });
  const before = await who(routes(10, '1'));
  await checkSame(server(routes(10, '1')), before, 'm', 'http://h');
  assert.equal(changeOf(before, await who(routes(20, '2'))), 'version was "1" and is "2", context was 10 and is 20');
  await assert.rejects(
    checkSame(server(routes(20, '1')), before, 'm', 'http://h'),
    (error) => error instanceof OutsideError && /context was 10 and is 20/.test(error.message),
  );
  await assert.rejects(
    checkSame(server({ '/v1/models': { data: [{ id: 'n' }] } }), before, 'm', 'http://h'),
    (error) => error instanceof OutsideError && /"m" is not served at http:\/\/h\. It has: "n"\./.test(error.message),
  );
  await assert.rejects(checkSame(server({ '/v1/models': new Passing('cut', 'x') }), before, 'm', 'http://h'), Passing);
  await assert.rejects(
    checkSame(server({}), before, 'm', 'http://h'),
    (error) => error instanceof OutsideError && /changed its model while the run went on: x: 404\./.test(error.message),
  );
});
