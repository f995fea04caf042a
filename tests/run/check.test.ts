/** Settings that do not go together: as a person meets them, and each by itself. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Abilities } from '../../nanoeval/questions.ts';
import { checkConfig, checkModel, givesTokenIds, usesChat } from '../../nanoeval/run/check.ts';
import { UserError } from '../../nanoeval/types.ts';
import { identityOf } from '../canned_model.ts';
import { demo, head, openFaults, plantTextCheckpoint } from '../config/faults.ts';
import { ROOT } from '../spawn.ts';
import { recipes, toyConfig, toyRecipe, toyTask } from './toy.ts';

const { mmlu, mmmuPro, suite, checkAll, folder } = openFaults();
const CHECKPOINT = join(ROOT, 'nanoeval/demo/checkpoint');
const window: number = JSON.parse(readFileSync(join(CHECKPOINT, 'config.json'), 'utf8')).text_config
  .max_position_embeddings;
const TEXT = plantTextCheckpoint(folder);
/** Three lines; the first task stands in line 4. */
const tasks = 'model:\n  model_id: a/b\ntasks:\n';

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
mmmuPro(
  'a text checkpoint',
  demo
    .replace('task: mmlu', 'task: mmmu_pro')
    .replace('nanoeval/demo/data/mmlu', 'tests/golden/mmmu_pro/standard.jsonl')
    .replace('nanoeval/demo/checkpoint\n', `${TEXT}\nscoring: { max_new_tokens: 8 }\nengine: { mode: naive }\n`),
  `FILE:3:13: model.model_id: ${TEXT} takes no pictures, and mmmu_pro shows some. Name a vision-language checkpoint.`,
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
  'answers longer than the window',
  `${demo}scoring:\n  strategy: gen_letter\n  max_new_tokens: 4096\n`,
  `FILE:10:19: scoring.max_new_tokens: 4096 leaves no room for a prompt in a window of ${window} tokens.`,
);
checkAll('settings that do not go together: one line that says where and what, and exit code 2');

// ---------------------------------------------------------------- each by itself

const refused = (what: () => unknown, key: string, message: string) =>
  assert.throws(what, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.deepEqual([error.key, error.message], [key, message]);
    return true;
  });
const toy = { name: 'toy', recipes, shots: { split: 'dev' } };
const check = (sections: Record<string, object>, task: Parameters<typeof checkConfig>[0] = toy) =>
  checkConfig(task, toyConfig(sections));

test('a config that goes together gives the recipe as it is resolved', () => {
  const { name, verb, primary, numFewshot } = check({ scoring: { num_fewshot: 2 } });
  assert.deepEqual([name, verb, primary, numFewshot], ['lm_eval', 'loglikelihood', 'acc', 2]);
});

test('a shard may stand beside subset_size, sample and subjects', () => {
  for (const dataset of [{ subset_size: 5 }, { sample: 5 }, { subset_size: 5, subjects: 'a' }])
    assert.doesNotThrow(() => check({ dataset, run: { shard: '3/3' } }));
  refused(() => check({ run: { shard: '4/3' } }), 'run.shard', '"4/3": there are 3 shards.');
});

test("a recipe's own worked examples: as many as there are, whatever the split", () => {
  const fixed_shots = ['a', 'b'].map((question) => ({ question, answer: 'x' }));
  const task = { ...toy, recipes: { lm_eval: { ...recipes.lm_eval!, fixed_shots } } };
  for (const num_fewshot of [0, 2])
    assert.doesNotThrow(() => check({ dataset: { split: 'dev' }, scoring: { num_fewshot } }, task));
  refused(
    () => check({ scoring: { num_fewshot: 3 } }, task),
    'scoring.num_fewshot',
    '3, but the recipe "lm_eval" has 2 worked examples of its own. Lower it.',
  );
});

test('what is drawn has to be drawn from a generated answer', () => {
  const drawn = (scoring: object) => () => check({ scoring: { strategy: 'gen_letter', ...scoring } });
  assert.doesNotThrow(drawn({ temperature: 1, top_p: 0.5, samples_per_prompt: 4, seeds: [1, 2], max_new_tokens: 3 }));
  refused(
    drawn({ samples_per_prompt: 2 }),
    'scoring.samples_per_prompt',
    '2, but at temperature 0 every answer is the same. Set scoring.temperature.',
  );
  // Whole texts are as little generated as ranked choices.
  for (const strategy of ['rank_ll', 'rolling_ll'])
    for (const [key, value] of Object.entries({ max_new_tokens: 3, temperature: 0.5 }))
      refused(
        () => check({ scoring: { strategy, [key]: value } }),
        `scoring.${key}`,
        `${value}, but ${strategy} generates nothing. Leave it out.`,
      );
});

test('shots of a task that has none, and from the split under test', () => {
  const { shots: _none, ...without } = toy;
  refused(
    () => check({ scoring: { num_fewshot: 2 } }, without),
    'scoring.num_fewshot',
    '2, but toy has no worked examples. Leave it out.',
  );
  assert.doesNotThrow(() => check({ scoring: { num_fewshot: 0 } }, without));
  refused(
    () => check({ scoring: { num_fewshot: 2 }, dataset: { split: 'dev' } }),
    'dataset.split',
    '"dev" is where the 2 shots come from: rows would see their own answers. Set scoring.num_fewshot: 0.',
  );
  assert.doesNotThrow(() => check({ dataset: { split: 'dev' } }));
});

