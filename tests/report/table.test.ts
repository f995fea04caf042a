import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { confusionCsv, markdownTable, metricsCsv, resultTable, scoresCsv } from '../../nanoeval/report/table.ts';
import type { Estimate, TableRow } from '../../nanoeval/types.ts';

function estimate(value: number, stderr: number | null = null, n = 100): Estimate {
  return { value, stderr, ci95: stderr === null ? null : [value - 1.96 * stderr, value + 1.96 * stderr], n };
}

function row(label: string, metric: string, of: Estimate): TableRow {
  return { label, level: 'group', group: label, metric, estimate: of };
}

test('metrics.csv: header, full precision, empty stderr', () => {
  const csv = metricsCsv([
    row('all', 'acc', estimate(1 / 3, 0.1 + 0.2, 10042)),
    row('all', 'acc_norm', estimate(1, null, 1)),
  ]);
  assert.equal(
    csv,
    'label,metric,value,stderr,n\nall,acc,0.3333333333333333,0.30000000000000004,10042\nall,acc_norm,1,,1\n',
  );
  assert.equal(metricsCsv([]), 'label,metric,value,stderr,n\n');
});

test('metrics.csv reads back as written, whatever the label', () => {
  const labels = ['a,b', 'say "x"', 'two\nlines', 'cr\rhere', ' blank ', '你好', '=1+1'];
  const values = [0.1, 1e-7, 0, 123456789.123, -0.5, 2 / 3, 5e-324];
  const rows = labels.map((label, i) => row(label, 'acc', estimate(values[i]!, i % 2 === 0 ? null : values[i]!, i)));
  const records: Record<string, string>[] = parse(metricsCsv(rows), { columns: true });
  assert.deepEqual(
    records.map((r) => r.label),
    labels,
  );
  assert.deepEqual(
    records.map((r) => Number(r.value)),
    values,
  );
  assert.deepEqual(
    records.map((r) => r.stderr === ''),
    rows.map((r) => r.estimate.stderr === null),
  );
});

test('metrics.csv refuses a number that is not finite', () => {
  assert.throws(() => metricsCsv([row('all', 'acc', estimate(Number.NaN))]), /all: acc holds NaN/);
  assert.throws(() => metricsCsv([row('all', 'acc', estimate(1, Number.POSITIVE_INFINITY))]), /holds Infinity/);
});

test('scores.csv: a line a row, with its seed and sample where it has them; a metric that a row lacks is empty', () => {
  const scored = (index: number, id: string, metrics: Record<string, number>, which: object = {}): ScoredRow => ({
    ...{ task: 't', id, index, gold: 'x', num_context_tokens: 1, truncated: false, prompt_sha256: '' },
    ...which,
    metrics,
  });
  const csv = scoresCsv([scored(0, 'a,b', { acc: 1, nll: 1 / 3 }), scored(2, 'c', { acc: 0 }, { seed: 7, sample: 1 })]);
  assert.equal(csv, 'id,index,seed,sample,acc,nll\n"a,b",0,,,1,0.3333333333333333\nc,2,7,1,0,\n');
  assert.equal(scoresCsv([]), 'id,index,seed,sample\n');
});

test('confusion.csv: predicted labels at the head, a line a gold label, whatever the labels hold', () => {
  const csv = confusionCsv({
    labels: ['a', 'b, "é"'],
    counts: [
      [3, 1],
      [0, 20],
    ],
  });
  assert.equal(csv, 'gold,a,"b, ""é"""\na,3,1\n"b, ""é""",0,20\n');
});

test('a Markdown table is padded, aligned and escaped', () => {
  const table = markdownTable({
    columns: [{ name: 'a' }, { name: 'number', align: 'right' }],
    rows: [
      ['x|y', '1'],
      ['line\nbreak', '12345678'],
    ],
  });
  assert.equal(
    table,
    [
      '| a          |   number |',
      '| ---------- | -------: |',
      '| x\\|y       |        1 |',
      '| line break | 12345678 |',
      '',
    ].join('\n'),
  );
  assert.throws(() => markdownTable({ columns: [{ name: 'a' }], rows: [['1', '2']] }), /row 0 has 2 cells/);
});

test('the table of a run has one line a label and metric, with 4 decimals', () => {
  const rows = [row('all', 'acc_norm', estimate(0.43123, 0.00494, 10042)), row('wikihow', 'acc', estimate(1, null, 1))];
  assert.equal(
    resultTable({ task: 'hellaswag', recipe: 'lm_eval', rows }),
    [
      '| task      | recipe  | group   |     n | metric   |  value | ± stderr |',
      '| --------- | ------- | ------- | ----: | -------- | -----: | -------: |',
      '| hellaswag | lm_eval | all     | 10042 | acc_norm | 0.4312 |   0.0049 |',
      '| hellaswag | lm_eval | wikihow |     1 | acc      | 1.0000 |        - |',
      '',
    ].join('\n'),
  );
});
