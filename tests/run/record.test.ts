/** What a run is known by: equal where its rows would be, and what differs said by name. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { EngineIdentity, ModelIdentity } from '../../nanoeval/questions.ts';
import { describeRecipe, describeRun, differences, fingerprintOf, readRecord } from '../../nanoeval/run/record.ts';
import { FORMAT, type Split, UserError } from '../../nanoeval/types.ts';
import { toyConfig, toyRecipe, recipes as toyRecipes } from './toy.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-record-'));
after(() => rmSync(folder, { recursive: true }));

const recipes = { lm_eval: { ...toyRecipes.lm_eval!, num_fewshot: 2 } };
const source = {
  model_id: 'a/model',
  revision: 'main',
  commit: 'c'.repeat(40),
  dtype: 'q4',
  device: 'cpu',
  files: [{ path: 'onnx/model_q4.onnx', size: 9, sha256: 'f'.repeat(64) }],
  config_sha256: 'c',
  tokenizer_sha256: 't',
};
const identity: ModelIdentity = {
  label: 'a/model',
  variant: 'q4',
  backend: 'onnx',
  max_length: 512,
  is_vlm: false,
  chat_template_sha256: null,
  sha256: 's'.repeat(64),
  source,
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
  source?: ModelIdentity['source'];
  engine?: EngineIdentity;
  split?: Partial<Split>;
  shots?: Partial<Split> | null;
  strategies?: object;
  /** Keys that a task adds to two sections. */
  own?: { dataset?: object; scoring?: object };
  /** The day, and whether the template asks for it. */
  date?: string;
  dated?: boolean;
}

function describe(changes: Changes = {}) {
  const parsed = toyConfig(changes.config as Record<string, object>);
  const { dataset, scoring } = changes.own ?? {};
  const config = {
    ...parsed,
    dataset: { ...parsed.dataset, ...dataset },
    scoring: { ...parsed.scoring, ...scoring },
  };
  const recipe = toyRecipe(config, { lm_eval: { ...recipes.lm_eval, ...changes.strategies } });
  const from = changes.shots === null ? null : { ...shots, ...changes.shots };
  const own = { ...identity, source: { ...source, ...changes.source }, ...changes.model };
  const { mode, batch_tokens } = config.engine;
  const dated = changes.dated ?? false;
  const can = { verbs: ['loglikelihood'], images: true, chat: true, dated } as const;
  const found = {
    identity: own,
    can,
    engine: changes.engine ?? { mode, batch_tokens },
    load: () => Promise.reject(new Error('not loaded here')),
  };
  const chat = config.model.chat_template ?? own.is_vlm;
  const opened = { found, chat, split: { ...split, ...changes.split }, shots: from };
  return describeRun('toy', config, recipe, {
    ...opened,
    ...(changes.date === undefined ? {} : { date: changes.date }),
  });
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
    { config: { scoring: { strategy: 'gen_letter', max_new_tokens: 3 } } },
    // Keys of the task's own.
    { own: { dataset: { column: 'b' } } },
    { own: { scoring: { words: 64 } } },
    { config: { dataset: { sample: 2 } } },
    { config: { dataset: { subset_size: 2 } } },
    { config: { run: { shard: '1/2' } } },
    { config: { run: { score: false } } },
    { config: { engine: { mode: 'naive' } } },
    { config: { engine: { batch_tokens: 100 } } },
    { config: { model: { chat_template: true } } },
    { engine: { mode: 'auto', batch_tokens: 768, kernel: 'x' } },
    { source: { files: [{ path: 'onnx/model_q4.onnx', size: 9, sha256: 'e'.repeat(64) }] } },
    { source: { tokenizer_sha256: 'u' } },
    { source: { config_sha256: 'u' } },
    { model: { source: { served: 'something else' } } },
    { model: { label: 'b/model' } },
    { model: { variant: null } },
    { model: { backend: 'server' } },
    { model: { chat_template_sha256: 'u' } },
    { model: { max_length: 256 } },
    { source: { commit: 'e'.repeat(40) } },
    { split: { commit: 'e'.repeat(40) } },
    { split: { split: 'train' } },
    { split: { numRows: async () => 5 } },
    { split: { files: [{ path: 'test.parquet', size: 6, sha256: null, verified: true }] } },
    { shots: { files: [{ path: 'dev.parquet', size: 4, sha256: null, verified: true }] } },
    { shots: null },
    { strategies: { question: 'other words' } },
    { strategies: { num_fewshot: 3 } },
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
    { source: { revision: 'v2' } },
    // What the model hashes to is said by its parts.
    { model: { sha256: 'e'.repeat(64) } },
    // Prose about a recipe.
    { strategies: { about: 'in other words' } },
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
  const asked = { config: { model: { chat_template: true } }, model: vlm };
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
    read(await describe({ source: { files } })),
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
    'null',
    // Of today's format, and something of it is not there.
    JSON.stringify({ ...mine, fingerprint: 'x', model: null }),
  ]) {
    writeFileSync(join(other, 'run.json'), text);
    assert.throws(read, refusal(/run\.json is not a run's record: /));
  }
  for (const text of ['[]', '{}', '3']) {
    writeFileSync(join(other, 'run.json'), text);
    assert.throws(read, refusal(/run\.json has no format number, and this version of NanoEval reads format \d+\. /));
  }
});

