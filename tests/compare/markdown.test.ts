/** compare.md: what a reader of a pull request sees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareMarkdown, verdictTable } from '../../nanoeval/compare/markdown.ts';
import type { CompareResult, Flip, MetricResult, TaskResult } from '../../nanoeval/compare/result.ts';

const metric = (more: Partial<MetricResult> = {}): MetricResult => ({
  name: 'acc_norm',
  unit: 'share',
  better: 'higher',
  gated: true,
  baseline: 0.44,
  current: 0.4,
  difference: -0.04,
  interval: [-0.061, -0.019],
  level: 0.95,
  method: "Tango's score interval",
  p_value: 0.00021,
  test: 'McNemar, exact',
  values_of: 'rows',
  wins: 10,
  losses: 50,
  ties: 940,
  differing: 60,
  allowed_drop: 0.01,
  verdict: 'REGRESSED',
  point: 'FAIL',
  smallest_drop: 0.0312,
  rows_needed: null,
  note: null,
  ...more,
});

const flip = (index: number, worse: boolean, now: string | number = 2): Flip => ({
  id: `id-${index}`,
  index,
  gold: 1,
  baseline: { value: worse ? 1 : 0, prediction: worse ? 1 : 3 },
  current: { value: worse ? 0 : 1, prediction: worse ? now : 1 },
});

const task = (more: Partial<TaskResult> = {}): TaskResult => ({
  name: 'hellaswag',
  task: 'hellaswag',
  recipe: 'lm_eval',
  rows: 1000,
  questions: 1000,
  left: { baseline: 0, current: 0, other_prompt: 0 },
  metrics: [metric()],
  drift: { kl: { mean: 0.0123, p99: 0.2, largest: 1 }, mean_abs_change: 0.5, same_prediction: 0.93 },
  flips_of: 'acc_norm',
  flips: [flip(3, false), flip(5, true)],
  ...more,
});

const result = (more: Partial<CompareResult> = {}): CompareResult => ({
  format: 2,
  verdict: 'REGRESSED',
  exit_code: 1,
  baseline: { folder: 'baselines/main/smoke', models: ['a/full fp32'] },
  current: { folder: 'out', models: ['a/full q4'] },
  gate: { rule: 'interval', strict: false, metrics: ['hellaswag.acc_norm'], level: 0.95 },
  tasks: [task()],
  warnings: [],
  ...more,
});

test('the whole document', () => {
  assert.equal(
    compareMarkdown(result()),
    `## REGRESSED: worse by more than is allowed

a/full q4 against a/full fp32 (\`baselines/main/smoke\`).

| verdict   | task      | metric   | baseline | current | difference |           interval | allowed | better / worse |      p |    n | point |
| --------- | --------- | -------- | -------: | ------: | ---------: | -----------------: | ------: | -------------: | -----: | ---: | ----- |
| REGRESSED | hellaswag | acc_norm |   0.4400 |  0.4000 |    -0.0400 | -0.0610 to -0.0190 | -0.0100 |        10 / 50 | 0.0002 | 1000 | FAIL  |

Differences are current minus baseline over the same rows, below 0 is worse. Intervals: 95 %, Tango's score interval. p: McNemar, exact. REGRESSED: the whole interval lies below minus the allowed drop. IMPROVED: above 0. HELD: above minus the allowed drop. SUSPECT: below 0. UNDERPOWERED: none of these.

### hellaswag (lm_eval, 1000 rows)

| verdict   | task      | metric   | baseline | current | difference |           interval | allowed | better / worse |      p |    n | point |
| --------- | --------- | -------- | -------: | ------: | ---------: | -----------------: | ------: | -------------: | -----: | ---: | ----- |
| REGRESSED | hellaswag | acc_norm |   0.4400 |  0.4000 |    -0.0400 | -0.0610 to -0.0190 | -0.0100 |        10 / 50 | 0.0002 | 1000 | FAIL  |

Apart: KL of the choices' distribution 0.0123 nats in the mean, 0.200 at the 99th percentile; mean change of a log-likelihood 0.500 nats; same answer in 93.00 % of the rows. The smallest drop of acc_norm that so many rows find four times in five: 0.0312.

<details><summary>2 of 1000 rows flipped (acc_norm): 1 worse, 1 better</summary>

| now    | row | id   | gold | baseline | current |
| ------ | --- | ---- | ---- | -------- | ------- |
| worse  | 5   | id-5 | 1    | 1        | 2       |
| better | 3   | id-3 | 1    | 3        | 1       |

</details>
`,
  );
});

test('the text of a model is no markup', () => {
  const text = compareMarkdown(result({ tasks: [task({ flips: [flip(0, true, '</details><script>`a|b\n')] })] }));
  assert.match(text, /&lt;\/details>&lt;script>'a\\\|b /);
  assert.doesNotMatch(text, /<script>/);
});

test('fifty flipped rows are listed, those that got worse first, and the rest counted', () => {
  const flips = [
    ...Array.from({ length: 40 }, (_, i) => flip(i, false)),
    ...Array.from({ length: 20 }, (_, i) => flip(100 + i, true)),
  ];
  const text = compareMarkdown(result({ tasks: [task({ flips })] }));
  assert.equal(text.match(/^\| worse /gm)?.length, 20);
  assert.equal(text.match(/^\| better /gm)?.length, 30);
  assert.match(text, /^10 more in compare\.json\.$/m);
});

test('lower is better, several metrics, questions with samples, rows left out', () => {
  const perplexity = metric({
    name: 'word_perplexity',
    unit: 'number',
    better: 'lower',
    baseline: 37.66102,
    current: 37.9,
    difference: -0.239,
    interval: null,
    p_value: null,
    test: null,
    allowed_drop: 0.3766102,
    verdict: 'SUSPECT',
    point: 'PASS',
    smallest_drop: null,
  });
  const gate = { rule: 'point', strict: false, metrics: ['a.x', 'b.y'], level: 0.975 } as const;
  const one = task({ name: 'wiki', metrics: [perplexity], questions: 20, rows: 60, flips_of: null, flips: [] });
  const left = { baseline: 2, current: 1, other_prompt: 1 };
  const text = compareMarkdown(result({ gate: { ...gate, metrics: [...gate.metrics] }, tasks: [{ ...one, left }] }));
  assert.match(
    text,
    /\| SUSPECT +\| wiki +\| word_perplexity \(lower is better\) \| +37\.661 \| +37\.900 \| +-0\.239 \| +- \| +-0\.377 \|/,
  );
  assert.match(text, /\| 60 \(20\) \|/);
  assert.match(text, /97\.50 % \(2 metrics decide, so that all intervals hold together in 95 % of cases\)/);
  assert.match(text, /The rule is `point`/);
  assert.match(
    text,
    /### wiki \(lm_eval, 60 answers to 20 questions; left out: 2 of the baseline, 1 of the current run\)/,
  );
});

test('metrics that are no means over rows are named with how their intervals were made', () => {
  const method = 'paired percentile bootstrap over rows (10000 draws, seed 1), computed anew in each';
  const f1 = metric({ name: 'macro_f1', gated: false, values_of: 'run', method });
  const majority = metric({ name: 'maj_at_4', gated: false, values_of: 'questions', wins: 3, losses: 7, ties: 240 });
  const text = compareMarkdown(result({ tasks: [task({ metrics: [metric(), f1, majority], questions: 250 })] }));
  assert.match(
    text,
    /^No means over rows: macro_f1 \(paired percentile bootstrap over rows \(10000 draws, seed 1\), computed anew in each\); maj_at_4 \(Tango's score interval\)\.$/m,
  );
  assert.match(text, /\| macro_f1 .*\| 1000 \(250\) \|/);
  assert.match(text, /\| maj_at_4 .*\| +3 \/ 7 \| 0\.0002 \| +250 \|/);
});

test('what is printed is the table of the metrics that decide', () => {
  const other = metric({ name: 'acc', gated: false });
  const table = verdictTable(result({ tasks: [task({ metrics: [metric(), other] })] }));
  assert.equal(table.trimEnd().split('\n').length, 3);
});