test("two files of one name, the chart's second file among them", () => {
  const twice = (report: object, name: string) =>
    refused(() => check({ report }), 'report', `two files of the run would both be called "${name}". Name them apart.`);
  twice({ table_filename: 'accuracy.svg' }, 'accuracy.svg');
  twice({ summary_filename: 'run.json' }, 'run.json');
  twice({ table_filename: 'scores.csv' }, 'scores.csv');
});

const ALL: Abilities = {
  verbs: ['loglikelihood', 'generate_until', 'loglikelihood_rolling'],
  images: true,
  chat: true,
};

/** Whether a model of these abilities may be asked under these sections. */
function ask(
  sections: Record<string, object>,
  can: Partial<Abilities>,
  more: { images?: boolean; is_vlm?: boolean } = {},
) {
  const config = toyConfig(sections);
  const { images, ...identity } = more;
  const found = {
    identity: identityOf({ label: 'some/model', max_length: 100, ...identity }),
    can: { ...ALL, ...can },
  };
  return () =>
    checkModel({ name: 'toy', ...(images === undefined ? {} : { images }) }, config, toyRecipe(config), found);
}

test('a model that cannot be asked this way says what it can do', () => {
  const can = (strategy: string, verbs: Abilities['verbs']) => ask({ scoring: { strategy } }, { verbs });
  assert.doesNotThrow(can('rank_ll', ['loglikelihood']));
  assert.doesNotThrow(can('gen_letter', ['generate_until']));
  refused(
    can('rank_ll', ['generate_until', 'loglikelihood_rolling']),
    'scoring.strategy',
    'toy asks for loglikelihood, and some/model (canned) can do: generate_until, loglikelihood_rolling.',
  );
  refused(
    can('rolling_ll', ['generate_until']),
    'scoring.strategy',
    'toy asks for loglikelihood_rolling, and some/model (canned) can do: generate_until.',
  );
});

test('a model without pictures is refused where a task shows some, and only there', () => {
  const message = 'some/model takes no pictures, and toy shows some. Name a vision-language checkpoint.';
  refused(ask({}, { images: false }, { images: true }), 'model.model_id', message);
  assert.doesNotThrow(ask({}, { images: false }, { images: false }));
  assert.doesNotThrow(ask({}, { images: false }));
  assert.doesNotThrow(ask({}, { images: true }, { images: true }));
});

test('a chat template is wanted where the config asks for one, or the model sees; a whole text needs none', () => {
  const message = 'true, but some/model has no chat template.';
  refused(ask({ model: { chat_template: true } }, { chat: false }), 'model.chat_template', message);
  const byDefault =
    'some/model has no chat template, and a vision-language model uses one by default. Set it to false.';
  refused(ask({}, { chat: false }, { is_vlm: true }), 'model.chat_template', byDefault);
  assert.doesNotThrow(ask({ model: { chat_template: false } }, { chat: false }, { is_vlm: true }));
  assert.doesNotThrow(ask({}, { chat: false }));
  assert.doesNotThrow(ask({ scoring: { strategy: 'rolling_ll' }, model: { chat_template: true } }, { chat: false }));
});

test('enable_thinking without effect is refused: the template does not look at it, or there is none in use', () => {
  const told = (model: object, can: Partial<Abilities> = {}, more: object = {}) =>
    ask({ model: { enable_thinking: false, ...model } }, can, more);
  const message = 'false, but the chat template of some/model does not look at it. Leave it out.';
  refused(told({ chat_template: true }), 'model.enable_thinking', message);
  refused(told({}, {}, { is_vlm: true }), 'model.enable_thinking', message);
  const plain = 'false, but prompts are plain texts here. Set model.chat_template: true.';
  refused(told({}, { thinking_switch: true }), 'model.enable_thinking', plain);
  assert.doesNotThrow(told({ chat_template: true }, { thinking_switch: true }));
  // One task of a suite goes without the template; a text is scored as it stands.
  assert.doesNotThrow(told({ chat_template: false }));
  const text = { scoring: { strategy: 'rolling_ll' }, model: { enable_thinking: true } };
  assert.doesNotThrow(ask(text, {}));
  // What is wrong with the template itself is told first.
  refused(
    told({ chat_template: true }, { chat: false }),
    'model.chat_template',
    'true, but some/model has no chat template.',
  );
});

test('a chat template that cannot be used here is told before the weights are loaded, and only where it is wanted', () => {
  const can = { chat: true, chat_fault: 'chat template: cannot be read: the filter "pprint" is not supported here' };
  refused(
    ask({ model: { chat_template: true } }, can),
    'model.chat_template',
    'chat template: cannot be read: the filter "pprint" is not supported here. Set model.chat_template: false.',
  );
  refused(ask({}, can, { is_vlm: true }), 'model.chat_template', `${can.chat_fault}. Set model.chat_template: false.`);
  assert.doesNotThrow(ask({}, can));
  assert.doesNotThrow(ask({ scoring: { strategy: 'rolling_ll' }, model: { chat_template: true } }, can));
});

