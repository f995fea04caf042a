/** Tables over checkpoints and tasks, from summaries made by hand. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import type { ModelIdentity } from '../../nanoeval/questions.ts';
import { type Compared, compareRuns, comparisonCsv, comparisonMarkdown } from '../../nanoeval/run/comparison.ts';
import type { Summary } from '../../nanoeval/run/outcome.ts';
import type { Primary } from '../../nanoeval/types.ts';

interface Made {
  model?: string;
  task?: string;
  recipe?: string;
  metric?: string;
  value?: number | null;
  n?: number;
  status?: string;
  stderr?: number | null;
  selection?: object;
  dataset?: object;
  scoring?: object;
  /** Hash over what decides its answers. */
  weights?: string;
  identity?: Partial<ModelIdentity>;
  primary?: Partial<Primary>;
  reduce?: string;
}

function made({
  model = 'a/small',
  task = 'mmlu',
  recipe = 'lm_eval',
  metric = 'acc',
  value = 0.5,
  n = 100,
  status = 'complete',
  stderr = 0.05,
  selection = {},
  dataset = {},
  scoring = {},
  weights = model,
  identity = {},
  primary = {},
  reduce,
}: Made): Compared {
  const ci95 = stderr === null ? null : [(value ?? 0) - 0.1, (value ?? 0) + 0.1];
  const summary = {
    task,
    status,
    primary: { name: metric, unit: 'share', better: 'higher', chance: null, ...primary },
    ...(reduce === undefined ? {} : { reduce }),
    metrics: value === null ? {} : { [metric]: { value, stderr, ci95, n } },
    recipe: { name: recipe, strategy: 'rank_ll', num_fewshot: 0, chat_template: false, sha256: recipe.padEnd(64, '0') },
    model: {
      label: model,
      variant: 'fp32',
      backend: 'onnx',
      max_length: 512,
      is_vlm: false,
      chat_template_sha256: null,
      sha256: createHash('sha256').update(weights).digest('hex'),
      source: { commit: null },
      ...identity,
    },
    scoring: { primary: metric, temperature: 0, seed: 123, ...scoring },
    version: 2,
    dataset: {
      dataset_id: `hub/${task}`,
      commit: 'c',
      subset_name: 'all',
      split: 'test',
      num_rows: n,
      files: [],
      ...dataset,
    },
    selection: { subset_size: null, sample: null, subjects: null, seed: 123, shard: null, ...selection },
  };
  return { name: task, summary: summary as unknown as Summary };
}

const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
const tableLines = (markdown: string) => markdown.split('\n').filter((line) => line.startsWith('|'));

test('two checkpoints, three tasks: best in bold, missing, invalid and unscored cells said so', () => {
  const tables = compareRuns([
    made({ value: 0.4 }),
    made({ task: 'hellaswag', metric: 'acc_norm', value: 0.61 }),
    made({ task: 'piqa', value: 0.9, status: 'invalid' }),
    made({ model: 'b/large', value: 0.55 }),
    made({ model: 'b/large', task: 'piqa', value: 0.7 }),
    made({ model: 'c/none', task: 'piqa', value: null, status: 'unscored' }),
  ]);
  assert.equal(tables.length, 1);
  const markdown = comparisonMarkdown(tables);
  assert.deepEqual(tableLines(markdown).map(cellsOf), [
    ['model', 'mmlu (lm_eval, acc)', 'hellaswag (lm_eval, acc_norm)', 'piqa (lm_eval, acc)'],
    tableLines(markdown).map(cellsOf)[1]!,
    ['a/small fp32', '0.4000 ± 0.0500', '0.6100 ± 0.0500', '0.9000 ± 0.0500 (invalid)'],
    ['b/large fp32', '**0.5500 ± 0.0500**', 'missing', '0.7000 ± 0.0500'],
    ['c/none fp32', 'missing', 'missing', 'unscored'],
  ]);
  assert.ok(!markdown.includes('Not comparable'));
});

test('ties are both best; one alone is no best; no standard error, no ±; other n in brackets', () => {
  const markdown = comparisonMarkdown(
    compareRuns([
      made({ value: 0.5 }),
      made({ model: 'b/b', value: 0.5 }),
      made({ model: 'c/c', value: 0.4 }),
      made({ task: 'piqa', stderr: null }),
      made({ model: 'b/b', task: 'boolq', n: 10, dataset: { num_rows: 20 } }),
      made({ model: 'c/c', task: 'boolq', n: 12, dataset: { num_rows: 20 }, value: 0.25 }),
    ]),
  );
  assert.deepEqual(tableLines(markdown).slice(2).map(cellsOf), [
    ['a/small fp32', '**0.5000 ± 0.0500**', '0.5000', 'missing'],
    ['b/b fp32', '**0.5000 ± 0.0500**', 'missing', '**0.5000 ± 0.0500 (10)**'],
    ['c/c fp32', '0.4000 ± 0.0500', 'missing', '0.2500 ± 0.0500 (12)'],
  ]);
});

