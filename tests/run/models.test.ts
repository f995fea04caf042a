/** Checkpoints of a program: looked up once, loaded once, closed at the end. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { engineSection } from '../../nanoeval/config/keys.ts';
import { openModels } from '../../nanoeval/run/models.ts';
import { UserError } from '../../nanoeval/types.ts';
import { workersHere } from '../here_workers.ts';
import { runHere } from '../in_process.ts';
import { folderWith, settings, tokenizerJson } from '../model/fixtures.ts';
import { answerTo, type FakeOptions, fakeServer } from '../model/server/fake_server.ts';
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
  t.after(workersHere());
  const models = openModels(log, new AbortController().signal);
  t.after(() => models.close());
  return { models, said };
}

test('a checkpoint is found without being loaded, and loaded once for all that share it', async (t) => {
  const { models, said } = open(t);
  const model_id = toyFolder(t);
  const own = settings({ model_id });
  const found = await models.find({ model: own, engine: ENGINE });
  const { label, variant, backend, max_length, source } = found.identity;
  assert.deepEqual([label, variant, backend, max_length], [model_id, 'fp32', 'onnx', 64]);
  assert.deepEqual([source.model_id, source.commit, source.dtype], [model_id, null, 'fp32']);
  assert.equal(await models.find({ model: { ...own, chat_template: true }, engine: ENGINE }), found);
  assert.equal(said.length, 0);
  const model = await models.open({ model: own, engine: ENGINE });
  // The template is the task's affair.
  assert.equal(await models.open({ model: { ...own, chat_template: true }, engine: ENGINE }), model);
  assert.deepEqual(model.identity, found.identity);
  assert.match(said[0]!, /^model \S+, fp32, 0 MB, window 64, naive form$/);
  assert.equal(said.filter((line) => line.startsWith('model ')).length, 1);
});

test('another part of the model or the engine is another model', async (t) => {
  const { models } = open(t);
  const own = settings({ model_id: toyFolder(t) });
  const model = await models.open({ model: own, engine: ENGINE });
  assert.notEqual(await models.open({ model: { ...own, max_length: 32 }, engine: ENGINE }), model);
  assert.notEqual(await models.open({ model: own, engine: { ...ENGINE, batch_tokens: 64 } }), model);
});

test('a file that changes is known by its hash, the remembered one of the old file is not taken for it', async (t) => {
  const model_id = toyFolder(t);
  const hashes = async () => {
    const { identity } = await open(t).models.find({ model: settings({ model_id }), engine: ENGINE });
    const [file] = identity.source.files as { sha256: string }[];
    return [file?.sha256, identity.source.tokenizer_sha256, identity.sha256];
  };
  const before = await hashes();
  assert.deepEqual(await hashes(), before);
  writeFileSync(join(model_id, 'onnx/model.onnx'), toyDecoder({ vocab: 321 }));
  const [file, tokenizer, whole] = await hashes();
  assert.notEqual(file, before[0]);
  assert.equal(tokenizer, before[1]);
  assert.notEqual(whole, before[2]);
  writeFileSync(join(model_id, 'tokenizer.json'), `${JSON.stringify(tokenizerJson())} `);
  const [, other, hash] = await hashes();
  assert.notEqual(other, before[1]);
  assert.notEqual(hash, whole);
  assert.ok(existsSync(model_id));
});

test('a checkpoint that is not there is told each time it is asked for', async (t) => {
  const { models } = open(t);
  const nowhere = settings({ model_id: './nowhere' });
  for (const ask of [
    () => models.find({ model: nowhere, engine: ENGINE }),
    () => models.open({ model: nowhere, engine: ENGINE }),
    () => models.find({ model: nowhere, engine: ENGINE }),
  ])
    await assert.rejects(ask, (error) => error instanceof UserError && error.key === 'model.model_id');
  await models.close();
});

test('what it can do, and which of its settings can move a digit, is known before it is loaded', async (t) => {
  const { models, said } = open(t);
  const engine = engineSection.parse({ mode: 'naive', workers: 1, threads_per_worker: 1, batch_tokens: 64 });
  const found = await models.find({ model: settings({ model_id: toyFolder(t) }), engine });
  assert.deepEqual(found.can, {
    verbs: ['loglikelihood', 'generate_until', 'loglikelihood_rolling'],
    images: false,
    chat: false,
  });
  assert.deepEqual(found.engine, { mode: 'naive', batch_tokens: 64 });
  assert.deepEqual(said, []);
  const model = await found.load();
  t.after(() => model.close());
  // Which tokens end an answer is known with the tokenizer.
  assert.deepEqual(model.can, { ...found.can, ends: true });
});

test('what one is closed for is over for all that share it; one that was never loaded is not closed', async (t) => {
  const { models } = open(t);
  const model_id = toyFolder(t);
  await models.find({ model: settings({ model_id, max_length: 32 }), engine: ENGINE });
  const model = await models.open({ model: settings({ model_id }), engine: ENGINE });
  await models.close();
  await models.close();
  await assert.rejects(async () => {
    const ask = { verb: 'generate_until', prompt: 'a', until: [], max_new_tokens: 1 } as const;
    const asked = async function* () {
      yield { place: 0, content: ask };
    };
    for await (const { content } of model.answer(asked(), new AbortController().signal))
      assert.fail(`answered: ${JSON.stringify(content)}`);
  });
});

/** Runs a program over a server that does as it is told; `yaml` goes behind the model. */
async function runServed(t: TestContext, program: string, options: FakeOptions, yaml: string, env = {}) {
  const fake = await fakeServer(t, options);
  const folder = folderWith(t, {});
  const backend = fake.options.kind === 'llama.cpp' ? 'llama_cpp' : fake.options.kind;
  const key = options.key === undefined ? '' : ', api_key_env: TOY_KEY';
  const model = `model: { model_id: toy, backend: ${backend}, base_url: "${fake.url}/v1"${key} }`;
  const path = join(folder, 'a.yaml');
  writeFileSync(
    path,
    `task: ${program.slice(4)}\n${model}\nreport: { output_dir: ${folder}/out, save_plot: false }\n${yaml}`,
  );
  const finished = await runHere(program, { NANOEVAL_CONFIG: path, ...env });
  return { ...finished, fake, folder, path };
}
const PROMPTS = Array.from(
  { length: 9 },
  (_, i) => `  - { id: r${i}, prompt: row ${i}, target: "${answerTo(`row ${i}`)}" }\n`,
);

