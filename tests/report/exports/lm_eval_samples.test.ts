/** Lines of samples, exactly, for each kind of row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesOf } from '../../../nanoeval/report/exports/lm_eval_names.ts';
import { pythonFloat, sampleLines, targetOf } from '../../../nanoeval/report/exports/lm_eval_samples.ts';
import { sha256 } from '../../../nanoeval/text/hash.ts';
import { madeRow, madeRun } from './made_up.ts';

const choice = (logprob: number, is_greedy: boolean) => ({
  logprob,
  is_greedy,
  num_tokens: 1,
  num_chars: 1,
  num_bytes: 1,
});

test('numbers are written as Python writes floats', () => {
  // Right sides: repr() of CPython 3.11.
  assert.deepEqual(
    [0, -0, 1, -3, 0.1, 1e-4, 1.5e-5, 1e-7, 123456789, 1e15, 1e16, 1.25e22, -12.345678901234567].map(pythonFloat),
    [
      '0.0',
      '-0.0',
      '1.0',
      '-3.0',
      '0.1',
      '0.0001',
      '1.5e-05',
      '1e-07',
      '123456789.0',
      '1000000000000000.0',
      '1e+16',
      '1.25e+22',
      '-12.345678901234567',
    ],
  );
});

test('gold is a text', () => {
  assert.deepEqual([2, 'x', true, { a: 1 }, null, undefined].map(targetOf), ['2', 'x', 'true', '{"a":1}', null, null]);
});

test('a ranked row: log-likelihoods of the choices, nothing that the row does not hold', () => {
  const run = madeRun();
  const row = madeRow(4, {
    choices: [choice(-1.5, true), choice(-2, false)],
    prediction: 0,
    correct: 1,
    metrics: { acc: 1, acc_norm: 0 },
  });
  const { task, lines } = sampleLines(row, run, namesOf([run])[0]!);
  assert.equal(task, 'made');
  assert.deepEqual(lines, [
    '{"doc_id":4,"doc":{"id":"id4"},"target":"0",' +
      '"arguments":{"gen_args_0":{"arg_0":null,"arg_1":null},"gen_args_1":{"arg_0":null,"arg_1":null}},' +
      '"resps":[[["-1.5","True"]],[["-2.0","False"]]],"filtered_resps":[["-1.5","True"],["-2.0","False"]],' +
      `"filter":"none","metrics":["acc","acc_norm"],"doc_hash":null,"prompt_hash":"p","target_hash":"${sha256('0')}",` +
      '"acc":1.0,"acc_norm":0.0}\n',
  ]);
});

test('prompts that the row keeps stand with every choice, and those that choices bring with theirs', () => {
  const run = madeRun();
  const names = namesOf([run])[0]!;
  const row = madeRow(0, { choices: [choice(-1, true), choice(-2, false)], metrics: { acc: 1 } });
  const contexts = (prompt: string | string[]) => {
    const [line] = sampleLines({ ...row, prompt }, run, names).lines;
    return Object.values(JSON.parse(line!).arguments as Record<string, { arg_0: string }>).map(({ arg_0 }) => arg_0);
  };
  assert.deepEqual(contexts('Q'), ['Q', 'Q']);
  assert.deepEqual(contexts(['Q1', 'Q2']), ['Q1', 'Q2']);
});

test('an answer under two filters is two lines: what was read under the first, nothing made up for the second', () => {
  const { summary } = madeRun();
  const run = madeRun({
    name: 'gsm8k',
    config: { scoring: { strategy: 'generate' } },
    summary: {
      task: 'gsm8k',
      recipe: { ...summary.recipe, strategy: 'generate' },
      dataset: { ...summary.dataset, dataset_id: 'openai/gsm8k' },
    },
  });
  const row = madeRow(1, {
    gold: '18',
    output: ' #### 18',
    prediction: '18',
    correct: 1,
    metrics: { exact_match: 1, flexible_extract: 0 },
    seed: 7,
    sample: 2,
  });
  const read = sampleLines(row, run, namesOf([run])[0]!).lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    read.map(({ filter, metrics, exact_match, filtered_resps }) => [filter, metrics, exact_match, filtered_resps]),
    [
      ['strict-match', ['exact_match'], 1, ['18']],
      ['flexible-extract', ['exact_match'], 0, [null]],
    ],
  );
  const [{ arguments: asked, resps, seed, sample, target }] = read;
  assert.deepEqual(asked, {
    gen_args_0: { arg_0: null, arg_1: { until: ['\n'], max_gen_toks: 7, do_sample: false, temperature: 0 } },
  });
  assert.deepEqual([resps, seed, sample, target], [[[' #### 18']], 7, 2, '18']);
});

test('an answer that nothing is read of is its own filtered answer; one that could not be read has none', () => {
  const run = madeRun({ config: { scoring: { strategy: 'generate' } } });
  const filtered = (rest: object) =>
    JSON.parse(sampleLines(madeRow(0, { output: 'x', ...rest }), run, namesOf([run])[0]!).lines[0]!).filtered_resps;
  assert.deepEqual(filtered({ metrics: { pass: 1 } }), ['x']);
  assert.deepEqual(filtered({ metrics: { exact_match: 0 }, prediction: null, correct: 0 }), [null]);
});

test('parts of a row are a list of their verdicts', () => {
  const run = madeRun({ config: { scoring: { strategy: 'generate' } } });
  const parts = [
    { name: 'a', metrics: { inst_level_strict_acc: 1 } },
    { name: 'b', metrics: { inst_level_strict_acc: 0 } },
  ];
  const [line] = sampleLines(madeRow(0, { output: 'x', metrics: { pass: 0 }, parts }), run, namesOf([run])[0]!).lines;
  assert.match(
    line!,
    /"metrics":\["pass","inst_level_strict_acc"\].*"pass":0\.0,"inst_level_strict_acc":\[1\.0, 0\.0\]\}\n$/,
  );
});

test("a text has the harness's pair of log-likelihood and count, where the metric is one of its", () => {
  const { summary } = madeRun();
  const followed = madeRun({
    name: 'perplexity',
    config: { scoring: { strategy: 'rolling_ll' } },
    summary: { task: 'perplexity', recipe: { ...summary.recipe, strategy: 'rolling_ll' } },
  });
  const row = madeRow(0, { gold: { words: 4, bytes: 20 }, logprob: -8, metrics: { word_perplexity: 7.39 } });
  const [line] = sampleLines(row, followed, namesOf([followed])[0]!).lines;
  assert.match(
    line!,
    /"arguments":\{"gen_args_0":\{"arg_0":null\}\},"resps":\[\["-8\.0"\]\],"filtered_resps":\["-8\.0"\]/,
  );
  assert.match(line!, /"word_perplexity":\[-8\.0, 4\.0\]\}\n$/);
  const own = madeRun({ config: { scoring: { strategy: 'rolling_ll' } } });
  assert.match(sampleLines(row, own, namesOf([own])[0]!).lines[0]!, /"word_perplexity":7\.39\}\n$/);
});

test("of a last word the harness's perplexity is its log-likelihood, and its requests are of another kind", () => {
  const { summary } = madeRun();
  const run = madeRun({ summary: { task: 'lambada', recipe: { ...summary.recipe, strategy: 'last_word' } } });
  const row = madeRow(0, { choices: [choice(-2.5, false)], metrics: { acc: 0, perplexity: 12.18 } });
  const [names] = namesOf([run]);
  assert.match(sampleLines(row, run, names!).lines[0]!, /"acc":0\.0,"perplexity":-2\.5\}\n$/);
  assert.deepEqual([names!.outputType, namesOf([madeRun()])[0]!.outputType], ['loglikelihood', null]);
});

test('a row with a subject goes into the file of its subject', () => {
  const run = madeRun({ name: 'mine' });
  const row = madeRow(0, { subject: 'law', group: 'g', tags: ['t'], options: ['x'], metrics: { acc: 1 } });
  const { task, lines } = sampleLines(row, run, namesOf([run])[0]!);
  assert.equal(task, 'mine_law');
  assert.deepEqual(JSON.parse(lines[0]!).doc, { id: 'id0', subject: 'law', group: 'g', tags: ['t'], options: ['x'] });
});
