/** Configs against their schemas: what is refused, where, and in which words. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { parseConfig, readBy } from '../../nanoeval/config/check.ts';
import { readConfigFile } from '../../nanoeval/config/file.ts';
import { rescoreSchema } from '../../nanoeval/config/keys.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { config as hellaswag, recipes as hellaswagRecipes } from '../../nanoeval/run_hellaswag.ts';
import { config as mmlu, recipes } from '../../nanoeval/run_mmlu.ts';
import { UserError } from '../../nanoeval/types.ts';
import * as faults from './faults.ts';

const { mmlu: runMmlu, suite, checkAll, folder } = faults.openFaults();
const DTYPES = 'fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4';

// ---------------------------------------------------------------- the programs

runMmlu(
  'unknown section',
  `${faults.head}scorring:\n  recipe: cloze\n`,
  'FILE:4:1: scorring: unknown key. Did you mean "scoring"?',
);
runMmlu(
  'a key of another section',
  `${faults.head}  num_fewshot: 0\n`,
  'FILE:4:3: model.num_fewshot: unknown key. It belongs to the section "scoring".',
);
runMmlu(
  'two sections swapped',
  'task: mmlu\nscoring:\n  model_id: a/b\n  dtype: q4\nmodel:\n  recipe: cloze\n',
  'FILE:3:3: scoring.model_id: unknown key. It belongs to the section "model". (3 more faults)',
);
runMmlu(
  'a section as text',
  'task: mmlu\nmodel: HuggingFaceTB/SmolLM2-135M-Instruct\n',
  'FILE:2:8: model: "HuggingFaceTB/SmolLM2-135M-Instruct" is not a section (indented `key: value` lines).',
);
runMmlu(
  'model missing',
  'task: mmlu\n',
  'FILE:1:1: model: missing. It has to be a section (indented `key: value` lines).',
);
runMmlu('task missing', 'model:\n  model_id: a/b\n', 'FILE:1:1: task: missing. It has to be "mmlu".');

runMmlu(
  'dtype',
  `${faults.head}  dtype: q5\n`,
  'FILE:4:10: model.dtype: "q5" is not one of: fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4.',
);
runMmlu(
  'a dtype near another',
  `${faults.head}  dtype: fp-16\n`,
  `FILE:4:10: model.dtype: "fp-16" is not one of: ${DTYPES}. Did you mean "fp16"?`,
);
runMmlu('a dtype as number', `${faults.head}  dtype: 8\n`, `FILE:4:10: model.dtype: 8 is not one of: ${DTYPES}.`);
runMmlu('a list of dtypes', `${faults.head}  dtype: [q4]\n`, `FILE:4:3: model.dtype: ["q4"] is not one of: ${DTYPES}.`);
runMmlu(
  "a graph's dtype",
  `${faults.head}  dtype:\n    embed_tokens: q8\n    vision_encoder: fp61\n`,
  `FILE:6:21: model.dtype.vision_encoder: "fp61" is not one of: ${DTYPES}. Did you mean "fp16"?`,
);
runMmlu(
  "a graph's dtype far from any",
  `${faults.head}  dtype: { model: 16 }\n`,
  `FILE:4:19: model.dtype.model: 16 is not one of: ${DTYPES}.`,
);
runMmlu(
  'a graph near another',
  `${faults.head}  dtype: { vision_encodre: q8 }\n`,
  'FILE:4:12: model.dtype.vision_encodre: unknown key. Did you mean "vision_encoder"?',
);
runMmlu(
  'no such graph',
  `${faults.head}  dtype: { encoder: q8 }\n`,
  'FILE:4:12: model.dtype.encoder: unknown key. "model.dtype" has: model, decoder_model_merged, embed_tokens, vision_encoder.',
);
runMmlu(
  'a key of the model section among the graphs',
  `${faults.head}  dtype: { device: cpu }\n`,
  'FILE:4:12: model.dtype.device: unknown key. It belongs to the section "model".',
);
runMmlu(
  'a date in words',
  `${faults.head}  template_date: 5 March 2026\n`,
  'FILE:4:18: model.template_date: "5 March 2026" does not fit. It has to be a date such as 2026-03-05, or 2026-03-05 14:30:00.',
);
runMmlu(
  'a date that no month has',
  `${faults.head}  template_date: 2026-02-30\n`,
  'FILE:4:18: model.template_date: "2026-02-30" is no day of the calendar. It has to be a date such as 2026-03-05, or 2026-03-05 14:30:00.',
);
runMmlu(
  'max_failed of 2',
  `${faults.head}run:\n  max_failed: 2\n`,
  'FILE:5:15: run.max_failed: 2 is too large. It has to be at most 1.',
);
runMmlu(
  'subject',
  `${faults.head}dataset:\n  subjects: [stem, filosophy]\n`,
  'FILE:5:20: dataset.subjects[1]: "filosophy" is neither a subject nor a group. Did you mean "philosophy"?',
);

// ---------------------------------------------------------------- suites

/** Three lines; the first task stands in line 4. */
const tasks = 'model:\n  model_id: a/b\ntasks:\n';
suite(
  'no such task',
  `${tasks}  - task: mmlu\n  - task: helaswag\n`,
  'FILE:5:11: tasks[1].task: "helaswag" is not a task. Did you mean "hellaswag"?',
);
suite(
  'the same name twice',
  `${tasks}  - task: mmlu\n  - task: hellaswag\n    name: mmlu\n`,
  'FILE:6:11: tasks[1].name: "mmlu" is the name of tasks[0] too. Give one of them another `name:`.',
);
suite(
  'a name that leaves the folder',
  `${tasks}  - task: mmlu\n    name: ..\n`,
  'FILE:5:11: tasks[0].name: ".." does not fit a folder. Use letters, digits, "_", "-" and ".".',
);
suite(
  'a suite name that leaves the folder',
  `suite: { name: ../x }\n${tasks}  - task: mmlu\n`,
  'FILE:1:16: suite.name: "../x" does not fit a folder. Use letters, digits, "_", "-" and ".".',
);
suite(
  'a fault inside a task',
  `${tasks}  - task: mmlu\n  - task: hellaswag\n    scoring:\n      recipe: clozze\n`,
  `FILE:7:15: scoring.recipe: "clozze" is not one of: ${Object.keys(hellaswagRecipes).join(', ')}. Did you mean "cloze"?`,
);
suite(
  'a strategy of the last task',
  `${tasks}  - task: hellaswag\n  - task: mmlu\n    scoring: { recipe: cloze, strategy: gen_letter }\n`,
  'FILE:6:41: scoring.strategy: "gen_letter" is not a strategy of the recipe "cloze" of mmlu. It has: rank_ll.',
);
suite(
  'a fault in the shared model',
  'model:\n  model_id: a/b\n  dtype: fp61\ntasks:\n  - task: mmlu\n    scoring: { recipe: cloze }\n',
  'FILE:3:10: model.dtype: "fp61" is not one of: fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4. Did you mean "fp16"?',
);
suite(
  'a graph of the shared model',
  'model:\n  model_id: a/b\n  dtype: { modle: fp16 }\ntasks:\n  - task: mmlu\n',
  'FILE:3:12: model.dtype.modle: unknown key. Did you mean "model"?',
);
suite(
  "a graph's dtype in a task's own model",
  `${tasks}  - task: mmlu\n    model:\n      dtype: { model: fp61 }\n`,
  'FILE:6:23: model.dtype.model: "fp61" is not one of: fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4. Did you mean "fp16"?',
);
suite(
  'a section of a task as number',
  `${tasks}  - task: mmlu\n    run: 5\n`,
  'FILE:5:10: run: 5 is not a section (indented `key: value` lines).',
);
suite(
  'no tasks',
  'model:\n  model_id: a/b\ntasks: []\n',
  'FILE:3:1: tasks: the list is empty. It needs at least one entry.',
);