test('what may not be compared stands in another table, with the reason', () => {
  const cases: [Made, RegExp][] = [
    [{ recipe: 'cloze' }, /^- mmlu: recipe\.name "cloze" in place of "lm_eval"$/m],
    [{ selection: { sample: 50 } }, /^- mmlu: selection\.sample 50 in place of null$/m],
    [
      { selection: { seed: 5, sample: 50 } },
      /^- mmlu: selection\.sample 50 in place of null, selection\.seed 5 in place of 123$/m,
    ],
    [{ dataset: { commit: 'd' } }, /^- mmlu: dataset\.commit "d" in place of "c"$/m],
    [{ scoring: { temperature: 0.8 } }, /^- mmlu: scoring\.temperature 0\.8 in place of 0$/m],
    [{ metric: 'acc_norm' }, /^- mmlu: metric "acc_norm" in place of "acc"$/m],
  ];
  for (const [other, reason] of cases) {
    const tables = compareRuns([
      made({ model: 'odd/one', value: 0.99, ...other }),
      made({ value: 0.4 }),
      made({ model: 'b/large', value: 0.55 }),
      made({ model: 'b/large', task: 'piqa', value: 0.7 }),
    ]);
    // Most checkpoints decide which is first.
    assert.deepEqual(
      tables.map(({ models, tasks }) => [models, tasks]),
      [
        [
          ['a/small fp32', 'b/large fp32'],
          ['mmlu', 'piqa'],
        ],
        [['odd/one fp32'], ['mmlu']],
      ],
    );
    const markdown = comparisonMarkdown(tables);
    assert.match(markdown, /^## Not comparable with the first table$/m);
    assert.match(markdown, reason);
    assert.match(markdown, /^\| odd\/one fp32 \| +0\.9900 ± 0\.0500 \|$/m);
    assert.match(markdown, /\*\*0\.5500/);
  }
});

test('rows of local files are told by their hashes, and not by where they lie', () => {
  const local = (sha256: string, dataset_id: string) =>
    ({ dataset: { dataset_id, commit: null, subset_name: null, files: [{ path: 'a', size: 1, sha256 }] } }) as const;
  const same = [made(local('x', '/here')), made({ model: 'b/b', ...local('x', '/there') })];
  assert.equal(compareRuns(same).length, 1);
  const [, second] = compareRuns([...same, made({ model: 'c/c', ...local('y', '/here') })]);
  assert.deepEqual(second!.models, ['c/c fp32']);
});

test('two checkpoints of one name stay two; a checkpoint without any run has its line where it is asked for', () => {
  const runs = [made({ weights: 'one', value: 0.1 }), made({ weights: 'two', value: 0.2 })];
  const [table] = compareRuns(runs);
  assert.equal(table!.models.length, 2);
  for (const name of table!.models) assert.match(name, /^a\/small fp32 @[0-9a-f]{7}$/);
  const [named] = compareRuns([{ ...made({}), model: 'a' }], ['none', 'a']);
  assert.deepEqual(named!.models, ['none', 'a']);
  assert.match(comparisonMarkdown([named!]), /^\| none +\| +missing \|$/m);
});

test('two models of one label are told by their hash, whatever else they share; of a known commit by that', () => {
  const server = (weights: string, more: Made = {}) =>
    made({ model: 'http://here/v1 m', weights, identity: { backend: 'server', variant: null, source: {} }, ...more });
  const [table] = compareRuns([
    server('one', { value: 0.25 }),
    server('two', { value: 0.5 }),
    server('one', { value: 0.75 }),
  ]);
  const hash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 7);
  // No variant, so nothing behind the name but the mark.
  assert.deepEqual(table!.models, [`here/v1 m @${hash('one')}`, `here/v1 m @${hash('two')}`]);
  assert.deepEqual(
    table!.cells.map(({ model, estimate }) => [model.slice(-7), estimate?.value]),
    [
      [hash('two'), 0.5],
      // Of two runs of one model the later one counts.
      [hash('one'), 0.75],
    ],
  );
  const commit = (digit: string) => ({ identity: { source: { commit: digit.repeat(40) } } });
  const [pinned] = compareRuns([made({ weights: 'one', ...commit('a') }), made({ weights: 'two', ...commit('b') })]);
  assert.deepEqual(pinned!.models, ['a/small fp32 @aaaaaaa', 'a/small fp32 @bbbbbbb']);
  // Another variant is another name already.
  const [variants] = compareRuns([made({ weights: 'one' }), made({ weights: 'two', identity: { variant: 'q4' } })]);
  assert.deepEqual(variants!.models, ['a/small fp32', 'a/small q4']);
});

