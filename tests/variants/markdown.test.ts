/** variants.md: what stands in the table, what is said of a broken variant, which flips are listed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variantsMarkdown, variantsTable } from '../../nanoeval/variants/markdown.ts';
import { madeFlip, madeMetric, madeReport, madeVariant } from './made.ts';

const cells = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

test('one line a variant: cost, each task with difference and verdict, distributions', () => {
  const lines = variantsTable(madeReport()).trimEnd().split('\n').map(cells);
  assert.deepEqual(lines[0], [
    'variant',
    'verdict',
    'bytes',
    'load s',
    'tokens/s',
    'peak RSS MB',
    'hellaswag acc_norm',
    'difference (interval)',
    'verdict',
    'KL mean',
    'KL p99',
    'top-1',
    'perplexity/token',
  ]);
  assert.deepEqual(lines[2], [
    'fp32',
    'reference',
    '538,000,000',
    '1.25',
    '186',
    '1076',
    '0.4100 ± 0.0155',
    '-',
    '-',
    '-',
    '-',
    '-',
    '21.500',
  ]);
  assert.deepEqual(lines[3]!.slice(6), [
    '0.4100 ± 0.0155',
    '0.0000 (-0.0100 to +0.0100)',
    'HELD',
    '4.00e-4',
    '1.5000',
    '91.00 %',
    '21.500',
  ]);
  assert.deepEqual(lines[5]!.slice(0, 2), ['q4', 'BROKEN']);
  assert.deepEqual(lines[5]!.slice(7, 9), ['-0.1600 (-0.1700 to -0.1500)', 'REGRESSED']);
});

test('a variant that cannot be measured has dashes', () => {
  const served = madeVariant('served', null, madeMetric(-0.001, 'HELD'));
  const text = variantsTable(madeReport({ variants: [madeVariant('fp32', 1e6, null), served] }));
  const line = cells(text.trimEnd().split('\n').at(-1)!);
  assert.deepEqual(
    [line.slice(2, 6), line.slice(9)],
    [
      ['-', '-', '-', '-'],
      ['-', '-', '-', '-'],
    ],
  );
  assert.equal(line[7], '-0.0010 (-0.0110 to +0.0090)');
});

test('the head says the verdict, and what is broken with its first row', () => {
  const text = variantsMarkdown(madeReport(), [], 'flips.jsonl');
  assert.match(text, /^## BROKEN: 3 variants against fp32\n/);
  assert.match(
    text,
    /^- \*\*q4 is broken\*\*: mean KL divergence 7\.500 nats a token, above 2\. First: distributions row 3: token 17: KL 8\.250 nats\.$/m,
  );
  assert.match(text, /8,192 tokens of 3 texts \(texts\.jsonl test, `text`\) in windows of 512/);
});

test('what failed and what a comparison warns of is listed', () => {
  const report = madeReport();
  report.variants[1]!.faults = ['mmlu: gave up: <17> rows\nat once'];
  report.variants[2]!.comparison!.warnings = ['hellaswag acc_norm: HELD: it is worse by 0.004'];
  const text = variantsMarkdown(report, [], 'flips.jsonl');
  assert.match(text, /^- fp16: mmlu: gave up: &lt;17> rows$/m);
  assert.match(text, /^- q8: hellaswag acc_norm: HELD: it is worse by 0\.004$/m);
});

test('flips are folded away, the worse ones first, and the file is named where not all are listed', () => {
  const flips = [madeFlip(0, 1), ...Array.from({ length: 24 }, (_, i) => madeFlip(i + 1, 0))];
  const text = variantsMarkdown(madeReport(), flips, 'flips.jsonl');
  const part = /<details><summary>q8, hellaswag: ([\s\S]*?)<\/details>/.exec(text)![1]!;
  const listed = part.split('\n').filter((line) => /^\| (worse|better)/.test(line));
  assert.equal(listed.length, 20);
  assert.deepEqual(cells(listed[0]!), ['worse', '1', 'row 1', '1', '1', '&lt;b>']);
  assert.match(part, /5 more in flips\.jsonl\./);
});
