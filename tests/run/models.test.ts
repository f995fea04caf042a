/** Checkpoints of a program: looked up once, loaded once, closed at the end. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { engineSection } from '../../nanoeval/config/keys.ts';
import { openModels } from '../../nanoeval/run/models.ts';
import { UserError } from '../../nanoeval/types.ts';
import { folderWith, settings, tokenizerJson } from '../model/fixtures.ts';
import { TOY_CONFIG, toyDecoder } from '../model/toy_decoder.ts';

const toyFolder = (t: TestContext) =>
  folderWith(t, {
    'config.json': { ...TOY_CONFIG, max_position_embeddings: 64 },
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>' },
    'onnx/model.onnx': toyDecoder({ vocab: 320 }),
  });
const ENGINE = engineSection.parse({ mode: 'naive', workers: 1, threads_per_worker: 1 });

function open(t: TestContext) {
  const said: string[] = [];
  const log = { info: (line: string) => void said.push(line), progress: () => {} };
  const models = openModels(log, new AbortController().signal);
  t.after(() => models.close());
  return { models, said };
}

test('a checkpoint is found without being loaded, and loaded once for all that share it', async (t) => {
  const { models, said } = open(t);
  const model_id = toyFolder(t);
  const own = settings({ model_id });
  const found = await models.find(own);
  assert.deepEqual([found.identity.model_id, found.identity.max_length], [model_id, 64]);
  assert.equal(await models.find({ ...own, chat_template: true }), found);
  assert.equal(said.length, 0);
  const model = await models.open(own, ENGINE);
  // The template is the task's affair.
  assert.equal(await models.open({ ...own, chat_template: true }, ENGINE), model);
  assert.deepEqual(model.identity, found.identity);
  assert.match(said[0]!, /^model \S+, fp32, 0 MB, window 64, naive runs$/);
  assert.equal(said.filter((line) => line.startsWith('model ')).length, 1);
});

test('another part of the model or the engine is another model', async (t) => {
  const { models } = open(t);
  const own = settings({ model_id: toyFolder(t) });
  const model = await models.open(own, ENGINE);
  assert.notEqual(await models.open({ ...own, max_length: 32 }, ENGINE), model);
  assert.notEqual(await models.open(own, { ...ENGINE, batch_tokens: 64 }), model);
});

test('a file that changes is known by its hash, the remembered one of the old file is not taken for it', async (t) => {
  const model_id = toyFolder(t);
  const hashes = async () => {
    const { identity } = await open(t).models.find(settings({ model_id }));
    return [identity.files[0]?.sha256, identity.tokenizer_sha256];
  };
  const before = await hashes();
  assert.deepEqual(await hashes(), before);
  writeFileSync(join(model_id, 'onnx/model.onnx'), toyDecoder({ vocab: 321 }));
  const [file, tokenizer] = await hashes();
  assert.notEqual(file, before[0]);
  assert.equal(tokenizer, before[1]);
  writeFileSync(join(model_id, 'tokenizer.json'), `${JSON.stringify(tokenizerJson())} `);
  assert.notEqual((await hashes())[1], before[1]);
  assert.ok(existsSync(model_id));
});

test('a checkpoint that is not there is told each time it is asked for', async (t) => {
  const { models } = open(t);
  const nowhere = settings({ model_id: './nowhere' });
  for (const ask of [() => models.find(nowhere), () => models.open(nowhere, ENGINE), () => models.find(nowhere)])
    await assert.rejects(ask, (error) => error instanceof UserError && error.key === 'model.model_id');
  await models.close();
});