test('an answer has to leave room for a prompt', () => {
  const limit = (max_new_tokens: number) => ask({ scoring: { strategy: 'gen_letter', max_new_tokens } }, {});
  assert.doesNotThrow(limit(99));
  refused(limit(100), 'scoring.max_new_tokens', '100 leaves no room for a prompt in a window of 100 tokens.');
});

test('usesChat: as asked, else for models that take pictures', () => {
  const of = (is_vlm: boolean, chat_template?: boolean) =>
    usesChat(toyConfig(chat_template === undefined ? {} : { model: { chat_template } }), identityOf({ is_vlm }));
  assert.deepEqual([of(false), of(true), of(true, false), of(false, true)], [false, true, false, true]);
});

test('what is required of a share is a share', () => {
  const config = (require: number, scoring = {}) => toyConfig({ run: { require }, scoring });
  for (const require of [0, 0.5, 1]) assert.equal(checkConfig(toyTask(), config(require)).required, require);
  for (const require of [-0.1, 80])
    refused(
      () => checkConfig(toyTask(), config(require)),
      'run.require',
      `${require} is not a share from 0 to 1, which acc is.`,
    );
  // A perplexity is none.
  assert.doesNotThrow(() => checkConfig(toyTask(), config(80, { strategy: 'rolling_ll' })));
});

test("a task's own file has a name of its own", () => {
  const task = { ...toyTask(), files: { 'metrics.csv': () => '' } };
  refused(
    () => checkConfig(task, toyConfig()),
    'report',
    'two files of the run would both be called "metrics.csv". Name them apart.',
  );
});

test('a server has an address, and token ids are had from those that are asked by them', () => {
  const of = (model: object, sections: Record<string, object> = {}) =>
    checkConfig(toyTask(), toyConfig({ ...sections, model: { backend: 'vllm', base_url: 'http://h:1', ...model } }));
  assert.doesNotThrow(() => of({}));
  assert.doesNotThrow(() => of({ base_url: ['http://h:1', 'http://h:2'] }));
  refused(
    () => of({ base_url: undefined, backend: 'llama_cpp' }),
    'model.base_url',
    'missing. llama_cpp asks a server: give its address, such as http://127.0.0.1:8000, or start one by model.server.',
  );
  refused(
    () => of({ server: { autostart: true } }),
    'model.base_url',
    '"http://h:1", beside model.server, which starts a server and knows its address. Keep one of them.',
  );
  assert.doesNotThrow(() => of({ base_url: undefined, server: { args: [], port: 8000, autostart: false } }));
  refused(
    () => of({ base_url: undefined, server: { args: [], port: 'auto', autostart: false } }),
    'model.server.port',
    '"auto", but with autostart: false the server is running already. Name its port.',
  );
  refused(() => of({ base_url: 'h:1' }), 'model.base_url', '"h:1" is no address such as http://127.0.0.1:8000.');
  const saved = { report: { save_tokens: true } };
  refused(
    () => of({ backend: 'openai' }, saved),
    'report.save_tokens',
    'true, but openai gives no token ids. Leave it out, or use vllm, llama_cpp or onnx.',
  );
  for (const backend of ['vllm', 'llama_cpp'])
    for (const more of [saved, { ...saved, scoring: { strategy: 'gen_letter' } }])
      assert.doesNotThrow(() => of({ backend }, more));
  // A page does without them.
  assert.doesNotThrow(() => of({ backend: 'openai' }, { report: { page: true } }));
  assert.deepEqual((['openai', 'vllm', 'llama_cpp', 'onnx'] as const).map(givesTokenIds), [false, true, true, true]);
});

test('what a model cannot be asked is said in its own words, before the first row', () => {
  const cannot = {
    loglikelihood: 'some/model cannot score (why). Use another.',
    plain: 'it answers conversations alone.',
    chat_loglikelihood: 'it renders no template.',
    token_ids: 'it gives no token ids.',
  };
  refused(
    ask({}, { verbs: ['generate_until'], cannot }),
    'scoring.strategy',
    'toy asks for loglikelihood: some/model cannot score (why). Use another.',
  );
  const generates = { scoring: { strategy: 'gen_letter' } };
  const chat = { model: { chat_template: true } };
  refused(ask(generates, { cannot }), 'model.chat_template', 'some/model: it answers conversations alone.');
  assert.doesNotThrow(ask({ ...generates, ...chat }, { cannot }));
  refused(ask(chat, { cannot }), 'model.chat_template', 'some/model: it renders no template.');
  const saved = { report: { save_tokens: true } };
  refused(
    ask({ ...generates, ...chat, ...saved }, { cannot }),
    'report.save_tokens',
    'true, but it gives no token ids. Leave it out.',
  );
  assert.doesNotThrow(ask(saved, { cannot: { token_ids: cannot.token_ids } }));
});
