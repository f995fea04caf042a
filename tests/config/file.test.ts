/** A file that is no config, and where keys stand in one that is. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkFormat, readConfigFile } from '../../nanoeval/config/file.ts';
import { FORMAT, UserError } from '../../nanoeval/types.ts';
import { ROOT, start } from '../spawn.ts';
import { head, openFaults } from './faults.ts';

const { mmlu, byPath, checkAll, folder, run } = openFaults();
const suites = readdirSync(join(ROOT, 'suites')).sort().join(', ');

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

checkAll('a file that is no config: one line that says where and what, and exit code 2');

test('the variable is not set', async () => {
  const stderr =
    'NANOEVAL_CONFIG is not set. Set it to the path of a YAML file, for example NANOEVAL_CONFIG=configs/hellaswag_smollm2_135m.yaml.\n';
  assert.deepEqual(await start('run_hellaswag', {}).finished, { code: 2, stdout: '', stderr });
});

test('a file that may not be read', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may read every file');
  const file = join(folder, 'secret.yaml');
  writeFileSync(file, head);
  chmodSync(file, 0);
  const stderr = `NANOEVAL_CONFIG: ${file} cannot be read: EACCES: permission denied, open '${file}'.\n`;
  assert.deepEqual(await run('run_mmlu', file), { code: 2, stdout: '', stderr });
});

// ---------------------------------------------------------------- read in this process

const path = join(folder, 'a.yaml');

function read(text: string) {
  writeFileSync(path, text);
  return readConfigFile('NANOEVAL_CONFIG', path, 'configs/example.yaml');
}

/** The message of the refusal, the file's path as FILE; the whole of it. */
function refusal(text: string): string {
  try {
    read(text);
  } catch (error) {
    assert.ok(error instanceof UserError, `not a UserError: ${error}`);
    assert.ok(!error.message.includes('\n'), 'more than one line');
    return error.message.replaceAll(path, 'FILE');
  }
  return 'accepted';
}

const model = (value: string) => `task: mmlu\nmodel:\n  model_id: ${value}\n`;
const dataset = (line: string) => `${head}dataset:\n  ${line}\n`;
const EMPTY = 'FILE:1:1: the file is empty. configs/example.yaml shows what it holds.';

const REFUSED: [yaml: string, message: string][] = [
  ['\n  \n\n', EMPTY],
  ['# one\n# two\n', EMPTY],
  ['---\n', EMPTY],
  ['~\n', EMPTY],
  ['mmlu\n', 'FILE:1:1: "mmlu" is not a config. It has to be sections of `key: value` lines.'],
  ['\n\n42\n', 'FILE:3:1: 42 is not a config. It has to be sections of `key: value` lines.'],
  ['task:mmlu\nmodel:\n', 'FILE:1:1: this line is not `key: value`. A key needs a colon and a blank behind it.'],
  [
    'task: mmlu\nmodel\n  model_id: a/b\n',
    'FILE:2:1: this line is not `key: value`. A key needs a colon and a blank behind it.',
  ],
  [
    model('a: b'),
    'FILE:3:13: a second colon or a deeper line follows this value. Put it in quotes, or mend the indentation.',
  ],
  [
    `${model('a/b')}    dtype: q4\n`,
    'FILE:3:13: a second colon or a deeper line follows this value. Put it in quotes, or mend the indentation.',
  ],
  [model('@x'), 'FILE:3:13: not YAML: Plain value cannot start with reserved character @.'],
  [
    `${model("'a/b")}run:\n  overwrite: true\n`,
    "FILE:3:13: the quote that opens here is never closed. It needs a ' at its end.",
  ],
  [
    'task: mmlu\nmodel: { model_id: a/b\nrun:\n  overwrite: true\n',
    'FILE:2:8: the bracket that opens here is never closed. It needs a } at its end.',
  ],
  [
    dataset('subjects: [stem, other'),
    'FILE:5:13: the bracket that opens here is never closed. It needs a ] at its end.',
  ],
  [`${head}task: mmlu\n`, 'FILE:4:1: this key stands twice in its section. Keep one of them.'],
];

test(`${REFUSED.length} files are refused in one line that says where and what`, () => {
  for (const [yaml, message] of REFUSED) assert.equal(refusal(yaml), message, yaml);
});

test('Windows line ends and a BOM change nothing, no place either', () => {
  const plain = read(head);
  const { data } = plain;
  const other = read(`\ufeff${head.replaceAll('\n', '\r\n')}`);
  assert.deepEqual(other.data, data);
  assert.equal(other.locate([['model', 'model_id']]), `${path}:3:13`);
});

test('where a key stands: its value, else the nearest section that is there', () => {
  const file = read(`${head}scoring: { recipe: cloze }\n`);
  assert.equal(file.locate([['model', 'model_id']]), `${path}:3:13`);
  assert.equal(file.locate([['model', 'model_id']], 'key'), `${path}:3:3`);
  assert.equal(file.locate([['scoring', 'seed'], ['scoring']]), `${path}:4:1`);
  assert.equal(file.locate([['dataset']]), `${path}:1:1`);
  assert.equal(file.error(['scoring', 'seed'], 'no. Another.').message, `${path}:4:1: scoring.seed: no. Another.`);
});