test('rows whose record is of another format are refused, though all else is equal', async () => {
  const mine = await describe();
  assert.equal(mine.format, FORMAT);
  const other = mkdtempSync(join(folder, 'format'));
  const read = (record: object) => {
    writeFileSync(join(other, 'run.json'), JSON.stringify(record));
    return readRecord(other, 'rows.jsonl', mine);
  };
  assert.equal(read(mine).fingerprint, mine.fingerprint);
  for (const [format, found] of [
    [FORMAT - 1, `format ${FORMAT - 1}`],
    [FORMAT + 1, `format ${FORMAT + 1}`],
    [undefined, 'no format number'],
  ] as const)
    assert.throws(
      () => read({ ...mine, format }),
      refusal(new RegExp(`^\\S+run\\.json has ${found}, and this version of NanoEval reads format ${FORMAT}\\. `)),
    );
});

test('what is written down of a run: recipe, selection, and what of the engine can move a digit', async () => {
  const {
    recipe,
    selection,
    scoring,
    engine,
    model,
    run,
    shots: from,
  } = await describe({
    config: { dataset: { sample: 2, subjects: 'letters' }, scoring: { seed: 7, reduce: 'sum' }, run: { shard: '1/2' } },
  });
  assert.deepEqual(
    { ...recipe, sha256: '' },
    { name: 'lm_eval', strategy: 'rank_ll', num_fewshot: 2, chat_template: false, sha256: '' },
  );
  assert.deepEqual(selection, { subset_size: null, sample: 2, subjects: 'letters', seed: 7, shard: '1/2' });
  assert.ok(!('reduce' in scoring) && scoring.seed === 7);
  assert.deepEqual(engine, { mode: 'auto', batch_tokens: 768 });
  assert.deepEqual(model, identity);
  assert.deepEqual(run, { score: true, save_prompts: false, save_tokens: false });
  assert.deepEqual(from, { split: 'dev', files: shots.files });
  // A seed that draws nothing is not written down.
  assert.deepEqual([(await describe()).selection.seed, (await describe()).scoring.seed], [null, null]);
});

test("a record's own fingerprint is what is hashed again when a part of it changes", async () => {
  const mine = await describe();
  assert.equal(fingerprintOf(mine), mine.fingerprint);
  assert.equal(
    fingerprintOf(JSON.parse(JSON.stringify({ ...mine, started: 'then', computed: { form: 'x' } }))),
    mine.fingerprint,
  );
  const recipe = describeRecipe(toyRecipe(toyConfig(), recipes), true);
  assert.notEqual(recipe.sha256, mine.recipe.sha256);
  assert.notEqual(fingerprintOf({ ...mine, recipe }), mine.fingerprint);
});

test('the date is part of a run whose chat template asks for it, and of no other', async () => {
  const [monday, tuesday] = ['2026-03-02', '2026-03-03'];
  const chat = { model: { chat_template: true } };
  const dated = await describe({ config: chat, dated: true, date: monday });
  assert.equal(dated.template_date, monday);
  const next = await describe({ config: chat, dated: true, date: tuesday });
  assert.notEqual(next.fingerprint, dated.fingerprint);
  assert.deepEqual(
    differences(dated, next).filter(({ key }) => !/^(fingerprint|host|tool)/.test(key)),
    [{ key: 'template_date', a: monday, b: tuesday }],
  );
  for (const changes of [{ config: chat }, { dated: true }]) {
    const [one, other] = [await describe({ ...changes, date: monday }), await describe({ ...changes, date: tuesday })];
    assert.equal(one.fingerprint, other.fingerprint);
    assert.equal('template_date' in one, false);
  }
});
