/**
 * What a person sees who wrote a config wrong: the programs are started as a person starts them. Every case is one line on
 * stderr, exit code 2, nothing on stdout.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { recipes as hellaswagRecipes } from '../../nanoeval/run_hellaswag.ts';
import { tokenizerJson } from '../model/fixtures.ts';
import { TOY_CONFIG, toyDecoder } from '../model/toy_decoder.ts';
import { ROOT, start, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('config');
const dir = folder.path;
after(() => folder.remove());

type Program = 'run_mmlu' | 'run_hellaswag' | 'run_mmmu_pro' | 'suite';
interface Case {
  name: string;
  program: Program;
  /** Content of the file; null where `path` says it all. */
  yaml: string | Buffer | null;
  /** The whole of stderr. `FILE` stands for the config's path, `OUT` for an output folder of the case's own. */
  line: string;
  path?: string;
  /** A file that the run finds in OUT. */
  found?: string;
  /** What a run says before it comes to the fault. */
  before?: string;
}

const cases: Case[] = [];
const mmlu = (name: string, yaml: string | Buffer, line: string, more: Partial<Case> = {}) =>
  cases.push({ name, program: 'run_mmlu', yaml, line, ...more });
const hellaswag = (name: string, yaml: string, line: string, more: Partial<Case> = {}) =>
  cases.push({ name, program: 'run_hellaswag', yaml, line, ...more });
const mmmuPro = (name: string, yaml: string, line: string, more: Partial<Case> = {}) =>
  cases.push({ name, program: 'run_mmmu_pro', yaml, line, ...more });
const suite = (name: string, yaml: string, line: string) => cases.push({ name, program: 'suite', yaml, line });

/** Three lines; what a case adds begins in line 4. */
const head = 'task: mmlu\nmodel:\n  model_id: nanoeval/demo/checkpoint\n';
/** Seven lines, for cases that come as far as the checkpoint or the rows. */
const demo = `${head}report:\n  output_dir: OUT\ndataset:\n  path: nanoeval/demo/data/mmlu\n`;
const CHECKPOINT = join(ROOT, 'nanoeval/demo/checkpoint');
const onnx = readdirSync(join(CHECKPOINT, 'onnx')).map((name) => statSync(join(CHECKPOINT, 'onnx', name)).size);
const megabytes = (onnx.reduce((sum, size) => sum + size, 0) / 1e6).toFixed(0);
const window: number = JSON.parse(readFileSync(join(CHECKPOINT, 'config.json'), 'utf8')).text_config
  .max_position_embeddings;
/** A checkpoint that reads and cannot see. */
const TEXT = join(dir, 'text');
const text: Record<string, unknown> = {
  'config.json': { ...TOY_CONFIG, max_position_embeddings: 64 },
  'tokenizer.json': tokenizerJson(),
  'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>' },
};
mkdirSync(join(TEXT, 'onnx'), { recursive: true });
for (const [name, content] of Object.entries(text)) writeFileSync(join(TEXT, name), JSON.stringify(content));
writeFileSync(join(TEXT, 'onnx/model.onnx'), toyDecoder({ vocab: 320 }));
const suites = readdirSync(join(ROOT, 'suites')).sort().join(', ');
const LOADED_TEXT = `model ${TEXT}, fp32, 0 MB, window 64, naive runs\n`;
const loaded = `model nanoeval/demo/checkpoint, fp32, ${megabytes} MB, window ${window}, tree runs\n`;

// ---------------------------------------------------------------- the file itself

const byPath = (name: string, path: string, line: string, program: Program = 'run_mmlu') =>
  cases.push({ name, program, yaml: null, path, line });
