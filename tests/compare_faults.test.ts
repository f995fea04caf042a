/**
 * Faults of a comparison, each started as a user would: malformed configs, damaged runs, suites and baselines. Each is one line
 * that says where and what, with its exit code, and no file is another one afterwards.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { saveBaseline } from '../nanoeval/compare/baseline.ts';
import { openSet } from '../nanoeval/compare/sources.ts';
import { runHere, runHereWith } from './in_process.ts';
import { plantRun, plantSuite, rankedRow } from './planted_run.ts';
import { temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('compare-faults');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const N = 12;

before(async () => {
  const rows = Array.from({ length: N }, (_, i) => rankedRow(i, 1, i % 3));
  await plantRun(at('run'), { rows });
  await plantRun(at('suite/hellaswag'), { rows });
  plantSuite(at('suite'), 'made', [{ name: 'hellaswag', task: 'hellaswag', status: 'complete', error: null }]);
  await saveBaseline(await openSet(at('run'), 'current'), at('saved'), false, { info() {}, progress() {} });
  // An earlier comparison, which no fault may touch.
  mkdirSync(at('out'));
  writeFileSync(at('out/compare.json'), '{"earlier": true}\n');
  writeFileSync(at('file'), 'no folder\n');
  mkdirSync(at('empty'));
});

/** Everything below a folder: names, kinds and contents. */
function fingerprint(path: string): string {
  const hash = createHash('sha256');
  const visit = (one: string): void => {
    const kind = lstatSync(one);
    hash.update(`${one} ${kind.mode} ${kind.mtimeMs}\n`);
    if (kind.isDirectory()) for (const name of readdirSync(one).sort()) visit(join(one, name));
    else if (kind.isFile()) hash.update(readFileSync(one));
  };
  visit(path);
  return hash.digest('hex');
}

/** Runs the comparison, and holds what it says against what it should. The config lies outside of what may not change. */
async function refused(yaml: string, code: number, message: RegExp): Promise<void> {
  const work = temporaryFolder('compare-fault');
  try {
    const was = fingerprint(folder.path);
    const done = await runHereWith('compare', work.path, yaml);
    assert.equal(done.code, code, done.stderr);
    assert.match(done.stderr, message);
    // How far it came may stand before the line.
    const said = done.stderr
      .trimEnd()
      .split('\n')
      .filter((one) => !/^hellaswag: \d+ rows paired$/.test(one));
    assert.equal(said.length, 1, done.stderr);
    assert.equal(done.stdout, '');
    assert.equal(fingerprint(folder.path), was, 'something was written');
    assert.deepEqual(readdirSync(work.path), ['compare.yaml']);
  } finally {
    work.remove();
  }
}

const report = () => `report: { output_dir: ${at('out')}, save_plot: false }\n`;
const sides = (baseline: string, current: string) => `baseline: ${baseline}\ncurrent: ${current}\n${report()}`;

/** What stands before and behind a key that is at fault, in a config that is whole without it. */
const whole = (more: string) => `${more}\n${sides(at('run'), at('run'))}`;

