/** What a run is known by: equal where its rows would be, and what differs said by name. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { taskSchema } from '../../nanoeval/config/keys.ts';
import { resolveRecipe } from '../../nanoeval/config/recipe.ts';
import { describeRun, differences, readRecord } from '../../nanoeval/run/record.ts';
import { type ModelIdentity, type Split, UserError } from '../../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-record-'));
after(() => rmSync(folder, { recursive: true }));

const rule = { primary: 'acc', normalized: null, normalize_by_length: false };
const recipes = { lm_eval: { num_fewshot: 2, strategies: { rank_ll: rule, gen_letter: { ...rule, until: [] } } } };
const schema = taskSchema('toy', { dataset_id: 'a/b', subset_name: 'default', split: 'test' }, recipes);
const identity: ModelIdentity = {
  model_id: 'a/model',
  revision: 'main',
  commit: 'c'.repeat(40),
  backend: 'onnx',
  dtype: 'q4',
  device: 'cpu',
  max_length: 512,
  is_vlm: false,
  files: [{ path: 'onnx/model_q4.onnx', size: 9, sha256: 'f'.repeat(64) }],
  config_sha256: 'c',
  tokenizer_sha256: 't',
  chat_template_sha256: null,
};
const split: Split = {
  dataset_id: 'a/b',
  revision: 'main',
  commit: 'd'.repeat(40),
  subset_name: 'default',
  split: 'test',
  files: [{ path: 'test.parquet', size: 5, sha256: null, verified: true }],
  numRows: async () => 4,
  async *rows() {},
};
const shots: Split = {
  ...split,
  split: 'dev',
  files: [{ path: 'dev.parquet', size: 3, sha256: null, verified: true }],
};

interface Changes {
  config?: Record<string, object>;
  model?: Partial<ModelIdentity>;
  split?: Partial<Split>;
  shots?: Partial<Split> | null;
  strategies?: object;
}

function describe(changes: Changes = {}) {
  const config = schema.parse({ task: 'toy', model: { model_id: 'a/model' }, ...changes.config });
  const own = { lm_eval: { ...recipes.lm_eval, ...changes.strategies } };
  const recipe = resolveRecipe({ name: 'toy', recipes: own }, config);
  const from = changes.shots === null ? null : { ...shots, ...changes.shots };
  return describeRun(
    config,
    recipe,
    { ...identity, ...changes.model },
    { split: { ...split, ...changes.split }, shots: from },
    'toy',
  );
}

test('the fingerprint follows what decides a prediction', async () => {
  const { fingerprint } = await describe();
  const deciding: Changes[] = [
    { config: { scoring: { num_fewshot: 1 } } },
    { config: { scoring: { seed: 7, temperature: 0.5 } } },
    { config: { scoring: { seed: 7 }, dataset: { sample: 2 } } },
    { config: { report: { save_prompts: true } } },
    { config: { report: { save_tokens: true } } },
    { config: { scoring: { seeds: [7, 8] } } },
    { config: { scoring: { strategy: 'gen_letter' } } },
    { config: { scoring: { temperature: 0.5 } } },
    { config: { scoring: { top_p: 0.5 } } },
    { config: { scoring: { samples_per_prompt: 2 } } },
    { config: { scoring: { max_new_tokens: 3 } } },
    { config: { dataset: { sample: 2 } } },
    { config: { dataset: { subset_size: 2 } } },
    { config: { run: { shard: '1/2' } } },
    { config: { run: { score: false } } },
    { config: { engine: { mode: 'naive' } } },
    { config: { engine: { batch_tokens: 100 } } },
    { config: { model: { model_id: 'a/model', chat_template: true } } },
    { model: { files: [{ path: 'onnx/model_q4.onnx', size: 9, sha256: 'e'.repeat(64) }] } },
    { model: { tokenizer_sha256: 'u' } },
    { model: { config_sha256: 'u' } },
    { model: { chat_template_sha256: 'u' } },
    { model: { max_length: 256 } },
    { model: { commit: 'e'.repeat(40) } },
    { split: { commit: 'e'.repeat(40) } },
    { split: { split: 'train' } },
    { split: { numRows: async () => 5 } },
    { split: { files: [{ path: 'test.parquet', size: 6, sha256: null, verified: true }] } },
    { shots: { files: [{ path: 'dev.parquet', size: 4, sha256: null, verified: true }] } },
    { shots: null },
    { strategies: { question: 'other words' } },
  ];
  const found = new Map<string, string>();
  for (const change of deciding) {
    const other = (await describe(change)).fingerprint;
    const name = JSON.stringify(change);
    assert.notEqual(other, fingerprint, name);
    assert.equal(found.get(other), undefined, `${name} and ${found.get(other)}`);
    found.set(other, name);
  }
});

test('the fingerprint follows nothing else: names of files, limits, workers, and branches of known commits', async () => {
  const { fingerprint } = await describe();
  const idle: Changes[] = [
    { config: { report: { output_dir: 'elsewhere', save_plot: false, table_filename: 't.csv' } } },
    { config: { run: { max_failed: 0.5, max_unparsed: 0.5, overwrite: true, check_rows: 0 } } },
    { config: { engine: { workers: 7, threads_per_worker: 3, kv_cache_mb: 1 } } },
    { config: { scoring: { reduce: 'sum' } } },
    // It draws nothing.
    { config: { scoring: { seed: 7 } } },
    { model: { revision: 'v2' } },
    { split: { revision: 'v2' } },
    // Read whole this time, by ranges before: the commit speaks for it.
    { split: { files: [{ path: 'test.parquet', size: 5, sha256: 'e', verified: true }] } },
  ];
  for (const change of idle) assert.equal((await describe(change)).fingerprint, fingerprint, JSON.stringify(change));
});

test('local rows have no commit: their hashes decide', async () => {
  const local = (sha256: string): Changes => ({
    split: { commit: null, revision: null, files: [{ path: 'test.jsonl', size: 5, sha256, verified: false }] },
  });
  const [one, same, other] = await Promise.all([local('a'), local('a'), local('b')].map((change) => describe(change)));
  assert.equal(one!.fingerprint, same!.fingerprint);
  assert.notEqual(one!.fingerprint, other!.fingerprint);
});

test('a template that is the default and one that is asked for are the same run', async () => {
  const vlm = { is_vlm: true };
  const asked = { config: { model: { model_id: 'a/model', chat_template: true } }, model: vlm };
  assert.equal((await describe({ model: vlm })).fingerprint, (await describe(asked)).fingerprint);
});

test('differences by dotted key, with both values; what one side lacks is null there', () => {
  const a = { x: 1, y: { z: [1, 2], same: null }, gone: 'a' };
  const b = { x: 2, y: { z: [1, 3, 4] }, new: { deep: true } };
  assert.deepEqual(differences(a, b), [
    { key: 'x', a: 1, b: 2 },
    { key: 'y.z.1', a: 2, b: 3 },
    { key: 'y.z.2', a: null, b: 4 },
    { key: 'gone', a: 'a', b: null },
    { key: 'new', a: null, b: { deep: true } },
  ]);
  assert.deepEqual(differences(a, structuredClone(a)), []);
});

const refusal = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError && error.key === 'report.output_dir', String(error));
  assert.match(error.message, pattern);
  assert.match(error.message, /Name another report\.output_dir, or set run\.overwrite: true/);
  assert.ok(!error.message.includes('\n'));
  return true;
};

test('rows of another run are refused with the keys that differ and both values, six of them at most', async () => {
  const path = join(folder, 'run.json');
  const write = (value: unknown) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
  const mine = await describe();
  write({ ...mine, started: 'then' });
  assert.equal(readRecord(folder, 'rows', mine).fingerprint, mine.fingerprint);
  const read = (record: typeof mine) => () => readRecord(folder, 'rows', record);
  const files = [{ path: 'onnx/model_q4.onnx', size: 9, sha256: 'e'.repeat(64) }];
  assert.throws(
    read(await describe({ model: { files } })),
    refusal(/ differs from this one in model\.files\.onnx\/model_q4\.onnx: f{12}\.\.\. there, e{12}\.\.\. now\. /),
  );
  assert.throws(
    read(await describe({ config: { scoring: { num_fewshot: 1 }, dataset: { sample: 2 } } })),
    refusal(/recipe\.num_fewshot: 2 there, 1 now; .*selection\.sample: null there, 2 now/),
  );
  const many = await describe({
    config: {
      scoring: { seed: 7, strategy: 'gen_letter', temperature: 1, top_p: 0.5, samples_per_prompt: 3 },
      dataset: { sample: 3 },
    },
  });
  assert.throws(read(many), refusal(/(?: there, .*){6}; and \d+ more\. /));
});

test('a record that is not there, torn, or of another kind', async () => {
  const mine = await describe();
  const other = mkdtempSync(join(folder, 'no'));
  const read = () => readRecord(other, 'rows.jsonl', mine);
  assert.throws(read, refusal(/^rows\.jsonl has rows, but \S+run\.json is not there to say what they are\./));
  for (const text of [
    '',
    '{"fingerprint": "x',
    '[]',
    '{}',
    '3',
    'null',
    JSON.stringify({ ...mine, fingerprint: 'x', model: null }),
  ]) {
    writeFileSync(join(other, 'run.json'), text);
    assert.throws(read, refusal(/run\.json is not a run's record: /));
  }
});