byPath(
  'variable empty',
  '',
  'NANOEVAL_CONFIG is not set. Set it to the path of a YAML file, for example NANOEVAL_CONFIG=configs/mmlu_smollm2_135m.yaml.',
);
byPath(
  'variable of the suite empty',
  '',
  'NANOEVAL_SUITE is not set. Set it to the path of a YAML file, for example NANOEVAL_SUITE=suites/suite_smoke.yaml.',
  'suite',
);
byPath(
  'no such file',
  'configs/mmlu_smolm2_135m.yaml',
  'NANOEVAL_CONFIG: there is no file configs/mmlu_smolm2_135m.yaml. Did you mean configs/mmlu_smollm2_135m.yaml?',
);
byPath(
  'no such folder',
  'konfigs/mmlu.yaml',
  `NANOEVAL_CONFIG: there is no file konfigs/mmlu.yaml. There is no folder konfigs either; paths are relative to ${ROOT.replace(/\/$/, '')}.`,
);
byPath('a folder', 'suites', `NANOEVAL_SUITE: suites is a folder, not a file. It has: ${suites}.`, 'suite');
byPath(
  'a path through a file',
  'package.json/mmlu.yaml',
  "NANOEVAL_CONFIG: package.json/mmlu.yaml cannot be read: ENOTDIR: not a directory, stat 'package.json/mmlu.yaml'.",
);

mmlu('empty file', '', 'FILE:1:1: the file is empty. configs/mmlu_smollm2_135m.yaml shows what it holds.');
mmlu('UTF-16', Buffer.from('\ufefftask: mmlu\n', 'utf16le'), 'FILE: the file is not text in UTF-8. Save it as UTF-8.');
mmlu('tabs', 'task: mmlu\nmodel:\n\tmodel_id: a/b\n', 'FILE:3:1: a tab indents this line. YAML wants blanks.');
mmlu(
  'the same key twice',
  `${head}  dtype: q4\n  model_id: a/b\n`,
  'FILE:5:3: this key stands twice in its section. Keep one of them.',
);
mmlu(
  'an open quote',
  'task: mmlu\nmodel:\n  model_id: "a/b\n  dtype: q4\n',
  'FILE:3:13: the quote that opens here is never closed. It needs a " at its end.',
);
mmlu(
  'broken indentation',
  `${head} dtype: q4\n`,
  'FILE:4:1: this line does not begin in the column of the other keys of its section. Mend the indentation.',
);
mmlu(
  'an unquoted star',
  'task: mmlu\nmodel:\n  model_id: *best\n',
  'FILE:3:13: not YAML: Unresolved alias (the anchor must be set before the alias): best. Put a text with "*" in quotes.',
);
mmlu(
  'a list',
  '- task: mmlu\n',
  'FILE:1:1: [{"task":"mmlu"}] is not a config. It has to be sections of `key: value` lines.',
);
mmlu('two documents', `${head}---\n${head}`, 'FILE:4:1: a second YAML document. One file holds one run.');

// ---------------------------------------------------------------- keys

mmlu(
  'unknown section',
  `${head}scorring:\n  recipe: cloze\n`,
  'FILE:4:1: scorring: unknown key. Did you mean "scoring"?',
);
mmlu(
  'a key of another section',
  `${head}  num_fewshot: 0\n`,
  'FILE:4:3: model.num_fewshot: unknown key. It belongs to the section "scoring".',
);
mmlu(
  'two sections swapped',
  'task: mmlu\nscoring:\n  model_id: a/b\n  dtype: q4\nmodel:\n  recipe: cloze\n',
  'FILE:3:3: scoring.model_id: unknown key. It belongs to the section "model". (3 more faults)',
);
mmlu(
  'a section as text',
  'task: mmlu\nmodel: HuggingFaceTB/SmolLM2-135M-Instruct\n',
  'FILE:2:8: model: "HuggingFaceTB/SmolLM2-135M-Instruct" is not a section (indented `key: value` lines).',
);
mmlu(
  'model missing',
  'task: mmlu\n',
  'FILE:1:1: model: missing. It has to be a section (indented `key: value` lines).',
);
mmlu('task missing', 'model:\n  model_id: a/b\n', 'FILE:1:1: task: missing. It has to be "mmlu".');