test('a metric of which lower is better: the lowest is the best, and its column says so', () => {
  const perplexity = { metric: 'perplexity', primary: { unit: 'number', better: 'lower' } } as const;
  const markdown = comparisonMarkdown(
    compareRuns([
      made({ task: 'texts', value: 12.5, ...perplexity }),
      made({ task: 'texts', value: 11.25, model: 'b/b', ...perplexity }),
      made({ task: 'texts', value: 3, model: 'c/c', status: 'invalid', ...perplexity }),
      made({ value: 0.5 }),
      made({ value: 0.25, model: 'b/b' }),
    ]),
  );
  assert.deepEqual(
    tableLines(markdown)
      .map(cellsOf)
      .filter((_, i) => i !== 1),
    [
      ['model', 'texts (lm_eval, perplexity, lower is better)', 'mmlu (lm_eval, acc)'],
      ['a/small fp32', '12.5000 ± 0.0500', '**0.5000 ± 0.0500**'],
      ['b/b fp32', '**11.2500 ± 0.0500**', '0.2500 ± 0.0500'],
      ['c/c fp32', '3.0000 ± 0.0500 (invalid)', 'missing'],
    ],
  );
});

test('a sum and a mean do not stand in one column; `none` is a mean', () => {
  const tables = compareRuns([
    made({}),
    made({ model: 'b/b', reduce: 'none' }),
    made({ model: 'c/c', reduce: 'sum', value: 50 }),
  ]);
  assert.deepEqual(
    tables.map(({ models }) => models),
    [['a/small fp32', 'b/b fp32'], ['c/c fp32']],
  );
  assert.match(comparisonMarkdown(tables), /^- mmlu: reduce "sum" in place of "mean"$/m);
});

test('a recipe whose words have changed since is told, though its name has not', () => {
  const changed = made({ model: 'b/b' });
  (changed.summary.recipe as { sha256: string }).sha256 = 'f'.repeat(64);
  assert.match(comparisonMarkdown(compareRuns([made({}), changed])), /^- mmlu: the recipe has changed since$/m);
});

test('configs of one data set are columns of their own; of two runs of one checkpoint the later counts', () => {
  const [table] = compareRuns([
    made({ task: 'pro', dataset: { subset_name: 'vision' } }),
    made({ task: 'pro', dataset: { subset_name: 'standard (4 options)' } }),
    made({ value: 0.1 }),
    made({ value: 0.2 }),
  ]);
  assert.deepEqual(table!.tasks, ['pro, vision', 'pro, standard (4 options)', 'mmlu']);
  assert.deepEqual(
    table!.cells.filter(({ task }) => task === 'mmlu').map(({ estimate }) => estimate?.value),
    [0.2],
  );
});

test('the CSV has a line a cell, read back as it was', () => {
  const name = 'odd "name", with\ncommas';
  const tables = compareRuns([
    made({ value: 1 / 3 }),
    { ...made({ task: 'piqa', value: 0.7 }), model: name },
    made({ recipe: 'cloze', model: 'b/b', stderr: null }),
    made({ task: 'boolq', value: null, status: 'invalid' }),
  ]);
  const rows: Record<string, string>[] = parse(comparisonCsv(tables), { columns: true });
  assert.deepEqual(
    rows.map(({ table, model, task, recipe, value, stderr, ci_low, n, status }) => [
      table,
      model,
      task,
      recipe,
      value,
      stderr,
      ci_low,
      n,
      status,
    ]),
    [
      ['1', 'a/small fp32', 'mmlu', 'lm_eval', String(1 / 3), '0.05', String(1 / 3 - 0.1), '100', 'complete'],
      ['1', 'a/small fp32', 'piqa', '', '', '', '', '', 'missing'],
      ['1', 'a/small fp32', 'boolq', 'lm_eval', '', '', '', '', 'invalid'],
      ['1', name, 'mmlu', '', '', '', '', '', 'missing'],
      ['1', name, 'piqa', 'lm_eval', '0.7', '0.05', '0.6', '100', 'complete'],
      ['1', name, 'boolq', '', '', '', '', '', 'missing'],
      ['2', 'b/b fp32', 'mmlu', 'cloze', '0.5', '', '', '100', 'complete'],
    ],
  );
});

test('nothing to compare', () => {
  assert.deepEqual(compareRuns([]), []);
  assert.equal(comparisonCsv([]).trimEnd().split('\n').length, 1);
});