checkAll('every fault of a config is one line that says where and what, and exit code 2');

// ---------------------------------------------------------------- in this process

const path = join(folder, 'a.yaml');
const SCHEMAS = { mmlu, hellaswag, suite: suiteSchema, models: manyModelsSchema, rescore: rescoreSchema };
type Name = keyof typeof SCHEMAS;

function read(yaml: string) {
  writeFileSync(path, yaml);
  return readConfigFile('NANOEVAL_CONFIG', path, 'configs/example.yaml');
}
const parse = (yaml: string, schema: Name = 'mmlu'): unknown => parseConfig(read(yaml), SCHEMAS[schema]);

/** The message of the refusal, the file's path as FILE; the whole of it. */
function refusal(yaml: string, schema: Name = 'mmlu'): string {
  try {
    parse(yaml, schema);
  } catch (error) {
    assert.ok(error instanceof UserError, `not a UserError: ${error}`);
    assert.ok(!error.message.includes('\n'), 'more than one line');
    return error.message.replaceAll(path, 'FILE');
  }
  return 'accepted';
}

/** Three lines; what a case adds begins in line 4. */
const head = 'task: mmlu\nmodel:\n  model_id: a/b\n';
const model = (value: string) => `task: mmlu\nmodel:\n  model_id: ${value}\n`;
const scoring = (line: string) => `${head}scoring:\n  ${line}\n`;
const dataset = (line: string) => `${head}dataset:\n  ${line}\n`;
const run = (line: string) => `${head}run:\n  ${line}\n`;
const MODEL_KEYS =
  '"model" has: model_id, revision, backend, dtype, onnx_file, device, is_vlm, max_length, chat_template, enable_thinking, template_date, base_url, server, api_key_env, max_concurrency, request_timeout.';