// ---------------------------------------------------------------- values

mmlu(
  'dtype',
  `${head}  dtype: q5\n`,
  'FILE:4:10: model.dtype: "q5" is not one of: fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4.',
);
const DTYPES = 'fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4';
mmlu(
  'a dtype near another',
  `${head}  dtype: fp-16\n`,
  `FILE:4:10: model.dtype: "fp-16" is not one of: ${DTYPES}. Did you mean "fp16"?`,
);
mmlu('a dtype as number', `${head}  dtype: 8\n`, `FILE:4:10: model.dtype: 8 is not one of: ${DTYPES}.`);
mmlu('a list of dtypes', `${head}  dtype: [q4]\n`, `FILE:4:3: model.dtype: ["q4"] is not one of: ${DTYPES}.`);
mmlu(
  "a graph's dtype",
  `${head}  dtype:\n    embed_tokens: q8\n    vision_encoder: fp61\n`,
  `FILE:6:21: model.dtype.vision_encoder: "fp61" is not one of: ${DTYPES}. Did you mean "fp16"?`,
);
mmlu(
  "a graph's dtype far from any",
  `${head}  dtype: { model: 16 }\n`,
  `FILE:4:19: model.dtype.model: 16 is not one of: ${DTYPES}.`,
);
mmlu(
  'a graph near another',
  `${head}  dtype: { vision_encodre: q8 }\n`,
  'FILE:4:12: model.dtype.vision_encodre: unknown key. Did you mean "vision_encoder"?',
);
mmlu(
  'no such graph',
  `${head}  dtype: { encoder: q8 }\n`,
  'FILE:4:12: model.dtype.encoder: unknown key. "model.dtype" has: model, decoder_model_merged, embed_tokens, vision_encoder.',
);
mmlu(
  'a key of the model section among the graphs',
  `${head}  dtype: { device: cpu }\n`,
  'FILE:4:12: model.dtype.device: unknown key. It belongs to the section "model".',
);
mmlu(
  'max_failed of 2',
  `${head}run:\n  max_failed: 2\n`,
  'FILE:5:15: run.max_failed: 2 is too large. It has to be at most 1.',
);
mmlu(
  'subject',
  `${head}dataset:\n  subjects: [stem, filosophy]\n`,
  'FILE:5:20: dataset.subjects[1]: "filosophy" is neither a subject nor a group. Did you mean "philosophy"?',
);

// ---------------------------------------------------------------- the wrong program