/** A config whose first line is at fault. */
const FIRST_LINES: [yaml: string, message: RegExp][] = [
  ['baselin: a', /:1:1: baselin: unknown key\. Did you mean "baseline"\?/],
  ['task: hellaswag', /:1:1: task: unknown key\. /],
  ['rows: some', /:1:7: rows: "some" is not one of: all, common/],
  ['rows: true', /:1:7: rows: true is not one of: all, common/],
  ['rows: [all]', /:1:\d+: rows: \["all"\] is not/],
  ['branch: 3', /:1:9: branch: 3 is not a text/],
  ['branch: ""', /:1:9: branch: the text is empty/],
  ['baselines_dir: 3', /:1:16: baselines_dir: 3 is not a text/],
  ['baselines_dir: ~ada/kept', /:1:16: baselines_dir: /],
  ['gate: 0.01', /:1:7: gate: 0\.01 is not a section/],
  ['gate: [acc]', /:1:\d+: gate: \["acc"\] is not a section/],
  ['gate: { max_drp: 1 }', /:1:9: gate\.max_drp: unknown key\. Did you mean "max_drop"\?/],
  ['gate: { max_drop: -0.1 }', /:1:19: gate\.max_drop: /],
  ['gate: { max_drop: 1 percent }', /:1:19: gate\.max_drop: "1 percent" does not fit.*\(0\.01\).*\(1%\)/],
  ['gate: { max_drop: .nan }', /:1:19: gate\.max_drop: /],
  ['gate: { max_drop: .inf }', /:1:19: gate\.max_drop: /],
  ['gate: { max_drop: [0.1] }', /:1:\d+: gate\.max_drop/],
  ['gate: { max_drop: { acc: -1 } }', /:1:\d+: gate\.max_drop/],
  [
    'gate: { max_drop: { bleu: 0.1 } }',
    /:1:27: gate\.max_drop\.bleu: "bleu" is not a metric of both runs\. There are: /,
  ],
  ['gate: { max_drop: { acc_nrm: 0.1 } }', /gate\.max_drop\.acc_nrm: .*Did you mean "acc_norm"\?/],
  ['gate: { metrics: [] }', /:1:\d+: gate\.metrics: the list is empty/],
  ['gate: { metrics: acc }', /:1:18: gate\.metrics: "acc" is not a list/],
  ['gate: { metrics: [""] }', /:1:19: gate\.metrics\[0\]: the text is empty/],
  ['gate: { metrics: [3] }', /:1:19: gate\.metrics\[0\]: 3 is not a text/],
  ['gate: { metrics: [acc, mmlu.acc] }', /gate\.metrics\S* "mmlu\.acc" is not a metric of both runs/],
  ['gate: { rule: both }', /:1:15: gate\.rule: "both" is not one of: interval, point/],
  ['gate: { strict: maybe }', /:1:17: gate\.strict: "maybe" is not true or false/],
  ['bootstrap: 1000', /:1:12: bootstrap: 1000 is not a section/],
  ['bootstrap: { draws: 10 }', /:1:21: bootstrap\.draws: 10 is too small/],
  ['bootstrap: { draws: 1e9 }', /:1:21: bootstrap\.draws: 1000000000 is too large/],
  ['bootstrap: { draws: 1500.5 }', /:1:21: bootstrap\.draws: 1500\.5 is not a whole number/],
  ['bootstrap: { seed: -1 }', /:1:20: bootstrap\.seed: -1 is too small/],
  ['bootstrap: { seed: one }', /:1:20: bootstrap\.seed: "one" is not a number/],
  ['bootstrap: { draw: 2000 }', /:1:14: bootstrap\.draw: unknown key\. Did you mean "draws"\?/],
  ['power: true', /:1:8: power: true is not a section/],
  ['power: { n: 1 }', /:1:13: power\.n: 1 is too small/],
  ['power: { n: [] }', /:1:\d+: power\.n: /],
  ['power: { n: [200, x] }', /:1:\d+: power\.n/],
  ['power: { accuracy: 40 }', /:1:20: power\.accuracy: 40 is too large/],
  ['power: { discordance: 0 }', /:1:23: power\.discordance: 0 is too small. It has to be above 0/],
  ['power: { discordance: 1 }', /:1:23: power\.discordance: 1 /],
  ['power: { max_drop: -1 }', /:1:20: power\.max_drop: -1 is too small/],
  ['"tab\tkey": 1', /:1:1: /],
];

describe('keys of the config', () => {
  for (const [yaml, message] of FIRST_LINES) test(yaml, () => refused(whole(yaml), 2, message));
});

