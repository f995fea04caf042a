/** junit.xml, as a reader of such files sees it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'junit2json';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { type JunitCase, junitXml, rowCases } from '../../nanoeval/report/junit.ts';

const made = (name: string, suite: string, failure: string | null, text = ''): JunitCase => ({
  name,
  suite,
  failure,
  text,
});

test('suites, cases and failures are counted as they are', async () => {
  const xml = junitXml('nanoeval compare', [
    made('acc_norm', 'hellaswag', 'REGRESSED: acc_norm 0.5 -> 0.4', 'baseline 0.5\ncurrent 0.4'),
    made('acc', 'hellaswag', null, 'all well'),
    made('acc', 'mmlu', null),
  ]);
  const read = (await parse(xml)) as unknown as Record<string, never>;
  assert.deepEqual(JSON.parse(JSON.stringify(read)), {
    name: 'nanoeval compare',
    tests: 3,
    failures: 1,
    errors: 0,
    testsuite: [
      {
        name: 'hellaswag',
        tests: 2,
        failures: 1,
        errors: 0,
        skipped: 0,
        testcase: [
          {
            name: 'acc_norm',
            classname: 'nanoeval compare.hellaswag',
            time: 0,
            failure: [
              { message: 'REGRESSED: acc_norm 0.5 -> 0.4', type: 'REGRESSED', inner: 'baseline 0.5\ncurrent 0.4' },
            ],
          },
          { name: 'acc', classname: 'nanoeval compare.hellaswag', time: 0, 'system-out': ['all well'] },
        ],
      },
      {
        name: 'mmlu',
        tests: 1,
        failures: 0,
        errors: 0,
        skipped: 0,
        testcase: [{ name: 'acc', classname: 'nanoeval compare.mmlu', time: 0 }],
      },
    ],
  });
});

test('markup, quotes and characters that XML cannot hold come out as text', async () => {
  const nasty = 'a<b>&"c\' ]]> \u0000\u0008\u{FFFF} \u{1F600} \u00e9';
  const xml = junitXml(nasty, [made(nasty, nasty, `X: ${nasty}`, nasty)]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested.
  assert.doesNotMatch(xml, /[\u0000-\u0008\uFFFF]/);
  const read = JSON.parse(JSON.stringify(await parse(xml)));
  const shown = 'a<b>&"c\' ]]> \uFFFD\uFFFD\uFFFD \u{1F600} \u00e9';
  const [suite] = read.testsuite;
  const [only] = suite.testcase;
  assert.deepEqual([read.name, suite.name, only.name], [shown, shown, shown]);
  assert.deepEqual([only.failure[0].message, only.failure[0].inner], [`X: ${shown}`, shown]);
});

test('rows as cases: right, wrong with its reasons, without any, and one that could not be scored as an error', async () => {
  const row = (index: number, correct: 0 | 1, rest: object = {}) =>
    ({ task: 't', id: `r${index}`, index, correct, metrics: { acc: correct }, ...rest }) as unknown as ScoredRow;
  const parts = [
    { name: 'a', metrics: {}, failure: 'no a' },
    { name: 'b', metrics: {}, failure: 'no b' },
  ];
  const rows = [row(0, 1), row(2, 0, { parts, sample: 1 }), row(3, 0, { prediction: null })];
  const failed = [{ task: 't', id: 'r1', index: 1, error: { kind: 'time', message: 'too slow' } }];
  const read = JSON.parse(JSON.stringify(await parse(junitXml('nanoeval', rowCases('t', rows, failed)))));
  assert.deepEqual([read.tests, read.failures, read.errors], [4, 2, 1]);
  const [suite] = read.testsuite;
  assert.deepEqual([suite.tests, suite.failures, suite.errors], [4, 2, 1]);
  assert.deepEqual(
    suite.testcase.map(({ name, failure, error }: Record<string, unknown>) => [name, failure ?? null, error ?? null]),
    [
      ['r0', null, null],
      ['r1', null, [{ message: 'time: too slow', type: 'time', inner: 'too slow' }]],
      ['r2, sample 1', [{ message: 'a: no a', type: 'a', inner: 'a: no a\nb: no b' }], null],
      ['r3', [{ message: 'no answer that could be read', type: 'no answer that could be read' }], null],
    ],
  );
});