mmlu(
  'another task',
  'task: hellaswag\nmodel:\n  model_id: a/b\n',
  'FILE:1:7: task: "hellaswag" is not mmlu. Run it with npx tsx nanoeval/run_hellaswag.ts.',
);
hellaswag(
  'no task at all',
  'task: helaswag\nmodel:\n  model_id: a/b\n',
  'FILE:1:7: task: "helaswag" is not hellaswag. This program reads task: hellaswag.',
);
mmlu(
  'a suite',
  'suite:\n  name: a\nmodel:\n  model_id: a/b\ntasks:\n  - task: mmlu\n',
  'FILE:5:1: tasks: this is a suite. Run it with NANOEVAL_SUITE=FILE npx tsx nanoeval/suite.ts.',
);
suite(
  'the file of a task',
  'task: mmlu\nmodel:\n  model_id: a/b\n',
  'FILE:1:7: task: this is the file of one task. Run it with NANOEVAL_CONFIG=FILE npx tsx nanoeval/run_mmlu.ts.',
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

// ---------------------------------------------------------------- keys that do not go together

mmlu(
  'a strategy that the recipe lacks',
  `${head}scoring:\n  recipe: cloze\n  strategy: gen_letter\n`,
  'FILE:6:13: scoring.strategy: "gen_letter" is not a strategy of the recipe "cloze" of mmlu. It has: rank_ll.',
);
mmlu(
  'no normalised metric',
  `${head}scoring:\n  normalize_by_length: true\n`,
  'FILE:5:24: scoring.normalize_by_length: true, but rank_ll of the recipe "lm_eval" has no length-normalised metric. Leave it out.',
);
mmlu(
  'subset_size and sample',
  `${head}dataset:\n  subset_size: 3\n  sample: 4\n`,
  'FILE:6:11: dataset.sample: 4, beside subset_size 3. Keep one: the first n rows, or n drawn ones.',
);

// Before anything is loaded: the checkpoint of these does not exist, and that is not what they say.
const nowhere = 'task: mmmu_pro\nmodel:\n  model_id: ./nowhere\n';
mmmuPro(
  'nothing published ranks',
  `${nowhere}scoring:\n  strategy: rank_ll\n`,
  'FILE:5:13: scoring.strategy: "rank_ll" does not fit. It has to be "gen_letter": mmmu_pro is scored in this way alone.',
);
mmmuPro(
  'shots where there are none to have',
  `${nowhere}scoring:\n  num_fewshot: 2\n`,
  'FILE:5:16: scoring.num_fewshot: 2, but mmmu_pro has no worked examples. Leave it out.',
);
mmmuPro(
  'the recipe of other tasks',
  `${nowhere}scoring:\n  recipe: lm_eval\n`,
  'FILE:5:11: scoring.recipe: "lm_eval" is not one of: direct, cot, direct_images_last, cot_images_last, nanoeval.',
);
suite(
  'ranking in a suite, in the last task',
  `${tasks}  - task: mmlu\n  - task: mmmu_pro\n    scoring: { strategy: rank_ll }\n`,
  'FILE:6:26: scoring.strategy: "rank_ll" does not fit. It has to be "gen_letter": mmmu_pro is scored in this way alone.',
);

// ---------------------------------------------------------------- what the config names is not there

mmlu(
  'model folder',
  demo.replace('nanoeval/demo/checkpoint', './nowhere'),
  'FILE:3:13: model.model_id: ./nowhere: no such folder. It would be a local folder or a hub id like owner/name.',
);
mmlu(
  'a graph without a dtype is not set',
  demo.replace('nanoeval/demo/checkpoint', './nowhere\n  dtype:\n    model:'),
  'FILE:3:13: model.model_id: ./nowhere: no such folder. It would be a local folder or a hub id like owner/name.',
);
mmlu(
  'no export in the folder',
  demo.replace('nanoeval/demo/checkpoint', 'suites'),
  `FILE:3:13: model.model_id: suites has no ONNX export (none of onnx/model*.onnx, onnx/decoder_model_merged*.onnx, model*.onnx, decoder_model_merged*.onnx). It has: ${suites}.`,
);
mmlu(
  'no file of this dtype',
  demo.replace('checkpoint\n', 'checkpoint\n  dtype: q4\n'),
  'FILE:4:10: model.dtype: q4 (onnx/model_q4.onnx) is not in nanoeval/demo/checkpoint. It has: fp32.',
);
mmlu(
  'a longer context than the checkpoint has',
  demo.replace('checkpoint\n', 'checkpoint\n  max_length: 100000\n'),
  `FILE:4:15: model.max_length: 100000 is more than the ${window} tokens of nanoeval/demo/checkpoint.`,
);
mmlu(
  'is_vlm against the checkpoint',
  demo.replace('nanoeval/demo/checkpoint\n', `${TEXT}\n  is_vlm: true\n`),
  `FILE:4:11: model.is_vlm: true, but ${TEXT} is a text checkpoint.`,
);
mmlu(
  'a graph that a text checkpoint has not',
  demo.replace('nanoeval/demo/checkpoint\n', `${TEXT}\n  dtype: { model: fp32, vision_encoder: fp16 }\n`),
  `FILE:4:3: model.dtype: vision_encoder, but the graphs of ${TEXT} are: model.`,
);
mmlu(
  "no file of a graph's dtype",
  demo.replace('checkpoint\n', 'checkpoint\n  dtype: { decoder_model_merged: q4 }\n'),
  'FILE:4:3: model.dtype: q4 (onnx/model_q4.onnx) is not in nanoeval/demo/checkpoint. It has: fp32.',
);
mmmuPro(
  'a text checkpoint',
  demo
    .replace('task: mmlu', 'task: mmmu_pro')
    .replace('nanoeval/demo/data/mmlu', 'tests/golden/mmmu_pro/standard.jsonl')
    .replace('nanoeval/demo/checkpoint\n', `${TEXT}\nscoring: { max_new_tokens: 8 }\nengine: { mode: naive }\n`),
  `FILE:3:13: model.model_id: ${TEXT} takes no pictures: it is no vision-language checkpoint with a vision_encoder.`,
  { before: LOADED_TEXT },
);
mmlu(
  'dataset.path',
  demo.replace('data/mmlu', 'data/mmul'),
  'FILE:7:9: dataset.path: nanoeval/demo/data/mmul: no such file or folder.',
);
mmlu(
  'split of a folder',
  `${demo}  split: tests\n`,
  'FILE:8:10: dataset.split: "tests" is not a split of nanoeval/demo/data/mmlu. It has: dev, test.',
);
mmlu(
  'shots beside a single file',
  demo.replace('data/mmlu\n', 'data/mmlu/test.jsonl\n'),
  'FILE:7:9: dataset.path: nanoeval/demo/data/mmlu/test.jsonl is one file, and 5 shots come from a split "dev". Give a folder with a file for each split, or set scoring.num_fewshot: 0.',
);
mmlu(
  'more shots than rows',
  `${demo}scoring:\n  num_fewshot: 50\n`,
  'FILE:9:16: scoring.num_fewshot: 50, but the split "dev" has 5 rows of elementary_mathematics.',
  { before: loaded },
);
hellaswag(
  'shots of a split that is not there',
  `task: hellaswag\n${demo.split('\n').slice(1).join('\n')}scoring:\n  num_fewshot: 2\n`.replace(
    'data/mmlu',
    'data/hellaswag',
  ),
  'FILE:9:16: scoring.num_fewshot: 2 shots come from a split "train", but "train" is not a split of nanoeval/demo/data/hellaswag. It has: validation.',
);
mmlu(
  'shots from the split under test',
  `${demo}  split: dev\n`,
  'FILE:8:10: dataset.split: "dev" is where the 5 shots come from: rows would see their own answers. Set scoring.num_fewshot: 0.',
);
mmlu(
  'two files of one name',
  `${demo}scoring:\n`.replace('OUT\n', 'OUT\n  summary_filename: predictions.jsonl\n'),
  'FILE:4:1: report: two files of the run would both be called "predictions.jsonl". Name them apart.',
);
mmlu(
  'a limit of answers where nothing is generated',
  `${demo}scoring:\n  max_new_tokens: 5\n`,
  'FILE:9:19: scoring.max_new_tokens: 5, but rank_ll generates nothing. Leave it out.',
);
mmlu(
  'a temperature where nothing is generated',
  `${demo}scoring:\n  temperature: 0.8\n`,
  'FILE:9:16: scoring.temperature: 0.8, but rank_ll generates nothing. Leave it out.',
);
mmlu(
  'a nucleus where nothing is drawn',
  `${demo}scoring:\n  strategy: gen_letter\n  top_p: 0.9\n`,
  'FILE:10:10: scoring.top_p: 0.9, but nothing is drawn at temperature 0. Leave it out, or set scoring.temperature.',
);
mmlu(
  'samples that are all alike',
  `${demo}scoring:\n  strategy: gen_letter\n  samples_per_prompt: 4\n`,
  'FILE:10:23: scoring.samples_per_prompt: 4, but at temperature 0 every answer is the same. Set scoring.temperature.',
);
mmlu(
  'a seed twice',
  `${demo}scoring:\n  seeds: [1, 2, 1]\n`,
  'FILE:9:3: scoring.seeds: a seed stands there twice. Its rows would be the same.',
);
mmlu(
  'no seed',
  `${demo}scoring:\n  seeds: []\n`,
  'FILE:9:3: scoring.seeds: the list is empty. It needs at least one entry.',
);
mmlu('a shard that is not there', `${demo}run:\n  shard: 5/3\n`, 'FILE:9:10: run.shard: "5/3": there are 3 shards.');
mmlu(
  'a shard that is none',
  `${demo}run:\n  shard: 0/3\n`,
  'FILE:9:10: run.shard: "0/3" does not fit. It has to be a share of the rows, `2/8`: the second of eight.',
);
mmlu(
  'a share of the first rows',
  `${demo}  subset_size: 5\nrun:\n  shard: 1/3\n`,
  'FILE:10:10: run.shard: "1/3", beside dataset.subset_size: the first rows cannot be shared out. Use dataset.sample.',
);
mmlu(
  'answers longer than the window',
  `${demo}scoring:\n  strategy: gen_letter\n  max_new_tokens: 4096\n`,
  `FILE:10:19: scoring.max_new_tokens: 4096 leaves no room for a prompt in a window of ${window} tokens.`,
);
mmlu(
  'a sample of more rows than there are',
  `${demo}  sample: 201\n`,
  'FILE:8:11: dataset.sample: 201 rows cannot be drawn from 200. It would be 200 at most.',
  { before: loaded },
);
mmlu(
  'output_dir is a file',
  demo.replace('OUT', 'package.json'),
  'FILE:5:15: report.output_dir: package.json/predictions.jsonl cannot be written: package.json is a file. Name another report.output_dir.',
);
mmlu(
  'the folder has rows of nobody knows what',
  demo,
  'FILE:5:15: report.output_dir: OUT/predictions.jsonl has rows, but OUT/run.json is not there to say what they are. Name another report.output_dir, or set run.overwrite: true (the old folder is kept aside).',
  { found: 'predictions.jsonl' },
);

// ---------------------------------------------------------------- the run

const run = (program: Program, path: string) => {
  const variable = program === 'suite' ? 'NANOEVAL_SUITE' : 'NANOEVAL_CONFIG';
  return start(program, { [variable]: path, HF_HUB_OFFLINE: '1' }).finished;
};

async function check({ program, yaml, line, path, found, before = '' }: Case, i: number): Promise<void> {
  const file = path ?? join(dir, `${i}.yaml`);
  const out = join(dir, `out-${i}`);
  if (found !== undefined) {
    mkdirSync(out);
    writeFileSync(join(out, found), '{"id":"0","index":0}\n');
  }
  if (yaml !== null) writeFileSync(file, typeof yaml === 'string' ? yaml.replace('OUT', out) : yaml);
  const wanted = `${before}${line.replaceAll('FILE', file).replaceAll('OUT', out)}\n`;
  assert.deepEqual(await run(program, file), { code: 2, stdout: '', stderr: wanted });
}

test('every fault of a config is one line that says where and what, and exit code 2', { concurrency: 3 }, async (t) => {
  assert.ok(cases.length >= 45, `${cases.length} cases`);
  await Promise.all(cases.map((one, i) => t.test(`${one.program}: ${one.name}`, () => check(one, i))));
});

test('the variable is not set', async () => {
  const stderr =
    'NANOEVAL_CONFIG is not set. Set it to the path of a YAML file, for example NANOEVAL_CONFIG=configs/hellaswag_smollm2_135m.yaml.\n';
  assert.deepEqual(await start('run_hellaswag', {}).finished, { code: 2, stdout: '', stderr });
});

test('a file that may not be read', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may read every file');
  const file = join(dir, 'secret.yaml');
  writeFileSync(file, head);
  chmodSync(file, 0);
  const stderr = `NANOEVAL_CONFIG: ${file} cannot be read: EACCES: permission denied, open '${file}'.\n`;
  assert.deepEqual(await run('run_mmlu', file), { code: 2, stdout: '', stderr });
});