/** Whole configs. */
const CONFIGS: [what: string, yaml: () => string, code: number, message: RegExp][] = [
  ['an empty file', () => '', 2, /compare\.yaml:1:1: the file is empty\. configs\/compare\.yaml shows what it holds/],
  ['a list', () => '- baseline: a\n', 2, /:1:1: .* is not a config/],
  ['an open bracket', () => 'gate: { rule: point\n', 2, /:1:7: the bracket that opens here is never closed/],
  ['a tab before a key', () => 'gate:\n\trule: point\n', 2, /:2:1: a tab indents this line/],
  ['a key twice', () => `baseline: a\n${sides(at('run'), at('run'))}`, 2, /:2:1: this key stands twice/],
  ['two documents', () => `${sides('a', 'b')}---\nrows: all\n`, 2, /:4:1: a second YAML document/],
  ['no current', () => `baseline: ${at('run')}\n${report()}`, 2, /: current: missing\. Name the folder/],
  ['no baseline', () => `current: ${at('run')}\n${report()}`, 2, /: baseline: missing\. Name the folder/],
  ['baseline: a number', () => sides('3', at('run')), 2, /:1:11: baseline: 3 is not a text/],
  ['baseline: a list', () => sides('[a, b]', at('run')), 2, /:1:\d+: baseline: \["a","b"\] is not a text/],
  ['baseline: nothing', () => sides('""', at('run')), 2, /:1:11: baseline: the text is empty/],
  [
    'baseline: no such folder',
    () => sides(at('gone'), at('run')),
    2,
    /:1:11: baseline: \S+gone: there is no such folder/,
  ],
  [
    'current: no such folder',
    () => sides(at('run'), at('gone')),
    2,
    /:2:10: current: \S+gone: there is no such folder/,
  ],
  ['current: a file', () => sides(at('run'), at('file')), 2, /:2:10: current: \S+file: a file\. Name a run's folder/],
  ['current: an empty folder', () => sides(at('run'), at('empty')), 2, /:2:10: current: \S+empty: neither a run/],
  ['current: another home', () => sides(at('run'), '~ada/run'), 2, /:2:10: current: /],
  [
    'a branch that leads elsewhere',
    () => `branch: ../up\n${sides('branch', at('run'))}`,
    2,
    /:1:9: branch: "\.\.\/up" is not the name of a branch/,
  ],
  [
    'a branch without a baseline',
    () => `branch: gone\nbaselines_dir: ${at('none')}\n${sides('branch', at('run'))}`,
    2,
    /:3:11: baseline: no baseline of "hellaswag": neither is in \S+gone\/hellaswag\. Save one/,
  ],
  [
    'the comparison in a folder that is read',
    () => sides(at('run'), at('run')).replace(at('out'), at('run/inside')),
    2,
    /:3:\d+: report\.output_dir: \S+inside is where the comparison goes/,
  ],
  [
    'the comparison in a file',
    () => sides(at('run'), at('run')).replace(at('out'), at('file')),
    2,
    /:3:\d+: report\.output_dir: \S+ cannot be written: \S+file is a file/,
  ],
  ['no output folder', () => sides('a', 'b').replace(at('out'), '""'), 2, /:3:\d+: report\.output_dir: /],
  [
    'save_plot: a text',
    () => sides('a', 'b').replace('false', 'never'),
    2,
    /:3:\d+: report\.save_plot: "never" is not/,
  ],
  [
    'a misspelt key of the report',
    () => sides('a', 'b').replace('output_dir', 'ouput_dir'),
    2,
    /:3:\d+: report\.ouput_dir: unknown key\. Did you mean "output_dir"\?/,
  ],
];

describe('configs', () => {
  for (const [what, yaml, code, message] of CONFIGS) test(what, () => refused(yaml(), code, message));

  test('no config, a folder, and a file that is no text', async () => {
    const none = await runHere('compare', {});
    assert.deepEqual([none.code, none.stdout], [2, '']);
    assert.match(none.stderr, /^NANOEVAL_CONFIG is not set\. Set it to the path of a YAML file/);
    const missing = await runHere('compare', { NANOEVAL_CONFIG: at('gone.yaml') });
    assert.match(missing.stderr, /^NANOEVAL_CONFIG: there is no file \S+gone\.yaml\./);
    const inside = await runHere('compare', { NANOEVAL_CONFIG: at('empty') });
    assert.match(inside.stderr, /^NANOEVAL_CONFIG: \S+empty is a folder, not a file/);
    const work = temporaryFolder('compare-bytes');
    writeFileSync(join(work.path, 'compare.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
    const bytes = await runHere('compare', { NANOEVAL_CONFIG: join(work.path, 'compare.yaml') });
    work.remove();
    assert.match(bytes.stderr, /the file is not text in UTF-8/);
    assert.deepEqual([missing.code, inside.code, bytes.code], [2, 2, 2]);
  });
});

type Json = Record<string, unknown>;
/** Ways to damage the file of a run. */
const text = (content: string) => (path: string) => writeFileSync(path, content);
const cut = (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -40));
const gone = (path: string) => rmSync(path);
const asFolder = (path: string) => {
  rmSync(path);
  mkdirSync(path);
};
const loop = (path: string) => {
  rmSync(path);
  symlinkSync(path, path);
};
const json = (edit: (content: Json) => unknown) => (path: string) => {
  const content = JSON.parse(readFileSync(path, 'utf8')) as Json;
  writeFileSync(path, JSON.stringify(edit(content) ?? content));
};
const set = (section: string, values: Json) =>
  json((content) => void Object.assign(content, { [section]: { ...(content[section] as Json), ...values } }));
const put = (values: Json) => json((content) => void Object.assign(content, values));
/** The line of a row, counted from 0, as another text or with other fields. */
const line = (number: number, content: string) => (path: string) => {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  lines[number] = content;
  writeFileSync(path, `${lines.join('\n')}\n`);
};
const row = (number: number, values: Json | ((row: Json) => Json)) => (path: string) => {
  const old = JSON.parse(readFileSync(path, 'utf8').split('\n')[number]!) as Json;
  line(number, JSON.stringify({ ...old, ...(typeof values === 'function' ? values(old) : values) }))(path);
};
const shorter = (path: string) => {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  writeFileSync(path, `${lines.slice(0, -1).join('\n')}\n`);
};
const repeated = (path: string) => {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  writeFileSync(path, `${[...lines, lines[3]].join('\n')}\n`);
};

type Damage = [what: string, damage: (path: string) => void, code: number, message: RegExp];
const RUN: Record<string, Damage[]> = {
  'run.json': [
    ['empty', text(''), 2, /run\.json: not JSON: /],
    ['cut', cut, 2, /run\.json: not JSON: /],
    ['a list', text('[]'), 2, /run\.json: not the record of a run: it has no "recipe"/],
    ['null', text('null'), 2, /run\.json: not the record of a run/],
    ['not text', text('\u0000\u0001'), 2, /run\.json: not JSON: /],
    ['without a section', json(({ model: _model, ...rest }) => rest), 2, /not the record of a run: it has no "model"/],
    ['of another format', put({ format: 1 }), 2, /run\.json has format 1, and this version of NanoEval reads format 2/],
    ['without a format', put({ format: undefined }), 2, /run\.json has no format number/],
    ['of another task', put({ task: 'helaswag' }), 2, /task "helaswag" is not known here\. Did you mean "hellaswag"\?/],
    ['with a task that is no text', put({ task: 3 }), 2, /run\.json: task 3 is not known here/],
    ['with a config that is none', put({ config: { task: 'hellaswag' } }), 2, /run\.json: config\.model: /],
    ['a folder', asFolder, 2, /run\.json: cannot be read: EISDIR/],
    ['a link to itself', loop, 2, /neither a run \(run\.json\), nor a suite/],
    ['missing', gone, 2, /neither a run \(run\.json\), nor a suite/],
    ['half of a run', set('selection', { shard: '1/2' }), 2, /shards of 2 .*number 2 is missing/],
  ],
  'summary.json': [
    ['empty', text(''), 2, /summary\.json: not JSON: /],
    ['cut', cut, 2, /summary\.json: not JSON: /],
    ['null', text('null'), 2, /summary\.json: not a JSON object\./],
    ['a list', text('[1]'), 2, /summary\.json: not a JSON object\./],
    ['of another format', put({ format: '2' }), 2, /summary\.json has format "2"/],
    [
      'without a section',
      json(({ recipe: _recipe, ...rest }) => rest),
      2,
      /it has no "recipe"\. Run its config again\./,
    ],
    ['without a task', put({ task: null }), 2, /not the summary of a run: it has no "task"/],
    ['with a status of its own', put({ status: 'fine' }), 2, /"status" is "fine"/],
    ['with faults that are no list', put({ faults: {} }), 2, /"faults" is \{\}/],
    ['with failed rows as a text', set('health', { failed: 'none' }), 2, /"health\.failed" is "none"/],
    ['with a primary metric without a name', set('primary', { name: 3 }), 2, /"primary\.name" is 3/],
    ['with another unit', set('primary', { unit: 'percent' }), 2, /"primary\.unit" is "percent"/],
    ['with a score that is a text', put({ metrics: { acc: { value: 'high' } } }), 2, /"metrics\.acc\.value" is "high"/],
    ['with files that are no list', set('dataset', { files: 'all' }), 2, /"dataset\.files" is "all"/],
    ['a folder', asFolder, 2, /summary\.json: cannot be read: EISDIR/],
    ['missing', gone, 5, /the run is not finished \(no summary\.json\)\. Run its config again\./],
    ['of an invalid run', put({ status: 'invalid', faults: ['9 of 12 rows failed'] }), 5, /is invalid: 9 of 12 rows/],
    ['of a run without scores', put({ status: 'unscored' }), 5, /has no scores\. Give them by rescore\.ts first/],
    ['of failed rows', set('health', { failed: 2 }), 5, /2 rows failed and have no verdict/],
    ['of another recipe', set('recipe', { name: 'cloze' }), 5, /recipe\.name is "\w+" there and "\w+" now/],
  ],
  'predictions.jsonl': [
    ['empty', text(''), 5, /is not in the current run|are not in the baseline/],
    ['cut', cut, 2, /predictions\.jsonl:12: not a JSON line: /],
    ['a line that is no JSON', line(4, '{"id":"4","index":4'), 2, /predictions\.jsonl:5: not a JSON line: /],
    ['a number that is none', line(0, '{"id":"0","index":0,"metrics":{"acc":NaN}}'), 2, /:1: not a JSON line: /],
    ['null', line(2, 'null'), 2, /predictions\.jsonl:3: not a row: it has no id or no index/],
    ['a list', line(2, '[1,2]'), 2, /predictions\.jsonl:3: not a row: /],
    ['an empty line', line(2, ''), 2, /predictions\.jsonl:3: not a JSON line: /],
    ['not UTF-8', (path) => writeFileSync(path, Buffer.from([0x7b, 0xff, 0x7d, 0x0a])), 2, /:1: not UTF-8/],
    ['a folder', asFolder, 2, /predictions\.jsonl: cannot be read: EISDIR/],
    ['a link to itself', loop, 2, /there is no predictions\.jsonl/],
    ['missing', gone, 2, /there is no predictions\.jsonl/],
    ['a row twice', repeated, 2, /row 3 \(id 3\) stands there twice\. Run its config again\./],
    [
      'a row without an index',
      row(1, { index: null }),
      2,
      /row null \(id "1"\) has no index that is a whole number from 0/,
    ],
    ['an index below 0', row(1, { index: -1 }), 2, /row -1 \(id "1"\) has no index that is a whole number from 0/],
    ['an id that is a number', row(1, { id: 1 }), 2, /row 1 \(id 1\) has no id that is a text/],
    [
      'a row without its prompt',
      row(1, { prompt_sha256: undefined }),
      2,
      /row 1 \(id "1"\) has no prompt_sha256: it is not/,
    ],
    ['metrics that are none', row(1, { metrics: null }), 2, /row 1 \(id "1"\) has no metrics that are numbers/],
    [
      'a metric that is a text',
      row(1, { metrics: { acc: '1' } }),
      2,
      /row 1 \(id "1"\) has no metrics that are numbers/,
    ],
    ['an infinite metric', line(2, readRow(2).replace('"acc":0', '"acc":1e999')), 2, /has no metrics that are numbers/],
    ['choices that are no list', row(1, { choices: 'abcd' }), 2, /has no log-likelihoods of its choices/],
    ['a choice without a log-likelihood', row(1, { choices: [{}, {}] }), 2, /has no log-likelihoods of its choices/],
    ['a choice that is null', row(1, { choices: [null] }), 2, /has no log-likelihoods of its choices/],
    ['a seed that is a text', row(1, { seed: 'x' }), 2, /has no seed that is a whole number/],
    ['a sample that is no whole number', row(1, { sample: 0.5 }), 2, /has no sample that is a whole number from 0/],
    ['a subject that is a list', row(1, { subject: ['law'] }), 2, /has no subject that is a text/],
    ['a prediction that is a list', row(1, { prediction: [1] }), 2, /has no prediction that is a text or a number/],
    ['parts that are none', row(1, { parts: 'all' }), 2, /has no metrics of its parts that are numbers/],
    ['a part without metrics', row(1, { parts: [{ name: 'a' }] }), 2, /has no metrics of its parts that are numbers/],
    ['tokens that are a text', row(1, { num_tokens: '5' }), 2, /has no num_tokens that is a whole number from 0/],
    ['words that are a text', row(1, { gold: { words: 'a' } }), 2, /has no words and bytes that are whole numbers/],
    ['another prompt', row(1, { prompt_sha256: 'f'.repeat(64) }), 5, /row 1 \(id 1\) was asked with another prompt/],
    ['another id', row(1, { id: 'new' }), 5, /row 1 \(id \S+\) has the id "\S+" now/],
    ['a row less', shorter, 5, /row 11 \(id 11\) is not in the current run|1 rows of the current run are not in the/],
    ['its last line empty', line(11, ''), 2, /predictions\.jsonl:12: not a JSON line/],
    ['a row without the metric', row(1, { metrics: { acc: 1 } }), 5, /have no acc_norm, by which it is judged/],
  ],
};

/** The line of a planted row, before anything is damaged. */
function readRow(number: number): string {
  return JSON.stringify(rankedRow(number, 1, number % 3));
}

test('summary.json of the current run: judged by what no row has', async () => {
  cpSync(at('run'), at('damaged'), { recursive: true });
  try {
    set('primary', { name: 'f1' })(at('damaged/summary.json'));
    await refused(
      sides(at('run'), at('damaged')),
      5,
      /have no f1, by which it is judged\. Give them verdicts by rescore\.ts/,
    );
  } finally {
    rmSync(at('damaged'), { recursive: true, force: true });
  }
});

describe('damaged runs', () => {
  for (const [file, damages] of Object.entries(RUN)) {
    for (const [what, damage, code, message] of damages) {
      test(`${file}: ${what}`, async () => {
        cpSync(at('run'), at('damaged'), { recursive: true });
        try {
          damage(at('damaged', file));
          await refused(sides(at('run'), at('damaged')), code, message);
          await refused(sides(at('damaged'), at('run')), code, message);
        } finally {
          rmSync(at('damaged'), { recursive: true, force: true });
        }
      });
    }
  }
});

const OTHERS: [kind: string, file: string, ...Damage][] = [
  ['suite', 'suite_summary.json', 'cut', cut, 2, /suite_summary\.json: not JSON: /],
  ['suite', 'suite_summary.json', 'without tasks', put({ tasks: [] }), 2, /"tasks" is \[\]\. Run the suite again/],
  ['suite', 'suite_summary.json', 'with a task that is null', put({ tasks: [null] }), 2, /it has no "tasks\[0\]"/],
  [
    'suite',
    'suite_summary.json',
    'with a task without a name',
    put({ tasks: [{ task: 'a' }] }),
    2,
    /"tasks\[0\]\.name"/,
  ],
  ['suite', 'suite_summary.json', 'with a name that is a list', put({ suite: [] }), 2, /"suite" is \[\]/],
  [
    'suite',
    'suite_summary.json',
    'with a task that is not there',
    put({ tasks: [{ name: 'mmlu' }] }),
    2,
    /mmlu: there is no run in /,
  ],
  ['suite', 'suite_summary.json', 'of another format', put({ format: 3 }), 2, /has format 3/],
  [
    'suite',
    'suite_summary.json',
    'with a failed task',
    put({ tasks: [{ name: 'hellaswag', status: 'failed', error: 'no\nnetwork' }] }),
    5,
    /hellaswag failed: no Run the suite again/,
  ],
  ['suite', 'hellaswag/run.json', 'cut', cut, 2, /hellaswag\/run\.json: not JSON: /],
  ['suite', 'hellaswag/predictions.jsonl', 'cut', cut, 2, /predictions\.jsonl:12: not a JSON line/],
  ['saved', 'baseline.json', 'empty', text(''), 2, /baseline\.json: not JSON: /],
  [
    'saved',
    'baseline.json',
    'without tasks',
    put({ tasks: null }),
    2,
    /not the list of a baseline's tasks: it has no "tasks"/,
  ],
  ['saved', 'baseline.json', 'with a task that is a number', put({ tasks: [1] }), 2, /"tasks\[0\]" is 1/],
  [
    'saved',
    'baseline.json',
    'with a task that leads elsewhere',
    put({ tasks: ['../run'] }),
    2,
    /"tasks\[0\]" is "\.\.\/run"/,
  ],
  [
    'saved',
    'baseline.json',
    'with a task that is not there',
    put({ tasks: ['mmlu'] }),
    2,
    /mmlu\.rows\.jsonl: missing\. Save the baseline again/,
  ],
  ['saved', 'baseline.json', 'a folder', asFolder, 2, /baseline\.json: cannot be read: EISDIR/],
  ['saved', 'hellaswag.summary.json', 'missing', gone, 2, /hellaswag\.summary\.json: cannot be read: ENOENT/],
  ['saved', 'hellaswag.summary.json', 'cut', cut, 2, /hellaswag\.summary\.json: not JSON: /],
  [
    'saved',
    'hellaswag.summary.json',
    'without a section',
    put({ health: null }),
    2,
    /it has no "health"\. Save the baseline again/,
  ],
  ['saved', 'hellaswag.rows.jsonl', 'empty', text(''), 2, /hellaswag\.rows\.jsonl: empty\. Save the baseline again/],
  ['saved', 'hellaswag.rows.jsonl', 'cut', cut, 2, /hellaswag\.rows\.jsonl:13: not a JSON line/],
  ['saved', 'hellaswag.rows.jsonl', 'without its first line', line(0, '[0]'), 2, /:1 has no format number/],
  [
    'saved',
    'hellaswag.rows.jsonl',
    'of other fields',
    line(0, '{"format":2,"fields":["index"]}'),
    2,
    /:1: not the first line of a baseline's rows/,
  ],
  ['saved', 'hellaswag.rows.jsonl', 'of another format', line(0, '{"format":1}'), 2, /:1 has format 1/],
  ['saved', 'hellaswag.rows.jsonl', 'a row that is none', line(3, '{"index":2}'), 2, /:4: not a row of a baseline/],
  [
    'saved',
    'hellaswag.rows.jsonl',
    'a row with a metric less',
    line(3, '[2,0,"abc",1,1,[1]]'),
    2,
    /:4: not a row of a baseline/,
  ],
  [
    'saved',
    'hellaswag.rows.jsonl',
    'a choice that is null',
    line(3, '[2,0,"abc",1,1,[1,1],[null,-1]]'),
    2,
    /:4: not a row of a baseline/,
  ],
  [
    'saved',
    'hellaswag.rows.jsonl',
    'an id that is a list',
    line(3, '[2,[],"abc",1,1,[1,1]]'),
    2,
    /:4: not a row of a baseline/,
  ],
  [
    'saved',
    'hellaswag.rows.jsonl',
    'a draw that is none',
    line(3, '[2,0,"abc",1,1,[1,1],[],null,"one"]'),
    2,
    /:4: not a row of a baseline/,
  ],
  ['saved', 'hellaswag.rows.jsonl', 'a row twice', repeated, 2, /row 2 \(id 2\) stands there twice/],
  ['saved', 'hellaswag.rows.jsonl', 'a folder', asFolder, 2, /hellaswag\.rows\.jsonl: cannot be read: EISDIR/],
];

describe('damaged suites and baselines', () => {
  for (const [kind, file, what, damage, code, message] of OTHERS) {
    test(`${file}: ${what}`, async () => {
      cpSync(at(kind), at('damaged'), { recursive: true });
      try {
        damage(at('damaged', file));
        await refused(sides(at('damaged'), at('run')), code, message);
      } finally {
        rmSync(at('damaged'), { recursive: true, force: true });
      }
    });
  }
});