test('a served model answers a task: rows, record and summary, and its key nowhere in them', async (t) => {
  const rows = `dataset:\n  rows:\n${PROMPTS.map((line) => `  ${line}`).join('')}`;
  const { code, stdout, stderr, folder, fake } = await runServed(
    t,
    'run_rollout',
    { kind: 'vllm', key: 'sk-secret' },
    rows,
    { TOY_KEY: 'sk-secret' },
  );
  assert.equal(code, 0, stderr);
  const record = JSON.parse(readFileSync(join(folder, 'out/run.json'), 'utf8'));
  assert.deepEqual(record.server.base_urls, [fake.url]);
  assert.deepEqual([record.server.scoring, record.server.repeatable], ['prompt_logprobs', true]);
  const summary = JSON.parse(readFileSync(join(folder, 'out/summary.json'), 'utf8'));
  assert.equal(summary.metrics.acc.value, 1);
  assert.match(summary.engine.remarks.join(), /order and concurrency may move a digit/);
  assert.ok(summary.engine.requests >= 9);
  const written = readdirSync(join(folder, 'out')).map((name) => readFileSync(join(folder, 'out', name), 'utf8'));
  assert.doesNotMatch([stdout, stderr, ...written].join('\n'), /sk-secret/);
});

test('a server that runs already is asked where the config says so, and not ended', async (t) => {
  const fake = await fakeServer(t, { kind: 'vllm' });
  const folder = folderWith(t, {});
  const path = join(folder, 'a.yaml');
  const server = `{ port: ${new URL(fake.url).port}, autostart: false }`;
  const rows = `dataset:\n  rows:\n${PROMPTS.map((line) => `  ${line}`).join('')}`;
  writeFileSync(
    path,
    `task: rollout\nmodel: { model_id: toy, backend: vllm, server: ${server} }\nreport: { output_dir: ${folder}/out, save_plot: false }\n${rows}`,
  );
  const { code, stderr } = await runHere('run_rollout', { NANOEVAL_CONFIG: path });
  assert.equal(code, 0, stderr);
  const record = JSON.parse(readFileSync(join(folder, 'out/run.json'), 'utf8'));
  assert.deepEqual([record.server.started, record.server.base_urls], [false, [fake.url]]);
  assert.equal(existsSync(join(folder, 'out/server.log')), false);
  assert.equal((await fetch(`${fake.url}/version`)).status, 200);
});

test('a server that cannot score is refused before the first row, in one line that says where', async (t) => {
  const rows = 'dataset: { rows: [{ prefix: a, continuations: [b, c], label: 0 }] }\n';
  const { code, stderr, fake, path } = await runServed(t, 'run_ranking', { kind: 'openai', scoring: 'ignored' }, rows);
  assert.equal(code, 2);
  const line = stderr.trimEnd().split('\n').at(-1)!;
  assert.ok(line.startsWith(`${path}:`), line);
  assert.match(
    line,
    /scoring.strategy: ranking asks for loglikelihood: toy \(unknown\) cannot return .* \(echo is ignored/,
  );
  assert.ok(!fake.seen.some(({ body }) => JSON.stringify(body)?.includes('"prompt":"a')));
});