const RECIPES = Object.keys(recipes).join(', ');
const SECTION = 'a section (indented `key: value` lines)';

const REFUSED: [yaml: string, message: string, schema?: Name][] = [
  // Keys.
  [
    `${head}generation:\n  a: 1\n`,
    'FILE:4:1: generation: unknown key. The file has: task, model, engine, dataset, scoring, run, report.',
  ],
  [`${head}1: 2\n`, 'FILE:4:1: 1: unknown key. The file has: task, model, engine, dataset, scoring, run, report.'],
  [`${head}subset_size: 4\n`, 'FILE:4:1: subset_size: unknown key. It belongs to the section "dataset".'],
  [`${head}  trust_remote_code: true\n`, `FILE:4:3: model.trust_remote_code: unknown key. ${MODEL_KEYS}`],
  [`${head}engine:\n  mod: naive\n`, 'FILE:5:3: engine.mod: unknown key. Did you mean "mode"?'],
  [dataset('spilt: test'), 'FILE:5:3: dataset.spilt: unknown key. Did you mean "split"?'],
  [scoring('stratgy: rank_ll'), 'FILE:5:3: scoring.stratgy: unknown key. Did you mean "strategy"?'],
  [run('overwrit: true'), 'FILE:5:3: run.overwrit: unknown key. Did you mean "overwrite"?'],
  [`${head}report:\n  outputdir: x\n`, 'FILE:5:3: report.outputdir: unknown key. Did you mean "output_dir"?'],
  ['task: mmlu\nmodel: { model_id: a/b, dtyp: q4 }\n', 'FILE:2:25: model.dtyp: unknown key. Did you mean "dtype"?'],
  // A misspelt key is told before the key that is missing for it, and first in the order of the file.
  ['task: mmlu\nmodel:\n  modelid: a/b\n', 'FILE:3:3: model.modelid: unknown key. Did you mean "model_id"?'],
  [
    'scorring: {}\ntask: mmlu\nmodel:\n  model_id: a/b\n  dtyp: q4\n',
    'FILE:1:1: scorring: unknown key. Did you mean "scoring"? (1 more fault)',
  ],
  [
    'run:\n  max_failed: 2\ntask: mmlu\nmodel:\n  model_id: 5\n',
    'FILE:2:15: run.max_failed: 2 is too large. It has to be at most 1. (1 more fault)',
  ],
  ['report:\n  save_plot: false\n', 'FILE:1:1: task: missing. It has to be "mmlu". (1 more fault)'],
  ['task: mmlu\nmodel:\n  dtype: q4\n', 'FILE:2:1: model.model_id: missing. It has to be a text.'],
  ['# MMLU on a/b\n\ntask: mmlu\n', `FILE:3:1: model: missing. It has to be ${SECTION}.`],
  ['task: mmlu\nmodel:\n', `FILE:2:1: model: missing. It has to be ${SECTION}.`],
  // Sections.
  ['task: mmlu\nmodel:\n  - model_id: a/b\n', `FILE:2:1: model: [{"model_id":"a/b"}] is not ${SECTION}.`],
  [`${head}dataset: 5\n`, `FILE:4:10: dataset: 5 is not ${SECTION}.`],
  [`${head}run: false\n`, `FILE:4:6: run: false is not ${SECTION}.`],
  // Words.
  [`${head}  dtype: FP16\n`, `FILE:4:10: model.dtype: "FP16" is not one of: ${DTYPES}. Did you mean "fp16"?`],
  [`${head}  dtype: 4\n`, `FILE:4:10: model.dtype: 4 is not one of: ${DTYPES}.`],
  [`${head}  device: gpu\n`, 'FILE:4:11: model.device: "gpu" is not one of: cpu, cuda, dml, coreml, webgpu.'],
  [
    `${head}  device: cdua\n`,
    'FILE:4:11: model.device: "cdua" is not one of: cpu, cuda, dml, coreml, webgpu. Did you mean "cuda"?',
  ],
  [
    `${head}  backend: vlm\n`,
    'FILE:4:12: model.backend: "vlm" is not one of: onnx, vllm, llama_cpp, openai. Did you mean "vllm"?',
  ],
  [scoring('recipe: lmeval'), `FILE:5:11: scoring.recipe: "lmeval" is not one of: ${RECIPES}. Did you mean "lm_eval"?`],
  [scoring('recipe: helm'), `FILE:5:11: scoring.recipe: "helm" is not one of: ${RECIPES}.`],
  [
    scoring('strategy: genletter'),
    'FILE:5:13: scoring.strategy: "genletter" is not one of: rank_ll, gen_letter. Did you mean "gen_letter"?',
  ],
  [
    'task: hellaswag\nmodel: { model_id: a/b }\nscoring: { strategy: gen_letter }\n',
    'FILE:3:22: scoring.strategy: "gen_letter" does not fit. It has to be "rank_ll": hellaswag is scored in this way alone.',
    'hellaswag',
  ],
  ['task: [mmlu]\nmodel: { model_id: a/b }\n', 'FILE:1:1: task: ["mmlu"] does not fit. It has to be "mmlu".'],
  // Booleans.
  [
    run('overwrite: "false"'),
    'FILE:5:14: run.overwrite: "false" is not true or false. Write true or false, without quotes.',
  ],
  [run('overwrite: no'), 'FILE:5:14: run.overwrite: "no" is not true or false. Write true or false, without quotes.'],
  [`${head}  is_vlm: 0\n`, 'FILE:4:11: model.is_vlm: 0 is not true or false.'],
  // Numbers.
  [dataset('subset_size: "4"'), 'FILE:5:16: dataset.subset_size: "4" is not a number. Write it without quotes.'],
  [dataset('subset_size: 4.5'), 'FILE:5:16: dataset.subset_size: 4.5 is not a whole number.'],
  [dataset('subset_size: -1'), 'FILE:5:16: dataset.subset_size: -1 is too small. It has to be at least 1.'],
  [dataset('subset_size: 0'), 'FILE:5:16: dataset.subset_size: 0 is too small. It has to be at least 1.'],
  [dataset('subset_size: .nan'), 'FILE:5:16: dataset.subset_size: NaN is not a finite number.'],
  [dataset('sample: .inf'), 'FILE:5:11: dataset.sample: Infinity is not a finite number.'],
  [dataset('sample: true'), 'FILE:5:11: dataset.sample: true is not a number.'],
  [dataset('sample: 1e30'), 'FILE:5:11: dataset.sample: 1e+30 is too large. It has to be at most 9007199254740991.'],
  [run('max_failed: .nan'), 'FILE:5:15: run.max_failed: NaN is not a finite number.'],
  [run('max_failed: -0.1'), 'FILE:5:15: run.max_failed: -0.1 is too small. It has to be at least 0.'],
  [run('max_failed: 5%'), 'FILE:5:15: run.max_failed: "5%" is not a number.'],
  [run('max_unparsed: 1.01'), 'FILE:5:17: run.max_unparsed: 1.01 is too large. It has to be at most 1.'],
  [scoring('num_fewshot: five'), 'FILE:5:16: scoring.num_fewshot: "five" is not a number.'],
  [scoring('num_fewshot: -1'), 'FILE:5:16: scoring.num_fewshot: -1 is too small. It has to be at least 0.'],
  [scoring('max_new_tokens: 0'), 'FILE:5:19: scoring.max_new_tokens: 0 is too small. It has to be at least 1.'],
  [scoring('temperature: -1'), 'FILE:5:16: scoring.temperature: -1 is too small. It has to be at least 0.'],
  [scoring('temperature: hot'), 'FILE:5:16: scoring.temperature: "hot" is not a number.'],
  [scoring('top_p: 0'), 'FILE:5:10: scoring.top_p: 0 is too small. It has to be above 0.'],
  [scoring('top_p: 1.5'), 'FILE:5:10: scoring.top_p: 1.5 is too large. It has to be at most 1.'],
  [scoring('samples_per_prompt: 0'), 'FILE:5:23: scoring.samples_per_prompt: 0 is too small. It has to be at least 1.'],
  [scoring('seeds: []'), 'FILE:5:3: scoring.seeds: the list is empty. It needs at least one entry.'],
  [scoring('seeds: 5'), 'FILE:5:10: scoring.seeds: 5 is not a list.'],
  [scoring('seeds: [1, -2]'), 'FILE:5:14: scoring.seeds[1]: -2 is too small. It has to be at least 0.'],
  [
    scoring('reduce: median'),
    'FILE:5:11: scoring.reduce: "median" is not one of: mean, sum, none. Did you mean "mean"?',
  ],
  [run('check_rows: -1'), 'FILE:5:15: run.check_rows: -1 is too small. It has to be at least 0.'],
  [run('score: 1'), 'FILE:5:10: run.score: 1 is not true or false.'],
  [
    run('shard: 2/0'),
    'FILE:5:10: run.shard: "2/0" does not fit. It has to be a share of the rows, `2/8`: the second of eight.',
  ],
  [run('shard: 2'), 'FILE:5:10: run.shard: 2 is not a text. Put it in quotes.'],
  [scoring('seed: -1'), 'FILE:5:9: scoring.seed: -1 is too small. It has to be at least 0.'],
  // Texts.
  [model('[a, b]'), 'FILE:3:3: model.model_id: ["a","b"] is not a text.'],
  [model('{ name: a }'), 'FILE:3:3: model.model_id: {"name":"a"} is not a text.'],
  [model('""'), 'FILE:3:13: model.model_id: the text is empty.'],
  [`${head}  revision: 1.0\n`, 'FILE:4:13: model.revision: 1 is not a text. Put it in quotes.'],
  [
    `${head}report:\n  summary_filename: out/s.json\n`,
    'FILE:5:21: report.summary_filename: "out/s.json" does not fit. It has to be a file name without a folder.',
  ],
  [
    `${head}report:\n  plot_filename: 'C:\\a.png'\n`,
    'FILE:5:18: report.plot_filename: "C:\\\\a.png" does not fit. It has to be a file name that ends in .png, without a folder.',
  ],
  // Subjects.
  [
    dataset('subjects: astronomi'),
    'FILE:5:13: dataset.subjects: "astronomi" is neither a subject nor a group. Did you mean "astronomy"?',
  ],
  [
    dataset('subjects: [stem, cooking_recipes]'),
    'FILE:5:20: dataset.subjects[1]: "cooking_recipes" is neither a subject nor a group. Groups are: stem, humanities, social_sciences, other.',
  ],
  [dataset('subjects: 5'), 'FILE:5:13: dataset.subjects: 5 is not a text or a list.'],
  [dataset('subjects: [stem, 5]'), 'FILE:5:20: dataset.subjects[1]: 5 is not a text. Put it in quotes.'],
  [dataset('subjects: []'), 'FILE:5:3: dataset.subjects: the list is empty. It needs at least one entry.'],
  [
    'task: hellaswag\nmodel: { model_id: a/b }\ndataset: { subjects: stem }\n',
    'FILE:3:12: dataset.subjects: unknown key. "dataset" has: dataset_id, revision, subset_name, split, path, rows, subset_size, sample.',
    'hellaswag',
  ],
  // Suites.
  ['tasks:\n  - task: mmlu\n', `FILE:1:1: model: missing. It has to be ${SECTION}.`, 'suite'],
  ['model: { model_id: a/b }\ntasks:\n', 'FILE:2:1: tasks: missing. It has to be a list.', 'suite'],
  [
    'model: { model_id: a/b }\ntasks: [mmlu, hellaswag]\n',
    `FILE:2:9: tasks[0]: "mmlu" is not ${SECTION}. (1 more fault)`,
    'suite',
  ],
  ['model: { model_id: a/b }\ntasks:\n  mmlu: {}\n', 'FILE:2:1: tasks: {"mmlu":{}} is not a list.', 'suite'],
  [
    'model: { model_id: a/b }\ntasks:\n  - name: mmlu\n',
    'FILE:3:5: tasks[0].task: missing. It has to be a text.',
    'suite',
  ],
  [
    'model: { model_id: a/b }\ntasks:\n  - task: mmlu\n    reference: 0.4\n',
    `FILE:4:16: tasks[0].reference: 0.4 is not ${SECTION}.`,
    'suite',
  ],
  [
    'model: { model_id: a/b }\ntasks:\n  - task: mmlu\n    reference: { acc: [1] }\n',
    'FILE:4:18: tasks[0].reference.acc: [1] is not a number or a text.',
    'suite',
  ],
  [
    'suite: smoke\nmodel: { model_id: a/b }\ntasks:\n  - task: mmlu\n',
    `FILE:1:8: suite: "smoke" is not ${SECTION}.`,
    'suite',
  ],
  [
    'model: { model_id: a/b }\nscoring: {}\ntasks:\n  - task: mmlu\n',
    'FILE:2:1: scoring: unknown key. The file has: suite, model, engine, run, report, tasks.',
    'suite',
  ],
  // Suites of several checkpoints.
  [
    'models: []\ntasks:\n  - task: mmlu\n',
    'FILE:1:1: models: the list is empty. It needs at least one entry.',
    'models',
  ],
  ['models: a/b\ntasks:\n  - task: mmlu\n', 'FILE:1:9: models: "a/b" is not a list.', 'models'],
  ['models: [a/b]\ntasks:\n  - task: mmlu\n', `FILE:1:10: models[0]: "a/b" is not ${SECTION}.`, 'models'],
  [
    'models:\n  - model_id: a/b\n  - { model_id: c/d, dtpye: q4 }\ntasks:\n  - task: mmlu\n',
    'FILE:3:22: models[1].dtpye: unknown key. Did you mean "dtype"?',
    'models',
  ],
  [
    'models:\n  - model_id: a/b\n  - { model_id: c/d, dtype: q5 }\ntasks:\n  - task: mmlu\n',
    `FILE:3:29: models[1].dtype: "q5" is not one of: ${DTYPES}.`,
    'models',
  ],
  [
    'model: { dtpye: q4 }\nmodels: [{ model_id: a/b }]\ntasks:\n  - task: mmlu\n',
    'FILE:1:10: model.dtpye: unknown key. Did you mean "dtype"?',
    'models',
  ],
  // What is scored again.
  ['scoring: {}\n', 'FILE:1:1: runs: missing. It has to be a text or a list.', 'rescore'],
  ['runs: []\n', 'FILE:1:1: runs: the list is empty. It needs at least one entry.', 'rescore'],
  ['runs: 5\n', 'FILE:1:7: runs: 5 is not a text or a list.', 'rescore'],
  ['runs: ""\n', 'FILE:1:7: runs: the text is empty.', 'rescore'],
  ['runs: [a, 5]\n', 'FILE:1:11: runs[1]: 5 is not a text. Put it in quotes.', 'rescore'],
  ['run: a\n', 'FILE:1:1: run: unknown key. Did you mean "runs"?', 'rescore'],
  [
    'runs: a\nscoring: { strategy: rank_ll }\n',
    'FILE:2:12: scoring.strategy: unknown key. "scoring" has: recipe, normalize_by_length.',
    'rescore',
  ],
  [
    'runs: a\nreport: { save_plot: no }\n',
    'FILE:2:22: report.save_plot: "no" is not true or false. Write true or false, without quotes.',
    'rescore',
  ],
];

