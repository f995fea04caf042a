/** A suite's file as tasks: sections over sections, checkpoints, folders. What a user sees of its faults is in tests/suite.test.ts. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../nanoeval/config/check.ts';
import { readConfigFile } from '../../nanoeval/config/file.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { fitsFolder, readEntries } from '../../nanoeval/suite/entries.ts';
import { userError } from '../model/fixtures.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('entries');
after(folder.remove);

async function entries(yaml: string) {
  const path = join(folder.path, 'suite.yaml');
  writeFileSync(path, yaml);
  const file = readConfigFile('NANOEVAL_SUITE', path, 'suites/suite_smoke.yaml');
  const suite = parseConfig(file, 'models' in file.data ? manyModelsSchema : suiteSchema);
  return readEntries(file, suite, 'out');
}

test('names that fit a folder', () => {
  assert.deepEqual(['mmlu', 'a.b-c_1', '..', '.', 'a/b', 'a b', ''].map(fitsFolder), [
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});

test("a task's section goes over the suite's, key by key", async () => {
  const [first, second] = await entries(`model: { model_id: a/b, dtype: q4, max_length: 100 }
engine: { workers: 2 }
tasks:
  - task: hellaswag
    model: { dtype: fp16 }
  - task: mmlu
    name: again
    engine: { workers: 1 }
`);
  assert.deepEqual([first!.config.model.dtype, first!.config.model.max_length], ['fp16', 100]);
  assert.deepEqual([first!.config.engine.workers, second!.config.engine.workers], [2, 1]);
  assert.deepEqual([first!.config.report.output_dir, second!.config.report.output_dir], ['out/hellaswag', 'out/again']);
  assert.deepEqual([first!.name, second!.name, first!.model], ['hellaswag', 'again', null]);
});

test("a suite's engine is that of the checkpoints which have one: a served one goes without", async () => {
  const served = 'model_id: s, backend: vllm, base_url: "http://h:1"';
  const alone = await entries(`model: { ${served} }\ntasks: [{ task: hellaswag }]\n`);
  assert.equal('engine' in alone[0]!.config, false);
  const both = await entries(`engine: { workers: 3 }
models: [{ model_id: a/b }, { ${served} }]
tasks: [{ task: hellaswag }]
`);
  assert.deepEqual(
    both.map(({ config }) => config.engine?.workers),
    [3, undefined],
  );
  await assert.rejects(
    entries(`model: { ${served} }\ntasks: [{ task: hellaswag, engine: { workers: 3 } }]\n`),
    userError(undefined, ':2:', 'engine: engine is of the backend "onnx" alone'),
  );
});

test('each checkpoint has every task in a folder of its own', async () => {
  const all = await entries(`model: { model_id: a/b }
models: [{ dtype: fp32 }, { name: small, dtype: q4 }]
tasks: [{ task: hellaswag }]
`);
  assert.deepEqual(
    all.map(({ model, config }) => [model, config.model.dtype, config.report.output_dir]),
    [
      ['b-fp32', 'fp32', 'out/b-fp32/hellaswag'],
      ['small', 'q4', 'out/small/hellaswag'],
    ],
  );
});

test('a mean of an entry that is not there is told before anything runs', async () => {
  const suite = (of: string) =>
    entries(`suite: { means: [{ name: ARC, of: ${of} }] }
model: { model_id: a/b }
tasks: [{ task: arc, name: arc_easy }, { task: arc, name: arc_challenge }]
`);
  assert.equal((await suite('[arc_easy, { task: arc_challenge, metric: acc }]')).length, 2);
  await assert.rejects(
    suite('[arc_easy, arc_chalenge]'),
    userError(
      undefined,
      'suite.yaml:1:46: suite.means[0].of[1]',
      '"arc_chalenge" is not an entry of this suite. Did you mean "arc_challenge"?',
    ),
  );
});
