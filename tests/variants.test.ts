/** variants.ts as a user starts it: an untouched copy is held with no divergence at all, a ruined one is broken, and bad files. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { VariantsResult } from '../nanoeval/variants/result.ts';
import { runHereWith } from './in_process.ts';
import { fakeServer, idsOf, sumOf } from './model/server/fake_server.ts';
import { addNoise } from './noisy_checkpoint.ts';
import { DEMO, ROOT, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('variants');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const ROWS = 100;

const yamlOf = (out: string, models: readonly string[], more = '') => `suite: { name: demo, output_root: ${at(out)} }
model: { chat_template: false }
models:
${models.map((model) => `  - ${model}`).join('\n')}
engine: { workers: 1, threads_per_worker: 1 }
run: { check_rows: 0 }
tasks:
  - task: hellaswag
    dataset: { path: nanoeval/demo/data/hellaswag, subset_size: ${ROWS} }
    report: { save_plot: false, save_table: false }
distributions: { path: nanoeval/demo/data/hellaswag, split: validation, column: ctx, tokens: 90, window: 20 }
${more}`;
const FULL = `{ model_id: ${DEMO}, name: full }`;
const COPY = `{ model_id: ${at('copy')}, name: copy }`;
const NOISY = `{ model_id: ${at('noisy')}, name: noisy }`;
const readReport = (out: string) => JSON.parse(readFileSync(at(out, 'variants.json'), 'utf8')) as VariantsResult;

before(() => {
  cpSync(join(ROOT, DEMO), at('copy'), { recursive: true });
  addNoise(join(ROOT, DEMO), at('noisy'), 'onnx/decoder_model_merged.onnx', 1);
});

test('an untouched copy is held at divergence 0, a ruined one broken with the row that shows it, exit code 1', async () => {
  const { code, stdout, stderr } = await runHereWith('variants', at('a'), yamlOf('out', [FULL, COPY, NOISY]));
  assert.equal(code, 1, stderr);
  const files = ['flips.jsonl', 'variants.json', 'variants.md', 'variants.png', 'variants.svg'];
  const suite = ['comparison.csv', 'comparison.md', 'copy', 'full', 'noisy', 'suite.md', 'suite_summary.json'];
  const results = ['checkpoint', 'copy', 'noisy'].map((name) => `<date>_local_${name}_hellaswag.json`);
  assert.deepEqual(
    readdirSync(at('out'))
      .map((name) => name.replace(/^\d{4}-\d{2}-\d{2}_/, '<date>_'))
      .sort(),
    [...files, ...suite, ...results].sort(),
  );
  const { variants, verdict, exit_code, distributions } = readReport('out');
  const [full, copy, noisy] = variants;
  assert.deepEqual([verdict, exit_code, distributions.tokens], ['BROKEN', 1, 90]);

  assert.deepEqual(copy!.distributions!.kl, { mean: 0, p99: 0, largest: 0 });
  assert.deepEqual([copy!.distributions!.top1, copy!.perplexity === full!.perplexity], [1, true]);
  assert.deepEqual([copy!.comparison!.verdict, copy!.broken, copy!.faults], ['HELD', null, []]);
  assert.deepEqual(copy!.comparison!.tasks[0]!.flips, { worse: 0, better: 0 });

  assert.equal(noisy!.comparison!.verdict, 'REGRESSED');
  assert.match(
    noisy!.broken!.reasons[0]!,
    /^hellaswag acc_norm .* is not above chance 0\.25, and the reference's 0\.\d+ is$/,
  );
  const flips = readFileSync(at('out/flips.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const { worse, better } = noisy!.comparison!.tasks[0]!.flips;
  assert.equal(flips.length, worse + better);
  const first = flips.find(({ baseline, current }) => current.value < baseline.value);
  assert.deepEqual([noisy!.broken!.row!.of, noisy!.broken!.row!.index], ['hellaswag', first.index]);

  const size = (path: string) => readFileSync(join(ROOT, DEMO, path)).length;
  const bytes = full!.files!.reduce((sum, { path }) => sum + size(path), 0);
  for (const { bytes: found, cost } of variants) {
    assert.equal(found, bytes);
    assert.ok(cost!.tokens_per_second > 0 && cost!.load_seconds > 0 && cost!.peak_rss > cost!.peak_rss_before_load);
  }
  assert.match(stdout, /^\| variant +\| verdict +\|[\s\S]*\| noisy +\| BROKEN +\|/);
  assert.match(stderr, /^noisy is broken: hellaswag/m);
  assert.match(stderr, /^BROKEN \(exit code 1\)$/m);
  assert.match(readFileSync(at('out/variants.svg'), 'utf8'), />noisy</);
});

test('run again, with fewer variants, it asks nothing that is known; what is held exits with 0', async () => {
  const yaml = yamlOf('out', [FULL, COPY], 'report: { save_plot: false }\n');
  const { code, stderr } = await runHereWith('variants', at('b'), yaml);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /tokens asked/);
  assert.match(stderr, /^HELD \(exit code 0\)$/m);
});

test('a twin behind a server is compared row by row; its weights are not looked at', async (t) => {
  const continuations = ['good', 'bad'];
  // Four in five are right by the served model's own log-probabilities.
  const rows = Array.from({ length: 40 }, (_, i) => {
    const prefix = `row ${i} is`;
    const [good, bad] = continuations.map((word) => sumOf(idsOf(prefix), idsOf(` ${word}`))) as [number, number];
    const likeliest = good >= bad ? 0 : 1;
    return { prefix, continuations, label: i % 5 === 0 ? 1 - likeliest : likeliest };
  });
  const fake = await fakeServer(t, { kind: 'llama.cpp' });
  const twin = (name: string, url: string) =>
    `{ name: ${name}, model_id: toy, backend: llama_cpp, base_url: "${url}" }`;
  const yaml = yamlOf('served', [FULL, twin('gguf', fake.url)], 'report: { save_plot: false }\n').replace(
    / {2}- task: hellaswag\n.*\n.*\n/,
    `  - { task: ranking, dataset: { rows: ${JSON.stringify(rows)} }, scoring: { normalize_by_length: false }, report: { save_plot: false } }\n`,
  );
  const { code, stdout, stderr } = await runHereWith('variants', at('s'), yaml);
  assert.equal(code, 0, stderr);
  const { variants } = readReport('served');
  const [full, gguf] = variants;
  const right = (name: string) => {
    const lines = readFileSync(at('served', name, 'ranking/predictions.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    return lines.filter((line) => JSON.parse(line).correct === 1).length;
  };
  assert.deepEqual([right('gguf'), gguf!.scores[0]!.estimate.value], [32, 0.8]);
  const { worse, better } = gguf!.comparison!.tasks[0]!.flips;
  assert.equal(right('full') + better - worse, 32);
  assert.deepEqual(
    [gguf!.bytes, gguf!.cost, gguf!.distributions, gguf!.perplexity, gguf!.faults],
    [null, null, null, null, []],
  );
  assert.ok(full!.bytes! > 0 && full!.cost !== null);
  assert.equal(gguf!.comparison!.verdict, 'IMPROVED');
  assert.match(stdout, /\| gguf +\| IMPROVED +\| +- \|/);
  const wrong = await runHereWith('variants', at('s2'), yamlOf('never', [twin('gguf', fake.url), FULL]));
  assert.equal(wrong.code, 2, wrong.stderr);
  assert.match(
    wrong.stderr,
    /models\[0\]: the reference has to be an ONNX export: a server shows no distributions\.$/m,
  );
});

describe('a bad file is one line with its place, exit code 2, and nothing is run', () => {
  const good = yamlOf('never', [FULL, COPY]);
  const CASES: [what: string, yaml: string, line: RegExp][] = [
    [
      'a dtype that is not there',
      yamlOf('never', [FULL, `{ model_id: ${DEMO}, dtype: q4 }`]),
      /variants\.yaml:5:\d+: model\.dtype: q4 \(\S+\) is not in nanoeval\/demo\/checkpoint\. It has: fp32\.$/m,
    ],
    [
      'a folder that is not there',
      yamlOf('never', [FULL, '{ model_id: /none, name: b }']),
      /:5:\d+: model\.model_id: /,
    ],
    ['one checkpoint alone', yamlOf('never', [FULL]), /:3:1: models: /],
    [
      'no texts',
      good.replace(/^distributions: .*$/m, 'distributions: { tokens: 9 }'),
      /:12:\d+: distributions: it names no texts\. It would be one of: path, dataset_id, rows\.$/m,
    ],
    [
      'texts twice',
      good.replace('distributions: { path', 'distributions: { dataset_id: a/b, path'),
      /it names path and dataset_id\. It would be one of/,
    ],
    ['no section of texts', good.replace(/^distributions: .*$/m, ''), /: distributions: missing\./],
    [
      'texts that are not there',
      good.replace('hellaswag, split', 'none, split'),
      /:12:\d+: distributions\.path: \S+none: no such file or folder/,
    ],
    ['no such column', good.replace('column: ctx', 'column: page'), /page/],
    [
      'a window beyond the model',
      good.replace('window: 20', 'window: 2000'),
      /:12:\d+: distributions\.window: 2000 is more than the 1024 tokens of the model/,
    ],
    [
      'a misspelt key',
      good.replace('column: ctx', 'colum: ctx'),
      /distributions\.colum: unknown key\. Did you mean "column"\?$/m,
    ],
    [
      'a baseline',
      good.replace('check_rows: 0', 'save_baseline: true'),
      /:7:\d+: run\.save_baseline: a baseline is saved by a suite/,
    ],
    [
      'a task with an export of its own',
      good.replace(
        'task: hellaswag',
        'task: mmlu\n    model: { model_id: nanoeval/demo/checkpoint }\n  - task: hellaswag',
      ),
      /: model: it names another export than the variant is/,
    ],
    [
      'a task file',
      'task: hellaswag\nmodel: { model_id: a/b }\n',
      /:1:7: task: this is the file of one task\. configs\/variants_smollm2_135m\.yaml shows/,
    ],
    [
      'a suite without variants',
      'model: { model_id: a/b }\ntasks: [{ task: hellaswag }]\n',
      /: tasks: there are no variants\. List them under `models:`/,
    ],
    [
      'a name that is no folder',
      good.replace('name: demo', 'name: a/b'),
      /:1:16: suite\.name: "a\/b" does not fit a folder/,
    ],
  ];
  for (const [what, yaml, line] of CASES) {
    test(what, async () => {
      const { code, stdout, stderr } = await runHereWith('variants', at('c'), yaml);
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, line);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      assert.equal(existsSync(at('never')), false);
    });
  }
});
