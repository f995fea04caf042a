/** What a config names is opened before the first row: what is not there is told, and what is there is described. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkConfig } from '../../nanoeval/run/check.ts';
import type { Models } from '../../nanoeval/run/models.ts';
import { expectedRows, openPlan } from '../../nanoeval/run/plan.ts';
import { UserError } from '../../nanoeval/types.ts';
import { type Canned, cannedModel, cannedModels } from '../canned_model.ts';
import { demo, openFaults, plantTextCheckpoint } from '../config/faults.ts';
import { ROOT } from '../spawn.ts';
import { openSaid, toyConfig, toyRows, toyTask } from './toy.ts';

const { mmlu, hellaswag, checkAll, folder } = openFaults();
const CHECKPOINT = join(ROOT, 'nanoeval/demo/checkpoint');
const window: number = JSON.parse(readFileSync(join(CHECKPOINT, 'config.json'), 'utf8')).text_config
  .max_position_embeddings;
const onnx = readdirSync(join(CHECKPOINT, 'onnx')).map((name) => statSync(join(CHECKPOINT, 'onnx', name)).size);
const megabytes = (onnx.reduce((sum, size) => sum + size, 0) / 1e6).toFixed(0);
const loaded = `model nanoeval/demo/checkpoint, fp32, ${megabytes} MB, window ${window}, tree form\n`;
const TEXT = plantTextCheckpoint(folder);
const suites = readdirSync(join(ROOT, 'suites')).sort().join(', ');

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
  `FILE:3:13: model.model_id: suites has no ONNX export (none of onnx/model*.onnx, onnx/decoder_model_merged*.onnx, model*.onnx, decoder_model_merged*.onnx, decode*.onnx). It has: ${suites}.`,
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
  'a sample of more rows than there are',
  `${demo}  sample: 201\n`,
  'FILE:8:11: dataset.sample: 201 rows cannot be drawn from 200. It would be 200 at most.',
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
checkAll('what the config names and is not there: one line that says where and what, and exit code 2');

// ---------------------------------------------------------------- a plan

/** The plan of a toy run over 40 rows, and what was asked of its models. */
async function open(sections: Record<string, object>, canned: Canned = {}, over: Parameters<typeof toyTask>[0] = {}) {
  const task = toyTask(over);
  const config = toyConfig({ ...sections, dataset: { rows: toyRows(40), ...sections.dataset } });
  const asked: string[] = [];
  const all = cannedModels(cannedModel(canned));
  const models: Models = {
    find: (...given) => {
      asked.push('find');
      return all.find(...given);
    },
    open: async () => assert.fail('nothing is loaded for a plan'),
    close: async () => {},
  };
  const options = { log: openSaid().log, signal: new AbortController().signal };
  return { asked, plan: openPlan(task, config, checkConfig(task, config), models, options) };
}

test('a plan: splits, model, rows of each seed, and the record of it all; no weights', async () => {
  const { asked, plan: opened } = await open({
    dataset: { sample: 6 },
    scoring: { strategy: 'gen_letter', seeds: [123, 7], temperature: 1, samples_per_prompt: 3 },
  });
  const plan = await opened;
  assert.deepEqual(asked, ['find']);
  // python3.11: sorted(random.Random(seed).sample(range(40), 6))
  assert.deepEqual(plan.selections, [
    { seed: 123, indices: [3, 5, 6, 17, 26, 38], count: 6 },
    { seed: 7, indices: [3, 4, 9, 20, 25, 34], count: 6 },
  ]);
  assert.deepEqual([plan.manySeeds, plan.chat, plan.shots], [true, false, null]);
  assert.equal(expectedRows(plan), 2 * 6 * 3);
  assert.deepEqual([plan.record.dataset.num_rows, plan.record.model.label], [40, 'canned']);
  const single = await (await open({ run: { shard: '1/4' } })).plan;
  assert.deepEqual([single.manySeeds, expectedRows(single)], [false, 10]);
});

test('prompts are conversations where the config says so, and for a model that sees', async () => {
  const chat = async (model: object, canned: Canned = {}) => {
    const plan = await (await open({ model }, canned)).plan;
    assert.equal(plan.record.recipe.chat_template, plan.chat);
    return plan.chat;
  };
  assert.deepEqual(
    [await chat({}), await chat({ chat_template: true }), await chat({}, { is_vlm: true })],
    [false, true, true],
  );
});

test('shots come from the split that the task names; the rows are looked at before the model', async () => {
  const files = join(folder, 'rows');
  mkdirSync(files);
  for (const [name, count] of Object.entries({ test: 5, dev: 4, train: 5 }))
    writeFileSync(
      join(files, `${name}.jsonl`),
      toyRows(count)
        .map((row) => JSON.stringify(row))
        .join('\n'),
    );
  const dataset = { path: files, rows: undefined };
  const shots = { shots: { split: 'dev' } };
  const plan = await (await open({ dataset, scoring: { num_fewshot: 2 } }, {}, shots)).plan;
  assert.deepEqual([plan.split.split, plan.shots?.split, plan.record.shots?.split], ['test', 'dev', 'dev']);
  const missing = await open({ dataset: { ...dataset, split: 'tset' } });
  await assert.rejects(
    missing.plan,
    (error) =>
      error instanceof UserError &&
      error.key === 'dataset.split' &&
      error.message.includes('It has: dev, test, train.'),
  );
  const same = await open({ dataset, scoring: { num_fewshot: 2 } }, {}, { shots: { split: 'train' } });
  await assert.rejects(
    same.plan,
    (error) => error instanceof UserError && /its train\.jsonl holds the same as test\.jsonl/.test(error.message),
  );
  assert.deepEqual(same.asked, []);
  assert.deepEqual(missing.asked, [], 'the model was not even looked up');
});
