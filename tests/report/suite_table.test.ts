/** The table of a suite: as Markdown, LaTeX and CSV. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import {
  differenceOf,
  isWithinTwo,
  type SuiteLine,
  suiteCsv,
  suiteLatex,
  suiteTable,
} from '../../nanoeval/report/suite_table.ts';
import type { Estimate } from '../../nanoeval/types.ts';

function estimate(value: number, stderr: number | null = null, n = 100): Estimate {
  return { value, stderr, ci95: stderr === null ? null : [value - 1.96 * stderr, value + 1.96 * stderr], n };
}

const line = (more: Partial<SuiteLine> = {}): SuiteLine => ({
  task: 'piqa',
  recipe: 'cloze',
  n: 1838,
  metric: 'acc_norm',
  estimate: estimate(0.66, 0.011),
  unit: 'share',
  reference: { value: 0.663, source: 'model card' },
  ...more,
});
const MISSING = line({
  task: 'MT-Bench',
  recipe: '-',
  n: null,
  metric: null,
  estimate: null,
  unit: null,
  missing: 'a judge decides',
});

test('the table of a suite shows references with the difference, and why a task failed', () => {
  const table = suiteTable([
    {
      task: 'hellaswag',
      recipe: 'lm_eval',
      n: 10042,
      metric: 'acc_norm',
      estimate: estimate(0.431, 0.005),
      unit: 'share',
      reference: { value: 0.421, source: 'model card' },
    },
    {
      task: 'mmlu',
      recipe: 'lm_eval',
      n: 9,
      metric: 'acc',
      estimate: estimate(0.25, null),
      unit: 'share',
      reference: { value: 0.302, source: 'a|b' },
    },
    {
      task: 'arc',
      recipe: 'lm_eval',
      n: 9,
      metric: 'acc',
      estimate: estimate(0.25, 0.1),
      unit: 'share',
      reference: { value: 0.25001, source: 'x' },
    },
    {
      task: 'piqa',
      recipe: 'lm_eval',
      n: null,
      metric: null,
      estimate: null,
      unit: null,
      error: `piqa row 24: no gold.\n  at stack`,
    },
    { task: 'boolq', recipe: 'lm_eval', n: null, metric: null, estimate: null, unit: null, error: 'y'.repeat(200) },
  ]);
  const lines = table.trimEnd().split('\n');
  const cells = lines.map((line) => line.split(/(?<!\\)\|/).map((text) => text.trim()));
  assert.equal(new Set(lines.map((line) => [...line].length)).size, 1, 'all lines are as long');
  assert.deepEqual(cells[0]!.slice(5, 11), ['value', '± stderr', 'reference', 'difference', 'within 2 se', 'source']);
  assert.deepEqual(cells[2]!.slice(5, 11), ['0.4310', '0.0050', '0.4210', '+0.0100', 'yes', 'model card']);
  assert.deepEqual(cells[3]!.slice(5, 11), ['0.2500', '-', '0.3020', '-0.0520', '-', 'a\\|b']);
  assert.equal(cells[4]![8], '0.0000');
  assert.deepEqual(cells[5]!.slice(3, 11), ['-', '-', 'failed: piqa row 24: no gold.', '-', '-', '-', '-', '-']);
  assert.match(cells[6]![5]!, /^failed: y{47}…$/);
});

test('the table of a suite without references has no column for them', () => {
  const table = suiteTable([{ task: 'a', recipe: 'r', n: 1, metric: 'acc', estimate: estimate(1), unit: 'share' }]);
  assert.ok(!table.includes('reference'));
});

test('a reported value lies within two standard errors of ours, or not, or that cannot be said', () => {
  assert.equal(isWithinTwo(line({ estimate: estimate(0.64, 0.0115) })), true);
  assert.equal(isWithinTwo(line({ estimate: estimate(0.64, 0.0114) })), false);
  for (const open of [line({ estimate: estimate(0.6) }), line({ reference: undefined }), MISSING])
    assert.equal(isWithinTwo(open), null);
  assert.equal(differenceOf(line({ estimate: estimate(0.5, 0.1), reference: { value: 0.75, source: 'x' } })), -0.25);
});

test('what is not run stands in the table with its reason', () => {
  const cells = suiteTable([line(), MISSING])
    .trimEnd()
    .split('\n')
    .at(-1)!
    .split('|')
    .map((text) => text.trim());
  assert.deepEqual(cells.slice(1, -1), [
    'MT-Bench',
    '-',
    '-',
    '-',
    'missing: a judge decides',
    '-',
    '0.6630',
    '-',
    '-',
    'model card',
  ]);
});

test('a reason to leave something out is not cut: nothing else says it', () => {
  const why = 'no task for it here, and this is a reason of more than forty-eight characters';
  assert.ok(suiteTable([{ ...MISSING, missing: why }]).includes(` missing: ${why} `));
});

test('suite.csv has all digits, and says why a line has no value', () => {
  const [first, second, third] = parse(
    suiteCsv([line({ estimate: estimate(1 / 3, 0.01) }), MISSING, line({ estimate: null, error: 'no network\nat' })]),
    {
      columns: true,
    },
  ) as Record<string, string>[];
  assert.deepEqual(first, {
    task: 'piqa',
    recipe: 'cloze',
    metric: 'acc_norm',
    value: '0.3333333333333333',
    stderr: '0.01',
    n: '1838',
    reference: '0.663',
    difference: `${1 / 3 - 0.663}`,
    within_two_stderr: 'false',
    source: 'model card',
    note: '',
  });
  assert.deepEqual([second!.value, second!.reference, second!.note], ['', '0.663', 'missing: a judge decides']);
  assert.equal(third!.note, 'failed: no network');
});

test('suite.tex: percent, signs, bold where two standard errors do not reach, and no sign of LaTeX in plain text', () => {
  const tex = suiteLatex([
    line(),
    line({ task: 'arc_easy & 50%', estimate: estimate(0.6, 0.01) }),
    line({
      task: 'wiki',
      metric: 'word_perplexity',
      unit: 'number',
      estimate: estimate(31.08286),
      reference: undefined,
    }),
    line({ task: 'IFEval', metric: 'prompt_level_strict_acc, inst_level_strict_acc' }),
    MISSING,
    { ...MISSING, reference: { value: 1.98, source: 'another\ncard' } },
    line({ estimate: null, unit: null, n: null, error: 'no network' }),
  ]);
  assert.deepEqual(tex.trimEnd().split('\n').slice(1), [
    '% reported: model card; another card',
    '\\begin{tabular}{lllrrrr}',
    '\\toprule',
    'task & recipe & metric & $n$ & ours & reported & difference \\\\',
    '\\midrule',
    'piqa & cloze & acc\\_norm & 1838 & 66.0 $\\pm$ 1.1 & 66.3 & $-0.3$ \\\\',
    'arc\\_easy \\& 50\\% & cloze & acc\\_norm & 1838 & 60.0 $\\pm$ 1.0 & 66.3 & $\\mathbf{-6.3}$ \\\\',
    'wiki & cloze & word\\_perplexity & 1838 & 31.0829 & -- & -- \\\\',
    'IFEval & cloze & 2 metrics & 1838 & 66.0 $\\pm$ 1.1 & 66.3 & $-0.3$ \\\\',
    'MT-Bench & \\multicolumn{4}{l}{\\emph{missing: a judge decides}} & 66.3 & -- \\\\',
    'MT-Bench & \\multicolumn{4}{l}{\\emph{missing: a judge decides}} & 1.98 & -- \\\\',
    'piqa & cloze & acc\\_norm & -- & \\emph{failed} & 66.3 & -- \\\\',
    '\\bottomrule',
    '\\end{tabular}',
  ]);
  assert.match(
    suiteLatex([line({ task: '\\a{b}~^$#_' })]),
    /\\textbackslash\{\}a\\\{b\\\}\\textasciitilde\{\}\\textasciicircum\{\}\\\$\\#\\_/,
  );
});