test(`${REFUSED.length} files are refused in one line that says where and what`, () => {
  for (const [yaml, message, schema] of REFUSED) assert.equal(refusal(yaml, schema), message, yaml);
});

test('a key without a value is not set, as in the configs of the original', () => {
  assert.deepEqual(parse(`${head}dataset:\n  subset_size:\n  subjects: null\nscoring:\n`), parse(head));
});

test('Windows line ends and a BOM change nothing', () => {
  assert.deepEqual(parse(`\ufeff${head.replaceAll('\n', '\r\n')}`), parse(head));
  assert.equal(
    refusal(`\ufeff${head}  dtpye: q4\n`.replaceAll('\n', '\r\n')),
    'FILE:4:3: model.dtpye: unknown key. Did you mean "dtype"?',
  );
});

test('rows in the config: a list of mappings', () => {
  const rows = (line: string) => dataset(`rows: ${line}`);
  const ok = parse(rows('[{ question: 1 + 1, label: 2 }]')) as { dataset: { rows: unknown } };
  assert.deepEqual(ok.dataset.rows, [{ question: '1 + 1', label: 2 }]);
  assert.equal(refusal(rows('[]')), 'FILE:5:3: dataset.rows: the list is empty. It needs at least one entry.');
  assert.equal(refusal(rows('[5]')), `FILE:5:10: dataset.rows[0]: 5 is not ${SECTION}.`);
  assert.equal(refusal(rows('a.jsonl')), 'FILE:5:9: dataset.rows: "a.jsonl" is not a list.');
});

