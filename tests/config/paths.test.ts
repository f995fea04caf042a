import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { parseConfig } from '../../nanoeval/config/check.ts';
import { type ConfigFile, readConfigFile } from '../../nanoeval/config/file.ts';
import { rescoreSchema, taskSchema } from '../../nanoeval/config/keys.ts';
import { expandHome } from '../../nanoeval/config/paths.ts';
import { manyModelsSchema, suiteSchema } from '../../nanoeval/config/suite.ts';
import { UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('home');
after(folder.remove);
const home = process.env.HOME;
beforeEach(() => {
  process.env.HOME = folder.path;
});
afterEach(() => {
  if (home === undefined) delete process.env.HOME;
  else process.env.HOME = home;
});
const at = (...parts: string[]) => join(folder.path, ...parts);

test('`~` and `~/x` are the home folder, and no other tilde is', () => {
  assert.equal(expandHome('~'), folder.path);
  assert.equal(expandHome('~/runs/a'), at('runs/a'));
  for (const path of ['runs', '/a/~', './~/a', '~ada/runs', 'a~', 'org/model']) assert.equal(expandHome(path), path);
});

const task = taskSchema(
  't',
  { dataset_id: 'a/b', subset_name: 'c', split: 'd' },
  { r: { strategies: { rank_ll: {} } } },
);
const fileOf = (yaml: string, name = 'c.yaml'): ConfigFile => {
  writeFileSync(at(name), yaml);
  return readConfigFile('NANOEVAL_CONFIG', `~/${name}`, 'configs/x.yaml');
};

test('every path key of a file takes it', () => {
  const run = parseConfig(
    fileOf('task: t\nmodel: { model_id: ~/m }\ndataset: { path: ~/rows.jsonl }\nreport: { output_dir: ~/runs }\n'),
    task,
  );
  assert.deepEqual(
    [run.model.model_id, run.dataset.path, run.report.output_dir],
    [at('m'), at('rows.jsonl'), at('runs')],
  );
  const suite = 'suite: { output_root: ~/s }\nmodel: { model_id: ~/m }\ntasks: [{ task: t }]\n';
  const one = parseConfig(fileOf(suite), suiteSchema);
  assert.deepEqual([one.suite.output_root, one.model.model_id], [at('s'), at('m')]);
  const many = parseConfig(fileOf(`${suite}models: [{ model_id: ~/n }]\n`), manyModelsSchema);
  assert.equal(many.models[0]?.model_id, at('n'));
  const again = parseConfig(fileOf('runs: [~/a, ~/b/*]\nreport: { output_dir: ~/r }\n'), rescoreSchema);
  assert.deepEqual([again.runs, again.report.output_dir], [[at('a'), at('b/*')], at('r')]);
  assert.equal(parseConfig(fileOf('runs: ~/a\n'), rescoreSchema).runs, at('a'));
});

test("another user's home is refused with its place, and so is one in the environment", () => {
  const file = fileOf('task: t\nmodel: { model_id: a/b }\nreport: { output_dir: ~ada/runs }\n');
  const right = 'a path in full: "~" and "~/..." are your home folder, another user\'s is not looked up.';
  assert.throws(
    () => parseConfig(file, task),
    new UserError(`${at('c.yaml')}:3:23: report.output_dir: "~ada/runs" does not fit. It has to be ${right}`),
  );
  assert.throws(
    () => readConfigFile('NANOEVAL_SUITE', '~ada/s.yaml', 'suites/x.yaml'),
    new UserError(`NANOEVAL_SUITE: "~ada/s.yaml" does not fit. It has to be ${right}`),
  );
});

test('a file that is not there is named as it was looked for', () => {
  mkdirSync(at('configs'));
  writeFileSync(at('configs/mmlu.yaml'), '');
  assert.throws(
    () => readConfigFile('NANOEVAL_CONFIG', '~/configs/mmlo.yaml', 'x'),
    new UserError(
      `NANOEVAL_CONFIG: there is no file ${at('configs/mmlo.yaml')}. Did you mean ${at('configs/mmlu.yaml')}?`,
    ),
  );
});
