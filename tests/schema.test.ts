/** The JSON Schema for editors, the README's table and the example files follow from the config schemas. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { parseConfig } from '../nanoeval/config/check.ts';
import { compareSchema } from '../nanoeval/config/compare.ts';
import { readConfigFile } from '../nanoeval/config/file.ts';
import { rescoreSchema } from '../nanoeval/config/keys.ts';
import { manyModelsSchema, suiteSchema } from '../nanoeval/config/suite.ts';
import { variantsSchema } from '../nanoeval/config/variants.ts';
import { viewSchema } from '../nanoeval/config/view.ts';
import { allTasks, editorSchema, keyTable, readmeWithTables, recipeTable } from '../nanoeval/schema.ts';
import { ROOT } from './spawn.ts';

const tasks = await allTasks();
const schema = editorSchema(tasks);
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const examples = ['configs', 'suites'].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => `${folder}/${name}`),
);

test('configs/nanoeval.schema.json is what `npm run schema` writes today', () => {
  assert.equal(read('configs/nanoeval.schema.json'), `${JSON.stringify(schema, null, 2)}\n`, 'run `npm run schema`');
});

test("README.md's tables of keys and recipes are what `npm run schema` writes today", () => {
  const readme = read('README.md');
  assert.equal(readme, readmeWithTables(readme, tasks), 'run `npm run schema`');
});

test('tables stand between their marks, and whatever else there is stays; marks that are missing are an error', () => {
  const marked = (keys: string, recipes: string) =>
    `# Keys\n<!-- keys:begin -->\n${keys}<!-- keys:end -->\nwords\n<!-- recipes:begin -->\n${recipes}<!-- recipes:end -->\nend\n`;
  assert.equal(readmeWithTables(marked('old\n', ''), tasks), marked(keyTable(tasks), recipeTable(tasks)));
  assert.throws(() => readmeWithTables('# no marks\n', tasks), /keys:begin/);
  assert.throws(() => readmeWithTables('<!-- keys:begin -->\n<!-- keys:end -->\n', tasks), /recipes:begin/);
});

test('the table has every recipe of every task once, the default one of each task first', () => {
  const lines = recipeTable(tasks).trimEnd().split('\n').slice(2);
  const cells = lines.map((line) => line.slice(2, -2).split(/(?<!\\) \| /));
  const names = tasks.flatMap(({ name, recipes }) => Object.keys(recipes).map((recipe) => `${name} ${recipe}`));
  const named = cells.map(([task, recipe]) => `${task} ${/^`(\w+)`/.exec(recipe!)?.[1]}`);
  assert.deepEqual(named.toSorted(), names.toSorted());
  for (const { name } of tasks) {
    const own = cells.filter(([task]) => task === name).map(([, recipe]) => recipe!.endsWith(' (default)'));
    assert.deepEqual(own, [true, ...own.slice(1).map(() => false)], name);
  }
  const cellOf = (task: string, recipe: string) =>
    cells.find((row) => row[0] === task && row[1]!.startsWith(`\`${recipe}\``))?.slice(2, 4);
  assert.deepEqual(cellOf('mmlu', 'lm_eval'), ['5', '`acc` (`rank_ll`), `exact_match` (`gen_letter`)']);
  assert.deepEqual(cellOf('hellaswag', 'lm_eval'), ['0', '`acc_norm` (`rank_ll`)']);
  assert.deepEqual(cellOf('hellaswag', 'nanoeval'), ['0', '`acc` (`rank_ll`)']);
});

test('the table has every key of every task once, with default and meaning', () => {
  const lines = keyTable(tasks).trimEnd().split('\n').slice(2);
  const keys = lines.map((line) => /^\| `([\w.]+)` \| (.+?) \| (.+) \|$/.exec(line)?.slice(1, 4) ?? assert.fail(line));
  assert.equal(new Set(keys.map(([key]) => key)).size, keys.length);
  const row = (key: string) => keys.find(([name]) => name === key)?.slice(1);
  assert.equal(row('model.model_id')?.[0], 'required');
  assert.equal(row('model.dtype')?.[0], '`fp32`');
  assert.equal(row('scoring.seed')?.[0], '`123`');
  assert.equal(row('run.overwrite')?.[0], '`false`');
  assert.match(row('dataset.split')?.[0] ?? '', /`validation` \(hellaswag\).*`test` \(mmlu\)/);
  assert.match(row('dataset.subjects')?.[1] ?? '', /^mmlu: .*stem.*; mmmu_pro: .*business/);
});

test('there are examples', () => {
  assert.ok(examples.length >= 13, examples.join());
});

for (const path of examples) {
  test(`${path}: parses, fits the JSON Schema, is short and tells the editor its schema`, async () => {
    const file = readConfigFile('NANOEVAL_CONFIG', join(ROOT, path), path);
    if (path.startsWith('suites/')) {
      const suite = parseConfig(file, 'models' in file.data ? manyModelsSchema : suiteSchema);
      for (const { task, name: _name, reference: _reference, ...sections } of suite.tasks) {
        const config = tasks.find(({ name }) => name === task)?.config;
        assert.ok(config, `${task} is a task`);
        const own = sections as { model?: object };
        config.parse({ ...own, task, model: { model_id: 'one/of-many', ...suite.model, ...own.model } });
      }
    } else if ('distributions' in file.data) {
      for (const { task, ...sections } of parseConfig(file, variantsSchema).tasks)
        tasks
          .find(({ name }) => name === task)!
          .config.parse({ ...sections, task, model: { model_id: 'one/of-many' } });
    } else if ('runs' in file.data) {
      parseConfig(file, rescoreSchema);
    } else if ('folders' in file.data) {
      parseConfig(file, viewSchema);
    } else if ('baseline' in file.data) {
      parseConfig(file, compareSchema);
    } else {
      const config = tasks.find(({ name }) => name === file.data.task)?.config;
      assert.ok(config, `${file.data.task} is a task`);
      parseConfig(file, config);
      assert.ok(path.startsWith(`configs/${file.data.task}_`));
    }
    const text = read(path);
    assert.ok(validate(parse(text)), JSON.stringify(validate.errors, null, 1));
    assert.ok(text.trimEnd().split('\n').length <= 25, 'more than 25 lines');
    const schemaPath = path.startsWith('configs/') ? './nanoeval.schema.json' : '../configs/nanoeval.schema.json';
    assert.equal(text.split('\n')[0], `# yaml-language-server: $schema=${schemaPath}`);
    assert.ok(text.includes(`=${path} npx tsx nanoeval/`) || text.includes('# npm run smoke'), 'says how to run it');
  });
}

const model = { model_id: 'a/b' };
const FITS: [what: string, config: unknown][] = [
  ['the shortest task', { task: 'mmlu', model }],
  ['every section', { task: 'hellaswag', model, engine: {}, dataset: {}, scoring: {}, run: {}, report: {} }],
  ['a number', { task: 'mmlu', model, dataset: { subset_size: 4, subjects: ['stem'] } }],
  ['the shortest suite', { model, tasks: [{ task: 'mmlu' }] }],
  [
    'a suite of several checkpoints',
    { model: { dtype: 'q4' }, models: [model, { model_id: 'c/d' }], tasks: [{ task: 'mmlu' }] },
  ],
  [
    'variants',
    { models: [model, { ...model, dtype: 'q4' }], tasks: [{ task: 'mmlu' }], distributions: { path: 'a.jsonl' } },
  ],
  ['what is scored again', { runs: 'artifacts/*', scoring: { recipe: 'lm_eval' } }],
  [
    'a suite with overrides',
    { model, tasks: [{ task: 'mmlu', model: { dtype: 'q4' }, scoring: { recipe: 'cloze' } }] },
  ],
];
const DOES_NOT_FIT: [what: string, config: unknown][] = [
  ['no model', { task: 'mmlu' }],
  ['no task', { model }],
  ['an unknown task', { task: 'mmul', model }],
  ['a misspelt section', { task: 'mmlu', model, scorring: {} }],
  ['a misspelt key of the model', { task: 'mmlu', model: { ...model, dtpye: 'q4' } }],
  ['a misspelt key of scoring', { task: 'mmlu', model, scoring: { stratgy: 'rank_ll' } }],
  ['a misspelt key of report', { task: 'hellaswag', model, report: { outputdir: 'x' } }],
  ['a misspelt word', { task: 'mmlu', model: { ...model, dtype: 'q5' } }],
  ["another task's recipe", { task: 'hellaswag', model, scoring: { recipe: 'hendrycks' } }],
  ["another task's key", { task: 'hellaswag', model, dataset: { subjects: ['stem'] } }],
  ['a number in quotes', { task: 'mmlu', model, dataset: { subset_size: '4' } }],
  ['a number too small', { task: 'mmlu', model, dataset: { subset_size: 0 } }],
  ['a share above 1', { task: 'mmlu', model, run: { max_failed: 2 } }],
  ['no checkpoint of several', { models: [], tasks: [{ task: 'mmlu' }] }],
  ['a misspelt key of one of several', { models: [{ ...model, dtpye: 'q4' }], tasks: [{ task: 'mmlu' }] }],
  ['variants of which there is one', { models: [model], tasks: [{ task: 'mmlu' }], distributions: { path: 'a' } }],
  [
    'a misspelt key of distributions',
    { models: [model, model], tasks: [{ task: 'mmlu' }], distributions: { path: 'a', colum: 'b' } },
  ],
  ['nothing to score again', { runs: [] }],
  ['a misspelt key of scoring again', { runs: 'a', scorring: {} }],
  ['a suite without tasks', { model, tasks: [] }],
  ['a misspelt key of a suite', { model, suit: {}, tasks: [{ task: 'mmlu' }] }],
  ['a misspelt key of the model of a suite', { model: { ...model, dtpye: 'q4' }, tasks: [{ task: 'mmlu' }] }],
];

test('the JSON Schema accepts and refuses as the programs do', () => {
  for (const [what, config] of FITS) assert.ok(validate(config), `${what}: ${JSON.stringify(validate.errors)}`);
  for (const [what, config] of DOES_NOT_FIT) assert.equal(validate(config), false, what);
  for (const [what, config] of [...FITS, ...DOES_NOT_FIT]) {
    const accepts = [
      suiteSchema,
      manyModelsSchema,
      variantsSchema,
      rescoreSchema,
      ...tasks.map((task) => task.config),
    ].some((one) => one.safeParse(config).success);
    assert.equal(accepts, validate(config), what);
  }
});
