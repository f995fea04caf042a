/** The shared keys: defaults, and what is written before them. What is refused: check.test.ts. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { parseConfig } from '../../nanoeval/config/check.ts';
import { readConfigFile } from '../../nanoeval/config/file.ts';
import { columnsKey, rescoreSchema, rowsKey } from '../../nanoeval/config/keys.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { config as hellaswag } from '../../nanoeval/run_hellaswag.ts';
import { config as mmlu } from '../../nanoeval/run_mmlu.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('config');
after(() => folder.remove());
const path = join(folder.path, 'a.yaml');

const SCHEMAS = { mmlu, hellaswag, suite: suiteSchema, models: manyModelsSchema, rescore: rescoreSchema };
type Name = keyof typeof SCHEMAS;

function read(yaml: string) {
  writeFileSync(path, yaml);
  return readConfigFile('NANOEVAL_CONFIG', path, 'configs/example.yaml');
}
const parse = (yaml: string, schema: Name = 'mmlu'): unknown => parseConfig(read(yaml), SCHEMAS[schema]);

const head = 'task: mmlu\nmodel:\n  model_id: a/b\n';

// DESIGN.md, section 3, "The YAML", as far as the keys exist.
const DEFAULTS = {
  engine: { mode: 'auto', kv_cache_mb: 512, decode_cache_mb: 1024, batch_tokens: 768 },
  run: {
    overwrite: false,
    max_failed: 0,
    max_unparsed: 1,
    score: true,
    check_rows: 4,
    save_baseline: false,
    baselines_dir: 'baselines',
    live: false,
  },
  report: {
    summary_filename: 'summary.json',
    predictions_filename: 'predictions.jsonl',
    table_filename: 'metrics.csv',
    plot_filename: 'accuracy.png',
    save_table: true,
    save_plot: true,
    save_prompts: false,
    save_tokens: false,
    exports: [],
    page: false,
  },
  scoring: {
    recipe: 'lm_eval',
    strategy: 'rank_ll',
    temperature: 0,
    top_p: 1,
    samples_per_prompt: 1,
    seed: 123,
    reduce: 'mean',
  },
  model: { model_id: 'a/b', revision: 'main', backend: 'onnx', dtype: 'fp32', device: 'cpu' },
};

test('a file of three lines is a whole config', () => {
  assert.deepEqual(parse(head), {
    ...DEFAULTS,
    task: 'mmlu',
    report: { output_dir: 'artifacts/nanoeval/mmlu', ...DEFAULTS.report },
    dataset: { dataset_id: 'cais/mmlu', revision: 'main', subset_name: 'all', split: 'test' },
  });
  assert.deepEqual(parse('task: hellaswag\nmodel: { model_id: a/b }\n', 'hellaswag'), {
    ...DEFAULTS,
    task: 'hellaswag',
    report: { output_dir: 'artifacts/nanoeval/hellaswag', ...DEFAULTS.report },
    dataset: { dataset_id: 'Rowan/hellaswag', revision: 'main', subset_name: 'default', split: 'validation' },
  });
});

test('what is written goes before the defaults', () => {
  const yaml = `task: mmlu
model: { model_id: ./here, revision: abc, dtype: q4f16, onnx_file: onnx/a.onnx, device: cuda, is_vlm: false, max_length: 7, chat_template: true, enable_thinking: false }
engine: { mode: naive, threads_per_worker: 2 }
dataset: { path: rows.csv, split: dev, subset_size: 1, subjects: stem }
scoring: { recipe: nanoeval, strategy: gen_letter, num_fewshot: 0, normalize_by_length: false, max_new_tokens: 3, temperature: 0.8, top_p: 0.9, samples_per_prompt: 4, seed: 0, seeds: [1, 2], reduce: none }
run: { overwrite: true, max_failed: 0.5, max_unparsed: 0, score: false, shard: 2/8, check_rows: 0 }
report: { output_dir: out, save_table: false, save_plot: false, save_prompts: true, save_tokens: true, table_filename: t.csv }
`;
  assert.deepEqual(parse(yaml), {
    task: 'mmlu',
    model: {
      model_id: './here',
      revision: 'abc',
      backend: 'onnx',
      dtype: 'q4f16',
      onnx_file: 'onnx/a.onnx',
      device: 'cuda',
      is_vlm: false,
      max_length: 7,
      chat_template: true,
      enable_thinking: false,
    },
    engine: { mode: 'naive', threads_per_worker: 2, kv_cache_mb: 512, decode_cache_mb: 1024, batch_tokens: 768 },
    dataset: {
      dataset_id: 'cais/mmlu',
      revision: 'main',
      subset_name: 'all',
      path: 'rows.csv',
      split: 'dev',
      subset_size: 1,
      subjects: 'stem',
    },
    scoring: {
      recipe: 'nanoeval',
      strategy: 'gen_letter',
      num_fewshot: 0,
      normalize_by_length: false,
      max_new_tokens: 3,
      temperature: 0.8,
      top_p: 0.9,
      samples_per_prompt: 4,
      seed: 0,
      seeds: [1, 2],
      reduce: 'none',
    },
    run: {
      ...DEFAULTS.run,
      overwrite: true,
      max_failed: 0.5,
      max_unparsed: 0,
      score: false,
      shard: '2/8',
      check_rows: 0,
    },
    report: {
      ...DEFAULTS.report,
      output_dir: 'out',
      save_table: false,
      save_plot: false,
      save_prompts: true,
      save_tokens: true,
      table_filename: 't.csv',
    },
  });
});

test('a suite of several checkpoints, and what is scored again: defaults', () => {
  const suite = parse(
    'models: [{ model_id: a/b }, { name: c }]\nmodel: { dtype: q4 }\ntasks: [{ task: mmlu }]\n',
    'models',
  );
  const { models } = suite as { models: Record<string, unknown>[] };
  assert.deepEqual(
    models.map(({ model_id, name }) => [model_id, name]),
    [
      ['a/b', undefined],
      [undefined, 'c'],
    ],
  );
  const rest = {
    scoring: {},
    sandbox: { enabled: false, python: 'python3', unsafe: false },
    report: { output_dir: 'artifacts/nanoeval/rescored', save_plot: true },
  };
  assert.deepEqual(parse('runs: a\n', 'rescore'), { runs: 'a', ...rest });
  assert.deepEqual(parse('runs:\n  - a\n  - b/*\nscoring:\n', 'rescore'), { runs: ['a', 'b/*'], ...rest });
});

test('columns by name: any of them may be called otherwise, and no others', () => {
  const key = columnsKey({ prompt: 'what is asked', target: 'what is right' });
  assert.deepEqual(key.parse({ target: 'answer' }), { target: 'answer' });
  assert.equal(key.parse(undefined), undefined);
  for (const wrong of [{ answer: 'x' }, { target: '' }, { target: 1 }])
    assert.equal(key.safeParse(wrong).success, false);
  assert.match(key.description!, /`prompt`, what is asked; `target`, what is right$/);
});

test('rows of any columns, or of those that a task knows', () => {
  assert.deepEqual(rowsKey().parse([{ any: [1, null] }]), [{ any: [1, null] }]);
  const known = rowsKey(z.strictObject({ a: z.string() }));
  assert.deepEqual(known.parse([{ a: 'x' }]), [{ a: 'x' }]);
  assert.equal(known.safeParse([{ b: 'x' }]).success, false);
  assert.equal(rowsKey().safeParse([]).success, false);
});