test('an offset is where the place is, in characters from the start', () => {
  const text = `# ü and 😀\n${head}`;
  const file = read(text);
  assert.equal(file.offset([['model', 'model_id']]), text.indexOf('nanoeval/demo'));
  assert.equal(file.offset([['model', 'model_id']], 'key'), text.indexOf('model_id'));
  assert.ok(file.offset([['task']]) < file.offset([['model']]));
});

// ---------------------------------------------------------------- a run's record as a config

const record = (more: object = {}) =>
  JSON.stringify(
    {
      format: FORMAT,
      fingerprint: 'f'.repeat(64),
      task: 'mmlu',
      model: { label: 'a/b', source: { revision: 'main', commit: 'c'.repeat(40) } },
      dataset: { revision: 'main', commit: 'd'.repeat(40) },
      config: {
        task: 'mmlu',
        model: { model_id: 'a/b', revision: 'main' },
        dataset: { dataset_id: 'x/y', revision: 'v2' },
        run: { shard: '1/2' },
      },
      ...more,
    },
    null,
    2,
  );

test("a run's record is its config, with the commits of that day in place of the branches", () => {
  const file = read(record());
  assert.deepEqual(file.data, {
    task: 'mmlu',
    model: { model_id: 'a/b', revision: 'c'.repeat(40) },
    dataset: { dataset_id: 'x/y', revision: 'd'.repeat(40) },
    run: { shard: '1/2' },
  });
  // Keys stand where the config has them, not where the record has others of that name.
  const line =
    record()
      .split('\n')
      .findIndex((one) => one.includes('"dataset_id"')) + 1;
  assert.equal(file.locate([['dataset', 'dataset_id']], 'key'), `${path}:${line}:7`);
});

test("a run's record is a config with the date that its chat template was given", () => {
  const { model } = read(record({ template_date: '2026-03-05' })).data as Record<string, object>;
  assert.deepEqual(model, { model_id: 'a/b', revision: 'c'.repeat(40), template_date: '2026-03-05' });
});

test('a local folder has no commit: its record names what the config names', () => {
  const local = { model: { source: { commit: null } }, dataset: { commit: null } };
  const { model: own, dataset: rows } = read(record(local)).data as Record<string, { revision?: string }>;
  assert.deepEqual([own?.revision, rows?.revision], ['main', 'v2']);
});

test('a record of another format, or of none, is no config of today', () => {
  const remedy = 'Use the version of NanoEval that wrote it, or make the run anew.';
  for (const [format, found] of [
    [FORMAT - 1, `format ${FORMAT - 1}`],
    [FORMAT + 1, `format ${FORMAT + 1}`],
    [String(FORMAT), `format "${FORMAT}"`],
    [undefined, 'no format number'],
    [null, 'format null'],
  ] as const)
    assert.equal(
      refusal(record({ format })),
      `FILE has ${found}, and this version of NanoEval reads format ${FORMAT}. ${remedy}`,
    );
});

test("checkFormat: today's format passes, others say what to do", () => {
  assert.doesNotThrow(() => checkFormat('run.json', FORMAT));
  assert.throws(
    () => checkFormat('a/run.json', 1, { remedy: 'Do this.' }),
    new UserError(`a/run.json has format 1, and this version of NanoEval reads format ${FORMAT}. Do this.`),
  );
});

test('a folder without a YAML file', () => {
  mkdirSync(join(folder, 'bare'));
  assert.throws(
    () => readConfigFile('NANOEVAL_CONFIG', join(folder, 'bare'), ''),
    new UserError(`NANOEVAL_CONFIG: ${folder}/bare is a folder, not a file. It has no YAML file.`),
  );
  assert.throws(
    () => readConfigFile('NANOEVAL_CONFIG', join(folder, 'bare/a.yaml'), ''),
    new UserError(`NANOEVAL_CONFIG: there is no file ${folder}/bare/a.yaml. ${folder}/bare has no YAML file.`),
  );
});

test('YAML that is no plain data is refused with its place, and without a warning of the parser', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  const key = 'a section or a list stands where a key should. A key is a text.';
  const cases = [
    ['? { a: 1 }\n: 2\n', `4:3: ${key}`],
    ['dataset: { [a]: 1 }\n', `4:12: ${key}`],
    ['dataset: { path: &p [a], *p : 1 }\n', `4:26: ${key}`],
    ['dataset: !rows { path: a }\n', '4:10: not YAML that is read here: Unresolved tag: !rows.'],
    ['dataset: &a { rows: [*a] }\n', '4:22: "*a" stands inside what it stands for. It has no end.'],
  ] as const;
  const path = join(folder, 'plain.yaml');
  for (const [yaml, line] of cases) {
    writeFileSync(path, head + yaml);
    assert.throws(() => readConfigFile('NANOEVAL_CONFIG', path, ''), new UserError(`${path}:${line}`));
  }
  await new Promise(setImmediate);
  process.off('warning', onWarning);
  assert.deepEqual(warnings, []);
});