test('a part of a file, which stands elsewhere in it: every place that is named is looked at', () => {
  const file = read('shared:\n  size: 3\nparts:\n  - {}\n  - size: x\n');
  const schema = z.strictObject({ size: z.number() });
  const paths = (index: number) => (inner: readonly PropertyKey[]) => [
    ['parts', index, ...inner],
    ['shared', ...inner],
  ];
  assert.deepEqual(parseConfig(file, schema, { size: 3 }, paths(0)), { size: 3 });
  const refused = (data: Record<string, unknown>, index: number) => {
    try {
      parseConfig(file, schema, data, paths(index));
    } catch (error) {
      return (error as Error).message.replaceAll(path, 'FILE');
    }
    return 'accepted';
  };
  assert.equal(refused({ size: 'x' }, 1), 'FILE:5:11: size: "x" is not a number.');
  // Not written in the part: where it is shared.
  assert.equal(refused({ size: 'x' }, 0), 'FILE:2:9: size: "x" is not a number.');
});

test('plain data that stands in no file: its value, or the first fault with its key', () => {
  const text = z.string().min(1);
  const schema = z.strictObject({
    words: z.union([
      text,
      z.strictObject({ text, strip: z.boolean().optional() }),
      z.array(z.union([text, z.strictObject({ text })])).min(1),
    ]),
    own: z
      .string()
      .refine((one) => one !== 'bad', { error: 'it is bad.' })
      .optional(),
  });
  assert.deepEqual(readBy(schema, { words: ['a'], own: null }), { value: { words: ['a'] } });
  const fault = (data: unknown, key: string, message: string) =>
    assert.deepEqual(readBy(schema, data), { key, message });
  fault({ words: '' }, 'words', 'the text is empty.');
  fault({ words: [] }, 'words', 'the list is empty. It needs at least one entry.');
  fault({ words: 3 }, 'words', '3 is not a text or a section (indented `key: value` lines) or a list.');
  fault({ words: { text: 'a', srtip: true } }, 'words.srtip', 'unknown key. Did you mean "strip"?');
  // Inside of a list among several kinds the keys are known too.
  fault({ words: ['a', { texxt: 'b' }] }, 'words[1].texxt', 'unknown key. Did you mean "text"?');
  fault({ words: ['a', { text: 3 }] }, 'words[1].text', '3 is not a text. Put it in quotes.');
  fault({ words: 'a', own: 'bad' }, 'own', 'it is bad.');
  // A misspelt key first: it is why the other is missing.
  fault({ wrods: 'a' }, 'wrods', 'unknown key. Did you mean "words"?');
  fault(3, '', '3 is not a section (indented `key: value` lines).');
});
